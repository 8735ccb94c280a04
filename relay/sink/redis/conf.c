/*
 * The keys of the sink redis, and what must hold between them.
 */
#include "sink/redis/conf.h"

#include "base/log.h"

#include <stdio.h>
#include <string.h>

static const char *const modes[] = {"stream", "pubsub", NULL};
static const char *const mode_helps[] = {
    "each event is an entry of a stream (XADD), which the server keeps",
    "each event is published (PUBLISH) to those who listen at that moment, and kept nowhere: needs "
    "`delivery.at_most_once: true`",
    NULL};

#define MOST_ENTRIES INT64_C(1000000000000000)

static const struct conf_key wait_keys[] = {
    {"replicas", CONF_INT, offsetof(struct redis_wait, replicas), "0", 0, 1000,
     .help = "how many replicas must have an event before it counts as delivered (WAIT)"},
    {"timeout", CONF_DURATION, offsetof(struct redis_wait, timeout_us), "1s", US_PER_MS,
     3600 * US_PER_SECOND,
     .help = "how long one WAIT takes at most; while replicas are missing it is sent again"},
    CONF_END};

const struct conf_key redis_conf_keys[] = {
    {"url", CONF_SECRET, offsetof(struct redis_conf, url), NULL, .required = true,
     .help = "`redis://[USER[:PASSWORD]@]HOST[:PORT][/DB]` or `unix:PATH[?db=DB]`; several, "
             "separated by commas, are tried in turn"},
    {"mode", CONF_ENUM, offsetof(struct redis_conf, mode), "stream", .choices = modes,
     .choices_help = mode_helps, .help = "what an event becomes"},
    {"stream", CONF_STRING, offsetof(struct redis_conf, stream), "{topic}", .required = true,
     .help = "the stream, or the channel of pubsub; `{topic}`, `{key}` and the event's own fields, "
             "as `{type}`, stand for those of the event"},
    {"maxlen", CONF_INT, offsetof(struct redis_conf, maxlen), "0", 0, MOST_ENTRIES,
     .help = "a stream is trimmed to about so many entries (MAXLEN ~), read or not; 0: never"},
    {"wait", CONF_GROUP, offsetof(struct redis_conf, wait), .group = wait_keys,
     .help = "what a delivered event needs beside the server's own answer"},
    NET_CONF_KEYS(struct redis_conf, net),
    CONF_END};

int redis_conf_check(const struct redis_conf *conf, const struct sink_env *env, struct error *err)
{
    if (net_conf_check(&conf->net, false, "redis", err)) {
        return RESULT_ERROR;
    }
    bool published = conf->mode == REDIS_PUBSUB;
    if (published && !env->at_most_once) {
        return error_set(
            err, ERROR_CONFIG, "redis",
            "sink.mode pubsub keeps nothing: an event that nobody listens to is lost; use mode stream, or accept the loss with delivery.at_most_once: true");
    }
    if (published && (conf->maxlen > 0 || conf->wait.replicas > 0)) {
        return error_set(
            err, ERROR_CONFIG, "redis",
            "sink.%s has no effect with sink.mode pubsub, which keeps nothing; remove it",
            conf->maxlen > 0 ? "maxlen" : "wait");
    }
    net_conf_note_risks(&conf->net, false, env);
    if (published && env->note) {
        env->note(
            env->note_ctx, LOG_WARN,
            "sink.mode is pubsub and delivery.at_most_once is true: an event that nobody listens to is lost");
    }
    return RESULT_DONE;
}

const char *redis_conf_url_value(const char *url)
{
    static const char *const schemes[] = {"redis://", "rediss://", "unix:"};
    for (size_t i = 0; i < sizeof schemes / sizeof *schemes; i++) {
        if (strncmp(url, schemes[i], strlen(schemes[i])) == 0) {
            return url;
        }
    }
    return NULL;
}

int redis_conf_url_check(const char *value, struct error *err)
{
    if (!strchr(value, '@')) {
        return RESULT_DONE;
    }
    return error_set(
        err, ERROR_CONFIG, "redis",
        "redis://HOST:PORT takes no user and password, which everybody could see among the processes; they go into a file (-c)");
}
