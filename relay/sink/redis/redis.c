/*
 * The sink redis: writes events to streams of Redis or Valkey, or publishes them. An event is
 * delivered when its transaction is answered, and the replicas that sink.wait asks for have it.
 * After a failure the sink goes on with a new connection only.
 */
#include "sink/redis/internal.h"

#include "base/memory.h"

#include <stdio.h>
#include <stdlib.h>

/* The longest value that a server takes by default. One that takes less says so (greeting.h). */
#define VALUE_MAX ((size_t)512 << 20)

static void redis_close(void *sink)
{
    struct redis *r = sink;
    if (!r) {
        return;
    }
    redis_link_release(&r->link);
    redis_batch_release(r);
    redis_command_release(&r->command);
    name_template_free(r->stream);
    arena_release(&r->memory);
    free(r);
}

static int redis_open(const void *conf, const struct sink_env *env, void **ret_sink,
                      size_t *ret_max_event, struct error *err)
{
    struct redis *r = memory_need(calloc(1, sizeof *r));
    r->conf = conf;
    r->env = env;
    arena_init(&r->memory);
    redis_batch_forget(r);
    redis_link_init(&r->link, conf, env, r->servers);
    if (redis_servers_read(conf, &r->memory, r->servers, &r->link.count, err) ||
        name_template_new(r->conf->stream, "stream", "redis", &r->stream, err) ||
        redis_conf_check(conf, env, err)) {
        redis_close(r);
        return RESULT_ERROR;
    }
    r->one_stream = name_template_of_topic(r->stream, env->fixed_topic, &r->command.made);
    *ret_sink = r;
    *ret_max_event = VALUE_MAX;
    return RESULT_DONE;
}

/* A connection on which nothing is under way is kept. */
static int redis_start(void *sink, uint64_t next_number UNUSED, struct error *err)
{
    struct redis *r = sink;
    bool idle = r->running->count == 0 && r->filling->count == 0 && !redis_has_failed(r);
    if (r->link.state == LINK_READY && !idle) {
        redis_link_close(&r->link, redis_batch_pending(r));
        redis_batch_forget(r);
    }
    return redis_link_open(&r->link, err);
}

static void redis_poll_fds(void *sink, struct poll_set *set)
{
    struct redis *r = sink;
    if (redis_has_failed(r)) {
        if (!r->told) {
            poll_set_deadline(set, 0); /* `collect` has something to say */
        }
        return;
    }
    redis_link_poll_fds(&r->link, set);
    poll_set_deadline(set, r->more ? 0 : redis_batch_deadline(r));
}

/* A full batch makes room for the next one if it can be executed now. */
static bool has_room(struct redis *r)
{
    if (!redis_batch_has_room(r)) {
        redis_batch_send(r);
    }
    return redis_batch_has_room(r) && !redis_has_failed(r);
}

static int redis_put(void *sink, const struct batch *batch, size_t from, size_t to,
                     uint64_t first_token, size_t *ret_taken, struct error *err)
{
    struct redis *r = sink;
    int rc = RESULT_DONE;
    *ret_taken = 0;
    if (r->link.state != LINK_READY || redis_has_failed(r)) {
        return error_set(err, ERROR_RETRY, "redis", "%s: not connected; a new connection is needed",
                         redis_link_server(&r->link));
    }
    while (rc == RESULT_DONE && from + *ret_taken < to && has_room(r)) {
        const struct event *e = &batch->events[from + *ret_taken];
        rc = redis_command_make(r, e, err);
        if (rc == RESULT_DONE && redis_batch_splits_key(r, e->key)) {
            break;
        }
        if (rc == RESULT_DONE) {
            redis_batch_add(r, first_token + (*ret_taken)++, e->key);
        }
    }
    redis_batch_send(r);
    return rc;
}

/* Deliveries are reported first, and a failure is returned by the next call, alone. */
static int redis_collect(void *sink, struct sink_report *report, struct error *err)
{
    struct redis *r = sink;
    if (r->link.state != LINK_READY) {
        return RESULT_DONE;
    }
    if (!redis_has_failed(r)) {
        redis_batch_collect(r, report);
    }
    if (!redis_has_failed(r) || r->told || report->count > 0) {
        return RESULT_DONE;
    }
    r->told = true;
    *err = r->failure;
    return RESULT_ERROR;
}

static int redis_healthy(void *sink, struct error *err)
{
    struct redis *r = sink;
    if (redis_has_failed(r)) {
        *err = r->failure;
        return RESULT_ERROR;
    }
    if (r->busy.class != ERROR_NONE) { /* it is being tried again */
        *err = r->busy;
        return RESULT_ERROR;
    }
    if (r->replicas >= 0) {
        return error_set(err, ERROR_BUSY, "redis",
                         "%s: %lld of %lld replicas have the events; look after the replicas, or "
                         "lower sink.wait.replicas",
                         redis_link_server(&r->link), r->replicas,
                         (long long)r->conf->wait.replicas);
    }
    return RESULT_DONE;
}

static const char *without_topic(const void *sink)
{
    const struct redis *r = sink;
    return name_template_has_topic(r->stream) ? NULL : "sink.stream";
}

static int check(void *sink, finding_report *report, void *ctx, struct error *err)
{
    return redis_check(sink, report, ctx, err);
}

#define TEXT(x) #x
#define VERSION(major, minor, patch) TEXT(major) "." TEXT(minor) "." TEXT(patch)

static const char *library_version(void)
{
    return VERSION(HIREDIS_MAJOR, HIREDIS_MINOR, HIREDIS_PATCH);
}

const struct sink_ops sink_redis = {
    .name = "redis",
    .help = "Redis and Valkey: streams, or publish and subscribe",
    .keys = redis_conf_keys,
    .conf_size = sizeof(struct redis_conf),
    .url = {.shown = "redis://HOST[:PORT][/DB] or unix:PATH",
            .value = redis_conf_url_value,
            .key = "url",
            .check = redis_conf_url_check},
    .library = "hiredis",
    .library_version = library_version,
    .caps = SINK_MESSAGES | SINK_SINGLE_FAULT,
    .open = redis_open,
    .start = redis_start,
    .poll_fds = redis_poll_fds,
    .put = redis_put,
    .collect = redis_collect,
    .close = redis_close,
    .healthy = redis_healthy,
    .without_topic = without_topic,
    .check = check,
};
