/* The NATS sink, to a server that run.py starts, read message by message from the stream. */
#include "../../unit/unit.h"

#include "../patience.h"
#include "../plugin_conf.h"
#include "../sink_fixture.h"

#include <nats/nats.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { STREAM_MSG_MAX = 1000 };

struct server {
    natsConnection *nc;
    jsCtx *js;
    char stream[32];
    uint64_t next; /* of the stream's sequence */
};

/* A stream for each case. */
static void up(struct rig *r, int max_msg_size)
{
    static int cases;
    const char *url = getenv("COMMITRELAY_TEST_NATS");
    struct server *s = calloc(1, sizeof *s);
    if (!url || !s) {
        fail_msg("COMMITRELAY_TEST_NATS is not set: it must name a server for tests");
    }
    r->own = s;
    snprintf(r->where, sizeof r->where, "contract.%d", ++cases);
    snprintf(s->stream, sizeof s->stream, "CONTRACT%d", cases);
    s->next = 1;
    r->env.fixed_topic = r->where;
    rig_conf_new(r);
    plugin_conf_text(r->ops->keys, r->conf, "servers", url);
    assert_int_equal(natsConnection_ConnectTo(&s->nc, url), NATS_OK);
    assert_int_equal(natsConnection_JetStream(&s->js, s->nc, NULL), NATS_OK);
    jsStreamConfig c;
    jsStreamConfig_Init(&c);
    const char *subject = r->where;
    c.Name = s->stream;
    c.Subjects = &subject;
    c.SubjectsLen = 1;
    c.MaxMsgSize = max_msg_size;
    assert_int_equal(js_AddStream(NULL, s->js, &c, NULL, NULL), NATS_OK);
}

static void nats_up(struct rig *r)
{
    up(r, -1);
}

/* The stream refuses what the server would take: so the answer names the event. */
static void small_up(struct rig *r)
{
    up(r, STREAM_MSG_MAX);
}

static void nats_down(struct rig *r)
{
    struct server *s = r->own;
    js_DeleteStream(s->js, s->stream, NULL, NULL);
    jsCtx_Destroy(s->js);
    natsConnection_Destroy(s->nc);
    free(s);
}

/* Up to what the server says is the last one now. */
static void nats_look(struct rig *r)
{
    struct server *s = r->own;
    jsStreamInfo *info = NULL;
    assert_int_equal(js_GetStreamInfo(&info, s->js, s->stream, NULL, NULL), NATS_OK);
    uint64_t last = info->State.LastSeq;
    jsStreamInfo_Destroy(info);
    for (; s->next <= last; s->next++) {
        char value[16];
        const char *id = NULL;
        natsMsg *m = NULL;
        assert_int_equal(js_GetMsg(&m, s->js, s->stream, s->next, NULL, NULL), NATS_OK);
        snprintf(value, sizeof value, "%.*s", natsMsg_GetDataLength(m), natsMsg_GetData(m));
        assert_int_equal(natsMsgHeader_Get(m, "Nats-Msg-Id", &id), NATS_OK);
        assert_int_equal(atoi(id + 1), atoi(value)); /* "e17" and "17" */
        rig_saw(r, atoi(value));
        natsMsg_Destroy(m);
    }
}

static void nats_narrow(struct rig *r)
{
    r->env.max_in_flight = 20;
}

static void large(struct rig *r, struct event *e, size_t bytes)
{
    char *value = arena_bytes(&r->batch->arena, bytes);
    memset(value, 'x', bytes);
    e->value = (struct slice){value, bytes};
}

/* More than the server's max_payload. */
static void too_large(struct rig *r, struct event *e)
{
    large(r, e, 2 << 20);
}

static void larger_than_the_stream_takes(struct rig *r, struct event *e)
{
    large(r, e, 2 * STREAM_MSG_MAX);
}

static const struct sink_kind small_stream = {
    .up = small_up,
    .down = nats_down,
    .look = nats_look,
    .narrow = nats_narrow,
    .spoil = larger_than_the_stream_takes,
};

const struct sink_kind sink_kind_nats = {
    .other = &small_stream,
    .up = nats_up,
    .down = nats_down,
    .look = nats_look,
    .narrow = nats_narrow,
    .spoil = too_large,
};
