/*
 * The contract of a sink: takes events, and says later, for each, what became of it. Queued is not
 * delivered: `put` promises nothing, only `collect` does.
 *
 * All functions are called by the pipeline's thread and none may block for more than a moment: what
 * can block (fsync, destroying a producer) runs on a `struct worker` of the sink's own, and the
 * sink answers AGAIN meanwhile.
 *
 * Tokens are consecutive 64-bit numbers, never reused: after a rewind the same event comes with a
 * new token, and a late report for an old one must not be given (or is ignored by the pipeline).
 */
#pragma once

#include "base/buf.h"
#include "base/error.h"
#include "base/poll_set.h"
#include "config/conf_key.h"
#include "contract/url_form.h"
#include "model/event.h"

enum sink_caps {
    SINK_MESSAGES = 1, /* wants route and encode's message (value, out_headers); else it renders
                          events itself */
    SINK_COMMITS = 2,  /* has commit/recover: records the cursor together with the data */
    SINK_SINGLE_FAULT =
        4, /* a poison report names the guilty event for sure: no isolation needed */
};

/* The code of a RETRY error of a committing sink: another relay writes there now. The pipeline then
 * asks for its lock again, and for `recover`. */
#define SINK_OVERTAKEN "overtaken"

enum sink_outcome { SINK_DELIVERED, SINK_RETRY, SINK_POISON, SINK_FATAL };

struct sink_result {
    uint64_t token;
    enum sink_outcome outcome;
};

enum { SINK_REPORT_MAX = 1024, SINK_DESCRIPTORS = 4 };

/* What one `collect` gives. Of failures it holds at most one, as the last entry, described by
 * `error`. */
struct sink_report {
    struct sink_result results[SINK_REPORT_MAX];
    size_t count;
    struct error error;
};

/* What a committing sink records durably together with its data. */
struct sink_commit {
    struct slice cursor;      /* where the source goes on after the last event put */
    const struct slice *keys; /* row keys to mark behind it; none in position mode */
    size_t keys_count;
    struct slice last_position, last_id; /* of the last event put */
};

/* What is stored for the pipeline when a committing sink starts. */
struct sink_stored {
    uint64_t delivered; /* number of the last event; what goes no further is done */
    const char *origin; /* store_position's: whose events they are; "" if unknown */
};

/* What a committing sink found at start: data that reached its place although the cursor was not
 * saved. */
struct sink_recovery {
    uint64_t
        delivered; /* running number of the last event that is in place; 0 = nothing to recover */
    struct buf cursor, last_position, last_id;
    struct slice *keys; /* in `arena` */
    size_t keys_count;
    struct arena arena;
};

struct sink_env {
    const char *pipeline;
    const char *fixed_topic; /* route_fixed_topic: NULL if topics depend on the event */
    size_t max_in_flight;    /* events */
    size_t max_in_flight_bytes;
    int stop_fd;
    const struct route *route; /* for `check`, which topics it may give; else NULL */
    int64_t oldest_us; /* for `check`: the timestamp of the oldest message that waits; 0 unknown, or
                          messages get the time at which they are sent */
    /* A line for the log from a library's own threads or callbacks (librdkafka); never a payload.
     * May be NULL. */
    void (*note)(void *ctx, int level /* enum log_level */, const char *text);
    void *note_ctx;
};

struct sink_ops {
    const char *name, *help;
    const struct conf_key *keys;
    size_t conf_size;
    struct url_form url;
    unsigned caps;

    /* The library that it stands on, for `version` and the log; NULL: none of its own. */
    const char *library;
    const char *(*library_version)(void);
    /* Optional. Appends a warning and is true if the library that runs is too old to be good. */
    bool (*library_outdated)(struct buf *out);
    /* Optional: about how many descriptors it needs; SINK_DESCRIPTORS where it does not say. */
    size_t (*descriptors)(const void *conf);

    /* Checks the configuration and allocates; no I/O on the outside world. `conf` and `env` outlive
     * it. ret_max_event: the largest value it takes, 0 = no limit. */
    int (*open)(const void *conf, const struct sink_env *env, void **ret_sink,
                size_t *ret_max_event, struct error *err);

    /* Makes it ready for events; forgets all it had (queued messages are dropped, late reports
     * never come). Called before the first put and after each rewind. `next_number` is the running
     * delivery number of the next event. AGAIN: the old state is still being torn down; call again
     * when poll_fds says so. Until it answers DONE, or close returns, the payloads of all that was
     * put before must stay: the sink may still be sending them. */
    int (*start)(void *sink, uint64_t next_number, struct error *err);

    void (*poll_fds)(void *sink, struct poll_set *set);

    /* Offers batch->events[from..to); the first has token `first_token`, the next one more.
     * *ret_taken (always set) says how many were taken, in order; fewer than offered with DONE is
     * back-pressure. -1: the event at from + taken was refused (POISON: by itself, the sink is
     * fine) or the sink failed (RETRY, CONFIG, FATAL). Payloads must stay unchanged until the token
     * completes. */
    int (*put)(void *sink, const struct batch *batch, size_t from, size_t to, uint64_t first_token,
               size_t *ret_taken, struct error *err);

    /* Appends what became of earlier events to `report` (empty on entry). -1: the sink failed as a
     * whole. */
    int (*collect)(void *sink, struct sink_report *report, struct error *err);

    /* Frees everything; may wait a moment for its worker. NULL is fine. */
    void (*close)(void *sink);

    /* --- optional --- */

    /* Send now what is being held for batching: the pipeline drains, or has nothing more to put for
     * now. Must not wait. */
    void (*flush)(void *sink);

    /* SINK_COMMITS: is there data that should be committed now (a file that is full or old enough)?
     */
    bool (*commit_due)(void *sink, int64_t now_us);
    /* Begins to commit all that was put; collect reports it when it is durable. Copies what it
     * needs. */
    int (*commit)(void *sink, const struct sink_commit *c, struct error *err);
    /* Finds and finishes an interrupted commit. Called before start; may wait for the disk.
     * FATAL/69 when what is stored and what is there contradict each other. */
    int (*recover)(void *sink, const struct sink_stored *stored, struct sink_recovery *ret,
                   struct error *err);
    /* The recovered state is saved or was older than what is stored: the intent may go. */
    void (*recovered)(void *sink);

    /* DONE, or what is wrong with the outside world now; told while something waits for it. */
    int (*healthy)(void *sink, struct error *err);

    /* `check --connect`. */
    int (*check)(void *sink, finding_report *report, void *ctx, struct error *err);
};
