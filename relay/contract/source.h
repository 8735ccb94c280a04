/*
 * The contract of a source: what a plugin that reads events must do. It gives what was committed,
 * in order, and for each event a cursor: the text from which a later start goes on behind it.
 *
 * Example, one event:
 *   1. `start` gets the cursor that the store holds, and prepares to read what comes behind it.
 *   2. `read` puts the event into a batch. The sink delivers it.
 *   3. The pipeline asks for the cursor behind the event (`cursor`) and saves it in the store. With
 *      SOURCE_ACK_KEYS it first lets the source mark or delete the row (`ack`).
 *   4. `confirm`: the cursor is saved, so a server that keeps data for us may let go of it.
 * If the relay is killed before 3 is durable, the event is read and sent again. A source that
 * passes over an event, or confirms it too early, loses it: nobody reads it again.
 *
 * Order of the calls: `open` once; `start`; rounds of `tend`, `ack`, `read`, `cursor` and the
 * poll_fds functions; after a failure of the source or of the store, `stop` and `start` again;
 * `close` last.
 *
 * Thread: the pipeline's thread calls all functions, except where a command opens a source of its
 * own. None sleeps, logs or tries again by itself. `read`, `ack` and `tend` never wait for a
 * server: they send, answer RESULT_AGAIN, and go on when their descriptors are ready. Functions
 * that may wait say so; each such wait is bounded by connect_timeout or read_timeout, and soon ends
 * once env->stop_fd is readable.
 *
 * Answers: functions that return int give RESULT_DONE, or RESULT_ERROR with *err filled;
 * RESULT_AGAIN is possible only where it is named. The class of the error decides what happens next
 * (base/error.h). RETRY: the pipeline waits and calls `start`. CONFIG: the operator must act.
 */
#pragma once

#include "base/buf.h"
#include "base/error.h"
#include "base/poll_set.h"
#include "config/conf_key.h"
#include "contract/moment.h"
#include "contract/outbox_rows.h"
#include "contract/pipeline_of.h"
#include "contract/source_lag.h"
#include "contract/url_form.h"
#include "model/change.h"
#include "model/event.h"

struct encode_conf; /* message/encode.h */

enum source_caps {
    SOURCE_ORDERED = 1, /* events of one key come in the order in which they were committed */
    /* `ack` needs the row keys of delivered events (status and delete modes). */
    SOURCE_ACK_KEYS = 2,
    /* Its events are table changes (event.change), so the pipeline needs a format for changes. */
    SOURCE_CHANGES = 4,
    /* A cursor that is not saved yet may be wrong after a crash of the server. Example: with
     * synchronous_commit = off the server shows us a committed row, loses it in a crash, and gives
     * the row's seq to another row; a cursor that has passed the first row would skip the second
     * one. So when the server was restarted (store_position.server_restarted), the pipeline goes on
     * from the stored cursor and forgets the one in memory. The stored one is safe, because it is
     * in the same database: if it survived the crash, so did all that was committed before it. */
    SOURCE_VOLATILE = 8,
    /* An event with event.partial (a row too large to be read, for example) is still a row of its
     * table after it has become a dead letter, and the source does not give it a second time (in
     * delete mode it looks for dead letters with the code SOURCE_ROW_KEPT). So such an event may
     * become a dead letter: the row has the rest. Without this flag the pipeline stops at it,
     * because nobody would have the rest once it is passed. */
    SOURCE_ROWS_STAY = 16,
    /* With SOURCE_ACK_KEYS: `ack` deletes the rows. Then the row of a partial event is not
     * acknowledged, since it is the only complete copy. */
    SOURCE_ACK_REMOVES = 32,
    /* event.ends_transaction is set, or batch.after_end of the next batch where the event was
     * handed out before its end was known. A read that gives nothing (DONE) says that no
     * transaction is under way. */
    SOURCE_TRANSACTIONS = 64,
};

/* The code of a dead letter that does not hold its whole event: the row stays in the table and has
 * the rest. */
#define SOURCE_ROW_KEPT "row_kept"

/* For a source that reads the database in which its pipeline's store is, too: what the store's
 * tables are called there, and which rows are the pipeline's. The store says both (store_ops,
 * store_env), so no source has the names or keys of another plugin's tables in its own code. */
struct source_store {
    /* Table; `epoch` of the row tells which relay runs the pipeline now. `cursor`, `saved_at`,
     * `source_table` and `source_mode` (PostgreSQL: `seq_column`, `xid_column`, `shards`,
     * `shard_column`, `system_identifier`) tell how far a pipeline is in which table. */
    const char *positions;
    const char *dead_letters; /* table; the columns of interest are state, code and position */
    /* Key of the rows, together with source_env.pipeline (contract/part.h). A source gives the
     * events of this part only. */
    const char *part;
};

/*
 * A piece of an outbox table that `replay` sends again or `tail` shows, in the order of seq. A
 * source opened with it (source_env.range) reads this piece instead of what is new: it marks
 * nothing, its cursors mean the place within the piece, and `idle` says that the piece was given.
 * Of table changes there is only SOURCE_RANGE_ALL: contract/moment.h.
 */
struct source_range {
    int64_t from, to;       /* seq, both included; INT64_MIN, INT64_MAX: no bound */
    int64_t from_us, to_us; /* created_at, both included; INT64_MIN, INT64_MAX: no bound */
    const char *key;        /* only events of this aggregateid; NULL: all */
    const char *const *ids; /* only these events; none: all */
    size_t ids_count;
    /* What source_ops.frontier wrote: only events that the pipeline had delivered then. */
    const char *frontier;
    /* For `tail`: events of the table whether they are delivered or not, in every mode, from the
     * cursor that source_ops.recent wrote, and then what is committed later. No other bound is set.
     */
    bool every;
};

#define SOURCE_RANGE_ALL    \
    ((struct source_range){ \
        .from = INT64_MIN, .to = INT64_MAX, .from_us = INT64_MIN, .to_us = INT64_MAX})

/* What a range holds now. */
struct source_survey {
    int64_t count, first, last; /* events, and the seq of the first and last; first and last only
                                   with count > 0 */
    int64_t waiting;   /* events that lie in it, and are not delivered yet (after the frontier) */
    int64_t untimed;   /* with a bound on created_at: rows whose created_at cannot be read */
    int64_t lowest;    /* the lowest seq in the table; INT64_MAX: the table is empty */
    int64_t lowest_us; /* its created_at; TIME_NONE: unknown */
};

/* The outbox table that a stream reads, for a source that reads it by polling. Texts belong to the
 * configuration. */
enum { SOURCE_POLLED_COLUMNS = 12 };
struct source_polled {
    const char *url, *table;
    struct {
        const char *key, *name; /* of source.columns */
    } columns[SOURCE_POLLED_COLUMNS];
    size_t count;
};

/* What a source makes or drops on its server. */
enum source_deed { SOURCE_SLOT_MADE, SOURCE_SLOT_DROPPED, SOURCE_PUBLICATION_MADE };

/* What the pipeline tells its source. Outlives the source. */
struct source_env {
    const char *pipeline;
    /* A source whose store is in another database does not use it. */
    struct source_store store;
    const char *const
        *columns; /* further columns to read into event.columns (route placeholders) */
    size_t columns_count;
    /* So many at the end are to be JSON, as encode_column_value makes it under `encode` (outbox
     * sources). A source whose columns have no types that Debezium has refuses them with CONFIG. */
    size_t json_count;
    const struct encode_conf *encode; /* message/encode.h; may be NULL where json_count is 0 */
    bool ordered;     /* delivery.ordered: refuse with CONFIG if that order cannot be kept */
    int64_t attempts; /* delivery.attempts: after so many, status mode marks the row as failed */
    /* A larger payload is not read: its event has `poison` and `partial` set. 0: no limit. */
    size_t max_event_bytes;
    /* The store's lease (`store.lease`), in microseconds: how long a relay may be silent before it
     * loses the lock. A source for which the server holds something else, such as a replication
     * slot, makes the server release it after the same time; otherwise a relay that takes over
     * would get the lock but not the slot. 0: no lease, the server's own timeouts decide. */
    int64_t lease_us;
    int stop_fd; /* readable once the process should stop */
    /* True for commands that only look (tail, status): nothing is created, marked or moved, and a
     * CDC source reads through a temporary slot, from now on. */
    bool observe;
    /* For `check`: the cursor in the store, a null slice if there is none. NULL: it is not known
     * what is stored. */
    const struct slice *stored;
    struct change_shape shape; /* which events the format wants made from one change */
    /* For `replay` and `tail`; NULL: the source reads what is new. */
    const struct source_range *range;
    /* Writes a line to the log: what was created, how far long work is. Never give it a payload. */
    void (*note)(void *ctx, int level /* enum log_level */, const char *text);
    /* Tells what was just made or dropped, by its name; `at`: where a slot begins, or "". For the
     * audit log; called at once, because the start that made it may still fail. Not for what ends
     * with the connection. May be NULL. */
    void (*did)(void *ctx, enum source_deed deed, const char *name, const char *at);
    void *note_ctx; /* of both */
};

/* Whether the value of the further column `i` is to be JSON. */
static inline bool source_gives_json(const struct source_env *env, size_t i)
{
    return i + env->json_count >= env->columns_count;
}

/* Calls env->did, if there is one. */
static inline void source_did(const struct source_env *env, enum source_deed deed, const char *name,
                              const char *at)
{
    if (env && env->did) {
        env->did(env->note_ctx, deed, name, at);
    }
}

struct prune_ops;
struct source_signal;

struct source_ops {
    const char *name, *help;
    const struct conf_key *keys; /* the table from which the loader fills `conf` */
    size_t conf_size;            /* bytes of the struct that `keys` describes */
    struct url_form url;
    /* It reads the replication stream: where two sources accept the same URL, `--cdc` chooses this
     * one. */
    bool stream;
    /* It reads an outbox table in PostgreSQL that `init -c` can fit to the pipeline. */
    bool init_fits;

    /* --- asked of a configuration, before anything is opened; any thread --- */

    /* Appends the URL of the database that it reads, in which the pipeline's cursor, control row
     * and dead letters are then kept. NULL: they are kept in the `store` of the configuration. */
    void (*store_url)(const void *conf, struct buf *out);
    /* Sets how long the store waits for its server. What it does not set keeps the default. NULL:
     * the defaults. */
    void (*timeouts)(const void *conf, int64_t *connect_us, int64_t *read_us);
    /* Which rows it needs until they are delivered, for the store to keep. NULL: none. */
    void (*rows)(const void *conf, struct outbox_rows *ret);
    /* How delivered rows are removed (contract/prune.h). NULL: it reads no rows that stay. */
    const struct prune_ops *prune;
    /* Are its events table changes? NULL: never. */
    bool (*gives_changes)(const void *conf);
    /* Do these two pipelines need something that only one may have? Then the answer is true, and
     * what it is, for people, is appended: "source.slot orders". NULL: no. */
    bool (*clash)(const struct pipeline_of *a, const struct pipeline_of *b, struct buf *ret_what);

    /* --- its life --- */

    /* Checks the configuration and allocates; no I/O. `conf` (conf_size bytes, filled by the key
     * table) and `env` outlive the source. *ret_caps: enum source_caps. */
    int (*open)(const void *conf, const struct source_env *env, void **ret_source,
                unsigned *ret_caps, struct error *err);

    /* Connects, checks the tables, and prepares to read the event behind `cursor`. Called again
     * after a failure: drops connections and all that was in flight, and begins anew. May wait.
     * A null cursor: nothing is stored yet, and start_from decides where to begin; the pipeline
     * then asks for cursor(NULL, SIZE_MAX) and saves it.
     * epoch: the number of this relay's turn. Marks and deletes name it, so that a relay that was
     * overtaken changes no row. */
    int (*start)(void *source, struct slice cursor, int64_t epoch, struct error *err);

    /* Adds what `read` waits for. Asked only when the pipeline would call `read`. */
    void (*poll_fds)(void *source, struct poll_set *set);

    /* Fills an empty batch with at most max_events and about max_bytes; an event larger than that
     * comes alone. The memory of the events is the batch's.
     * DONE with batch->count 0: all that is committed and may be read now was given. AGAIN: a
     * request is under way. A row that is too large or cannot be read is no error: it becomes an
     * event with `poison` set. */
    int (*read)(void *source, struct batch *batch, size_t max_events, size_t max_bytes,
                struct error *err);

    /* Appends the cursor behind batch->events[index]. With batch NULL and index SIZE_MAX: the
     * cursor of where the source stands once all that it gave is delivered. */
    void (*cursor)(void *source, const struct batch *batch, size_t index, struct buf *out);

    /* Marks or deletes the rows of events that are settled. Only with SOURCE_ACK_KEYS.
     * Called with n > 0 to begin; the keys need not live longer than that call. While it answers
     * AGAIN it is called with n == 0, until it answers DONE: then the rows are marked or deleted.
     */
    int (*ack)(void *source, const struct slice *keys, size_t n, struct error *err);
    void (*ack_fds)(void *source,
                    struct poll_set *set); /* adds what an `ack` under way waits for */

    /* Cancels statements under way and frees everything. NULL is fine. */
    void (*close)(void *source);

    /* --- optional; NULL where the source has no use for it --- */

    /* Records in the row that its event was not delivered: attempts so far, why, and when it may be
     * tried again (wall clock; TIME_NONE: never, it is a dead letter now). Status mode. May wait.
     */
    int (*note_failure)(void *source, struct slice row_key, int64_t attempts, const char *reason,
                        int64_t next_attempt_us, struct error *err);

    /* The dead letter of the row at this position (event.position) was sent again (`delivered`), or
     * was given up. Says so in the row that note_failure has marked as never to be tried; any other
     * row stays as it is. Needs `open` only. Status mode. May wait. */
    int (*note_closed)(void *source, struct slice position, bool delivered, struct error *err);

    /* For recovery: does this database hold the event with last_position and last_id, and does
     * `cursor` fit? DONE: yes. FATAL with exit code 69: no, it was restored or is another database,
     * and going on could lose events. May wait. */
    int (*accepts)(void *source, struct slice cursor, struct slice last_position,
                   struct slice last_id, struct error *err);

    /* Turns the words of `position set` or start_from (beginning, now, an event position) into a
     * cursor, appended to *ret_cursor. CONFIG for words that mean nothing. May wait. */
    int (*position)(void *source, const char *text, struct buf *ret_cursor, struct error *err);

    /* Can delivery go on from a cursor that was saved once? ERROR with exit code 69 if it cannot,
     * because the database is another one, or has given up what came after the cursor. May wait.
     * NULL: the source has no cursors to go back to. */
    int (*resumes)(void *source, struct slice cursor, struct error *err);

    /* True while more events are coming without a wait. Then the pipeline does not flush the sink,
     * because fuller batches are cheaper. */
    bool (*behind)(void *source);

    /* After a `read` that gave nothing: true if all that was committed at `start` was given, so
     * that a failure of reading counts as over. Without this function any empty read counts as
     * that. A stream needs it: it is also empty while its server fails at what comes next. */
    bool (*passed_start)(void *source);

    /* Into how many shards the configuration divides the pipeline (1: it is whole), and what of an
     * event decides about its shard, as route.key names it. No I/O. NULL: never divided. */
    void (*divide)(const void *conf, int *ret_shards, const char **ret_by);

    /* Appends the event position that a cursor's text contains, for people. Needs no source. */
    void (*describe)(struct slice cursor, struct buf *out);

    /* *ret_idle: nothing is pending and nothing is due later, so --until-idle may end. Called after
     * a `read` that gave nothing. */
    int (*idle)(void *source, bool *ret_idle, struct error *err);

    /* Fills *ret (SOURCE_LAG_UNKNOWN on entry) from what the last reads showed. No I/O. */
    void (*lag)(void *source, struct source_lag *ret);

    /* For `status`, which does not read: asks the server how far this cursor is behind. Called
     * after `open`, without `start`. May wait. */
    int (*look)(void *source, struct slice cursor, struct source_lag *ret, struct error *err);

    /* --- for `replay`; a source without `frontier` cannot --- */

    /* Appends a text for source_range.frontier: which events are delivered, by the pipeline's
     * stored cursor (null: none is stored). May wait. CONFIG, with what can be done instead, where
     * delivered events cannot be read again. AGAIN (err->text says why): the cursor has to move
     * first; call again with the newer one and the same `out`. */
    int (*frontier)(void *source, struct slice cursor, struct buf *out, struct error *err);

    /* The table is read again by polling: `frontier` of that source takes what this one's wrote as
     * its cursor. NULL: this source reads it itself. */
    void (*polled)(const void *conf, struct source_polled *ret);

    /* What the range holds now. May wait. CONFIG if the table lacks what the range needs. */
    int (*survey)(void *source, const struct source_range *range, struct source_survey *ret,
                  struct error *err);

    /* Calls `each` with the id of every row that has one of these ids, delivered or not, as `read`
     * would give it; the slice lives during the call. An answer of `each` other than 0 ends the
     * list and is returned. May wait. CONFIG/64 if one of the texts is no value of the column's
     * type. */
    int (*holds)(void *source, const char *const *ids, size_t n,
                 int (*each)(void *ctx, struct slice id), void *ctx, struct error *err);

    /* --- for `verify` of table changes, see contract/moment.h; NULL: it gives none --- */

    enum source_when (*when)(void *source, struct slice id, char out[SOURCE_WHEN_SIZE]);

    /* --- for `snapshot`, see contract/source_signal.h; NULL: the source takes none --- */

    int (*signal)(void *source, const struct source_signal *what, struct buf *ret_order,
                  struct error *err);
    int (*obey)(void *source, struct slice cursor, const char *order, struct buf *ret_cursor,
                struct buf *ret_said, struct error *err);

    /* --- for `tail` --- */

    /* With source_range.every: appends the cursor before the last n events of the table. 0: behind
     * all that is committed. May wait. CONFIG if the table has no number to go by. NULL: what went
     * by cannot be shown again, and `position` of "now" is where to begin. */
    int (*recent)(void *source, int64_t n, struct buf *ret_cursor, struct error *err);

    /* --- for sources whose server is told how far it was read (replication slots) --- */

    /* Everything up to this cursor is delivered, and the cursor is saved durably. The server may be
     * told, and may then remove what comes before it. */
    void (*confirm)(void *source, struct slice cursor);

    /* True if the source has come further than its last event, and this should be saved now.
     * Example: for an hour only other tables were changed. If the slot stayed at our last event,
     * the server would keep the WAL of that hour. Asked only while no event is in hand (read and
     * not settled). The pipeline then saves cursor(NULL, SIZE_MAX). */
    bool (*moved)(void *source);

    /* What must be done on time even if the pipeline does not read now: replies to the server,
     * noticing that the server shuts down. Called each round; never waits. ERROR: as of `read`. */
    int (*tend)(void *source, struct error *err);
    void (*tend_fds)(void *source, struct poll_set *set); /* adds what `tend` waits for */

    /* The store or the source has failed, and `tend` is not called until `start`. Closes what a
     * server would wait for, such as a replication connection at its shutdown. Batches that were
     * given stay valid. */
    void (*stop)(void *source);

    /* For `check --connect`: looks at the real server and reports one finding per fault. May wait.
     * Called after `open`, without `start`. */
    int (*check)(void *source, finding_report *report, void *ctx, struct error *err);
};
