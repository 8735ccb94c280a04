/*
 * The contract of a source: reads what was committed, in order, and hands over a cursor for each
 * event.
 *
 * Every function but `open` and `check` is called by the pipeline's thread only. None sleeps, logs
 * or retries; connecting and start-up checks may wait for a server, each wait bounded by
 * connect_timeout or read_timeout and given up as soon as env->stop_fd is readable. `read` and
 * `ack` never wait: they send, answer AGAIN, and go on when their descriptors (poll_fds) are ready.
 */
#pragma once

#include "base/buf.h"
#include "base/error.h"
#include "base/poll_set.h"
#include "config/conf_key.h"
#include "contract/url_form.h"
#include "model/change.h"
#include "model/event.h"

enum source_caps {
    SOURCE_ORDERED = 1,  /* set by `open` in ret_caps: events of a key come in order */
    SOURCE_ACK_KEYS = 2, /* `ack` needs the row keys (status and delete modes) */
    SOURCE_CHANGES = 4,  /* its events are changes (event.change): they need a format for changes */
    /* A cursor may tell of what the server has not made durable; once it is saved in the same
     * database it does not. */
    SOURCE_VOLATILE = 8,
    /* A row stays in its table until it is acknowledged, and is known to be a dead letter from then
     * on: one that does not hold it all may be passed. */
    SOURCE_ROWS_STAY = 16,
    SOURCE_ACK_REMOVES = 32, /* with SOURCE_ACK_KEYS: acknowledged rows are deleted */
};

/* The code of a dead letter that does not hold its event: the row has it, and stays in the table.
 */
#define SOURCE_ROW_KEPT "row_kept"

/* For a source whose database is the pipeline's store as well: what the store's tables are called
 * there, and the row of the pipeline in them. The store says both (store_ops, store_env), so that
 * no source writes another's table names or key down. */
struct source_store {
    const char *positions;    /* a row's `epoch` tells which relay runs the pipeline now */
    const char *dead_letters; /* `state`, `code`, and the event's `position` */
    const char *part;         /* the rows' key: source_env.pipeline and this */
};

/* What the pipeline tells its source. Outlives the source. */
struct source_env {
    const char *pipeline;
    struct source_store store; /* says nothing to a source whose store is elsewhere */
    const char *const
        *columns; /* further columns to read into event.columns (route placeholders) */
    size_t columns_count;
    bool ordered;           /* delivery.ordered: refuse with CONFIG if that cannot be kept */
    int64_t attempts;       /* delivery.attempts: status mode marks a row failed after so many */
    size_t max_event_bytes; /* a larger payload is not asked for: its event comes with `poison` and
                               `partial` set. 0: no limit */
    int64_t lease_us; /* what else is the server's to hold for us, a slot, is to be free when the
                         lock of the store is; 0: as long as the server likes */
    int stop_fd;      /* readable once the process should stop */
    bool observe; /* only looking (tail, status): nothing is created, marked or moved; a CDC source
                     reads through a temporary slot from now on */
    const struct slice *stored; /* for `check`: the cursor in the store, null if there is none;
                                   NULL: what is stored is not known */
    struct change_shape shape;  /* which events the format wants made from one change */
    /* A line for the log: what was created, progress of long work; never a payload. */
    void (*note)(void *ctx, int level /* enum log_level */, const char *text);
    void *note_ctx;
};

/* How far behind, for status and metrics; answered from what the last reads showed, without I/O. */
struct source_lag {
    int64_t pending_events; /* not yet given by `read`: exact up to 10,000, an estimate above;
                               -1 unknown */
    int64_t oldest_us;  /* wall clock of the oldest undelivered event; TIME_NONE when caught up or
                           unknown */
    char held_up[256];  /* what holds it up ("waits for a lock held by pid 123 since 12 s"); "" if
                           nothing */
    char progress[256]; /* long work under way ("snapshot: orders, 12 %, 40 s left"); "" if none */
    int64_t lag_bytes;  /* CDC: WAL that is not yet delivered; -1 unknown */
    int64_t slot_retained_bytes; /* CDC: WAL the slot makes the server keep; -1 unknown */
    int64_t slot_limit_bytes;    /* CDC: slot_retained_bytes at which the slot is lost; -1 never or
                                    unknown */
    bool slot_lost; /* CDC: the slot is gone, and with it changes that were not delivered */
};

#define SOURCE_LAG_UNKNOWN                          \
    ((struct source_lag){.pending_events = -1,      \
                         .oldest_us = TIME_NONE,    \
                         .lag_bytes = -1,           \
                         .slot_retained_bytes = -1, \
                         .slot_limit_bytes = -1})

struct source_ops {
    const char *name, *help;
    const struct conf_key *keys;
    size_t conf_size;
    struct url_form url;
    bool stream;    /* reads the replication stream: what `--cdc` chooses of two for one URL */
    bool init_fits; /* an outbox table in PostgreSQL, that `init -c` can fit to the pipeline */

    /* --- asked of a configuration, before anything is opened --- */

    /* Appends the address of the database that it reads: cursor, control row and dead letters are
     * kept there. NULL: they are kept in the `store` of the configuration. */
    void (*store_url)(const void *conf, struct buf *out);
    /* Sets how long the store waits for its server; what it leaves alone keeps the default. NULL:
     * the defaults. */
    void (*timeouts)(const void *conf, int64_t *connect_us, int64_t *read_us);
    /* Are its events table changes? NULL: never. */
    bool (*gives_changes)(const void *conf);

    /* --- its life --- */

    /* Checks the configuration and allocates; no I/O. `conf` (conf_size bytes, filled by the key
     * table) outlives it. */
    int (*open)(const void *conf, const struct source_env *env, void **ret_source,
                unsigned *ret_caps, struct error *err);

    /* Connects, checks the tables, and prepares to read the event after `cursor` (null: start_from
     * decides; the text that results is given by `cursor` right away). `epoch` fences marks and
     * deletes against an older relay. Called again after a failure: it drops its connections and
     * all it had in flight. */
    int (*start)(void *source, struct slice cursor, int64_t epoch, struct error *err);

    /* What `read` waits for; asked only when the pipeline would call it. */
    void (*poll_fds)(void *source, struct poll_set *set);

    /* Fills an empty batch with at most max_events and about max_bytes (one larger event is still
     * given alone). DONE with count 0: caught up with all that is committed and may be read now.
     * AGAIN: on its way. */
    int (*read)(void *source, struct batch *batch, size_t max_events, size_t max_bytes,
                struct error *err);

    /* The cursor text behind batch->events[index], appended to `out`. index == SIZE_MAX with batch
     * NULL: the cursor of where the source stands when all it gave is delivered. */
    void (*cursor)(void *source, const struct batch *batch, size_t index, struct buf *out);

    /* Marks or deletes rows whose events are behind the saved frontier. Called with n > 0 to begin
     * (keys are copied or used before it answers), then with n == 0 until it is not AGAIN. Only
     * with SOURCE_ACK_KEYS. */
    int (*ack)(void *source, const struct slice *keys, size_t n, struct error *err);
    void (*ack_fds)(void *source, struct poll_set *set); /* what an `ack` under way waits for */

    /* Everything this source holds is freed; in-flight statements are cancelled. NULL is fine. */
    void (*close)(void *source);

    /* --- optional --- */

    /* An event that was tried and not delivered: attempts so far, why, and (wall clock) when it may
     * be tried again (TIME_NONE: never, it is a dead letter now). May wait for the server. Status
     * mode records it in the row. */
    int (*note_failure)(void *source, struct slice row_key, int64_t attempts, const char *reason,
                        int64_t next_attempt_us, struct error *err);

    /* DONE: `cursor` (with the id of the last event before it) fits what this database holds now;
     * for recovery. */
    int (*accepts)(void *source, struct slice cursor, struct slice last_position,
                   struct slice last_id, struct error *err);

    /* Turns what `position set` or start_from says (beginning, now, an event position) into a
     * cursor. May wait. */
    int (*position)(void *source, const char *text, struct buf *ret_cursor, struct error *err);

    /* True while more comes without being asked for, so that what is put need not be sent at once.
     */
    bool (*behind)(void *source);

    /* After a read that gave nothing: true when all that was committed at `start` has been given,
     * so that none of it can fail any more. Without this any empty read says so: a stream is also
     * empty while its server struggles with what comes next. */
    bool (*passed_start)(void *source);

    /* The event position inside a cursor text, for people. */
    void (*describe)(struct slice cursor, struct buf *out);

    /* True when --until-idle may end: nothing pending, nothing due later. Called when `read` gave
     * an empty batch. */
    int (*idle)(void *source, bool *ret_idle, struct error *err);

    void (*lag)(void *source, struct source_lag *ret);

    /* For `status`, instead of reading: how far behind is this cursor? Waits. Not started before.
     */
    int (*look)(void *source, struct slice cursor, struct source_lag *ret, struct error *err);

    /* --- for sources whose server is told how far it was read (replication slots) --- */

    /* Everything up to this cursor is delivered and durably saved; the server may be told. */
    void (*confirm)(void *source, struct slice cursor);

    /* True when the source stands further than its last event says, and that is worth saving now.
     * Asked only while nothing is in hand; the pipeline then saves `cursor(NULL, SIZE_MAX)`. */
    bool (*moved)(void *source);

    /* What must be done whether or not anything is read, without waiting: replies on a timer,
     * looking whether the server is going down. Called each round; tend_fds says when it is due. */
    int (*tend)(void *source, struct error *err);
    void (*tend_fds)(void *source, struct poll_set *set);

    /* The database side has failed elsewhere (the store): nothing is tended until `start`, so drop
     * what a server would wait for, such as a replication connection at its shutdown. What was
     * given stays valid. */
    void (*stop)(void *source);

    /* `check --connect`: looks at the real server and appends one finding per fault to `out`
     * through `report`. */
    int (*check)(void *source, finding_report *report, void *ctx, struct error *err);
};
