/* A table without an index, and one statement that sorts it: appending is cheap, and the sort reads
 * and writes the disk in long runs. */
#include "cli/verify_sort.h"

#include "base/memory.h"
#include "db/sqlite.h"
#include <stdlib.h>
#include <string.h>

enum { SORT_MEMORY = 16 * 1024 * 1024 };

struct verify_sort {
    struct sqlite *db;
    struct sqlite_stmt *add, *add_place, *place, *miss, *missing;
    struct buf last_place;
    int64_t places; /* how many, and the number of the last one */
};

static int prepare(struct verify_sort *s, struct error *err)
{
    static const char tables[] =
        "CREATE TABLE item (id BLOB, side INT, digest BLOB, created INT, flags INT, number INT, "
        "place INT, happened TEXT); CREATE TABLE place (n INTEGER PRIMARY KEY, name TEXT); "
        "CREATE TABLE missing (position INTEGER PRIMARY KEY, id TEXT); BEGIN";
    if (sqlite_open_scratch(SORT_MEMORY, &s->db, err) || sqlite_exec(s->db, tables, err)) {
        return RESULT_ERROR;
    }
    return sqlite_prepare(s->db, "INSERT INTO item VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
                          &s->add, err) ||
                   sqlite_prepare(s->db, "INSERT INTO place VALUES (?1, ?2)", &s->add_place, err) ||
                   sqlite_prepare(s->db, "SELECT name FROM place WHERE n = ?1", &s->place, err) ||
                   sqlite_prepare(s->db, "INSERT OR IGNORE INTO missing VALUES (?1, ?2)", &s->miss,
                                  err) ||
                   sqlite_prepare(s->db,
                                  "SELECT position, id FROM missing WHERE position > ?1 "
                                  "ORDER BY position LIMIT ?2",
                                  &s->missing, err)
               ? RESULT_ERROR
               : RESULT_DONE;
}

static int in_the_way(struct error *err)
{
    return error_prefix(err, "sorting by event id");
}

int verify_sort_new(struct verify_sort **ret, struct error *err)
{
    struct verify_sort *s = memory_need(calloc(1, sizeof *s));
    if (prepare(s, err)) {
        verify_sort_free(s);
        return in_the_way(err);
    }
    *ret = s;
    return RESULT_DONE;
}

void verify_sort_free(struct verify_sort *s)
{
    if (!s) {
        return;
    }
    sqlite_stmt_free(s->add);
    sqlite_stmt_free(s->add_place);
    sqlite_stmt_free(s->place);
    sqlite_stmt_free(s->miss);
    sqlite_stmt_free(s->missing);
    sqlite_close(s->db);
    buf_release(&s->last_place);
    free(s);
}

/* The number of a place. Copies come place by place, so only the last one is remembered. */
static int number_place(struct verify_sort *s, const char *place, int64_t *ret, struct error *err)
{
    if (place && (s->places == 0 || strcmp(place, buf_str(&s->last_place)) != 0)) {
        buf_clear(&s->last_place);
        buf_add_str(&s->last_place, place);
        sqlite_bind_int(s->add_place, 1, ++s->places);
        sqlite_bind_text(s->add_place, 2, buf_slice(&s->last_place));
        if (sqlite_run(s->add_place, err)) {
            return RESULT_ERROR;
        }
    }
    *ret = place ? s->places : 0;
    return RESULT_DONE;
}

int verify_sort_add(struct verify_sort *s, const struct verify_item *item, const char *place,
                    struct error *err)
{
    int64_t n;
    if (number_place(s, place, &n, err)) {
        return in_the_way(err);
    }
    sqlite_bind_blob(s->add, 1, item->id);
    sqlite_bind_int(s->add, 2, item->side);
    sqlite_bind_blob(s->add, 3, item->digest);
    sqlite_bind_int(s->add, 4, item->created_us);
    sqlite_bind_int(s->add, 5, (item->replayed ? 1 : 0) + (item->late ? 2 : 0) + 4 * item->op);
    sqlite_bind_int(s->add, 6, item->number);
    sqlite_bind_int(s->add, 7, n);
    sqlite_bind_text(s->add, 8, item->when);
    return sqlite_run(s->add, err) ? in_the_way(err) : RESULT_DONE;
}

int verify_sort_walk(struct verify_sort *s,
                     int (*each)(void *ctx, const struct verify_item *item, struct error *err),
                     void *ctx, struct error *err)
{
    CLEANUP(sqlite_stmt_freep) struct sqlite_stmt *q = NULL;
    bool row = false;
    if (sqlite_exec(s->db, "COMMIT", err) ||
        sqlite_prepare(s->db,
                       "SELECT id, side, digest, created, flags, number, place, happened "
                       "FROM item ORDER BY id, side, happened, place, number",
                       &q, err) ||
        sqlite_step(q, &row, err)) {
        return in_the_way(err);
    }
    while (row) {
        int64_t flags = sqlite_int(q, 4);
        const struct verify_item item = {.id = sqlite_value(q, 0),
                                         .side = (enum verify_side)sqlite_int(q, 1),
                                         .digest = sqlite_value(q, 2),
                                         .created_us = sqlite_int(q, 3),
                                         .replayed = flags & 1,
                                         .late = flags & 2,
                                         .op = (int)(flags / 4),
                                         .number = sqlite_int(q, 5),
                                         .place = sqlite_int(q, 6),
                                         .when = sqlite_value(q, 7)};
        if (each(ctx, &item, err)) {
            return RESULT_ERROR;
        }
        if (sqlite_step(q, &row, err)) {
            return in_the_way(err);
        }
    }
    return RESULT_DONE;
}

int verify_sort_place(struct verify_sort *s, int64_t place, struct buf *out, struct error *err)
{
    bool row;
    sqlite_bind_int(s->place, 1, place);
    if (sqlite_step(s->place, &row, err)) {
        return in_the_way(err);
    }
    if (row) {
        buf_add_slice(out, sqlite_value(s->place, 0));
    }
    sqlite_reset(s->place);
    return RESULT_DONE;
}

int verify_sort_miss(struct verify_sort *s, struct slice id, int64_t position, struct error *err)
{
    sqlite_bind_int(s->miss, 1, position);
    sqlite_bind_text(s->miss, 2, id);
    return sqlite_run(s->miss, err) ? in_the_way(err) : RESULT_DONE;
}

int verify_sort_missing(struct verify_sort *s, int64_t *after, size_t limit, struct buf *out,
                        size_t *ret_count, struct error *err)
{
    bool row;
    *ret_count = 0;
    sqlite_bind_int(s->missing, 1, *after);
    sqlite_bind_int(s->missing, 2, (int64_t)limit);
    for (;;) {
        if (sqlite_step(s->missing, &row, err)) {
            return in_the_way(err);
        }
        if (!row) {
            return RESULT_DONE;
        }
        *after = sqlite_int(s->missing, 0);
        buf_add_slice(out, sqlite_value(s->missing, 1));
        buf_add_char(out, '\0');
        ++*ret_count;
    }
}
