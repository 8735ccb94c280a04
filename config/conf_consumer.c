/* The key table of a consumer, and the checks that a table cannot express. */
#include "config/conf_consumer.h"

#include "config/conf_core.h"
#include "config/conf_fingerprint.h"

#define MILLISECOND INT64_C(1000)
#define HOUR INT64_C(3600000000)
#define CONSUMER(field) offsetof(struct conf_consumer, field)

enum { WORKERS_MAX = 32, BATCH_MAX = 10000 };

/* In the sequence of CONF_CONSUME_*, CONF_DECIMAL_* and CONF_POISON_*. */
static const char *const formats[] = {"json", "flat", "debezium", "payload", NULL};
static const char *const decimals[] = {"precise", "string", "double", NULL};
static const char *const poisons[] = {"stop", "skip", "park_key", NULL};

static const struct conf_key inbox_keys[] = {
    {"url", CONF_SECRET, CONSUMER(inbox.url), NULL, .required = true,
     .help = "the database with the inbox: `postgresql://...` or `sqlite:PATH`. `into` and `call` "
             "change this database, in the same transaction"},
    CONF_END};

static const struct conf_key apply_keys[] = {
    {"into", CONF_STRING, CONSUMER(apply.into), NULL,
     .help = "a table: each event's row is inserted, updated or deleted there, by its primary key"},
    {"call", CONF_STRING, CONSUMER(apply.call), NULL,
     .help = "a function `f(event jsonb)` (PostgreSQL), called once for each event"},
    {"exec", CONF_LIST, CONSUMER(apply.exec), NULL, .repeats = true,
     .help = "a program and its arguments, started for each event, which it reads from stdin"},
    {"exec_stream", CONF_LIST, CONSUMER(apply.exec_stream), NULL, .repeats = true,
     .help = "a program and its arguments, started once: it reads an event a line and answers with "
             "a line"},
    CONF_END};

static const struct conf_key retry_keys[] = {
    {"initial", CONF_DURATION, CONSUMER(retry.initial_us), "100ms", MILLISECOND, HOUR,
     .help = "the first wait after a failure, with full jitter; doubled each time, reset by a "
             "success"},
    {"max", CONF_DURATION, CONSUMER(retry.max_us), "30s", MILLISECOND, 24 * HOUR,
     .help = "the longest wait"},
    CONF_END};

static const struct conf_key park_keys[] = {
    {"max_keys", CONF_INT, CONSUMER(park.max_keys), "1000", 1, 1000000,
     .help = "keys that may be parked; the consumer blocks before it parks one more"},
    {"max_events", CONF_INT, CONSUMER(park.max_events), "100000", 1, 1000000000,
     .help = "events that may wait behind dead letters; the consumer blocks before one more"},
    CONF_END};

const struct conf_key conf_consumer_keys[] = {
    {"name", CONF_STRING, CONSUMER(name), NULL, .required = true,
     .help = "the consumer's name in the inbox, 1 to 40 of `a-z 0-9 _ -`"},
    {"group", CONF_STRING, CONSUMER(group), NULL,
     .help = "the Kafka consumer group; the name without it"},
    {"inbox", CONF_GROUP, .group = inbox_keys, .help = "where it is kept what was applied"},
    {"apply", CONF_GROUP, .group = apply_keys, .help = "what an event does; one of its keys"},
    {"format", CONF_ENUM, CONSUMER(format), "json", .choices = formats,
     .help = "what the events look like: `encode.format` of the pipeline that sent them"},
    {"workers", CONF_INT, CONSUMER(workers), "1", 1, WORKERS_MAX,
     .help = "how many keys are applied at the same time; the events of one key keep their order"},
    {"poison", CONF_ENUM, CONSUMER(poison), "stop", .choices = poisons,
     .help = "what an event that can never be applied does: stop the consumer, or become a dead "
             "letter in the inbox's database. `park_key`: later events of its key wait there until "
             "it is retried or dropped, all others go on"},
    {"park", CONF_GROUP, .group = park_keys, .help = "limits of `poison: park_key`"},
    {"attempts", CONF_INT, CONSUMER(attempts), "3", 1, 1000,
     .help = "tries of an event, alone, before it is poison"},
    {"batch_size", CONF_INT, CONSUMER(batch_size), "500", 1, BATCH_MAX,
     .help = "events of one transaction, at most"},
    {"retry", CONF_GROUP, .group = retry_keys, .help = "waits between attempts"},
    {"drain_timeout", CONF_DURATION, CONSUMER(drain_timeout_us), "10s", 0, 24 * HOUR,
     .help = "how long a stop waits for what is being applied"},
    {"flat_prefix", CONF_STRING, CONSUMER(flat_prefix), "__",
     .help = "flat: what the names of the relay's own members begin with (`encode.flat_prefix`)"},
    {"decimal", CONF_ENUM, CONSUMER(decimal), "precise", .choices = decimals,
     .help = "debezium: how decimals come, `encode.decimal` of the pipeline that sent them"},
    CONF_END};

const char *const conf_consumer_extra[] = {"from", NULL};

static int line_of(const struct tree_node *map, const char *key)
{
    const struct tree_pair *pair = tree_find(map, key);
    return pair ? pair->line : map->line;
}

int conf_consumer_check(struct conf_load *load, struct conf_place at, const struct tree_node *map,
                        const struct conf_consumer *c, struct error *err)
{
    if (!conf_name_valid(c->name)) {
        char shown[TREE_SHOWN_SIZE];
        return conf_fail(load, c->line, err,
                         "%s.name: `%s` must be 1 to 40 characters of a-z, 0-9, _ and -", at.path,
                         tree_shown(slice_from(c->name), shown));
    }
    int given = !!*c->apply.into + !!*c->apply.call + (c->apply.exec.count > 0) +
                (c->apply.exec_stream.count > 0);
    if (given != 1) {
        return conf_fail(load, line_of(map, "apply"), err,
                         "%s.apply must have one of into, call, exec and exec_stream, and has %s",
                         at.path, given ? "several" : "none");
    }
    if (c->retry.initial_us > c->retry.max_us) {
        return conf_fail(load, line_of(map, "retry"), err,
                         "%s.retry: initial is longer than max; raise max or lower initial",
                         at.path);
    }
    return RESULT_DONE;
}

void conf_consumer_fingerprint(struct buf *out, const struct conf_consumer *c)
{
    conf_fingerprint(out, "", conf_consumer_keys, c);
    buf_printf(out, "from.type=%s\n", c->from->name);
    conf_fingerprint(out, "from", c->from->keys, c->from_conf);
}
