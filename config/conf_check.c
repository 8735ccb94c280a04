/* Checks what no key table can express: the form of names, URLs and addresses, and keys that must
 * fit each other. */
#include "config/conf_core.h"

#include "config/conf_value.h"
#include "message/format.h"

enum { NAME_MAX_CHARS = 40, TOPIC_MAX_CHARS = 249, PORT_MAX = 65535, TOKEN_MIN = 16 };

/* The relay asks the server five times within a lease. With a shorter lease a busy server could
 * answer too late, and the relay would lose its lock for no other reason. */
static const int64_t LEAST_LEASE_US = 1000000;

/* The line of a value, for messages. `path` is the names of the keys down to it, ended by NULL.
 * Where one of them is absent, it is the line of the nearest outer key. */
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

/* HOST:PORT with a port from 0 to 65535, or unix:PATH. */
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

/* The token goes into a header, so it has no blanks; a short one could be guessed. */
static bool token_valid(const char *token)
{
    size_t n = 0;
    while (token[n] > ' ' && token[n] < 0x7F) {
        n++;
    }
    return !token[n] && n >= TOKEN_MIN;
}

static int check_console(struct conf_load *load, const struct tree_node *map,
                         const struct config *c, struct error *err)
{
    int line = line_at(map, (const char *[]){"admin", "actions", NULL});
    if (*c->admin.token && !token_valid(c->admin.token)) {
        return conf_fail(
            load, line_at(map, (const char *[]){"admin", NULL}), err,
            "admin.token must have at least %d printable characters and no blank; make one with `openssl rand -hex 32`",
            TOKEN_MIN);
    }
    if (c->admin.actions && !*c->admin.listen) {
        return conf_fail(load, line, err,
                         "admin.actions needs admin.listen, where the console is reached");
    }
    if (c->admin.actions && !*c->admin.token && !starts_with(c->admin.listen, "unix:")) {
        return conf_fail(
            load, line, err,
            "admin.actions over TCP needs admin.token_file, so that not everybody who reaches the port may act; or let admin.listen be unix:PATH");
    }
    return RESULT_DONE;
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
    return check_console(load, map, c, err);
}

/* Whether the text has 1 to `max` characters, all among `characters`. */
static bool only(const char *text, const char *characters, size_t max)
{
    size_t n = strlen(text);
    return n > 0 && n <= max && strspn(text, characters) == n;
}

#define DIGITS_LOWER "abcdefghijklmnopqrstuvwxyz0123456789"

bool conf_name_valid(const char *name)
{
    return only(name, DIGITS_LOWER "_-", NAME_MAX_CHARS);
}

static bool topic_valid(const char *topic)
{
    return only(topic, DIGITS_LOWER "ABCDEFGHIJKLMNOPQRSTUVWXYZ._-", TOPIC_MAX_CHARS) &&
           strcmp(topic, ".") != 0 && strcmp(topic, "..") != 0;
}

/* --- keys under `encode` that not every format obeys --- */

#define ENCODE(field) offsetof(struct conf_encode, field)

/* `given`: the offset of the bool that says whether the file has the key. `use`: what the key is
 * for, for the error text; NULL: the text names the formats that obey it. */
static const struct encode_key {
    const char *name;
    size_t given;
    const char *use;
} encode_keys[] = {
    {"name", ENCODE(given.name), "table changes, which have another format"},
    {"skipped_operations", ENCODE(skipped_operations.given),
     "table changes, which have another format"},
    {"unavailable_placeholder", ENCODE(given.unavailable_placeholder),
     "table changes, which have another format"},
    {"flat_prefix", ENCODE(given.flat_prefix), "table changes as flat rows"},
    {"source", ENCODE(given.source), NULL},
    {"tombstones", ENCODE(given.tombstones), NULL},
    {"decimal", ENCODE(given.decimal), NULL},
    {"time", ENCODE(given.time), NULL},
    {"binary", ENCODE(given.binary), NULL},
    {"interval", ENCODE(given.interval), NULL},
    {"hstore", ENCODE(given.hstore), NULL},
    {"transaction_metadata", ENCODE(given.transaction_metadata), NULL},
    {"heartbeat_topic", ENCODE(given.heartbeat_topic), NULL},
    {"value", ENCODE(given.value), NULL},
    {"schemas", ENCODE(given.schemas), NULL},
    {"key_columns", ENCODE(key_columns.given), "table changes, which have another format"},
    {"include_columns", ENCODE(include_columns.given), "table changes, which have another format"},
    {"exclude_columns", ENCODE(exclude_columns.given), "table changes, which have another format"},
    {"unwrap", ENCODE(given.unwrap), NULL},
    {"expand_json", ENCODE(given.expand_json), NULL},
    {"blank_is_null", ENCODE(given.blank_is_null), NULL},
    {"envelope", ENCODE(given.envelope), NULL},
};

static bool is_among(const char *const *words, const char *word)
{
    while (words && *words && strcmp(*words, word) != 0) {
        words++;
    }
    return words && *words;
}

static const struct encode_key *find_unused(const struct conf_encode *e, const char *const *used)
{
    for (size_t i = 0; i < sizeof encode_keys / sizeof *encode_keys; i++) {
        bool given = *(const bool *)((const char *)e + encode_keys[i].given);
        if (given && !is_among(used, encode_keys[i].name)) {
            return &encode_keys[i];
        }
    }
    return NULL;
}

const char *conf_encode_unused(const struct conf_encode *e, const char *const *used)
{
    const struct encode_key *key = find_unused(e, used);
    return key ? key->name : NULL;
}

static bool is_web_url(const char *url)
{
    size_t n = strcspn(url, ":");
    return (n == 4 || n == 5) && strncmp(url, "https", n) == 0 && strncmp(url + n, "://", 3) == 0;
}

static int check_encode(struct conf_load *load, struct conf_place at, const struct tree_node *map,
                        const struct conf_encode *e, struct error *err)
{
    const struct format_ops *format = format_at(e->format);
    const struct encode_key *key =
        find_unused(e, e->value && format->schema_keys ? format->schema_keys : format->keys);
    if (e->registry.url[0] && !is_web_url(e->registry.url)) {
        return conf_fail(
            load, line_at(map, (const char *[]){"encode", "registry", "url", NULL}), err,
            "%s.encode.registry.url is no URL with http or https; write one such as http://host:8081 (its text is not shown, it may hold a password)",
            at.path);
    }
    if (!key && e->given.unwrap && e->given.tombstones) {
        return conf_fail(
            load, line_at(map, (const char *[]){"encode", "tombstones", NULL}), err,
            "%s.encode.tombstones has no effect with encode.unwrap, whose `deletes` says what a delete becomes; remove it",
            at.path);
    }
    if (!key) {
        return RESULT_DONE;
    }
    CLEANUP(buf_release) struct buf formats = {0};
    format_list(&formats, (struct format_wanted){.key = key->name}, "and");
    return conf_fail(load, line_at(map, (const char *[]){"encode", key->name, NULL}), err,
                     "%s.encode.%s is for %s; remove it, or set encode.format", at.path, key->name,
                     key->use ? key->use : buf_str(&formats));
}

int conf_check_pipeline(struct conf_load *load, struct conf_place at, const struct tree_node *map,
                        const struct conf_pipeline *p, struct error *err)
{
    char shown[TREE_SHOWN_SIZE];
    const struct conf_delivery *d = &p->delivery;
    if (!conf_name_valid(p->name)) {
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
    if (!*p->route.topic_rewrite.match != !*p->route.topic_rewrite.to ||
        (*p->route.topic_rewrite.key_field && !*p->route.topic_rewrite.match)) {
        return conf_fail(
            load, line_at(map, (const char *[]){"route", "topic_rewrite", NULL}), err,
            "%s.route.topic_rewrite needs both `match`, a regular expression, and `to`, the new topic",
            at.path);
    }
    return check_encode(load, at, map, &p->encode, err);
}
