/*
 * The sink amqp: sends events by AMQP 1.0, to ActiveMQ Artemis for example. An event is delivered
 * when the server has accepted it at an address that keeps it (link.h). The messages of one key are
 * sent one after the other (lanes.h): so a server that gives one of them back never has a later one
 * before it.
 *
 * A message that has its turn is `ready`, and is sent as soon as the server has given credit.
 */
#include "base/log.h"
#include "base/memory.h"
#include "sink/amqp/check.h"
#include "sink/amqp/link.h"
#include "sink/amqp/message.h"
#include "sink/kit/lanes.h"
#include "sink/kit/name.h"

#include <proton/version.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* From here on a server that gives no credit, or no answer, is slow. */
#define SLOW_US (2 * US_PER_SECOND)
#define STARVING_WAIT_US (250 * US_PER_MS)

/* A message that was put and not sent. */
struct message {
    struct amqp_sender *to;
    size_t len;
    char bytes[];
};

/* Tokens, oldest first; at..count are there. */
struct tokens {
    uint64_t *items;
    size_t at, count, cap;
};

struct amqp {
    const struct amqp_conf *conf;
    const struct sink_env *env;
    struct amqp_servers servers;
    struct name_template *address;
    const char *fixed; /* the address of all events; NULL: it depends on the event */
    struct amqp_link link;
    struct amqp_maker maker;
    struct buf scratch;

    struct lanes lanes;
    struct tokens ready;     /* to be sent */
    struct tokens delivered; /* to be reported */
    uint64_t passed;         /* the event that was reported as poison just now; 0: none */
    int64_t starving_us;     /* since when the first of `ready` has no credit; 0: it has */

    struct error failure; /* class not NONE: nothing more is sent until the next start */
    bool told;            /* the failure was returned to the pipeline */
    bool broken;          /* the connection is of no use any more */
};

static void tokens_add(struct tokens *t, uint64_t token)
{
    if (t->at == t->count) {
        t->at = t->count = 0;
    }
    if (t->count == t->cap) {
        t->cap = t->cap ? 2 * t->cap : 256;
        t->items = memory_need(realloc(t->items, t->cap * sizeof *t->items));
    }
    t->items[t->count++] = token;
}

static bool tokens_any(const struct tokens *t)
{
    return t->at < t->count;
}

static bool has_failed(const struct amqp *a)
{
    return a->failure.class != ERROR_NONE;
}

static void fail(struct amqp *a, const struct error *err, bool broken)
{
    a->broken = a->broken || broken;
    if (!has_failed(a)) {
        a->failure = *err;
        a->told = false;
    }
}

static void forget(struct amqp *a)
{
    lanes_clear(&a->lanes);
    a->ready.at = a->ready.count = a->delivered.at = a->delivered.count = 0;
    for (size_t i = 0; i < a->link.senders_count; i++) {
        a->link.senders[i]->pending = 0;
    }
    a->passed = 0;
    a->starving_us = 0;
    error_clear(&a->failure);
}

/* --- answers --- */

/* The event is settled, and the next one of its key has its turn. False: it is of before the last
 * start. */
static bool settle(struct amqp *a, uint64_t token)
{
    uint64_t next = 0;
    struct amqp_sender *s = (struct amqp_sender *)(uintptr_t)lanes_about(&a->lanes, token);
    if (!lanes_done(&a->lanes, token, &next)) {
        return false;
    }
    s->pending--;
    if (next) {
        tokens_add(&a->ready, next);
    }
    return true;
}

static void take_refusal(struct amqp *a, uint64_t token, const struct error *refusal)
{
    if (!lanes_about(&a->lanes, token)) {
        return; /* of before the last start */
    }
    if (refusal->class != ERROR_POISON) {
        fail(a, refusal, false);
        return;
    }
    struct error *kept = memory_need(malloc(sizeof *kept));
    *kept = *refusal;
    if (!lanes_refuse(&a->lanes, token, kept)) {
        free(kept);
    }
}

/* Called by amqp_link_run. */
static void take_answer(void *ctx, uint64_t token, const struct error *refusal)
{
    struct amqp *a = ctx;
    if (refusal) {
        take_refusal(a, token, refusal);
    } else if (settle(a, token)) {
        tokens_add(&a->delivered, token);
    }
}

/* --- sending --- */

static void too_large(const struct amqp *a, const struct message *m, struct error *err)
{
    error_set(err, ERROR_POISON, "amqp",
              "the event has %zu bytes as a message, and %s takes %llu at the address \"%s\"; make "
              "the event smaller, or raise the broker's limit",
              m->len, amqp_link_server(&a->link), (unsigned long long)amqp_sender_max(m->to),
              m->to->address);
}

/* The message can never be sent: its lane stands still, and the refusal is reported in its turn. */
static void refuse_unsent(struct amqp *a, uint64_t token, const struct error *why)
{
    free(lanes_take(&a->lanes, token, clock_mono_us()));
    take_refusal(a, token, why);
}

static void send_one(struct amqp *a, uint64_t token)
{
    struct error err;
    const struct message *waiting = lanes_load(&a->lanes, token);
    uint64_t max = amqp_sender_max(waiting->to);
    if (max > 0 && waiting->len > max) {
        too_large(a, waiting, &err);
        refuse_unsent(a, token, &err);
        return;
    }
    struct message *m = lanes_take(&a->lanes, token, clock_mono_us());
    amqp_link_send(&a->link, m->to, token, (struct slice){m->bytes, m->len});
    free(m);
}

static void note_starving(struct amqp *a, bool starves)
{
    int64_t now = clock_mono_us();
    a->starving_us = !starves ? 0 : a->starving_us ? a->starving_us : now;
}

/* Sends what is ready, as far as there is credit. */
static void send_ready(struct amqp *a)
{
    bool starves = false;
    while (tokens_any(&a->ready) && !has_failed(a)) {
        uint64_t token = a->ready.items[a->ready.at];
        struct amqp_sender *s = ((const struct message *)lanes_load(&a->lanes, token))->to;
        if (s->state == SENDER_REFUSED) {
            refuse_unsent(a, token, &s->refusal);
        } else if (amqp_sender_ready(&a->link, s)) {
            send_one(a, token);
        } else {
            starves = amqp_sender_starves(s);
            break;
        }
        a->ready.at++;
    }
    note_starving(a, starves);
}

/* Reads, sends and writes. */
static void run(struct amqp *a)
{
    struct error err;
    if (amqp_link_run(&a->link, &err)) {
        fail(a, &err, true);
        return;
    }
    if (!tokens_any(&a->ready) && !a->starving_us) {
        return;
    }
    send_ready(a);
    if (a->link.unsent && amqp_link_run(&a->link, &err)) {
        fail(a, &err, true);
    }
}

/* --- life --- */

static void amqp_close(void *sink)
{
    struct amqp *a = sink;
    if (!a) {
        return;
    }
    if (a->link.conf) {
        amqp_link_release(&a->link);
    }
    lanes_release(&a->lanes);
    name_template_free(a->address);
    amqp_maker_release(&a->maker);
    buf_release(&a->scratch);
    free(a->ready.items);
    free(a->delivered.items);
    amqp_servers_release(&a->servers);
    free(a);
}

/* An address that is the same for every event is checked at once. */
static int check_fixed(struct amqp *a, struct error *err)
{
    a->fixed = name_template_fixed(a->address);
    bool made = !a->fixed;
    if (!a->fixed && strcmp(a->conf->address, "{topic}") == 0) {
        a->fixed = a->env->fixed_topic;
    }
    if (a->fixed && amqp_address_check(slice_from(a->fixed), made, err)) {
        err->class = ERROR_CONFIG;
        err->exit_code = EXIT_CODE_CONFIG;
        return error_prefix(err, "sink.address");
    }
    return RESULT_DONE;
}

static int make(struct amqp *a, struct error *err)
{
    SSL_CTX *context = NULL;
    if (amqp_conf_check(a->conf, &a->servers, err) ||
        name_template_new(a->conf->address, "address", "amqp", &a->address, err) ||
        check_fixed(a, err)) {
        return RESULT_ERROR;
    }
    if (a->servers.tls && amqp_tls_context(&a->conf->net.tls, &context, err)) {
        return RESULT_ERROR;
    }
    SSL_CTX_free(context); /* it was made to check the files; each connection reads them again */
    a->link = (struct amqp_link){.conf = a->conf,
                                 .servers = &a->servers,
                                 .env = a->env,
                                 .fixed = a->fixed,
                                 .answer = take_answer,
                                 .ctx = a};
    amqp_link_init(&a->link);
    return RESULT_DONE;
}

static void note_risks(const struct amqp *a)
{
    net_conf_note_risks(&a->conf->net, a->servers.tls, a->env);
    if (a->env->note && a->conf->kind == AMQP_TOPIC) {
        a->env->note(a->env->note_ctx, LOG_WARN,
                     "sink.kind is topic: an event is dropped by the broker where nobody is "
                     "subscribed, and counts as delivered");
    }
    if (a->env->note && !a->conf->durable) {
        a->env->note(a->env->note_ctx, LOG_WARN,
                     "sink.durable is off: events that are not consumed yet are lost when the "
                     "broker restarts");
    }
}

static void drop_load(void *load)
{
    free(load);
}

static int amqp_open(const void *conf, const struct sink_env *env, void **ret_sink,
                     size_t *ret_max_event, struct error *err)
{
    struct amqp *a = memory_need(calloc(1, sizeof *a));
    a->conf = conf;
    a->env = env;
    lanes_init(&a->lanes, env->max_in_flight, drop_load);
    amqp_maker_init(&a->maker);
    if (make(a, err)) {
        amqp_close(a);
        return RESULT_ERROR;
    }
    note_risks(a);
    *ret_max_event = 0; /* the server says it for each address, when it is there */
    *ret_sink = a;
    return RESULT_DONE;
}

/* A connection that works is kept: what was sent by it comes before what is sent now, so that a key
 * keeps its order. */
static int amqp_start(void *sink, uint64_t next_number UNUSED, struct error *err)
{
    struct amqp *a = sink;
    struct error gone;
    forget(a);
    if (a->broken || (a->link.state == AMQP_UP && amqp_link_run(&a->link, &gone))) {
        amqp_link_close(&a->link);
        a->broken = false;
    }
    return amqp_link_open(&a->link, err);
}

static int64_t stall_deadline(const struct amqp *a)
{
    int64_t oldest = lanes_oldest_us(&a->lanes);
    return oldest == DEADLINE_NEVER ? DEADLINE_NEVER : oldest + a->conf->net.stall_timeout_us;
}

static void amqp_poll_fds(void *sink, struct poll_set *set)
{
    struct amqp *a = sink;
    if (has_failed(a)) {
        if (!a->told) {
            poll_set_deadline(set, clock_mono_us()); /* `collect` has something to say */
        }
        return;
    }
    amqp_link_poll_fds(&a->link, set);
    poll_set_deadline(set,
                      tokens_any(&a->delivered) || a->passed ? clock_mono_us() : stall_deadline(a));
}

/* --- events in --- */

/* DONE: taken. AGAIN: no place for one more address. POISON. */
static int put_one(struct amqp *a, const struct event *e, uint64_t token, struct error *err)
{
    struct slice address, bytes;
    if (name_template_make(a->address, e, &a->scratch, &address, err) ||
        amqp_address_check(address, !name_template_fixed(a->address), err)) {
        return RESULT_ERROR;
    }
    struct amqp_sender *s = amqp_link_sender(&a->link, address);
    if (!s) {
        return RESULT_AGAIN;
    }
    if (amqp_message_make(&a->maker, s->address, a->conf->durable, e, &bytes, err)) {
        return RESULT_ERROR;
    }
    struct message *m = memory_need(malloc(sizeof *m + bytes.len));
    m->to = s;
    m->len = bytes.len;
    memcpy(m->bytes, bytes.ptr, bytes.len);
    s->pending++;
    if (lanes_add(&a->lanes, token, e->key, m, s)) {
        tokens_add(&a->ready, token);
        send_ready(a);
    }
    return RESULT_DONE;
}

static int starving(const struct amqp *a, struct error *err)
{
    const struct message *m = lanes_load(&a->lanes, a->ready.items[a->ready.at]);
    error_set(err, ERROR_BUSY, "amqp",
              "%s gives no credit for the address \"%s\" for %.1f s: it may be full, or short of "
              "memory or disk; events wait until it has room",
              amqp_link_server(&a->link), m->to->address,
              (double)(clock_mono_us() - a->starving_us) / 1e6);
    err->retry_after_us = STARVING_WAIT_US;
    return RESULT_ERROR;
}

static bool is_starving(const struct amqp *a)
{
    return a->starving_us && tokens_any(&a->ready) && clock_mono_us() - a->starving_us >= SLOW_US;
}

static int amqp_put(void *sink, const struct batch *batch, size_t from, size_t to,
                    uint64_t first_token, size_t *ret_taken, struct error *err)
{
    struct amqp *a = sink;
    int rc = RESULT_DONE;
    *ret_taken = 0;
    if (has_failed(a)) {
        return RESULT_DONE; /* the next collect says why */
    }
    if (a->link.state != AMQP_UP) {
        return error_set(err, ERROR_RETRY, "amqp", "there is no connection; start makes one");
    }
    send_ready(a);
    for (size_t i = from; i < to && rc == RESULT_DONE && !tokens_any(&a->ready) &&
                          a->lanes.open < a->env->max_in_flight;
         i++) {
        rc = put_one(a, &batch->events[i], first_token + (i - from), err);
        *ret_taken += rc == RESULT_DONE;
    }
    rc = rc == RESULT_AGAIN ? RESULT_DONE : rc;
    if (rc == RESULT_DONE && *ret_taken == 0 && is_starving(a)) {
        rc = starving(a, err);
    }
    run(a);
    return rc;
}

/* --- reports out --- */

/* Messages that are never answered. */
static void watch(struct amqp *a)
{
    struct error err;
    if (has_failed(a) || clock_mono_us() < stall_deadline(a)) {
        return;
    }
    error_set(&err, ERROR_RETRY, "amqp",
              "%s has not answered to an event for %.1f s; see whether the broker or its disk "
              "stands still; the connection is made again",
              amqp_link_server(&a->link), (double)a->conf->net.stall_timeout_us / 1e6);
    error_code(&err, "stalled");
    fail(a, &err, true);
}

static void take_delivered(struct amqp *a, struct sink_report *report)
{
    while (tokens_any(&a->delivered) && report->count < SINK_REPORT_MAX - 1) {
        uint64_t token = a->delivered.items[a->delivered.at++];
        report->results[report->count++] = (struct sink_result){token, SINK_DELIVERED};
    }
}

/* A refused event is reported when all before it are settled: then it is the first that the
 * pipeline puts again, after a start. Its key stands still until then; were there no start, it
 * would go on with the next call. */
static void add_poison(struct amqp *a, struct sink_report *report)
{
    const struct error *refusal = lanes_first_refused(&a->lanes);
    if (refusal && !has_failed(a) && !tokens_any(&a->delivered)) {
        a->passed = lanes_first(&a->lanes);
        report->error = *refusal;
        report->results[report->count++] = (struct sink_result){a->passed, SINK_POISON};
    }
}

static int amqp_collect(void *sink, struct sink_report *report, struct error *err)
{
    struct amqp *a = sink;
    if (a->link.state != AMQP_UP) {
        return RESULT_DONE;
    }
    if (a->passed) {
        settle(a, a->passed);
        a->passed = 0;
    }
    if (!has_failed(a)) {
        run(a);
        watch(a);
    }
    take_delivered(a, report);
    add_poison(a, report);
    /* What was delivered is reported first; the failure is returned by the next call, alone. */
    if (!has_failed(a) || a->told || report->count > 0) {
        return RESULT_DONE;
    }
    a->told = true;
    *err = a->failure;
    return RESULT_ERROR;
}

static int amqp_healthy(void *sink, struct error *err)
{
    struct amqp *a = sink;
    int64_t oldest = lanes_oldest_us(&a->lanes), now = clock_mono_us();
    if (has_failed(a)) {
        *err = a->failure;
        return RESULT_ERROR;
    }
    if (is_starving(a)) {
        return starving(a, err);
    }
    if (oldest == DEADLINE_NEVER || now - oldest < SLOW_US) {
        return RESULT_DONE;
    }
    return error_set(err, ERROR_BUSY, "amqp",
                     "%s is slow: %zu events pending, the oldest without an answer for %.1f s",
                     amqp_link_server(&a->link), a->lanes.open, (double)(now - oldest) / 1e6);
}

static int check(void *sink, finding_report *report, void *ctx, struct error *err UNUSED)
{
    struct amqp *a = sink;
    amqp_check(a->conf, &a->servers, a->fixed, a->env, report, ctx);
    return RESULT_DONE;
}

#define TEXT(x) #x
#define VERSION(major, minor, point) TEXT(major) "." TEXT(minor) "." TEXT(point)

static const char *library_version(void)
{
    return VERSION(PN_VERSION_MAJOR, PN_VERSION_MINOR, PN_VERSION_POINT);
}

const struct sink_ops sink_amqp = {
    .name = "amqp",
    .help = "AMQP 1.0: ActiveMQ Artemis and others; delivered when a queue has accepted it",
    .keys = amqp_conf_keys,
    .conf_size = sizeof(struct amqp_conf),
    .url = {.shown = "amqp1://HOST[:PORT]",
            .value = amqp_conf_url_value,
            .key = "url",
            .check = amqp_conf_url_check},
    .library = "qpid-proton",
    .library_version = library_version,
    .descriptors = amqp_conf_descriptors,
    .caps = SINK_MESSAGES | SINK_SINGLE_FAULT,
    .open = amqp_open,
    .start = amqp_start,
    .poll_fds = amqp_poll_fds,
    .put = amqp_put,
    .collect = amqp_collect,
    .close = amqp_close,
    .healthy = amqp_healthy,
    .check = check,
};
