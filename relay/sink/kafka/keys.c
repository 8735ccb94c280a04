/* The keys of the sink, and what can be said from them alone. */
#include "sink/kafka/conf.h"

#include <string.h>

#define COMMIT(field) \
    offsetof(struct kafka_conf, commit.field) - offsetof(struct kafka_conf, commit)

static const struct conf_key commit_keys[] = {
    {.name = "events",
     .type = CONF_INT,
     .offset = COMMIT(events),
     .fallback = "10000",
     .min = 1,
     .max = 1000000,
     .help = "Commit after so many events"},
    {.name = "bytes",
     .type = CONF_SIZE,
     .offset = COMMIT(bytes),
     .fallback = "16MiB",
     .min = 1,
     .max = INT64_C(1) << 40,
     .help = "Commit after so many bytes"},
    {.name = "interval",
     .type = CONF_DURATION,
     .offset = COMMIT(interval_us),
     .fallback = "100ms",
     .min = 1000,
     .max = INT64_C(600) * 1000000,
     .help = "Commit when the first event has waited so long; at once when nothing more is there"},
    CONF_END,
};

const struct conf_key kafka_conf_keys[] = {
    {.name = "brokers",
     .type = CONF_STRING,
     .offset = offsetof(struct kafka_conf, brokers),
     .required = true,
     .help = "host:port[,host:port]: where to find the cluster"},
    {.name = "properties",
     .type = CONF_MAP,
     .offset = offsetof(struct kafka_conf, properties),
     .help = "any librdkafka producer property, such as compression.type: lz4"},
    {.name = "stall_timeout",
     .type = CONF_DURATION,
     .offset = offsetof(struct kafka_conf, stall_timeout_us),
     .fallback = "60s",
     .min = 1000,
     .max = INT64_C(86400) * 1000000,
     .help = "the oldest unacknowledged message: past it the producer is rebuilt and the breaker "
             "counts"},
    {.name = "exactly_once",
     .type = CONF_BOOL,
     .offset = offsetof(struct kafka_conf, exactly_once),
     .fallback = "false",
     .help = "events and position go in one Kafka transaction; for consumers with "
             "isolation.level=read_committed"},
    {.name = "transactional_id",
     .type = CONF_STRING,
     .offset = offsetof(struct kafka_conf, transactional_id),
     .fallback = "commitrelay-{pipeline}",
     .help = "exactly_once: the transactional.id, of this pipeline alone"},
    {.name = "position_topic",
     .type = CONF_STRING,
     .offset = offsetof(struct kafka_conf, position_topic),
     .fallback = "commitrelay-position-{pipeline}",
     .help = "exactly_once: the compacted topic that holds the position; made if it is allowed"},
    {.name = "commit",
     .type = CONF_GROUP,
     .offset = offsetof(struct kafka_conf, commit),
     .group = commit_keys,
     .help = "exactly_once: when a transaction is committed, whichever comes first"},
    {.name = "transaction_timeout",
     .type = CONF_DURATION,
     .offset = offsetof(struct kafka_conf, transaction_timeout_us),
     .fallback = "15s",
     .min = 10 * INT64_C(1000000),
     .max = 900 * INT64_C(1000000),
     .help = "exactly_once: an open transaction is given up after this time, by the broker too"},
    {.name = "whole_transactions",
     .type = CONF_BOOL,
     .offset = offsetof(struct kafka_conf, whole_transactions),
     .fallback = "false",
     .help = "exactly_once, CDC: a database transaction that fits into the window is not split"},
    CONF_END,
};

bool kafka_conf_name(const char *text, const char *pipeline, char out[KAFKA_NAME_SIZE])
{
    static const char mark[] = "{pipeline}";
    size_t used = 0, n;
    for (const char *p = text; *p; p += n) {
        bool named = strncmp(p, mark, sizeof mark - 1) == 0;
        n = named ? sizeof mark - 1 : 1;
        const char *from = named ? pipeline : p;
        size_t len = named ? strlen(pipeline) : 1;
        if (len >= KAFKA_NAME_SIZE - used) {
            return false;
        }
        memcpy(out + used, from, len);
        used += len;
    }
    out[used] = '\0';
    return used > 0;
}

/* Lists of brokers that have one in common are of one cluster. */
static bool one_cluster(const char *brokers, const char *others)
{
    for (size_t n; *brokers; brokers += n + (brokers[n] == ',')) {
        n = strcspn(brokers, ",");
        for (size_t m = 0; others[m];) {
            size_t len = strcspn(others + m, ",");
            if (n == len && strncmp(brokers, others + m, n) == 0) {
                return true;
            }
            m += len + (others[m + len] == ',');
        }
    }
    return false;
}

static bool one_name(const struct pipeline_of *a, const struct pipeline_of *b, const char *text,
                     const char *other, const char *key, struct buf *ret_what)
{
    char one[KAFKA_NAME_SIZE], two[KAFKA_NAME_SIZE];
    bool same = kafka_conf_name(text, a->name, one) && kafka_conf_name(other, b->name, two) &&
                strcmp(one, two) == 0;
    if (same) {
        buf_printf(ret_what, "sink.%s %s", key, one);
    }
    return same;
}

bool kafka_conf_clash(const struct pipeline_of *a, const struct pipeline_of *b,
                      struct buf *ret_what)
{
    const struct kafka_conf *one = a->conf, *two = b->conf;
    return one->exactly_once && two->exactly_once && one_cluster(one->brokers, two->brokers) &&
           (one_name(a, b, one->transactional_id, two->transactional_id, "transactional_id",
                     ret_what) ||
            one_name(a, b, one->position_topic, two->position_topic, "position_topic", ret_what));
}

const char *kafka_conf_url_value(const char *url)
{
    static const char scheme[] = "kafka://";
    size_t n = sizeof scheme - 1;
    return strncmp(url, scheme, n) == 0 && url[n] ? url + n : NULL;
}

int kafka_conf_url_check(const char *value, struct error *err)
{
    if (!strpbrk(value, "/@?")) {
        return RESULT_DONE;
    }
    return error_set(
        err, ERROR_CONFIG, "kafka",
        "kafka://HOST:PORT[,HOST:PORT] takes brokers only; users, passwords and options go into a file (-c)");
}

/* Numbers counted on running relays: descriptors for a producer's queues, and a socket and a pipe
 * for each broker. */
size_t kafka_conf_descriptors(const void *conf)
{
    enum { OF_PRODUCER = 6, OF_BROKER = 3 };
    const struct kafka_conf *c = conf;
    size_t brokers = 1;
    for (const char *b = c->brokers; *b; b++) {
        brokers += *b == ',';
    }
    return OF_PRODUCER + OF_BROKER * brokers;
}
