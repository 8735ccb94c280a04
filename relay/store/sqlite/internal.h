/*
 * Private to the store in SQLite: its state, and the functions that its files share.
 *
 * One thread. Functions that return int give RESULT_DONE, or RESULT_ERROR with *err filled; AGAIN
 * is named where it is possible. A database locked by another process is ERROR_RETRY; functions
 * that may wait do so for a second (of a command: read_timeout), save and state reports for 10 ms.
 */
#pragma once

#include "base/buf.h"
#include "base/clock.h"
#include "contract/store.h"
#include "db/sqlite.h"

/* How long functions that may wait do so for a lock. */
enum { STORE_SQLITE_PATIENCE_US = 1000 * 1000 };

struct store_sqlite {
    const struct store_env *env;
    const char *path; /* points into env->url */
    struct sqlite *db;
    struct sqlite_stmt *save, *state, *control; /* prepared when first needed */
    int lock_fd;                                /* -1: not held */
    bool tables;                                /* all tables were seen on this connection */
    /* Of the file; `start` does not clear it, so that a replaced file is noticed. */
    char identity[64];
    char replay[STORE_REPLAY_ID_SIZE]; /* replay_start: saves are for this replay; "": they are not
                                        */
    int64_t epoch;
    /* The save under way. Times are monotonic, in microseconds. */
    bool saving;
    struct buf cursor;
    uint64_t delivered;
    int64_t save_since_us, save_next_us;
    int64_t note_at_us; /* the first save from then on adds a line to the history */
};

/* connection.c */

/* Opens the file unless it is open. If it was replaced, opens the new one; RETRY while the lock is
 * held, because then only `start` may go on with another file. create: a missing file is made. */
int store_sqlite_connect(struct store_sqlite *s, bool create, struct error *err) MUST_CHECK;
/* Closes the file and frees the statements. The lock stays. */
void store_sqlite_disconnect(struct store_sqlite *s);
/* Returns the RETRY error for a file of which sqlite_replaced is true. */
int store_sqlite_replaced(struct store_sqlite *s, struct error *err);
/* Runs the SQL that makes tables and columns; what is there stays. */
int store_sqlite_make_tables(struct store_sqlite *s, struct error *err) MUST_CHECK;
/* Makes missing tables and columns. CONFIG if this user may not write the file. */
int store_sqlite_ensure_tables(struct store_sqlite *s, struct error *err) MUST_CHECK;
/* *ret: all tables are there. Needs an open file. */
int store_sqlite_has_tables(struct store_sqlite *s, bool *ret, struct error *err) MUST_CHECK;
/* *ret: the table of dead letters has this version's columns. Needs an open file with tables. */
int store_sqlite_has_letters(struct store_sqlite *s, bool *ret, struct error *err) MUST_CHECK;
/* *ret_there: the tables are there. Makes nothing. With env->create a missing file is no error (the
 * first relay will make it): then *ret_there is false and s->db stays NULL. */
int store_sqlite_look(struct store_sqlite *s, bool *ret_there, struct error *err) MUST_CHECK;

/* Prepares the statement unless *ret is one already, and binds pipeline to ?1 and part to ?2. The
 * caller frees it. */
int store_sqlite_prepare(struct store_sqlite *s, const char *sql, struct sqlite_stmt **ret,
                         struct error *err) MUST_CHECK;
/* *ret: the number that the statement gives for this pipeline and part (?1, ?2); 0 for no row, and
 * where the tables are not there. Makes nothing. */
int store_sqlite_number(struct store_sqlite *s, const char *sql, int64_t *ret,
                        struct error *err) MUST_CHECK;
/* Binds pipeline to ?1 and part to ?2. */
void store_sqlite_bind_key(struct store_sqlite *s, struct sqlite_stmt *q);
/* The time as text; null for TIME_NONE. */
struct slice store_sqlite_time(int64_t us, char out[CLOCK_RFC3339_SIZE]);

/* history.c: see store_ops for the last two.
 * start: finds out when the next line is due. due: it is now. note: adds the line and removes old
 * ones, within the transaction of the save. noted: that transaction is durable. */
int store_sqlite_history_start(struct store_sqlite *s, struct error *err) MUST_CHECK;
bool store_sqlite_history_due(const struct store_sqlite *s);
int store_sqlite_history_note(struct store_sqlite *s, struct error *err) MUST_CHECK;
void store_sqlite_history_noted(struct store_sqlite *s);
int store_sqlite_history_list(void *store, int64_t since_us,
                              int (*each)(void *ctx, int64_t at_us, struct slice cursor), void *ctx,
                              struct error *err);
int store_sqlite_history_at(void *store, int64_t at_us, struct buf *ret_cursor, int64_t *ret_at_us,
                            struct error *err);

/* forget.c: see store_ops. */
int store_sqlite_forget(void *store, struct error *err);

/* lock.c: one relay per pipeline and database file. DONE also if we have the lock. AGAIN: another
 * relay has it, and err->text says which. CONFIG for a lock file that is not safe or not allowed.
 */
int store_sqlite_lock(struct store_sqlite *s, struct error *err) MUST_CHECK;
/* Fills ret->locked and ret->holder: does a relay have the lock, and which one? */
int store_sqlite_lock_held(struct store_sqlite *s, struct store_position *ret,
                           struct error *err) MUST_CHECK;
/* Gives up the lock, if we have it. */
void store_sqlite_unlock(struct store_sqlite *s);

/* control.c: see store_ops for these. */
int store_sqlite_control_take(void *store, struct store_control *ret, struct error *err);
int store_sqlite_control_answer(void *store, int64_t id, const char *answer, struct error *err);
int store_sqlite_control_put(void *store, enum store_command command, const char *argument,
                             const char *who, int64_t *ret_id, struct error *err);
int store_sqlite_control_look(void *store, int64_t id, struct store_control *ret,
                              struct error *err);
int store_sqlite_set_paused(void *store, bool paused, struct error *err);
int store_sqlite_get_paused(void *store, bool *ret, struct error *err);

/* connection.c: FATAL if another file was put in the place of ours while this process ran. */
int store_sqlite_check_identity(struct store_sqlite *s, struct error *err) MUST_CHECK;

/* replay.c: see store_ops for these. */
int store_sqlite_replay_add(void *store, const char *id, struct slice asked, struct error *err);
int store_sqlite_replay_list(void *store, int (*each)(void *ctx, const struct store_replay *r),
                             void *ctx, struct error *err);
int store_sqlite_replay_start(void *store, const char *id, struct store_position *ret,
                              struct error *err);
int store_sqlite_replay_end(void *store, const char *id, struct error *err);
/* Prepares the statement of `save` for s->replay: ?1 pipeline, ?2 part, ?3 cursor, ?4 delivered,
 * ?5 the time, ?6 epoch; and what to say if it changed no row. */
int store_sqlite_replay_prepare(struct store_sqlite *s, struct error *err) MUST_CHECK;
int store_sqlite_replay_overtaken(struct store_sqlite *s, struct error *err);

/* dead_letters.c, dead_letter_change.c: see store_ops. */
int store_sqlite_dead_put(void *store, const struct store_dead_letter *d, int64_t *ret_id,
                          struct error *err);
int store_sqlite_dead_count(void *store, int64_t *ret, struct error *err);
int store_sqlite_dead_list(void *store, struct store_letter_pick which,
                           int (*each)(void *ctx, const struct store_dead_letter *d), void *ctx,
                           struct error *err);
int store_sqlite_dead_close(void *store, int64_t id, const char *state, int64_t edits,
                            int64_t now_us, bool *ret_done, struct error *err);
int store_sqlite_dead_failed(void *store, int64_t id, struct slice reason, int64_t now_us,
                             bool *ret_done, struct error *err);
int store_sqlite_dead_edit(void *store, int64_t id, int64_t edits,
                           const struct store_letter_edit *edit, bool *ret_done, struct error *err);
int store_sqlite_dead_expire(void *store, int64_t before_us, int64_t limit, int64_t *ret_removed,
                             struct error *err);
/* Gives the rows of schema/sql_sqlite/dead_letter_list.sql to `each`. An answer other than DONE
 * ends the list and is returned. */
int store_sqlite_give_letters(struct sqlite_stmt *q,
                              int (*each)(void *ctx, const struct store_dead_letter *d), void *ctx,
                              struct error *err);

/* gone.c: see store_ops. */
int store_sqlite_note_pruned(void *store, const char *table, int64_t older_than_us,
                             struct error *err);
int store_sqlite_pruned(void *store, const char *table, int64_t *ret_us, struct error *err);
int store_sqlite_removed_letters(void *store,
                                 int (*each)(void *ctx, struct slice event_id, int64_t edits),
                                 void *ctx, struct error *err);

/* waiting.c: see store_ops. */
int store_sqlite_waiting_put(void *store, const struct store_dead_letter *d, size_t n,
                             int64_t *ret_added, struct error *err);
int store_sqlite_parked_list(void *store, int (*each)(void *ctx, const struct store_parked *k),
                             void *ctx, struct error *err);
int store_sqlite_waiting_ids(void *store, int (*each)(void *ctx, struct slice event_id), void *ctx,
                             struct error *err);
int store_sqlite_waiting_list(void *store, struct slice key, int64_t after, int64_t limit,
                              int64_t max_bytes,
                              int (*each)(void *ctx, const struct store_dead_letter *d), void *ctx,
                              struct error *err);
int store_sqlite_waiting_sent(void *store, int64_t after, int64_t id, int64_t *ret_removed,
                              struct error *err);
int store_sqlite_waiting_failed(void *store, int64_t id, const struct store_dead_letter *why,
                                bool *ret_done, struct error *err);
