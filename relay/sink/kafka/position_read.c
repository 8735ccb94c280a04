/*
 * Reads the last position record back, with librdkafka's simple consumer: it needs no group. The
 * reader starts near the end of the topic, where the last record nearly always is, and at its
 * beginning only if it found none there.
 */
#include "sink/kafka/position.h"

#include "sink/kafka/consumer.h"
#include "sink/kafka/errors.h"
#include <stdio.h>
#include <stdlib.h>

enum { PARTITION = 0, NEAR = 1000, STEP_MS = 200 };

struct reader {
    const char *topic, *pipeline;
    int64_t until_us;
    const _Atomic bool *stop;
    rd_kafka_t *rk;
    rd_kafka_topic_t *rkt;
    struct kafka_position keys;   /* the row keys of the transaction that is being read */
    struct kafka_position *found; /* the last record so far */
    bool whole;                   /* with all its keys */
};

static int no_answer(const struct reader *r, const char *why, struct error *err)
{
    error_set(err, ERROR_RETRY, "kafka",
              "position topic %s, which says where to go on, cannot be read: %s; check the brokers",
              r->topic, why);
    return error_code(err, "position");
}

static bool over(const struct reader *r)
{
    return clock_mono_us() >= r->until_us || atomic_load(r->stop);
}

static int reader_open(struct reader *r, const rd_kafka_conf_t *template, struct error *err)
{
    char text[512];
    r->rk = kafka_consumer_new(template, NULL, text, sizeof text);
    if (!r->rk) {
        return no_answer(r, text, err);
    }
    r->rkt = rd_kafka_topic_new(r->rk, r->topic, NULL);
    return r->rkt ? RESULT_DONE : no_answer(r, "its name is none that Kafka takes", err);
}

static void reader_close(struct reader *r)
{
    if (r->rkt) {
        rd_kafka_topic_destroy(r->rkt);
    }
    if (r->rk) {
        rd_kafka_destroy(r->rk);
    }
    kafka_position_release(&r->keys);
}

/* The part of a key behind "<pipeline>/<part>", whose part is empty. False: another pipeline's. */
static bool is_ours(const struct reader *r, const rd_kafka_message_t *m, struct slice *ret_rest)
{
    size_t n = strlen(r->pipeline);
    const char *key = m->key;
    if (m->key_len <= n || memcmp(key, r->pipeline, n) != 0 || key[n] != '/') {
        return false;
    }
    *ret_rest = (struct slice){key + n + 1, m->key_len - n - 1};
    return true;
}

static int take_position(struct reader *r, const rd_kafka_message_t *m, struct error *err)
{
    struct kafka_position *p = r->found;
    if (kafka_position_parse((struct slice){m->payload, m->len}, p, err)) {
        return RESULT_ERROR;
    }
    p->offset = m->offset;
    r->whole = p->parts == 0 || (r->keys.delivered == p->delivered && r->keys.parts == p->parts);
    return RESULT_DONE;
}

static int take(struct reader *r, const rd_kafka_message_t *m, struct error *err)
{
    struct slice rest;
    if (!m->payload || !is_ours(r, m, &rest)) {
        return RESULT_DONE;
    }
    if (rest.len == 0) {
        return take_position(r, m, err);
    }
    if (!kafka_position_parse_keys((struct slice){m->payload, m->len}, &r->keys)) {
        r->keys.parts = 0; /* a position record that wants it is not whole then */
    }
    return RESULT_DONE;
}

/* One message. AGAIN: the end is reached. */
static int step(struct reader *r, struct error *err)
{
    rd_kafka_message_t *m = rd_kafka_consume(r->rkt, PARTITION, STEP_MS);
    int rc = RESULT_DONE;
    if (!m) {
        return over(r) ? no_answer(r, "no answer in time", err) : RESULT_DONE;
    }
    if (m->err == RD_KAFKA_RESP_ERR__PARTITION_EOF) {
        rc = RESULT_AGAIN;
    } else if (m->err && kafka_scope_of(m->err) == KAFKA_SINK) {
        rc = kafka_error(err, m->err, false, r->topic, NULL);
    } else if (m->err) {
        rc = over(r) ? no_answer(r, rd_kafka_err2str(m->err), err) : RESULT_DONE;
    } else {
        rc = take(r, m, err);
    }
    rd_kafka_message_destroy(m);
    return rc;
}

/* Reads from `offset` to the end. */
static int read_from(struct reader *r, int64_t offset, struct error *err)
{
    int rc = RESULT_DONE;
    kafka_position_release(r->found);
    kafka_position_release(&r->keys);
    r->whole = true;
    if (rd_kafka_consume_start(r->rkt, PARTITION, offset)) {
        return no_answer(r, rd_kafka_err2str(rd_kafka_last_error()), err);
    }
    while (rc == RESULT_DONE) {
        rc = step(r, err);
    }
    rd_kafka_consume_stop(r->rkt, PARTITION);
    return rc == RESULT_AGAIN ? RESULT_DONE : rc;
}

/* A new topic's partition takes a moment to have its leader. */
static int ends(struct reader *r, int64_t *ret_low, int64_t *ret_end, struct error *err)
{
    rd_kafka_resp_err_t code;
    while ((code = rd_kafka_query_watermark_offsets(r->rk, r->topic, PARTITION, ret_low, ret_end,
                                                    STEP_MS * 5))) {
        if (over(r)) {
            return no_answer(r, rd_kafka_err2str(code), err);
        }
        rd_kafka_poll(r->rk, STEP_MS / 4); /* an answer may come at once: not in a tight circle */
    }
    return RESULT_DONE;
}

static void hand_over_keys(struct reader *r)
{
    struct kafka_position *p = r->found, *k = &r->keys;
    if (p->offset < 0 || p->parts == 0) {
        return;
    }
    p->keys = k->keys;
    p->keys_count = k->keys_count;
    p->arena = k->arena;
    k->keys = NULL;
    k->keys_count = k->keys_cap = 0;
    k->arena = (struct arena){0};
}

static int read_last(struct reader *r, struct error *err)
{
    int64_t low, end;
    if (ends(r, &low, &end, err)) {
        return RESULT_ERROR;
    }
    int64_t near = end - NEAR > low ? end - NEAR : low;
    if (end <= low) {
        return RESULT_DONE;
    }
    int rc = read_from(r, near, err);
    if (rc == RESULT_DONE && near > low && (r->found->offset < 0 || !r->whole)) {
        rc = read_from(r, low, err);
    }
    if (rc) {
        return rc;
    }
    if (!r->whole) {
        return error_exit(
            err, ERROR_FATAL, EXIT_CODE_UNAVAILABLE, "kafka",
            "position topic %s says that %llu events of pipeline %s are in Kafka, but the records that name their rows are gone: they cannot be marked. Mark the rows up to position %s in the table, then give the pipeline another sink.position_topic",
            r->topic, (unsigned long long)r->found->delivered, r->pipeline,
            buf_str(&r->found->last_position));
    }
    hand_over_keys(r);
    return RESULT_DONE;
}

int kafka_position_read(const rd_kafka_conf_t *conf, const char *topic, const char *pipeline,
                        int64_t until_us, const _Atomic bool *stop, struct kafka_position *ret,
                        struct error *err)
{
    struct reader r = {.topic = topic,
                       .pipeline = pipeline,
                       .until_us = until_us,
                       .stop = stop,
                       .keys = {.offset = -1},
                       .found = ret};
    kafka_position_release(ret);
    int rc = reader_open(&r, conf, err);
    rc = rc ? rc : read_last(&r, err);
    reader_close(&r);
    return rc;
}
