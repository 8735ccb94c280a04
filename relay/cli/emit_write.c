/* Inserts sample events into an outbox of PostgreSQL or SQLite. The events of one call are
 * committed together or not at all, so that `emit` can tell exactly how many there are. */
#include "cli/emit_write.h"

#include "base/memory.h"

#include "db/pg.h"
#include "db/sqlite.h"
#include <stdio.h>
#include <stdlib.h>

enum {
    COLUMNS = 5,
    CHUNK = 500
}; /* rows per statement; PostgreSQL takes at most 65535 parameters */

static const char columns[] = "(aggregatetype, id, aggregateid, type, payload, headers)";

struct emit_writer {
    struct buf table; /* quoted */
    struct pg *pg;
    struct sqlite *sqlite;
    struct sqlite_stmt *insert;
};

static int open_postgres(struct emit_writer *w, const char *url, const char *table, int stop_fd,
                         struct error *err)
{
    struct pg_options options = {.url = url,
                                 .pipeline = "emit",
                                 .connect_timeout_us = 5 * US_PER_SECOND,
                                 .read_timeout_us = 30 * US_PER_SECOND,
                                 .stop_fd = stop_fd};
    return pg_quote_table(&w->table, table, err) || pg_connect(&options, &w->pg, err) ? RESULT_ERROR
                                                                                      : RESULT_DONE;
}

static int open_sqlite(struct emit_writer *w, const char *path, const char *table, int stop_fd,
                       struct error *err)
{
    struct sqlite_options options = {.path = path,
                                     .need_write = true,
                                     .checkpoint = true, /* it stands for the application */
                                     .patience_us = 30 * US_PER_SECOND,
                                     .stop_fd = stop_fd};
    CLEANUP(buf_release) struct buf sql = {0};
    sqlite_quote_name(&w->table, table);
    if (sqlite_open(&options, &w->sqlite, err)) {
        return RESULT_ERROR;
    }
    buf_printf(&sql, "insert into %s %s values ('order', ?1, ?2, ?3, ?4, ?5)", buf_str(&w->table),
               columns);
    return sqlite_prepare(w->sqlite, buf_str(&sql), &w->insert, err);
}

int emit_writer_open(const struct source_url *url, const char *table, int stop_fd,
                     struct emit_writer **ret, struct error *err)
{
    struct emit_writer *w = memory_need(calloc(1, sizeof *w));
    int rc = url->kind == SOURCE_KIND_POSTGRES ? open_postgres(w, url->text, table, stop_fd, err)
                                               : open_sqlite(w, url->text, table, stop_fd, err);
    if (rc) {
        emit_writer_close(w);
        return RESULT_ERROR;
    }
    *ret = w;
    return RESULT_DONE;
}

void emit_writer_close(struct emit_writer *w)
{
    if (!w) {
        return;
    }
    pg_close(w->pg);
    sqlite_stmt_free(w->insert);
    sqlite_close(w->sqlite);
    buf_release(&w->table);
    free(w);
}

static int put_postgres(struct emit_writer *w, const struct emit_event *events, size_t n,
                        struct error *err)
{
    CLEANUP(buf_release) struct buf sql = {0};
    const char *params[CHUNK * COLUMNS];
    buf_printf(&sql, "insert into %s %s values", buf_str(&w->table), columns);
    for (size_t i = 0; i < n; i++) {
        const char **p = params + i * COLUMNS;
        size_t first = i * COLUMNS + 1;
        buf_printf(&sql, "%s ('order', $%zu, $%zu, $%zu, $%zu, $%zu)", i ? "," : "", first,
                   first + 1, first + 2, first + 3, first + 4);
        p[0] = events[i].id;
        p[1] = events[i].aggregateid;
        p[2] = events[i].type;
        p[3] = buf_str(&events[i].payload);
        p[4] = buf_str(&events[i].headers);
    }
    return pg_query(w->pg, buf_str(&sql), n * COLUMNS, params, NULL, err);
}

static int put_all_postgres(struct emit_writer *w, const struct emit_event *events, size_t n,
                            struct error *err)
{
    int rc = n > CHUNK ? pg_query(w->pg, "begin", 0, NULL, NULL, err) : RESULT_DONE;
    for (size_t done = 0; rc == RESULT_DONE && done < n; done += CHUNK) {
        rc = put_postgres(w, events + done, n - done < CHUNK ? n - done : CHUNK, err);
    }
    return rc || n <= CHUNK ? rc : pg_query(w->pg, "commit", 0, NULL, NULL, err);
}

static int put_sqlite(struct emit_writer *w, const struct emit_event *e, struct error *err)
{
    sqlite_bind_text(w->insert, 1, slice_from(e->id));
    sqlite_bind_text(w->insert, 2, slice_from(e->aggregateid));
    sqlite_bind_text(w->insert, 3, slice_from(e->type));
    sqlite_bind_text(w->insert, 4, buf_slice(&e->payload));
    sqlite_bind_text(w->insert, 5, buf_slice(&e->headers));
    return sqlite_run(w->insert, err);
}

static int put_all_sqlite(struct emit_writer *w, const struct emit_event *events, size_t n,
                          struct error *err)
{
    int rc = sqlite_begin(w->sqlite, err);
    for (size_t i = 0; rc == RESULT_DONE && i < n; i++) {
        rc = put_sqlite(w, &events[i], err);
    }
    if (rc) {
        sqlite_rollback(w->sqlite);
        return rc;
    }
    return sqlite_commit(w->sqlite, err);
}

int emit_writer_put(struct emit_writer *w, const struct emit_event *events, size_t n,
                    struct error *err)
{
    return w->pg ? put_all_postgres(w, events, n, err) : put_all_sqlite(w, events, n, err);
}
