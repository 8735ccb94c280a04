/*
 * Builds the librdkafka configuration. Properties that could lose, reorder or drop events without a
 * word are refused.
 */
#include "sink/kafka/conf.h"

#include "base/log.h"
#include "value/kafka_text.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

/* The values that these properties must have after the user's are set. They are compared as
 * librdkafka spells them, so an alias, or "1" for "true", makes no difference. acks is not in the
 * list: with idempotence librdkafka itself refuses any other value. */
static const struct {
    const char *name, *must_be, *why;
} promises[] = {
    {"enable.idempotence", "true", "without it a retry would duplicate and reorder messages"},
    {"enable.gapless.guarantee", "true",
     "without it a failed message would be passed by later ones of its key"},
    {"delivery.report.only.error", "false",
     "only a delivery report says that an event has arrived"},
    {"bootstrap.servers", "", "the key `brokers` of the sink says where the cluster is"},
    {"log.queue", "true", "the relay writes librdkafka's lines into its own log"},
};

static int refuse(struct error *err, const char *name, const char *value, const char *why)
{
    return error_set(err, ERROR_CONFIG, "kafka",
                     "sink property %s cannot be \"%s\": %s; remove it from `properties`", name,
                     value, why);
}

void kafka_conf_text(const rd_kafka_conf_t *rkconf, const char *name, char out[KAFKA_VALUE_SIZE])
{
    size_t size = KAFKA_VALUE_SIZE;
    out[0] = '\0';
    if (rd_kafka_conf_get(rkconf, name, out, &size) != RD_KAFKA_CONF_OK) {
        out[0] = '\0';
    }
}

int64_t kafka_conf_number(const rd_kafka_conf_t *rkconf, const char *name)
{
    char text[KAFKA_VALUE_SIZE];
    kafka_conf_text(rkconf, name, text);
    return strtoll(text, NULL, 10);
}

/* Sets one property. Only the return code counts: an accepted topic-level property leaves a text
 * behind too. The error does not show the value, which may be a secret; librdkafka's own text shows
 * it only for enumerations and numbers. */
static int set(rd_kafka_conf_t *c, const char *name, const char *value, struct error *err)
{
    char text[512];
    switch (rd_kafka_conf_set(c, name, value, text, sizeof text)) {
    case RD_KAFKA_CONF_OK:
        return RESULT_DONE;
    case RD_KAFKA_CONF_UNKNOWN:
        return error_set(
            err, ERROR_CONFIG, "kafka",
            "sink property \"%s\" is not known to librdkafka %s: %s; see its CONFIGURATION.md for the names",
            name, rd_kafka_version_str(), text);
    default:
        return error_set(err, ERROR_CONFIG, "kafka",
                         "sink property %s: %s; correct it in `properties`", name, text);
    }
}

static int set_u64(rd_kafka_conf_t *c, const char *name, uint64_t value, uint64_t max,
                   struct error *err)
{
    char text[24];
    snprintf(text, sizeof text, "%llu", (unsigned long long)(value < max ? value : max));
    return set(c, name, text, err);
}

/* What exactly_once decides, and the user's properties must not change. The last counts only with
 * it. */
struct owned {
    const char *name;
    char value[KAFKA_NAME_SIZE];
    const char *why;
};
enum { OWNED = 3 };

static int own_values(const struct kafka_conf *conf, const struct sink_env *env,
                      struct owned out[OWNED], struct error *err)
{
    bool commits = kafka_conf_commits(conf, env);
    long long ms = commits ? conf->transaction_timeout_us / US_PER_MS : 0;
    out[0] = (struct owned){
        .name = "message.timeout.ms",
        .why = commits
                   ? "sink.transaction_timeout says it"
                   : "a message that times out would leave a gap; stall_timeout watches instead"};
    out[1] = (struct owned){.name = "transactional.id",
                            .why = commits ? "sink.transactional_id says it"
                                           : "sink.exactly_once sets it"};
    out[2] =
        (struct owned){.name = "transaction.timeout.ms", .why = "sink.transaction_timeout says it"};
    snprintf(out[0].value, sizeof out[0].value, "%lld", ms);
    snprintf(out[2].value, sizeof out[2].value, "%lld", ms);
    if (commits && !kafka_conf_name(conf->transactional_id, env->pipeline, out[1].value)) {
        return error_set(
            err, ERROR_CONFIG, "kafka",
            "sink.transactional_id \"%s\" is empty or longer than %d bytes; shorten it",
            conf->transactional_id, KAFKA_NAME_SIZE - 1);
    }
    return RESULT_DONE;
}

static int set_owned(rd_kafka_conf_t *c, const struct kafka_conf *conf, const struct sink_env *env,
                     struct error *err)
{
    struct owned owned[OWNED];
    if (own_values(conf, env, owned, err)) {
        return RESULT_ERROR;
    }
    if (!kafka_conf_commits(conf, env)) {
        return set(c, owned[0].name, owned[0].value, err);
    }
    for (size_t i = 0; i < OWNED; i++) {
        if (set(c, owned[i].name, owned[i].value, err)) {
            return RESULT_ERROR;
        }
    }
    /* An attempt that got no answer must show before KAFKA_COMMIT_DOUBT_US: then its producer is
     * not used again. */
    return set_u64(c, "socket.timeout.ms",
                   (uint64_t)(conf->transaction_timeout_us / US_PER_MS) - 1000, 10000, err);
}

static int check_owned(const rd_kafka_conf_t *c, const struct kafka_conf *conf,
                       const struct sink_env *env, struct error *err)
{
    struct owned owned[OWNED];
    char value[KAFKA_VALUE_SIZE];
    size_t n = kafka_conf_commits(conf, env) ? OWNED : OWNED - 1;
    if (own_values(conf, env, owned, err)) {
        return RESULT_ERROR;
    }
    for (size_t i = 0; i < n; i++) {
        kafka_conf_text(c, owned[i].name, value);
        if (strcmp(value, owned[i].value) != 0) {
            return refuse(err, owned[i].name, value, owned[i].why);
        }
    }
    return RESULT_DONE;
}

/* Sets the defaults, before the user's properties, which may change them. */
static int set_defaults(rd_kafka_conf_t *c, const struct sink_env *env, struct error *err)
{
    static const char *const pairs[][2] = {
        {"enable.idempotence", "true"},
        {"enable.gapless.guarantee", "true"},
        {"acks", "all"},
        {"log.queue", "true"},
        {"partitioner",
         /* A key goes to the same partition as with Java's and Debezium's producers. */
         "murmur2_random"},
        {"socket.nagle.disable", "true"},
        {"socket.keepalive.enable", "true"},
        {"linger.ms", KAFKA_TEXT_OF(KAFKA_LINGER_MS)},
    };
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
        if (set(c, pairs[i][0], pairs[i][1], err) < 0) {
            return RESULT_ERROR;
        }
    }
    char id[96];
    snprintf(id, sizeof id, "commitrelay-%s", env->pipeline);
    /* The queue takes twice what may be in flight, because a message counts until its report was
     * taken. A larger event is let through when it is alone, so there is always room for the
     * largest message. */
    uint64_t bytes = (uint64_t)env->max_in_flight_bytes;
    if (set(c, "client.id", id, err) < 0 ||
        set_u64(c, "queue.buffering.max.messages", 2 * (uint64_t)env->max_in_flight + 1000,
                10000000, err) < 0) {
        return RESULT_ERROR;
    }
    return set_u64(c, "queue.buffering.max.kbytes", bytes / 512 + 1024 * 1024, INT32_MAX, err);
}

static int check_promises(const rd_kafka_conf_t *c, struct error *err)
{
    char value[KAFKA_VALUE_SIZE];
    for (size_t i = 0; i < sizeof promises / sizeof *promises; i++) {
        kafka_conf_text(c, promises[i].name, value);
        if (strcmp(value, promises[i].must_be) != 0) {
            return refuse(err, promises[i].name, value, promises[i].why);
        }
    }
    kafka_conf_text(c, "partitioner", value);
    if (strcmp(value, "random") == 0) {
        return refuse(err, "partitioner", value,
                      "events of one key would go to many partitions and lose their order");
    }
    char unsecure[KAFKA_VALUE_SIZE], method[KAFKA_VALUE_SIZE];
    kafka_conf_text(c, "sasl.mechanisms", value);
    kafka_conf_text(c, "enable.sasl.oauthbearer.unsecure.jwt", unsecure);
    kafka_conf_text(c, "sasl.oauthbearer.method", method);
    if (strcmp(value, "OAUTHBEARER") == 0 && strcmp(unsecure, "true") != 0 &&
        strcmp(method, "oidc") != 0) {
        return refuse(err, "sasl.mechanisms", value,
                      "its tokens need sasl.oauthbearer.method=oidc and a librdkafka built with "
                      "it; use SCRAM or TLS "
                      "certificates");
    }
    return RESULT_DONE;
}

static int refuse_code(const struct conf_pair *p, struct error *err)
{
    return kafka_text_loads_code(p->name)
               ? error_set(
                     err, ERROR_CONFIG, "kafka",
                     "sink property %s is refused: it loads a library or runs a command, and whoever may write the configuration could run anything; remove it",
                     p->name)
               : RESULT_DONE;
}

int kafka_conf_producer(const rd_kafka_conf_t *template, rd_kafka_t **ret, struct error *err)
{
    char text[512];
    rd_kafka_conf_t *c = rd_kafka_conf_dup(template);
    rd_kafka_t *rk = rd_kafka_new(RD_KAFKA_PRODUCER, c, text, sizeof text);
    if (!rk) {
        rd_kafka_conf_destroy(c);
        bool short_of = rd_kafka_last_error() == RD_KAFKA_RESP_ERR__CRIT_SYS_RESOURCE;
        error_set(
            err, short_of ? ERROR_RETRY : ERROR_CONFIG, "kafka",
            short_of
                ? "librdkafka cannot start its threads: %s; raise the limit of threads or memory"
                : "librdkafka refuses the properties of the sink: %s; correct them in `properties`",
            text);
        return error_code(err, rd_kafka_err2name(rd_kafka_last_error()));
    }
    *ret = rk;
    return RESULT_DONE;
}

/* librdkafka only logs a property that a producer ignores. Here that is an error, because a setting
 * that has no effect would mislead the operator. */
static int check_warnings(rd_kafka_t *rk, const struct sink_env *env, struct error *err)
{
    int rc = RESULT_DONE;
    rd_kafka_queue_t *queue = rd_kafka_queue_get_main(rk);
    rd_kafka_set_log_queue(rk, queue);
    for (rd_kafka_event_t *ev; (ev = rd_kafka_queue_poll(queue, 0)); rd_kafka_event_destroy(ev)) {
        const char *facility, *text;
        int level;
        if (rd_kafka_event_type(ev) != RD_KAFKA_EVENT_LOG ||
            rd_kafka_event_log(ev, &facility, &text, &level) < 0 ||
            strcmp(facility, "CONFWARN") != 0) {
            continue;
        }
        if (strstr(text, "will be ignored")) {
            rc = error_set(err, ERROR_CONFIG, "kafka", "%s; remove it from `properties`", text);
        } else if (env->note && !strstr(text, "bootstrap.servers") &&
                   !strstr(text, "enable.gapless.guarantee")) {
            env->note(env->note_ctx, LOG_WARN, text);
        }
    }
    rd_kafka_queue_destroy(queue);
    return rc;
}

/* Makes a producer once and destroys it, because only rd_kafka_new finds contradictions. Without
 * brokers it connects to nobody. */
static int try_out(const rd_kafka_conf_t *template, const struct sink_env *env, struct error *err)
{
    rd_kafka_t *rk;
    if (kafka_conf_producer(template, &rk, err) < 0) {
        return RESULT_ERROR;
    }
    int rc = check_warnings(rk, env, err);
    rd_kafka_destroy(rk);
    return rc;
}

static int fill(rd_kafka_conf_t *c, const struct kafka_conf *conf, const struct sink_env *env,
                struct error *err)
{
    if (kafka_text_brokers(conf->brokers, err) < 0 || set_defaults(c, env, err) < 0 ||
        set_owned(c, conf, env, err) < 0) {
        return RESULT_ERROR;
    }
    for (size_t i = 0; i < conf->properties.count; i++) {
        const struct conf_pair *p = &conf->properties.pairs[i];
        if (refuse_code(p, err) < 0 || set(c, p->name, p->value, err) < 0) {
            return RESULT_ERROR;
        }
    }
    if (check_promises(c, err) < 0 || check_owned(c, conf, env, err) < 0) {
        return RESULT_ERROR;
    }
    rd_kafka_conf_set_events(c, RD_KAFKA_EVENT_DR | RD_KAFKA_EVENT_ERROR | RD_KAFKA_EVENT_LOG);
    if (try_out(c, env, err) < 0) {
        return RESULT_ERROR;
    }
    return set(c, "bootstrap.servers", conf->brokers, err);
}

int kafka_conf_build(const struct kafka_conf *conf, const struct sink_env *env,
                     rd_kafka_conf_t **ret, struct error *err)
{
    if (conf->whole_transactions && !conf->exactly_once) {
        return error_set(err, ERROR_CONFIG, "kafka",
                         "sink.whole_transactions counts with sink.exactly_once only; set both");
    }
    if (conf->exactly_once && conf->commit.interval_us >= conf->transaction_timeout_us) {
        return error_set(
            err, ERROR_CONFIG, "kafka",
            "sink.commit.interval is not shorter than sink.transaction_timeout: each transaction would be given up before it is committed; make it shorter");
    }
    rd_kafka_conf_t *c = rd_kafka_conf_new();
    if (fill(c, conf, env, err) < 0) {
        rd_kafka_conf_destroy(c);
        return RESULT_ERROR;
    }
    *ret = c;
    return RESULT_DONE;
}

void kafka_conf_note_risks(const rd_kafka_conf_t *rkconf, const struct sink_env *env)
{
    char protocol[KAFKA_VALUE_SIZE], value[KAFKA_VALUE_SIZE];
    if (!env->note) {
        return;
    }
    kafka_conf_text(rkconf, "security.protocol", protocol);
    bool tls = strcasestr(protocol, "ssl") != NULL;
    kafka_conf_text(rkconf, "enable.ssl.certificate.verification", value);
    if (tls && strcmp(value, "true") != 0) {
        env->note(env->note_ctx, LOG_WARN,
                  "enable.ssl.certificate.verification is off: anybody can pose as the broker");
    }
    kafka_conf_text(rkconf, "ssl.endpoint.identification.algorithm", value);
    if (tls && strcmp(value, "https") != 0) {
        env->note(
            env->note_ctx, LOG_WARN,
            "ssl.endpoint.identification.algorithm is not https: any holder of a valid certificate can pose as the broker");
    }
    kafka_conf_text(rkconf, "sasl.mechanisms", value);
    if (strcmp(protocol, "sasl_plaintext") == 0 && strcmp(value, "PLAIN") == 0) {
        env->note(env->note_ctx, LOG_WARN,
                  "security.protocol sasl_plaintext with PLAIN sends the password unencrypted");
    }
}

/* Versions before 2.3.0 lack fixes of the idempotent producer. */
bool kafka_conf_library_outdated(struct buf *out)
{
    bool outdated = rd_kafka_version() < 0x02030000;
    if (outdated) {
        buf_printf(
            out,
            "librdkafka %s is older than 2.3.0: a broker that restarts may cost a new producer and duplicates; a newer library is better",
            rd_kafka_version_str());
    }
    return outdated;
}
