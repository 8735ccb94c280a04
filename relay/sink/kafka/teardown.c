/*
 * Destroys producers on helper threads, at most KAFKA_GRAVES at a time (teardown.h).
 */
#include "sink/kafka/teardown.h"

#include "base/worker.h"

/* How long the brokers have to hear that an open transaction is given up. They end it by themselves
 * when the next producer of its transactional.id is initialised. */
enum { ABORT_MS = 200 };

/* librdkafka 2.0.2 may end the process (an assertion about txn_req_cnt) if it is to destroy a
 * producer in the microseconds in which a partition is being added to its transaction. An abort
 * takes the partitions that wait for that away. A producer without a transaction answers with an
 * error at once. */
static void destroy(void *rk)
{
    rd_kafka_error_t *e = rd_kafka_abort_transaction(rk, ABORT_MS);
    if (e) {
        rd_kafka_error_destroy(e);
    }
    rd_kafka_destroy(rk);
}

static void reap(struct kafka_graves *g)
{
    for (size_t i = 0; i < KAFKA_GRAVES; i++) {
        if (g->workers[i] && worker_take_end(g->workers[i])) {
            worker_free(g->workers[i]);
            g->workers[i] = NULL;
        }
    }
}

int kafka_graves_bury(struct kafka_graves *g, rd_kafka_t *rk, struct error *err)
{
    reap(g);
    for (size_t i = 0; i < KAFKA_GRAVES; i++) {
        if (g->workers[i]) {
            continue;
        }
        if (worker_new(&g->workers[i], err) < 0) {
            return RESULT_ERROR;
        }
        worker_submit(g->workers[i], destroy, rk);
        return RESULT_DONE;
    }
    return RESULT_AGAIN;
}

void kafka_graves_poll_fds(struct kafka_graves *g, struct poll_set *set)
{
    reap(g);
    for (size_t i = 0; i < KAFKA_GRAVES; i++) {
        if (g->workers[i]) {
            poll_set_add(set, worker_fd(g->workers[i]), POLLIN);
        }
    }
}

bool kafka_graves_close(struct kafka_graves *g, int64_t wait_us)
{
    int64_t deadline = clock_mono_us() + wait_us;
    while (clock_mono_us() < deadline) {
        struct poll_set set;
        poll_set_clear(&set);
        kafka_graves_poll_fds(g, &set);
        if (set.count == 0) {
            return true;
        }
        poll_set_deadline(&set, deadline);
        poll_set_wait(&set);
    }
    return false;
}
