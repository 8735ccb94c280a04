/*
 * A lane applies the events of its keys one batch after the other, on a thread and a connection of
 * its own. All functions are called on the consumer's thread. Only lane_release waits.
 */
#pragma once

#include "base/backoff.h"
#include "base/worker.h"
#include "consume/apply/apply.h"
#include "consume/streams.h"

enum lane_job { LANE_IDLE, LANE_LOAD, LANE_APPLY, LANE_BURY, LANE_SAVE };

struct lane_position {
    char *stream;
    int64_t number;
};

struct lane {
    struct worker *worker;
    struct apply *apply;
    struct record *first, *last; /* what waits, in order; next_of_lane */
    size_t waiting;
    size_t batch_size;
    struct backoff backoff;
    int64_t retry_at_us;  /* nothing is begun before; 0: at once */
    unsigned failures;    /* in a row, of one work: of saves, or of all other jobs */
    enum lane_job failed; /* the last of them */
    int64_t failed_at_us; /* when the first of them was */
    bool blocked;         /* the first one that waits cannot be applied, and nothing passes it */
    bool bury;            /* the first one that waits is to become a dead letter */
    char reason[1024];    /* of the dead letter */

    /* About the job under way. These belong to the worker's thread until the job has ended. */
    enum lane_job job;
    struct record **batch;
    size_t batch_count, done;        /* done: how many of the batch are applied */
    struct lane_position *positions; /* of LOAD and SAVE */
    size_t positions_count;
    int rc;
    struct error err;
};

/* `take_apply` is taken over, on an error too. */
int lane_init(struct lane *l, struct apply *take_apply, const struct conf_consumer *conf,
              struct error *err) MUST_CHECK;
/* Waits for the job that is under way. */
void lane_release(struct lane *l);

void lane_add(struct lane *l, struct record *r); /* behind the others */
/* Ends those that wait and are of lost streams. If the first one is among them, what was known
 * against it, and its failures, are over. */
void lane_drop_lost(struct lane *l, struct streams *streams);

/* May a job be begun now? */
bool lane_free(const struct lane *l, int64_t now_us);
/* Begin a job. apply: of up to batch_size of what waits. save takes l->positions. */
void lane_load(struct lane *l);
void lane_apply(struct lane *l);
void lane_bury(struct lane *l);
void lane_save(struct lane *l);

/* The job that has ended, whose outcome is in rc, err and done; LANE_IDLE: none has. */
enum lane_job lane_take_end(struct lane *l);
/* After an apply and a bury: puts what the batch has not applied back before those that wait, but
 * for what is of lost streams, which ends. Returns the record that the job's error is about, now
 * the first that waits; NULL: it is of a lost stream, or there is none. */
struct record *lane_give_back(struct lane *l, struct streams *streams);
void lane_clear_positions(struct lane *l);
void lane_position(void *lane, struct slice stream, int64_t number); /* adds one */
