/*
 * Makes AMQP messages of events. CloudEvents in binary mode come from encode in Kafka's form
 * (headers ce_id, content-type) and leave in AMQP's: cloudEvents_id, and the property content_type.
 */
#include "sink/rabbitmq/message.h"

#include "base/memory.h"
#include "base/utf8.h"
#include "sink/kit/content.h"

#define CE_AMQP "cloudEvents_"

enum { SHORT_MAX = 255 };

static amqp_bytes_t bytes_of(struct slice s)
{
    return (amqp_bytes_t){.len = s.len, .bytes = (void *)(uintptr_t)s.ptr};
}

static int too_long(const char *what, size_t len, struct error *err)
{
    return error_set(err, ERROR_POISON, "rabbitmq",
                     "%s has %zu bytes and AMQP takes at most %d; shorten the column's value", what,
                     len, SHORT_MAX);
}

/* Names are short strings of AMQP: UTF-8 without a NUL. */
static int check_name(const char *what, struct slice name, struct error *err)
{
    if (name.len > SHORT_MAX) {
        return too_long(what, name.len, err);
    }
    if (!utf8_valid(name) || (name.len > 0 && memchr(name.ptr, 0, name.len))) {
        return error_set(err, ERROR_POISON, "rabbitmq",
                         "%s is no text in UTF-8, as AMQP asks for; mend the column's value", what);
    }
    return RESULT_DONE;
}

static int check_lengths(const struct rabbit_entry *e, struct error *err)
{
    if (e->id.len > SHORT_MAX) {
        return too_long("the event's id", e->id.len, err);
    }
    if (e->type.len > SHORT_MAX) {
        return too_long("the event's type", e->type.len, err);
    }
    if (e->content_type.len > SHORT_MAX) {
        return too_long("the header content-type", e->content_type.len, err);
    }
    size_t more = content_is_cloud_event(e->headers, e->headers_count)
                      ? sizeof CE_AMQP - sizeof CONTENT_CE
                      : 0;
    for (size_t i = 0; i < e->headers_count; i++) {
        if (e->headers[i].name.len + more > SHORT_MAX) {
            return too_long("the name of a header", e->headers[i].name.len, err);
        }
    }
    return check_name("the exchange", e->exchange, err) ||
                   check_name("the routing key", e->routing_key, err)
               ? RESULT_ERROR
               : RESULT_DONE;
}

/* What the frame with properties and headers takes at most: 64 bytes are more than all of its
 * fixed parts. */
static size_t head_bytes(const struct rabbit_entry *e)
{
    size_t n = 64 + e->id.len + e->type.len + e->content_type.len;
    for (size_t i = 0; i < e->headers_count; i++) {
        n += 6 + sizeof CE_AMQP + e->headers[i].name.len + e->headers[i].value.len;
    }
    return n;
}

/* Puts a name that lies in scratch memory into the entry's own. */
static char *keep(struct slice *name, char *to)
{
    memcpy(to, name->ptr, name->len);
    name->ptr = to;
    return to + name->len;
}

/* Makes sure that both names live as long as the entry. */
static void keep_names(const struct rabbit_naming *n, struct rabbit_entry *e)
{
    bool made = e->exchange.ptr == n->scratch[0].data && e->exchange.len > 0;
    bool made_key = e->routing_key.ptr == n->scratch[1].data && e->routing_key.len > 0;
    if (made || made_key) {
        char *to = e->own = memory_need(malloc(e->exchange.len + e->routing_key.len));
        to = made ? keep(&e->exchange, to) : to;
        if (made_key) {
            keep(&e->routing_key, to);
        }
    }
}

int rabbit_entry_make(struct rabbit_naming *n, const struct event *e, size_t frame_max,
                      struct rabbit_entry *ret, struct error *err)
{
    *ret = (struct rabbit_entry){.id = e->id,
                                 .type = e->type,
                                 .content_type = content_type(e),
                                 .value = e->value,
                                 .headers = e->out_headers,
                                 .headers_count = e->out_headers_count,
                                 .created_at_us = e->created_at_us};
    if (name_template_make(n->exchange, e, &n->scratch[0], &ret->exchange, err) ||
        name_template_make(n->routing_key, e, &n->scratch[1], &ret->routing_key, err) ||
        check_lengths(ret, err)) {
        return RESULT_ERROR;
    }
    ret->head_bytes = head_bytes(ret);
    if (ret->head_bytes > frame_max) {
        return error_set(
            err, ERROR_POISON, "rabbitmq",
            "the headers of the event take %zu bytes and the broker's frame_max is %zu; shorten them, or raise frame_max in the broker",
            ret->head_bytes, frame_max);
    }
    keep_names(n, ret);
    return RESULT_DONE;
}

void rabbit_entry_clear(struct rabbit_entry *e)
{
    free(e->own);
    e->own = NULL;
}

static amqp_field_value_t field_of(struct slice value)
{
    if (slice_is_null(value)) {
        return (amqp_field_value_t){.kind = AMQP_FIELD_KIND_VOID};
    }
    return (amqp_field_value_t){.kind = AMQP_FIELD_KIND_UTF8, .value.bytes = bytes_of(value)};
}

/* The header's name as AMQP has it. The buffer has room for all names, so it does not move. */
static struct slice renamed(struct slice name, struct buf *names)
{
    size_t first = names->len;
    buf_add_str(names, CE_AMQP);
    buf_add(names, name.ptr + sizeof CONTENT_CE - 1, name.len - (sizeof CONTENT_CE - 1));
    return (struct slice){names->data + first, names->len - first};
}

static amqp_table_t headers_of(const struct rabbit_entry *e, struct rabbit_scratch *s)
{
    bool cloud = content_is_cloud_event(e->headers, e->headers_count);
    size_t n = 0;
    if (s->cap < e->headers_count) {
        free(s->entries);
        s->cap = e->headers_count;
        s->entries = memory_need(calloc(s->cap, sizeof *s->entries));
    }
    buf_clear(&s->names);
    if (cloud) {
        buf_reserve(&s->names, e->head_bytes);
    }
    for (size_t i = 0; i < e->headers_count; i++) {
        const struct header *h = &e->headers[i];
        if (!content_is_type(h->name)) {
            struct slice name =
                cloud && content_is_attribute(h->name) ? renamed(h->name, &s->names) : h->name;
            s->entries[n++] = (amqp_table_entry_t){bytes_of(name), field_of(h->value)};
        }
    }
    return (amqp_table_t){(int)n, s->entries};
}

amqp_basic_properties_t rabbit_properties(const struct rabbit_entry *e, bool persistent,
                                          struct rabbit_scratch *s)
{
    amqp_basic_properties_t p = {
        ._flags = AMQP_BASIC_DELIVERY_MODE_FLAG | AMQP_BASIC_MESSAGE_ID_FLAG |
                  AMQP_BASIC_APP_ID_FLAG | AMQP_BASIC_HEADERS_FLAG,
        .delivery_mode = persistent ? AMQP_DELIVERY_PERSISTENT : AMQP_DELIVERY_NONPERSISTENT,
        .message_id = bytes_of(e->id),
        .app_id = amqp_cstring_bytes("commitrelay"),
        .headers = headers_of(e, s),
    };
    if (!slice_is_null(e->type)) {
        p._flags |= AMQP_BASIC_TYPE_FLAG;
        p.type = bytes_of(e->type);
    }
    if (!slice_is_null(e->content_type)) {
        p._flags |= AMQP_BASIC_CONTENT_TYPE_FLAG;
        p.content_type = bytes_of(e->content_type);
    }
    if (e->created_at_us >= 0) { /* AMQP counts seconds since 1970 */
        p._flags |= AMQP_BASIC_TIMESTAMP_FLAG;
        p.timestamp = (uint64_t)(e->created_at_us / US_PER_SECOND);
    }
    return p;
}

void rabbit_scratch_release(struct rabbit_scratch *s)
{
    free(s->entries);
    buf_release(&s->names);
}
