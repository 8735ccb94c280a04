/*
 * The contract of a sink: what a plugin that delivers events must do. docs/ADD-A-SINK.md shows how
 * to write one.
 *
 * Example, one event:
 *   1. The pipeline calls `put` with the event and the token 17. The sink takes it. Nothing is
 *      promised yet: a queued event is not a delivered event.
 *   2. The sink sends it, and learns later that it is durable on the other side.
 *   3. `collect` reports {17, SINK_DELIVERED}. Only now may the pipeline move its frontier past the
 *      event, mark its row and save its cursor.
 * A sink that reports "delivered" too early loses events: after a crash nobody sends them again.
 *
 * Order of the calls: `open` once; then `recover` (sinks with SINK_COMMITS only) and `start`; then
 * rounds of `collect`, `put`, `commit`, `flush` and poll_fds. After a failure and after a rewind,
 * `start` is called again. `close` is the last call.
 *
 * Tokens are consecutive 64-bit numbers and are never used twice. After a rewind the same event
 * comes again with a new token. A report for an old token completes nothing.
 *
 * Thread: the pipeline's thread calls all functions, except where a command opens a sink to `check`
 * or `recover`. None may block for more than a moment, because that thread also serves the source
 * and the store. What can block (fsync, destroying a producer) runs on a `struct worker` of the
 * sink (base/worker.h), and the sink answers RESULT_AGAIN meanwhile.
 *
 * A configuration may decide whether a sink commits (`exactly_once` of the Kafka sink): then
 * `caps_now` says so once it is open, and sink_caps is what the pipeline asks.
 *
 * Answers: functions that return int give RESULT_DONE, or RESULT_ERROR with *err filled;
 * RESULT_AGAIN is possible only where it is named. The class of the error decides what happens next
 * (base/error.h). A sink does not log, sleep or try again by itself.
 *
 * A receiver that asks to slow down (a quota, 429, a blocked connection) has not failed. The sink
 * answers with an error of class BUSY, whose text names the receiver and why, and whose
 * retry_after_us is the time that the receiver named (0: it named none). From `put`: the events
 * before *ret_taken are taken, the sink is fine, and nothing is put for so long. From `start` and
 * `collect`, or as the error of a report: the sink is started again after so long, as after a
 * failure. It counts as no failure anywhere. A client library that waits by itself only tells of it
 * in `healthy`.
 */
#pragma once

#include "base/buf.h"
#include "base/error.h"
#include "base/metrics.h"
#include "base/poll_set.h"
#include "config/conf_key.h"
#include "contract/delivered.h"
#include "contract/pipeline_of.h"
#include "contract/url_form.h"
#include "model/event.h"

enum sink_caps {
    /* The sink sends messages: it wants topic, key, value and out_headers as route and encode make
     * them. Without this flag it renders each event itself (message/encode.h). */
    SINK_MESSAGES = 1,
    /* The sink has `commit` and `recover`: it records the cursor together with the data, so that
     * after a crash each event is there exactly once. */
    SINK_COMMITS = 2,
    /* The token of a SINK_POISON report is that of the guilty event, whatever is open before it.
     * Without this flag it is only a suspicion (one bad message may fail a whole batch), and the
     * pipeline sends all open events again, one by one, to find the guilty one. */
    SINK_SINGLE_FAULT = 4,
    /* With SINK_COMMITS: a commit should not end within a transaction of the database. */
    SINK_WHOLE = 8,
};

/* The code of a RETRY error of a committing sink: another relay writes to the same place now. The
 * pipeline then starts the store again, where the lock decides which relay may go on, and calls
 * `recover` before `start`. */
#define SINK_OVERTAKEN "overtaken"

/* DELIVERED: durable on the other side. RETRY: the sink has failed with it, or with the class BUSY
 * the receiver asks to wait; every event after the frontier is put again. FATAL: the sink has
 * failed with it, and the pipeline ends. POISON: this event cannot be delivered. */
enum sink_outcome { SINK_DELIVERED, SINK_RETRY, SINK_POISON, SINK_FATAL };

struct sink_result {
    uint64_t token;
    enum sink_outcome outcome;
};

/* SINK_REPORT_MAX: results in one report. SINK_DESCRIPTORS: see sink_ops.descriptors. */
enum { SINK_REPORT_MAX = 1024, SINK_DESCRIPTORS = 4 };

/* What one `collect` reports. It holds at most one result other than SINK_DELIVERED; that one is
 * the last, and `error` says what is wrong. */
struct sink_report {
    struct sink_result results[SINK_REPORT_MAX];
    size_t count;
    struct error error;
};

/* What a committing sink records durably together with its data. Borrowed during the call. */
struct sink_commit {
    struct slice cursor;      /* where the source goes on after the last event that was put */
    const struct slice *keys; /* rows to mark once the data are durable; none in position mode */
    size_t keys_count;
    struct slice last_position, last_id; /* of the last event that was put */
    /* Other than 0: what was put are events that the store gave, not the source: one dead letter,
     * or events that waited behind one. The number of the last of them. `cursor` is as it was
     * before. */
    int64_t dead_letter;
};

/* What the store holds for the pipeline when a committing sink starts. Borrowed during the call. */
struct sink_stored {
    uint64_t delivered; /* number of the last event saved as delivered: a record of a commit that
                           ends there or before is not needed any more */
    const char *origin; /* store_position.origin: the database that the events come from; "" if
                           unknown */
    int64_t epoch;      /* store_position.epoch, for people */
};

/* What `recover` found: data that reached their place although the cursor was not saved. All zero
 * on entry; the sink fills it, the caller frees buffers and arena. */
struct sink_recovery {
    /* Delivery number of the last event whose data are in place; 0: there is nothing to recover. */
    uint64_t delivered;
    struct buf cursor, last_position, last_id; /* as of sink_commit */
    struct slice *keys;                        /* in `arena` */
    size_t keys_count;
    int64_t dead_letter; /* as in sink_commit */
    struct arena arena;
};

/* What the pipeline tells its sink. Outlives the sink. */
struct sink_env {
    const char *pipeline;
    const char *fixed_topic; /* the topic of all events; NULL if it depends on the event */
    size_t max_in_flight;    /* most events that are put and not yet reported */
    size_t max_in_flight_bytes;
    /* delivery.at_most_once: without it a sink that keeps nothing is refused. */
    bool at_most_once;
    /* delivery.poison is stop or park_key: nothing of a key is to be delivered while an earlier
     * event of it may still be refused. */
    bool holds_keys;
    int stop_fd; /* readable once the process should stop */
    /* For `check`: which topics are possible; else NULL. */
    const struct route *route;
    /* For `check`: the timestamp of the oldest message that waits to be sent (wall clock); 0 if it
     * is unknown or messages get the time at which they are sent. */
    int64_t oldest_us;
    /* A replay: it sends beside the relay that runs the pipeline. So the sink records no position
     * and does not commit, and must not keep that relay from writing. */
    bool beside;
    /* Counters of the sink's commits; NULL for commands that send nothing. */
    struct metrics *metrics;
    /* Writes a line to the log, for a library that has threads or callbacks of its own
     * (librdkafka); any thread. Never give it a payload. May be NULL. */
    void (*note)(void *ctx, int level /* enum log_level */, const char *text);
    void *note_ctx;
};

struct sink_ops {
    const char *name, *help;
    const struct conf_key *keys; /* the table from which the loader fills `conf` */
    size_t conf_size;            /* bytes of the struct that `keys` describes */
    struct url_form url;
    unsigned caps; /* enum sink_caps */
    /* Optional: the flags of an open sink, where its configuration decides. NULL: `caps`. */
    unsigned (*caps_now)(const void *sink);

    /* The name and the version of the library it uses, for `version` and the log. NULL: it has no
     * library of its own. */
    const char *library;
    const char *(*library_version)(void);
    /* Optional. If the library in use is too old: appends a warning and returns true. */
    bool (*library_outdated)(struct buf *out);
    /* Optional: about how many file descriptors the sink needs. Without it, SINK_DESCRIPTORS are
     * assumed. */
    size_t (*descriptors)(const void *conf);

    /* Checks the configuration and allocates. Touches nothing outside the process. `conf` and `env`
     * outlive the sink. *ret_max_event: the largest event.value in bytes that it takes; 0: no
     * limit. CONFIG for a wrong configuration. */
    int (*open)(const void *conf, const struct sink_env *env, void **ret_sink,
                size_t *ret_max_event, struct error *err);

    /* Makes the sink ready, and makes it forget all that was put before: queued messages are
     * dropped and never reported. Called before the first `put`, after each rewind and after each
     * failure. next_number: the delivery number of the next event that is put.
     * AGAIN: the old state is still being torn down; called again when poll_fds says so. Until the
     * answer is DONE (or `close` returns) the pipeline keeps the payloads of everything that was
     * put before, because the sink may still be sending them. */
    int (*start)(void *sink, uint64_t next_number, struct error *err);

    /* Adds what the sink waits for: descriptors, deadlines. */
    void (*poll_fds)(void *sink, struct poll_set *set);

    /* Offers batch->events[from..to). The first one has the token first_token, each other one the
     * next number. *ret_taken, which is always set, says how many the sink has taken, in order.
     * DONE with fewer than were offered is back-pressure: the rest is offered again later.
     * ERROR with POISON: the event at from + *ret_taken is refused; the sink itself is fine. ERROR
     * with BUSY: the sink is fine too, and the rest is offered again after retry_after_us. ERROR
     * with another class: the sink has failed. The payloads stay unchanged until their token is
     * reported or `start` has made it void. */
    int (*put)(void *sink, const struct batch *batch, size_t from, size_t to, uint64_t first_token,
               size_t *ret_taken, struct error *err);

    /* Appends what became of earlier events to `report`, which is empty on entry. If it fills the
     * report, it is called again at once. ERROR: the sink has failed as a whole. */
    int (*collect)(void *sink, struct sink_report *report, struct error *err);

    /* Frees everything. May wait a moment for its worker. NULL is fine. */
    void (*close)(void *sink);

    /* --- optional; NULL where the sink has no use for it --- */

    /* Sends at once what the sink keeps to send it in larger batches: nothing more is put for now.
     * Must not wait. */
    void (*flush)(void *sink);

    /* The key of the configuration without which all topics have one place: it should hold {topic},
     * and does not ("sink.subject"). NULL, as without this function: an event's topic decides where
     * it goes. Asked once the sink is open. */
    const char *(*without_topic)(const void *sink);

    /* --- with SINK_COMMITS --- */

    /* Optional. The source was just read to its end, and all that was read is put: every event that
     * was committed before is there. For sinks that complete something at a time of day. */
    void (*caught_up)(void *sink);
    /* Should what was put be committed now, for example because the file is full or old enough?
     * now_us: monotonic. */
    bool (*commit_due)(void *sink, int64_t now_us);
    /* Begins to commit all that was put, and copies what it needs of *c. `collect` reports the
     * events when they are durable. */
    int (*commit)(void *sink, const struct sink_commit *c, struct error *err);
    /* Finds a commit that was interrupted, and finishes it. Called before `start`, with the store's
     * lock held; may wait for the disk. AGAIN: it waits for a server; called again soon, with the
     * same arguments, or given up. FATAL with exit code 69 if what is stored and what the sink
     * finds contradict each other. */
    int (*recover)(void *sink, const struct sink_stored *stored, struct sink_recovery *ret,
                   struct error *err);
    /* What `recover` found is saved in the store now, or the store was already that far. The sink
     * may remove its record of that commit (the intent). */
    void (*recovered)(void *sink);

    /* --- optional --- */

    /* Do these two pipelines need something that only one may have? Then the answer is true, and
     * what it is, for people, is appended: "sink.transactional_id relay". Before anything is
     * opened; any thread. NULL: no. */
    bool (*clash)(const struct pipeline_of *a, const struct pipeline_of *b, struct buf *ret_what);

    /* Do both configurations write where only one pipeline may (one folder)? For `replay`, whose
     * sink must not be the pipeline's own then. NULL: several may always write there. */
    bool (*same_place)(const void *conf, const void *other);

    /* Fills `out` and returns how many targets there are. */
    size_t (*targets)(void *sink, struct sink_target out[SINK_TARGETS_MAX]);

    /* DONE, or the error that events in flight wait for (the disk is gone, no broker answers). The
     * text is shown as `held_up`. Asked from time to time while there are such events. */
    int (*healthy)(void *sink, struct error *err);

    /* For `verify-batch`: checks the files that any pipelines have left in a folder, or copies of
     * them, without a configuration. key: for their HMACs; null: those are not checked. DONE: *ret
     * says what was found. ERROR/74: something cannot be read. May wait; any thread. */
    int (*verify)(const char *dir, struct slice key, const struct sink_watch *watch,
                  struct sink_verdict *ret, struct error *err);

    /* Gives every event that lies at the destination now, in any order: what is there at the begin
     * of the call is given, what comes later may be. Memory is bounded, whatever lies there. Called
     * after `open`, without `start`; changes nothing; may wait, and ends soon once stop_fd is
     * readable (RETRY). NULL: what was delivered cannot be read again. */
    int (*read_back)(void *sink, const struct sink_reading *reading, struct error *err);

    /* With read_back and SINK_MESSAGES: why has read_back not asked for this topic, to which events
     * were sent? DONE: the topic is there by now. ERROR names topic, cause and remedy. May wait. */
    int (*find_topic)(void *sink, const char *topic, struct error *err);

    /* With read_back, and without SINK_MESSAGES: appends what read_back would give as the payload
     * of this event. POISON: the sink cannot write it. */
    int (*payload_of)(void *sink, const struct event *e, struct buf *out, struct error *err);

    /* For `resend`: gives files that lie complete in their place to targets once more, whatever
     * these have accepted, and changes no record. Called after `open`, without `start`; may wait.
     * *ret_files (set also on failure): how many fit. ERROR for the first that is not accepted;
     * CONFIG/64 if there is no such target. */
    int (*resend)(void *sink, const struct sink_resend *what, size_t *ret_files, struct error *err);

    /* For `check --connect`: looks at the real destination and reports one finding per fault. May
     * wait. Called after `open`, without `start`. */
    int (*check)(void *sink, finding_report *report, void *ctx, struct error *err);
};

/* The flags of an open sink. */
static inline unsigned sink_caps(const struct sink_ops *ops, const void *sink)
{
    return ops->caps_now ? ops->caps_now(sink) : ops->caps;
}
