/* Requests on libmicrohttpd. A request that is held, or a stream that has nothing to send, is
 * suspended: the library then neither polls its connection nor ends it after IDLE_SECONDS. So
 * nothing spins. That the client of a stream has vanished is noticed at the next text that is sent;
 * the connections of requests that are held are looked at. */
#include "daemon/admin_request.h"

#include "base/clock.h"
#include "base/memory.h"
#include "daemon/admin_exchange.h"
#include <poll.h>
#include <stdlib.h>
#include <string.h>

/* How long a question may go on for a client that has gone. */
static const int64_t LOOK_US = US_PER_SECOND;

struct admin_text {
    size_t users;
    struct buf text;
};

struct exchange {
    struct admin_request request; /* first: a pointer to it is one to the exchange */
    struct MHD_Connection *connection;
    struct exchanges *all;
    struct exchange *next, **to_this; /* of `all` */
    struct buf received;
    struct buf answer;
    unsigned status;
    const char *type, *policy;
    enum { UNASKED, WANTED, UNWANTED } body;
    bool too_long; /* the body */
    bool taken, held, asleep, answered, streams, cut;
    struct admin_text *sending; /* NULL: nothing */
    size_t sent;                /* bytes of it */
};

static struct exchange *of(struct admin_request *r)
{
    return (struct exchange *)(void *)r;
}

static const char *header(struct MHD_Connection *c, const char *name)
{
    return MHD_lookup_connection_value(c, MHD_HEADER_KIND, name);
}

struct exchange *exchange_new(struct exchanges *all, struct MHD_Connection *c, const char *path,
                              const char *method)
{
    struct exchange *e = memory_need(calloc(1, sizeof *e));
    e->connection = c;
    e->all = all;
    e->request = (struct admin_request){.method = method,
                                        .path = path,
                                        .host = header(c, MHD_HTTP_HEADER_HOST),
                                        .origin = header(c, MHD_HTTP_HEADER_ORIGIN),
                                        .fetch_site = header(c, "Sec-Fetch-Site"),
                                        .type = header(c, MHD_HTTP_HEADER_CONTENT_TYPE),
                                        .authorization = header(c, MHD_HTTP_HEADER_AUTHORIZATION)};
    e->next = all->first;
    e->to_this = &all->first;
    if (e->next) {
        e->next->to_this = &e->next;
    }
    all->first = e;
    return e;
}

struct admin_request *exchange_request(struct exchange *e)
{
    return &e->request;
}

/* --- what the site calls --- */

const char *admin_request_argument(const struct admin_request *r, const char *name)
{
    const struct exchange *e = (const struct exchange *)(const void *)r;
    const char *value = MHD_lookup_connection_value(e->connection, MHD_GET_ARGUMENT_KIND, name);
    return value ? value : "";
}

static void wake(struct exchange *e)
{
    if (e->asleep) {
        e->asleep = false;
        e->all->woken = true;
        MHD_resume_connection(e->connection);
    }
}

void admin_request_answer(struct admin_request *r, const struct admin_reply_text *reply)
{
    struct exchange *e = of(r);
    e->status = reply->status;
    e->type = reply->type;
    e->policy = reply->policy;
    buf_clear(&e->answer);
    buf_add_slice(&e->answer, reply->body);
    e->answered = true;
    wake(e);
}

void admin_request_hold(struct admin_request *r)
{
    of(r)->held = true;
}

void admin_request_stream(struct admin_request *r)
{
    of(r)->streams = true;
}

struct admin_text *admin_text_new(struct buf *take)
{
    struct admin_text *t = memory_need(calloc(1, sizeof *t));
    *t = (struct admin_text){1, *take};
    *take = (struct buf){0};
    return t;
}

void admin_text_drop(struct admin_text *t)
{
    if (t && --t->users == 0) {
        buf_release(&t->text);
        free(t);
    }
}

bool admin_request_push(struct admin_request *r, struct admin_text *text)
{
    struct exchange *e = of(r);
    if (e->sending) {
        wake(e); /* it may be the connection's end that is not noticed yet */
        return false;
    }
    text->users++;
    e->sending = text;
    e->sent = 0;
    wake(e);
    return true;
}

/* --- what the library calls --- */

static void add_headers(struct MHD_Response *r, const char *type, const char *policy)
{
    MHD_add_response_header(r, MHD_HTTP_HEADER_CONTENT_TYPE, type);
    MHD_add_response_header(r, MHD_HTTP_HEADER_CACHE_CONTROL, "no-store");
    MHD_add_response_header(r, "Content-Security-Policy",
                            policy ? policy : "default-src 'none'; frame-ancestors 'none'");
    MHD_add_response_header(r, "X-Content-Type-Options", "nosniff");
    MHD_add_response_header(r, "X-Frame-Options", "DENY");
    MHD_add_response_header(r, "Referrer-Policy", "no-referrer");
    MHD_add_response_header(r, "Cross-Origin-Resource-Policy", "same-origin");
}

static enum MHD_Result queue(struct exchange *e, unsigned status, struct MHD_Response *r)
{
    if (!r) {
        return MHD_NO;
    }
    enum MHD_Result rc = MHD_queue_response(e->connection, status, r);
    MHD_destroy_response(r);
    return rc;
}

static enum MHD_Result send_answer(struct exchange *e)
{
    struct slice body = buf_slice(&e->answer);
    struct MHD_Response *r = MHD_create_response_from_buffer(body.len, (void *)(uintptr_t)body.ptr,
                                                             MHD_RESPMEM_MUST_COPY);
    if (r) {
        add_headers(r, e->type, e->policy);
    }
    return queue(e, e->status, r);
}

/* The next piece of a stream; 0: there is none yet. */
static ssize_t read_stream(void *cls, uint64_t pos UNUSED, char *out, size_t max)
{
    struct exchange *e = cls;
    if (e->cut) {
        return MHD_CONTENT_READER_END_WITH_ERROR;
    }
    if (!e->sending) {
        e->asleep = true;
        MHD_suspend_connection(e->connection);
        return 0;
    }
    struct slice all = buf_slice(&e->sending->text);
    size_t n = all.len - e->sent < max ? all.len - e->sent : max;
    memcpy(out, all.ptr + e->sent, n);
    e->sent += n;
    if (e->sent == all.len) {
        admin_text_drop(e->sending);
        e->sending = NULL;
    }
    return (ssize_t)n;
}

static enum MHD_Result send_stream(struct exchange *e)
{
    enum { PIECE = 8192 };
    struct MHD_Response *r =
        MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, PIECE, read_stream, e, NULL);
    if (r) {
        add_headers(r, "text/event-stream", NULL);
        MHD_add_response_header(r, "X-Accel-Buffering", "no"); /* a proxy must not wait */
    }
    return queue(e, MHD_HTTP_OK, r);
}

static void collect(struct exchange *e, struct slice piece)
{
    if (e->received.len + piece.len > ADMIN_BODY_MAX) {
        e->too_long = true;
        buf_release(&e->received);
    } else if (!e->too_long) {
        buf_add_slice(&e->received, piece);
    }
}

/* Called with a piece of the body, at its end, and again when a held request was answered. */
enum MHD_Result exchange_go_on(struct exchange *e, const char *data, size_t *size,
                               const struct admin_site *site, void *ctx)
{
    if (*size > 0) {
        if (e->body == UNASKED) {
            e->body = site->wants(ctx, &e->request) ? WANTED : UNWANTED;
        }
        if (e->body == WANTED) {
            collect(e, (struct slice){data, *size});
        }
        *size = 0;
        return MHD_YES;
    }
    if (e->cut) {
        return MHD_NO;
    }
    if (!e->taken) {
        e->taken = true;
        e->request.body = buf_slice(&e->received);
        if (e->too_long) {
            const struct admin_reply_text reply = {
                MHD_HTTP_CONTENT_TOO_LARGE, "application/json", NULL,
                SLICE_LITERAL(
                    "{\"error\":\"the body has more than 1 MiB: edit this dead letter with "
                    "`commitrelay dead-letters edit --payload-file`\"}\n")};
            admin_request_answer(&e->request, &reply);
        } else {
            site->take(ctx, &e->request);
        }
    }
    if (e->answered) {
        return send_answer(e);
    }
    if (e->streams) {
        return send_stream(e);
    }
    e->asleep = true;
    e->all->look_at_us = e->all->look_at_us ? e->all->look_at_us : clock_mono_us() + LOOK_US;
    MHD_suspend_connection(e->connection);
    return MHD_YES;
}

void exchange_end(struct exchange *e, const struct admin_site *site, void *ctx)
{
    if (e->held || e->streams) {
        site->gone(ctx, &e->request);
    }
    admin_text_drop(e->sending);
    buf_release(&e->received);
    buf_release(&e->answer);
    *e->to_this = e->next;
    if (e->next) {
        e->next->to_this = e->to_this;
    }
    free(e);
}

void exchanges_cut(struct exchanges *all, const struct MHD_Connection *c)
{
    for (struct exchange *e = all->first; e; e = e->next) {
        if (e->connection == c) {
            e->cut = true;
            wake(e);
        }
    }
}

/* One that only says that it sends no more counts as gone, as it does for the library. */
static bool hung_up(struct MHD_Connection *c)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(c, MHD_CONNECTION_INFO_CONNECTION_FD);
    struct pollfd p = {.fd = info ? info->connect_fd : -1, .events = POLLRDHUP};
    return poll(&p, 1, 0) > 0;
}

void exchanges_look(struct exchanges *all)
{
    bool any = false;
    if (!all->look_at_us || clock_mono_us() < all->look_at_us) {
        return;
    }
    for (struct exchange *e = all->first; e; e = e->next) {
        if (!e->held || !e->asleep) {
            continue;
        }
        any = true;
        if (hung_up(e->connection)) {
            e->cut = true;
            wake(e);
        }
    }
    all->look_at_us = any ? clock_mono_us() + LOOK_US : 0;
}

void exchanges_wake(struct exchanges *all)
{
    for (struct exchange *e = all->first; e; e = e->next) {
        wake(e);
    }
}
