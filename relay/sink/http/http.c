/*
 * The sink http: sends events to a webhook, through libcurl's multi interface. An event is
 * delivered when its request has got an answer of 2xx. Requests of different keys go side by side;
 * of one key there is one at a time, so that its events arrive in order.
 *
 * After a failure nothing more is sent, and the requests that are open come to their end, before
 * the pipeline is told: an old copy of an event can so not arrive behind a new one, unless its
 * answer was given up after `timeout`.
 */
#include "sink/http/internal.h"

#include "base/memory.h"
#include "sink/http/body.h"
#include "sink/http/headers.h"
#include "sink/http/status.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

/* A request without an answer for so long holds events up. */
#define SILENT_US (3 * US_PER_SECOND)

/* More events than this are not taken at a time: they would only lie in memory. */
enum { MOST_ENTRIES = 65536 };

#define SLOW_INITIAL_US US_PER_SECOND
#define SLOW_MAX_US (30 * US_PER_SECOND)

static void init_library(void)
{
    (void)curl_global_init(CURL_GLOBAL_DEFAULT);
}

static void http_close(void *sink)
{
    struct http *h = sink;
    if (!h) {
        return;
    }
    for (size_t i = 0; h->calls && i < (size_t)h->conf->concurrency; i++) {
        if (h->calls[i].active) {
            curl_multi_remove_handle(h->wire.multi, h->calls[i].easy);
        }
        http_call_release(&h->calls[i]);
    }
    http_wire_close(&h->wire);
    http_queue_release(&h->queue);
    http_plan_release(&h->plan);
    buf_release(&h->scratch);
    buf_release(&h->scratch_url);
    free(h->calls);
    free(h->done);
    free(h);
}

static int http_open(const void *conf, const struct sink_env *env, void **ret_sink,
                     size_t *ret_max_event, struct error *err)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    struct http *h = memory_need(calloc(1, sizeof *h));
    size_t cap = env->max_in_flight < MOST_ENTRIES ? env->max_in_flight : MOST_ENTRIES;
    pthread_once(&once, init_library);
    h->conf = conf;
    h->env = env;
    h->wire.epoll_fd = -1;
    if (http_plan_make(conf, &h->plan, err) ||
        http_wire_open(&h->wire, (long)h->conf->concurrency, err)) {
        http_close(h);
        return RESULT_ERROR;
    }
    cap = cap > 0 ? cap : 1;
    http_queue_init(&h->queue, cap);
    h->done = memory_need(calloc(cap, sizeof *h->done));
    h->calls = memory_need(calloc((size_t)h->conf->concurrency, sizeof *h->calls));
    for (size_t i = 0; i < (size_t)h->conf->concurrency; i++) {
        http_call_init(&h->calls[i], h);
    }
    backoff_init(&h->slow, SLOW_INITIAL_US, SLOW_MAX_US);
    http_plan_note_risks(&h->plan, env);
    *ret_max_event = 0;
    *ret_sink = h;
    return RESULT_DONE;
}

static void take_answers(struct http *h)
{
    CURLcode code;
    http_wire_run(&h->wire);
    for (CURL *easy; (easy = http_wire_ended(&h->wire, &code));) {
        char *call = NULL;
        curl_easy_getinfo(easy, CURLINFO_PRIVATE, &call);
        http_answered(h, (struct http_call *)(void *)call, code);
    }
}

/* Requests that are open still read their events' values, and what they send may still arrive. So
 * they come to their end first, which `timeout` bounds. */
static int http_start(void *sink, uint64_t next_number UNUSED, struct error *err UNUSED)
{
    struct http *h = sink;
    for (size_t i = 0; i < (size_t)h->conf->concurrency; i++) {
        h->calls[i].count = 0;
    }
    take_answers(h);
    http_queue_reset(&h->queue);
    h->done_count = 0;
    if (h->active > 0) {
        error_set(&h->failure, ERROR_RETRY, "http", "the requests before it have not ended");
        h->told = true;
        return RESULT_AGAIN;
    }
    error_clear(&h->failure);
    error_clear(&h->poison);
    h->told = false;
    h->answered_us = clock_mono_us();
    return RESULT_DONE;
}

/* --- events in --- */

/* What can be said of an event before it is sent. */
static int check_event(struct http *h, const struct event *e, struct error *err)
{
    if (h->conf->batch.events > 1 && http_body_check(h->conf, e, err)) {
        return RESULT_ERROR;
    }
    size_t target;
    return http_target_of(h, e, &target, err) ? RESULT_ERROR : http_headers_check(e, err);
}

static int slow_down(const struct http *h, int64_t now_us, struct error *err)
{
    *err = h->slow_error;
    err->retry_after_us = h->slow_until_us > now_us ? h->slow_until_us - now_us : 0;
    return RESULT_ERROR;
}

static int http_put(void *sink, const struct batch *batch, size_t from, size_t to,
                    uint64_t first_token, size_t *ret_taken, struct error *err)
{
    struct http *h = sink;
    int64_t now = clock_mono_us();
    int rc = RESULT_DONE;
    *ret_taken = 0;
    if (h->failure.class != ERROR_NONE || h->queue.limit != UINT64_MAX) {
        return RESULT_DONE; /* `collect` will say why */
    }
    if (now < h->slow_until_us) {
        return slow_down(h, now, err);
    }
    while (from + *ret_taken < to && rc == RESULT_DONE) {
        const struct event *e = &batch->events[from + *ret_taken];
        bool full = h->queue.count + h->done_count >= h->queue.cap;
        if (full || (rc = check_event(h, e, err)) != RESULT_DONE ||
            !http_queue_add(&h->queue, e, first_token + *ret_taken, now)) {
            break;
        }
        ++*ret_taken;
    }
    (void)http_launch(h);
    return rc;
}

/* --- reports out --- */

static void report_delivered(struct http *h, struct sink_report *report)
{
    size_t n = 0;
    while (n < h->done_count && report->count < SINK_REPORT_MAX) {
        report->results[report->count++] = (struct sink_result){h->done[n++], SINK_DELIVERED};
    }
    h->done_count -= n;
    memmove(h->done, h->done + n, h->done_count * sizeof *h->done);
}

/* True once nothing before the refused event is open. */
static bool poison_is_first(const struct http *h)
{
    return h->queue.limit != UINT64_MAX && http_queue_oldest(&h->queue) >= h->queue.limit;
}

static int http_collect(void *sink, struct sink_report *report, struct error *err)
{
    struct http *h = sink;
    if (h->told) {
        return RESULT_DONE; /* `start` is next */
    }
    take_answers(h);
    report_delivered(h, report);
    if (h->done_count > 0) {
        return RESULT_DONE; /* the report is full */
    }
    if (h->failure.class != ERROR_NONE && h->active == 0 && report->count == 0) {
        h->told = true;
        *err = h->failure;
        return RESULT_ERROR;
    }
    if (h->failure.class == ERROR_NONE && poison_is_first(h) && report->count < SINK_REPORT_MAX) {
        h->told = true;
        h->failure = report->error = h->poison;
        report->results[report->count++] = (struct sink_result){h->queue.limit, SINK_POISON};
        return RESULT_DONE;
    }
    (void)http_launch(h);
    return RESULT_DONE;
}

static void http_poll_fds(void *sink, struct poll_set *set)
{
    struct http *h = sink;
    bool failed = h->failure.class != ERROR_NONE && h->active == 0;
    if (!h->told && (h->done_count > 0 || failed || poison_is_first(h))) {
        poll_set_deadline(set, 0); /* there is something for `collect` */
    } else if (!h->told) {
        poll_set_deadline(set, http_launch(h));
    }
    http_wire_poll_fds(&h->wire, set); /* last: a request that was launched sets its timer */
}

static int http_healthy(void *sink, struct error *err)
{
    struct http *h = sink;
    int64_t now = clock_mono_us(), oldest = now;
    const struct http_call *waits = NULL;
    if (now < h->slow_until_us) {
        return slow_down(h, now, err);
    }
    if (h->failure.class != ERROR_NONE) {
        *err = h->failure;
        return RESULT_ERROR;
    }
    if (h->slowed) { /* it is being tried again */
        return slow_down(h, now, err);
    }
    for (size_t i = 0; i < (size_t)h->conf->concurrency; i++) {
        if (h->calls[i].active && h->calls[i].since_us < oldest) {
            waits = &h->calls[i];
            oldest = waits->since_us;
        }
    }
    int64_t silent = oldest > h->answered_us ? oldest : h->answered_us;
    if (!waits || now - silent < SILENT_US) {
        return RESULT_DONE;
    }
    CLEANUP(buf_release) struct buf shown = {0};
    http_shown_url(&shown, buf_str(&waits->url));
    return error_set(err, ERROR_RETRY, "http",
                     "no answer from %.300s for %lld s; sink.timeout ends the wait",
                     buf_str(&shown), (long long)((now - silent) / US_PER_SECOND));
}

static const char *library_version(void)
{
    return curl_version_info(CURLVERSION_NOW)->version;
}

static const char *without_topic(const void *sink)
{
    const struct http_plan *plan = &((const struct http *)sink)->plan;
    for (size_t i = 0; i < plan->targets_count; i++) {
        if (!http_url_has_topic(&plan->targets[i].url)) {
            return "sink.url";
        }
    }
    return NULL;
}

const struct sink_ops sink_http = {
    .name = "http",
    .help = "Webhooks: a request for each event, or for several, over HTTP",
    .keys = http_conf_keys,
    .conf_size = sizeof(struct http_conf),
    .url = {.shown = "https://HOST/PATH",
            .value = http_conf_url_value,
            .key = "url",
            .check = http_conf_url_check},
    .library = "libcurl",
    .library_version = library_version,
    .descriptors = http_conf_descriptors,
    .caps = SINK_MESSAGES | SINK_SINGLE_FAULT,
    .open = http_open,
    .start = http_start,
    .poll_fds = http_poll_fds,
    .put = http_put,
    .collect = http_collect,
    .close = http_close,
    .healthy = http_healthy,
    .without_topic = without_topic,
    .check = http_check,
};
