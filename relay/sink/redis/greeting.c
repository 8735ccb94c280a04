/*
 * Greets a server, and ends what a former connection has left there (greeting.h).
 *
 * The former connection is named by its number and its address: after a restart of the server the
 * number may be somebody else's, whose address is another one. On a Unix socket all addresses are
 * the same, so there the server has to be the same process.
 */
#include "sink/redis/greeting.h"

#include "base/log.h"
#include "sink/redis/errors.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum step {
    STEP_HELLO,
    STEP_INFO,
    STEP_KILL,
    STEP_SELECT,
    STEP_LIMIT,
    STEP_MULTI,
    STEP_DISCARD,
    STEPS
};

#define LIMIT_NAME "proto-max-bulk-len"
/* What the server takes unless it is configured, and what is assumed where nobody may ask. */
#define LIMIT_DEFAULT ((size_t)512 << 20)

static bool may_end_former(const struct redis_link *l)
{
    bool same = l->servers[l->current].host || (l->self.pid && l->self.pid == l->former.pid);
    return l->former.id[0] && same;
}

static bool is_said(const struct redis_link *l, enum step step)
{
    return step == STEP_KILL     ? may_end_former(l)
           : step == STEP_SELECT ? l->servers[l->current].db > 0
                                 : true;
}

/* The step of the n-th answer (from 0); STEPS behind the last. */
static enum step step_of(const struct redis_link *l, unsigned n)
{
    enum step step = STEP_HELLO;
    for (; step < STEPS; step++) {
        if (is_said(l, step) && n-- == 0) {
            break;
        }
    }
    return step;
}

static void say(struct redis_link *l, size_t n, const char **words)
{
    redis_link_send(l, n, words, NULL);
}

static void say_hello(struct redis_link *l)
{
    const struct redis_server *s = &l->servers[l->current];
    char name[80];
    snprintf(name, sizeof name, "commitrelay-%s%s", l->env->pipeline,
             l->env->beside ? "-replay" : "");
    const char *words[] = {"HELLO",    "2", "SETNAME", name, "AUTH", *s->user ? s->user : "default",
                           s->password};
    say(l, *s->password ? 7 : 4, words);
}

void redis_greeting_send(struct redis_link *l)
{
    char db[24];
    snprintf(db, sizeof db, "%lld", (long long)l->servers[l->current].db);
    say_hello(l);
    say(l, 2, (const char *[]){"CLIENT", "INFO"});
    if (is_said(l, STEP_KILL)) {
        say(l, 6, (const char *[]){"CLIENT", "KILL", "ID", l->former.id, "ADDR", l->former.addr});
    }
    if (is_said(l, STEP_SELECT)) {
        say(l, 2, (const char *[]){"SELECT", db});
    }
    say(l, 3, (const char *[]){"CONFIG", "GET", LIMIT_NAME});
    /* A user who may not begin a transaction would have each command of it executed alone. */
    say(l, 1, (const char *[]){"MULTI"});
    say(l, 1, (const char *[]){"DISCARD"});
}

static bool is_text(const redisReply *r, const char *text)
{
    return (r->type == REDIS_REPLY_STRING || r->type == REDIS_REPLY_STATUS) &&
           r->len == strlen(text) && memcmp(r->str, text, r->len) == 0;
}

/* Whether HELLO's answer, names and values in turn, has this value. */
static bool says(const redisReply *hello, const char *name, const char *value)
{
    for (size_t i = 0; hello->type == REDIS_REPLY_ARRAY && i + 1 < hello->elements; i += 2) {
        if (is_text(hello->element[i], name)) {
            return is_text(hello->element[i + 1], value);
        }
    }
    return false;
}

static int take_hello(const struct redis_link *l, const redisReply *reply, struct error *err)
{
    const char *server = redis_link_server(l);
    if (says(reply, "mode", "cluster")) {
        return redis_error(err, server, SLICE_NULL, (struct slice)SLICE_LITERAL("MOVED"));
    }
    if (says(reply, "mode", "sentinel")) {
        return error_set(
            err, ERROR_CONFIG, "redis",
            "%s is a Sentinel, which keeps no streams; name the servers themselves in sink.url",
            server);
    }
    if (!says(reply, "role", "master")) {
        return redis_error(err, server, SLICE_NULL, (struct slice)SLICE_LITERAL("READONLY"));
    }
    return RESULT_DONE;
}

/* Copies the value of "name=value" in a line of such pairs. */
static void copy_value(struct slice line, const char *name, char *out, size_t size)
{
    size_t n = strlen(name), used = 0;
    for (size_t i = 0; i + n < line.len; i++) {
        if ((i == 0 || line.ptr[i - 1] == ' ') && memcmp(line.ptr + i, name, n) == 0) {
            for (i += n; i < line.len && line.ptr[i] != ' ' && used + 1 < size; i++) {
                out[used++] = line.ptr[i];
            }
            break;
        }
    }
    out[used] = '\0';
}

static void cannot_end(struct redis_link *l, const redisReply *reply)
{
    char text[512];
    if (l->fence_told || !l->env->note) {
        return;
    }
    l->fence_told = true;
    snprintf(
        text, sizeof text,
        "%s: %.200s; without CLIENT INFO and CLIENT KILL what a broken connection has left there may be executed late, behind what is sent again; give the user +client|info and +client|kill",
        redis_link_server(l), reply->str);
    l->env->note(l->env->note_ctx, LOG_WARN, text);
}

static void take_info(struct redis_link *l, const redisReply *reply)
{
    if (reply->type == REDIS_REPLY_ERROR) {
        cannot_end(l, reply);
    } else if (reply->type == REDIS_REPLY_STRING) {
        struct slice line = {reply->str, reply->len};
        copy_value(line, "id=", l->self.id, sizeof l->self.id);
        copy_value(line, "addr=", l->self.addr, sizeof l->self.addr);
    }
}

/* Name and value; nothing, or an error, where it may not be asked. */
static void take_limit(struct redis_link *l, const redisReply *reply)
{
    l->argument_max = LIMIT_DEFAULT;
    if (reply->type == REDIS_REPLY_ARRAY && reply->elements == 2 &&
        reply->element[1]->type == REDIS_REPLY_STRING) {
        unsigned long long limit = strtoull(reply->element[1]->str, NULL, 10);
        l->argument_max = limit > 0 && limit < SIZE_MAX ? (size_t)limit : LIMIT_DEFAULT;
    }
}

int redis_greeting_take(struct redis_link *l, const redisReply *reply, struct error *err)
{
    enum step step = step_of(l, l->greeted);
    bool failed = reply->type == REDIS_REPLY_ERROR;
    if (failed && step != STEP_INFO && step != STEP_KILL && step != STEP_LIMIT) {
        return redis_error(err, redis_link_server(l), SLICE_NULL,
                           (struct slice){reply->str, reply->len});
    }
    if (step == STEP_HELLO && take_hello(l, reply, err)) {
        return RESULT_ERROR;
    }
    if (step == STEP_INFO) {
        take_info(l, reply);
    }
    if (step == STEP_LIMIT) {
        take_limit(l, reply);
    }
    if (failed && step == STEP_KILL) {
        cannot_end(l, reply);
    }
    l->greeted++;
    if (step_of(l, l->greeted) < STEPS) {
        return RESULT_AGAIN;
    }
    l->former = (struct redis_peer){0}; /* ended, or on a server that is gone */
    return RESULT_DONE;
}
