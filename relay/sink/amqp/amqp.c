/*
 * The sink amqp: sends events by AMQP 1.0, to ActiveMQ Artemis for example. An event is delivered
 * when the server has accepted it at an address that keeps it (link.h).
 *
 * The messages of one key are sent one after the other (lanes.h). Example: the server gives message
 * 1 of a key back. Message 2 of that key was not sent yet, so it cannot arrive before message 1.
 *
 * A message that has its turn is `ready`, and is sent as soon as the server has given credit.
 */
#include "base/log.h"
#include "base/memory.h"
#include "sink/amqp/check.h"
#include "sink/amqp/internal.h"

#include <proton/version.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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
                                 .answer = amqp_answered,
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

/* A connection that works is kept. The server takes what was sent over it before what is sent over
 * it now, so a key keeps its order. */
static int amqp_start(void *sink, uint64_t next_number UNUSED, struct error *err)
{
    struct amqp *a = sink;
    struct error gone;
    amqp_forget(a);
    if (a->broken || (a->link.state == AMQP_UP && amqp_link_run(&a->link, &gone))) {
        amqp_link_close(&a->link);
        a->broken = false;
    }
    return amqp_link_open(&a->link, err);
}

/* What was sent before the last start may keep a server from reading what was put since. */
static int64_t stall_deadline(const struct amqp *a)
{
    int64_t oldest = lanes_oldest_us(&a->lanes);
    oldest = a->stuck_us && a->stuck_us < oldest ? a->stuck_us : oldest;
    return oldest == DEADLINE_NEVER ? DEADLINE_NEVER : oldest + a->conf->net.stall_timeout_us;
}

static void amqp_poll_fds(void *sink, struct poll_set *set)
{
    struct amqp *a = sink;
    if (amqp_has_failed(a)) {
        if (!a->told) {
            poll_set_deadline(set, clock_mono_us()); /* `collect` has something to say */
        }
        return;
    }
    amqp_link_poll_fds(&a->link, set);
    poll_set_deadline(set,
                      amqp_any(&a->delivered) || a->passed ? clock_mono_us() : stall_deadline(a));
}

/* --- events in --- */

static int amqp_put(void *sink, const struct batch *batch, size_t from, size_t to,
                    uint64_t first_token, size_t *ret_taken, struct error *err)
{
    struct amqp *a = sink;
    int rc = RESULT_DONE;
    *ret_taken = 0;
    if (amqp_has_failed(a)) {
        return RESULT_DONE; /* the next collect says why */
    }
    if (a->link.state != AMQP_UP) {
        return error_set(err, ERROR_RETRY, "amqp", "there is no connection; start makes one");
    }
    amqp_send_ready(a);
    for (size_t i = from; i < to && rc == RESULT_DONE && !amqp_any(&a->ready) &&
                          a->lanes.open < a->env->max_in_flight;
         i++) {
        rc = amqp_take(a, &batch->events[i], first_token + (i - from), err);
        *ret_taken += rc == RESULT_DONE;
    }
    rc = rc == RESULT_AGAIN ? RESULT_DONE : rc;
    if (rc == RESULT_DONE && *ret_taken == 0 && amqp_is_starving(a)) {
        rc = amqp_starving(a, err);
    }
    amqp_run(a);
    return rc;
}

/* --- reports out --- */

/* Messages that are never answered. */
static void watch(struct amqp *a)
{
    struct error err;
    if (amqp_has_failed(a) || clock_mono_us() < stall_deadline(a)) {
        return;
    }
    error_set(&err, ERROR_RETRY, "amqp",
              "%s has not answered to an event for %.1f s; see whether the broker or its disk "
              "stands still; the connection is made again",
              amqp_link_server(&a->link), (double)a->conf->net.stall_timeout_us / 1e6);
    error_code(&err, "stalled");
    amqp_fail(a, &err, true);
}

static void take_delivered(struct amqp *a, struct sink_report *report)
{
    while (amqp_any(&a->delivered) && report->count < SINK_REPORT_MAX - 1) {
        uint64_t token = a->delivered.items[a->delivered.at++];
        report->results[report->count++] = (struct sink_result){token, SINK_DELIVERED};
    }
}

/* A refused event is reported when all events before it are settled. Then the pipeline starts the
 * sink again, and the refused event is the first one after the frontier. Until that start the key
 * of the event stands still. If no start comes, the next `collect` lets the key go on. */
static void add_poison(struct amqp *a, struct sink_report *report)
{
    const struct error *refusal = lanes_first_refused(&a->lanes);
    if (refusal && !amqp_has_failed(a) && !amqp_any(&a->delivered)) {
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
        amqp_settle(a, a->passed);
        a->passed = 0;
    }
    if (!amqp_has_failed(a)) {
        amqp_run(a);
        watch(a);
    }
    take_delivered(a, report);
    add_poison(a, report);
    /* Delivered events are reported first. The next call returns the failure, alone. */
    if (!amqp_has_failed(a) || a->told || report->count > 0) {
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
    if (amqp_has_failed(a)) {
        *err = a->failure;
        return RESULT_ERROR;
    }
    if (amqp_is_starving(a)) {
        return amqp_starving(a, err);
    }
    if (oldest == DEADLINE_NEVER || now - oldest < AMQP_SLOW_US) {
        return RESULT_DONE;
    }
    return error_set(err, ERROR_BUSY, "amqp",
                     "%s is slow: %zu events pending, the oldest without an answer for %.1f s",
                     amqp_link_server(&a->link), a->lanes.open, (double)(now - oldest) / 1e6);
}

static const char *without_topic(const void *sink)
{
    const struct amqp *a = sink;
    return name_template_has_topic(a->address) ? NULL : "sink.address";
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
    .without_topic = without_topic,
    .check = check,
};
