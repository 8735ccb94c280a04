/*
 * The contract of a store: it keeps the cursor, the control row and the dead letters of a pipeline,
 * and makes sure that only one relay at a time writes them. The key of all rows is (pipeline,
 * part).
 *
 * One relay per pipeline, by two means:
 *   - The lock: `start` takes it (a session advisory lock in PostgreSQL, a lock file for SQLite).
 *     A second relay gets RESULT_AGAIN, and waits.
 *   - The epoch: `start` raises a number in the pipeline's row, and every save names it. Example: a
 *     relay hangs for an hour, loses its lock, and wakes up. Another relay has raised the epoch
 *     meanwhile, so the old one's save changes no row. Without the epoch it would set the cursor
 *     back.
 *
 * Order of the calls: a relay calls `open`, then `start`, then the others; after a failure `start`
 * again. A command calls `open`, then `observe` or the functions that say "for commands". `close`
 * is the last call.
 *
 * Thread: one thread at a time uses an opened store. Functions may wait for the server, at most the
 * timeouts of store_env for each step; `save`, `saved` and `report_state` wait for no more than a
 * moment (10 ms, for a lock of SQLite).
 *
 * Answers: functions that return int give RESULT_DONE, or RESULT_ERROR with *err filled;
 * RESULT_AGAIN is possible only where it is named. RETRY: the connection or the lock was lost, or
 * another process was in the way; the caller calls `start` again. CONFIG: a right, a table or a
 * file is missing. FATAL with exit code 69: what is stored belongs to another database.
 */
#pragma once

#include "base/buf.h"
#include "base/error.h"
#include "base/poll_set.h"
#include "base/slice.h"
#include "contract/outbox_rows.h"
#include "contract/part.h"
#include "contract/url_form.h"
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

/* How long a line of the history of positions covers, and for how long lines are kept. */
#define STORE_HISTORY_EVERY_US (60 * INT64_C(1000000))
#define STORE_HISTORY_KEEP_US (7 * 86400 * INT64_C(1000000))

/* The part of a pipeline that is not divided into shards. */
#define STORE_WHOLE PART_WHOLE

struct store_member;
struct store_shards_ops;

/* What a store needs to know. Outlives the store. */
struct store_env {
    const char *url;      /* postgresql://..., a conninfo string, or sqlite:PATH */
    const char *pipeline; /* key */
    const char *part;     /* key: STORE_WHOLE, or a shard (contract/part.h) */
    int64_t connect_timeout_us, read_timeout_us;
    /* SQLite: true for a command, which may wait for a lock of the database for read_timeout_us. A
     * relay waits for a second, because its thread has other things to do. */
    bool observe;
    /* PostgreSQL: the lock of a relay that is silent for so long becomes free. 0: never. */
    int64_t lease_us;
    struct outbox_rows rows; /* what the pipeline reads; `start` keeps it beside the position */
    int stop_fd;             /* readable once the process should stop; -1: none */
    /* SQLite: make a missing file, since the store has one of its own. False: a missing file is
     * CONFIG/78. */
    bool create;
    /* Events may have to wait behind a dead letter, so `start` asks for the right to remove them
     * again (waiting_sent): without it they would be sent for ever. */
    bool parks;
    /* Of a shard: the process's membership (contract/shards.h), which outlives the store. NULL:
     * `start` takes the lock itself. */
    struct store_member *member;
};

/* What is stored for a pipeline, as `start` and `observe` find it. The caller zeroes it before, and
 * frees `cursor` afterwards. */
struct store_position {
    struct buf cursor;   /* empty: nothing is stored yet */
    uint64_t delivered;  /* delivery number of the last delivered event */
    int64_t epoch;       /* how often a relay has taken the pipeline over */
    int64_t saved_at_us; /* wall clock; TIME_NONE: never */
    char state[24];      /* the pipeline state that was reported last */
    char detail[512];    /* why it is in that state */

    /* --- `start` only --- */

    /* Which database this is: what identifies it, then its name for people in brackets. "": the
     * role may not read it. */
    char origin[160];
    /* The stored cursor is of another cluster and means nothing here, so `cursor` is empty. A
     * `position set` command already waits, which will say where to go on. */
    bool foreign;
    /* The server was restarted since the last `start` of this store, and may have lost what was not
     * durable. See SOURCE_VOLATILE. */
    bool server_restarted;

    /* --- `observe`; after `start`, `locked` is true --- */

    bool absent;      /* no relay has made the tables or the file yet */
    bool locked;      /* a relay has the lock now */
    char holder[160]; /* which one, for people; "" if none */
};

enum store_command {
    STORE_NO_COMMAND,
    STORE_SET_POSITION,
    STORE_PAUSE,
    STORE_RESUME,
    STORE_RETRY, /* dead letters: send them again */
    STORE_DROP,  /* dead letters: give them up */
    STORE_SNAPSHOT,
};

enum { STORE_ARGUMENT_SIZE = 4096, STORE_WHO_SIZE = 96 };

/* An argument of SET_POSITION may name a line of the history. Then it begins with this text, and
 * the time of the line follows (RFC 3339, microseconds). The cursor of the line is set, and not its
 * event position, because a cursor says more than a position. */
#define STORE_AT_TIME "time "

/* The control row: an order that a command left in the store for the relay that runs the pipeline.
 */
struct store_control {
    int64_t id; /* given by the store */
    enum store_command command;
    /* SET_POSITION: beginning | now | an event position | STORE_AT_TIME and a time. RETRY, DROP:
     * numbers of dead letters, with commas between. SNAPSHOT: see source_ops.signal. */
    char argument[STORE_ARGUMENT_SIZE];
    /* Who gave it: uid and user name (audit/audit.h), as the command said; "": an earlier version's
     * command, which did not. */
    char who[STORE_WHO_SIZE];
    bool acknowledged; /* the relay has answered */
    char answer[512];  /* what the relay did, or why not */
};

/* The states of a dead letter. Only an open one can be retried, dropped or edited. */
#define STORE_LETTER_OPEN "dead"
#define STORE_LETTER_RETRIED "retried"
#define STORE_LETTER_DROPPED "dropped"

/* No dead letter yet: an event that waits behind the dead letter of its key (waiting_put). Only the
 * functions for waiting events see it. */
#define STORE_LETTER_WAITING "waiting"

/* A dead letter of which only the event's id and position are left (dead_letter_expire). Only
 * removed_letters sees it, and dead_letter_put, for which it is a closed one. */
#define STORE_LETTER_REMOVED "removed"

/* Codes of dead letters that do not hold their event, beside SOURCE_ROW_KEPT of source.h. */
#define STORE_LETTER_UNENCODED "not_encoded" /* no message could be made of the change */

/* What an operator changed of a dead letter. A value counts only if its bit is in `fields`; it may
 * be null (no key, a tombstone). */
struct store_letter_edit {
    unsigned fields; /* of enum store_letter_field */
    struct slice topic, key, headers, payload;
};
enum store_letter_field {
    STORE_LETTER_TOPIC = 1,
    STORE_LETTER_KEY = 2,
    STORE_LETTER_HEADERS = 4,
    STORE_LETTER_PAYLOAD = 8,
};

/* An event that was put aside because it can never be delivered. Slices are borrowed; a null slice
 * is SQL null. */
struct store_dead_letter {
    int64_t id; /* given by the store */
    struct slice event_id, position, topic, key, payload, headers /* JSON object */;
    struct slice aggregatetype, aggregateid, type, created_at;
    struct slice payload_kind; /* json | text | bytes */
    /* Why it cannot be delivered; "poison", SOURCE_ROW_KEPT if the row has what is missing here, or
     * STORE_LETTER_UNENCODED. */
    struct slice reason, code;
    int64_t attempts;
    int64_t first_failed_us, last_failed_us; /* wall clock */
    int32_t partition;                       /* -1: the sink chooses */
    char state[16];                          /* STORE_LETTER_*; "" when put: open */
    int64_t closed_us; /* wall clock: when it was retried or dropped; TIME_NONE while it is open */
    struct store_letter_edit edit; /* beside the original; a put leaves it as it is */
    int64_t edits;                 /* how often it was edited */
    bool parks;      /* later events of its key (`key`, not the edited one) wait behind it */
    int64_t waiting; /* dead_letter_list: how many wait behind it while it is open */
};

/* Which dead letters are listed; all zero: all of them. */
struct store_letter_pick {
    int64_t after, until; /* numbers above `after`, up to `until`; 0: no bound */
    bool open;            /* only open ones */
    bool bare;            /* their payloads are left out: null slices, also that of the edit */
};

/* The one of this number; none if it is not above 0. */
static inline struct store_letter_pick store_letter_number(int64_t id)
{
    return (struct store_letter_pick){.after = id - 1, .until = id > 0 ? id : -1};
}

static inline bool store_letter_is_open(const struct store_dead_letter *d)
{
    return strcmp(d->state, STORE_LETTER_OPEN) == 0;
}

/* The letter with the edited values in the place of the original ones. */
static inline struct store_dead_letter store_letter_as_edited(const struct store_dead_letter *d)
{
    struct store_dead_letter e = *d;
    e.topic = d->edit.fields & STORE_LETTER_TOPIC ? d->edit.topic : d->topic;
    e.key = d->edit.fields & STORE_LETTER_KEY ? d->edit.key : d->key;
    e.headers = d->edit.fields & STORE_LETTER_HEADERS ? d->edit.headers : d->headers;
    e.payload = d->edit.fields & STORE_LETTER_PAYLOAD ? d->edit.payload : d->payload;
    return e;
}

/* A parked key: events of this key wait. */
struct store_parked {
    struct slice key;
    int64_t letter; /* the open dead letter behind which they wait; 0: it was retried or dropped,
                       and what waits is to be sent */
    struct slice event_id, position; /* of the open dead letter; null: there is none */
    int64_t waiting;                 /* how many wait */
};

enum { STORE_REPLAY_ID_SIZE = 48 };

/* A replay that was begun and has not come to its end. */
struct store_replay {
    char id[STORE_REPLAY_ID_SIZE];
    struct slice asked; /* what it sends, in words of the command's own */
    uint64_t delivered;
    int64_t started_us, saved_us; /* wall clock; saved_us TIME_NONE: nothing is saved yet */
};

struct store_ops {
    const char *name;
    struct url_form url;
    /* Its tables, as a statement in the same database names them; rows have the columns pipeline
     * and part. The pipeline gives them to the source (source_store). */
    const char *positions, *dead_letters;
    /* Its lock is lost after store_env.lease_us of silence. */
    bool leases;

    /* Checks the URL and allocates; no I/O. `env` outlives the store. CONFIG for a URL that cannot
     * be read. */
    int (*open)(const struct store_env *env, void **ret_store, struct error *err);

    /* Connects, makes its tables if they are missing, checks that the stored cursor is of this
     * database, takes the lock, raises the epoch, and loads what is stored. Called again after a
     * failure.
     * AGAIN: another relay has the lock; err->text says which, although this is no error. CONFIG/77
     * without the right to make the tables; the text has the SQL. FATAL/69 if the cursor is of
     * another database. */
    int (*start)(void *store, struct store_position *ret, struct error *err);

    /* For commands: loads what is stored, and looks who has the lock. Takes no lock, raises no
     * epoch, makes no tables. A missing table reads as nothing stored. */
    int (*observe)(void *store, struct store_position *ret, struct error *err);

    /* Adds what a save under way waits for. */
    void (*poll_fds)(void *store, struct poll_set *set);

    /* Begins to save cursor and delivery number; the cursor is copied. One save at a time: the next
     * one only after `saved` was DONE or ERROR. */
    int (*save)(void *store, struct slice cursor, uint64_t delivered, struct error *err);
    /* DONE: the save is durable, or none was begun. AGAIN: not yet.
     * ERROR if another relay has raised the epoch. It is RETRY where the lock decides who goes on
     * (PostgreSQL), else FATAL/69. */
    int (*saved)(void *store, struct error *err);

    /* The history of positions: a save adds its cursor if the line before is a minute old. Lines
     * are kept for 7 days, and one more, which says where the pipeline stood 7 days ago.
     * list: calls `each` for every line since then, the oldest first; the slice lives during the
     * call. An answer of `each` other than 0 ends the list and is returned. */
    int (*history_list)(void *store, int64_t since_us,
                        int (*each)(void *ctx, int64_t at_us, struct slice cursor), void *ctx,
                        struct error *err);
    /* The newest line at or before that time; *ret_cursor is empty if there is none. */
    int (*history_at)(void *store, int64_t at_us, struct buf *ret_cursor, int64_t *ret_at_us,
                      struct error *err);

    /* For commands: removes all that is kept of the pipeline, dead letters included, for good.
     * AGAIN: a relay has the lock (err->text says which), and nothing was removed. */
    int (*forget)(void *store, struct error *err);

    /* Records the pipeline's state for `status`. It need not be durable; a relay of an older epoch
     * changes nothing. AGAIN: another process had the database locked and nothing was recorded; the
     * caller calls again, with the state of that time. */
    int (*report_state)(void *store, const char *state, const char *detail, struct error *err);

    /* The oldest command without an answer; ret->command is STORE_NO_COMMAND if there is none. */
    int (*control_take)(void *store, struct store_control *ret, struct error *err);
    /* Writes the answer and marks the command as acknowledged. */
    int (*control_answer)(void *store, int64_t id, const char *answer, struct error *err);
    /* For commands: writes a control row, then looks whether it was answered. */
    int (*control_put)(void *store, enum store_command command, const char *argument,
                       const char *who, int64_t *ret_id, struct error *err);
    int (*control_look)(void *store, int64_t id, struct store_control *ret, struct error *err);

    /* The paused flag, which survives restarts. */
    int (*set_paused)(void *store, bool paused, struct error *err);
    int (*get_paused)(void *store, bool *ret, struct error *err);

    /* Durable when it returns. A second dead letter with the same event_id and position is the
     * first one again, because the event is read again after a crash. If that one was retried or
     * dropped, it is open again, but after replay_start it stays closed; if it waits (waiting_put),
     * it stays as it is. *ret_id: its number, if it is open
     * then; `ret_id` may be NULL. */
    int (*dead_letter_put)(void *store, const struct store_dead_letter *d, int64_t *ret_id,
                           struct error *err);
    /* How many are open. */
    int (*dead_letter_count)(void *store, int64_t *ret, struct error *err);
    /* Calls `each` for every dead letter of these, in the order of ids. Its slices live during the
     * call. Nothing in the store is held meanwhile: `each` may wait. If it answers other than 0,
     * the list ends with that answer. */
    int (*dead_letter_list)(void *store, struct store_letter_pick which,
                            int (*each)(void *ctx, const struct store_dead_letter *d), void *ctx,
                            struct error *err);

    /* The four below are durable when they return. The first three change an open dead letter only;
     * *ret_done is false if there is none of that number. */

    /* It becomes `state` (RETRIED, DROPPED). `edits` other than -1: only if it was edited so often
     * and no more, so that what was sent is what is stored. */
    int (*dead_letter_close)(void *store, int64_t id, const char *state, int64_t edits,
                             int64_t now_us, bool *ret_done, struct error *err);
    /* It was tried once more, and failed for this reason. */
    int (*dead_letter_failed)(void *store, int64_t id, struct slice reason, int64_t now_us,
                              bool *ret_done, struct error *err);
    /* Puts `edit` in the place of the edit there was, if it was edited `edits` times. */
    int (*dead_letter_edit)(void *store, int64_t id, int64_t edits,
                            const struct store_letter_edit *edit, bool *ret_done,
                            struct error *err);
    /* Removes at most `limit` letters that were closed before `before_us` (wall clock). A
     * letter whose row stays in its table is kept, because it says that the row is to be passed
     * over. If a letter was dropped or edited, its id and position stay (removed_letters). AGAIN: a
     * lock of another session was in the way. */
    int (*dead_letter_expire)(void *store, int64_t before_us, int64_t limit, int64_t *ret_removed,
                              struct error *err);

    /* --- what is gone, for `verify`; all of these may wait --- */

    /* Before a prune removes rows of this table (as the source's configuration names it): those
     * that were created more than older_than_us ago may be gone from now on. Durable when it
     * returns, and whatever becomes of the pipeline. The mark is up to a minute younger than that,
     * so that a prune need not renew it for each of its steps. CONFIG where the tables are an
     * earlier version's. */
    int (*note_pruned)(void *store, const char *table, int64_t older_than_us, struct error *err);
    /* *ret_us (wall clock): what was noted last of this table, or of one that it shares rows with
     * (partitions). TIME_NONE: nothing was. */
    int (*pruned)(void *store, const char *table, int64_t *ret_us, struct error *err);
    /* Calls `each` for every dead letter that dead_letter_expire has removed after it was dropped,
     * or edited and then sent: what lies at the destination is not what the row says. Otherwise as
     * waiting_ids. */
    int (*removed_letters)(void *store,
                           int (*each)(void *ctx, struct slice event_id, int64_t edits), void *ctx,
                           struct error *err);

    /* --- parked keys: events that wait behind an open dead letter of their key, one with `parks`.
     * Each is kept whole, as a dead letter is. Those of one key have an order, and are sent in it
     * once that dead letter was retried or dropped. The four that change something are durable when
     * they return. --- */

    /* Stores n > 0 events after all that wait, in this order, in one transaction. Only those fields
     * of `d` count that describe the event, and reason and code. After a crash an event is read
     * again: if it waits already, or is an open dead letter, it stays as it is. *ret_added: how
     * many wait now and did not before. */
    int (*waiting_put)(void *store, const struct store_dead_letter *d, size_t n, int64_t *ret_added,
                       struct error *err);
    /* Calls `each` for every parked key, in the order of what is stored first of each; its
     * slices live during the call. An answer of `each` other than 0 ends the list and is returned.
     */
    int (*parked_list)(void *store, int (*each)(void *ctx, const struct store_parked *k), void *ctx,
                       struct error *err);
    /* Calls `each` with the event id of each event that waits, of whatever key; otherwise as
     * parked_list. */
    int (*waiting_ids)(void *store, int (*each)(void *ctx, struct slice event_id), void *ctx,
                       struct error *err);
    /* Calls `each` for what waits of a key behind the number `after` (0: all), in order: at most
     * `limit` events, and no further one once their payloads have max_bytes. Otherwise as
     * dead_letter_list. */
    int (*waiting_list)(void *store, struct slice key, int64_t after, int64_t limit,
                        int64_t max_bytes,
                        int (*each)(void *ctx, const struct store_dead_letter *d), void *ctx,
                        struct error *err);
    /* The waiting event of this number was sent, and all that waited before it and behind the
     * number `after` of the same key: removes them. If it does not wait, nothing happens. */
    int (*waiting_sent)(void *store, int64_t after, int64_t id, int64_t *ret_removed,
                        struct error *err);
    /* The waiting event of this number cannot be delivered either: it becomes an open dead letter
     * that parks its key. *ret_done: false if it does not wait. */
    int (*waiting_failed)(void *store, int64_t id, const struct store_dead_letter *why,
                          bool *ret_done, struct error *err);

    /* --- replays: a row each, in a table of its own, keyed (pipeline, part, id). They touch
     * neither lock, epoch nor position of the pipeline. All of these may wait. --- */

    /* Makes the table if it is missing (no privilege: CONFIG/77), and the row, durably; rows that
     * nobody has gone on with for 30 days go. CONFIG if the id is taken. */
    int (*replay_add)(void *store, const char *id, struct slice asked, struct error *err);
    /* Calls `each` for every row, the oldest first; slices live during the call. An answer of
     * `each` other than 0 ends the list and is passed on. */
    int (*replay_list)(void *store, int (*each)(void *ctx, const struct store_replay *r), void *ctx,
                       struct error *err);
    /* As `start`, for the row of a replay: raises its epoch and loads cursor and delivered. From
     * now on `save` and `saved` are for this row, and FATAL/75 once another process has started it.
     */
    int (*replay_start)(void *store, const char *id, struct store_position *ret, struct error *err);
    /* It has come to its end: removes the row. */
    int (*replay_end)(void *store, const char *id, struct error *err);

    /* Divides a pipeline into shards (contract/shards.h); NULL: it cannot. */
    const struct store_shards_ops *shards;

    /* Gives up the lock and frees everything. NULL is fine. */
    void (*close)(void *store);

    /* Optional, for `check --connect`: has the relay the rights that a store needs? Reports one
     * finding per fault. May wait. Called after `open`, without `start`. */
    int (*check)(void *store, finding_report *report, void *ctx, struct error *err);
};
