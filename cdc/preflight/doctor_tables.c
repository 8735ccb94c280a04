/* The doctor's report about every published table: does it have a replica identity, may the relay
 * read it for a snapshot, and which rows or columns are left out? */
#include "cdc/decode/published.h"
#include "cdc/preflight/internal.h"
#include "cdc/tables.h"
#include "message/column_rules.h"
#include "value/pattern.h"

enum { TOLD_MAX = 20 }; /* tables named for each kind of finding; the rest is counted */

/* Findings of one kind: reported, and only counted. */
struct kind {
    size_t told, more;
};

/* What the report needs to know of one published table. */
struct row {
    const struct doctor *d;
    const struct publication_facts *publication;
    struct slice name; /* quoted */
    char identity;     /* pg_class.relreplident: d default, n nothing, f full, i index */
    bool key, identity_index, may_select, policies, generated;
    struct slice filter;
    struct slice left_out; /* columns that a column list leaves out */
};

/* A row filter cannot be shown without a lock on its table. Where somebody is altering the table,
 * the query does not wait for the lock and shows a note instead. */
static const char tables_sql[] =
    " select format('%I.%I', n.nspname, c.relname), c.relreplident,"
    " exists (select from pg_index i where i.indrelid = c.oid and i.indisprimary"
    "  and i.indimmediate and i.indisvalid),"
    " exists (select from pg_index i where i.indrelid = c.oid and i.indisreplident"
    "  and i.indisvalid),"
    " has_schema_privilege(n.oid, 'usage') and has_table_privilege(c.oid, 'select'),"
    " row_security_active(c.oid),"
    " exists (select from pg_attribute a where a.attrelid = c.oid and a.attgenerated <> ''"
    "  and not a.attisdropped and not " PUBLISHED_COLUMN "),"
    " case when t.qual is null then null when exists (select from pg_locks l where l.relation ="
    "  c.oid and l.mode = 'AccessExclusiveLock') then '(its table is locked)'"
    "  else " PUBLISHED_FILTER " end,"
    " (select string_agg(quote_ident(a.attname), ', ' order by a.attnum) from pg_attribute a"
    "  where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped and a.attgenerated = ''"
    "  and a.attnum <> all (t.attrs))"
    " from published t join pg_class c on c.oid = t.oid"
    " join pg_namespace n on n.oid = c.relnamespace order by 1";

static bool room(struct kind *k)
{
    if (k->told == TOLD_MAX) {
        k->more++;
        return false;
    }
    k->told++;
    return true;
}

static void tell_more(const struct doctor *d, const struct kind *k, const char *what)
{
    if (k->more > 0) {
        doctor_tell(d, 0, "", "%zu more tables %s", k->more, what);
    }
}

/* Reports "table NAME<text>" with the remedy "ALTER TABLE NAME <rest>". */
static void tell(const struct row *r, int exit_code, const char *rest, const char *text)
{
    char remedy[400];
    snprintf(remedy, sizeof remedy, "ALTER TABLE %.*s %s", SLICE_FMT(r->name), rest);
    doctor_tell(r->d, exit_code, remedy, "table %.*s%s", SLICE_FMT(r->name), text);
}

static bool lacks_identity(const struct row *r)
{
    return r->identity == 'n' || (r->identity == 'd' && !r->key) ||
           (r->identity == 'i' && !r->identity_index);
}

/* A table without a replica identity. Its UPDATEs and DELETEs fail in the application as soon as it
 * is published. */
static void check_identity(const struct row *r, struct kind *k)
{
    if (!(r->publication->updates || r->publication->deletes) || !lacks_identity(r) || !room(k)) {
        return;
    }
    if (r->identity == 'd') {
        tell(
            r, EXIT_CODE_CONFIG, "ADD PRIMARY KEY (...), or REPLICA IDENTITY FULL",
            " has no primary key, so it has no replica identity, but the publication has updates or deletes: they fail in the application");
    } else {
        tell(
            r, EXIT_CODE_CONFIG, r->key ? "REPLICA IDENTITY DEFAULT" : "REPLICA IDENTITY FULL",
            " has no replica identity, but the publication has updates or deletes: they fail in the application");
    }
}

static void check_select(const struct row *r, struct kind *k)
{
    if (!r->may_select && room(k)) {
        char remedy[500];
        snprintf(remedy, sizeof remedy, "GRANT SELECT ON %.*s TO %s (and USAGE on its schema)",
                 SLICE_FMT(r->name), r->d->server->user);
        doctor_tell(r->d, EXIT_CODE_PERMISSION, remedy,
                    "table %.*s may not be read by %s: the snapshot would fail", SLICE_FMT(r->name),
                    r->d->server->user);
    }
}

static void check_policies(const struct row *r, struct kind *k)
{
    if (r->policies && r->may_select && room(k)) {
        char remedy[300];
        snprintf(remedy, sizeof remedy, "ALTER ROLE %s BYPASSRLS", r->d->server->user);
        doctor_tell(
            r->d, EXIT_CODE_PERMISSION, remedy,
            "row security policies of table %.*s hide rows from %s: the snapshot would fail",
            SLICE_FMT(r->name), r->d->server->user);
    }
}

static void check_key(const struct row *r, struct kind *k)
{
    if (!r->key && room(k)) {
        tell(
            r, 0, "ADD PRIMARY KEY (...)",
            " has no primary key: an interrupted snapshot of it starts again, and its changes have no message key");
    }
}

static void check_generated(const struct row *r, struct kind *k)
{
    if (!r->generated || !room(k)) {
        return;
    }
    if (r->d->server->version >= 180000) {
        CLEANUP(buf_release) struct buf remedy = {0};
        struct error ignored;
        buf_add_str(&remedy, "ALTER PUBLICATION ");
        if (pg_quote_name(&remedy, slice_from(r->d->p->publication), &ignored)) {
            return; /* publication_prepare has told */
        }
        buf_add_str(&remedy, " SET (publish_generated_columns = stored)");
        doctor_tell(r->d, 0, buf_str(&remedy),
                    "generated columns of table %.*s are not in the change stream",
                    SLICE_FMT(r->name));
    } else {
        doctor_tell(
            r->d, 0, "compute them in the consumer, or use ordinary columns",
            "generated columns of table %.*s are not in the change stream: PostgreSQL sends them from version 18 on",
            SLICE_FMT(r->name));
    }
}

/* Row filters and column lists are mostly there on purpose: a note, not a fault. */
static void check_lists(const struct row *r, struct kind *k)
{
    if (!slice_is_null(r->filter) && room(k)) {
        doctor_tell(r->d, 0, "", "only rows of table %.*s that fit its row filter are sent: %.*s",
                    SLICE_FMT(r->name), SLICE_FMT(r->filter));
    }
    if (!slice_is_null(r->left_out) && room(k)) {
        doctor_tell(r->d, 0, "", "columns of table %.*s that its column list leaves out: %.*s",
                    SLICE_FMT(r->name), SLICE_FMT(r->left_out));
    }
}

static struct row read_row(const struct doctor *d, const struct publication_facts *publication,
                           const struct pg_result *r, size_t i)
{
    struct slice identity = pg_value(r, i, 1);
    return (struct row){.d = d,
                        .publication = publication,
                        .name = pg_value(r, i, 0),
                        .identity = (char)(identity.len > 0 ? identity.ptr[0] : 'd'),
                        .key = pg_true(r, i, 2),
                        .identity_index = pg_true(r, i, 3),
                        .may_select = pg_true(r, i, 4),
                        .policies = pg_true(r, i, 5),
                        .generated = pg_true(r, i, 6),
                        .filter = pg_value(r, i, 7),
                        .left_out = pg_value(r, i, 8)};
}

static void check_kinds(const struct doctor *d, const struct publication_facts *p)
{
    if (d->p->conf->as == CDC_AS_CHANGES &&
        !(p->inserts && p->updates && p->deletes && p->truncates)) {
        doctor_tell(d, 0, "", "publication %s leaves out%s%s%s%s", d->p->publication,
                    p->inserts ? "" : " inserts", p->updates ? "" : " updates",
                    p->deletes ? "" : " deletes", p->truncates ? "" : " truncates");
    }
    if (p->via_root) {
        doctor_tell(
            d, 0, "",
            "publication %s gives changes of partitions under the name of the partitioned table (publish_via_partition_root)",
            d->p->publication);
    }
}

/* Notes a pattern that fits none of the names in `r`: it is for later, or mistyped. */
static void tell_idle(const struct doctor *d, struct pattern *p, const struct pg_result *r,
                      const char *key, const char *what)
{
    struct error ignored; /* too many steps: the stream will tell */
    bool fits = false;
    for (size_t i = 0; i < pg_rows(r) && !fits; i++) {
        if (pattern_matches(p, pg_value(r, i, 0), &fits, &ignored)) {
            return;
        }
    }
    if (!fits) {
        char remedy[100];
        snprintf(remedy, sizeof remedy, "correct it in %s, if it is not for later", key);
        doctor_tell(d, 0, remedy, "no published %s fits the pattern %s", what, pattern_text(p));
    }
}

/* The names of all published tables, or columns: `more` completes the statement. */
static int ask_names(const struct doctor *d, const char *name, const char *more,
                     struct pg_result **ret, struct error *err)
{
    CLEANUP(buf_release) struct buf sql = {0};
    published_tables(&sql, d->server->version, 1);
    buf_printf(&sql,
               " select n.nspname || '.' || c.relname%s from published t join pg_class c"
               " on c.oid = t.oid join pg_namespace n on n.oid = c.relnamespace%s",
               name, more);
    return pg_query(d->p->sql, buf_str(&sql), 1, (const char *const[]){d->p->publication}, ret, err)
               ? error_prefix(err, "the tables of publication %s", d->p->publication)
               : RESULT_DONE;
}

static int tell_idle_patterns(const struct doctor *d, struct error *err)
{
    CLEANUP(pg_result_cleanup) struct pg_result *names = NULL, *columns = NULL;
    CLEANUP(cdc_tables_close) struct cdc_tables tables = {0};
    struct column_rules *rules = d->p->shape->columns;
    const char *key = NULL;
    struct pattern *p = column_rules_pattern_at(rules, 0, &key);
    if (cdc_tables_open(&tables, d->p->conf, err) ||
        (tables.patterns_count > 0 && ask_names(d, "", "", &names, err)) ||
        (p && ask_names(d, " || '.' || a.attname",
                        " join pg_attribute a on a.attrelid = c.oid and a.attnum > 0"
                        " and not a.attisdropped and " PUBLISHED_COLUMN,
                        &columns, err))) {
        return RESULT_ERROR;
    }
    for (size_t i = 0; i < tables.patterns_count; i++) {
        tell_idle(d, tables.patterns[i], names, "source.tables", "table");
    }
    for (size_t i = 0; (p = column_rules_pattern_at(rules, i, &key)) != NULL; i++) {
        tell_idle(d, p, columns, key, "column");
    }
    return RESULT_DONE;
}

int doctor_tables(const struct doctor *d, const struct publication_facts *publication,
                  struct error *err)
{
    CLEANUP(pg_result_cleanup) struct pg_result *r = NULL;
    CLEANUP(buf_release) struct buf sql = {0};
    struct kind identity = {0}, rights = {0}, policies = {0}, key = {0}, generated = {0},
                lists = {0};
    bool snapshot = slot_snapshot_possible(d->p->conf);
    published_tables(&sql, d->server->version, 1);
    buf_add_str(&sql, tables_sql);
    if (pg_query(d->p->sql, buf_str(&sql), 1, (const char *const[]){d->p->publication}, &r, err)) {
        return error_prefix(err, "the tables of publication %s", d->p->publication);
    }
    check_kinds(d, publication);
    if (pg_rows(r) == 0) {
        doctor_tell(d, 0, "ALTER PUBLICATION ... ADD TABLE ...", "publication %s holds no table",
                    d->p->publication);
    }
    for (size_t i = 0; i < pg_rows(r); i++) {
        struct row row = read_row(d, publication, r, i);
        check_identity(&row, &identity);
        if (snapshot) {
            check_select(&row, &rights);
            check_policies(&row, &policies);
        }
        if (d->p->conf->as == CDC_AS_CHANGES) {
            check_key(&row, &key);
            check_generated(&row, &generated);
        }
        check_lists(&row, &lists);
    }
    tell_more(d, &identity, "have no replica identity");
    tell_more(d, &rights, "may not be read");
    tell_more(d, &policies, "have row security policies");
    tell_more(d, &key, "have no primary key");
    tell_more(d, &generated, "have generated columns");
    tell_more(d, &lists, "have a row filter or a column list");
    return tell_idle_patterns(d, err);
}
