/*
 * Requests: which events go together, their body and headers, and the options for libcurl.
 */
#include "sink/http/internal.h"

#include "base/memory.h"
#include "sink/http/address.h"
#include "sink/http/body.h"
#include "sink/http/headers.h"
#include "value/digest.h"

#include <arpa/inet.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>

static bool is_batched(const struct http *h)
{
    return h->conf->batch.events > 1;
}

/* --- callbacks of libcurl --- */

/* Looks at the address itself, when it is connected to: the name may have got another one since it
 * was looked at. */
static curl_socket_t open_socket(void *ctx, curlsocktype purpose, struct curl_sockaddr *a)
{
    struct http_call *c = ctx;
    (void)purpose;
    if (!c->sink->plan.allow_private && http_address_is_private(&a->addr)) {
        const void *bytes =
            a->family == AF_INET6
                ? (const void *)&((const struct sockaddr_in6 *)(const void *)&a->addr)->sin6_addr
                : (const void *)&((const struct sockaddr_in *)(const void *)&a->addr)->sin_addr;
        c->refused = true;
        if (!inet_ntop(a->family, bytes, c->address, sizeof c->address)) {
            c->address[0] = '\0';
        }
        return CURL_SOCKET_BAD;
    }
    return socket(a->family, a->socktype | SOCK_CLOEXEC, a->protocol);
}

/* Keeps the beginning and lets the rest go by. */
static size_t take_body(char *bytes, size_t size, size_t n, void *ctx)
{
    struct http_call *c = ctx;
    size_t room = HTTP_ANSWER_KEPT - c->answer.len;
    (void)size; /* always 1 */
    buf_add(&c->answer, bytes, n < room ? n : room);
    return n;
}

static void take_value(const char *line, size_t n, const char *name, char *out, size_t size)
{
    size_t len = strlen(name);
    if (n <= len || strncasecmp(line, name, len) != 0) {
        return;
    }
    while (len < n && (line[len] == ' ' || line[len] == '\t')) {
        len++;
    }
    while (n > len && strchr(" \t\r\n", line[n - 1])) {
        n--;
    }
    n = n - len < size ? n - len : size - 1;
    memcpy(out, line + len, n);
    out[n] = '\0';
}

static size_t take_header(char *line, size_t size, size_t n, void *ctx)
{
    struct http_call *c = ctx;
    (void)size;
    take_value(line, n, "retry-after:", c->retry_after, sizeof c->retry_after);
    take_value(line, n, "location:", c->location, sizeof c->location);
    return n;
}

/* --- options --- */

static void set_tls(CURL *easy, const struct net_tls *tls)
{
    long verify = tls->verify;
    curl_easy_setopt(easy, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
    curl_easy_setopt(easy, CURLOPT_SSL_VERIFYPEER, verify);
    curl_easy_setopt(easy, CURLOPT_SSL_VERIFYHOST, verify ? 2L : 0L);
    if (*tls->ca_file) {
        curl_easy_setopt(easy, CURLOPT_CAINFO, tls->ca_file);
        curl_easy_setopt(easy, CURLOPT_CAPATH, NULL); /* these authorities and no others */
    }
    if (*tls->cert_file) {
        curl_easy_setopt(easy, CURLOPT_SSLCERT, tls->cert_file);
        curl_easy_setopt(easy, CURLOPT_SSLKEY, tls->key_file);
        curl_easy_setopt(easy, CURLOPT_KEYPASSWD, ""); /* without it OpenSSL asks the terminal */
    }
}

static void set_auth(CURL *easy, const struct http_plan *plan)
{
    if (*plan->bearer) {
        curl_easy_setopt(easy, CURLOPT_HTTPAUTH, CURLAUTH_BEARER);
        curl_easy_setopt(easy, CURLOPT_XOAUTH2_BEARER, plan->bearer);
    } else if (*plan->user) {
        curl_easy_setopt(easy, CURLOPT_HTTPAUTH, CURLAUTH_BASIC);
        curl_easy_setopt(easy, CURLOPT_USERNAME, plan->user);
        curl_easy_setopt(easy, CURLOPT_PASSWORD, plan->password);
    }
}

static long milliseconds(int64_t us)
{
    return (long)((us + US_PER_MS - 1) / US_PER_MS);
}

static void set_fixed(CURL *easy, struct http_call *c)
{
    const struct http_conf *conf = c->sink->conf;
    int64_t timeout = conf->timeout_us < conf->net.stall_timeout_us ? conf->timeout_us
                                                                    : conf->net.stall_timeout_us;
    curl_easy_setopt(easy, CURLOPT_PRIVATE, c);
    curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, c->why);
    curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(easy, CURLOPT_QUICK_EXIT, 1L); /* the end waits for no look-up of a name */
    curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 0L);
    curl_easy_setopt(easy, CURLOPT_PATH_AS_IS, 1L);
    curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_2TLS);
    curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, milliseconds(conf->net.connect_timeout_us));
    curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, milliseconds(timeout));
    curl_easy_setopt(easy, CURLOPT_TCP_KEEPALIVE, 1L);
    curl_easy_setopt(easy, CURLOPT_USERAGENT, "commitrelay/" COMMITRELAY_VERSION);
    curl_easy_setopt(easy, CURLOPT_POST, 1L);
    curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, http_methods[conf->method]);
    curl_easy_setopt(easy, CURLOPT_OPENSOCKETFUNCTION, open_socket);
    curl_easy_setopt(easy, CURLOPT_OPENSOCKETDATA, c);
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, take_body);
    curl_easy_setopt(easy, CURLOPT_WRITEDATA, c);
    curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, take_header);
    curl_easy_setopt(easy, CURLOPT_HEADERDATA, c);
}

void http_call_init(struct http_call *c, struct http *h)
{
    c->sink = h;
    c->entries = memory_need(calloc((size_t)h->conf->batch.events, sizeof *c->entries));
    c->easy = memory_need(curl_easy_init());
    set_fixed(c->easy, c);
    set_tls(c->easy, &h->conf->net.tls);
    set_auth(c->easy, &h->plan);
}

void http_call_release(struct http_call *c)
{
    curl_easy_cleanup(c->easy);
    curl_slist_free_all(c->headers);
    free(c->entries);
    buf_release(&c->url);
    buf_release(&c->body);
    buf_release(&c->answer);
}

/* --- which events --- */

static const struct event *event_of(const struct http_call *c, size_t i)
{
    return c->sink->queue.entries[c->entries[i]].event;
}

/* The URL of the event at this target; false if none can be made of it. */
static bool expand(struct http *h, size_t target, const struct event *e, struct buf *out)
{
    struct error ignored;
    buf_clear(out);
    return http_url_expand(&h->plan.targets[target].url, e, out, &ignored) == RESULT_DONE;
}

int http_target_of(struct http *h, const struct event *e, size_t *ret, struct error *err)
{
    struct error first = {0}, *why = &first;
    for (size_t i = 0; i < h->plan.targets_count; i++) {
        size_t target = (h->target + i) % h->plan.targets_count;
        const struct http_url *url = &h->plan.targets[target].url;
        struct error other;
        buf_clear(&h->scratch_url);
        if (!url->varies || http_url_expand(url, e, &h->scratch_url, why) == RESULT_DONE) {
            *ret = target;
            return RESULT_DONE;
        }
        why = &other;
    }
    *err = first;
    return RESULT_ERROR;
}

/* May this event go with those that the request has? */
static bool fits(void *ctx, const struct http_entry *entry)
{
    struct http_call *c = ctx;
    struct http *h = c->sink;
    size_t more = http_body_bytes(entry->event);
    const struct http_entry *first = &h->queue.entries[c->entries[0]];
    if (c->count == 0) { /* the first is in already */
        c->count = 1;
        c->bytes = http_body_bytes(first->event);
    }
    if (entry->alone || first->alone || c->bytes + more > (size_t)h->conf->batch.bytes) {
        return false;
    }
    if (h->plan.targets[c->target].url.varies &&
        (!expand(h, c->target, first->event, &c->url) ||
         !expand(h, c->target, entry->event, &h->scratch_url) ||
         !slice_equal(buf_slice(&c->url), buf_slice(&h->scratch_url)))) {
        return false;
    }
    c->bytes += more;
    return true;
}

/* --- the request --- */

static struct slice make_body(struct http_call *c)
{
    const struct http_conf *conf = c->sink->conf;
    if (!is_batched(c->sink)) {
        struct slice value = event_of(c, 0)->value;
        return slice_is_null(value) ? SLICE_LITERAL("") : value;
    }
    buf_trim(&c->body, (size_t)conf->batch.bytes);
    for (size_t i = 0; i < c->count; i++) {
        http_body_add(conf, &c->body, i, event_of(c, i));
    }
    http_body_end(conf, &c->body);
    return buf_slice(&c->body);
}

/* Of one event its id; of several a digest of theirs, so that another set never has the same. */
static struct slice make_id(struct http_call *c, char out[DIGEST_HEX_SIZE + 6])
{
    if (c->count == 1) {
        return event_of(c, 0)->id;
    }
    struct buf *ids = &c->sink->scratch;
    buf_clear(ids);
    for (size_t i = 0; i < c->count; i++) {
        buf_add_slice(ids, event_of(c, i)->id);
        buf_add_char(ids, '\n');
    }
    memcpy(out, "batch_", 6);
    digest_sha256(buf_slice(ids), out + 6);
    return (struct slice){out, 6 + 32};
}

static void add_type(struct http_call *c)
{
    const struct http_conf *conf = c->sink->conf;
    const struct event *first = event_of(c, 0);
    bool batched = is_batched(c->sink);
    struct slice own = batched ? SLICE_NULL : http_headers_type(first);
    bool batch_type = batched && conf->batch_format == HTTP_CLOUDEVENTS;
    bool configured = slice_is_null(own) && !batch_type && c->sink->plan.has_content_type;
    for (size_t i = 0; i < conf->headers.count; i++) {
        const struct conf_pair *h = &conf->headers.pairs[i];
        if (configured || strcasecmp(h->name, "content-type") != 0) {
            http_headers_add(&c->headers, h->name, slice_from(h->value), &c->sink->scratch);
        }
    }
    if (!configured) {
        struct slice type = !slice_is_null(own) ? own
                            : batched           ? slice_from(http_body_type(conf))
                                                : slice_from(http_value_type(first));
        http_headers_add(&c->headers, "Content-Type", type, &c->sink->scratch);
    }
}

static void add_webhook(struct http_call *c, struct slice body)
{
    CLEANUP(buf_release) struct buf signature = {0};
    char digest[DIGEST_HEX_SIZE + 6], time[24];
    struct http *h = c->sink;
    int64_t now_s = clock_wall_us() / US_PER_SECOND;
    struct slice id = make_id(c, digest);
    snprintf(time, sizeof time, "%" PRId64, now_s);
    if (h->plan.secrets[0].len > 0) {
        http_sign(&signature, h->plan.secrets, 2, id, now_s, body, &h->scratch);
        buf_trim(&h->scratch, (size_t)1 << 20);
        http_headers_add(&c->headers, "webhook-signature", buf_slice(&signature), &h->scratch);
    }
    http_headers_add(&c->headers, "webhook-timestamp", slice_from(time), &h->scratch);
    http_headers_add(&c->headers, "webhook-id", id, &h->scratch);
    http_headers_add(&c->headers, "Idempotency-Key", id, &h->scratch);
}

static void dispatch(struct http_call *c)
{
    struct http *h = c->sink;
    const struct http_target *t = &h->plan.targets[c->target];
    struct slice body = make_body(c);
    curl_slist_free_all(c->headers);
    c->headers = memory_need(curl_slist_append(NULL, "Expect:")); /* no wait for 100 Continue */
    if (t->host) {
        c->headers = memory_need(curl_slist_append(c->headers, t->host));
    }
    add_type(c);
    if (!is_batched(h)) {
        http_headers_add_event(&c->headers, event_of(c, 0), true, &h->scratch);
    }
    add_webhook(c, body);
    (void)expand(h, c->target, event_of(c, 0), &c->url); /* http_target_of has done it */
    buf_clear(&c->answer);
    c->retry_after[0] = c->location[0] = c->why[0] = c->address[0] = '\0';
    c->refused = false;
    c->active = true;
    c->since_us = clock_mono_us();
    curl_easy_setopt(c->easy, CURLOPT_URL, buf_str(&c->url));
    curl_easy_setopt(c->easy, CURLOPT_CONNECT_TO, t->connect_to);
    curl_easy_setopt(c->easy, CURLOPT_HTTPHEADER, c->headers);
    curl_easy_setopt(c->easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)body.len);
    curl_easy_setopt(c->easy, CURLOPT_POSTFIELDS, body.ptr);
    curl_multi_add_handle(h->wire.multi, c->easy);
    h->active++;
}

/* --- when --- */

static bool is_stopping(const struct http *h)
{
    struct pollfd p = {.fd = h->env->stop_fd, .events = POLLIN};
    return poll(&p, 1, 0) > 0;
}

/* When the next request is due: at once, or when it has waited for others long enough. */
static int64_t due_us(const struct http *h)
{
    const struct http_batch_conf *b = &h->conf->batch;
    uint32_t next = http_queue_next(&h->queue);
    if (next == HTTP_NONE) {
        return DEADLINE_NEVER;
    }
    if (b->interval_us == 0 || is_stopping(h)) {
        return 0;
    }
    bool full = h->queue.waiting >= (size_t)b->events || h->queue.waiting_bytes >= (size_t)b->bytes;
    bool hurried = h->queue.limit != UINT64_MAX || h->queue.entries[next].alone;
    return full || hurried ? 0 : h->queue.entries[next].put_us + b->interval_us;
}

int64_t http_launch(struct http *h)
{
    int64_t now = clock_mono_us();
    if (h->failure.class != ERROR_NONE) {
        return DEADLINE_NEVER;
    }
    if (now < h->slow_until_us) {
        return h->slow_until_us;
    }
    for (size_t i = 0; i < (size_t)h->conf->concurrency; i++) {
        struct http_call *c = &h->calls[i];
        int64_t due = due_us(h);
        if (due > now) {
            return due;
        }
        if (c->active) {
            continue;
        }
        struct error impossible; /* `put` has found one */
        c->target = h->target;
        (void)!http_target_of(h, h->queue.entries[http_queue_next(&h->queue)].event, &c->target,
                              &impossible);
        c->count = 0;
        c->count = http_queue_take(&h->queue, c->entries, (size_t)h->conf->batch.events, fits, c);
        dispatch(c);
    }
    return DEADLINE_NEVER; /* an answer will make room */
}
