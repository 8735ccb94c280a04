/*
 * What the files of the PostgreSQL store share. Private to relay/store: everybody else sees
 * store_postgres.
 */
#pragma once

#include "contract/store.h"
#include "db/pg.h"
#include "store/postgres/lease.h"

enum save_state { SAVE_NONE, SAVE_RUNNING, SAVE_DURABLE, SAVE_FAILED };

struct store_pg {
    char *url, *pipeline, *part;
    int64_t connect_timeout_us, read_timeout_us, lease_us;
    int stop_fd;

    struct pg *pg;          /* NULL: not connected */
    struct pg_lease *lease; /* the lock, once `start` has taken it; NULL: not locked */
    int64_t epoch;
    char epoch_text[24];
    char system_id[24]; /* "" where the server does not tell */
    char database[96];  /* oid, and the name in brackets */
    char life[64];      /* of the server: since when it runs; "" before the first connection */
    bool restarted;     /* it was another one before */

    enum save_state save;
    bool overtaken;          /* the running save met another epoch */
    struct error save_error; /* SAVE_FAILED */
};

/* connection.c */

/* A connection that may be asked something: made on demand for commands, never remade behind a
 * relay's back. Fails once the lock of a relay is lost. A save under way is taken to its end first
 * (its outcome is kept for `saved`). */
int store_pg_ready(struct store_pg *s, struct error *err) MUST_CHECK;

/* store_pg_ready, then the statement; params 1 and 2 are pipeline and part, `more` follow. `ret`
 * may be NULL. */
int store_pg_ask(struct store_pg *s, const char *sql, size_t n, const char *const *more,
                 struct pg_result **ret, struct error *err) MUST_CHECK;

/* Makes the tables unless they are there. */
int store_pg_tables(struct store_pg *s, struct error *err) MUST_CHECK;

int store_pg_have_tables(struct store_pg *s, bool *ret, struct error *err) MUST_CHECK;

/* Drops the connection and with it the lock; a save under way is forgotten. */
void store_pg_disconnect(struct store_pg *s);

/* RETRY once the lock that `start` took is lost. DONE too for who never took it. */
int store_pg_check_lease(const struct store_pg *s, struct error *err) MUST_CHECK;

/* Takes what has come of the running save. AGAIN while it runs; else `save` says how it ended. */
int store_pg_save_step(struct store_pg *s);

/* Copies with a NUL behind it; bytes that are no UTF-8, and NULs, which a text column refuses,
 * become U+FFFD. */
char *store_pg_text(struct arena *a, struct slice text);

/* Copies a text value into a fixed field, cut at its size. */
void store_pg_field(char *out, size_t size, struct slice value);

/* lock.c */

/* Takes the lock on the connection there is and leaves that to the lease; pg is a new connection
 * then, to the same server. AGAIN: err->text says who has the lock. */
int store_pg_lock(struct store_pg *s, struct error *err) MUST_CHECK;
/* Is it held, and by whom (locked, holder)? */
int store_pg_locked(struct store_pg *s, struct store_position *ret, struct error *err) MUST_CHECK;
int store_pg_refuse_pooling(struct store_pg *s, struct error *err) MUST_CHECK;
int store_pg_connect(const struct store_pg *s, struct pg **ret, struct error *err) MUST_CHECK;

/* check.c */
int store_pg_check(void *store, finding_report *report, void *ctx, struct error *err);

/* control.c */
int store_pg_report_state(void *store, const char *state, const char *detail, struct error *err);
int store_pg_control_take(void *store, struct store_control *ret, struct error *err);
int store_pg_control_answer(void *store, int64_t id, const char *answer, struct error *err);
int store_pg_control_put(void *store, enum store_command command, const char *argument,
                         int64_t *ret_id, struct error *err);
int store_pg_control_look(void *store, int64_t id, struct store_control *ret, struct error *err);
int store_pg_set_paused(void *store, bool paused, struct error *err);
int store_pg_get_paused(void *store, bool *ret, struct error *err);

/* dead_letters.c */
int store_pg_dead_letter_put(void *store, const struct store_dead_letter *d, struct error *err);
int store_pg_dead_letter_count(void *store, int64_t *ret, struct error *err);
int store_pg_dead_letter_list(void *store, int64_t id,
                              int (*each)(void *ctx, const struct store_dead_letter *d), void *ctx,
                              struct error *err);
