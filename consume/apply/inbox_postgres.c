/* The inbox in PostgreSQL. */
#include "consume/apply/inbox.h"

#include "base/memory.h"
#include "consume/apply/debezium.h"
#include "consume/apply/letter.h"
#include "db/pg.h"
#include "schema/schema.h"
#include <stdio.h>
#include <stdlib.h>

enum { SQLSTATE_LEN = 5 };
#define UNTRANSLATABLE "22P05" /* a letter that the database's encoding has not */
static const int64_t CONNECT_US = 5 * US_PER_SECOND, READ_US = 300 * US_PER_SECOND;

struct inbox {
    const struct inbox_conf *conf;
    struct pg *pg;
    struct target target;
    struct buf columns; /* a text of the table's columns, to see whether it was altered */
    struct buf call;    /* the statement of `call` */
    bool open;          /* in a transaction */
    bool by_columns;    /* the role has rights on columns of the table, none on the whole of it */
};

static bool is_url(const char *url)
{
    return pg_url(url) != NULL;
}

/* Of the errors of a statement that applies events (docs/CONSUME.md has this table): the first
 * prefix that fits counts. What is not here goes by core/db: what may go by itself is tried again
 * (RETRY), and for all else the event is to blame, by its values, or by what a function or trigger
 * raises, with codes of its own, too. */
static const struct {
    const char *prefix;
    enum error_class class;
} rules[] = {
    {"55", ERROR_RETRY}, /* a lock, or something that is not ready */
    {"3F", ERROR_CONFIG},
    {"42501", ERROR_CONFIG}, /* a right */
    {"42P01", ERROR_CONFIG}, /* a table, */
    {"42703", ERROR_CONFIG}, /* a column, */
    {"42704", ERROR_CONFIG}, /* a type or another object, */
    {"42883", ERROR_CONFIG}, /* a function that is missing */
    /* An internal error that lasts has to do with this event; elsewhere it is waited for. */
    {"XX000", ERROR_POISON},
};

static int judge(struct error *err)
{
    enum error_class class = err->class == ERROR_RETRY ? ERROR_RETRY : ERROR_POISON;
    if (strlen(err->code) != SQLSTATE_LEN) {
        return RESULT_ERROR; /* the connection, or a time limit */
    }
    for (size_t k = 0; k < sizeof rules / sizeof *rules; k++) {
        if (strncmp(err->code, rules[k].prefix, strlen(rules[k].prefix)) == 0) {
            class = rules[k].class;
            break;
        }
    }
    err->class = class;
    err->exit_code = class == ERROR_CONFIG ? err->exit_code : EXIT_CODE_GAVE_UP;
    return RESULT_ERROR;
}

/* --- opening --- */

static int no_right(const struct inbox_conf *conf, const char *what, const char *sql,
                    struct error *err)
{
    CLEANUP(buf_release) struct buf url = {0};
    pg_redact(conf->url, &url);
    error_exit(err, ERROR_CONFIG, EXIT_CODE_PERMISSION, "postgres",
               "%s in %s is missing or an earlier build's, and the role may not make it: let an "
               "owner run %s",
               what, buf_str(&url), sql);
    return error_code(err, PG_INSUFFICIENT_PRIVILEGE);
}

static int make(struct inbox *i, const char *what, const char *script, const char *how,
                struct error *err)
{
    CLEANUP(buf_release) struct buf sql = {0};
    buf_printf(&sql, "begin; set local search_path = public; %s; commit", script);
    if (pg_make(i->pg, buf_str(&sql), err) == RESULT_DONE) {
        return RESULT_DONE;
    }
    return error_is(err, PG_INSUFFICIENT_PRIVILEGE) ? no_right(i->conf, what, how, err)
                                                    : RESULT_ERROR;
}

static int look(struct inbox *i, struct error *err)
{
    CLEANUP(pg_result_cleanup) struct pg_result *r = NULL;
    if (pg_query(i->pg, schema_sql_consumer_objects, 0, NULL, &r, err)) {
        return RESULT_ERROR;
    }
    if (pg_true(r, 0, 2)) {
        error_set(err, ERROR_RETRY, "postgres",
                  "the server is a standby and takes no claim: name the primary, or all servers "
                  "with target_session_attrs=read-write in the URL");
        return error_code(err, PG_READ_ONLY_SQL_TRANSACTION);
    }
    bool inbox = pg_true(r, 0, 0), own = pg_true(r, 0, 1);
    if (i->conf->ret_missing) {
        *i->conf->ret_missing = !(inbox && own);
        return RESULT_DONE;
    }
    if (i->conf->look_only && !(inbox && own)) {
        return error_set(err, ERROR_CONFIG, "postgres",
                         "the consumer's tables (schema commitrelay) are missing or an earlier "
                         "build's: run the consumer first, which makes them");
    }
    if (!inbox && make(i, "the inbox", schema_postgres_inbox,
                       "what `commitrelay init --inbox --print` prints", err)) {
        return RESULT_ERROR;
    }
    return own ? RESULT_DONE
               : make(i, "the consumer's own tables (schema commitrelay)", schema_postgres_consumer,
                      "schema/postgres/consumer.sql", err);
}

static int take_columns(struct inbox *i, const struct pg_result *r, struct error *err)
{
    struct target *t = &i->target;
    arena_reset(&t->memory);
    t->keys = 0;
    t->count = pg_rows(r);
    if (t->count == 0) {
        return error_set(err, ERROR_CONFIG, "consume",
                         "apply.into: there is no table %s in the inbox's database; create it, or "
                         "correct the name (schema.table; public if bare)",
                         t->shown);
    }
    t->columns = arena_array(&t->memory, t->count, sizeof *t->columns);
    for (size_t k = 0; k < t->count; k++) {
        struct target_column *c = &t->columns[k];
        *c = (struct target_column){.name = arena_copy(&t->memory, pg_value(r, k, 0)).ptr,
                                    .key = pg_true(r, k, 1),
                                    .generated = pg_true(r, k, 2),
                                    .typmod = (int32_t)pg_int(r, k, 4, -1)};
        c->kind = (int)debezium_kind(pg_value(r, k, 3), &c->array);
        t->keys += c->key;
    }
    if (t->keys == 0) {
        return error_set(err, ERROR_CONFIG, "consume",
                         "apply.into: table %s has no primary key, by which its rows are updated "
                         "and deleted; add one",
                         t->shown);
    }
    return RESULT_DONE;
}

static void describe(const struct pg_result *r, struct buf *out)
{
    enum { COLUMNS = 5 };
    for (size_t k = 0; k < pg_rows(r) * COLUMNS; k++) {
        buf_add_slice(out, pg_value(r, k / COLUMNS, k % COLUMNS));
        buf_add_char(out, '\n');
    }
}

static int read_columns(struct inbox *i, struct error *err)
{
    CLEANUP(pg_result_cleanup) struct pg_result *r = NULL;
    CLEANUP(buf_release) struct buf now = {0};
    const char *params[] = {buf_str(&i->target.name)};
    if (pg_query(i->pg, schema_sql_consumer_columns, 1, params, &r, err)) {
        return RESULT_ERROR;
    }
    describe(r, &now);
    if (now.len > 0 && slice_equal(buf_slice(&now), buf_slice(&i->columns))) {
        return RESULT_DONE;
    }
    buf_clear(&i->columns); /* of a table that does not fit nothing is known */
    if (take_columns(i, r, err)) {
        return RESULT_ERROR;
    }
    buf_add_slice(&i->columns, buf_slice(&now));
    return RESULT_DONE;
}

static int look_at_table(struct inbox *i, struct error *err)
{
    i->target.shown = i->conf->into;
    i->target.placeholder = i->conf->placeholder;
    i->target.debezium = i->conf->debezium;
    i->target.decimal_text = i->conf->decimal_text;
    if (!*i->conf->into) {
        return RESULT_DONE;
    }
    return pg_quote_table(&i->target.name, i->conf->into, err) ? error_prefix(err, "apply.into")
                                                               : read_columns(i, err);
}

static int look_at_function(struct inbox *i, struct error *err)
{
    CLEANUP(pg_result_cleanup) struct pg_result *r = NULL;
    CLEANUP(buf_release) struct buf name = {0};
    if (!*i->conf->call) {
        return RESULT_DONE;
    }
    if (pg_quote_table(&name, i->conf->call, err)) {
        return error_prefix(err, "apply.call");
    }
    buf_printf(&i->call,
               "select %s(e.event) from pg_catalog.jsonb_array_elements($1::jsonb) with ordinality "
               "e(event, n) order by e.n",
               buf_str(&name));
    buf_add_str(&name, "(jsonb)");
    if (pg_query(i->pg, "select to_regprocedure($1) is not null", 1,
                 (const char *const[]){buf_str(&name)}, &r, err)) {
        return RESULT_ERROR;
    }
    return pg_true(r, 0, 0)
               ? RESULT_DONE
               : error_set(err, ERROR_CONFIG, "consume",
                           "apply.call: there is no function %s in the inbox's database; create "
                           "it, or correct the name (schema.function; public if bare)",
                           buf_str(&name));
}

static void pg_inbox_close(struct inbox *i)
{
    pg_close(i->pg);
    target_release(&i->target);
    buf_release(&i->columns);
    buf_release(&i->call);
    free(i);
}

static int pg_inbox_open(const struct inbox_conf *conf, struct inbox **ret, struct error *err)
{
    char name[80];
    snprintf(name, sizeof name, "consume %s", conf->consumer);
    const struct pg_options options = {.url = conf->url,
                                       .pipeline = name,
                                       .connect_timeout_us = CONNECT_US,
                                       .read_timeout_us = READ_US,
                                       .stop_fd = conf->stop_fd};
    struct inbox *i = memory_need(calloc(1, sizeof *i));
    i->conf = conf;
    /* Code of the user runs here too: functions, and triggers of the table. It gets the search path
     * and the row security of the user's role. Our own statements name the schema. */
    if (pg_connect(&options, &i->pg, err) ||
        pg_query(i->pg, "reset search_path; reset row_security", 0, NULL, NULL, err) ||
        look(i, err) || look_at_table(i, err) || look_at_function(i, err)) {
        pg_inbox_close(i);
        return RESULT_ERROR;
    }
    *ret = i;
    return RESULT_DONE;
}

static bool alive(const struct inbox *i)
{
    return pg_alive(i->pg);
}

static const struct target *target(const struct inbox *i)
{
    return *i->conf->into ? &i->target : NULL;
}

/* --- transactions --- */

static void rollback(struct inbox *i)
{
    struct error ignored;
    if (i->open && pg_alive(i->pg)) {
        /* If it fails the connection is lost, and the transaction with it. */
        (void)!pg_query(i->pg, "rollback", 0, NULL, NULL, &ignored);
    }
    i->open = false;
}

/* Takes the lock that the changes would take anyway, and then reads the columns. So the columns
 * stay as they are until the end of the transaction. */
static int begin_locked(struct inbox *i, struct error *err)
{
    CLEANUP(buf_release) struct buf sql = {0};
    buf_add_str(&sql, "begin");
    if (*i->conf->into) {
        buf_printf(&sql,
                   i->by_columns ? "; select from only %s limit 0"
                                 : "; lock table only %s in row exclusive mode",
                   buf_str(&i->target.name));
    }
    i->open = true; /* also if only the lock failed */
    return pg_query(i->pg, buf_str(&sql), 0, NULL, NULL, err);
}

/* With the lock that the changes take anyway, but before the columns are read: so they stay as they
 * are until the end of the transaction. LOCK TABLE takes rights on the whole table; a role that has
 * them on columns only reads nothing of it, which locks it against being altered just as well. */
static int begin(struct inbox *i, struct error *err)
{
    int rc = begin_locked(i, err);
    if (rc && !i->by_columns && *i->conf->into && error_is(err, PG_INSUFFICIENT_PRIVILEGE)) {
        rollback(i);
        i->by_columns = true;
        rc = begin_locked(i, err);
        i->by_columns = rc == RESULT_DONE;
    }
    if (rc) {
        return RESULT_ERROR;
    }
    return *i->conf->into ? read_columns(i, err) : RESULT_DONE;
}

/* A deferred constraint fails only now, and then an event is to blame. */
static int commit(struct inbox *i, struct error *err)
{
    i->open = false;
    return pg_query(i->pg, "commit", 0, NULL, NULL, err) ? judge(err) : RESULT_DONE;
}

/* --- events --- */

static int claim(struct inbox *i, struct record *const *records, size_t n, bool *ret_fresh,
                 struct error *err)
{
    CLEANUP(pg_result_cleanup) struct pg_result *r = NULL;
    CLEANUP(buf_release) struct buf elements = {0}, ids = {0};
    for (size_t k = 0; k < n; k++) {
        pg_array_element(&elements, records[k]->id);
    }
    buf_printf(&ids, "{%s}", buf_str(&elements));
    const char *params[] = {i->conf->consumer, buf_str(&ids)};
    if (pg_query(i->pg, schema_sql_consumer_claim, 2, params, &r, err)) {
        return judge(err);
    }
    for (size_t k = 0; k < n; k++) {
        ret_fresh[k] = pg_true(r, k, 0);
    }
    return RESULT_DONE;
}

static int seen(struct inbox *i, const struct record *r, bool *ret, struct error *err)
{
    CLEANUP(pg_result_cleanup) struct pg_result *result = NULL;
    CLEANUP(buf_release) struct buf id = {0};
    buf_add_slice(&id, r->id);
    const char *params[] = {i->conf->consumer, buf_str(&id)};
    if (pg_query(i->pg,
                 "select exists (select from public.inbox where consumer = $1 and event_id = $2)",
                 2, params, &result, err)) {
        return RESULT_ERROR;
    }
    *ret = pg_true(result, 0, 0);
    return RESULT_DONE;
}

static int change(struct inbox *i, const char *sql, const char *rows, const char *old_rows,
                  size_t *ret_changed, struct error *err)
{
    CLEANUP(pg_result_cleanup) struct pg_result *r = NULL;
    const char *params[] = {rows, old_rows};
    size_t n = rows ? (old_rows ? 2 : 1) : 0;
    if (pg_query(i->pg, sql, n, params, &r, err)) {
        return judge(err);
    }
    *ret_changed = pg_affected(r);
    return RESULT_DONE;
}

static int call(struct inbox *i, struct record *const *records, size_t n, struct error *err)
{
    CLEANUP(buf_release) struct buf events = {0};
    for (size_t k = 0; k < n; k++) {
        buf_add_char(&events, k ? ',' : '[');
        buf_add_slice(&events, records[k]->line);
    }
    buf_add_char(&events, ']');
    return pg_query(i->pg, buf_str(&i->call), 1, (const char *const[]){buf_str(&events)}, NULL, err)
               ? judge(err)
               : RESULT_DONE;
}

/* --- what is kept --- */

/* The text of a bytea, valid until the buffer's next change. */
static const char *hex(struct buf *out, struct slice bytes)
{
    buf_add_str(out, "\\x");
    for (size_t k = 0; k < bytes.len; k++) {
        buf_printf(out, "%02x", (unsigned)(unsigned char)bytes.ptr[k]);
    }
    return buf_str(out);
}

static int bury_as(struct inbox *i, const struct record *r, const char *reason, bool parks,
                   enum letter_form form, struct error *err)
{
    CLEANUP(letter_release) struct letter l = {0};
    CLEANUP(letter_text_release) struct letter_text why = {0};
    CLEANUP(buf_release) struct buf key = {0}, event = {0};
    char number[24], parked[24];
    letter_make(&l, r, form);
    letter_text(&why, slice_from(reason), form);
    snprintf(number, sizeof number, "%lld", (long long)r->number);
    snprintf(parked, sizeof parked, "%lld", (long long)r->order);
    const char *params[] = {i->conf->consumer,
                            buf_str(&l.id.text),
                            r->origin,
                            number,
                            l.key.given ? buf_str(&l.key.text) : NULL,
                            buf_str(&why.text),
                            buf_str(&l.event.text),
                            l.digest,
                            l.key.exact ? NULL : hex(&key, r->key),
                            l.event.exact ? NULL : hex(&event, r->line),
                            parks ? parked : NULL};
    return pg_query(i->pg, schema_sql_consumer_bury, 11, params, NULL, err);
}

/* A database whose encoding is not UTF-8 lacks letters: some that an event may have, and U+FFFD. */
static int bury(struct inbox *i, const struct record *r, const char *reason, bool parks,
                struct error *err)
{
    bool inside = i->open;
    if (inside && pg_query(i->pg, "savepoint bury", 0, NULL, NULL, err)) {
        return RESULT_ERROR;
    }
    int rc = bury_as(i, r, reason, parks, LETTER_UTF8, err);
    if (rc && error_is(err, UNTRANSLATABLE)) {
        rc = inside && pg_query(i->pg, "rollback to savepoint bury", 0, NULL, NULL, err)
                 ? RESULT_ERROR
                 : bury_as(i, r, reason, parks, LETTER_ASCII, err);
    }
    return rc;
}

static void give_rows(const struct pg_result *r, size_t count, inbox_row *each, void *ctx)
{
    struct slice columns[INBOX_COLUMNS_MAX];
    for (size_t k = 0; k < pg_rows(r); k++) {
        for (size_t c = 0; c < count; c++) {
            columns[c] = pg_value(r, k, c);
        }
        each(ctx, columns);
    }
}

static int run(struct inbox *i, enum inbox_sql which, const struct inbox_value *values, size_t n,
               inbox_row *each, void *ctx, size_t *ret_changed, struct error *err)
{
    CLEANUP(pg_result_cleanup) struct pg_result *r = NULL;
    struct buf texts[INBOX_PARAMS_MAX] = {{0}};
    const char *params[INBOX_PARAMS_MAX] = {0};
    for (size_t k = 0; k < n; k++) {
        bool null = slice_is_null(values[k].text);
        if (values[k].bytes && !null) {
            (void)hex(&texts[k], values[k].text);
        } else {
            buf_add_slice(&texts[k], values[k].text);
        }
        params[k] = null ? NULL : buf_str(&texts[k]);
    }
    int rc = pg_query(i->pg, inbox_statement(which, false), n, params, &r, err);
    for (size_t k = 0; k < n; k++) {
        buf_release(&texts[k]);
    }
    if (rc) {
        return judge(err);
    }
    if (each) {
        give_rows(r, inbox_columns(which), each, ctx);
    }
    if (ret_changed) {
        *ret_changed = pg_affected(r);
    }
    return RESULT_DONE;
}

static int load(struct inbox *i, inbox_position *give, void *ctx, struct error *err)
{
    CLEANUP(pg_result_cleanup) struct pg_result *r = NULL;
    if (pg_query(i->pg,
                 "select stream, number from commitrelay.consumer_positions where consumer = $1", 1,
                 (const char *const[]){i->conf->consumer}, &r, err)) {
        return RESULT_ERROR;
    }
    for (size_t k = 0; k < pg_rows(r); k++) {
        give(ctx, pg_value(r, k, 0), pg_int(r, k, 1, 0));
    }
    return RESULT_DONE;
}

static int save(struct inbox *i, const char *stream, int64_t number, struct error *err)
{
    char digits[24];
    snprintf(digits, sizeof digits, "%lld", (long long)number);
    const char *params[] = {i->conf->consumer, stream, digits};
    return pg_query(i->pg, schema_sql_consumer_save, 3, params, NULL, err);
}

const struct inbox_ops inbox_postgres = {.is_url = is_url,
                                         .open = pg_inbox_open,
                                         .close = pg_inbox_close,
                                         .alive = alive,
                                         .target = target,
                                         .begin = begin,
                                         .commit = commit,
                                         .rollback = rollback,
                                         .claim = claim,
                                         .seen = seen,
                                         .change = change,
                                         .call = call,
                                         .bury = bury,
                                         .run = run,
                                         .load = load,
                                         .save = save};
