/*
 * What this sink calls delivered, all in-sync replicas have; after any failure it goes on with a
 * new producer only, so that no later message of a key can pass an earlier one.
 */
#include "base/log.h"
#include "pipeline/sink.h"
#include "sink/kafka_conf.h"
#include "sink/kafka_errors.h"
#include "sink/kafka_graves.h"
#include "sink/kafka_limits.h"
#include "sink/kafka_topics.h"
#include "sink/kafka_window.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

_Static_assert(sizeof(uintptr_t) >= sizeof(uint64_t), "a token travels in a pointer");

enum {
    MESSAGE_OVERHEAD =
        36, /* the least librdkafka adds to a value when it compares with message.max.bytes */
    LIMITS_WAIT_MS = 10000,
    CHECK_WAIT_MS = 5000,
};

#define TEARDOWN_PATIENCE_US (30 * US_PER_SECOND) /* then it is said aloud what hangs */
#define TEARDOWN_LOOK_US (20 * US_PER_MS)
#define GAPLESS_WAIT_US \
    (1 * US_PER_SECOND) /* for the report that says why a message failed for good */
#define TROUBLE_LIFE_US \
    (60 * US_PER_SECOND) /* librdkafka repeats an error that lasts at least every 30 s */
#define CLOSE_WAIT_US (5 * US_PER_SECOND)

struct kafka {
    const struct kafka_conf *conf;
    const struct sink_env *env;
    rd_kafka_conf_t *template;
    struct kafka_topics *topics;
    struct kafka_graves graves;
    int wake_fd; /* an eventfd: librdkafka writes it when its queue stops being empty */

    /* One producer's life. */
    rd_kafka_t *rk;
    rd_kafka_queue_t *queue;
    rd_kafka_event_t *partial; /* delivery reports that did not all fit into the last report */
    bool purged;               /* it is being torn down */
    int64_t purged_at_us;
    bool more;             /* the queue may hold what no wake-up announces again */
    int64_t gapless_at_us; /* when it said that a message failed for good, without which; 0 */
    struct error failure;  /* class not NONE: this producer is done for */
    bool told;             /* the pipeline knows */
    bool one_failed;       /* the failure was one event's, given as an entry of a report */
    struct kafka_window window;

    struct {
        rd_kafka_resp_err_t code; /* NO_ERROR: none */
        int64_t at_us;
        char text[512];
    } trouble; /* last heard from the world outside */
    bool limits_known;
};

static void note(const struct kafka *k, int level, const char *text)
{
    if (k->env->note) {
        k->env->note(k->env->note_ctx, level, text);
    }
}

/* --- the producer's life
 * ----------------------------------------------------------------------------------- */

static void note_finding(void *ctx, bool fault, const char *text, const char *remedy)
{
    char line[1024];
    (void)fault;
    snprintf(line, sizeof line, "%s; %s", text, remedy);
    note(ctx, LOG_WARN, line);
}

/* A batch larger than the topic takes would fail as a whole for ever: the producers from now on
 * make smaller ones. */
static void adopt_limits(struct kafka *k, rd_kafka_event_t *ev)
{
    struct kafka_limits limits;
    char text[512];
    kafka_limits_read(ev, &limits);
    kafka_limits_compare(&limits, k->template, k->env->fixed_topic, note_finding, k);
    if (limits.max_message_bytes > 0 &&
        kafka_conf_number(k->template, "batch.size") > limits.max_message_bytes) {
        char value[24];
        snprintf(value, sizeof value, "%lld", (long long)limits.max_message_bytes);
        rd_kafka_conf_set(k->template, "batch.size", value, text, sizeof text);
    }
}

static int start_producer(struct kafka *k, struct error *err)
{
    rd_kafka_t *rk;
    if (kafka_conf_producer(k->template, &rk, err) < 0) {
        return RESULT_ERROR;
    }
    static const uint64_t one = 1;
    k->rk = rk;
    k->queue = rd_kafka_queue_get_main(rk);
    rd_kafka_set_log_queue(rk, k->queue);
    rd_kafka_queue_io_event_enable(k->queue, k->wake_fd, &one, sizeof one);
    k->purged = false;
    k->more = true; /* what came before the wake-up was enabled */
    k->gapless_at_us = 0;
    k->told = false;
    k->one_failed = false;
    error_clear(&k->failure);
    kafka_window_init(&k->window, k->conf->stall_timeout_us);
    if (!k->limits_known && k->env->fixed_topic) {
        k->limits_known = true;
        kafka_limits_ask(rk, k->queue, k->env->fixed_topic, LIMITS_WAIT_MS);
    }
    return RESULT_DONE;
}

static void drop_reports(struct kafka *k)
{
    uint64_t n;
    ssize_t rc UNUSED = read(k->wake_fd, &n, sizeof n);
    if (k->partial) {
        rd_kafka_event_destroy(k->partial);
        k->partial = NULL;
    }
    for (rd_kafka_event_t *ev; (ev = rd_kafka_queue_poll(k->queue, 0));) {
        rd_kafka_event_destroy(ev);
    }
}

/* Takes all messages back from the producer. DONE once it refers to no payload any more, neither
 * queued nor on the wire: before that nobody may free them. */
static bool let_go(struct kafka *k)
{
    if (!k->purged) {
        k->purged = true;
        k->purged_at_us = clock_mono_us();
        rd_kafka_purge(k->rk, RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT |
                                  RD_KAFKA_PURGE_F_NON_BLOCKING);
    }
    drop_reports(k);
    return rd_kafka_outq_len(k->rk) == 0;
}

static int teardown_again(struct kafka *k, const char *what, struct error *err)
{
    if (clock_mono_us() - k->purged_at_us < TEARDOWN_PATIENCE_US) {
        return RESULT_AGAIN;
    }
    k->purged_at_us = clock_mono_us();
    return error_set(err, ERROR_RETRY, "kafka",
                     "an old producer for %s cannot be ended: %s; check name resolution and the "
                     "brokers, or restart "
                     "the relay",
                     k->conf->brokers, what);
}

/* Ends the living producer, if any. */
static int tear_down(struct kafka *k, struct error *err)
{
    if (!k->rk) {
        return RESULT_DONE;
    }
    if (!let_go(k)) {
        return teardown_again(k, "it still holds messages", err);
    }
    kafka_topics_drop_handles(k->topics);
    int rc = kafka_graves_bury(&k->graves, k->rk, err);
    if (rc == RESULT_AGAIN) {
        return teardown_again(k, "two before it still hang", err);
    }
    if (rc == RESULT_DONE) {
        rd_kafka_queue_destroy(k->queue);
        k->queue = NULL;
        k->rk = NULL;
    }
    return rc;
}

static int kafka_start(void *sink, uint64_t next_number, struct error *err)
{
    struct kafka *k = sink;
    (void)next_number; /* only batches have numbers */
    int rc = tear_down(k, err);
    return rc == RESULT_DONE ? start_producer(k, err) : rc;
}

static void kafka_close(void *sink)
{
    struct kafka *k = sink;
    if (!k) {
        return;
    }
    struct error ignored;
    int64_t deadline = clock_mono_us() + CLOSE_WAIT_US;
    int rc = RESULT_AGAIN;
    while ((rc = tear_down(k, &ignored)) == RESULT_AGAIN && clock_mono_us() < deadline) {
        struct poll_set set;
        poll_set_clear(&set);
        poll_set_add(&set, k->wake_fd, POLLIN);
        poll_set_deadline(&set, clock_mono_us() + TEARDOWN_LOOK_US);
        poll_set_wait(&set);
    }
    if (!kafka_graves_close(&k->graves, deadline - clock_mono_us()) || rc != RESULT_DONE) {
        /* It ends by itself or with the process; what its threads may still touch is left to it. */
        note(k, LOG_WARN, "a Kafka producer did not end within 5 s and is left behind");
        return;
    }
    rd_kafka_conf_destroy(k->template);
    kafka_topics_free(k->topics);
    close(k->wake_fd);
    free(k);
}

static int kafka_open(const void *conf, const struct sink_env *env, void **ret_sink,
                      size_t *ret_max_event, struct error *err)
{
    rd_kafka_conf_t *template;
    if (kafka_conf_build(conf, env, &template, err) < 0) {
        return RESULT_ERROR;
    }
    struct kafka *k = calloc(1, sizeof *k);
    int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (!k || fd < 0) {
        error_errno(err, "kafka", errno, "cannot make the wake-up descriptor of the sink");
        rd_kafka_conf_destroy(template);
        free(k);
        if (fd >= 0) {
            close(fd);
        }
        return RESULT_ERROR;
    }
    char partitioner[KAFKA_VALUE_SIZE];
    kafka_conf_text(template, "partitioner", partitioner);
    k->conf = conf;
    k->env = env;
    k->template = template;
    k->wake_fd = fd;
    k->topics = kafka_topics_new(env, kafka_partitioner_of(partitioner));
    kafka_conf_note_risks(template, env);
    *ret_max_event = (size_t)kafka_conf_number(template, "message.max.bytes") - MESSAGE_OVERHEAD;
    *ret_sink = k;
    return RESULT_DONE;
}

/* --- failures
 * ---------------------------------------------------------------------------------------------- */

static bool has_failed(const struct kafka *k)
{
    return k->failure.class != ERROR_NONE;
}

/* What is queued would pass what has failed; what is on the wire may still report that it has
 * arrived. */
static void stop_sending(struct kafka *k)
{
    rd_kafka_purge(k->rk, RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_NON_BLOCKING);
}

static void fail(struct kafka *k, rd_kafka_resp_err_t code, const char *topic, const char *detail)
{
    if (!has_failed(k)) {
        kafka_error(&k->failure, code, topic, detail);
        stop_sending(k);
    }
}

/* The instance itself has given up. With the gapless guarantee the guilty message's own report
 * follows, and says more. */
static void take_fatal(struct kafka *k)
{
    char text[512];
    rd_kafka_resp_err_t code = rd_kafka_fatal_error(k->rk, text, sizeof text);
    if (code == RD_KAFKA_RESP_ERR__GAPLESS_GUARANTEE) {
        k->gapless_at_us = clock_mono_us();
    } else if (code) {
        fail(k, code, NULL, text);
    }
}

static void take_error(struct kafka *k, rd_kafka_event_t *ev)
{
    rd_kafka_resp_err_t code = rd_kafka_event_error(ev);
    if (code == RD_KAFKA_RESP_ERR__FATAL || rd_kafka_event_error_is_fatal(ev)) {
        take_fatal(k);
        return;
    }
    /* That all brokers are down says less than what each of them said before. */
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
    int level; /* syslog's */
    /* Doubts about the configuration were noted once, by open. */
    if (rd_kafka_event_log(ev, &facility, &text, &level) == 0 &&
        strcmp(facility, "CONFWARN") != 0) {
        char line[1024];
        snprintf(line, sizeof line, "librdkafka %s: %s", facility, text);
        note(k, level <= 4 ? LOG_WARN : level <= 6 ? LOG_INFO : LOG_DEBUG, line);
    }
}

/* Time limits: a producer that says nothing is as good as failed. */
static void watch(struct kafka *k)
{
    int64_t now = clock_mono_us();
    if (has_failed(k)) {
        return;
    }
    if (k->gapless_at_us && now - k->gapless_at_us >= GAPLESS_WAIT_US) {
        fail(k, RD_KAFKA_RESP_ERR__GAPLESS_GUARANTEE, NULL, NULL);
    } else if (now >= kafka_window_deadline(&k->window)) {
        error_set(&k->failure, ERROR_RETRY, "kafka",
                  "no acknowledgement from %s for %.1f s; last error: %s; a new producer is needed",
                  k->conf->brokers, (double)k->conf->stall_timeout_us / 1e6,
                  k->trouble.code ? k->trouble.text : "none, the broker is silent");
        snprintf(k->failure.code, sizeof k->failure.code, "stalled");
        stop_sending(k);
    }
}

/* --- events in and reports out
 * ------------------------------------------------------------------------------ */

static void add_result(struct sink_report *report, const rd_kafka_message_t *m,
                       enum sink_outcome outcome)
{
    uint64_t token = (uint64_t)(uintptr_t)m->_private;
    report->results[report->count++] = (struct sink_result){token, outcome};
}

/* False after a failure was added: it is the last entry of its report. */
static bool take_report(struct kafka *k, const rd_kafka_message_t *m, struct sink_report *report)
{
    kafka_window_done(&k->window, (uint64_t)(uintptr_t)m->_private);
    if (!m->err) {
        k->trouble.code = RD_KAFKA_RESP_ERR_NO_ERROR;
        add_result(report, m, SINK_DELIVERED);
        return true;
    }
    if (has_failed(k) || kafka_scope_of(m->err) == KAFKA_AFTERMATH) {
        return true;
    }
    if (m->err == RD_KAFKA_RESP_ERR__FATAL) {
        take_fatal(k);
        return true;
    }
    /* Not rd_kafka_message_errstr: of a produced message it would give the payload. */
    fail(k, m->err, rd_kafka_topic_name(m->rkt), NULL);
    if (kafka_scope_of(m->err) == KAFKA_SINK) {
        return true;
    }
    report->error = k->failure;
    add_result(report, m, k->failure.class == ERROR_POISON ? SINK_POISON : SINK_RETRY);
    k->told = true;
    k->one_failed = true;
    return false;
}

/* True when the event is used up. */
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

/* The wake-up comes only when an empty queue gets its first event, so all is taken, or `more`
 * remembers the rest. */
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

static int kafka_collect(void *sink, struct sink_report *report, struct error *err)
{
    struct kafka *k = sink;
    if (!k->rk || k->purged) {
        return RESULT_DONE;
    }
    take_events(k, report);
    watch(k);
    /* What was delivered is told first; a failure of the sink as a whole comes alone. After the
     * failure of one event the reports of the others stay true, and spare resending them. */
    if (!has_failed(k) || k->one_failed || report->count > 0) {
        return RESULT_DONE;
    }
    k->told = true;
    *err = k->failure;
    return RESULT_ERROR;
}

static rd_kafka_headers_t *make_headers(const struct event *e)
{
    rd_kafka_headers_t *headers = rd_kafka_headers_new(e->out_headers_count);
    for (size_t i = 0; i < e->out_headers_count; i++) {
        const struct header *h = &e->out_headers[i];
        rd_kafka_header_add(headers, h->name.ptr, (ssize_t)h->name.len, h->value.ptr,
                            (ssize_t)h->value.len);
    }
    return headers;
}

/* Kafka counts milliseconds and librdkafka takes 0 for "now", so the first millisecond of 1970 is
 * put off by one. */
static int64_t timestamp_ms(int64_t timestamp_us)
{
    return timestamp_us == TIME_NONE ? 0 : timestamp_us < 1000 ? 1 : timestamp_us / 1000;
}

/* Without F_COPY: the value stays in the batch's arena until its token completes. The key is always
 * copied. */
static rd_kafka_resp_err_t produce(struct kafka *k, const struct event *e, uint64_t token)
{
    bool keep;
    rd_kafka_topic_t *topic = kafka_topics_get(k->topics, k->rk, e->topic, &keep);
    if (!topic) {
        return RD_KAFKA_RESP_ERR__INVALID_ARG;
    }
    rd_kafka_headers_t *headers = make_headers(e);
    rd_kafka_resp_err_t code = rd_kafka_producev(
        k->rk, RD_KAFKA_V_RKT(topic),
        RD_KAFKA_V_PARTITION(e->partition >= 0 ? e->partition : RD_KAFKA_PARTITION_UA),
        RD_KAFKA_V_MSGFLAGS(0), RD_KAFKA_V_KEY(e->key.ptr, e->key.len),
        RD_KAFKA_V_VALUE((void *)(uintptr_t)e->value.ptr, e->value.len),
        RD_KAFKA_V_TIMESTAMP(timestamp_ms(e->timestamp_us)), RD_KAFKA_V_HEADERS(headers),
        RD_KAFKA_V_OPAQUE((void *)(uintptr_t)token), RD_KAFKA_V_END);
    if (code) {
        rd_kafka_headers_destroy(headers); /* librdkafka owns them only after a success */
    }
    if (!keep) {
        rd_kafka_topic_destroy(topic);
    }
    return code;
}

/* An event that librdkafka did not take: back-pressure, this event's fault, or the end of this
 * producer. */
static int refused(struct kafka *k, const struct event *e, rd_kafka_resp_err_t code,
                   struct error *err)
{
    char topic[256];
    snprintf(topic, sizeof topic, "%.*s", SLICE_FMT(e->topic));
    if (code == RD_KAFKA_RESP_ERR__QUEUE_FULL && k->window.open == 0 &&
        rd_kafka_outq_len(k->rk) == 0) {
        return error_set(err, ERROR_POISON, "kafka",
                         "topic %s: an event of %zu bytes is larger than the whole queue; raise "
                         "queue.buffering.max.kbytes in `properties`",
                         topic, e->value.len);
    }
    if (code == RD_KAFKA_RESP_ERR__QUEUE_FULL) {
        return RESULT_DONE;
    }
    if (code == RD_KAFKA_RESP_ERR__FATAL) {
        take_fatal(k);
        if (!has_failed(k)) {
            return RESULT_DONE; /* the report that says why is under way */
        }
    } else if (kafka_error(err, code, topic, NULL), err->class == ERROR_POISON) {
        return RESULT_ERROR;
    } else {
        fail(k, code, topic, NULL);
    }
    k->told = true;
    *err = k->failure;
    return RESULT_ERROR;
}

static int kafka_put(void *sink, const struct batch *batch, size_t from, size_t to,
                     uint64_t first_token, size_t *ret_taken, struct error *err)
{
    struct kafka *k = sink;
    int64_t now = clock_mono_us();
    *ret_taken = 0;
    if (!k->rk || k->purged || has_failed(k)) {
        return error_set(err, ERROR_RETRY, "kafka",
                         "the producer is done for (%s); a new one is needed",
                         has_failed(k) ? k->failure.text : "it was not started");
    }
    for (size_t i = from; i < to; i++) {
        const struct event *e = &batch->events[i];
        uint64_t token = first_token + (i - from);
        rd_kafka_resp_err_t code = produce(k, e, token);
        if (code) {
            return refused(k, e, code, err);
        }
        kafka_window_add(&k->window, token, now);
        ++*ret_taken;
    }
    return RESULT_DONE;
}

static void kafka_poll_fds(void *sink, struct poll_set *set)
{
    struct kafka *k = sink;
    poll_set_add(set, k->wake_fd, POLLIN);
    kafka_graves_poll_fds(&k->graves, set);
    if (k->purged) {
        poll_set_deadline(set, clock_mono_us() + TEARDOWN_LOOK_US);
    } else if (k->more || (has_failed(k) && !k->told)) {
        poll_set_deadline(set, clock_mono_us());
    } else if (k->rk && !has_failed(k)) {
        poll_set_deadline(set, kafka_window_deadline(&k->window));
        if (k->gapless_at_us) {
            poll_set_deadline(set, k->gapless_at_us + GAPLESS_WAIT_US);
        }
    }
}

static int kafka_healthy(void *sink, struct error *err)
{
    struct kafka *k = sink;
    if (has_failed(k)) {
        *err = k->failure;
        return RESULT_ERROR;
    }
    if (k->trouble.code && clock_mono_us() - k->trouble.at_us < TROUBLE_LIFE_US) {
        error_set(
            err, ERROR_RETRY, "kafka", "%s: %s; %s", k->conf->brokers, k->trouble.text,
            kafka_is_security(k->trouble.code)
                ? "correct security.protocol, sasl.* and ssl.* in `properties`, or the broker's"
                : "messages wait until a broker answers");
        snprintf(err->code, sizeof err->code, "%s", rd_kafka_err2name(k->trouble.code));
        return RESULT_ERROR;
    }
    return RESULT_DONE;
}

static int check(void *sink, kafka_report *report, void *ctx, struct error *err)
{
    struct kafka *k = sink;
    return kafka_check(k->template, k->conf->brokers, k->env->fixed_topic, CHECK_WAIT_MS, report,
                       ctx, err);
}

const struct sink_ops sink_kafka = {
    .name = "kafka",
    .help = "Kafka, through librdkafka's idempotent producer",
    .keys = kafka_conf_keys,
    .conf_size = sizeof(struct kafka_conf),
    .caps = SINK_MESSAGES,
    .open = kafka_open,
    .start = kafka_start,
    .poll_fds = kafka_poll_fds,
    .put = kafka_put,
    .collect = kafka_collect,
    .close = kafka_close,
    .healthy = kafka_healthy,
    .check = check,
};
