/* Applies a route to each event. A topic that Kafka would not accept or that the operator does not
 * allow makes the event poison. */
#include "message/route_parts.h"

#include "message/rewrite.h"
#include "model/change.h"
#include <assert.h>
#include <limits.h>

static struct slice field_value(const struct event *e, int field, struct arena *arena)
{
    if (field < COLUMN_FIRST) {
        return event_field_kept(e, (enum event_field)field, arena);
    }
    assert(e->columns);
    return e->columns[field - COLUMN_FIRST];
}

static const char *field_name(const struct route *r, int field)
{
    return field < COLUMN_FIRST ? event_own_fields[field] : r->columns[field - COLUMN_FIRST];
}

static struct slice segment_value(const struct segment *s, const struct event *e,
                                  struct arena *arena)
{
    return s->field == LITERAL ? s->text : field_value(e, s->field, arena);
}

/* topic_mend never makes a value longer, so the first loop reserves enough. */
struct slice route_render(const struct template *t, const struct event *e, struct arena *arena)
{
    size_t len = 0;
    for (size_t i = 0; i < t->count; i++) {
        len += segment_value(&t->segments[i], e, arena).len;
    }
    char *text = arena_bytes(arena, len + 1), *p = text;
    for (size_t i = 0; i < t->count; i++) {
        struct slice v = segment_value(&t->segments[i], e, arena);
        if (v.len > 0) {
            memcpy(p, v.ptr, v.len);
            p += t->segments[i].mend ? topic_mend(p, v.len) : v.len;
        }
    }
    *p = '\0';
    return (struct slice){text, (size_t)(p - text)};
}

struct slice route_json(const struct route *r, size_t i, const struct event *e)
{
    assert(e->columns);
    return e->columns[r->json_from + i];
}

struct slice route_column(const struct route *r, size_t i, const struct event *e,
                          struct arena *arena)
{
    return field_value(e, r->wanted[i], arena);
}

static const struct template *topic_for(const struct route *r, const struct event *e)
{
    if (!r->topic_by_kind) {
        return &r->topic;
    }
    if (!e->change) {
        return &r->outbox_topic;
    }
    return e->change->op == CHANGE_MESSAGE ? &r->message_topic : &r->topic;
}

/* Whether the event is about no row and no message: it has a topic and a key of its own. */
static bool is_apart(const struct event *e)
{
    return e->change && (e->change->op == CHANGE_BEGIN || e->change->op == CHANGE_END ||
                         e->change->op == CHANGE_HEARTBEAT);
}

static int render_topic(const struct route *r, struct event *e, struct arena *arena,
                        struct error *err)
{
    const struct template *t = topic_for(r, e);
    for (size_t i = 0; i < t->count; i++) {
        const struct segment *s = &t->segments[i];
        if (s->field != LITERAL && field_value(e, s->field, arena).len == 0) {
            return error_set(
                err, ERROR_POISON, "route",
                "column %s is null or empty, so the event has no topic; fill it or change route.topic",
                field_name(r, s->field));
        }
    }
    /* Set before the check, so that the dead letter shows the refused topic. */
    e->topic = route_render(t, e, arena);
    return RESULT_DONE;
}

static int apply_topic(const struct route *r, struct event *e, struct arena *arena,
                       struct error *err)
{
    if (is_apart(e)) {
        e->topic = e->change->op == CHANGE_HEARTBEAT ? r->heartbeat_topic : r->transaction_topic;
    } else if (!slice_is_null(r->fixed_topic) && !r->rewrite) { /* route_new has checked it */
        e->topic = r->fixed_topic;
        return RESULT_DONE;
    } else if (render_topic(r, e, arena, err)) {
        return RESULT_ERROR;
    }
    if (r->rewrite &&
        rewrite_event(r->rewrite, e, r->key_by_kind && e->change && !is_apart(e), arena, err)) {
        return RESULT_ERROR;
    }
    struct slice topic = e->topic;
    struct last_topic *last = r->last;
    if (topic.len != last->len || memcmp(topic.ptr, last->text, topic.len) != 0) {
        if (topic_check(topic, r->allow, r->allow_count, ERROR_POISON, err) < 0) {
            return RESULT_ERROR;
        }
        memcpy(last->text, topic.ptr, topic.len);
        last->len = topic.len;
    }
    return RESULT_DONE;
}

static struct slice apply_key(const struct route *r, const struct event *e, struct arena *arena)
{
    if (is_apart(e) || (r->key_by_kind && e->change)) {
        return e->key;
    }
    const struct template *t = r->key_by_kind ? &r->outbox_key : &r->key;
    if (t->count == 0) {
        return SLICE_NULL;
    }
    if (t->count == 1) {
        return segment_value(&t->segments[0], e, arena); /* the event's own text, not a copy */
    }
    size_t nulls = 0;
    for (size_t i = 0; i < t->count; i++) {
        nulls += slice_is_null(segment_value(&t->segments[i], e, arena));
    }
    return t->placeholders > 0 && nulls == t->placeholders ? SLICE_NULL : route_render(t, e, arena);
}

static int apply_partition(const struct route *r, struct event *e, struct arena *arena,
                           struct error *err)
{
    bool heartbeat = e->change && e->change->op == CHANGE_HEARTBEAT;
    e->partition = heartbeat ? 0 : -1; /* as Debezium does */
    if (is_apart(e)) {
        return RESULT_DONE;
    }
    struct slice v = r->partition == NO_FIELD ? SLICE_NULL : field_value(e, r->partition, arena);
    if (slice_is_null(v)) {
        return RESULT_DONE;
    }
    int64_t n = 0;
    bool ok = v.len > 0;
    for (size_t i = 0; ok && i < v.len; i++) {
        ok = v.ptr[i] >= '0' && v.ptr[i] <= '9';
        n = n * 10 + (v.ptr[i] - '0');
        ok = ok && n <= INT32_MAX;
    }
    if (!ok) {
        return error_set(
            err, ERROR_POISON, "route",
            "column %s holds no partition number (0 to 2147483647); mend it or change route.partition",
            field_name(r, r->partition));
    }
    e->partition = (int32_t)n;
    return RESULT_DONE;
}

int route_apply(const struct route *r, struct event *e, struct arena *arena, struct error *err)
{
    e->key = apply_key(r, e, arena);
    if (apply_topic(r, e, arena, err) < 0 || apply_partition(r, e, arena, err) < 0) {
        return RESULT_ERROR;
    }
    e->timestamp_us = r->timestamp_now ? TIME_NONE : e->created_at_us;
    return RESULT_DONE;
}

int route_again(const struct route *r, struct event *e, struct error *err)
{
    if (slice_is_null(e->topic)) {
        return error_set(err, ERROR_POISON, "route",
                         "no topic is known of it; give it one (`dead-letters edit ID --topic T`)");
    }
    if (topic_check(e->topic, r->allow, r->allow_count, ERROR_POISON, err) < 0) {
        return RESULT_ERROR;
    }
    e->timestamp_us = r->timestamp_now ? TIME_NONE : e->created_at_us;
    return RESULT_DONE;
}
