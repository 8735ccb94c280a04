/*
 * Takes reports, errors and log lines from librdkafka, and decides when the producer has failed.
 * After a failure nothing more is sent (failure.c): no later message of a key may overtake the
 * failed one.
 */
#include "sink/kafka/internal.h"

#include "base/log.h"
#include "sink/kafka/errors.h"

#include <stdio.h>
#include <unistd.h>

static void note_finding(void *ctx, int exit_code, const char *text, const char *remedy)
{
    char line[1024];
    (void)exit_code;
    snprintf(line, sizeof line, "%s; %s", text, remedy);
    kafka_note(ctx, LOG_WARN, line);
}

/* Logs that a topic is there which was logged as missing. This is learnt from the answer about its
 * limits or from a delivery, whichever comes first: a broker may create the topic with the first
 * message. */
static void note_topic_there(struct kafka *k, const char *topic)
{
    char line[512];
    if (!kafka_limits_missing(&k->limits) || strcmp(topic, k->limits.topic) != 0) {
        return;
    }
    snprintf(line, sizeof line, "topic %s is there now", topic);
    kafka_note(k, LOG_INFO, line);
    k->limits = (struct kafka_limits){0};
}

static void note_limits(struct kafka *k, const struct kafka_limits *l)
{
    const struct kafka_limits *told = &k->limits;
    if (!l->code) {
        note_topic_there(k, l->topic);
    }
    if (l->topic[0] && (l->code != told->code || l->max_message_bytes != told->max_message_bytes ||
                        strcmp(l->topic, told->topic) != 0)) {
        kafka_limits_compare(l, k->template, l->topic, note_finding, k);
        k->limits = *l;
    }
}

/* Takes the answer about a topic's limits. A batch larger than the topic takes would fail as a
 * whole again and again, so the producers from now on make smaller ones. */
static void adopt_limits(struct kafka *k, rd_kafka_event_t *ev)
{
    struct kafka_limits limits;
    char text[512];
    kafka_limits_read(ev, &limits);
    note_limits(k, &limits);
    k->limits_known =
        k->limits_known || (!limits.code && strcmp(limits.topic, k->limits_topic) == 0);
    if (limits.max_message_bytes > 0 &&
        kafka_conf_number(k->template, "batch.size") > limits.max_message_bytes) {
        char value[24];
        snprintf(value, sizeof value, "%lld", (long long)limits.max_message_bytes);
        rd_kafka_conf_set(k->template, "batch.size", value, text, sizeof text);
    }
}

/* A topic refused a message for its size: the limit has changed, or was never asked for because
 * events name their topics. The next producer asks. */
static void doubt_limits(struct kafka *k, const char *topic)
{
    k->limits_known = false;
    snprintf(k->limits_topic, sizeof k->limits_topic, "%s", topic);
}

/* The producer itself has given up. With the gapless guarantee the report of the message at fault
 * follows and says more, so it is waited for. */
void kafka_take_fatal(struct kafka *k)
{
    char text[512];
    rd_kafka_resp_err_t code = rd_kafka_fatal_error(k->rk, text, sizeof text);
    if (code == RD_KAFKA_RESP_ERR__GAPLESS_GUARANTEE) {
        k->gapless_at_us = k->gapless_at_us ? k->gapless_at_us : clock_mono_us();
    } else if (code) {
        kafka_fail_as(k, code, false, NULL, text);
    }
}

static void take_error(struct kafka *k, rd_kafka_event_t *ev)
{
    rd_kafka_resp_err_t code = rd_kafka_event_error(ev);
    k->txn.doubtful = k->txn.doubtful || k->txn.state == TXN_COMMITTING;
    if (code == RD_KAFKA_RESP_ERR__FATAL || rd_kafka_event_error_is_fatal(ev)) {
        kafka_take_fatal(k);
        return;
    }
    /* "All brokers are down" says less than the error that a broker reported before. */
    if (code == RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN && k->trouble.code) {
        k->trouble.at_us = clock_mono_us();
        return;
    }
    k->trouble.code = code;
    k->trouble.at_us = clock_mono_us();
    snprintf(k->trouble.text, sizeof k->trouble.text, "%s", rd_kafka_event_error_string(ev));
}

static void take_log(struct kafka *k, rd_kafka_event_t *ev)
{
    const char *facility, *text;
    int level; /* level as in syslog */
    /* Warnings about the configuration were logged once, by `open`. */
    if (rd_kafka_event_log(ev, &facility, &text, &level) == 0 &&
        strcmp(facility, "CONFWARN") != 0) {
        char line[1024];
        snprintf(line, sizeof line, "librdkafka %s: %s", facility, text);
        kafka_note(k, level <= 4 ? LOG_WARN : level <= 6 ? LOG_INFO : LOG_DEBUG, line);
    }
}

/* A time of 0 says that the last answer named none. The time before may not be over yet. */
void kafka_throttled(rd_kafka_t *rk UNUSED, const char *broker, int32_t id, int ms, void *opaque)
{
    struct kafka *k = opaque;
    int64_t until = clock_mono_us() + ms * US_PER_MS;
    if (ms > 0 && until > k->quota.until_us) {
        k->quota.until_us = until;
        k->quota.ms = ms;
        snprintf(k->quota.broker, sizeof k->quota.broker, "%d (%.100s)", (int)id, broker);
    }
}

int64_t kafka_stall_deadline(const struct kafka *k)
{
    int64_t deadline = kafka_window_deadline(&k->window);
    int64_t after_quota = k->quota.until_us + k->conf->stall_timeout_us;
    return k->quota.until_us > 0 && after_quota > deadline ? after_quota : deadline;
}

/* Checks the time limits: a producer that reports nothing for too long counts as failed. */
static void watch(struct kafka *k)
{
    int64_t now = clock_mono_us();
    if (kafka_has_failed(k)) {
        return;
    }
    if (k->gapless_at_us && now - k->gapless_at_us >= KAFKA_GAPLESS_WAIT_US) {
        kafka_fail_as(k, RD_KAFKA_RESP_ERR__GAPLESS_GUARANTEE, false, NULL, NULL);
    } else if (now >= kafka_stall_deadline(k)) {
        struct error err;
        error_set(
            &err, ERROR_RETRY, "kafka",
            "no acknowledgement from %s for %.1f s; last error: %s; check the brokers and the topic's in-sync replicas (min.insync.replicas); a new producer is tried",
            k->conf->brokers, (double)k->conf->stall_timeout_us / 1e6,
            k->trouble.code ? k->trouble.text : "none, the broker is silent");
        error_code(&err, "stalled");
        kafka_fail_with(k, &err);
    }
}

static uint64_t token_of(const rd_kafka_message_t *m)
{
    return (uint64_t)(uintptr_t)m->_private & ~KAFKA_ADDRESSED;
}

static bool is_addressed(const rd_kafka_message_t *m)
{
    return (uint64_t)(uintptr_t)m->_private & KAFKA_ADDRESSED;
}

/* The report of a record that exactly_once sends beside the events. */
static bool is_record(const rd_kafka_message_t *m)
{
    return (uint64_t)(uintptr_t)m->_private == KAFKA_RECORD;
}

static void take_record(struct kafka *k, const rd_kafka_message_t *m)
{
    if (!m->err) {
        k->txn.written = m->offset; /* the position record is the last one */
    } else if (kafka_scope_of(m->err) != KAFKA_AFTERMATH && m->err != RD_KAFKA_RESP_ERR__FATAL) {
        kafka_fail_as(k, m->err, false, rd_kafka_topic_name(m->rkt), NULL);
    }
}

static void add_result(struct sink_report *report, const rd_kafka_message_t *m,
                       enum sink_outcome outcome)
{
    report->results[report->count++] = (struct sink_result){token_of(m), outcome};
}

/* Takes one delivery report. False: a failure was added, which must be the last entry of its
 * report. */
static bool take_report(struct kafka *k, const rd_kafka_message_t *m, struct sink_report *report)
{
    if (is_record(m)) {
        take_record(k, m);
        return true;
    }
    kafka_window_done(&k->window, token_of(m));
    kafka_hurry_reported(&k->hurry);
    if (!m->err) {
        k->trouble.code = RD_KAFKA_RESP_ERR_NO_ERROR;
        note_topic_there(k, rd_kafka_topic_name(m->rkt));
        if (!k->txn.on) { /* else a consumer sees it only after the commit */
            add_result(report, m, SINK_DELIVERED);
        }
        return true;
    }
    if (kafka_has_failed(k) || kafka_scope_of(m->err) == KAFKA_AFTERMATH) {
        return true;
    }
    if (m->err == RD_KAFKA_RESP_ERR__FATAL) {
        kafka_take_fatal(k);
        return true;
    }
    if (m->err == RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE) {
        doubt_limits(k, rd_kafka_topic_name(m->rkt));
    }
    /* rd_kafka_message_errstr must not be used: for a produced message it returns the payload. */
    kafka_fail_as(k, m->err, is_addressed(m), rd_kafka_topic_name(m->rkt), NULL);
    if (kafka_scope_of(m->err) == KAFKA_SINK) {
        return true;
    }
    report->error = k->failure;
    add_result(report, m, k->failure.class == ERROR_POISON ? SINK_POISON : SINK_RETRY);
    k->told = true;
    k->one_failed = true;
    return false;
}

/* True when all reports of the event are taken. */
static bool take_deliveries(struct kafka *k, rd_kafka_event_t *ev, struct sink_report *report)
{
    while (report->count < SINK_REPORT_MAX) {
        const rd_kafka_message_t *m = rd_kafka_event_message_next(ev);
        if (!m) {
            return true;
        }
        if (!take_report(k, m, report)) {
            break;
        }
    }
    return false;
}

static bool take_event(struct kafka *k, rd_kafka_event_t *ev, struct sink_report *report)
{
    switch (rd_kafka_event_type(ev)) {
    case RD_KAFKA_EVENT_DR:
        return take_deliveries(k, ev, report);
    case RD_KAFKA_EVENT_ERROR:
        take_error(k, ev);
        return true;
    case RD_KAFKA_EVENT_LOG:
        take_log(k, ev);
        return true;
    case RD_KAFKA_EVENT_DESCRIBECONFIGS_RESULT:
        adopt_limits(k, ev);
        return true;
    default:
        return true;
    }
}

/* The wake-up comes only when an empty queue gets its first event. So all events are taken, or
 * `more` says that some are left. */
static void take_events(struct kafka *k, struct sink_report *report)
{
    uint64_t n;
    ssize_t rc UNUSED = read(k->wake_fd, &n, sizeof n);
    k->more = false;
    while (true) {
        rd_kafka_event_t *ev = k->partial ? k->partial : rd_kafka_queue_poll(k->queue, 0);
        k->partial = NULL;
        if (!ev) {
            return;
        }
        if (!take_event(k, ev, report)) {
            k->partial = ev;
            k->more = true;
            return;
        }
        rd_kafka_event_destroy(ev);
    }
}

int kafka_collect(void *sink, struct sink_report *report, struct error *err)
{
    struct kafka *k = sink;
    if (!k->rk || k->purged) {
        return RESULT_DONE;
    }
    take_events(k, report);
    kafka_txn_collect(k, report);
    watch(k);
    if (!kafka_has_failed(k)) {
        kafka_hurry_on(&k->hurry, k->rk, k->window.open);
    }
    /* Deliveries are reported first, and a failure of the sink is returned by the next call, alone.
     * After the failure of one event, the reports of others are still true, and save sending them
     * again. */
    if (!kafka_has_failed(k) || k->one_failed || report->count > 0) {
        return RESULT_DONE;
    }
    k->told = true;
    *err = k->failure;
    return RESULT_ERROR;
}
