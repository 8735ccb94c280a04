/*
 * What becomes of the events of a request: delivered, sent again, refused, or the sink has failed.
 */
#include "sink/http/internal.h"

#include "base/fnv1a.h"
#include "base/shown.h"
#include "sink/http/status.h"

#include <string.h>

enum { PROXY_LOGIN = 407 };

/* --- texts --- */

static const char *words_of(const struct http_call *c, CURLcode code)
{
    return c->why[0] ? c->why : curl_easy_strerror(code);
}

/* The server has ended the handshake because of the relay's own certificate. With TLS 1.3 it says
 * so behind the handshake, where its word may be lost. */
static bool wants_certificate(const char *why)
{
    static const char *const alerts[] = {"certificate required", "alert bad certificate",
                                         "alert unknown ca", "alert certificate",
                                         "alert handshake failure"};
    for (size_t i = 0; i < sizeof alerts / sizeof *alerts; i++) {
        if (strstr(why, alerts[i])) {
            return true;
        }
    }
    return false;
}

static const struct reason {
    CURLcode code;
    enum error_class class;
    const char *remedy;
} reasons[] = {
    {CURLE_COULDNT_RESOLVE_HOST, ERROR_RETRY, "correct the host in sink.url or the name service"},
    {CURLE_COULDNT_RESOLVE_PROXY, ERROR_RETRY, "correct the proxy in the environment"},
    {CURLE_COULDNT_CONNECT, ERROR_RETRY, "nobody listens there, or a firewall is between"},
    {CURLE_OPERATION_TIMEDOUT, ERROR_RETRY,
     "sent again; a receiver that needs longer needs a longer sink.timeout"},
    {CURLE_PEER_FAILED_VERIFICATION, ERROR_CONFIG,
     "correct sink.tls.ca_file or sink.tls.server_name, or the server's certificate"},
    {CURLE_SSL_CACERT_BADFILE, ERROR_CONFIG, "sink.tls.ca_file must hold certificates in PEM"},
    {CURLE_SSL_CERTPROBLEM, ERROR_CONFIG,
     "correct sink.tls.cert_file and sink.tls.key_file: PEM, and of one pair"},
    {CURLE_SSL_CONNECT_ERROR, ERROR_RETRY,
     "does the server speak TLS there, and does it want a certificate of the relay "
     "(sink.tls.cert_file)?"},
    {CURLE_URL_MALFORMAT, ERROR_CONFIG, "correct sink.url"},
};

static const struct reason *reason_of(CURLcode code, const char *why, bool tls)
{
    static const struct reason hung_up = {
        CURLE_OK, ERROR_RETRY,
        "sent again; a server that wants a certificate of the relay may hang up like this: see sink.tls.cert_file"};
    static const struct reason other = {CURLE_OK, ERROR_RETRY, "sent again"};
    static const struct reason unknown = {
        CURLE_OK, ERROR_CONFIG,
        "the server wants a certificate of the relay that it trusts: correct sink.tls.cert_file and sink.tls.key_file"};
    bool cut = code == CURLE_RECV_ERROR || code == CURLE_SEND_ERROR || code == CURLE_GOT_NOTHING;
    if ((cut || code == CURLE_SSL_CONNECT_ERROR) && wants_certificate(why)) {
        return &unknown;
    }
    if (cut && tls) {
        return &hung_up;
    }
    for (size_t i = 0; i < sizeof reasons / sizeof *reasons; i++) {
        if (reasons[i].code == code) {
            return &reasons[i];
        }
    }
    return &other;
}

static void request_line(const struct http_call *c, struct buf *out)
{
    buf_add_str(out, http_methods[c->sink->conf->method]);
    buf_add_char(out, ' ');
    http_shown_url(out, buf_str(&c->url));
}

/* The address was refused. Where a row has named the host, this is the fault of the event. */
static void refused_address(const struct http_call *c, struct error *err)
{
    CLEANUP(buf_release) struct buf line = {0};
    bool of_row = c->sink->plan.targets[c->target].url.host_varies;
    request_line(c, &line);
    error_set(err, of_row ? ERROR_POISON : ERROR_CONFIG, "http",
              "%.300s: the host's address %s is private, and sink.allow_private is false; %s",
              buf_str(&line), c->address,
              of_row ? "mend the row, or set allow_private: true if rows may name such hosts"
                     : "set allow_private: true if the receiver is meant to be there");
}

void http_no_answer(const struct http_call *c, CURLcode code, struct error *err)
{
    CLEANUP(buf_release) struct buf line = {0};
    if (c->refused && code == CURLE_COULDNT_CONNECT) {
        refused_address(c, err);
        return;
    }
    const char *why = words_of(c, code);
    const struct reason *r = reason_of(code, why, c->sink->plan.targets[c->target].url.tls);
    request_line(c, &line);
    error_set(err, r->class, "http", "%.300s: %.300s; %s", buf_str(&line), why, r->remedy);
}

/* 407 is a proxy's own word, and no event is to blame for it. */
static bool proxy_refuses(const struct http_call *c, long status, struct error *err)
{
    CLEANUP(buf_release) struct buf line = {0};
    if (status != PROXY_LOGIN || !c->sink->plan.proxied) {
        return false;
    }
    request_line(c, &line);
    error_exit(
        err, ERROR_CONFIG, EXIT_CODE_PERMISSION, "http",
        "%.300s: status 407: the proxy wants a login; give it one in the variable that names the proxy (http://USER:PASSWORD@HOST:PORT), or let it pass the relay without",
        buf_str(&line));
    return true;
}

/* The answer's own words come last: they are the first to be cut. */
static void bad_status(const struct http_call *c, long status, enum error_class class,
                       struct error *err)
{
    CLEANUP(buf_release) struct buf line = {0}, words = {0};
    request_line(c, &line);
    if (c->location[0] && status >= 300 && status < 400) {
        buf_add_str(&line, " leads to ");
        http_shown_url(&line, c->location);
    }
    if (c->answer.len > 0) {
        buf_add_str(&words, "; it says: ");
        shown_escape(&words, buf_slice(&c->answer), SHOWN_IN_LINE);
    }
    error_exit(err, class,
               class == ERROR_CONFIG ? http_status_exit_code(status) : EXIT_CODE_GAVE_UP, "http",
               "%.300s: status %ld: %s%s", buf_str(&line), status, http_status_remedy(status),
               buf_str(&words));
}

/* --- what follows --- */

static void delivered(struct http *h, struct http_call *c)
{
    for (size_t i = 0; i < c->count; i++) {
        h->done[h->done_count++] = h->queue.entries[c->entries[i]].token;
    }
    http_queue_done(&h->queue, c->entries, c->count);
    backoff_reset(&h->slow);
    h->faulty = 0;
    h->slowed = false;
}

/* Nothing is lost and nothing overtakes: the events wait in front of their keys. */
static void slowed_down(struct http *h, struct http_call *c, int64_t wait_us,
                        const struct error *why)
{
    int64_t wait = wait_us > 0 ? wait_us : backoff_next(&h->slow);
    int64_t until = clock_mono_us() + wait;
    h->slow_until_us = until > h->slow_until_us ? until : h->slow_until_us;
    h->slow_error = *why;
    h->slowed = true;
    http_queue_give_back(&h->queue, c->entries, c->count, false);
}

/* The pipeline takes a refused event for the first that is open. So what is before it is sent
 * first, and nothing behind it any more. Of a batch nobody knows which event is meant: each is sent
 * alone. */
static void refused(struct http *h, struct http_call *c, const struct error *why)
{
    uint64_t token = h->queue.entries[c->entries[0]].token;
    http_queue_give_back(&h->queue, c->entries, c->count, c->count > 1);
    if (c->count == 1 && token < h->queue.limit) {
        h->queue.limit = token;
        h->poison = *why;
    }
}

/* Counts the URLs in turn that had a fault of the configuration, over all and for this event. Each
 * has had one? */
static bool all_are_faulty(struct http *h, uint64_t event, bool fault)
{
    h->faulty = fault ? h->faulty + 1 : 0;
    if (h->faulty_event == event || fault) {
        h->event_faulty = !fault ? 0 : h->faulty_event == event ? h->event_faulty + 1 : 1;
        h->faulty_event = event;
    }
    return h->faulty >= h->plan.targets_count || h->event_faulty >= h->plan.targets_count;
}

/* The next URL is tried. A fault of the configuration counts as one only when each in turn has had
 * one: another may be well. */
static void failed(struct http *h, struct http_call *c, const struct error *why)
{
    uint64_t event = fnv1a_add(FNV1A_START, h->queue.entries[c->entries[0]].event->id);
    http_queue_give_back(&h->queue, c->entries, c->count, false);
    if (h->failure.class != ERROR_NONE) {
        return;
    }
    h->failure = *why;
    h->target = (c->target + 1) % h->plan.targets_count;
    if (!all_are_faulty(h, event, why->class == ERROR_CONFIG) && why->class == ERROR_CONFIG) {
        h->failure.class = ERROR_RETRY;
        h->failure.exit_code = EXIT_CODE_GAVE_UP;
    }
}

static void took_answer(struct http *h, struct http_call *c, long status)
{
    struct error err;
    int64_t wait = 0;
    bool named = http_retry_after(c->retry_after, clock_wall_us(), &wait);
    enum error_class class = http_status_class(status, named);
    h->answered_us = clock_mono_us();
    if (class == ERROR_NONE) {
        delivered(h, c);
        return;
    }
    if (proxy_refuses(c, status, &err)) {
        failed(h, c, &err);
        return;
    }
    bad_status(c, status, class, &err);
    if (class == ERROR_BUSY) {
        slowed_down(h, c, wait, &err);
    } else if (class == ERROR_POISON) {
        refused(h, c, &err);
    } else {
        failed(h, c, &err);
    }
}

void http_answered(struct http *h, struct http_call *c, CURLcode code)
{
    struct error err;
    long status = 0;
    c->active = false;
    h->active--;
    if (c->count == 0) {
        return; /* `start` has forgotten its events */
    }
    if (code == CURLE_OK) {
        curl_easy_getinfo(c->easy, CURLINFO_RESPONSE_CODE, &status);
        took_answer(h, c, status);
        return;
    }
    curl_easy_getinfo(c->easy, CURLINFO_HTTP_CONNECTCODE, &status);
    if (!proxy_refuses(c, status, &err)) {
        http_no_answer(c, code, &err);
    }
    if (err.class == ERROR_POISON) {
        refused(h, c, &err);
    } else {
        failed(h, c, &err);
    }
}
