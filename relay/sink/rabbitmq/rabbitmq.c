/*
 * The sink rabbitmq: publishes events by AMQP 0-9-1. An event is delivered when the broker has
 * confirmed it and has not returned it. One channel sends them in their order. A connection is one
 * session (session.h), which runs on a worker; after a failure the sink goes on with a new one.
 *
 * Where a refused event holds its key up (env->holds_keys) the next event of a key is sent when the
 * one before it is confirmed (lanes.h): the broker may return one event and take the next.
 *
 * An event that no queue takes is poison. It is reported once nothing else is on its way; then the
 * same connection goes on.
 */
#include "base/log.h"
#include "base/memory.h"
#include "sink/kit/lanes.h"
#include "sink/rabbitmq/check.h"
#include "sink/rabbitmq/errors.h"
#include "sink/rabbitmq/session.h"

#include <stdlib.h>
#include <string.h>

enum { PLACES_MAX = 65536, NAME_MAX_BYTES = 255 };

/* How long a connection may take to get quiet, then to end, then to end by force. */
#define QUIET_PATIENCE_US (2 * US_PER_SECOND)
#define STOP_PATIENCE_US (4 * US_PER_SECOND)
#define END_PATIENCE_US (30 * US_PER_SECOND)
#define LOOK_US (20 * US_PER_MS)

struct rabbit {
    const struct rabbit_conf *conf;
    const struct sink_env *env;
    struct rabbit_naming naming;
    struct rabbit_session *session;
    struct lanes lanes;
    uint64_t next;           /* of the session's entries, the one that is put next */
    size_t held;             /* entries that wait in their lane; a place is kept for each */
    uint64_t taken;          /* entries with smaller numbers are reported: their places are free */
    uint64_t refused;        /* the token that was reported as poison just now; 0: none */
    bool starting;           /* a session was begun that has not opened yet */
    bool open;               /* it takes events */
    int64_t ending_since_us; /* `start` waits for a session to get quiet or to end; 0: no */
    bool more;               /* results were left for the next report */
    struct error failure;    /* class not NONE: a new session is needed */
    int64_t unblocked_us;    /* when the broker was last seen to be blocked */
};

/* --- open and close --- */

static void drop_entry(void *load)
{
    rabbit_entry_clear(load);
    free(load);
}

static void release(struct rabbit *r)
{
    lanes_release(&r->lanes);
    name_template_free(r->naming.exchange);
    name_template_free(r->naming.routing_key);
    buf_release(&r->naming.scratch[0]);
    buf_release(&r->naming.scratch[1]);
    free(r);
}

static void rabbit_close(void *sink)
{
    struct rabbit *r = sink;
    if (!r) {
        return;
    }
    if (!rabbit_session_end(r->session) && r->env->note) {
        r->env->note(r->env->note_ctx, LOG_WARN,
                     "a connection to RabbitMQ did not end within 5 s and is left behind");
    }
    release(r);
}

/* A name that is the same for every event is checked at once. */
static int check_fixed(const struct name_template *t, const char *key, struct error *err)
{
    const char *fixed = name_template_fixed(t);
    if (fixed && strlen(fixed) > NAME_MAX_BYTES) {
        return error_set(err, ERROR_CONFIG, "rabbitmq",
                         "sink.%s has more than %d bytes, which AMQP does not take; shorten it",
                         key, NAME_MAX_BYTES);
    }
    return RESULT_DONE;
}

static int make(struct rabbit *r, struct error *err)
{
    const struct rabbit_conf *c = r->conf;
    struct rabbit_hosts hosts;
    size_t places = r->env->max_in_flight;
    places = places < 1 ? 1 : places > PLACES_MAX ? PLACES_MAX : places;
    lanes_init(&r->lanes, places, drop_entry);
    if (rabbit_conf_check(c, &hosts, err) ||
        name_template_new(c->exchange, "exchange", "rabbitmq", &r->naming.exchange, err) ||
        name_template_new(c->routing_key, "routing_key", "rabbitmq", &r->naming.routing_key, err) ||
        check_fixed(r->naming.exchange, "exchange", err) ||
        check_fixed(r->naming.routing_key, "routing_key", err)) {
        rabbit_hosts_release(&hosts);
        return RESULT_ERROR;
    }
    CLEANUP(buf_release) struct buf exchange = {0};
    bool fixed = name_template_of_topic(r->naming.exchange, r->env->fixed_topic, &exchange);
    return rabbit_session_new(c, hosts, r->env->pipeline, fixed ? buf_str(&exchange) : NULL, places,
                              &r->session, err);
}

static int rabbit_open(const void *conf, const struct sink_env *env, void **ret_sink,
                       size_t *ret_max_event, struct error *err)
{
    struct rabbit *r = memory_need(calloc(1, sizeof *r));
    r->conf = conf;
    r->env = env;
    if (make(r, err)) {
        release(r);
        return RESULT_ERROR;
    }
    rabbit_conf_note_risks(r->conf, r->session->hosts.tls, env);
    *ret_max_event = 0; /* the broker's max_message_size, which it does not tell */
    *ret_sink = r;
    return RESULT_DONE;
}

/* --- start --- */

/* All that was put is forgotten. */
static void fresh(struct rabbit *r, uint64_t next)
{
    lanes_clear(&r->lanes);
    r->next = r->taken = next;
    r->held = 0;
    r->refused = 0;
    r->open = true;
    r->starting = r->more = false;
    r->ending_since_us = r->unblocked_us = 0;
    error_clear(&r->failure);
}

/* A session was begun: is it open? */
static int started(struct rabbit *r, struct error *err)
{
    struct rabbit_session *s = r->session;
    rabbit_session_hush(s->told_fd);
    pthread_mutex_lock(&s->lock);
    enum rabbit_state state = s->state;
    pthread_mutex_unlock(&s->lock);
    if (state == RABBIT_OPEN) {
        fresh(r, 0);
        return RESULT_DONE;
    }
    if (state == RABBIT_CONNECTING || rabbit_session_runs(s)) {
        return RESULT_AGAIN;
    }
    r->starting = false;
    *err = s->failure;
    return RESULT_ERROR;
}

/* Makes a session that works hold still, and begin anew when nothing is on its way. DONE: it has.
 * AGAIN: not yet. ERROR: it does not work. */
static int quieten(struct rabbit *r)
{
    struct rabbit_session *s = r->session;
    pthread_mutex_lock(&s->lock);
    bool works = s->state == RABBIT_OPEN && s->failure.class == ERROR_NONE && !s->stop;
    bool quiet = works && s->quiet;
    s->hold = !quiet;
    if (quiet) {
        s->put = s->given = s->sent;
        s->results_count = 0;
        s->quiet = false;
        s->window = 1;
        fresh(r, s->put);
    }
    pthread_mutex_unlock(&s->lock);
    rabbit_session_wake(s->wake_fd);
    return quiet ? RESULT_DONE : works ? RESULT_AGAIN : RESULT_ERROR;
}

/* Ends the session, or makes it begin anew. DONE with r->open: it goes on. DONE without: it has
 * ended. */
static int end_session(struct rabbit *r, struct error *err)
{
    struct rabbit_session *s = r->session;
    rabbit_session_hush(s->told_fd);
    r->open = false;
    if (!rabbit_session_runs(s)) {
        r->ending_since_us = 0;
        return RESULT_DONE;
    }
    int64_t now = clock_mono_us();
    r->ending_since_us = r->ending_since_us ? r->ending_since_us : now;
    int64_t passed = now - r->ending_since_us;
    int rc = quieten(r);
    if (rc == RESULT_DONE || (rc == RESULT_AGAIN && passed < QUIET_PATIENCE_US)) {
        return rc;
    }
    rabbit_session_stop(s, passed >= STOP_PATIENCE_US);
    if (passed < END_PATIENCE_US) {
        return RESULT_AGAIN;
    }
    r->ending_since_us = 0;
    return error_set(
        err, ERROR_RETRY, "rabbitmq",
        "an old connection cannot be ended; check name resolution and the broker, or restart the relay");
}

static int rabbit_start(void *sink, uint64_t next_number, struct error *err)
{
    struct rabbit *r = sink;
    (void)next_number;
    if (r->starting) {
        return started(r, err);
    }
    int rc = end_session(r, err);
    if (rc || r->open) {
        return rc;
    }
    r->starting = true;
    rabbit_session_begin(r->session);
    return RESULT_AGAIN;
}

static int64_t stall_deadline(const struct rabbit *r)
{
    int64_t oldest = lanes_oldest_us(&r->lanes);
    return oldest == DEADLINE_NEVER ? DEADLINE_NEVER : oldest + r->conf->net.stall_timeout_us;
}

static void rabbit_poll_fds(void *sink, struct poll_set *set)
{
    struct rabbit *r = sink;
    if (r->starting || r->ending_since_us || r->open) {
        poll_set_add(set, r->session->told_fd, POLLIN);
    }
    if (r->starting || r->ending_since_us) {
        poll_set_add(set, worker_fd(r->session->worker), POLLIN);
    }
    if (r->ending_since_us) {
        poll_set_deadline(set, clock_mono_us() + LOOK_US);
    } else if (r->open && (r->more || r->refused || r->failure.class != ERROR_NONE)) {
        poll_set_deadline(set, clock_mono_us());
    } else if (r->open) {
        poll_set_deadline(set, stall_deadline(r));
    }
}

/* --- events in --- */

/* DONE: the session takes events. BUSY or RETRY. */
static int may_put(const struct rabbit *r, size_t *ret_frame_max, struct error *err)
{
    struct rabbit_session *s = r->session;
    int rc = RESULT_DONE;
    if (!r->open || r->failure.class != ERROR_NONE) {
        return error_set(err, ERROR_RETRY, "rabbitmq", "the connection is gone (%s)",
                         r->open ? r->failure.text : "it was not started");
    }
    pthread_mutex_lock(&s->lock);
    *ret_frame_max = s->frame_max;
    if (s->failure.class != ERROR_NONE) {
        *err = s->failure;
        rc = RESULT_ERROR;
    } else if (s->blocked) {
        rc = rabbit_error_blocked(err, &s->hosts.items[s->host], s->blocked_why);
    }
    pthread_mutex_unlock(&s->lock);
    return rc;
}

/* The session's from now on, when it is told how far entries are put. There is a place. */
static void give(struct rabbit *r, const struct rabbit_entry *e)
{
    struct rabbit_session *s = r->session;
    struct rabbit_entry *place = &s->ring[r->next++ & s->mask];
    rabbit_entry_clear(place);
    *place = *e;
}

static void add(struct rabbit *r, struct slice key, const struct rabbit_entry *e)
{
    struct rabbit_entry *waits = NULL;
    bool in_turn = r->env->holds_keys && !slice_is_null(key);
    if (in_turn) {
        waits = memory_need(malloc(sizeof *waits));
        *waits = *e;
    }
    if (lanes_add(&r->lanes, e->token, in_turn ? key : SLICE_NULL, waits, NULL)) {
        free(lanes_take(&r->lanes, e->token, clock_mono_us()));
        give(r, e);
    } else {
        r->held++;
    }
}

static int rabbit_put(void *sink, const struct batch *batch, size_t from, size_t to,
                      uint64_t first_token, size_t *ret_taken, struct error *err)
{
    struct rabbit *r = sink;
    struct rabbit_session *s = r->session;
    size_t frame_max;
    *ret_taken = 0;
    int rc = may_put(r, &frame_max, err);
    if (rc) {
        r->open = r->open && err->class == ERROR_BUSY;
        return rc;
    }
    while (from + *ret_taken < to && r->next - r->taken + r->held <= s->mask) {
        const struct event *event = &batch->events[from + *ret_taken];
        struct rabbit_entry e;
        rc = rabbit_entry_make(&r->naming, event, frame_max, &e, err);
        if (rc) {
            break;
        }
        e.token = first_token + (*ret_taken)++;
        add(r, event->key, &e);
    }
    pthread_mutex_lock(&s->lock);
    s->put = r->next;
    pthread_mutex_unlock(&s->lock);
    rabbit_session_wake(s->wake_fd);
    return rc;
}

/* --- reports out --- */

/* The event is settled, and the next one of its key may go. */
static void settle(struct rabbit *r, uint64_t token)
{
    uint64_t next = 0;
    if (lanes_done(&r->lanes, token, &next) && next) {
        struct rabbit_entry *e = lanes_take(&r->lanes, next, clock_mono_us());
        r->held--;
        give(r, e);
        free(e);
    }
}

/* Takes results into the report. A poisoned one comes last, and its key stands still until the next
 * call. With the lock held. */
static void take_results(struct rabbit *r, struct sink_report *report)
{
    struct rabbit_session *s = r->session;
    size_t n = 0;
    while (n < s->results_count && n < SINK_REPORT_MAX && !r->refused) {
        const struct rabbit_result *result = &s->results[n++];
        const struct rabbit_entry *e = &s->ring[result->number & s->mask];
        uint64_t token = e->token;
        report->results[report->count++] = (struct sink_result){token, result->outcome};
        if (result->outcome == SINK_DELIVERED) {
            settle(r, token);
            continue;
        }
        r->refused = token;
        if (s->poison.class != ERROR_NONE) {
            report->error = s->poison;
        } else {
            rabbit_error_no_route(&report->error, e->exchange, e->routing_key);
        }
    }
    s->results_count -= n;
    memmove(s->results, s->results + n, s->results_count * sizeof *s->results);
    r->more = s->results_count > 0;
    if (!r->more) {
        r->taken = s->given;
    }
}

/* The pipeline has taken what was poisoned and goes on without a start (a dead letter that was sent
 * again): the session sends what it still has. With the lock held. */
static void go_on(struct rabbit *r)
{
    struct rabbit_session *s = r->session;
    if (!r->refused) {
        return;
    }
    settle(r, r->refused);
    r->refused = 0;
    if (s->results_count == 0) {
        s->hold = s->quiet = false;
        s->window = 1;
        rabbit_session_wake(s->wake_fd);
    }
}

/* What was put by others than `put`. With the lock held. */
static void tell_put(struct rabbit *r)
{
    struct rabbit_session *s = r->session;
    if (s->put != r->next) {
        s->put = r->next;
        rabbit_session_wake(s->wake_fd);
    }
}

/* A broker that has said connection.blocked may be silent; one that has not said it may not. */
static void watch(struct rabbit *r, bool is_blocked, const char *host)
{
    int64_t now = clock_mono_us(), deadline = stall_deadline(r);
    r->unblocked_us = is_blocked ? now : r->unblocked_us;
    int64_t stall = r->conf->net.stall_timeout_us;
    if (r->unblocked_us > 0 && deadline < r->unblocked_us + stall) {
        deadline = r->unblocked_us + stall;
    }
    if (r->failure.class == ERROR_NONE && now >= deadline) {
        error_set(
            &r->failure, ERROR_RETRY, "rabbitmq",
            "no confirm from %s for %.1f s; check the broker (rabbitmqctl status) and its queues; the connection is made again",
            host, (double)stall / 1e6);
        error_code(&r->failure, "stalled");
        rabbit_session_stop(r->session, true);
    }
}

static int rabbit_collect(void *sink, struct sink_report *report, struct error *err)
{
    struct rabbit *r = sink;
    struct rabbit_session *s = r->session;
    if (!r->open) {
        return RESULT_DONE;
    }
    rabbit_session_hush(s->told_fd);
    pthread_mutex_lock(&s->lock);
    go_on(r);
    take_results(r, report);
    tell_put(r);
    bool is_blocked = s->blocked;
    const char *host = s->hosts.items[s->host].shown;
    if (r->failure.class == ERROR_NONE) {
        r->failure = s->failure;
    }
    pthread_mutex_unlock(&s->lock);
    watch(r, is_blocked, host);
    /* What was confirmed is reported first, and the failure by the next call, alone. */
    if (report->count > 0 || r->failure.class == ERROR_NONE) {
        return RESULT_DONE;
    }
    r->open = false;
    *err = r->failure;
    return RESULT_ERROR;
}

static int rabbit_healthy(void *sink, struct error *err)
{
    size_t frame_max;
    return may_put(sink, &frame_max, err);
}

static const char *without_topic(const void *sink)
{
    const struct rabbit_naming *n = &((const struct rabbit *)sink)->naming;
    bool has = name_template_has_topic(n->exchange) || name_template_has_topic(n->routing_key);
    return has ? NULL : "sink.routing_key";
}

static int check(void *sink, finding_report *report, void *ctx, struct error *err)
{
    struct rabbit *r = sink;
    (void)err;
    CLEANUP(buf_release) struct buf key = {0};
    bool fixed = name_template_of_topic(r->naming.routing_key, r->env->fixed_topic, &key);
    rabbit_check(r->conf, &r->session->hosts, r->env->pipeline,
                 name_template_fixed(r->naming.exchange), fixed ? buf_str(&key) : NULL, report,
                 ctx);
    return RESULT_DONE;
}

const struct sink_ops sink_rabbitmq = {
    .name = "rabbitmq",
    .help = "RabbitMQ (AMQP 0-9-1), with publisher confirms",
    .keys = rabbit_conf_keys,
    .conf_size = sizeof(struct rabbit_conf),
    .url = {.shown = "amqp://HOST[:PORT][/VHOST]",
            .value = rabbit_conf_url_value,
            .key = "url",
            .check = rabbit_conf_url_check},
    .library = "librabbitmq",
    .library_version = amqp_version,
    .descriptors = rabbit_conf_descriptors,
    .caps = SINK_MESSAGES | SINK_SINGLE_FAULT,
    .open = rabbit_open,
    .start = rabbit_start,
    .poll_fds = rabbit_poll_fds,
    .put = rabbit_put,
    .collect = rabbit_collect,
    .close = rabbit_close,
    .healthy = rabbit_healthy,
    .without_topic = without_topic,
    .check = check,
};
