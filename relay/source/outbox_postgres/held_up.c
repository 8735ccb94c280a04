/*
 * When a statement of the relay waits for a lock, finds out which session holds it, for status and
 * log.
 */
#include "source/outbox_postgres/internal.h"

#include "schema/schema.h"

#include <stdio.h>

enum { SLOW_US = 1000000, ASK_EVERY_US = 5000000 };

static void describe(struct outbox_pg *s, const struct pg_result *r)
{
    if (pg_rows(r) == 0) {
        s->held_up[0] = '\0';
        return;
    }
    /* pid 0 stands for a prepared transaction */
    long long pid = pg_int(r, 0, 0, 0), age = pg_int(r, 0, 2, -1);
    int n = snprintf(s->held_up, sizeof s->held_up, "waits since %lld s for a lock on %s held by ",
                     (long long)pg_int(r, 0, 3, 0), s->table.quoted);
    size_t used = n < 0 ? 0 : (size_t)n < sizeof s->held_up ? (size_t)n : sizeof s->held_up - 1;
    char *rest = s->held_up + used;
    size_t room = sizeof s->held_up - used;
    if (pid == 0) {
        snprintf(rest, room, "a prepared transaction");
    } else if (age < 0) {
        snprintf(rest, room, "pid %lld (%.*s)", pid, SLICE_FMT(pg_value(r, 0, 1)));
    } else {
        snprintf(rest, room, "pid %lld (%.*s), whose transaction is %lld s old", pid,
                 SLICE_FMT(pg_value(r, 0, 1)), age);
    }
}

/* The stuck connection cannot be asked, so a short-lived one is opened; each of its waits is at
 * most a second. Its failures are ignored: the stuck statement will report the same trouble itself.
 */
void outbox_pg_watch(struct outbox_pg *s, const struct pg *c, int64_t since_us)
{
    int64_t now = clock_mono_us();
    if (now - since_us < SLOW_US || now < s->ask_at_us) {
        return;
    }
    s->ask_at_us = now + ASK_EVERY_US;
    s->held_up_conn = c;
    struct error ignored;
    struct pg *side = NULL;
    struct pg_result *r = NULL;
    char pid[16];
    snprintf(pid, sizeof pid, "%d", pg_backend_pid(c));
    if (outbox_pg_connect(s, SLOW_US, &side, &ignored) == RESULT_DONE &&
        pg_query(side, schema_sql_blocking_session, 1, (const char *const[]){pid}, &r, &ignored) ==
            RESULT_DONE) {
        describe(s, r);
    }
    pg_result_free(r);
    pg_close(side);
}

void outbox_pg_watch_end(struct outbox_pg *s, const struct pg *c)
{
    if (s->held_up_conn == c) {
        s->held_up_conn = NULL;
        s->held_up[0] = '\0';
        s->ask_at_us = 0;
    }
}
