/*
 * Reads every partition of the wanted topics from its beginning (or the time that is asked for) to
 * the end that it had when the reading began. One partition after the other: librdkafka fetches
 * ahead for each one that is read, and so memory does not depend on how many there are.
 */
#include "sink/kafka/read_back.h"

#include "base/clock.h"
#include "base/memory.h"
#include "sink/kafka/consumer.h"
#include "sink/kafka/errors.h"
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>

enum { STEP_MS = 200, ASK_MS = 2000 };

/* Brokers and databases have clocks of their own: where the message's time is the broker's, it may
 * be a little before created_at. */
static const int64_t CLOCKS_US = 300 * US_PER_SECOND;

struct part {
    const char *topic; /* of the metadata */
    int32_t number;
    int64_t from, low, end; /* offsets: where to begin, the first there is, behind the last */
};

struct walk {
    const struct kafka_read_back *from;
    const struct sink_reading *reading;
    rd_kafka_t *rk;
    const struct rd_kafka_metadata *cluster;
    struct part *parts;
    size_t count;
    int64_t until_us; /* monotonic: something has to happen before */
};

static void release(struct walk *w)
{
    if (w->cluster) {
        rd_kafka_metadata_destroy(w->cluster);
    }
    if (w->rk) {
        rd_kafka_destroy(w->rk);
    }
    free(w->parts);
}

static void something_came(struct walk *w)
{
    w->until_us = clock_mono_us() + w->from->patience_us;
}

/* What is read: a topic, one of its partitions (else NO_PART), or neither. */
enum { NO_PART = -1 };

static void add_name(struct buf *out, const char *topic, int32_t part)
{
    if (part != NO_PART) {
        buf_printf(out, "partition %d of ", (int)part);
    }
    buf_printf(out, topic ? "topic %s" : "the list of topics", topic);
}

static int fail(const struct walk *w, const char *topic, int32_t part, const char *why,
                struct error *err)
{
    CLEANUP(buf_release) struct buf name = {0};
    add_name(&name, topic, part);
    return error_set(err, ERROR_RETRY, "kafka", "%s cannot be read at %s: %s; check the brokers",
                     buf_str(&name), w->from->brokers, why);
}

/* ERROR for what waiting does not mend. */
static int judge(const struct walk *w, const char *topic, int32_t part, rd_kafka_resp_err_t code,
                 struct error *err)
{
    CLEANUP(buf_release) struct buf name = {0};
    const char *brokers = w->from->brokers, *why = rd_kafka_err2str(code);
    add_name(&name, topic, part);
    switch (code) {
    case RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED:
        return error_exit(err, ERROR_CONFIG, EXIT_CODE_PERMISSION, "kafka",
                          "%s at %s may not be read: %s; grant the relay's user READ and DESCRIBE "
                          "on the topic (kafka-acls.sh --operation Read --operation Describe)",
                          buf_str(&name), brokers, why);
    case RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART:
    case RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC:
    case RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION:
        if (part == NO_PART) {
            return error_set(err, ERROR_CONFIG, "kafka",
                             "there is no %s at %s, to which events were sent: it was deleted, or "
                             "brokers or route are not those of then. Correct them, or give a "
                             "range that begins after the topic was deleted",
                             buf_str(&name), brokers);
        }
        return error_exit(err, ERROR_FATAL, EXIT_CODE_UNAVAILABLE, "kafka",
                          "%s at %s is gone since the topics were listed (%s): the topic was "
                          "deleted or made anew; run the command again once it is as it should be",
                          buf_str(&name), brokers, why);
    default:
        break;
    }
    /* Of other codes only the class is of use: their remedies are a producer's. */
    if (code && kafka_error(err, code, false, topic, NULL) && err->class == ERROR_CONFIG) {
        return error_exit(err, ERROR_CONFIG, err->exit_code, "kafka", "%s at %s cannot be read: %s",
                          buf_str(&name), brokers, why);
    }
    return RESULT_DONE;
}

/* After a call that failed: ERROR if it will not get better, or nobody waits any more. */
static int go_on(const struct walk *w, const char *topic, int32_t part, rd_kafka_resp_err_t code,
                 struct error *err)
{
    struct pollfd stop = {.fd = w->from->stop_fd, .events = POLLIN};
    if (poll(&stop, 1, 0) > 0) {
        return error_set(err, ERROR_RETRY, "kafka", "it was interrupted");
    }
    if (judge(w, topic, part, code, err)) {
        return RESULT_ERROR;
    }
    return clock_mono_us() < w->until_us
               ? RESULT_DONE
               : fail(w, topic, part, code ? rd_kafka_err2str(code) : "no answer in time", err);
}

/* --- what is there --- */

static int list_topics(struct walk *w, struct error *err)
{
    rd_kafka_resp_err_t code;
    while ((code = rd_kafka_metadata(w->rk, 1, NULL, &w->cluster, ASK_MS))) {
        if (go_on(w, NULL, NO_PART, code, err)) {
            return RESULT_ERROR;
        }
    }
    something_came(w);
    return RESULT_DONE;
}

static int ask_offsets(struct walk *w, const char *topic, int32_t number, int64_t *ret_low,
                       int64_t *ret_end, struct error *err)
{
    rd_kafka_resp_err_t code;
    while (
        (code = rd_kafka_query_watermark_offsets(w->rk, topic, number, ret_low, ret_end, ASK_MS))) {
        if (go_on(w, topic, number, code, err)) {
            return RESULT_ERROR;
        }
        rd_kafka_poll(w->rk, STEP_MS / 4); /* an answer may come at once: not in a tight circle */
    }
    something_came(w);
    return RESULT_DONE;
}

static void note_beginning(const struct walk *w, const struct part *p, int64_t low)
{
    char text[400];
    snprintf(text, sizeof text,
             "partition %d of topic %s begins at %lld: what was before is gone from it",
             (int)p->number, p->topic, (long long)low);
    w->reading->note(w->reading->ctx, text);
}

static int add_part(struct walk *w, const char *topic, int32_t number, struct error *err)
{
    w->parts = memory_need(realloc(w->parts, (w->count + 1) * sizeof *w->parts));
    struct part *p = &w->parts[w->count++];
    *p = (struct part){.topic = topic, .number = number};
    if (ask_offsets(w, topic, number, &p->low, &p->end, err)) {
        return RESULT_ERROR;
    }
    p->from = p->low;
    if (p->low > 0) {
        note_beginning(w, p, p->low);
    }
    return RESULT_DONE;
}

static int list_parts(struct walk *w, struct error *err)
{
    int rc = RESULT_DONE;
    for (int i = 0; rc == RESULT_DONE && i < w->cluster->topic_cnt; i++) {
        const rd_kafka_metadata_topic_t *t = &w->cluster->topics[i];
        bool own = w->from->position_topic && strcmp(t->topic, w->from->position_topic) == 0;
        if (own || strncmp(t->topic, "__", 2) == 0 ||
            !w->reading->wants(w->reading->ctx, slice_from(t->topic))) {
            continue;
        }
        for (int n = 0; rc == RESULT_DONE && n < t->partition_cnt; n++) {
            rc = add_part(w, t->topic, t->partitions[n].id, err);
        }
    }
    return rc;
}

/* Skips what was sent before the time that is asked for. */
static int skip_older(struct walk *w, struct part *p, struct error *err)
{
    if (w->reading->from_us == INT64_MIN) {
        return RESULT_DONE;
    }
    rd_kafka_resp_err_t code;
    rd_kafka_topic_partition_list_t *ask = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_t *one = rd_kafka_topic_partition_list_add(ask, p->topic, p->number);
    int rc = RESULT_DONE;
    do {
        one->offset = (w->reading->from_us - CLOCKS_US) / US_PER_MS;
        code = rd_kafka_offsets_for_times(w->rk, ask, ASK_MS);
        code = code ? code : one->err;
        rc = code ? go_on(w, p->topic, p->number, code, err) : RESULT_DONE;
    } while (code && rc == RESULT_DONE);
    if (rc == RESULT_DONE) {
        p->from = one->offset < 0 ? p->end : one->offset > p->low ? one->offset : p->low;
        something_came(w);
    }
    rd_kafka_topic_partition_list_destroy(ask);
    return rc;
}

/* --- what it holds --- */

static struct slice header(const rd_kafka_headers_t *headers, const char *name)
{
    const void *value;
    size_t len;
    return headers && !rd_kafka_header_get_last(headers, name, &value, &len) && value
               ? (struct slice){value, len}
               : SLICE_NULL;
}

static int take(struct walk *w, const char *place, const rd_kafka_message_t *m, struct error *err)
{
    rd_kafka_headers_t *headers = NULL;
    rd_kafka_timestamp_type_t kind;
    (void)rd_kafka_message_headers(m, &headers); /* fails if it has none */
    int64_t ms = rd_kafka_message_timestamp(m, &kind);
    struct slice created = header(headers, "created_at");
    struct sink_copy copy = {.id = header(headers, "id"),
                             .payload = {m->payload, m->len},
                             .key = {m->key, m->key_len},
                             .sent = {m->payload, m->len},
                             .created_us = TIME_NONE,
                             .by_us = ms >= 0 ? ms * US_PER_MS : TIME_NONE,
                             .replayed = !slice_is_null(header(headers, "replayed")),
                             .place = place,
                             .number = (uint64_t)m->offset};
    if (!slice_is_null(created)) {
        (void)clock_parse_timestamp(created, &copy.created_us);
    }
    return w->reading->take(w->reading->ctx, &copy, err);
}

/* One message, or none. *next: the offset up to which all is taken. */
static int step(struct walk *w, rd_kafka_topic_t *rkt, const struct part *p, const char *place,
                int64_t *next, struct error *err)
{
    rd_kafka_message_t *m = rd_kafka_consume(rkt, p->number, STEP_MS);
    int rc = RESULT_DONE;
    if (!m) {
        return go_on(w, p->topic, p->number, RD_KAFKA_RESP_ERR_NO_ERROR, err);
    }
    if (m->err == RD_KAFKA_RESP_ERR__PARTITION_EOF) {
        /* It may be before p->end: an open transaction hides what is behind it, for a while. */
        *next = m->offset;
        rc = m->offset < p->end ? go_on(w, p->topic, p->number, RD_KAFKA_RESP_ERR_NO_ERROR, err)
                                : rc;
    } else if (m->err) {
        rc = go_on(w, p->topic, p->number, m->err, err);
    } else {
        *next = m->offset + 1;
        rc = m->offset < p->end ? take(w, place, m, err) : rc;
        something_came(w);
    }
    rd_kafka_message_destroy(m);
    return rc;
}

/* Retention may have removed messages before they were read; a consumer passes over them in
 * silence.
 */
static int look_again(struct walk *w, const struct part *p, struct error *err)
{
    int64_t low, end;
    if (ask_offsets(w, p->topic, p->number, &low, &end, err)) {
        return RESULT_ERROR;
    }
    if (low > p->low && low > p->from) {
        note_beginning(w, p, low);
    }
    return RESULT_DONE;
}

static int read_part(struct walk *w, struct part *p, struct error *err)
{
    char place[300];
    int64_t next = p->from;
    if (p->from >= p->end) {
        return RESULT_DONE;
    }
    rd_kafka_topic_t *rkt = rd_kafka_topic_new(w->rk, p->topic, NULL);
    if (!rkt || rd_kafka_consume_start(rkt, p->number, p->from)) {
        const char *why = rd_kafka_err2str(rd_kafka_last_error());
        if (rkt) {
            rd_kafka_topic_destroy(rkt);
        }
        return fail(w, p->topic, p->number, why, err);
    }
    snprintf(place, sizeof place, "%s [%d] at", p->topic, (int)p->number);
    something_came(w);
    int rc = RESULT_DONE;
    while (rc == RESULT_DONE && next < p->end) {
        rc = step(w, rkt, p, place, &next, err);
    }
    rd_kafka_consume_stop(rkt, p->number);
    rd_kafka_topic_destroy(rkt);
    return rc ? rc : look_again(w, p, err);
}

/* Goes on with w->rk. DONE: it is there. */
static int ask_for_topic(struct walk *w, const char *topic, struct error *err)
{
    rd_kafka_topic_t *rkt = rd_kafka_topic_new(w->rk, topic, NULL);
    rd_kafka_resp_err_t code = rkt ? RD_KAFKA_RESP_ERR_NO_ERROR : rd_kafka_last_error();
    int rc = rkt ? RESULT_DONE : fail(w, topic, NO_PART, rd_kafka_err2str(code), err);
    bool told = false;
    while (rc == RESULT_DONE && !told) {
        const struct rd_kafka_metadata *m;
        code = rd_kafka_metadata(w->rk, 0, rkt, &m, ASK_MS);
        if (code == RD_KAFKA_RESP_ERR_NO_ERROR) {
            told = m->topic_cnt == 1;
            code = told ? m->topics[0].err : RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC;
            rd_kafka_metadata_destroy(m);
        }
        told = told && code == RD_KAFKA_RESP_ERR_NO_ERROR;
        rc = told ? rc : go_on(w, topic, NO_PART, code, err);
        rd_kafka_poll(w->rk, told ? 0 : STEP_MS / 4); /* not in a tight circle */
    }
    if (rkt) {
        rd_kafka_topic_destroy(rkt);
    }
    return rc;
}

int kafka_find_topic(const struct kafka_read_back *from, const char *topic, struct error *err)
{
    char text[512];
    CLEANUP(release) struct walk w = {.from = from};
    something_came(&w);
    w.rk = kafka_consumer_new(from->template, NULL, text, sizeof text);
    return w.rk ? ask_for_topic(&w, topic, err) : fail(&w, topic, NO_PART, text, err);
}

int kafka_read_back(const struct kafka_read_back *from, const struct sink_reading *r,
                    struct error *err)
{
    static const char *const memory[][2] = {
        {"queued.max.messages.kbytes", "8192"}, {"queued.min.messages", "10000"}, {NULL, NULL}};
    char text[512];
    CLEANUP(release) struct walk w = {.from = from, .reading = r};
    something_came(&w);
    w.rk = kafka_consumer_new(from->template, memory, text, sizeof text);
    if (!w.rk) {
        return fail(&w, NULL, NO_PART, text, err);
    }
    int rc = list_topics(&w, err);
    rc = rc ? rc : list_parts(&w, err);
    for (size_t i = 0; rc == RESULT_DONE && i < w.count; i++) {
        rc = skip_older(&w, &w.parts[i], err);
        rc = rc ? rc : read_part(&w, &w.parts[i], err);
    }
    return rc;
}
