/* The inbox in SQLite. */
#include "consume/apply/inbox.h"

#include "base/clock.h"
#include "base/memory.h"
#include "consume/apply/letter.h"
#include "db/sqlite.h"
#include "schema/schema.h"
#include <stdlib.h>

static const int64_t PATIENCE_US = 5 * US_PER_SECOND;

struct inbox {
    const struct inbox_conf *conf;
    struct sqlite *db;
    struct target target;
    int64_t schema_version; /* when the table's columns were read */
    struct sqlite_stmt *claim, *seen, *bury, *save, *change;
    struct buf change_sql; /* of `change`, which is kept while it is asked for again */
};

static bool is_url(const char *url)
{
    return sqlite_url_path(url) != NULL;
}

/* A constraint, a value of the wrong type (in a strict table) or JSON that is none: the event is to
 * blame. */
static int judge(struct error *err)
{
    static const char *const poison[] = {"SQLITE_CONSTRAINT", "SQLITE_MISMATCH", "SQLITE_TOOBIG",
                                         "SQLITE_ERROR"};
    for (size_t k = 0; k < sizeof poison / sizeof *poison; k++) {
        if (error_is(err, poison[k]) && err->class != ERROR_CONFIG) {
            err->class = ERROR_POISON;
            err->exit_code = EXIT_CODE_GAVE_UP;
        }
    }
    return RESULT_ERROR;
}

/* --- opening --- */

static void take_column(struct target *t, struct sqlite_stmt *s, size_t k)
{
    enum { NAME, KEY, HIDDEN };
    t->columns[k] = (struct target_column){
        .name = arena_copy(&t->memory, sqlite_value(s, NAME)).ptr,
        .key = sqlite_int(s, KEY) > 0,
        .generated = sqlite_int(s, HIDDEN) > 1, /* 2, 3: a generated column */
    };
    t->keys += t->columns[k].key;
}

static int take_columns(struct inbox *i, struct error *err)
{
    struct target *t = &i->target;
    CLEANUP(sqlite_stmt_freep) struct sqlite_stmt *s = NULL;
    bool row;
    arena_reset(&t->memory);
    t->count = t->keys = 0;
    t->columns = arena_array(&t->memory, TARGET_COLUMNS_MAX, sizeof *t->columns);
    if (sqlite_prepare(i->db, "select name, pk, hidden from pragma_table_xinfo(?1) order by cid",
                       &s, err)) {
        return RESULT_ERROR;
    }
    sqlite_bind_text(s, 1, slice_from(i->conf->into));
    for (;;) {
        if (sqlite_step(s, &row, err)) {
            return RESULT_ERROR;
        }
        if (!row || t->count == TARGET_COLUMNS_MAX) {
            return RESULT_DONE;
        }
        take_column(t, s, t->count++);
    }
}

static int read_columns(struct inbox *i, struct error *err)
{
    const struct target *t = &i->target;
    if (take_columns(i, err)) {
        return RESULT_ERROR;
    }
    if (t->count == 0) {
        return error_set(err, ERROR_CONFIG, "consume",
                         "apply.into: there is no table %s in the inbox's database; create it, or "
                         "correct the name",
                         t->shown);
    }
    return t->keys > 0 ? RESULT_DONE
                       : error_set(err, ERROR_CONFIG, "consume",
                                   "apply.into: table %s has no primary key, by which its rows are "
                                   "updated and deleted; add one",
                                   t->shown);
}

static int look_at_table(struct inbox *i, struct error *err)
{
    struct target *t = &i->target;
    if (!*i->conf->into) {
        return RESULT_DONE;
    }
    t->sqlite = true;
    t->placeholder = i->conf->placeholder;
    t->shown = i->conf->into;
    sqlite_quote_name(&t->name, i->conf->into);
    return read_columns(i, err);
}

/* What is there. */
struct tables {
    bool inbox, own; /* own: some build has made the consumer's tables */
    int64_t form;    /* of the dead letters: 0: told apart by ids, 1: by digests, 2: this build's */
};

enum { FORM_NOW = 2 };

static bool whole(const struct tables *t)
{
    return t->inbox && t->own && t->form == FORM_NOW;
}

static int look(struct inbox *i, struct tables *ret, struct error *err)
{
    return sqlite_has_table(i->db, "inbox", &ret->inbox, err) ||
                   sqlite_has_table(i->db, "commitrelay_consumer_dead_letters", &ret->own, err) ||
                   sqlite_query_int(i->db,
                                    "select count(*) from pragma_table_info("
                                    "'commitrelay_consumer_dead_letters') where name in ('digest', "
                                    "'parked')",
                                    0, &ret->form, err)
               ? RESULT_ERROR
               : RESULT_DONE;
}

static int make(struct inbox *i, const struct tables *t, struct error *err)
{
    bool earlier = t->own && t->form < FORM_NOW;
    const char *back = t->form == 0 ? schema_sql_sqlite_consumer_letters_back
                                    : schema_sql_sqlite_consumer_letters_numbered;
    return (earlier && sqlite_exec(i->db, schema_sql_sqlite_consumer_letters_aside, err)) ||
                   (!t->inbox && sqlite_exec(i->db, schema_sqlite_inbox, err)) ||
                   ((!t->own || earlier) && sqlite_exec(i->db, schema_sqlite_consumer, err)) ||
                   (earlier && sqlite_exec(i->db, back, err))
               ? RESULT_ERROR
               : RESULT_DONE;
}

/* Looks again in the transaction: another process may have made them meanwhile. */
static int make_tables(struct inbox *i, struct error *err)
{
    struct tables t;
    if (look(i, &t, err)) {
        return RESULT_ERROR;
    }
    if (whole(&t)) {
        return RESULT_DONE;
    }
    if (i->conf->ret_missing) {
        *i->conf->ret_missing = true;
        return RESULT_DONE;
    }
    if (i->conf->look_only) {
        return error_set(err, ERROR_CONFIG, "sqlite",
                         "the consumer's tables are missing or an earlier build's in \"%s\": run "
                         "the consumer first, which makes them",
                         sqlite_path(i->db));
    }
    if (sqlite_begin(i->db, err)) {
        return RESULT_ERROR;
    }
    if (look(i, &t, err) || make(i, &t, err)) {
        sqlite_rollback(i->db);
        return RESULT_ERROR;
    }
    return sqlite_commit(i->db, err);
}

static int prepare(struct inbox *i, struct error *err)
{
    return sqlite_prepare(i->db,
                          "insert into inbox (consumer, event_id) values (?1, ?2) on conflict "
                          "(consumer, event_id) do nothing",
                          &i->claim, err) ||
                   sqlite_prepare(i->db,
                                  "select 1 from inbox where consumer = ?1 and event_id = ?2",
                                  &i->seen, err) ||
                   sqlite_prepare(i->db, schema_sql_sqlite_consumer_bury, &i->bury, err) ||
                   sqlite_prepare(i->db, schema_sql_sqlite_consumer_save, &i->save, err)
               ? RESULT_ERROR
               : RESULT_DONE;
}

static void inbox_close(struct inbox *i)
{
    sqlite_stmt_free(i->claim);
    sqlite_stmt_free(i->seen);
    sqlite_stmt_free(i->bury);
    sqlite_stmt_free(i->save);
    sqlite_stmt_free(i->change);
    sqlite_close(i->db);
    buf_release(&i->change_sql);
    target_release(&i->target);
    free(i);
}

static int inbox_open(const struct inbox_conf *conf, struct inbox **ret, struct error *err)
{
    const struct sqlite_options options = {.path = sqlite_url_path(conf->url),
                                           .need_write = true,
                                           /* There may be no other writer for days, and
                                            * so nobody else who checkpoints. */
                                           .checkpoint = true,
                                           .patience_us = PATIENCE_US,
                                           .stop_fd = conf->stop_fd};
    if (*conf->call) {
        return error_set(err, ERROR_CONFIG, "consume",
                         "apply.call needs PostgreSQL, since SQLite has no functions of its own; "
                         "use into, exec or exec_stream");
    }
    struct inbox *i = memory_need(calloc(1, sizeof *i));
    i->conf = conf;
    if (sqlite_open(&options, &i->db, err) || make_tables(i, err) || look_at_table(i, err) ||
        (!conf->ret_missing && prepare(i, err))) {
        inbox_close(i);
        return RESULT_ERROR;
    }
    *ret = i;
    return RESULT_DONE;
}

static bool alive(const struct inbox *i)
{
    return !sqlite_replaced(i->db);
}

static const struct target *target(const struct inbox *i)
{
    return *i->conf->into ? &i->target : NULL;
}

/* --- transactions --- */

/* Reads the columns again if something was altered. Nobody can alter it until the end of the
 * transaction. */
static int begin(struct inbox *i, struct error *err)
{
    int64_t version;
    if (sqlite_begin(i->db, err)) {
        return RESULT_ERROR;
    }
    if (!*i->conf->into) {
        return RESULT_DONE;
    }
    if (sqlite_query_int(i->db, "pragma schema_version", 0, &version, err) ||
        (version != i->schema_version && read_columns(i, err))) {
        return RESULT_ERROR;
    }
    i->schema_version = version;
    return RESULT_DONE;
}

static int commit(struct inbox *i, struct error *err)
{
    return sqlite_commit(i->db, err) ? judge(err) : RESULT_DONE;
}

static void rollback(struct inbox *i)
{
    sqlite_rollback(i->db);
}

/* --- events --- */

static int claim(struct inbox *i, struct record *const *records, size_t n, bool *ret_fresh,
                 struct error *err)
{
    for (size_t k = 0; k < n; k++) {
        sqlite_bind_text(i->claim, 1, slice_from(i->conf->consumer));
        sqlite_bind_text(i->claim, 2, records[k]->id);
        if (sqlite_run(i->claim, err)) {
            return judge(err);
        }
        ret_fresh[k] = sqlite_changes(i->db) == 1;
    }
    return RESULT_DONE;
}

static int seen(struct inbox *i, const struct record *r, bool *ret, struct error *err)
{
    bool row;
    sqlite_bind_text(i->seen, 1, slice_from(i->conf->consumer));
    sqlite_bind_text(i->seen, 2, r->id);
    if (sqlite_step(i->seen, &row, err)) {
        return RESULT_ERROR;
    }
    sqlite_reset(i->seen);
    *ret = row;
    return RESULT_DONE;
}

static int change(struct inbox *i, const char *sql, const char *rows, const char *old_rows,
                  size_t *ret_changed, struct error *err)
{
    if (!i->change || strcmp(buf_str(&i->change_sql), sql) != 0) {
        sqlite_stmt_free(i->change);
        i->change = NULL;
        buf_clear(&i->change_sql);
        if (sqlite_prepare(i->db, sql, &i->change, err)) {
            return RESULT_ERROR;
        }
        buf_add_str(&i->change_sql, sql);
    }
    if (rows) {
        sqlite_bind_text(i->change, 1, slice_from(rows));
    }
    if (old_rows) {
        sqlite_bind_text(i->change, 2, slice_from(old_rows));
    }
    if (sqlite_run(i->change, err)) {
        return judge(err);
    }
    *ret_changed = (size_t)sqlite_changes(i->db);
    return RESULT_DONE;
}

/* --- what is kept --- */

static int bury(struct inbox *i, const struct record *r, const char *reason, bool parks,
                struct error *err)
{
    CLEANUP(letter_release) struct letter l = {0};
    struct sqlite_stmt *s = i->bury;
    letter_make(&l, r, LETTER_UTF8);
    sqlite_bind_text(s, 1, slice_from(i->conf->consumer));
    sqlite_bind_text(s, 2, buf_slice(&l.id.text));
    sqlite_bind_text(s, 3, slice_from(r->origin));
    sqlite_bind_int(s, 4, r->number);
    sqlite_bind_text(s, 5, l.key.given ? buf_slice(&l.key.text) : SLICE_NULL);
    sqlite_bind_text(s, 6, slice_from(reason));
    sqlite_bind_text(s, 7, buf_slice(&l.event.text));
    sqlite_bind_text(s, 8, slice_from(l.digest));
    sqlite_bind_blob(s, 9, l.key.exact ? SLICE_NULL : r->key);
    sqlite_bind_blob(s, 10, l.event.exact ? SLICE_NULL : r->line);
    if (parks) {
        sqlite_bind_int(s, 11, (int64_t)r->order);
    } else {
        sqlite_bind_text(s, 11, SLICE_NULL);
    }
    return sqlite_run(s, err);
}

static int run(struct inbox *i, enum inbox_sql which, const struct inbox_value *values, size_t n,
               inbox_row *each, void *ctx, size_t *ret_changed, struct error *err)
{
    CLEANUP(sqlite_stmt_freep) struct sqlite_stmt *s = NULL;
    struct slice columns[INBOX_COLUMNS_MAX];
    int count = (int)inbox_columns(which);
    bool row = true;
    if (sqlite_prepare(i->db, inbox_statement(which, true), &s, err)) {
        return RESULT_ERROR;
    }
    for (size_t k = 0; k < n; k++) {
        (values[k].bytes ? sqlite_bind_blob : sqlite_bind_text)(s, (int)k + 1, values[k].text);
    }
    while (row) {
        if (sqlite_step(s, &row, err)) {
            return judge(err);
        }
        for (int c = 0; row && each && c < count; c++) {
            columns[c] = sqlite_value(s, c);
        }
        if (row && each) {
            each(ctx, columns);
        }
    }
    if (ret_changed) {
        *ret_changed = (size_t)sqlite_changes(i->db);
    }
    return RESULT_DONE;
}

static int load(struct inbox *i, inbox_position *give, void *ctx, struct error *err)
{
    CLEANUP(sqlite_stmt_freep) struct sqlite_stmt *s = NULL;
    bool row;
    if (sqlite_prepare(
            i->db, "select stream, number from commitrelay_consumer_positions where consumer = ?1",
            &s, err)) {
        return RESULT_ERROR;
    }
    sqlite_bind_text(s, 1, slice_from(i->conf->consumer));
    for (;;) {
        if (sqlite_step(s, &row, err)) {
            return RESULT_ERROR;
        }
        if (!row) {
            return RESULT_DONE;
        }
        give(ctx, sqlite_value(s, 0), sqlite_int(s, 1));
    }
}

static int save(struct inbox *i, const char *stream, int64_t number, struct error *err)
{
    sqlite_bind_text(i->save, 1, slice_from(i->conf->consumer));
    sqlite_bind_text(i->save, 2, slice_from(stream));
    sqlite_bind_int(i->save, 3, number);
    return sqlite_run(i->save, err);
}

const struct inbox_ops inbox_sqlite = {.is_url = is_url,
                                       .open = inbox_open,
                                       .close = inbox_close,
                                       .alive = alive,
                                       .target = target,
                                       .begin = begin,
                                       .commit = commit,
                                       .rollback = rollback,
                                       .claim = claim,
                                       .seen = seen,
                                       .change = change,
                                       .bury = bury,
                                       .run = run,
                                       .load = load,
                                       .save = save};
