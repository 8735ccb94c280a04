/*
 * Makes AMQP 1.0 messages of events (message.h).
 */
#include "sink/amqp/message.h"

#include "base/memory.h"
#include "base/utf8.h"
#include "sink/kit/content.h"

#include <proton/codec.h>
#include <stdlib.h>
#include <string.h>

#define CE_AMQP "cloudEvents_"
#define DUPLICATE_ID "_AMQ_DUPL_ID"

enum { KEPT_BYTES = 1 << 20 };

void amqp_maker_init(struct amqp_maker *m)
{
    *m = (struct amqp_maker){.message = memory_need(pn_message())};
}

void amqp_maker_release(struct amqp_maker *m)
{
    pn_message_free(m->message);
    buf_release(&m->text);
    free(m->out.start);
    *m = (struct amqp_maker){0};
}

static pn_bytes_t bytes_of(struct slice s)
{
    return pn_bytes(s.len, s.ptr ? s.ptr : "");
}

static bool begins(struct slice text, const char *with)
{
    size_t n = strlen(with);
    return text.len >= n && memcmp(text.ptr, with, n) == 0;
}

/* Proton takes properties as C strings, and cuts them at a NUL. */
static int check_text(const char *what, struct slice text, struct error *err)
{
    if (!utf8_valid(text) || (text.len > 0 && memchr(text.ptr, 0, text.len))) {
        return error_set(err, ERROR_POISON, "amqp",
                         "%s is no text in UTF-8, as AMQP asks for; mend the column's value", what);
    }
    return RESULT_DONE;
}

static int check_texts(const struct event *e, struct error *err)
{
    if (e->id.len == 0) {
        return error_set(err, ERROR_POISON, "amqp",
                         "the event has no id, which would be its message-id; fill the id column");
    }
    if (check_text("the event's id", e->id, err) || check_text("the event's type", e->type, err) ||
        check_text("the event's key", e->key, err)) {
        return RESULT_ERROR;
    }
    for (size_t i = 0; i < e->out_headers_count; i++) {
        struct slice name = e->out_headers[i].name;
        if (check_text("the name of a header", name, err)) {
            return RESULT_ERROR;
        }
        if (begins(name, "_AMQ_") || begins(name, "AMQ_")) {
            return error_set(err, ERROR_POISON, "amqp",
                             "the header %.*s would be an order to the broker; give it another "
                             "name",
                             SLICE_FMT(name));
        }
    }
    return RESULT_DONE;
}

/* A C string, until the next one is asked for. */
static const char *c_text(struct amqp_maker *m, struct slice text)
{
    buf_clear(&m->text);
    buf_add_slice(&m->text, text);
    buf_add_char(&m->text, '\0');
    return m->text.data;
}

static void add_value(pn_data_t *to, struct slice value)
{
    if (slice_is_null(value)) {
        pn_data_put_null(to);
    } else if (utf8_valid(value)) {
        pn_data_put_string(to, bytes_of(value));
    } else {
        pn_data_put_binary(to, bytes_of(value));
    }
}

/* Names in a map are unique: of two headers with the same name the later one counts. */
static bool comes_again(const struct event *e, size_t i)
{
    for (size_t j = i + 1; j < e->out_headers_count; j++) {
        if (slice_equal(e->out_headers[i].name, e->out_headers[j].name)) {
            return true;
        }
    }
    return false;
}

static void add_headers(struct amqp_maker *m, const struct event *e)
{
    pn_data_t *to = pn_message_properties(m->message);
    bool cloud = content_is_cloud_event(e->out_headers, e->out_headers_count);
    pn_data_put_map(to);
    pn_data_enter(to);
    pn_data_put_string(to, pn_bytes(sizeof DUPLICATE_ID - 1, DUPLICATE_ID));
    buf_clear(&m->text);
    event_sending_id(e, &m->text);
    pn_data_put_string(to, bytes_of(buf_slice(&m->text)));
    for (size_t i = 0; i < e->out_headers_count; i++) {
        struct slice name = e->out_headers[i].name;
        if (content_is_type(name) || comes_again(e, i)) {
            continue;
        }
        if (cloud && content_is_attribute(name)) {
            buf_clear(&m->text);
            buf_add_str(&m->text, CE_AMQP);
            buf_add(&m->text, name.ptr + sizeof CONTENT_CE - 1, name.len - (sizeof CONTENT_CE - 1));
            name = buf_slice(&m->text);
        }
        pn_data_put_string(to, bytes_of(name));
        add_value(to, e->out_headers[i].value);
    }
    pn_data_exit(to);
}

static void set_properties(struct amqp_maker *m, const char *address, const struct event *e)
{
    struct slice type = content_type(e);
    pn_data_put_string(pn_message_id(m->message), bytes_of(e->id));
    pn_message_set_address(m->message, address);
    if (!slice_is_null(e->type)) {
        pn_message_set_subject(m->message, c_text(m, e->type));
    }
    if (!slice_is_null(e->key)) {
        pn_message_set_group_id(m->message, c_text(m, e->key));
    }
    if (!slice_is_null(type)) {
        pn_message_set_content_type(m->message, c_text(m, type));
    }
    if (e->created_at_us >= 0) {
        pn_message_set_creation_time(m->message, e->created_at_us / US_PER_MS);
    }
}

int amqp_message_make(struct amqp_maker *m, const char *address, bool durable,
                      const struct event *e, struct slice *ret, struct error *err)
{
    if (check_texts(e, err)) {
        return RESULT_ERROR;
    }
    pn_message_clear(m->message);
    pn_message_set_durable(m->message, durable);
    set_properties(m, address, e);
    add_headers(m, e);
    pn_message_set_inferred(m->message, !slice_is_null(e->value)); /* the body is a data section */
    if (slice_is_null(e->value)) {
        pn_data_put_null(pn_message_body(m->message));
    } else {
        pn_data_put_binary(pn_message_body(m->message), bytes_of(e->value));
    }
    if (m->out.size > KEPT_BYTES) { /* one large message does not stay in memory for good */
        free(m->out.start);
        m->out = (pn_rwbytes_t){0};
    }
    ssize_t n = pn_message_encode2(m->message, &m->out);
    if (n < 0) {
        return error_set(err, ERROR_POISON, "amqp", "the event cannot be encoded: %s",
                         pn_error_text(pn_message_error(m->message)));
    }
    *ret = (struct slice){m->out.start, (size_t)n};
    return RESULT_DONE;
}
