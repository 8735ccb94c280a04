/*
 * One outbox event in a batch, as state of each case, and its way through the encoder. Included by
 * the tests of the formats.
 */
#pragma once

#include "formats.h"
#include "unit.h"

#include "message/encode.h"

static int setup(void **state)
{
    struct batch *b = batch_new();
    struct event *e = batch_add(b);
    e->id = SLICE_LITERAL("i-1");
    e->type = SLICE_LITERAL("created");
    e->aggregatetype = SLICE_LITERAL("order");
    e->aggregateid = SLICE_LITERAL("42");
    e->position = SLICE_LITERAL("7");
    e->payload = SLICE_LITERAL("{\"a\":1}");
    e->created_at_us = INT64_C(1795255200123456);
    *state = b;
    return 0;
}

static int teardown(void **state)
{
    batch_free(*state);
    return 0;
}

static void encode(struct batch *b, const struct encode_conf *conf)
{
    struct error err;
    if (encode_message(conf, b->events, &b->arena, &err) < 0) {
        fail_msg("%s", err.text);
    }
}
