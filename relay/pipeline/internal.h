/*
 * The pipeline's own state, shared by the files of this folder that together are the loop:
 *   pipeline.c  making, running, ending
 *   connect.c   store, source and sink up; recovery
 *   feed.c      read, encode, put
 *   settle.c    acknowledgements, frontier, mark and save
 *   progress.c  how far that is: settled, marked, saved (knows nothing of this file)
 *   room.c      what is in hand, and how much more may be read
 *   rate.c      how fast it may be read (knows nothing of this file)
 *   failure.c   what an error's class means
 *   poison.c    isolation and dead letters
 *   side.c      source and sink as something that is up or down
 *   status.c    the state, and what other threads may know
 *   lag.c       how far behind, and what holds it up
 *   control.c   the control row
 *   redrive.c   dead letters that are sent again
 *   retention.c dead letters that are removed
 *
 * Nobody else includes this.
 */
#pragma once

#include "message/encode.h"
#include "message/route.h"
#include "pipeline/breaker.h"
#include "pipeline/growth.h"
#include "pipeline/ledger.h"
#include "pipeline/pipeline.h"
#include "pipeline/progress.h"
#include "pipeline/rate.h"
#include "pipeline/redrive.h"
#include "pipeline/side.h"
#include <pthread.h>
#include <stdatomic.h>

struct pipeline {
    struct pipeline_parts parts;
    const char *name;
    const struct conf_delivery *delivery;

    struct route *route;
    struct mask *mask; /* NULL: nothing is masked */
    struct encode_conf encode;
    size_t max_event; /* bytes a value may have; 0 = any */

    struct source_env source_env;
    struct sink_env sink_env;
    struct store_env store_env;
    void *source, *sink, *store;
    unsigned source_caps;

    struct ledger *ledger;
    struct breaker breaker;
    struct side upstream;   /* store and source: one database, one fate */
    struct side downstream; /* the sink */
    bool store_ready;
    bool sink_recovered;

    /* Reading. */
    struct batch *reading; /* being filled by the source */
    struct rate rate;      /* how fast */
    struct batch *spare;   /* an empty batch kept for reuse */
    bool sourceless;       /* one_order: the source is not started */
    bool dropped;          /* the source has given more than is in hand: until it is started again,
                            * it must neither be read nor asked where it stands */
    bool unflushed;        /* something was put since the sink was told to send what it holds */
    bool idle_seen;        /* until_idle: the source said that all is done */
    bool answered;         /* the sink has acknowledged something since the start */
    bool read_to_the_end;  /* so it said, since it was connected */
    uint64_t furthest;     /* where it failed: settled events and those in hand then */

    struct progress progress; /* the frontier and what is behind it */
    bool committing;          /* committing sinks: a commit is under way */
    int64_t last_save_us;     /* monotonic */
    int64_t epoch;

    /* Poison. */
    size_t isolate_left;   /* so many events from the frontier on are put one at a time */
    int64_t suspect_tries; /* of the event right behind the frontier */
    bool poisoned;         /* policy stop: the event at the head of the waiting line blocks */

    /* Control. */
    bool paused;
    bool pause_unstored; /* `paused` was ordered while the store was away: it is stored next */
    bool settling;       /* an order (position set, retry) waits for the pipeline to be settled, or
                            is being obeyed: nothing is read or put meanwhile */
    struct redrive redrive;
    int64_t expire_at_us; /* monotonic: when closed dead letters are removed next */
    struct store_control control;
    bool ordered; /* `control` came by pipeline_order: the answer goes to the status, not the row */
    int64_t control_at_us;
    struct store_control order; /* under status_lock: not taken yet, unless STORE_NO_COMMAND */

    /* Ending. */
    _Atomic bool stop;
    int stop_fd; /* eventfd, readable for ever once stop is set */
    bool draining;
    int64_t drain_until_us;
    bool ended;
    int exit_code;
    int64_t success_at_us; /* monotonic: last success, for giving up with until_idle */

    pthread_mutex_t status_lock;
    struct pipeline_status
        status; /* written under status_lock; the own thread may read it without */
    int64_t lag_at_us;
    int64_t held_up_since_us; /* monotonic: since when the log says so; 0: it does not */
    bool held_up_by_sink;
    struct growth growth;  /* of the WAL that a slot keeps */
    struct growth pace;    /* of what is delivered */
    bool state_unreported; /* the store was busy when the state changed */
    bool again;            /* something moved: go round once more before sleeping */
    struct sink_report report;
};

/* connect.c */
int connect_upstream(struct pipeline *p,
                     struct error *err); /* 0 up; 1 not yet (err->text says why); -1 */
int connect_downstream(struct pipeline *p, struct error *err);

/* feed.c */
bool feed_may_put(const struct pipeline *p); /* as far as the breaker allows */
int feed_read(struct pipeline *p, struct error *err);
int feed_put(struct pipeline *p, struct error *err);
/* The same for an event that was read before, a dead letter: topic, key and the headers made of
 * columns are there. POISON, or CONFIG. */
int feed_prepare_again(struct pipeline *p, struct batch *b, struct event *e, struct error *err);
void feed_flush(
    struct pipeline *p); /* nothing more to put for now: the sink need not wait either */

/* settle.c */
int settle_collect(struct pipeline *p, struct error *err);
void settle_take(struct pipeline *p);   /* moves the frontier in memory */
void settle_follow(struct pipeline *p); /* with empty hands: to where the source stands */
int settle_save(struct pipeline *p,
                struct error *err); /* marks and saves, as far as possible without waiting */
int settle_wait(struct pipeline *p,
                struct error *err);         /* marks and saves all of it; waits, bounded */
bool settle_done(const struct pipeline *p); /* nothing is open, unmarked or unsaved */
void settle_cursor(struct pipeline *p);     /* progress.cursor is that of the frontier */
int settle_commit(struct pipeline *p,
                  struct error *err); /* committing sinks: begins a commit if one is due */

/* failure.c */
/* The database side has to be started again. The sink goes on settling what it has; reading,
 * marking and saving wait until then. */
void upstream_down(struct pipeline *p);
void failure_upstream(struct pipeline *p, const struct error *err);
void failure_reading(struct pipeline *p, const struct error *err);
bool failure_over(const struct pipeline *p); /* the source has shown that what had failed works */
void failure_downstream(struct pipeline *p, const struct error *err);

/* poison.c */
int poison_head(struct pipeline *p,
                const struct ledger_run *run); /* 0 passed over; 1 not now, or never */
void poison_mark(struct batch *batch, size_t index, const char *why);
void poison_reported(struct pipeline *p, uint64_t token, const struct error *why);

/* retention.c */
int retention_tend(struct pipeline *p, struct error *err);

/* lag.c */
void lag_update(struct pipeline *p, int64_t now_us);

/* control.c */
int control_poll(struct pipeline *p, struct error *err);
void control_without_store(struct pipeline *p); /* what can be obeyed while the database is away */
int control_load_paused(struct pipeline *p, struct error *err);
