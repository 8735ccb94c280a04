/* The keys of `from: {type: kafka}`, and librdkafka's settings. */
#include "consume/from/kafka.h"

#include "value/kafka_text.h"
#include <stdio.h>

#define KAFKA(field) offsetof(struct kafka_from_conf, field)

const struct conf_key kafka_from_keys[] = {
    {"brokers", CONF_STRING, KAFKA(brokers), NULL, .required = true,
     .help = "`host:port[,host:port]`"},
    {"topics", CONF_LIST, KAFKA(topics), NULL, .required = true,
     .help = "the topics; one that begins with `^` is a regular expression"},
    {"properties", CONF_MAP, KAFKA(properties), NULL,
     .help = "any librdkafka consumer property; secrets by `${VAR}` or `properties_file`. "
             "`auto.offset.reset` says where a group begins that has read nothing: `earliest` "
             "(default) or `latest`"},
    CONF_END};

/* Set before the user's properties, which may change them. */
static const char *const defaults[][2] = {
    {"session.timeout.ms", "10000"},     {"fetch.wait.max.ms", "100"},
    {"fetch.error.backoff.ms", "100"},   {"socket.nagle.disable", "true"},
    {"socket.keepalive.enable", "true"}, {"queued.max.messages.kbytes", "16384"},
};

/* `properties` may not have these: that an event is applied once depends on them, or another key
 * sets them. */
static const struct {
    const char *name, *value, *why;
} owned[] = {
    {"enable.auto.commit", "false", "an offset is committed only once its event is applied"},
    {"enable.auto.offset.store", "false", "an offset is committed only once its event is applied"},
    {"isolation.level", "read_committed", "what was not committed must not be applied"},
    {"partition.assignment.strategy", "cooperative-sticky",
     "consumers of one group must agree, and partitions move without a stop of all"},
    {"enable.partition.eof", "true", "--until-idle rests on it"},
    {"group.id", NULL, "the key `group` of the consumer says it"},
    {"bootstrap.servers", NULL, "the key `brokers` says it"},
    {"metadata.broker.list", NULL, "the key `brokers` says it"},
};

static int set(rd_kafka_conf_t *c, const char *name, const char *value, struct error *err)
{
    char text[400];
    if (rd_kafka_conf_set(c, name, value, text, sizeof text) != RD_KAFKA_CONF_OK) {
        return error_set(err, ERROR_CONFIG, "kafka",
                         "from.properties: %s: %s; see librdkafka's CONFIGURATION.md", name, text);
    }
    return RESULT_DONE;
}

static int set_property(rd_kafka_conf_t *c, const struct conf_pair *p, bool *ret_latest,
                        struct error *err)
{
    if (kafka_text_loads_code(p->name)) {
        return error_set(
            err, ERROR_CONFIG, "kafka",
            "from.properties: %s is refused: it loads a library or runs a command, and "
            "whoever may write the configuration could run anything; remove it",
            p->name);
    }
    for (size_t i = 0; i < sizeof owned / sizeof *owned; i++) {
        if (strcmp(owned[i].name, p->name) == 0) {
            return error_set(err, ERROR_CONFIG, "kafka",
                             "from.properties: %s is refused: %s; "
                             "remove it",
                             p->name, owned[i].why);
        }
    }
    if (strcmp(p->name, "auto.offset.reset") == 0) {
        *ret_latest = strcmp(p->value, "latest") == 0;
        if (!*ret_latest && strcmp(p->value, "earliest") != 0) {
            return error_set(err, ERROR_CONFIG, "kafka",
                             "from.properties: auto.offset.reset must be earliest or latest");
        }
        return RESULT_DONE;
    }
    return set(c, p->name, p->value, err);
}

static int fill(rd_kafka_conf_t *c, const struct kafka_from_conf *conf, const struct from_env *env,
                bool *ret_latest, struct error *err)
{
    char id[96];
    if (kafka_text_brokers(conf->brokers, err)) {
        return RESULT_ERROR;
    }
    for (size_t i = 0; i < sizeof defaults / sizeof *defaults; i++) {
        if (set(c, defaults[i][0], defaults[i][1], err)) {
            return RESULT_ERROR;
        }
    }
    for (size_t i = 0; i < conf->properties.count; i++) {
        if (set_property(c, &conf->properties.pairs[i], ret_latest, err)) {
            return RESULT_ERROR;
        }
    }
    for (size_t i = 0; i < sizeof owned / sizeof *owned; i++) {
        if (owned[i].value && set(c, owned[i].name, owned[i].value, err)) {
            return RESULT_ERROR;
        }
    }
    snprintf(id, sizeof id, "commitrelay-consume-%s", env->consumer);
    /* A committed offset that is gone is an error: what was deleted before it was read is lost. */
    return set(c, "client.id", id, err) || set(c, "group.id", env->group, err) ||
                   set(c, "auto.offset.reset", "error", err) ||
                   set(c, "bootstrap.servers", conf->brokers, err)
               ? RESULT_ERROR
               : RESULT_DONE;
}

int kafka_from_settings(const struct kafka_from_conf *conf, const struct from_env *env,
                        rd_kafka_conf_t **ret, bool *ret_latest, struct error *err)
{
    rd_kafka_conf_t *c = rd_kafka_conf_new();
    *ret_latest = false;
    if (fill(c, conf, env, ret_latest, err)) {
        rd_kafka_conf_destroy(c);
        return RESULT_ERROR;
    }
    *ret = c;
    return RESULT_DONE;
}
