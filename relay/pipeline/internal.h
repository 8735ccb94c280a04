/*
 * The pipeline's own state, shared by the files of this folder that together are the loop:
 *   pipeline.c  makes a pipeline, runs its loop, ends it
 *   connect.c   starts store, source and sink; recovers an interrupted commit
 *   framing.c   schemas of messages, and who asks the registry for their numbers
 *   feed.c      reads events, masks, encodes and routes them, puts them into the sink
 *   settle.c    takes acknowledgements, moves the frontier, marks rows, saves the cursor
 *   progress.c  counts what is settled, marked and saved (does not use this file)
 *   room.c      limits what is held in memory
 *   flight.c    how many events keep a sink busy (does not use this file)
 *   rate.c      limits how fast is read (does not use this file)
 *   failure.c   decides what an error's class means
 *   poison.c    isolates events that cannot be delivered, writes dead letters
 *   park.c      holds events back whose key is parked behind a dead letter
 *   park_flow.c sends what was held back
 *   park_state.c what parking has come to, for those that only ask or tell it
 *   parked.c    the set of parked keys (does not use this file)
 *   letter.c    between events and what the store keeps of them
 *   side.c      when source or sink may be tried again
 *   status.c    the state, and what other threads may see
 *   targets.c   where the sink hands its data on to
 *   lag.c       how far behind the pipeline is, and what holds it up
 *   control.c   obeys an operator's commands
 *   redrive.c   sends dead letters again
 *   redrive_state.c what that has come to, for those that only ask or tell it
 *   retention.c removes old dead letters
 *   shard.c     gives a shard of a divided pipeline away, and takes it
 *   acts.c      writes what was done into the audit log
 *
 * Private to relay/pipeline. Everything here is for the pipeline's own thread, except `stop` and
 * what is guarded by status_lock. Functions that return RESULT_DONE, RESULT_AGAIN or RESULT_ERROR
 * fill *err with RESULT_ERROR only, unless it says otherwise.
 */
#pragma once

#include "message/encode.h"
#include "message/route.h"
#include "pipeline/acts.h"
#include "pipeline/breaker.h"
#include "pipeline/flight.h"
#include "pipeline/framing.h"
#include "pipeline/growth.h"
#include "pipeline/ledger.h"
#include "pipeline/park.h"
#include "pipeline/pipeline.h"
#include "pipeline/progress.h"
#include "pipeline/rate.h"
#include "pipeline/redrive.h"
#include "pipeline/side.h"
#include <pthread.h>
#include <stdatomic.h>

struct pipeline {
    struct pipeline_parts parts;
    char name[64]; /* for people: the pipeline, and of a divided one the part */
    const struct conf_delivery *delivery;

    struct route *route;
    struct mask *mask;            /* NULL: nothing is masked */
    struct column_rules *columns; /* NULL: tables show all their columns */
    struct encode_conf encode;
    struct framing framing;
    size_t max_event; /* how many bytes the sink takes as an event's value; 0: any number */

    struct source_env source_env;
    struct sink_env sink_env;
    struct store_env store_env;
    void *source, *sink, *store;
    unsigned source_caps; /* SOURCE_... as its `open` gave them */
    unsigned sink_caps;   /* SINK_... of the open sink */

    struct ledger *ledger;
    struct breaker breaker;
    struct side upstream;    /* store and source; if one of them fails both are started again */
    struct side downstream;  /* the sink */
    int64_t slowed_until_us; /* monotonic: the receiver asked to put nothing before */
    char slowed[256];        /* in its words, for `held_up` */
    int64_t busy_from_us;    /* monotonic: patience with it counts from here on (until_idle); 0: it
                              * has taken something since it asked */
    bool store_ready;        /* the store is started: it can be asked and told */
    struct store_position stored; /* as its last start found it */
    int64_t store_asked_us;       /* monotonic: when it was asked last while the sink recovers */
    bool sink_recovered; /* committing sinks: its interrupted commit, if any, was dealt with */

    /* Reading. */
    struct batch *reading; /* being filled by the source */
    struct rate rate;      /* how fast */
    struct batch *spare;   /* an empty batch kept for reuse */
    struct flight flight;  /* how many events a SINK_STREAMS gets */
    size_t burst_bytes;    /* the most that was held since memory was last given back */
    int64_t took_us;       /* monotonic: when a batch was read last */
    bool sourceless;       /* one_order: the source is not started */
    bool dropped;          /* events that the source has given were forgotten. Until it is started
                            * again it must not be read and not be asked where it stands: both
                            * would skip those events. */
    bool unflushed;        /* something was put since the sink was last told to send at once */
    bool idle_seen;        /* until_idle: the source has said that nothing is left to read */
    bool answered;         /* the sink has acknowledged something since the start */
    bool read_to_the_end;  /* the last read gave nothing, and the source is past its start */
    uint64_t furthest;     /* the largest room_read_count at which the source has failed */

    struct progress progress; /* what is settled, marked and saved */
    bool committing;          /* committing sinks: a commit is under way, so nothing is put */
    int64_t last_save_us;     /* monotonic: when the last save began */
    int64_t epoch; /* counts the starts of this pipeline by any relay; 0: not started yet */

    /* Poison. */
    size_t isolate_left;   /* this many events after the frontier are put one at a time */
    int64_t suspect_tries; /* how often the first event after the frontier failed alone */
    bool poisoned;         /* the first waiting event blocks the pipeline: it is poison, or must
                              wait and finds no room */
    struct park park;      /* the keys whose events wait behind a dead letter */

    /* Control. */
    bool paused;
    bool pause_unstored; /* `paused` is not in the store yet: it is stored when the store is back */
    bool settling; /* an order (position set, retry, drop) waits for the pipeline to be settled,
                      or is being obeyed: nothing of the source is read or put meanwhile */
    struct redrive redrive;
    int64_t expire_at_us;         /* monotonic: when closed dead letters are removed next */
    struct store_control control; /* the command that is being obeyed */
    bool ordered; /* `control` came by pipeline_order: the answer goes to the status, not the row */
    struct buf position_before; /* `position set`, for the audit log; "" while none is under way */
    int64_t control_at_us;      /* monotonic: when the control row is looked at next */
    struct store_control order; /* under status_lock: of pipeline_order, not taken yet;
                                   STORE_NO_COMMAND: none */

    bool giving; /* the shard is asked back: nothing is read, what was read is settled */

    /* Ending. */
    _Atomic bool stop;
    int stop_fd; /* eventfd, readable for ever once stop is set */
    bool draining;
    int64_t drain_until_us; /* monotonic */
    bool ended;             /* in its last state: pipeline_run returns exit_code */
    int exit_code;
    int64_t success_at_us; /* monotonic: last success, for giving up with until_idle */

    pthread_mutex_t status_lock;
    struct pipeline_status
        status;        /* written under status_lock; the pipeline's thread may read it without */
    int64_t lag_at_us; /* monotonic: when the lag is measured next */
    int64_t held_up_since_us;  /* monotonic: when "held up" was logged; 0: nothing holds it up */
    bool held_up_by_sink;      /* what holds it up is the sink, not the source */
    struct growth growth;      /* of the WAL that a replication slot keeps, in bytes */
    struct growth pace;        /* of the number of delivered events */
    bool state_unreported;     /* the store does not know the present state yet */
    bool again;                /* do another round at once instead of sleeping */
    struct sink_report report; /* settle_collect's; here because it is large */
};

/* connect.c */

/* Starts store and source: takes the lock, loads the cursor, lets a committing sink recover, marks
 * and saves what is settled (waits for that, bounded). AGAIN: not yet, upstream.retry_at_us says
 * when to try again: the sink still settles events that are in flight, or waits for a server to
 * recover (the lock is held then), or another relay holds the lock (state WAITING, and only then
 * *err is filled). ERROR: give it to failure_upstream. */
int connect_upstream(struct pipeline *p, struct error *err) MUST_CHECK;

/* Starts the sink, which numbers its events from the last delivered one on. AGAIN: not yet, its
 * descriptors tell when. ERROR: give it to failure_downstream. */
int connect_downstream(struct pipeline *p, struct error *err) MUST_CHECK;

/* feed.c */

/* Nothing but perhaps the breaker forbids to put events into the sink now. */
bool feed_may_put(const struct pipeline *p);

/* Reads one batch, prepares its events and gives it to the ledger. Only while room_may_read. An
 * event that cannot be sent is marked as poison, which is no error here. ERROR: the source failed;
 * give it to failure_reading. */
int feed_read(struct pipeline *p, struct error *err) MUST_CHECK;

/* Puts as many waiting events as the sink takes now, in order. When the first of them is poisoned,
 * poison_head gets it. When its key is parked, park_take gets it. ERROR: the sink failed; give it
 * to failure_downstream. */
int feed_put(struct pipeline *p, struct error *err) MUST_CHECK;

/* Tells the sink to send at once what it has collected, unless more will be put soon. Without this
 * the sink would wait for more events that do not come. */
void feed_flush(struct pipeline *p);

/* Of the n events from `from` on that are to be put next: how many may be, from the first one on.
 * Frames those whose schemas have become known; the first that is not framed yet, or is marked as
 * poison by this, ends them. */
size_t feed_framed(struct pipeline *p, struct batch *b, size_t from, size_t n);

/* Prepares an event that was read before, a dead letter or one that waited behind it: topic, key
 * and the headers made of columns are there. ERROR: POISON or CONFIG. */
int feed_prepare_again(struct pipeline *p, struct batch *b, struct event *e,
                       struct error *err) MUST_CHECK;

/* settle.c */

/* Takes the sink's acknowledgements into the ledger. ERROR: the sink failed, what it reported
 * before that counts; give it to failure_downstream. */
int settle_collect(struct pipeline *p, struct error *err) MUST_CHECK;

/* Takes from the ledger what has become settled: counts it and hands it to `progress`. */
void settle_take(struct pipeline *p);

/* If nothing is in hand and the source has moved on without events, moves the cursor to where the
 * source stands. Otherwise a replication slot would keep all the WAL of a quiet stream. */
void settle_follow(struct pipeline *p);

/* Marks rows and saves the cursor, as far as that is due and possible without waiting. ERROR: the
 * database side failed; give it to failure_upstream. */
int settle_save(struct pipeline *p, struct error *err) MUST_CHECK;

/* Marks and saves all that is settled, and waits until it is durable. ERROR: RETRY after
 * read_timeout of the store, or the database side failed. */
int settle_wait(struct pipeline *p, struct error *err) MUST_CHECK;

bool settle_done(const struct pipeline *p); /* nothing is open, unmarked or unsaved */

/* Brings progress.cursor up to the last settled event, if it is older. */
void settle_cursor(struct pipeline *p);

/* Committing sinks: begins a commit of all that is open, if one is due. Does nothing for others.
 * ERROR: the sink failed; give it to failure_downstream. */
int settle_commit(struct pipeline *p, struct error *err) MUST_CHECK;

/* Lets the sink send what was put beside the source's events (lone tokens), up to `last`: flushes
 * it, or begins a commit for that alone, in which the position stays. `dead_letter`: the number
 * that a start after a crash is given, or 0 (sink_commit.dead_letter). ERROR: the sink has failed.
 */
int settle_lone(struct pipeline *p, const struct event *last, int64_t dead_letter,
                struct error *err) MUST_CHECK;

/* failure.c; these decide whether the pipeline waits and tries again, or ends. */

/* Source and store have to be started again. The sink goes on settling what it has; reading,
 * marking and saving wait until they are up. */
void upstream_down(struct pipeline *p);

/* The source or the store failed with *err; failure_reading: while events were read. */
void failure_upstream(struct pipeline *p, const struct error *err);
void failure_reading(struct pipeline *p, const struct error *err);

/* The source has shown that what failed last works again (see failure.c). */
bool failure_over(const struct pipeline *p);

/* The sink failed with *err, or asks with BUSY to wait: all open events wait again. */
void failure_downstream(struct pipeline *p, const struct error *err);

/* The next event has a schema that the registry has not given a number to. True: it waits for an
 * answer, or for the time that it is asked again. False: *err says why the registry gives none; it
 * is of class CONFIG. */
bool failure_unframed(struct pipeline *p, struct error *err);

/* The receiver asks with *err (BUSY) to slow down: nothing is put meanwhile. */
void failure_slow_down(struct pipeline *p, const struct error *err);

/* The sink holds events back because of *err (BUSY). Ends the pipeline with 75 when that lasts too
 * long for until_idle; else nothing. */
void failure_busy(struct pipeline *p, const struct error *err);
bool failure_is_slowed(const struct pipeline *p);

/* poison.c */

/* Deals with the event at the start of `run`, which ledger_next gave: it is poisoned, or its dead
 * letter is stored already and it comes again (park_heads). DONE: its dead
 * letter is stored; the event is settled, or with dead_letter_topic it has become the copy, which
 * is still to be put. AGAIN: it still waits there, because the store is busy, or the store or
 * source failed (failure_upstream was called), or the pipeline stops at this event (state BLOCKED).
 */
int poison_head(struct pipeline *p, const struct ledger_run *run) MUST_CHECK;

/* Turns the poisoned event into the copy for the dead letter topic. It stays at its place in the
 * batch and waits to be put like any other event. A payload that is too large for the sink, or was
 * not read, is left out: the value is empty then, and not null, which would remove the messages of
 * its key where a topic is compacted. `tries`: how often it was sent alone. */
void poison_copy(struct pipeline *p, struct batch *b, struct event *e, int64_t tries);

/* Marks batch->events[index] as one that can never be delivered; `why` is copied. */
void poison_mark(struct batch *batch, size_t index, const char *why);

/* The sink has refused the event of this token. Nothing happens if the token is not open. */
void poison_reported(struct pipeline *p, uint64_t token, const struct error *why);

/* retention.c: removes closed dead letters that are old enough, a few at a time. ERROR: the store
 * failed; give it to failure_upstream. */
int retention_tend(struct pipeline *p, struct error *err) MUST_CHECK;

/* shard.c: does nothing for a pipeline that is not divided. */

/* Gives the shard away when it is asked for and settled, and asks for it when it is free. Each
 * round; never waits. */
void shard_tend(struct pipeline *p);
void shard_poll(const struct pipeline *p, struct poll_set *set); /* adds what that waits for */

/* lag.c: measures the lag and puts it into metrics, status and log. now_us is monotonic. */
void lag_update(struct pipeline *p, int64_t now_us);

/* targets.c */

/* Copies how the sink's targets stand into the status. */
void targets_update(struct pipeline *p);

/* until_idle: the targets have everything. If those that have not only fail, the pipeline ends
 * after half a minute, and the answer is false. */
bool targets_done(struct pipeline *p);

/* control.c */

/* Obeys a command that came by pipeline_order or is in the control row; the row is looked at twice
 * a second. Needs the store. ERROR: store or source failed; give it to failure_upstream. */
int control_poll(struct pipeline *p, struct error *err) MUST_CHECK;

/* While store and source are down: obeys pause and resume that came by pipeline_order, and refuses
 * all other orders. Refuses everything while another relay holds the lock. While the store is there
 * and only the sink still recovers, an order waits. */
void control_without_store(struct pipeline *p);

/* Loads `paused` from the store, or stores it if it was ordered while the store was away. */
int control_load_paused(struct pipeline *p, struct error *err) MUST_CHECK;
