/* Reads the tables of a plan chunk by chunk. Chunk n belongs to connection n % count. A chunk
 * begins behind the last key of the one before, so no row is left out and none is read twice. */
#include "cdc/snapshot/read.h"

#include "base/memory.h"
#include "cdc/preflight/lock_holder.h"
#include "cdc/snapshot/shape.h"
#include <stdio.h>
#include <stdlib.h>

enum {
    CHUNK_BYTES = 1 << 20, /* of values: about what a socket's buffers hold */
    CHUNK_ROWS_FIRST = 2000,
    CHUNK_ROWS_MIN = 50,
    CHUNK_ROWS_MAX = 50000
};

/* BOUND: the end of the chunk's range is being asked for. ROWS: its rows are coming. */
enum reader_state { READER_IDLE, READER_BOUND, READER_ROWS };

struct reader {
    struct pg *sql;
    enum reader_state state;
    size_t table;
    struct snapshot_key after, upto;
    struct pg_result *bound; /* in READER_BOUND: the answer so far */
};

struct snapshot_read {
    const struct snapshot_plan *plan;
    struct reader *readers;
    size_t count;
    uint64_t head, tail;       /* chunks given out, chunks begun */
    size_t table;              /* of the next chunk to begin; plan->count: none is left */
    struct snapshot_key after; /* the next chunk begins behind this key */
    bool bounding;             /* the newest chunk's end, so also this key, is being asked for */
    uint64_t rows, bytes;      /* read so far: for the size of chunks */
    struct buf statement;
};

int snapshot_connect(const struct snapshot_options *opt, struct pg **ret, struct error *err)
{
    struct pg_options o = {.url = opt->conf->url,
                           .pipeline = opt->pipeline,
                           .connect_timeout_us = opt->connect_timeout_us,
                           .read_timeout_us = opt->read_timeout_us,
                           .stop_fd = opt->stop_fd};
    struct pg *sql = NULL;
    if (pg_connect(&o, &sql, err)) {
        return RESULT_ERROR;
    }
    pg_expect_values(sql);
    static const char settings[] =
        "set statement_timeout = 0; set idle_in_transaction_session_timeout = 0;"
        " set row_security = off; set extra_float_digits = 3; " LOCK_TIMEOUT_SQL;
    bool has_more = pg_server_version(sql) >= 170000;
    if (pg_query(sql, settings, 0, NULL, NULL, err) ||
        (has_more && pg_query(sql, "set transaction_timeout = 0", 0, NULL, NULL, err)) ||
        (opt->plain_money && pg_query(sql, "set lc_monetary = 'C'", 0, NULL, NULL, err))) {
        pg_close(sql);
        return RESULT_ERROR;
    }
    *ret = sql;
    return RESULT_DONE;
}

/* Tables of the list, or partitions of them, whose file is not the one of the snapshot any more. */
static const char rewritten_sql[] =
    "select c.oid::regclass from pg_class c where c.relfilenode <> pg_relation_filenode(c.oid)"
    " and c.oid in (select unnest($1::oid[]) union select p.relid from unnest($1::oid[]) r(oid)"
    " cross join lateral pg_partition_tree(r.oid) p)";

static int import(struct pg *sql, const char *exported, struct error *err)
{
    CLEANUP(buf_release) struct buf text = {0};
    buf_add_str(&text, "set transaction snapshot ");
    pg_quote_literal(&text, slice_from(exported));
    if (pg_query(sql, "begin isolation level repeatable read read only", 0, NULL, NULL, err) ||
        pg_query(sql, buf_str(&text), 0, NULL, NULL, err)) {
        return error_prefix(err, "the exported snapshot cannot be read");
    }
    return RESULT_DONE;
}

/* "{16384,16390}" */
static void list_oids(const struct snapshot_plan *plan, struct buf *out)
{
    for (size_t i = 0; i < plan->count; i++) {
        buf_printf(out, "%c%u", i > 0 ? ',' : '{', plan->tables[i].table->oid);
    }
    buf_add_char(out, '}');
}

/* A table that is rewritten (ALTER TABLE, TRUNCATE) looks empty to an older snapshot, and its rows
 * would be missing. The lock prevents a rewrite from now on, as in pg_dump. A rewrite between the
 * snapshot and the lock is found by comparing file numbers: pg_class, read in the snapshot, has the
 * old one, and pg_relation_filenode() tells the present one. */
static int lock_tables(struct pg *sql, const struct snapshot_plan *plan, struct error *err)
{
    CLEANUP(buf_release) struct buf text = {0}, oids = {0};
    CLEANUP(pg_result_cleanup) struct pg_result *rewritten = NULL;
    for (size_t i = 0; i < plan->count; i++) {
        buf_printf(&text, "%s%.*s", i > 0 ? ", " : "lock table ", SLICE_FMT(plan->tables[i].name));
    }
    if (plan->count == 0) {
        return RESULT_DONE;
    }
    buf_add_str(&text, " in access share mode");
    list_oids(plan, &oids);
    if (pg_query(sql, buf_str(&text), 0, NULL, NULL, err)) {
        (void)snapshot_shape_failed(err);
        (void)lock_holder_name(sql, buf_str(&oids), err);
        return error_prefix(
            err,
            "the tables of the snapshot cannot be locked against a rewrite (SELECT is needed on each)");
    }
    if (pg_query(sql, rewritten_sql, 1, &(const char *){buf_str(&oids)}, &rewritten, err)) {
        return RESULT_ERROR;
    }
    if (pg_rows(rewritten) > 0) {
        return error_set(
            err, ERROR_RETRY, "cdc",
            "table %.*s was rewritten (ALTER TABLE, TRUNCATE, VACUUM FULL) just when its snapshot began; a new one must be taken",
            SLICE_FMT(pg_value(rewritten, 0, 0)));
    }
    return RESULT_DONE;
}

int snapshot_read_open(const struct snapshot_options *opt, const struct snapshot_plan *plan,
                       const char *exported, size_t connections, const struct snapshot_rest *from,
                       struct snapshot_read **ret, struct error *err)
{
    struct snapshot_read *r = memory_need(calloc(1, sizeof *r));
    struct reader *readers = memory_need(calloc(connections, sizeof *readers));
    r->plan = plan;
    r->readers = readers;
    r->count = connections;
    if (from) {
        r->table = from->table;
        snapshot_key_copy(&r->after, &from->after);
    }
    for (size_t i = 0; i < connections; i++) {
        if (snapshot_connect(opt, &readers[i].sql, err) || import(readers[i].sql, exported, err) ||
            (i == 0 && lock_tables(readers[i].sql, plan, err))) {
            snapshot_read_close(r);
            return RESULT_ERROR;
        }
    }
    *ret = r;
    return RESULT_DONE;
}

void snapshot_read_close(struct snapshot_read *r)
{
    if (!r) {
        return;
    }
    for (size_t i = 0; i < r->count; i++) {
        pg_close(r->readers[i].sql);
        pg_result_free(r->readers[i].bound);
        snapshot_key_release(&r->readers[i].after);
        snapshot_key_release(&r->readers[i].upto);
    }
    free(r->readers);
    snapshot_key_release(&r->after);
    buf_release(&r->statement);
    free(r);
}

/* --- beginning chunks --- */

static size_t chunk_rows(const struct snapshot_read *r)
{
    if (r->rows < CHUNK_ROWS_MIN) {
        return CHUNK_ROWS_FIRST;
    }
    uint64_t n = CHUNK_BYTES / (r->bytes / r->rows + 1);
    return n < CHUNK_ROWS_MIN ? CHUNK_ROWS_MIN : n > CHUNK_ROWS_MAX ? CHUNK_ROWS_MAX : (size_t)n;
}

static int send(struct snapshot_read *r, struct reader *c, bool single_row, struct error *err)
{
    const char *params[2 * SNAPSHOT_KEY_MAX];
    size_t n = c->after.count;
    snapshot_key_values(&c->after, params);
    if (c->state == READER_ROWS) {
        snapshot_key_values(&c->upto, params + n);
        n += c->upto.count;
    }
    return pg_send(c->sql, buf_str(&r->statement), n, params, single_row, err);
}

static int send_rows(struct snapshot_read *r, struct reader *c, struct error *err)
{
    c->state = READER_ROWS;
    snapshot_plan_rows(&r->plan->tables[c->table], &c->after, &c->upto, 0, &r->statement);
    return send(r, c, true, err);
}

static void next_table(struct snapshot_read *r)
{
    r->table++;
    snapshot_key_clear(&r->after);
}

/* The end of the range is known: the next one begins behind it, or with the next table. */
static int take_bound(struct snapshot_read *r, struct reader *c, struct error *err)
{
    const struct snapshot_table *t = &r->plan->tables[c->table];
    r->bounding = false;
    if (c->bound && pg_rows(c->bound) > 0) {
        for (size_t i = 0; i < t->table->key_count; i++) {
            snapshot_key_add(&c->upto, pg_value(c->bound, 0, i));
        }
        snapshot_key_copy(&r->after, &c->upto);
    } else {
        next_table(r);
    }
    pg_result_free(c->bound);
    c->bound = NULL;
    return send_rows(r, c, err);
}

static int begin_chunk(struct snapshot_read *r, struct error *err)
{
    struct reader *c = &r->readers[r->tail % r->count];
    const struct snapshot_table *t = &r->plan->tables[r->table];
    c->table = r->table;
    snapshot_key_copy(&c->after, &r->after);
    snapshot_key_clear(&c->upto);
    r->tail++;
    if (t->table->key_count == 0) {
        next_table(r);
        return send_rows(r, c, err);
    }
    r->bounding = true;
    c->state = READER_BOUND;
    snapshot_plan_bound(t, &c->after, chunk_rows(r), &r->statement);
    return send(r, c, false, err);
}

/* Begins chunks until each connection has one, or the next chunk's beginning is not known yet. */
static int begin_chunks(struct snapshot_read *r, struct error *err)
{
    for (;;) {
        struct reader *last = &r->readers[(r->tail + r->count - 1) % r->count];
        while (r->bounding) {
            struct pg_result *answer = NULL;
            int rc = pg_take(last->sql, &answer, err);
            if (rc) {
                return rc < 0 ? rc : RESULT_DONE;
            }
            if (answer) {
                pg_result_free(last->bound);
                last->bound = answer;
            } else if (take_bound(r, last, err)) {
                return RESULT_ERROR;
            }
        }
        if (r->table == r->plan->count || r->tail - r->head == r->count) {
            return RESULT_DONE;
        }
        if (begin_chunk(r, err)) {
            return RESULT_ERROR;
        }
    }
}

/* --- giving rows --- */

static void count_row(struct snapshot_read *r, const struct pg_result *row, size_t columns)
{
    r->rows++;
    for (size_t i = 0; i < columns; i++) {
        r->bytes += pg_value(row, 0, i).len;
    }
}

/* The next row of the chunk whose turn it is; *ret NULL: the chunk is over. */
static int take_row(struct snapshot_read *r, struct reader *c, struct pg_result **ret,
                    struct error *err)
{
    for (;;) {
        struct pg_result *row = NULL;
        int rc = pg_take(c->sql, &row, err);
        if (rc) {
            return rc;
        }
        if (row && pg_rows(row) == 0) {
            pg_result_free(row); /* the end of the rows */
            continue;
        }
        if (row) {
            count_row(r, row, r->plan->tables[c->table].table->columns_count);
        }
        *ret = row;
        return RESULT_DONE;
    }
}

static int fail(const struct snapshot_read *r, const struct reader *c, struct error *err)
{
    const struct change_table *t = r->plan->tables[c->table].table;
    (void)snapshot_statement_failed(c->sql, t, err);
    return error_prefix(err, "the snapshot of %.*s.%.*s", SLICE_FMT(t->schema), SLICE_FMT(t->name));
}

int snapshot_read_next(struct snapshot_read *r, size_t *ret_table, struct pg_result **ret,
                       struct error *err)
{
    for (;;) {
        struct reader *c = &r->readers[r->head % r->count];
        if (begin_chunks(r, err)) {
            return fail(r, &r->readers[(r->tail + r->count - 1) % r->count], err);
        }
        if (r->head == r->tail) {
            *ret = NULL;
            return RESULT_DONE;
        }
        if (c->state != READER_ROWS) {
            return RESULT_AGAIN;
        }
        struct pg_result *row = NULL;
        int rc = take_row(r, c, &row, err);
        if (rc) {
            return rc < 0 ? fail(r, c, err) : rc;
        }
        if (row) {
            *ret_table = c->table;
            *ret = row;
            return RESULT_DONE;
        }
        c->state = READER_IDLE;
        r->head++;
    }
}

void snapshot_read_poll_fds(struct snapshot_read *r, struct poll_set *set)
{
    struct reader *head = &r->readers[r->head % r->count];
    struct reader *last = &r->readers[(r->tail + r->count - 1) % r->count];
    if (head->state != READER_IDLE) {
        pg_poll_fds(head->sql, set);
    }
    if (r->bounding && last != head) {
        pg_poll_fds(last->sql, set);
    }
}
