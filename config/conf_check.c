/* What no key table can say: forms of names and addresses, and keys that must fit each other. */
#include "config/conf_core.h"

#include "config/conf_value.h"

enum { NAME_MAX_CHARS = 40, TOPIC_MAX_CHARS = 249, PORT_MAX = 65535 };

/* The server is asked five times within a lease: a shorter one would be lost by mere load. */
static const int64_t LEAST_LEASE_US = 1000000;

/* The line of a value deep in the file, for messages; the nearest outer line where a part of the
 * path is absent. */
static int line_at(const struct tree_node *node, const char *const *path)
{
    int line = node ? node->line : 1;
    for (; *path; path++) {
        const struct tree_pair *pair = tree_find(node, *path);
        if (!pair) {
            break;
        }
        line = pair->line;
        node = pair->value;
    }
    return line;
}

static bool starts_with(const char *text, const char *prefix)
{
    return strncmp(text, prefix, strlen(prefix)) == 0;
}

static bool listen_valid(const char *listen)
{
    if (starts_with(listen, "unix:")) {
        return listen[strlen("unix:")] != '\0';
    }
    const char *colon = strrchr(listen, ':');
    int64_t port;
    return colon && colon != listen &&
           conf_parse_number(CONF_INT, colon + 1, &port) == CONF_PARSE_OK && port >= 0 &&
           port <= PORT_MAX;
}

int conf_check_top(struct conf_load *load, const struct conf_plugins *plugins,
                   const struct tree_node *map, const struct config *c, struct error *err)
{
    if (!plugins->is_store_url(c->store.url)) {
        return conf_fail(
            load, line_at(map, (const char *[]){"store", "url", NULL}), err,
            "store.url must be sqlite:PATH, postgresql://... or a libpq conninfo string");
    }
    if (c->store.lease_us > 0 && c->store.lease_us < LEAST_LEASE_US) {
        return conf_fail(load, line_at(map, (const char *[]){"store", "lease", NULL}), err,
                         "store.lease must be 0s (never) or at least 1s");
    }
    if (*c->admin.listen && !listen_valid(c->admin.listen)) {
        return conf_fail(
            load, line_at(map, (const char *[]){"admin", "listen", NULL}), err,
            "admin.listen must be HOST:PORT, for example 127.0.0.1:9480, or unix:PATH");
    }
    if (starts_with(c->admin.socket, "unix:")) {
        return conf_fail(
            load, line_at(map, (const char *[]){"admin", "socket", NULL}), err,
            "admin.socket is a path alone, without unix:; for example /run/commitrelay/relay.sock");
    }
    return RESULT_DONE;
}

static bool only(const char *text, const char *characters, size_t max)
{
    size_t n = strlen(text);
    return n > 0 && n <= max && strspn(text, characters) == n;
}

#define DIGITS_LOWER "abcdefghijklmnopqrstuvwxyz0123456789"

static bool topic_valid(const char *topic)
{
    return only(topic, DIGITS_LOWER "ABCDEFGHIJKLMNOPQRSTUVWXYZ._-", TOPIC_MAX_CHARS) &&
           strcmp(topic, ".") != 0 && strcmp(topic, "..") != 0;
}

/* --- keys that not every format uses --- */

/* By enum encode_format, as bits. */
enum {
    PAYLOAD = 1,
    JSON = 2,
    DEBEZIUM = 4,
    CLOUDEVENTS = 8,
    CLOUDEVENTS_JSON = 16,
    FLAT = 32,
    OF_CHANGES = JSON | DEBEZIUM | CLOUDEVENTS | CLOUDEVENTS_JSON | FLAT
};

#define ENCODE(field) offsetof(struct conf_encode, field)

static const struct {
    const char *key;
    size_t given;
    unsigned formats;
    const char *remedy;
} encode_uses[] = {
    {"name", ENCODE(given.name), OF_CHANGES, "table changes, which have another format"},
    {"skipped_operations", ENCODE(skipped_operations.given), OF_CHANGES,
     "table changes, which have another format"},
    {"unavailable_placeholder", ENCODE(given.unavailable_placeholder), OF_CHANGES,
     "table changes, which have another format"},
    {"flat_prefix", ENCODE(given.flat_prefix), FLAT | JSON | CLOUDEVENTS | CLOUDEVENTS_JSON,
     "table changes as flat rows"},
    {"source", ENCODE(given.source), CLOUDEVENTS | CLOUDEVENTS_JSON,
     "cloudevents and cloudevents_json"},
    {"tombstones", ENCODE(given.tombstones), DEBEZIUM, "debezium"},
    {"decimal", ENCODE(given.decimal), DEBEZIUM, "debezium"},
    {"time", ENCODE(given.time), DEBEZIUM, "debezium"},
    {"binary", ENCODE(given.binary), DEBEZIUM, "debezium"},
    {"interval", ENCODE(given.interval), DEBEZIUM, "debezium"},
    {"hstore", ENCODE(given.hstore), DEBEZIUM, "debezium"},
};

static int check_encode(struct conf_load *load, struct conf_place at, const struct tree_node *map,
                        const struct conf_encode *e, struct error *err)
{
    for (size_t i = 0; i < sizeof encode_uses / sizeof *encode_uses; i++) {
        bool given = *(const bool *)((const char *)e + encode_uses[i].given);
        if (given && !(encode_uses[i].formats & 1U << e->format)) {
            return conf_fail(load,
                             line_at(map, (const char *[]){"encode", encode_uses[i].key, NULL}),
                             err, "%s.encode.%s is for %s; remove it, or set encode.format",
                             at.path, encode_uses[i].key, encode_uses[i].remedy);
        }
    }
    return RESULT_DONE;
}

int conf_check_pipeline(struct conf_load *load, struct conf_place at, const struct tree_node *map,
                        const struct conf_pipeline *p, struct error *err)
{
    char shown[TREE_SHOWN_SIZE];
    const struct conf_delivery *d = &p->delivery;
    if (!only(p->name, DIGITS_LOWER "_-", NAME_MAX_CHARS)) {
        return conf_fail(load, p->line, err,
                         "%s.name: `%s` must be 1 to %d characters of a-z, 0-9, _ and -", at.path,
                         tree_shown(slice_from(p->name), shown), NAME_MAX_CHARS);
    }
    if (d->retry.initial_us > d->retry.max_us) {
        return conf_fail(
            load, line_at(map, (const char *[]){"delivery", "retry", NULL}), err,
            "%s.delivery.retry: initial is longer than max; raise max or lower initial", at.path);
    }
    if (*d->dead_letter_topic && !topic_valid(d->dead_letter_topic)) {
        return conf_fail(
            load, line_at(map, (const char *[]){"delivery", "dead_letter_topic", NULL}), err,
            "%s.delivery.dead_letter_topic: `%s` is no topic name: 1 to %d characters of A-Z, a-z, "
            "0-9, ., _ and -",
            at.path, tree_shown(slice_from(d->dead_letter_topic), shown), TOPIC_MAX_CHARS);
    }
    return check_encode(load, at, map, &p->encode, err);
}
