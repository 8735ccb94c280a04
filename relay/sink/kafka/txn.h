/*
 * exactly_once: the events and the position go in one Kafka transaction.
 *
 * Example, one transaction: the worker has begun it; events are put and sent as always; `commit`
 * hands the position record to the worker, which sends it and commits; only then are the events
 * reported as delivered, and the worker has begun the next transaction.
 *
 * What makes it safe:
 *   - A new producer is initialised first (which fences all older ones of the transactional.id and
 *     ends what they left open), then the last position record is read, then events are put. So
 *     what is read is the truth until somebody else initialises, and then nothing of this producer
 *     becomes visible any more.
 *   - If the record is not the one that this sink wrote or read last, another relay was here, or a
 *     commit without an answer has succeeded after all. The sink answers SINK_OVERTAKEN, and the
 *     pipeline takes the lock and recovers again.
 *   - A producer is never used again after a failure, an abort, or a commit whose first attempt got
 *     no answer: a late request of it could hit a later transaction. The next producer has a higher
 *     epoch, which makes brokers refuse such a request. So teardown.c may abort what is open.
 *
 * librdkafka's calls about transactions wait, so they run on a worker, which has the producer for
 * itself meanwhile, but for the queue of reports, which the pipeline's thread serves. All functions
 * here are called by the pipeline's thread and never wait, except kafka_txn_free.
 */
#pragma once

#include "base/worker.h"
#include "sink/kafka/conf.h"
#include "sink/kafka/position.h"

struct kafka;

enum kafka_txn_state {
    TXN_DOWN,
    TXN_OPENING,    /* the worker makes a producer and reads the position */
    TXN_FRESH,      /* it is there, and nothing was put */
    TXN_FILLING,    /* events are put */
    TXN_COMMITTING, /* the worker commits */
    TXN_REPORTING,  /* the events are in place, and are being reported */
};

/* What the worker is given, and what it gives back. Its own between worker_submit and
 * worker_take_end. */
struct kafka_txn_job {
    const rd_kafka_conf_t *template;
    const char *topic, *pipeline;
    int timeout_ms;     /* sink.transaction_timeout */
    bool topic_checked; /* in and out: the position topic is there and compacted */
    rd_kafka_t *rk;     /* out when opening, even after an error; in when committing */
    struct kafka_position found;
    struct buf record;        /* committing: the value of the position record, ... */
    struct buf *keys_records; /* ... and those of the row keys before it */
    size_t keys_count;
    bool committed; /* out: the events are in place */
    bool begun;     /* out: the next transaction was begun */
    bool late;      /* out: a commit took so long that its first attempt may have got no answer */
    bool fenced;    /* out */
    char note[512]; /* out: a line for the log; "" for none */
    struct error error;
    int rc;
    _Atomic bool stop; /* the sink is being closed */
};

/* Consecutive tokens. */
struct kafka_tokens {
    uint64_t first;
    size_t count;
};

struct kafka_txn {
    bool on; /* exactly_once; else nothing of this is used */
    char topic[KAFKA_NAME_SIZE];
    enum kafka_txn_state state;
    struct worker *worker;
    struct kafka_txn_job job;
    bool recovering; /* the opening is for `recover` */
    int64_t place;   /* offset of the last position record that this sink read or wrote; -1: none */
    int64_t written; /* offset of the record of the commit under way; -1 until it is reported */
    char store[160]; /* sink_stored.origin */
    int64_t epoch;
    uint64_t next_number; /* delivery number of the first event of the open transaction */

    /* The open transaction. */
    struct kafka_tokens *runs;
    size_t runs_count, runs_cap;
    size_t count, reported; /* events, and how many of them were reported after the commit */
    uint64_t bytes;
    int64_t begun_us;  /* when the first was put */
    int64_t commit_us; /* when the commit began */
    bool hurry;        /* nothing more is coming: commit at once */
    bool ended;        /* the last event ends its transaction in the database */
    bool doubtful;     /* an error came while it was committed */

    int64_t fenced_us[2]; /* when producers were fenced while no other relay started; last first */
};

/* The opaque of the records that the worker sends: no event's. */
#define KAFKA_RECORD UINT64_MAX

/* sink_ops.open, once k->conf and k->env are set. CONFIG for a name that Kafka does not take. */
int kafka_txn_open(struct kafka *k, struct error *err) MUST_CHECK;

/* No job of the worker runs; takes the end of one that has ended. */
bool kafka_txn_idle(struct kafka *k);

/* Makes a job that waits for brokers end soon. */
void kafka_txn_stop(struct kafka *k);

/* Waits for the worker, then frees everything. */
void kafka_txn_free(struct kafka *k);

/* sink_ops.start and sink_ops.recover. */
int kafka_txn_start(struct kafka *k, uint64_t next_number, struct error *err) MUST_CHECK;
int kafka_txn_recover(struct kafka *k, const struct sink_stored *stored, struct sink_recovery *ret,
                      struct error *err) MUST_CHECK;

/* May the event be put now? False: the transaction is full or being committed. */
bool kafka_txn_has_room(const struct kafka *k);
/* It was put. */
void kafka_txn_added(struct kafka *k, const struct event *e, uint64_t token);

/* sink_ops.commit_due and sink_ops.commit. */
bool kafka_txn_due(const struct kafka *k, int64_t now_us);
int kafka_txn_commit(struct kafka *k, const struct sink_commit *c, struct error *err) MUST_CHECK;

/* Takes the end of a commit, and reports the events of one that has succeeded. Called after the
 * queue's events were taken; a commit that has failed makes the producer fail. */
void kafka_txn_collect(struct kafka *k, struct sink_report *report);

/* failure.c: the producer has failed because it was fenced: what that means. Always returns -1. */
int kafka_txn_fenced(struct kafka *k, struct error *err);

void kafka_txn_poll_fds(struct kafka *k, struct poll_set *set);

/* --- txn_job.c: for the worker --- */

/* Makes a producer, initialises it, makes or examines the position topic, reads the position,
 * begins a transaction. */
void kafka_txn_run_open(void *job);

/* Sends the records, commits, begins the next transaction. */
void kafka_txn_run_commit(void *job);
