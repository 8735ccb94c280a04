/* Refuses a requested snapshot that could not be read: by what was planned, and by letting the
 * server look at the statement without running it (limit 0). */
#include "cdc/snapshot/judge.h"

static int judge_tables(const struct snapshot_options *opt, const struct snapshot_plan *plan,
                        struct error *err)
{
    if (plan->count == 0) {
        return error_set(
            err, ERROR_CONFIG, "cdc",
            "no snapshot of %s can be taken: no table that this pipeline reads has this name, as schema.table: ALTER PUBLICATION %s ADD TABLE ... publishes one, and source.tables must not leave it out",
            opt->request->tables, opt->publication);
    }
    for (size_t i = 0; i < plan->count; i++) {
        const struct change_table *t = plan->tables[i].table;
        if (t->key_count == 0) {
            return error_set(
                err, ERROR_CONFIG, "cdc",
                "no snapshot of %.*s.%.*s can be taken beside the stream: it has no key by which a change could be matched with its row; ALTER TABLE ... ADD PRIMARY KEY, or let the whole pipeline begin again with snapshot: initial and a new slot",
                SLICE_FMT(t->schema), SLICE_FMT(t->name));
        }
    }
    return RESULT_DONE;
}

static int judge_server(struct pg *sql, struct error *err)
{
    struct pg_result *answer = NULL;
    if (pg_query(sql, "select 1 where pg_is_in_recovery()", 0, NULL, &answer, err)) {
        return RESULT_ERROR;
    }
    bool standby = pg_rows(answer) > 0;
    pg_result_free(answer);
    return standby
               ? error_set(err, ERROR_CONFIG, "cdc",
                           "this server is a standby, where no snapshot can be read beside the "
                           "stream (no watermark can be written): set source.url to the primary")
               : RESULT_DONE;
}

/* The statement has a parameter that nobody needs, because with one the server takes a single
 * statement: a predicate "true; drop table t" is a syntax error. */
static int look_at(struct pg *sql, const struct snapshot_table *t, const char *selected,
                   struct slice where, struct error *err)
{
    CLEANUP(buf_release) struct buf text = {0};
    buf_printf(&text, "select %s%.*s%.*s and $1::text is null limit 0", selected,
               SLICE_FMT(t->from), SLICE_FMT(where));
    return pg_query(sql, buf_str(&text), 1, (const char *const[]){"1"}, NULL, err);
}

/* A predicate stands between parentheses. One that closes them itself, such as "a) or (b", would
 * undo the conditions that are beside it, and rows would be read twice. Between the brackets of an
 * array it is a syntax error. */
static int judge_predicate(struct pg *sql, const struct snapshot_table *t, const char *predicate,
                           struct error *err)
{
    CLEANUP(buf_release) struct buf selected = {0};
    buf_printf(&selected, "(array[%s\n])[1]", predicate);
    if (!look_at(sql, t, "1", t->where, err) &&
        !look_at(sql, t, buf_str(&selected), SLICE_LITERAL(""), err)) {
        return RESULT_DONE;
    }
    if (err->class == ERROR_FATAL) { /* of our own statements only that would be a bug */
        err->class = ERROR_CONFIG;
        err->exit_code = EXIT_CODE_CONFIG;
    }
    return error_prefix(err, "the predicate of the snapshot of %.*s.%.*s is refused",
                        SLICE_FMT(t->table->schema), SLICE_FMT(t->table->name));
}

static int judge_table(struct pg *sql, const struct snapshot_table *t, const char *predicate,
                       struct error *err)
{
    CLEANUP(buf_release) struct buf columns = {0};
    buf_add_slice(&columns, t->columns);
    if (look_at(sql, t, buf_str(&columns), SLICE_LITERAL(""), err)) {
        return error_prefix(err, "the snapshot of %.*s.%.*s", SLICE_FMT(t->table->schema),
                            SLICE_FMT(t->table->name));
    }
    return predicate[0] ? judge_predicate(sql, t, predicate, err) : RESULT_DONE;
}

int snapshot_judge(const struct snapshot_options *opt, const struct snapshot_plan *plan,
                   struct pg *sql, struct error *err)
{
    int rc = judge_tables(opt, plan, err);
    rc = rc ? rc : judge_server(sql, err);
    rc = rc ? rc : pg_query(sql, "begin read only", 0, NULL, NULL, err);
    for (size_t i = 0; rc == RESULT_DONE && i < plan->count; i++) {
        rc = judge_table(sql, &plan->tables[i], opt->request->where, err);
    }
    return rc ? rc : pg_query(sql, "commit", 0, NULL, NULL, err);
}
