/*
 * `check --connect`: logs in, and looks at what would keep events from being delivered, or would
 * lose delivered ones. Nothing is written: a command that is queued in a transaction is checked for
 * rights and memory, and the transaction is discarded.
 */
#include "sink/redis/internal.h"

#include "sink/redis/errors.h"

#include <stdio.h>
#include <string.h>

struct look {
    struct redis *r;
    finding_report *report;
    void *ctx;
    struct error *err;
};

static void wait_some(struct redis *r)
{
    struct poll_set set;
    poll_set_clear(&set);
    poll_set_deadline(&set, clock_mono_us() + 100 * US_PER_MS);
    redis_link_poll_fds(&r->link, &set);
    poll_set_wait(&set);
}

/* The answer to one command; the caller frees *ret. RETRY: the connection has ended, or no answer
 * comes. */
static int ask(struct look *look, size_t n, const char **words, redisReply **ret)
{
    struct redis_link *l = &look->r->link;
    int64_t until = clock_mono_us() + look->r->conf->net.connect_timeout_us;
    int rc = RESULT_AGAIN;
    redis_link_send(l, n, words, NULL);
    while (rc == RESULT_AGAIN) {
        if (redis_link_write(l, look->err)) {
            return RESULT_ERROR;
        }
        rc = redis_link_read(l, ret, look->err);
        if (rc == RESULT_AGAIN && clock_mono_us() > until) {
            return error_set(look->err, ERROR_RETRY, "redis", "%s: no answer to %s within %.1f s",
                             redis_link_server(l), words[0],
                             (double)look->r->conf->net.connect_timeout_us / 1e6);
        }
        if (rc == RESULT_AGAIN) {
            wait_some(look->r);
        }
    }
    return rc;
}

static void free_reply(redisReply **reply)
{
    freeReplyObject(*reply);
}

static bool is_error(const redisReply *reply)
{
    return reply->type == REDIS_REPLY_ERROR;
}

static void found(struct look *look, const redisReply *reply, struct slice name)
{
    struct error err;
    redis_error(&err, redis_link_server(&look->r->link), name,
                (struct slice){reply->str, reply->len});
    look->report(look->ctx, err.exit_code, err.text, "");
}

/* Whether the server would take an event, and for this stream. */
static int try_event(struct look *look, const char *name)
{
    bool published = look->r->conf->mode == REDIS_PUBSUB;
    CLEANUP(free_reply) redisReply *begun = NULL;
    CLEANUP(free_reply) redisReply *queued = NULL;
    CLEANUP(free_reply) redisReply *discarded = NULL;
    const char *xadd[] = {"XADD", name, "*", "id", "check"};
    const char *publish[] = {"PUBLISH", name, "check"};
    if (ask(look, 1, (const char *[]){"MULTI"}, &begun) ||
        ask(look, published ? 3 : 5, published ? publish : xadd, &queued) ||
        ask(look, 1, (const char *[]){"DISCARD"}, &discarded)) {
        return RESULT_ERROR;
    }
    if (is_error(queued)) {
        found(look, queued, slice_from(name));
    }
    return RESULT_DONE;
}

static int look_at_type(struct look *look, const char *name)
{
    char text[512];
    CLEANUP(free_reply) redisReply *type = NULL;
    if (ask(look, 2, (const char *[]){"TYPE", name}, &type)) {
        return RESULT_ERROR;
    }
    if (!is_error(type) && strcmp(type->str, "none") != 0 && strcmp(type->str, "stream") != 0) {
        snprintf(text, sizeof text,
                 "%s: the key %.200s is a %.40s and no stream, so that no event can be added to it",
                 redis_link_server(&look->r->link), name, type->str);
        look->report(look->ctx, EXIT_CODE_CONFIG, text,
                     "rename the key (RENAME), or correct sink.stream");
    }
    return RESULT_DONE;
}

/* A value of the server's configuration; "" if it may not be seen. */
static int setting(struct look *look, const char *name, char out[64])
{
    CLEANUP(free_reply) redisReply *reply = NULL;
    out[0] = '\0';
    if (ask(look, 3, (const char *[]){"CONFIG", "GET", name}, &reply)) {
        return RESULT_ERROR;
    }
    if (reply->type == REDIS_REPLY_ARRAY && reply->elements == 2 && reply->element[1]->str) {
        snprintf(out, 64, "%s", reply->element[1]->str);
    }
    return RESULT_DONE;
}

static int look_at_settings(struct look *look)
{
    char text[512], memory[64], policy[64], log[64], sync[64];
    const char *server = redis_link_server(&look->r->link);
    if (setting(look, "maxmemory", memory) || setting(look, "maxmemory-policy", policy) ||
        setting(look, "appendonly", log) || setting(look, "appendfsync", sync)) {
        return RESULT_ERROR;
    }
    if (!*policy || !*log) {
        snprintf(text, sizeof text,
                 "%s: the user may not see the server's settings; is appendonly on, and does "
                 "maxmemory-policy keep streams?",
                 server);
        look->report(look->ctx, 0, text, "ACL SETUSER <user> +config|get");
        return RESULT_DONE;
    }
    if (strcmp(memory, "0") != 0 && strncmp(policy, "allkeys-", 8) == 0) {
        snprintf(text, sizeof text,
                 "%s: maxmemory-policy is %s: when memory is short the server drops whole streams, "
                 "delivered events with them",
                 server, policy);
        look->report(look->ctx, EXIT_CODE_CONFIG, text, "CONFIG SET maxmemory-policy noeviction");
    }
    if (strcmp(log, "yes") != 0) {
        snprintf(text, sizeof text,
                 "%s: appendonly is off: delivered events are in memory only, and lost when the "
                 "server is killed",
                 server);
        look->report(look->ctx, 0, text, "CONFIG SET appendonly yes");
    } else if (strcmp(sync, "always") != 0) {
        snprintf(text, sizeof text,
                 "%s: appendfsync is %s: events of about the last second are lost when the machine "
                 "fails",
                 server, sync);
        look->report(look->ctx, 0, text, "CONFIG SET appendfsync always");
    }
    return RESULT_DONE;
}

static int look_at_replicas(struct look *look)
{
    char text[256];
    CLEANUP(free_reply) redisReply *reply = NULL;
    int64_t wanted = look->r->conf->wait.replicas;
    if (ask(look, 3, (const char *[]){"WAIT", "0", "1"}, &reply)) {
        return RESULT_ERROR;
    }
    if (is_error(reply)) {
        found(look, reply, SLICE_NULL);
    } else if (reply->integer < wanted) {
        snprintf(text, sizeof text,
                 "%s: it has %lld replicas, and sink.wait.replicas is %lld: no event would ever "
                 "count as delivered",
                 redis_link_server(&look->r->link), reply->integer, (long long)wanted);
        look->report(look->ctx, EXIT_CODE_CONFIG, text,
                     "add replicas, or lower sink.wait.replicas");
    }
    return RESULT_DONE;
}

/* May it end its own former connections? Of this number and address there is none. */
static int look_at_fence(struct look *look)
{
    char text[512];
    CLEANUP(free_reply) redisReply *reply = NULL;
    if (ask(look, 6,
            (const char *[]){"CLIENT", "KILL", "ID", "9223372036854775807", "ADDR", "0.0.0.0:0"},
            &reply)) {
        return RESULT_ERROR;
    }
    if (is_error(reply) || !look->r->link.self.id[0]) {
        snprintf(text, sizeof text,
                 "%s: the user may not use CLIENT INFO and CLIENT KILL: what a broken connection "
                 "has left there may be executed late, behind what is sent again",
                 redis_link_server(&look->r->link));
        look->report(look->ctx, 0, text, "ACL SETUSER <user> +client|info +client|kill");
    }
    return RESULT_DONE;
}

/* The stream, if it is the same for every event: then the topic says all. Else null. */
static struct slice fixed_stream(struct redis *r)
{
    struct error ignored;
    struct slice name;
    struct event e = {.topic = slice_from(r->env->fixed_topic), .created_at_us = TIME_NONE};
    return name_template_make(r->stream, &e, &r->command.made, &name, &ignored) ? SLICE_NULL : name;
}

int redis_check(struct redis *r, finding_report *report, void *ctx, struct error *err)
{
    struct look look = {r, report, ctx, err};
    CLEANUP(buf_release) struct buf name = {0};
    int rc;
    while ((rc = redis_link_open(&r->link, err)) == RESULT_AGAIN) {
        wait_some(r);
    }
    if (rc) {
        return RESULT_ERROR;
    }
    bool stream = r->conf->mode == REDIS_STREAM;
    buf_add_slice(&name, fixed_stream(r));
    if (name.len > 0 &&
        (try_event(&look, buf_str(&name)) || (stream && look_at_type(&look, buf_str(&name))))) {
        return RESULT_ERROR;
    }
    if ((stream && look_at_settings(&look)) ||
        (r->conf->wait.replicas > 0 && look_at_replicas(&look))) {
        return RESULT_ERROR;
    }
    return look_at_fence(&look);
}
