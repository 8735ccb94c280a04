/*
 * Private to the store in SQLite: its state, and what its files do for each other.
 */
#pragma once

#include "base/buf.h"
#include "contract/store.h"
#include "db/sqlite.h"

enum { STORE_SQLITE_PATIENCE_US = 1000 * 1000 }; /* for a lock, in functions that may wait */

struct store_sqlite {
    const struct store_env *env;
    const char *path; /* inside env->url */
    struct sqlite *db;
    struct sqlite_stmt *save, *state, *control; /* prepared when first needed */
    int lock_fd;                                /* -1: not held */
    bool tables;                                /* seen on this connection */
    char identity[64];                          /* of the file; survives `start` */
    int64_t epoch;
    /* The save under way. */
    bool saving;
    struct buf cursor;
    uint64_t delivered;
    int64_t save_since_us, save_next_us;
};

/* connection.c */

/* Opens the file if it is not open, or open but replaced. */
int store_sqlite_connect(struct store_sqlite *s, bool create, struct error *err) MUST_CHECK;
void store_sqlite_disconnect(struct store_sqlite *s);
/* The error that says so: RETRY. For a file that sqlite_replaced is true of. */
int store_sqlite_replaced(struct store_sqlite *s, struct error *err);
int store_sqlite_ensure_tables(struct store_sqlite *s, struct error *err) MUST_CHECK;
int store_sqlite_has_tables(struct store_sqlite *s, bool *ret, struct error *err) MUST_CHECK;
/* Only looks: is anything stored? A file that the first relay will make (env->create) need not be
 * there; then it is not opened either (s->db NULL). */
int store_sqlite_look(struct store_sqlite *s, bool *ret_there, struct error *err) MUST_CHECK;

/* Prepares with ?1 pipeline and ?2 part bound. */
int store_sqlite_prepare(struct store_sqlite *s, const char *sql, struct sqlite_stmt **ret,
                         struct error *err) MUST_CHECK;
void store_sqlite_bind_key(struct store_sqlite *s, struct sqlite_stmt *q);

/* lock.c: one relay per pipeline and database file. AGAIN names the holder in err->text. */
int store_sqlite_lock(struct store_sqlite *s, struct error *err) MUST_CHECK;
/* Is it held, and by whom (locked, holder)? */
int store_sqlite_lock_held(struct store_sqlite *s, struct store_position *ret,
                           struct error *err) MUST_CHECK;
void store_sqlite_unlock(struct store_sqlite *s);

/* control.c */
int store_sqlite_control_take(void *store, struct store_control *ret, struct error *err);
int store_sqlite_control_answer(void *store, int64_t id, const char *answer, struct error *err);
int store_sqlite_control_put(void *store, enum store_command command, const char *argument,
                             int64_t *ret_id, struct error *err);
int store_sqlite_control_look(void *store, int64_t id, struct store_control *ret,
                              struct error *err);
int store_sqlite_set_paused(void *store, bool paused, struct error *err);
int store_sqlite_get_paused(void *store, bool *ret, struct error *err);

/* dead_letters.c */
int store_sqlite_dead_put(void *store, const struct store_dead_letter *d, struct error *err);
int store_sqlite_dead_count(void *store, int64_t *ret, struct error *err);
int store_sqlite_dead_list(void *store, int64_t id,
                           int (*each)(void *ctx, const struct store_dead_letter *d), void *ctx,
                           struct error *err);
