/*
 * Dead letters in PostgreSQL. A dead letter is durable when `put` returns. One event is one dead
 * letter even if it is put again.
 */
#include "store/postgres/internal.h"

#include "schema/schema.h"
#include "value/digest.h"

#include <stdio.h>

/* Dead letters read at a time. Each may be as large as the largest event, so the number is small,
 * unless their payloads are left out. */
#define PAGE "8"
#define BARE_PAGE "200"

/* The bytes as text for a bytea parameter: hex digits behind \x. NULL for a null slice. */
const char *store_pg_bytes_param(struct arena *a, struct slice bytes)
{
    if (slice_is_null(bytes)) {
        return NULL;
    }
    char *out = arena_bytes(a, bytes.len * 2 + 3);
    out[0] = '\\';
    out[1] = 'x';
    digest_hex((const unsigned char *)bytes.ptr, bytes.len, out + 2);
    return out;
}

const char *store_pg_text_param(struct arena *a, struct slice text)
{
    return slice_is_null(text) ? NULL : store_pg_text(a, text);
}

const char *store_pg_int_param(struct arena *a, int64_t v)
{
    char *out = arena_bytes(a, 24);
    snprintf(out, 24, "%lld", (long long)v);
    return out;
}

const char *store_pg_time_param(struct arena *a, int64_t us)
{
    return us == TIME_NONE ? NULL : store_pg_int_param(a, us);
}

int store_pg_dead_letter_put(void *store, const struct store_dead_letter *d, int64_t *ret_id,
                             struct error *err)
{
    CLEANUP(arena_release) struct arena arena;
    CLEANUP(pg_result_cleanup) struct pg_result *r = NULL;
    arena_init(&arena);
    struct arena *a = &arena;
    const char *more[] = {store_pg_text(a, d->event_id),
                          store_pg_text(a, d->position),
                          store_pg_text_param(a, d->topic),
                          store_pg_bytes_param(a, d->key),
                          store_pg_bytes_param(a, d->payload),
                          store_pg_text_param(a, d->headers),
                          store_pg_text(a, d->reason),
                          store_pg_text(a, d->code),
                          store_pg_int_param(a, d->attempts),
                          store_pg_time_param(a, d->first_failed_us),
                          store_pg_time_param(a, d->last_failed_us),
                          d->state[0] ? d->state : STORE_LETTER_OPEN,
                          store_pg_text_param(a, d->aggregatetype),
                          store_pg_text_param(a, d->aggregateid),
                          store_pg_text_param(a, d->type),
                          store_pg_text_param(a, d->created_at),
                          store_pg_text_param(a, d->payload_kind),
                          d->partition < 0 ? NULL : store_pg_int_param(a, d->partition),
                          d->parks ? "true" : "false"};
    if (store_pg_ask(store, schema_sql_dead_letter_put, sizeof more / sizeof *more, more, &r,
                     err)) {
        return RESULT_ERROR;
    }
    if (ret_id) {
        *ret_id = pg_int(r, 0, 0, 0); /* 0: it waits */
    }
    return RESULT_DONE;
}

int store_pg_dead_letter_count(void *store, int64_t *ret, struct error *err)
{
    CLEANUP(pg_result_cleanup) struct pg_result *r = NULL;
    bool there = false;
    if (store_pg_has_table(store, "dead_letters", &there, err)) {
        return RESULT_ERROR;
    }
    if (!there) {
        *ret = 0;
        return RESULT_DONE;
    }
    if (store_pg_ask(store,
                     "select count(*) from commitrelay.dead_letters"
                     " where pipeline = $1 and part = $2 and state = '" STORE_LETTER_OPEN "'",
                     0, NULL, &r, err)) {
        return RESULT_ERROR;
    }
    *ret = pg_int(r, 0, 0, 0);
    return RESULT_DONE;
}

static unsigned nibble(char c)
{
    return (unsigned)(c <= '9' ? c - '0' : c - 'a' + 10);
}

struct slice store_pg_bytes(struct arena *a, struct slice text)
{
    if (slice_is_null(text) || text.len < 2) {
        return SLICE_NULL;
    }
    size_t n = (text.len - 2) / 2;
    char *out = arena_bytes(a, n + 1);
    for (size_t i = 0; i < n; i++) {
        out[i] = (char)(nibble(text.ptr[2 + 2 * i]) << 4 | nibble(text.ptr[3 + 2 * i]));
    }
    return (struct slice){out, n};
}

static struct store_letter_edit read_edit(const struct pg_result *r, size_t row, struct arena *a)
{
    return (struct store_letter_edit){.fields = (unsigned)pg_int(r, row, 20, 0),
                                      .topic = pg_value(r, row, 21),
                                      .key = store_pg_bytes(a, pg_value(r, row, 22)),
                                      .headers = pg_value(r, row, 23),
                                      .payload = store_pg_bytes(a, pg_value(r, row, 24))};
}

static struct store_dead_letter read_letter(const struct pg_result *r, size_t row, struct arena *a)
{
    struct store_dead_letter d = {
        .id = pg_int(r, row, 0, 0),
        .event_id = pg_value(r, row, 1),
        .position = pg_value(r, row, 2),
        .topic = pg_value(r, row, 3),
        .key = store_pg_bytes(a, pg_value(r, row, 4)),
        .payload = store_pg_bytes(a, pg_value(r, row, 5)),
        .headers = pg_value(r, row, 6),
        .reason = pg_value(r, row, 7),
        .code = pg_value(r, row, 8),
        .attempts = pg_int(r, row, 9, 0),
        .first_failed_us = pg_int(r, row, 10, TIME_NONE),
        .last_failed_us = pg_int(r, row, 11, TIME_NONE),
        .aggregatetype = pg_value(r, row, 13),
        .aggregateid = pg_value(r, row, 14),
        .type = pg_value(r, row, 15),
        .created_at = pg_value(r, row, 16),
        .payload_kind = pg_value(r, row, 17),
        .partition = (int32_t)pg_int(r, row, 18, -1),
        .closed_us = pg_int(r, row, 19, TIME_NONE),
        .edit = read_edit(r, row, a),
        .edits = pg_int(r, row, 25, 0),
        .parks = pg_true(r, row, 26),
        .waiting = pg_int(r, row, 27, 0),
    };
    store_pg_field(d.state, sizeof d.state, pg_value(r, row, 12));
    return d;
}

int store_pg_give_letters(const struct pg_result *r,
                          int (*each)(void *ctx, const struct store_dead_letter *d), void *ctx,
                          int64_t *last)
{
    CLEANUP(arena_release) struct arena arena;
    arena_init(&arena);
    for (size_t i = 0; i < pg_rows(r); i++) {
        struct store_dead_letter d = read_letter(r, i, &arena);
        int rc = each(ctx, &d);
        if (rc) {
            return rc;
        }
        *last = d.id;
        arena_reset(&arena);
    }
    return RESULT_DONE;
}

/* Gives the page after the id *last to `each` and moves *last; *ret_more false at the end. If
 * `each` answers other than DONE, the list ends. */
static int list_page(struct store_pg *s, struct store_letter_pick which, int64_t *last,
                     bool *ret_more, int (*each)(void *ctx, const struct store_dead_letter *d),
                     void *ctx, struct error *err)
{
    CLEANUP(pg_result_cleanup) struct pg_result *r = NULL;
    CLEANUP(arena_release) struct arena arena;
    arena_init(&arena);
    const char *more[] = {store_pg_int_param(&arena, *last),
                          store_pg_int_param(&arena, which.until ? which.until : INT64_MAX),
                          which.open ? "t" : "f", which.bare ? "t" : "f",
                          which.bare ? BARE_PAGE : PAGE};
    if (store_pg_ask(s, schema_sql_dead_letter_list, 5, more, &r, err)) {
        return RESULT_ERROR;
    }
    *ret_more = pg_rows(r) > 0;
    return store_pg_give_letters(r, each, ctx, last);
}

int store_pg_dead_letter_list(void *store, struct store_letter_pick which,
                              int (*each)(void *ctx, const struct store_dead_letter *d), void *ctx,
                              struct error *err)
{
    struct store_pg_there there;
    bool more = false;
    int64_t last = which.after;
    if (store_pg_has_table(store, "dead_letters", &more, err) ||
        store_pg_look(store, &there, err)) {
        return RESULT_ERROR;
    }
    if (more && !there.letters) {
        return error_set(
            err, ERROR_CONFIG, "postgres",
            "the relay's tables (schema commitrelay) are an earlier version's, which no command changes: start the relay of this version once, or let an owner run `commitrelay init --print`'s SQL");
    }
    while (more) {
        int rc = list_page(store, which, &last, &more, each, ctx, err);
        if (rc) {
            return rc;
        }
    }
    return RESULT_DONE;
}
