/*
 * Dead letters in SQLite. A dead letter is durable when `put` returns, before the cursor may pass
 * its event. One event is one dead letter even if it is put again.
 */
#include "store/sqlite/internal.h"

#include "base/arena.h"
#include "schema/schema.h"

#include <stdio.h>

struct slice store_sqlite_time(int64_t us, char out[CLOCK_RFC3339_SIZE])
{
    if (us == TIME_NONE) {
        return SLICE_NULL;
    }
    clock_format_rfc3339(us, out);
    return slice_from(out);
}

static struct slice or_empty(struct slice s)
{
    return slice_is_null(s) ? SLICE_LITERAL("") : s;
}

/* The number of the letter of this event; 0 if it waits. */
static int id_of(struct store_sqlite *s, const struct store_dead_letter *d, int64_t *ret,
                 struct error *err)
{
    CLEANUP(sqlite_stmt_freep) struct sqlite_stmt *q = NULL;
    bool row;
    if (store_sqlite_prepare(s,
                             "SELECT iif(state = '" STORE_LETTER_WAITING
                             "', 0, id) FROM commitrelay_dead_letters WHERE pipeline = ?1 "
                             "AND part = ?2 AND event_id = ?3 AND position = ?4",
                             &q, err)) {
        return RESULT_ERROR;
    }
    sqlite_bind_text(q, 3, or_empty(d->event_id));
    sqlite_bind_text(q, 4, or_empty(d->position));
    if (sqlite_step(q, &row, err)) {
        return RESULT_ERROR;
    }
    *ret = row ? sqlite_int(q, 0) : 0;
    return RESULT_DONE;
}

int store_sqlite_dead_put(void *store, const struct store_dead_letter *d, int64_t *ret_id,
                          struct error *err)
{
    struct store_sqlite *s = store;
    CLEANUP(sqlite_stmt_freep) struct sqlite_stmt *q = NULL;
    char first[CLOCK_RFC3339_SIZE], last[CLOCK_RFC3339_SIZE];
    if (store_sqlite_connect(s, false, err) || store_sqlite_ensure_tables(s, err) ||
        store_sqlite_prepare(s, schema_sql_sqlite_dead_letter_put, &q, err)) {
        return RESULT_ERROR;
    }
    sqlite_bind_text(q, 3, or_empty(d->event_id));
    sqlite_bind_text(q, 4, or_empty(d->position));
    sqlite_bind_text(q, 5, d->topic);
    sqlite_bind_blob(q, 6, d->key); /* key and payload may be any bytes */
    sqlite_bind_blob(q, 7, d->payload);
    sqlite_bind_text(q, 8, d->headers);
    sqlite_bind_text(q, 9, or_empty(d->reason));
    sqlite_bind_text(q, 10, or_empty(d->code));
    sqlite_bind_int(q, 11, d->attempts);
    sqlite_bind_text(q, 12, store_sqlite_time(d->first_failed_us, first));
    sqlite_bind_text(q, 13, store_sqlite_time(d->last_failed_us, last));
    sqlite_bind_text(q, 14, slice_from(d->state[0] ? d->state : STORE_LETTER_OPEN));
    sqlite_bind_text(q, 15, d->aggregatetype);
    sqlite_bind_text(q, 16, d->aggregateid);
    sqlite_bind_text(q, 17, d->type);
    sqlite_bind_text(q, 18, d->created_at);
    sqlite_bind_text(q, 19, d->payload_kind);
    if (d->partition >= 0) {
        sqlite_bind_int(q, 20, d->partition);
    }
    sqlite_bind_int(q, 21, d->parks);
    if (sqlite_run(q, err)) {
        return RESULT_ERROR;
    }
    return ret_id ? id_of(s, d, ret_id, err) : RESULT_DONE;
}

int store_sqlite_dead_count(void *store, int64_t *ret, struct error *err)
{
    static const char sql[] = "SELECT count(*) FROM commitrelay_dead_letters WHERE pipeline = ?1 "
                              "AND part = ?2 AND state = '" STORE_LETTER_OPEN "'";
    return store_sqlite_number(store, sql, ret, err);
}

static int64_t time_value(struct slice text)
{
    int64_t us = TIME_NONE;
    if (!slice_is_null(text)) {
        (void)clock_parse_timestamp(text, &us);
    }
    return us;
}

static struct store_dead_letter row_of(struct sqlite_stmt *q)
{
    struct store_dead_letter d = {
        .id = sqlite_int(q, 0),
        .event_id = sqlite_value(q, 1),
        .position = sqlite_value(q, 2),
        .topic = sqlite_value(q, 3),
        .key = sqlite_value(q, 4),
        .payload = sqlite_value(q, 5),
        .headers = sqlite_value(q, 6),
        .reason = sqlite_value(q, 7),
        .code = sqlite_value(q, 8),
        .attempts = sqlite_int(q, 9),
        .first_failed_us = time_value(sqlite_value(q, 10)),
        .last_failed_us = time_value(sqlite_value(q, 11)),
        .aggregatetype = sqlite_value(q, 13),
        .aggregateid = sqlite_value(q, 14),
        .type = sqlite_value(q, 15),
        .created_at = sqlite_value(q, 16),
        .payload_kind = sqlite_value(q, 17),
        .partition = slice_is_null(sqlite_value(q, 18)) ? -1 : (int32_t)sqlite_int(q, 18),
        .closed_us = time_value(sqlite_value(q, 19)),
        .edit = {.fields = (unsigned)sqlite_int(q, 20),
                 .topic = sqlite_value(q, 21),
                 .key = sqlite_value(q, 22),
                 .headers = sqlite_value(q, 23),
                 .payload = sqlite_value(q, 24)},
        .edits = sqlite_int(q, 25),
        .parks = sqlite_int(q, 26) != 0,
        .waiting = sqlite_int(q, 27)};
    snprintf(d.state, sizeof d.state, "%.*s", SLICE_FMT(sqlite_value(q, 12)));
    return d;
}

int store_sqlite_give_letters(struct sqlite_stmt *q,
                              int (*each)(void *ctx, const struct store_dead_letter *d), void *ctx,
                              struct error *err)
{
    bool row;
    while (sqlite_step(q, &row, err) == RESULT_DONE) {
        if (!row) {
            return RESULT_DONE;
        }
        struct store_dead_letter d = row_of(q);
        int r = each(ctx, &d);
        if (r) {
            return r;
        }
    }
    return RESULT_ERROR;
}

/* Dead letters read at a time; see relay/store/postgres/dead_letters.c. */
enum { PAGE = 8, BARE_PAGE = 200 };

/* They are copied, so that the database is not locked while somebody looks at them. */
struct letters_page {
    struct arena arena;
    struct store_dead_letter *letters; /* in the arena, as their texts */
    size_t count;
};

static void page_release(struct letters_page *p)
{
    arena_release(&p->arena);
}

static int add_to_page(void *ctx, const struct store_dead_letter *d)
{
    struct letters_page *p = ctx;
    struct store_dead_letter *to = &p->letters[p->count++];
    *to = *d;
    struct slice *const texts[] = {
        &to->event_id,     &to->position,      &to->topic,       &to->key,      &to->payload,
        &to->headers,      &to->aggregatetype, &to->aggregateid, &to->type,     &to->created_at,
        &to->reason,       &to->code,          &to->edit.topic,  &to->edit.key, &to->edit.headers,
        &to->payload_kind, &to->edit.payload};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        *texts[i] = arena_copy(&p->arena, *texts[i]);
    }
    return RESULT_DONE;
}

static int read_page(struct store_sqlite *s, struct store_letter_pick which, struct letters_page *p,
                     struct error *err)
{
    CLEANUP(sqlite_stmt_freep) struct sqlite_stmt *q = NULL;
    arena_reset(&p->arena);
    p->letters = arena_array(&p->arena, BARE_PAGE, sizeof *p->letters);
    p->count = 0;
    if (store_sqlite_prepare(s, schema_sql_sqlite_dead_letter_list, &q, err)) {
        return RESULT_ERROR;
    }
    sqlite_bind_int(q, 3, which.after);
    sqlite_bind_int(q, 4, which.until ? which.until : INT64_MAX);
    sqlite_bind_int(q, 5, which.open);
    sqlite_bind_int(q, 6, which.bare);
    sqlite_bind_int(q, 7, which.bare ? BARE_PAGE : PAGE);
    return store_sqlite_give_letters(q, add_to_page, p, err);
}

static int give_pages(struct store_sqlite *s, struct store_letter_pick which,
                      int (*each)(void *ctx, const struct store_dead_letter *d), void *ctx,
                      struct error *err)
{
    CLEANUP(page_release) struct letters_page page;
    arena_init(&page.arena);
    do {
        if (read_page(s, which, &page, err)) {
            return RESULT_ERROR;
        }
        for (size_t i = 0; i < page.count; i++) {
            int rc = each(ctx, &page.letters[i]);
            if (rc) {
                return rc;
            }
            which.after = page.letters[i].id;
        }
    } while (page.count > 0);
    return RESULT_DONE;
}

int store_sqlite_dead_list(void *store, struct store_letter_pick which,
                           int (*each)(void *ctx, const struct store_dead_letter *d), void *ctx,
                           struct error *err)
{
    struct store_sqlite *s = store;
    bool there, whole = true;
    if (store_sqlite_look(s, &there, err) || (there && store_sqlite_has_letters(s, &whole, err))) {
        return RESULT_ERROR;
    }
    if (!there) {
        return RESULT_DONE;
    }
    if (!whole) {
        return error_set(
            err, ERROR_CONFIG, "sqlite",
            "the relay's tables in \"%s\" are an earlier version's, which no command changes: start the relay of this version once",
            s->path);
    }
    return give_pages(s, which, each, ctx, err);
}
