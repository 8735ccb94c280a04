/*
 * The state of the PostgreSQL store and the functions that its files share. Private to relay/store:
 * other code sees store_postgres only.
 *
 * One thread, except for the lease (lease.h). Functions that return int give RESULT_DONE, or
 * RESULT_ERROR with *err filled; AGAIN is named where it is possible. A lost connection or lock is
 * ERROR_RETRY. All of them may wait for the server, at most connect_timeout or read_timeout per
 * step, except store_pg_check_lease and store_pg_save_step.
 */
#pragma once

#include "contract/store.h"
#include "db/pg.h"
#include "store/postgres/lease.h"
#include "store/postgres/seats.h"

/* How far the save under way is. DURABLE and FAILED stay until `saved` has returned the outcome. */
enum save_state { SAVE_NONE, SAVE_RUNNING, SAVE_DURABLE, SAVE_FAILED };

struct store_pg {
    /* Owned copies of what store_env says. */
    char *url, *pipeline, *part;
    int64_t connect_timeout_us, read_timeout_us, lease_us;
    struct outbox_rows rows; /* texts of the configuration, which outlives the store */
    int stop_fd;
    bool parks; /* store_env.parks */

    struct pg *pg; /* for all statements but those of the lease; NULL: not connected */
    /* Keeps the session with the lock, once `start` has taken it; NULL: not locked. */
    struct pg_lease *lease;
    /* A shard: the process's membership, which has the lock, and since `start` the number of its
     * connection; 0: not locked. Else NULL. */
    struct store_member *member;
    struct pg_seats *seats; /* the membership's */
    int shard;
    uint64_t term;
    char replay[STORE_REPLAY_ID_SIZE]; /* replay_start: saves are for this replay; "": they are not
                                        */
    int64_t epoch;
    char epoch_text[24];
    char system_id[24]; /* of the cluster; "" where the role may not read it */
    char database[96];  /* its oid, and its name in brackets */
    /* Tells one run of the server from the next; "" before the first connection. */
    char life[64];
    bool restarted; /* the server was restarted since the last successful `start` */

    int64_t note_at_us; /* monotonic: the first save from then on adds a line to the history */

    enum save_state save;
    bool overtaken;          /* the running save changed no row: the epoch is another relay's */
    struct error save_error; /* SAVE_FAILED */
};

/* connection.c */

/* Fills the part of *s that says what it is about, with copies. */
void store_pg_copy_env(struct store_pg *s, const struct store_env *env, const char *part);
void store_pg_release(struct store_pg *s); /* disconnects too */

/* `start` has taken the lock; it may be lost since. */
bool store_pg_is_locked(const struct store_pg *s);

/* Makes sure that s->pg can be asked something. A command whose connection was lost gets a new one.
 * For a relay that holds the lock this is RETRY: the lock may be lost too, and only `start` may
 * connect again. If a save is under way, waits for its end; `saved` returns its outcome later. */
int store_pg_ready(struct store_pg *s, struct error *err) MUST_CHECK;

/* store_pg_ready, then the statement with pipeline as $1, part as $2, and `more` (n texts) from $3
 * on. *ret is the caller's; `ret` may be NULL. */
int store_pg_ask(struct store_pg *s, const char *sql, size_t n, const char *const *more,
                 struct pg_result **ret, struct error *err) MUST_CHECK;

/* Makes all tables that are missing. CONFIG if the role may not. */
int store_pg_make_tables(struct store_pg *s, struct error *err) MUST_CHECK;
/* The same, unless those that a relay needs are there. */
int store_pg_tables(struct store_pg *s, struct error *err) MUST_CHECK;

/* *ret: this table of schema commitrelay is there; some came after the others, so a database of an
 * earlier version may lack them. Begins with store_pg_ready. */
int store_pg_has_table(struct store_pg *s, const char *name, bool *ret,
                       struct error *err) MUST_CHECK;
/* What is there of the tables: enough for a command to look into them; all that this version keeps
 * of dead letters, and of what waits behind them; all that this version keeps. A store that only an
 * earlier version has used lacks something. */
struct store_pg_there {
    bool tables, letters, whole;
};
int store_pg_look(struct store_pg *s, struct store_pg_there *ret, struct error *err) MUST_CHECK;

/* Closes the connections, which gives up the lock. A save under way is forgotten; its outcome is
 * unknown. */
void store_pg_disconnect(struct store_pg *s);

/* RETRY once the lock that `start` took is lost. DONE also if it was never taken. */
int store_pg_check_lease(const struct store_pg *s, struct error *err) MUST_CHECK;

/* Receives what has come of the running save, without waiting. AGAIN while it runs; else s->save
 * says how it ended. */
int store_pg_save_step(struct store_pg *s);

/* Copies the text into the arena and ends it with a NUL. A text column refuses NULs and invalid
 * UTF-8, so each such byte becomes U+FFFD. */
char *store_pg_text(struct arena *a, struct slice text);

/* Copies a text into out[size] and ends it with a NUL; a longer text is cut. */
void store_pg_field(char *out, size_t size, struct slice value);

/* Values as parameters; their memory is the arena's. NULL for a null slice, or TIME_NONE. Bytes are
 * for bytea. */
const char *store_pg_text_param(struct arena *a, struct slice text);
const char *store_pg_bytes_param(struct arena *a, struct slice bytes);
const char *store_pg_int_param(struct arena *a, int64_t v);
const char *store_pg_time_param(struct arena *a, int64_t us);
/* Turns the text of a bytea value (\x and hex digits) back into bytes. */
struct slice store_pg_bytes(struct arena *a, struct slice text);

/* history.c: see store_ops for the last two.
 * start: prepares the statement for a save that adds a line, and finds out when the next one is
 * due. CONFIG if the role may not. save_statement: the statement for a save that begins now. */
int store_pg_history_start(struct store_pg *s, struct error *err) MUST_CHECK;
const char *store_pg_save_statement(struct store_pg *s);
int store_pg_history_list(void *store, int64_t since_us,
                          int (*each)(void *ctx, int64_t at_us, struct slice cursor), void *ctx,
                          struct error *err);
int store_pg_history_at(void *store, int64_t at_us, struct buf *ret_cursor, int64_t *ret_at_us,
                        struct error *err);

/* forget.c: see store_ops. */
int store_pg_forget(void *store, struct error *err);

/* lock.c */

/* Takes the lock on s->pg and gives that connection to the lease; s->pg is then a new connection to
 * the same server. AGAIN: another relay has the lock, and err->text says which. */
int store_pg_lock(struct store_pg *s, struct error *err) MUST_CHECK;
/* Fills ret->locked and ret->holder: does a relay have the lock, and which one? */
int store_pg_locked(struct store_pg *s, struct store_position *ret, struct error *err) MUST_CHECK;
/* CONFIG if the connection goes through a pooler that pools transactions: a session lock protects
 * nothing there. */
int store_pg_refuse_pooling(struct store_pg *s, struct error *err) MUST_CHECK;
/* A new connection, which the caller closes. */
int store_pg_connect(const struct store_pg *s, struct pg **ret, struct error *err) MUST_CHECK;
/* The key of a part's lock. */
int64_t store_pg_lock_key(const char *pipeline, const char *part);
/* The server's own id of the session's process. */
int store_pg_backend(struct pg *pg, int64_t *ret, struct error *err) MUST_CHECK;
/* RETRY unless s->pg sees the lock, in the hand of that process. */
int store_pg_check_holder(struct store_pg *s, int64_t backend, struct error *err) MUST_CHECK;

/* shard.c; claim and lock_shard are for `start`. */
extern const struct store_shards_ops store_pg_shards;
/* Tells *s of its membership, or NULL; and ends it: the shard is not wanted any more. */
void store_pg_sit_down(struct store_pg *s, struct store_member *m, int shard);
void store_pg_get_up(struct store_pg *s);
/* DONE also for a store without a membership. AGAIN: the shard is not ours; err->text says so. */
int store_pg_claim(struct store_pg *s, uint64_t *ret_term, int64_t *ret_backend,
                   struct error *err) MUST_CHECK;
/* RETRY unless s->pg sees the lock in the hand of our membership. */
int store_pg_lock_shard(struct store_pg *s, int64_t backend, struct error *err) MUST_CHECK;

/* check.c: see store_ops.check. */
int store_pg_check(void *store, finding_report *report, void *ctx, struct error *err);

/* control.c: see store_ops for these. A state reported by an overtaken relay changes nothing. */
int store_pg_report_state(void *store, const char *state, const char *detail, struct error *err);
int store_pg_control_take(void *store, struct store_control *ret, struct error *err);
int store_pg_control_answer(void *store, int64_t id, const char *answer, struct error *err);
int store_pg_control_put(void *store, enum store_command command, const char *argument,
                         const char *who, int64_t *ret_id, struct error *err);
int store_pg_control_look(void *store, int64_t id, struct store_control *ret, struct error *err);
int store_pg_set_paused(void *store, bool paused, struct error *err);
int store_pg_get_paused(void *store, bool *ret, struct error *err);

/* connection.c: RETRY for a standby; makes commits of this session durable. */
int store_pg_refuse_standby(struct store_pg *s, struct error *err) MUST_CHECK;
/* The name of the prepared statement that `save` sends. Its parameters: pipeline, part, cursor,
 * delivered, epoch, and the cluster's system identifier or, of a replay, its id. */
extern const char store_pg_replay_save[];

/* replay.c: see store_ops. */
int store_pg_replay_add(void *store, const char *id, struct slice asked, struct error *err);
int store_pg_replay_list(void *store, int (*each)(void *ctx, const struct store_replay *r),
                         void *ctx, struct error *err);
int store_pg_replay_start(void *store, const char *id, struct store_position *ret,
                          struct error *err);
int store_pg_replay_end(void *store, const char *id, struct error *err);

/* dead_letters.c, dead_letter_change.c: see store_ops. */
int store_pg_dead_letter_put(void *store, const struct store_dead_letter *d, int64_t *ret_id,
                             struct error *err);
int store_pg_dead_letter_count(void *store, int64_t *ret, struct error *err);
int store_pg_dead_letter_list(void *store, struct store_letter_pick which,
                              int (*each)(void *ctx, const struct store_dead_letter *d), void *ctx,
                              struct error *err);
int store_pg_dead_letter_close(void *store, int64_t id, const char *state, int64_t edits,
                               int64_t now_us, bool *ret_done, struct error *err);
int store_pg_dead_letter_failed(void *store, int64_t id, struct slice reason, int64_t now_us,
                                bool *ret_done, struct error *err);
int store_pg_dead_letter_edit(void *store, int64_t id, int64_t edits,
                              const struct store_letter_edit *edit, bool *ret_done,
                              struct error *err);
int store_pg_dead_letter_expire(void *store, int64_t before_us, int64_t limit, int64_t *ret_removed,
                                struct error *err);
/* Gives the rows of schema/sql/dead_letter_list.sql to `each`; *last is the id of the last one that
 * it has taken. An answer other than DONE ends the list and is returned. */
int store_pg_give_letters(const struct pg_result *r,
                          int (*each)(void *ctx, const struct store_dead_letter *d), void *ctx,
                          int64_t *last);

/* gone.c: see store_ops. */
int store_pg_note_pruned(void *store, const char *table, int64_t older_than_us, struct error *err);
int store_pg_pruned(void *store, const char *table, int64_t *ret_us, struct error *err);
int store_pg_removed_letters(void *store,
                             int (*each)(void *ctx, struct slice event_id, int64_t edits),
                             void *ctx, struct error *err);

/* waiting.c: see store_ops. demand: CONFIG if the role may not remove what was sent. */
int store_pg_waiting_demand(struct store_pg *s, struct error *err) MUST_CHECK;
int store_pg_waiting_put(void *store, const struct store_dead_letter *d, size_t n,
                         int64_t *ret_added, struct error *err);
int store_pg_parked_list(void *store, int (*each)(void *ctx, const struct store_parked *k),
                         void *ctx, struct error *err);
int store_pg_waiting_ids(void *store, int (*each)(void *ctx, struct slice event_id), void *ctx,
                         struct error *err);
int store_pg_waiting_list(void *store, struct slice key, int64_t after, int64_t limit,
                          int64_t max_bytes,
                          int (*each)(void *ctx, const struct store_dead_letter *d), void *ctx,
                          struct error *err);
int store_pg_waiting_sent(void *store, int64_t after, int64_t id, int64_t *ret_removed,
                          struct error *err);
int store_pg_waiting_failed(void *store, int64_t id, const struct store_dead_letter *why,
                            bool *ret_done, struct error *err);
