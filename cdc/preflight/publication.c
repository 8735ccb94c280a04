/* Checks the publication: does it exist, and does it have every table, column and kind of change
 * that the source wants? This comes before the slot: with a slot that is older than its publication
 * changes are lost, or decoding fails for ever. While the slot is read, the same is asked again and
 * again, so that a table which leaves the publication is noticed. */
#include "cdc/decode/published.h"
#include "cdc/preflight/internal.h"
#include "cdc/preflight/lock_holder.h"

/* One wanted table, as the server shows it. */
struct wanted {
    struct slice quoted;
    bool there, published, partitioned, partition, parts_published, root_published;
};

/* One run of the checks. */
struct job {
    const struct preflight *p;
    const char *name; /* of the publication, quoted */
    struct fault *f;
};

int publication_look(struct pg *sql, const char *name, struct publication_facts *ret,
                     struct error *err)
{
    CLEANUP(pg_result_cleanup) struct pg_result *r = NULL;
    if (pg_query(sql,
                 "select pubinsert, pubupdate, pubdelete, pubtruncate, pubviaroot"
                 " from pg_publication where pubname = $1",
                 1, &name, &r, err)) {
        return error_prefix(err, "publication %s", name);
    }
    *ret = (struct publication_facts){.there = pg_rows(r) > 0};
    if (ret->there) {
        ret->inserts = pg_true(r, 0, 0);
        ret->updates = pg_true(r, 0, 1);
        ret->deletes = pg_true(r, 0, 2);
        ret->truncates = pg_true(r, 0, 3);
        ret->via_root = pg_true(r, 0, 4);
    }
    return RESULT_DONE;
}

/* For each wanted table: is it there, and are its changes sent under its own name, under those of
 * its partitions, or under that of the table it is a partition of? */
static void wanted_sql(struct buf *sql, int version)
{
    published_members(sql, version, 2);
    buf_add_str(
        sql,
        " select w.name, t.oid is not null, f.listed, t.relkind = 'p', t.relispartition,"
        " case when not pub.pubviaroot and (o.own or o.above) then true else not o.above and exists"
        "  (select from member m where m.oid <> t.oid and t.oid in"
        "   (select relid from pg_partition_ancestors(m.oid))) end,"
        " pub.pubviaroot and o.above, pub.oid is not null, pub.pubinsert"
        " from unnest($1::text[]) with ordinality w(name, n) left join pub on true"
        " left join lateral (select c.* from pg_class c join pg_namespace s on s.oid ="
        "  c.relnamespace where s.nspname = (parse_ident(w.name))[1]::name"
        "  and c.relname = (parse_ident(w.name))[2]::name) t on true"
        " left join lateral (select pub.puballtables or t.oid in (select oid from member) as own,"
        "  exists (select from pg_partition_ancestors(t.oid) a where a.relid <> t.oid and"
        "  (pub.puballtables or a.relid in (select oid from member))) as above) o on true"
        " left join lateral (select t.relpersistence = 'p' and t.oid >= 16384 and"
        "  case when pub.pubviaroot then t.relkind in ('r', 'p') and o.own and not o.above"
        "  else t.relkind = 'r' and (o.own or o.above) end as listed) f on true"
        " order by w.n");
}

enum {
    WANTED_NAME,
    WANTED_THERE,
    WANTED_LISTED,
    WANTED_PARTITIONED,
    WANTED_PARTITION,
    WANTED_PARTS,
    WANTED_ROOT,
    PUBLICATION_THERE,
    PUBLICATION_INSERTS,
};

static struct wanted wanted_of(const struct pg_result *r, size_t row)
{
    return (struct wanted){.quoted = pg_value(r, row, WANTED_NAME),
                           .there = pg_true(r, row, WANTED_THERE),
                           .published = pg_true(r, row, WANTED_LISTED),
                           .partitioned = pg_true(r, row, WANTED_PARTITIONED),
                           .partition = pg_true(r, row, WANTED_PARTITION),
                           .parts_published = pg_true(r, row, WANTED_PARTS),
                           .root_published = pg_true(r, row, WANTED_ROOT)};
}

/* One row for each wanted table, in their order. */
static int look_at_wanted(const struct preflight *p, struct pg_result **ret, struct error *err)
{
    CLEANUP(buf_release) struct buf names = {0}, sql = {0};
    wanted_sql(&sql, pg_server_version(p->sql));
    if (wanted_names(p->conf, &names, err)) {
        return RESULT_ERROR;
    }
    const char *const params[] = {buf_str(&names), p->publication};
    return pg_query(p->sql, buf_str(&sql), 2, params, ret, err)
               ? error_prefix(err, "the tables of publication %s", p->publication)
               : RESULT_DONE;
}

static int judge_missing_table(const struct job *j, const struct wanted *w)
{
    bool outbox = j->p->conf->as == CDC_AS_OUTBOX;
    fault_set(j->f, ERROR_CONFIG, EXIT_CODE_CONFIG, "there is no table %.*s in this database",
              SLICE_FMT(w->quoted));
    return fault_mend(j->f, outbox ? "create it with `commitrelay init --source ...`, or name the"
                                     " right one in source.table"
                                   : "correct its name in source.tables");
}

static int judge_wanted(const struct job *j, const struct wanted *w)
{
    if (w->published) {
        return RESULT_DONE;
    }
    if (w->partitioned && w->parts_published) {
        fault_set(
            j->f, ERROR_CONFIG, EXIT_CODE_CONFIG,
            "publication %s gives the changes of table %.*s under the names of its partitions",
            j->p->publication, SLICE_FMT(w->quoted));
        return fault_mend(j->f, "ALTER PUBLICATION %s SET (publish_via_partition_root = true)",
                          j->name);
    }
    if (w->partition && w->root_published) {
        fault_set(
            j->f, ERROR_CONFIG, EXIT_CODE_CONFIG,
            "publication %s gives the changes of table %.*s under the name of the table it is a partition of",
            j->p->publication, SLICE_FMT(w->quoted));
        return fault_mend(
            j->f,
            "name that table instead, or ALTER PUBLICATION %s SET (publish_via_partition_root = false)",
            j->name);
    }
    fault_set(j->f, ERROR_CONFIG, EXIT_CODE_CONFIG, "publication %s does not hold table %.*s",
              j->p->publication, SLICE_FMT(w->quoted));
    return fault_mend(j->f, "ALTER PUBLICATION %s ADD TABLE %.*s", j->name, SLICE_FMT(w->quoted));
}

/* Several tables may be missing. The remedy adds all of them in one statement. */
static int judge_all_wanted(const struct job *j, const struct pg_result *r)
{
    CLEANUP(buf_release) struct buf missing = {0};
    size_t n = 0;
    for (size_t i = 0; i < pg_rows(r); i++) {
        struct wanted w = wanted_of(r, i);
        if (!w.there) {
            return judge_missing_table(j, &w);
        }
        if (judge_wanted(j, &w)) {
            if (w.parts_published || w.root_published) {
                return RESULT_ERROR;
            }
            buf_printf(&missing, "%s%.*s", n++ ? ", " : "", SLICE_FMT(w.quoted));
        }
    }
    if (n == 0) {
        return RESULT_DONE;
    }
    fault_set(j->f, ERROR_CONFIG, EXIT_CODE_CONFIG, "publication %s does not hold table%s %s",
              j->p->publication, n > 1 ? "s" : "", buf_str(&missing));
    return fault_mend(j->f, "ALTER PUBLICATION %s ADD TABLE %s", j->name, buf_str(&missing));
}

/* --- the outbox table's columns --- */

enum { COLUMN_NAME, COLUMN_PUBLISHED, COLUMN_ZONE, COLUMN_QUOTED, COLUMN_ROLE };

/* COLUMN_ZONE: for a `timestamp` column the TimeZone of role and database, unless that equals UTC
 * in winter and in summer; else null. */
static const char columns_sql[] =
    " select a.attname, coalesce(" PUBLISHED_COLUMN ", false), case when " COLUMN_IS(
        "timestamp") " then (select z.reset_val from pg_settings z where z.name = 'TimeZone' and "
                     "exists"
                     " (select from unnest('{2000-01-01, 2000-07-01}'::timestamp[]) t"
                     " where timezone(z.reset_val, t) <> timezone('UTC', t))) end,"
                     " quote_ident(a.attname), quote_ident(current_user)"
                     " from pg_attribute a left join published t on t.oid = a.attrelid"
                     " where a.attrelid = to_regclass($1) and a.attnum > 0 and not a.attisdropped";

/* The row of a column of the table; pg_rows(r): it has no such column. */
static size_t row_of(const struct pg_result *r, const char *name)
{
    size_t row = 0;
    while (row < pg_rows(r) && !slice_equal_str(pg_value(r, row, COLUMN_NAME), name)) {
        row++;
    }
    return row;
}

/* A `timestamp` has the time zone of the session that wrote it, which the stream does not tell. So
 * created_at may be one only where everybody writes UTC; else all times would be shifted. */
static int judge_zone(const struct job *j, const struct pg_result *r, const char *quoted)
{
    const char *name = j->p->conf->columns.created_at;
    size_t row = name ? row_of(r, name) : pg_rows(r);
    if (row == pg_rows(r) || slice_is_null(pg_value(r, row, COLUMN_ZONE))) {
        return RESULT_DONE;
    }
    fault_set(
        j->f, ERROR_CONFIG, EXIT_CODE_CONFIG,
        "column \"%s\" of table %s has no time zone, and the TimeZone of role and database is %.*s: a change stream could only read it as UTC",
        name, j->p->conf->table, SLICE_FMT(pg_value(r, row, COLUMN_ZONE)));
    return fault_mend(
        j->f,
        "ALTER TABLE %s ALTER COLUMN %.*s TYPE timestamptz; or, where UTC is what its writers mean, ALTER ROLE %.*s SET TimeZone = 'UTC'",
        quoted, SLICE_FMT(pg_value(r, row, COLUMN_QUOTED)),
        SLICE_FMT(pg_value(r, row, COLUMN_ROLE)));
}

static int judge_column(const struct job *j, const struct pg_result *r, const char *quoted,
                        const char *name, const char *remedy)
{
    size_t row = row_of(r, name);
    if (row == pg_rows(r)) {
        fault_set(j->f, ERROR_CONFIG, EXIT_CODE_CONFIG, "table %s has no column \"%s\"",
                  j->p->conf->table, name);
        return fault_mend(j->f, "%s", remedy);
    }
    if (pg_true(r, row, COLUMN_PUBLISHED)) {
        return RESULT_DONE;
    }
    fault_set(
        j->f, ERROR_CONFIG, EXIT_CODE_CONFIG,
        "column \"%s\" of table %s is not in publication %s (its column list, or publish_generated_columns, leaves it out)",
        name, j->p->conf->table, j->p->publication);
    return fault_mend(
        j->f,
        "publish the table without a column list: ALTER PUBLICATION %s DROP TABLE %s; ALTER PUBLICATION %s ADD TABLE %s",
        j->name, quoted, j->name, quoted);
}

static int judge_columns(const struct job *j, struct error *err)
{
    const struct cdc_conf *c = j->p->conf;
    const struct {
        const char *name, *key;
        bool needed;
    } columns[] = {{c->columns.id, "id", true},
                   {c->columns.aggregatetype, "aggregatetype", true},
                   {c->columns.aggregateid, "aggregateid", true},
                   {c->columns.type, "type", true},
                   {c->columns.payload, "payload", true},
                   {c->columns.headers, "headers", c->columns.headers_given},
                   {c->columns.created_at, "created_at", c->columns.created_at_given}};
    CLEANUP(pg_result_cleanup) struct pg_result *r = NULL;
    CLEANUP(buf_release) struct buf quoted = {0}, sql = {0};
    published_tables(&sql, pg_server_version(j->p->sql), 2);
    buf_add_str(&sql, columns_sql);
    if (pg_quote_table(&quoted, c->table, err) ||
        pg_query(j->p->sql, buf_str(&sql), 2,
                 (const char *const[]){buf_str(&quoted), j->p->publication}, &r, err)) {
        return RESULT_ERROR;
    }
    for (size_t i = 0; i < sizeof columns / sizeof *columns; i++) {
        char remedy[100];
        snprintf(remedy, sizeof remedy, "map the right one with source.columns.%s", columns[i].key);
        if (columns[i].needed && columns[i].name && columns[i].name[0] &&
            judge_column(j, r, buf_str(&quoted), columns[i].name, remedy)) {
            return RESULT_ERROR;
        }
    }
    for (size_t i = 0; i < j->p->further_count; i++) {
        if (judge_column(j, r, buf_str(&quoted), j->p->further[i],
                         "the route names it: correct route.topic, route.key or"
                         " route.partition")) {
            return RESULT_ERROR;
        }
    }
    return judge_zone(j, r, buf_str(&quoted));
}

/* --- making it --- */

/* Writes the statement that creates the publication: to be run, or to be shown as a remedy. */
static int statement(const struct job *j, struct buf *out, struct error *err)
{
    CLEANUP(pg_result_cleanup) struct pg_result *r = NULL;
    const struct preflight *p = j->p;
    bool partitioned = false;
    if (look_at_wanted(p, &r, err)) {
        return RESULT_ERROR;
    }
    buf_printf(out, "CREATE PUBLICATION %s", j->name);
    for (size_t i = 0; i < pg_rows(r); i++) {
        struct wanted w = wanted_of(r, i);
        if (!w.there) {
            return judge_missing_table(j, &w);
        }
        partitioned = partitioned || w.partitioned;
        buf_printf(out, "%s%.*s", i ? ", " : " FOR TABLE ", SLICE_FMT(w.quoted));
    }
    if (pg_rows(r) == 0) {
        buf_add_str(out, " FOR TABLE ...");
    }
    bool outbox = p->conf->as == CDC_AS_OUTBOX;
    if (outbox || partitioned) {
        buf_printf(out, " WITH (%s%s%s)", outbox ? "publish = 'insert'" : "",
                   outbox && partitioned ? ", " : "",
                   partitioned ? "publish_via_partition_root = true" : "");
    }
    return RESULT_DONE;
}

static int judge_failed_making(const struct job *j, const char *create, const struct error *why)
{
    bool forbidden = error_is(why, PG_INSUFFICIENT_PRIVILEGE);
    fault_set(j->f, ERROR_CONFIG, forbidden ? EXIT_CODE_PERMISSION : EXIT_CODE_CONFIG,
              "cannot create publication %s: %s", j->p->publication, why->text);
    return fault_mend(
        j->f, forbidden ? "let the owner of the tables run: %s" : "run it yourself: %s", create);
}

/* Creates the publication. If somebody else creates it at the same time, that is fine. */
static int make(const struct job *j, bool may_make, bool *ret_made, struct error *err)
{
    CLEANUP(buf_release) struct buf create = {0};
    struct error why = {0};
    if (statement(j, &create, err)) {
        return RESULT_ERROR;
    }
    if (!j->p->conf->create_publication || !may_make) {
        fault_set(j->f, ERROR_CONFIG, EXIT_CODE_CONFIG, "publication %s does not exist%s",
                  j->p->publication,
                  j->p->conf->create_publication ? " yet (`run` creates it, on a primary)" : "");
        return fault_mend(j->f, "%s%s", buf_str(&create),
                          j->p->conf->create_publication ? ""
                                                         : "; or set create_publication: true");
    }
    if (wanted_count(j->p->conf) == 0) {
        fault_set(j->f, ERROR_CONFIG, EXIT_CODE_CONFIG,
                  "publication %s does not exist, and create_publication needs to know its tables",
                  j->p->publication);
        return fault_mend(j->f, "list them in source.tables");
    }
    if (pg_query(j->p->sql, buf_str(&create), 0, NULL, NULL, &why) == RESULT_DONE) {
        *ret_made = true;
        source_did(j->p->env, SOURCE_PUBLICATION_MADE, j->p->publication, "");
        return RESULT_DONE;
    }
    if (error_is(&why, PG_DUPLICATE_OBJECT)) {
        return RESULT_DONE;
    }
    if (why.class == ERROR_RETRY) {
        *err = why;
        (void)lock_holder_name(j->p->sql, "{}", err);
        return error_prefix(err, "cannot create publication %s", j->p->publication);
    }
    return judge_failed_making(j, buf_str(&create), &why);
}

static int judge_kinds(const struct job *j, bool inserts)
{
    if (j->p->conf->as != CDC_AS_OUTBOX || inserts) {
        return RESULT_DONE;
    }
    fault_set(j->f, ERROR_CONFIG, EXIT_CODE_CONFIG,
              "publication %s does not publish inserts, which is all an outbox has",
              j->p->publication);
    return fault_mend(j->f, "ALTER PUBLICATION %s SET (publish = 'insert')", j->name);
}

/* For a pipeline that has read before: while something was not published, the slot moved on without
 * it. */
static void add_missed(struct fault *f)
{
    size_t used = strlen(f->remedy);
    snprintf(f->remedy + used, sizeof f->remedy - used,
             "; then decide what was missed: what was written meanwhile does not come");
}

int publication_prepare(const struct preflight *p, bool may_make, struct publication_facts *ret,
                        bool *ret_made, struct fault *f, struct error *err)
{
    CLEANUP(buf_release) struct buf quoted = {0};
    CLEANUP(pg_result_cleanup) struct pg_result *wanted = NULL;
    f->class = ERROR_NONE;
    *ret_made = false;
    if (pg_quote_name(&quoted, slice_from(p->publication), err)) {
        return error_prefix(err, "source.publication");
    }
    const struct job j = {p, buf_str(&quoted), f};
    if (publication_look(p->sql, p->publication, ret, err)) {
        return RESULT_ERROR;
    }
    if (!ret->there &&
        (make(&j, may_make, ret_made, err) || publication_look(p->sql, p->publication, ret, err))) {
        return RESULT_ERROR;
    }
    if (judge_kinds(&j, ret->inserts) || look_at_wanted(p, &wanted, err) ||
        judge_all_wanted(&j, wanted)) {
        if (p->resumes && f->class != ERROR_NONE) {
            add_missed(f);
        }
        return RESULT_ERROR;
    }
    return p->conf->as == CDC_AS_OUTBOX ? judge_columns(&j, err) : columns_judge(p, f, err);
}

/* --- while it is read --- */

bool publication_is_watched(const struct cdc_conf *conf)
{
    return wanted_count(conf) > 0;
}

int publication_watch_send(struct pg *sql, const struct cdc_conf *conf, const char *publication,
                           struct error *err)
{
    CLEANUP(buf_release) struct buf names = {0}, text = {0};
    wanted_sql(&text, pg_server_version(sql));
    return wanted_names(conf, &names, err)
               ? RESULT_ERROR
               : pg_send(sql, buf_str(&text), 2,
                         (const char *const[]){buf_str(&names), publication}, false, err);
}

/* A publication that is missing as a whole is no fault here: slot_state tells it. */
static int judge_watched(const struct job *j, const struct pg_result *r)
{
    bool there = pg_rows(r) > 0 && pg_true(r, 0, PUBLICATION_THERE);
    return there && (judge_kinds(j, pg_true(r, 0, PUBLICATION_INSERTS)) || judge_all_wanted(j, r))
               ? RESULT_ERROR
               : RESULT_DONE;
}

int publication_watch_take(struct pg *sql, const struct cdc_conf *conf, const char *publication,
                           struct error *err)
{
    CLEANUP(pg_result_cleanup) struct pg_result *r = NULL;
    CLEANUP(buf_release) struct buf quoted = {0};
    struct fault f;
    const struct preflight p = {.conf = conf, .publication = publication, .sql = sql};
    int rc = pg_take(sql, &r, err);
    if (rc || (rc = answer_end(sql, err)) || pg_quote_name(&quoted, slice_from(publication), err)) {
        return rc ? rc : RESULT_ERROR;
    }
    const struct job j = {&p, buf_str(&quoted), &f};
    if (judge_watched(&j, r) == RESULT_DONE) {
        return RESULT_DONE;
    }
    add_missed(&f);
    return fault_error(&f, err);
}
