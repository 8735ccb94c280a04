/* The worker's part of exactly_once: the calls that wait for brokers. */
#include "base/fault.h"
#include "base/log.h"
#include "sink/kafka/errors.h"
#include "sink/kafka/limits.h"
#include "sink/kafka/txn.h"

#include <stdio.h>
#include <unistd.h>

enum { SLICE_MS = 500, OPEN_WAIT_MS = 10000, FULL_WAIT_US = 10000 };

/* A commit that takes longer may have been sent twice: requests are given up after
 * socket.timeout.ms, which is longer, and sent again. */
#define COMMIT_DOUBT_US (5 * US_PER_SECOND)

/* Fills job->error from librdkafka's, which is destroyed. */
static int failed(struct kafka_txn_job *j, rd_kafka_error_t *e, const char *what)
{
    char text[512], fatal[256] = "";
    rd_kafka_resp_err_t code = rd_kafka_error_code(e);
    snprintf(text, sizeof text, "%s: %s", what, rd_kafka_error_string(e));
    if (rd_kafka_error_is_fatal(e) || code == RD_KAFKA_RESP_ERR__FATAL) {
        rd_kafka_resp_err_t why = rd_kafka_fatal_error(j->rk, fatal, sizeof fatal);
        code = why ? why : code;
    }
    rd_kafka_error_destroy(e);
    j->fenced = kafka_is_fenced(code);
    return kafka_error(&j->error, code, false, NULL, text);
}

static int64_t ms_until(int64_t until_us)
{
    return (until_us - clock_mono_us()) / US_PER_MS;
}

static bool over(const struct kafka_txn_job *j, int64_t until_us)
{
    return ms_until(until_us) <= 0 || atomic_load(&j->stop);
}

/* --- opening --- */

/* A call that timed out may be made again and goes on where it was, so it is made in slices: the
 * sink may be closed meanwhile. */
static int init(struct kafka_txn_job *j, int64_t until_us)
{
    rd_kafka_error_t *e;
    while ((e = rd_kafka_init_transactions(j->rk, SLICE_MS))) {
        bool again = rd_kafka_error_is_retriable(e) && !rd_kafka_error_is_fatal(e);
        if (!again || over(j, until_us)) {
            return failed(j, e, "the transactional producer cannot be initialised");
        }
        rd_kafka_error_destroy(e);
    }
    return RESULT_DONE;
}

/* How many partitions the topic has; 0: it is not there; -1: no answer. Asks for all topics,
 * because a broker may create one that is asked for by name, and not compacted. */
static int partitions_of(struct kafka_txn_job *j, int64_t until_us)
{
    const struct rd_kafka_metadata *m;
    rd_kafka_resp_err_t code;
    int n = 0;
    while ((code = rd_kafka_metadata(j->rk, 1, NULL, &m, SLICE_MS))) {
        if (over(j, until_us)) {
            return kafka_error(&j->error, code, false, j->topic, NULL);
        }
    }
    for (int i = 0; i < m->topic_cnt; i++) {
        if (strcmp(m->topics[i].topic, j->topic) == 0) {
            n = m->topics[i].partition_cnt;
        }
    }
    rd_kafka_metadata_destroy(m);
    return n;
}

static rd_kafka_event_t *answer(rd_kafka_queue_t *queue, int64_t until_us)
{
    int64_t ms = ms_until(until_us);
    return rd_kafka_queue_poll(queue, ms > 0 ? (int)ms : 0);
}

static int not_compacted(struct kafka_txn_job *j)
{
    return error_set(
        &j->error, ERROR_CONFIG, "kafka",
        "position topic %s is not compacted, so Kafka would delete the position one day; kafka-configs.sh --alter --entity-type topics --entity-name %s --add-config cleanup.policy=compact",
        j->topic, j->topic);
}

/* Looks whether a topic that is there is compacted. Without the right to see that, it is said. */
static int examine(struct kafka_txn_job *j, rd_kafka_queue_t *queue, int64_t until_us)
{
    struct kafka_limits limits = {.code = RD_KAFKA_RESP_ERR__TIMED_OUT, .text = "no answer"};
    kafka_limits_ask(j->rk, queue, j->topic, 2 * SLICE_MS);
    rd_kafka_event_t *ev = answer(queue, until_us);
    if (ev) {
        kafka_limits_read(ev, &limits);
        rd_kafka_event_destroy(ev);
    }
    if (limits.code) {
        snprintf(j->note, sizeof j->note,
                 "whether position topic %s is compacted is not known (%s); grant DESCRIBE_CONFIGS",
                 j->topic, limits.text);
        return RESULT_DONE;
    }
    return limits.compacted ? RESULT_DONE : not_compacted(j);
}

static int refused(struct kafka_txn_job *j, rd_kafka_resp_err_t code, const char *why)
{
    bool forbidden = code == RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED ||
                     code == RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED;
    if (code == RD_KAFKA_RESP_ERR__TIMED_OUT || code == RD_KAFKA_RESP_ERR_REQUEST_TIMED_OUT ||
        code == RD_KAFKA_RESP_ERR__TRANSPORT) {
        return kafka_error(&j->error, code, false, j->topic, why);
    }
    return error_exit(
        &j->error, ERROR_CONFIG, forbidden ? EXIT_CODE_PERMISSION : EXIT_CODE_CONFIG, "kafka",
        "position topic %s is not there and cannot be made (%s); kafka-topics.sh --create --topic %s --partitions 1 --replication-factor 3 --config cleanup.policy=compact --config segment.bytes=1048576 --config min.cleanable.dirty.ratio=0.1",
        j->topic, why, j->topic);
}

static int make_topic(struct kafka_txn_job *j, rd_kafka_queue_t *queue, int64_t until_us)
{
    static const char *const pairs[][2] = {{"cleanup.policy", "compact"},
                                           {"segment.bytes", "1048576"},
                                           {"min.cleanable.dirty.ratio", "0.1"}};
    char why[256];
    rd_kafka_NewTopic_t *topic = rd_kafka_NewTopic_new(j->topic, 1, -1, why, sizeof why);
    if (!topic) {
        return refused(j, RD_KAFKA_RESP_ERR__INVALID_ARG, why);
    }
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
        rd_kafka_NewTopic_set_config(topic, pairs[i][0], pairs[i][1]);
    }
    rd_kafka_AdminOptions_t *options =
        rd_kafka_AdminOptions_new(j->rk, RD_KAFKA_ADMIN_OP_CREATETOPICS);
    rd_kafka_AdminOptions_set_request_timeout(options, OPEN_WAIT_MS / 2, why, sizeof why);
    rd_kafka_CreateTopics(j->rk, &topic, 1, options, queue);
    rd_kafka_AdminOptions_destroy(options);
    rd_kafka_NewTopic_destroy(topic);
    rd_kafka_event_t *ev = answer(queue, until_us);
    rd_kafka_resp_err_t code = ev ? rd_kafka_event_error(ev) : RD_KAFKA_RESP_ERR__TIMED_OUT;
    snprintf(why, sizeof why, "%s", ev ? rd_kafka_event_error_string(ev) : "no answer");
    const rd_kafka_CreateTopics_result_t *result =
        ev ? rd_kafka_event_CreateTopics_result(ev) : NULL;
    size_t n = 0;
    const rd_kafka_topic_result_t *const *topics =
        code || !result ? NULL : rd_kafka_CreateTopics_result_topics(result, &n);
    if (n == 1) {
        const char *text = rd_kafka_topic_result_error_string(topics[0]);
        code = rd_kafka_topic_result_error(topics[0]);
        snprintf(why, sizeof why, "%s", text ? text : rd_kafka_err2str(code));
    }
    if (ev) {
        rd_kafka_event_destroy(ev);
    }
    bool there = !code || code == RD_KAFKA_RESP_ERR_TOPIC_ALREADY_EXISTS;
    return there ? RESULT_DONE : refused(j, code, why);
}

static int need_topic(struct kafka_txn_job *j, int64_t until_us)
{
    if (j->topic_checked) {
        return RESULT_DONE;
    }
    int n = partitions_of(j, until_us);
    if (n < 0) {
        return RESULT_ERROR;
    }
    rd_kafka_queue_t *queue = rd_kafka_queue_new(j->rk);
    int rc = n > 0 ? examine(j, queue, until_us) : make_topic(j, queue, until_us);
    rd_kafka_queue_destroy(queue);
    j->topic_checked = rc == RESULT_DONE;
    return rc;
}

static int begin(struct kafka_txn_job *j)
{
    rd_kafka_error_t *e = rd_kafka_begin_transaction(j->rk);
    j->begun = !e;
    return e ? failed(j, e, "a transaction cannot be begun") : RESULT_DONE;
}

static int open_all(struct kafka_txn_job *j)
{
    int64_t until_us = clock_mono_us() + OPEN_WAIT_MS * US_PER_MS;
    if (kafka_conf_producer(j->template, &j->rk, &j->error) || init(j, until_us)) {
        return RESULT_ERROR;
    }
    until_us = clock_mono_us() + OPEN_WAIT_MS * US_PER_MS;
    if (need_topic(j, until_us) || kafka_position_read(j->template, j->topic, j->pipeline, until_us,
                                                       &j->stop, &j->found, &j->error)) {
        return RESULT_ERROR;
    }
    return begin(j);
}

void kafka_txn_run_open(void *job)
{
    struct kafka_txn_job *j = job;
    j->rc = open_all(j);
}

/* --- committing --- */

static int send_record(struct kafka_txn_job *j, const char *key, const struct buf *value)
{
    int64_t until_us = clock_mono_us() + j->timeout_ms * US_PER_MS;
    rd_kafka_resp_err_t code;
    while ((code = rd_kafka_producev(j->rk, RD_KAFKA_V_TOPIC(j->topic), RD_KAFKA_V_PARTITION(0),
                                     RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY),
                                     RD_KAFKA_V_KEY(key, strlen(key)),
                                     RD_KAFKA_V_VALUE(value->data, value->len),
                                     RD_KAFKA_V_OPAQUE((void *)(uintptr_t)KAFKA_RECORD),
                                     RD_KAFKA_V_END)) == RD_KAFKA_RESP_ERR__QUEUE_FULL &&
           !over(j, until_us)) {
        usleep(FULL_WAIT_US); /* until the pipeline's thread has taken reports */
    }
    return code ? kafka_error(&j->error, code, false, j->topic, NULL) : RESULT_DONE;
}

static int send_records(struct kafka_txn_job *j)
{
    char key[KAFKA_NAME_SIZE + 64];
    for (size_t i = 0; i < j->keys_count; i++) {
        snprintf(key, sizeof key, "%s//keys/%zu", j->pipeline, i);
        if (send_record(j, key, &j->keys_records[i])) {
            return RESULT_ERROR;
        }
    }
    snprintf(key, sizeof key, "%s/", j->pipeline);
    return send_record(j, key, &j->record);
}

static int commit(struct kafka_txn_job *j)
{
    rd_kafka_error_t *e = rd_kafka_commit_transaction(j->rk, j->timeout_ms);
    return e ? failed(j, e, "the transaction was not committed") : RESULT_DONE;
}

/* A mutant, for the test that must see it: the position is not in the transaction of its events. */
static int split(struct kafka_txn_job *j)
{
    if (!fault_mutant("txn_position_outside")) {
        return RESULT_DONE;
    }
    int rc = commit(j) ? RESULT_ERROR : begin(j);
    fault_point("txn_between");
    return rc;
}

static int commit_all(struct kafka_txn_job *j)
{
    fault_point("txn_before_position");
    if (split(j) || send_records(j)) {
        return RESULT_ERROR;
    }
    fault_point("txn_before_commit");
    int64_t since_us = clock_mono_us();
    if (commit(j)) {
        return RESULT_ERROR;
    }
    fault_point("txn_after_commit");
    j->committed = true;
    j->late = clock_mono_us() - since_us > COMMIT_DOUBT_US;
    return begin(j);
}

void kafka_txn_run_commit(void *job)
{
    struct kafka_txn_job *j = job;
    j->rc = commit_all(j);
}
