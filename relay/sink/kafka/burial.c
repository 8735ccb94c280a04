/*
 * Destroys producers on helper threads, at most KAFKA_GRAVES at a time (burial.h).
 */
#include "sink/kafka/burial.h"

#include "base/worker.h"

static void destroy(void *rk)
{
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
