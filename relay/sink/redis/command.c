/*
 * An event as a command: XADD stream [MAXLEN ~ n] * field value ..., or PUBLISH channel value.
 */
#include "sink/redis/internal.h"

#include "base/memory.h"
#include "model/field.h"

#include <stdio.h>
#include <stdlib.h>

void redis_command_release(struct redis_command *c)
{
    buf_release(&c->made);
    buf_release(&c->texts);
    free(c->args);
    free(c->lens);
}

static void add(struct redis_command *c, struct slice word)
{
    if (c->count == c->cap) {
        c->cap = c->cap ? 2 * c->cap : 64;
        c->args = memory_need(reallocarray(c->args, c->cap, sizeof *c->args));
        c->lens = memory_need(reallocarray(c->lens, c->cap, sizeof *c->lens));
    }
    c->args[c->count] = word.ptr;
    c->lens[c->count++] = word.len;
}

/* A field without a value is left out. */
static void add_field(struct redis_command *c, const char *name, struct slice value)
{
    if (!slice_is_null(value)) {
        add(c, slice_from(name));
        add(c, value);
    }
}

/* The fields that an entry has beside its headers; their headers would only say the same again. */
static bool is_field(const struct event *e, const struct header *h, struct slice created_at)
{
    return (slice_equal_str(h->name, "id") && slice_equal(h->value, e->id)) ||
           (slice_equal_str(h->name, "type") && slice_equal(h->value, e->type)) ||
           (slice_equal_str(h->name, "created_at") && slice_equal(h->value, created_at)) ||
           (slice_equal_str(h->name, "position") && slice_equal(h->value, e->position));
}

static void add_headers(struct redis_command *c, const struct event *e, struct slice created_at)
{
    static const struct slice prefix = SLICE_LITERAL("h:");
    size_t size = 0;
    for (size_t i = 0; i < e->out_headers_count; i++) {
        size += prefix.len + e->out_headers[i].name.len;
    }
    buf_clear(&c->texts);
    buf_reserve(&c->texts, size); /* so that the names do not move */
    for (size_t i = 0; i < e->out_headers_count; i++) {
        const struct header *h = &e->out_headers[i];
        if (slice_is_null(h->value) || is_field(e, h, created_at)) {
            continue;
        }
        size_t from = c->texts.len;
        buf_add_slice(&c->texts, prefix);
        buf_add_slice(&c->texts, h->name);
        add(c, (struct slice){c->texts.data + from, c->texts.len - from});
        add(c, h->value);
    }
}

/* The server would end the connection. */
static int check_sizes(const struct redis *r, struct error *err)
{
    const struct redis_command *c = &r->command;
    for (size_t i = 0; i < c->count; i++) {
        if (c->lens[i] > r->link.argument_max) {
            return error_set(
                err, ERROR_POISON, "redis",
                "a field of the event has %zu bytes, and %s takes %zu (proto-max-bulk-len); raise it there, or make the event smaller",
                c->lens[i], redis_link_server(&r->link), r->link.argument_max);
        }
    }
    return RESULT_DONE;
}

int redis_command_make(struct redis *r, const struct event *e, struct error *err)
{
    struct redis_command *c = &r->command;
    c->count = 0;
    if (name_template_make(r->stream, e, &c->made, &c->name, err)) {
        return RESULT_ERROR;
    }
    if (r->conf->mode == REDIS_PUBSUB) {
        add_field(c, "PUBLISH", c->name);
        add(c, slice_is_null(e->value) ? (struct slice){"", 0} : e->value);
        return check_sizes(r, err);
    }
    add_field(c, "XADD", c->name);
    if (r->conf->maxlen > 0) {
        snprintf(c->maxlen, sizeof c->maxlen, "%lld", (long long)r->conf->maxlen);
        add_field(c, "MAXLEN", (struct slice)SLICE_LITERAL("~"));
        add(c, slice_from(c->maxlen));
    }
    struct slice created_at = event_created_at(e, c->time);
    add(c, (struct slice)SLICE_LITERAL("*"));
    add_field(c, "id", e->id);
    add_field(c, "type", e->type);
    add_field(c, "key", e->key);
    add_field(c, "payload", e->value);
    add_field(c, "created_at", created_at);
    add_field(c, "position", e->position);
    add_headers(c, e, created_at);
    return check_sizes(r, err);
}
