/*
 * A source, a sink and a store in memory, that fail when the test says so. The source numbers its
 * events 1..n ("id-<n>", key n % keys); the sink keeps what it took and acknowledges it in a
 * shuffled order; the store keeps cursor and dead letters. All state is in one struct, so that the
 * test can look at it.
 */
#pragma once

#include "pipeline/pipeline.h"

/* The traceparent in the headers of event n. */
#define FAKE_TRACE "00-%032u-00f067aa0ba902b7-01"

enum { FAKE_EVENTS = 4000, FAKE_QUEUE = 8192 };

struct fake {
    /* The script. */
    unsigned events, keys;
    unsigned source_fails_in, sink_fails_in, store_fails_in; /* one in n calls fails, 0 = never */
    unsigned put_busy_in;         /* one in n calls of `put` asks to slow down, 0 = never */
    unsigned sink_busy_in;        /* the same of `start`, and of the sink's reports */
    int64_t busy_us;              /* the time that it asks for; 0: 2 ms */
    unsigned busy_times;          /* it asks so often and then no more; 0: it goes on asking */
    unsigned busy_each;           /* it asks so often for each so many events; 0: for all */
    bool sticks;                  /* the sink takes events, acknowledges none and says BUSY */
    bool poison[FAKE_EVENTS + 1]; /* the sink refuses these, and what was sent with them */
    bool names_guilty;            /* it refuses none but these (SINK_SINGLE_FAULT) */
    bool spoilt;                  /* these are marked by the source already */
    bool commits;                 /* the sink behaves like batch files */
    unsigned whole;               /* so many events are a transaction that is not to be split */
    bool slot;                    /* the source behaves like a replication slot */
    bool ack_keys;                /* the source behaves like delete mode */
    bool lingers;                 /* the sink keeps what it took until it is told to send */
    bool ahead;                   /* the source's clock is an hour ahead of ours */
    bool silent; /* the sink acknowledges nothing until the metrics tell of the lag */
    int64_t unreadable_until_us;    /* the source can be started, and no more */
    unsigned fails_at, fails_times; /* reading this event fails so often */
    bool fails_until_sent;          /* instead: until all before it were sent */
    unsigned held_up_looks;  /* the source gives nothing until so many asked what holds it up */
    unsigned sink_refusals;  /* so many starts of the sink fail first */
    const char *registry;    /* events are changes, with schemas that are registered there (URL) */
    unsigned mute;           /* so many looks at the sink bring none, but each thousandth */
    unsigned unmendable;     /* this dead letter fails again when it is retried */
    unsigned stop_after;     /* a stop is asked for once so many events were given to the sink */
    unsigned position_after; /* a `position set` that is refused, the same */
    unsigned retry_after;    /* once there are so many dead letters, all are mended and retried */
    bool drops;              /* instead they are dropped */
    const char *order; /* without a daemon: these dead letters are retried (or dropped), and nothing
                        * is read */
    int overtaken_after;      /* saves until another relay has the epoch; 0 = never */
    unsigned asked_back_each; /* the shard is asked back after so many events; 0: it is whole */
    unsigned lost_each;       /* its lock is lost in one of so many looks; 0: never */
    unsigned sink_overtaken_after; /* commits until another relay has the sink; 0 = never */

    /* What came of it. */
    unsigned sent[FAKE_QUEUE * 64]; /* event numbers in the order they reached the outside */
    size_t sent_count;
    bool delivered[FAKE_EVENTS + 1], marked[FAKE_EVENTS + 1], dead[FAKE_EVENTS + 1];
    unsigned saved_cursor; /* number of the last event behind the saved cursor */
    uint64_t saved_delivered;
    size_t max_in_hand;   /* most events put and not acknowledged */
    size_t first_in_hand; /* the same when the first acknowledgement came */
    unsigned confirmed;   /* what the server was told last */
    unsigned asked_moved, tended, starts;
    unsigned untended, most_untended; /* dead letters since the source was tended last */
    bool refused;                     /* the `position set` was answered */
    bool retried[FAKE_EVENTS + 1];    /* dead letters that were noted as sent */
    unsigned letters_failed;          /* how often one was noted as not delivered */
    bool parks[FAKE_EVENTS + 1];      /* dead letters that park their key */
    bool noted[FAKE_EVENTS + 1];      /* rows that say that their event was not delivered */
    bool waits[FAKE_EVENTS + 1];      /* events that wait behind one */
    unsigned transactions;            /* in which they were stored */
    char answer[512];                 /* to the retry */
    unsigned asked_to_slow_down;
    unsigned left;      /* how often the shard was given away */
    unsigned split;     /* commits that ended within a transaction */
    const char *broken; /* the first promise that was broken */

    /* Private. */
    struct conf_delivery delivery;
    struct metrics *metrics;
    struct pipeline *pipeline;
    bool held, mended[FAKE_EVENTS + 1];
    bool position_given, retry_given, sink_up;
    int64_t silent_until_us, busy_until_us, down_until_us;
    unsigned next_event, saving_cursor;
    unsigned marking[FAKE_EVENTS];
    size_t marking_count;
    uint64_t saving_delivered;
    int saves;
    bool saving;
    int64_t epoch;
    unsigned away;     /* looks until the shard is free again */
    size_t sent_there; /* what was sent when it was given away last */
    unsigned commits_tried, locks_asked;
    unsigned recover_locks; /* locks_asked when the sink began to recover; 0: it does not */
    bool sink_lost;         /* until it is recovered */
    struct fake_put {
        uint64_t token;
        unsigned number;
    } queue[FAKE_QUEUE];
    size_t queued;
    bool committing;
    unsigned commit_cursor, intent_cursor;
    uint64_t commit_delivered, intent_delivered;
    unsigned numbering;
    uint64_t random;
};

extern const struct source_ops fake_source, fake_slot_source;
extern const struct sink_ops fake_sink, fake_file_sink;
extern const struct store_ops fake_store;
extern struct fake *fake; /* the one under test: the contracts have no room for a context at open */

/* Runs a pipeline over the three until it is idle; the exit code. */
int fake_run(struct fake *f, struct conf_delivery delivery, struct metrics *metrics);
struct conf_delivery fake_delivery(void); /* quick retries, small window */

/* Fails the test if a promise was broken, or if within a key an event came first before one with a
 * lower number. Gives which events were sent: seen[n], n from 1. The caller frees it. */
bool *fake_assert_in_order(const struct fake *f);
