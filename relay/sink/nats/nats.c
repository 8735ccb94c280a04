/*
 * The sink nats: sends events to JetStream through cnats. An event is delivered when its stream has
 * acknowledged it (PubAck). The messages of one key are sent one after the other (lanes.h): so a
 * stream that refuses one of them never has a later one before it. The connection has a thread of
 * its own (link.h); here everything is the pipeline's thread.
 */
#include "base/log.h"
#include "base/memory.h"
#include "sink/kit/lanes.h"
#include "sink/nats/answers.h"
#include "sink/nats/check.h"
#include "sink/nats/link.h"
#include "sink/nats/message.h"
#include "sink/nats/missing.h"
#include "sink/nats/subject.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Links that were given up and have not ended: each may hang in a TLS handshake, which has no
 * deadline in libnats. */
enum { RETIRED_MAX = 4 };

#define CLOSE_WAIT_US (5 * US_PER_SECOND)
#define LOOK_US (20 * US_PER_MS) /* how often to look whether a link has ended */
/* So long beyond its timeouts a connection may take before it counts as hanging. */
#define DIAL_GRACE_US (2 * US_PER_SECOND)
/* Acknowledgements usually take milliseconds: from here on the pipeline is told that it waits. */
#define SLOW_US (2 * US_PER_SECOND)

struct nats {
    const struct nats_conf *conf;
    const struct sink_env *env;
    struct nats_servers servers;
    struct name_template *template;
    char subject[SUBJECT_SIZE]; /* of all events; "" if they differ */

    struct nats_link *link; /* NULL: none yet */
    int64_t dial_until_us;
    struct nats_link *retired[RETIRED_MAX];

    struct lanes lanes;
    struct nats_answers answers;
    uint64_t passed; /* the event that was reported as poison just now; 0: none */
    struct nats_missing missing;

    struct error failure; /* class not NONE: nothing more is sent until the next start */
    bool told;            /* the failure was returned to the pipeline */
    bool broken;          /* the link is of no use any more */
};

static bool has_failed(const struct nats *n)
{
    return n->failure.class != ERROR_NONE;
}

static void fail(struct nats *n, const struct error *err, bool broken)
{
    n->broken = n->broken || broken;
    if (!has_failed(n)) {
        n->failure = *err;
        n->told = false;
    }
}

static void drop_message(void *load)
{
    natsMsg_Destroy(load);
}

/* --- links --- */

static bool bury(struct nats *n)
{
    bool all = true;
    for (size_t i = 0; i < RETIRED_MAX; i++) {
        if (n->retired[i] && link_gone(n->retired[i])) {
            link_release(n->retired[i]);
            n->retired[i] = NULL;
        }
        all = all && !n->retired[i];
    }
    return all;
}

/* There is a free place: start makes a link only then. */
static void retire(struct nats *n)
{
    size_t i = 0;
    while (n->retired[i]) {
        i++;
    }
    link_end(n->link);
    n->retired[i] = n->link;
    n->link = NULL;
    n->broken = false;
}

static int dial(struct nats *n, struct error *err)
{
    size_t hanging = 0;
    bury(n);
    for (size_t i = 0; i < RETIRED_MAX; i++) {
        hanging += n->retired[i] != NULL;
    }
    if (hanging == RETIRED_MAX) {
        return error_set(err, ERROR_RETRY, "nats",
                         "%d connections to %s hang while they end; see whether the server or the "
                         "network stands still, or restart the relay",
                         RETIRED_MAX, n->conf->servers);
    }
    n->dial_until_us =
        clock_mono_us() + n->servers.count * n->conf->net.connect_timeout_us + DIAL_GRACE_US;
    return link_new(n->conf, &n->servers, n->env->pipeline, &n->link, err);
}

static int still_connecting(struct nats *n, struct error *err)
{
    if (clock_mono_us() < n->dial_until_us) {
        return RESULT_AGAIN;
    }
    retire(n);
    return error_set(
        err, ERROR_RETRY, "nats",
        "no connection to %s within connect_timeout, and no refusal; see whether names resolve, and whether the server stands still",
        n->conf->servers);
}

/* --- life --- */

static void nats_close(void *sink)
{
    struct nats *n = sink;
    if (!n) {
        return;
    }
    if (n->link) {
        retire(n);
    }
    int64_t deadline = clock_mono_us() + CLOSE_WAIT_US;
    bool over;
    while (!(over = bury(n)) && clock_mono_us() < deadline) {
        struct poll_set set;
        poll_set_clear(&set);
        poll_set_deadline(&set, clock_mono_us() + LOOK_US);
        poll_set_wait(&set);
    }
    if (!over && n->env->note) {
        n->env->note(n->env->note_ctx, LOG_WARN,
                     "a connection to NATS did not end within 5 s and is left behind");
    }
    for (size_t i = 0; i < RETIRED_MAX; i++) {
        link_release(n->retired[i]);
    }
    link_answers_release(&n->answers);
    lanes_release(&n->lanes);
    name_template_free(n->template);
    free(n);
}

static int nats_open(const void *conf, const struct sink_env *env, void **ret_sink,
                     size_t *ret_max_event, struct error *err)
{
    struct nats *n = memory_need(calloc(1, sizeof *n));
    natsOptions *options = NULL;
    n->conf = conf;
    n->env = env;
    if (nats_conf_check(n->conf, &n->servers, err) ||
        subject_template(n->conf->subject, env->fixed_topic, &n->template, n->subject, err) ||
        nats_dial_options(n->conf, &n->servers, env->pipeline, &options, err)) {
        name_template_free(n->template);
        free(n);
        return RESULT_ERROR;
    }
    natsOptions_Destroy(options); /* they were made to check certificates and credentials */
    net_conf_note_risks(&n->conf->net, n->servers.tls, env);
    lanes_init(&n->lanes, env->max_in_flight, drop_message);
    *ret_max_event = 0; /* the server says it when it is there: see message.h */
    *ret_sink = n;
    return RESULT_DONE;
}

static int nats_start(void *sink, uint64_t next_number UNUSED, struct error *err)
{
    struct nats *n = sink;
    lanes_clear(&n->lanes);
    n->passed = 0;
    if (n->link && n->broken) {
        retire(n);
    }
    error_clear(&n->failure);
    if (!n->link && dial(n, err)) {
        return RESULT_ERROR;
    }
    link_clear(n->link);
    struct error why;
    enum link_state state = link_state(n->link, &why);
    if (state == LINK_CONNECTING) {
        return still_connecting(n, err);
    }
    if (why.class != ERROR_NONE) {
        *err = why;
        retire(n);
        return RESULT_ERROR;
    }
    link_forget(n->link);
    return RESULT_DONE;
}

/* --- events in --- */

static void send_one(struct nats *n, uint64_t token)
{
    link_stage(n->link, lanes_take(&n->lanes, token, clock_mono_us()));
}

static int make(const struct nats *n, const struct event *e, uint64_t token, bool apart,
                natsMsg **ret, struct error *err)
{
    char reply[LINK_REPLY_SIZE];
    struct nats_target to = {.subject = n->template,
                             .expect_stream = n->conf->expect_stream,
                             .max_payload = link_max_payload(n->link),
                             .apart = apart};
    link_reply(n->link, token, apart, reply);
    return nats_message(&to, e, reply, ret, err);
}

static int put_one(struct nats *n, const struct event *e, uint64_t token, struct error *err)
{
    natsMsg *msg = NULL;
    if (make(n, e, token, e->copy, &msg, err)) {
        return RESULT_ERROR;
    }
    if (lanes_add(&n->lanes, token, e->key, msg, e)) {
        send_one(n, token);
    }
    return RESULT_DONE;
}

static int nats_put(void *sink, const struct batch *batch, size_t from, size_t to,
                    uint64_t first_token, size_t *ret_taken, struct error *err)
{
    struct nats *n = sink;
    int rc = RESULT_DONE;
    *ret_taken = 0;
    if (has_failed(n)) {
        return RESULT_DONE; /* the next collect says why */
    }
    if (!n->link) {
        return error_set(err, ERROR_RETRY, "nats", "there is no connection; start makes one");
    }
    for (size_t i = from; i < to && rc == RESULT_DONE && n->lanes.open < n->env->max_in_flight;
         i++) {
        rc = put_one(n, &batch->events[i], first_token + (i - from), err);
        *ret_taken += rc == RESULT_DONE;
    }
    link_send(n->link);
    return rc;
}

/* --- reports out --- */

/* The event is settled, and the next one of its key may go. False: it is of before the last start.
 */
static bool settle(struct nats *n, uint64_t token)
{
    uint64_t next = 0;
    if (!lanes_done(&n->lanes, token, &next)) {
        return false;
    }
    if (next && !has_failed(n)) {
        send_one(n, next);
    }
    return true;
}

/* False: it is of before the last start. */
static bool take_stored(struct nats *n, uint64_t token)
{
    char subject[SUBJECT_SIZE] = "";
    if (n->missing.count > 0 && lanes_about(&n->lanes, token)) {
        subject_shown(n->template, lanes_about(&n->lanes, token), "", subject);
    }
    if (!settle(n, token)) {
        return false;
    }
    nats_missing_stored(&n->missing, subject, clock_mono_us());
    return true;
}

static void explain(const struct nats *n, uint64_t token, const natsMsg *refusal, struct error *ret)
{
    char subject[SUBJECT_SIZE];
    subject_shown(n->template, lanes_about(&n->lanes, token), n->conf->subject, subject);
    nats_refusal(refusal, subject, ret);
}

static void take_refusal(struct nats *n, uint64_t token, natsMsg *take_refusal)
{
    struct error err;
    if (!lanes_about(&n->lanes, token)) {
        natsMsg_Destroy(take_refusal); /* of before the last start */
        return;
    }
    explain(n, token, take_refusal, &err);
    if (error_is(&err, NATS_NO_STREAM)) {
        char subject[SUBJECT_SIZE];
        subject_shown(n->template, lanes_about(&n->lanes, token), n->conf->subject, subject);
        nats_missing_seen(&n->missing, subject, !*n->subject, n->conf->net.connect_timeout_us,
                          clock_mono_us(), &err);
    }
    if (err.class != ERROR_POISON) {
        natsMsg_Destroy(take_refusal);
        fail(n, &err, false);
    } else if (!lanes_refuse(&n->lanes, token, take_refusal)) {
        natsMsg_Destroy(take_refusal); /* it was refused twice */
    }
}

/* The stream has dropped a message because it knows the event's id. For an event that is sent once
 * more after a failure that is right: the stream has it. A retried dead letter and a replay are
 * sent on purpose: they go again with an id of their own. */
static bool was_dropped(struct nats *n, const struct nats_answer *answer)
{
    struct error err;
    natsMsg *msg = NULL;
    const struct event *e = answer->known ? lanes_about(&n->lanes, answer->token) : NULL;
    if (!e || slice_is_null(e->again)) {
        return false;
    }
    if (has_failed(n)) {
        return true; /* it is put again */
    }
    if (make(n, e, answer->token, true, &msg, &err)) {
        fail(n, &err, false);
    } else {
        link_stage(n->link, msg);
    }
    return true;
}

static void take_answers(struct nats *n, struct sink_report *report)
{
    struct nats_answers *a = &n->answers;
    while (report->count < SINK_REPORT_MAX - 1) {
        if (a->at == a->count) {
            link_answers(n->link, a);
        }
        if (a->at == a->count) {
            return;
        }
        struct nats_answer *next = &a->items[a->at++];
        if (was_dropped(n, next)) {
            continue;
        }
        if (next->refusal) {
            take_refusal(n, next->token, next->refusal);
        } else if (take_stored(n, next->token)) {
            report->results[report->count++] = (struct sink_result){next->token, SINK_DELIVERED};
        }
    }
}

static int64_t stall_deadline(const struct nats *n)
{
    int64_t oldest = lanes_oldest_us(&n->lanes);
    return oldest == DEADLINE_NEVER ? DEADLINE_NEVER : oldest + n->conf->net.stall_timeout_us;
}

/* The link's own failures, and messages that are never acknowledged. */
static void watch(struct nats *n)
{
    struct error err;
    enum link_state state = link_state(n->link, &err);
    if (state == LINK_DOWN || err.class != ERROR_NONE) {
        fail(n, &err, true);
    } else if (clock_mono_us() >= stall_deadline(n)) {
        error_set(&err, ERROR_RETRY, "nats",
                  "no acknowledgement from %s for %.1f s; see whether the server stands still, and "
                  "whether a stream takes the subject: who only subscribes to it acknowledges "
                  "nothing; a new connection is tried",
                  link_url(n->link), (double)n->conf->net.stall_timeout_us / 1e6);
        error_code(&err, "stalled");
        fail(n, &err, true);
    }
}

/* A refused event is reported when all before it are settled: then it is the first that the
 * pipeline puts again, after a start. Its key stands still until then; were there no start, it
 * would go on with the next call. */
static void add_poison(struct nats *n, struct sink_report *report)
{
    const natsMsg *refusal = lanes_first_refused(&n->lanes);
    if (refusal) {
        n->passed = lanes_first(&n->lanes);
        explain(n, n->passed, refusal, &report->error);
        report->error.class = ERROR_POISON; /* also where no stream takes its subject */
        report->results[report->count++] = (struct sink_result){n->passed, SINK_POISON};
    }
}

static int nats_collect(void *sink, struct sink_report *report, struct error *err)
{
    struct nats *n = sink;
    if (!n->link) {
        return RESULT_DONE;
    }
    link_clear(n->link);
    if (n->passed) {
        settle(n, n->passed);
        n->passed = 0;
    }
    take_answers(n, report);
    link_send(n->link);
    if (!has_failed(n)) {
        watch(n);
    }
    if (!has_failed(n)) {
        add_poison(n, report);
    }
    /* What was delivered is reported first; the failure is returned by the next call, alone. */
    if (!has_failed(n) || n->told || report->count > 0) {
        return RESULT_DONE;
    }
    n->told = true;
    *err = n->failure;
    return RESULT_ERROR;
}

static void nats_poll_fds(void *sink, struct poll_set *set)
{
    struct nats *n = sink;
    if (!n->link || (has_failed(n) && n->told)) {
        return; /* nobody collects before the next start */
    }
    poll_set_add(set, link_fd(n->link), POLLIN);
    struct error ignored;
    if (link_state(n->link, &ignored) == LINK_CONNECTING) {
        poll_set_deadline(set, n->dial_until_us);
    } else if (n->answers.at < n->answers.count || n->passed || has_failed(n)) {
        poll_set_deadline(set, clock_mono_us());
    } else {
        poll_set_deadline(set, stall_deadline(n));
    }
}

static int nats_healthy(void *sink, struct error *err)
{
    struct nats *n = sink;
    if (has_failed(n)) {
        *err = n->failure;
        return RESULT_ERROR;
    }
    int64_t oldest = lanes_oldest_us(&n->lanes), now = clock_mono_us();
    if (oldest == DEADLINE_NEVER || now - oldest < SLOW_US) {
        return RESULT_DONE;
    }
    return error_set(err, ERROR_BUSY, "nats",
                     "%s is slow: %zu messages pending, the oldest without acknowledgement for "
                     "%.1f s",
                     link_url(n->link), n->lanes.open, (double)(now - oldest) / 1e6);
}

static const char *without_topic(const void *sink)
{
    const struct nats *n = sink;
    return name_template_has_topic(n->template) ? NULL : "sink.subject";
}

static int check(void *sink, finding_report *report, void *ctx, struct error *err)
{
    struct nats *n = sink;
    return nats_check(n->conf, &n->servers, *n->subject ? n->subject : NULL, n->env, report, ctx,
                      err);
}

const struct sink_ops sink_nats = {
    .name = "nats",
    .help = "NATS JetStream, through cnats; delivered when the stream has acknowledged it",
    .keys = nats_conf_keys,
    .conf_size = sizeof(struct nats_conf),
    .url = {.shown = "nats://HOST:PORT[,nats://HOST:PORT]",
            .value = nats_conf_url_value,
            .key = "servers",
            .check = nats_conf_url_check},
    .library = "cnats",
    .library_version = nats_GetVersion,
    .descriptors = nats_conf_descriptors,
    .caps = SINK_MESSAGES | SINK_SINGLE_FAULT,
    .open = nats_open,
    .start = nats_start,
    .poll_fds = nats_poll_fds,
    .put = nats_put,
    .collect = nats_collect,
    .close = nats_close,
    .healthy = nats_healthy,
    .without_topic = without_topic,
    .check = check,
};
