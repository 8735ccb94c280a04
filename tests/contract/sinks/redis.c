/* The redis sink, to a server that run.py starts, read back by a connection of the test's own: once
 * with streams, and once as a subscriber. */
#include "../../unit/unit.h"

#include "../patience.h"
#include "../plugin_conf.h"
#include "../sink_fixture.h"

#include <fcntl.h>
#include <hiredis/hiredis.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct reader {
    redisContext *server;
    char last[48], url[64]; /* last: the id of the last entry seen */
};

/* "HOST:PORT" */
static redisContext *connect_to(const char *address)
{
    char host[64];
    const char *colon = strchr(address, ':');
    assert_non_null(colon);
    snprintf(host, sizeof host, "%.*s", (int)(colon - address), address);
    redisContext *c = redisConnect(host, atoi(colon + 1));
    assert_non_null(c);
    assert_int_equal(c->err, 0);
    return c;
}

/* Each case has a stream of its own. */
static void redis_up(struct rig *r)
{
    static int cases;
    const char *address = getenv("COMMITRELAY_TEST_REDIS");
    struct reader *own = calloc(1, sizeof *own);
    if (!address || !own) {
        fail_msg("COMMITRELAY_TEST_REDIS is not set: it must name a server for tests");
    }
    r->own = own;
    own->server = connect_to(address);
    snprintf(own->last, sizeof own->last, "0-0");
    snprintf(own->url, sizeof own->url, "redis://%s", address);
    snprintf(r->where, sizeof r->where, "contract-%d", ++cases);
    rig_conf_new(r);
    plugin_conf_text(r->ops->keys, r->conf, "url", own->url);
}

static void redis_down(struct rig *r)
{
    struct reader *own = r->own;
    redisFree(own->server);
    free(own);
}

static void see(struct rig *r, const redisReply *value)
{
    char number[16];
    snprintf(number, sizeof number, "%.*s", (int)value->len, value->str);
    rig_saw(r, atoi(number));
}

static void see_entry(struct rig *r, const redisReply *entry)
{
    const redisReply *fields = entry->element[1];
    for (size_t i = 0; i + 1 < fields->elements; i += 2) {
        if (strcmp(fields->element[i]->str, "payload") == 0) {
            see(r, fields->element[i + 1]);
        }
    }
}

static void stream_look(struct rig *r)
{
    struct reader *own = r->own;
    redisReply *got = redisCommand(own->server, "XRANGE %s (%s +", r->where, own->last);
    assert_non_null(got);
    assert_int_equal(got->type, REDIS_REPLY_ARRAY);
    for (size_t i = 0; i < got->elements; i++) {
        see_entry(r, got->element[i]);
        snprintf(own->last, sizeof own->last, "%s", got->element[i]->element[0]->str);
    }
    freeReplyObject(got);
}

static void pubsub_up(struct rig *r)
{
    redis_up(r);
    struct reader *own = r->own;
    r->env.at_most_once = true;
    plugin_conf_text(r->ops->keys, r->conf, "mode", "pubsub");
    redisReply *said = redisCommand(own->server, "SUBSCRIBE %s", r->where);
    assert_non_null(said);
    freeReplyObject(said);
    own->server->flags &= ~REDIS_BLOCK; /* reads take what is there */
    int rc = fcntl(own->server->fd, F_SETFL, O_NONBLOCK);
    assert_int_equal(rc, 0);
}

static void pubsub_look(struct rig *r)
{
    struct reader *own = r->own;
    void *got;
    assert_int_equal(redisBufferRead(own->server), REDIS_OK);
    while (redisGetReplyFromReader(own->server, &got) == REDIS_OK && got) {
        see(r, ((redisReply *)got)->element[2]); /* "message", channel, value */
        freeReplyObject(got);
    }
}

/* It has no topic, and so no stream. */
static void nowhere(struct rig *r, struct event *e)
{
    (void)r;
    e->topic = SLICE_NULL;
}

/* It takes few events at a time in any case. */
static void narrow(struct rig *r)
{
    (void)r;
}

static const struct sink_kind pubsub = {
    .up = pubsub_up,
    .down = redis_down,
    .look = pubsub_look,
    .narrow = narrow,
    .spoil = nowhere,
    .shows_later = true,
};

const struct sink_kind sink_kind_redis = {
    .other = &pubsub,
    .up = redis_up,
    .down = redis_down,
    .look = stream_look,
    .narrow = narrow,
    .spoil = nowhere,
};
