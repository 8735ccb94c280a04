/*
 * Events as NATS messages (message.h).
 */
#include "sink/nats/message.h"

#include "base/buf.h"
#include "base/memory.h"
#include "sink/nats/subject.h"

#include <limits.h>
#include <strings.h>

#define CE_KAFKA "ce_"
#define CE_NATS "ce-"

/* What a message's headers cost on the wire beside their names and values. */
enum { HEADERS_OVERHEAD = 12 /* NATS/1.0 and two line ends */, HEADER_OVERHEAD = 4 };

/* A message in the making. */
struct draft {
    natsMsg *msg;
    size_t header_bytes;
    struct buf name, value; /* with a NUL, as libnats wants them */
};

static bool is_name(struct slice name)
{
    for (size_t i = 0; i < name.len; i++) {
        if (name.ptr[i] <= ' ' || name.ptr[i] > '~' || name.ptr[i] == ':') {
            return false;
        }
    }
    return name.len > 0;
}

static bool is_line(struct slice value)
{
    return value.len == 0 ||
           (!memchr(value.ptr, '\r', value.len) && !memchr(value.ptr, '\n', value.len) &&
            !memchr(value.ptr, '\0', value.len));
}

static int add(struct draft *d, const char *name, const char *value)
{
    d->header_bytes += strlen(name) + strlen(value) + HEADER_OVERHEAD;
    memory_need(natsMsgHeader_Add(d->msg, name, value) == NATS_NO_MEMORY ? NULL : d);
    return RESULT_DONE;
}

/* As the HTTP and NATS bindings of CloudEvents have it: blanks, quotes, percent signs and what is
 * not printable ASCII as %XX. */
static void add_percent(struct buf *out, struct slice value)
{
    for (size_t i = 0; i < value.len; i++) {
        unsigned char c = (unsigned char)value.ptr[i];
        if (c <= ' ' || c > '~' || c == '"' || c == '%') {
            buf_printf(out, "%%%02X", c);
        } else {
            buf_add_char(out, (char)c);
        }
    }
}

static int add_header(struct draft *d, const struct header *h, bool cloudevent, struct error *err)
{
    bool attribute = cloudevent && h->name.len > sizeof CE_KAFKA - 1 &&
                     memcmp(h->name.ptr, CE_KAFKA, sizeof CE_KAFKA - 1) == 0;
    int shown = (int)(h->name.len < 100 ? h->name.len : 100);
    if (!is_name(h->name)) {
        return error_set(
            err, ERROR_POISON, "nats",
            "header \"%.*s\": NATS takes no such name (printable ASCII without \":\"); "
            "rename it in the headers column or in encode.headers",
            shown, h->name.ptr);
    }
    if (h->name.len >= 5 && strncasecmp(h->name.ptr, "Nats-", 5) == 0) {
        return error_set(err, ERROR_POISON, "nats",
                         "header \"%.*s\": names with Nats- in front are orders to the server; "
                         "rename it in the headers column or in encode.headers",
                         shown, h->name.ptr);
    }
    if (!is_line(h->value)) {
        return error_set(err, ERROR_POISON, "nats",
                         "header \"%.*s\": its value has a line end or a NUL, and a NATS header is "
                         "one line; mend the value, or leave the header away",
                         shown, h->name.ptr);
    }
    buf_clear(&d->name);
    buf_clear(&d->value);
    buf_add_slice(&d->name, h->name);
    buf_add_char(&d->name, '\0');
    if (attribute) {
        memcpy(d->name.data, CE_NATS, sizeof CE_NATS - 1);
        add_percent(&d->value, h->value);
    } else {
        buf_add_slice(&d->value, h->value);
    }
    buf_add_char(&d->value, '\0');
    return add(d, d->name.data, d->value.data);
}

/* Only the encoder of CloudEvents makes this header. */
static bool is_cloudevent(const struct event *e)
{
    for (size_t i = 0; i < e->out_headers_count; i++) {
        if (slice_equal_str(e->out_headers[i].name, CE_KAFKA "specversion")) {
            return true;
        }
    }
    return false;
}

static int add_headers(struct draft *d, const struct nats_target *to, const struct event *e,
                       struct error *err)
{
    bool cloudevent = is_cloudevent(e);
    if (e->id.len == 0 || !is_line(e->id)) {
        return error_set(err, ERROR_POISON, "nats",
                         "the event's id is empty or has a line end, and cannot be its "
                         "Nats-Msg-Id; mend the id column");
    }
    if (to->apart) {
        event_sending_id(e, &d->value);
    } else {
        buf_add_slice(&d->value, e->id);
        d->header_bytes += slice_is_null(e->again) ? 0 : e->again.len + 1; /* it will fit apart */
    }
    buf_add_char(&d->value, '\0');
    add(d, "Nats-Msg-Id", d->value.data);
    if (*to->expect_stream) {
        add(d, "Nats-Expected-Stream", to->expect_stream);
    }
    for (size_t i = 0; i < e->out_headers_count; i++) {
        if (add_header(d, &e->out_headers[i], cloudevent, err)) {
            return RESULT_ERROR;
        }
    }
    return RESULT_DONE;
}

static int check_size(const struct draft *d, const struct nats_target *to, const struct event *e,
                      struct error *err)
{
    size_t all = HEADERS_OVERHEAD + d->header_bytes + e->value.len;
    if (to->max_payload > 0 && all > (size_t)to->max_payload) {
        return error_set(err, ERROR_POISON, "nats",
                         "the event has %zu bytes with its headers, and the server takes %lld "
                         "(max_payload); raise max_payload in the server's configuration, or make "
                         "the event smaller",
                         all, (long long)to->max_payload);
    }
    return RESULT_DONE;
}

int nats_message(const struct nats_target *to, const struct event *e, const char *reply,
                 natsMsg **ret, struct error *err)
{
    char subject[SUBJECT_SIZE];
    struct draft d = {0};
    if (subject_of(to->subject, e, subject, err)) {
        return RESULT_ERROR;
    }
    if (e->value.len > INT_MAX) {
        return error_set(err, ERROR_POISON, "nats",
                         "the event has %zu bytes, more than NATS can carry", e->value.len);
    }
    natsStatus s =
        natsMsg_Create(&d.msg, subject, reply, e->value.len ? e->value.ptr : "", (int)e->value.len);
    memory_need(s == NATS_OK ? d.msg : NULL); /* nothing else can fail there */
    int rc = add_headers(&d, to, e, err);
    rc = rc ? rc : check_size(&d, to, e, err);
    buf_release(&d.name);
    buf_release(&d.value);
    if (rc) {
        natsMsg_Destroy(d.msg);
        return RESULT_ERROR;
    }
    *ret = d.msg;
    return RESULT_DONE;
}
