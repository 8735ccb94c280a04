/* Puts the statements of a plan together. Rows are selected and sorted by the operators of the
 * key's own index, so that one range ends exactly where the next one begins. */
#include "cdc/snapshot/plan.h"

static void add_key_list(const struct snapshot_table *t, struct buf *sql)
{
    for (size_t i = 0; i < t->table->key_count; i++) {
        buf_printf(sql, "%s%.*s", i > 0 ? ", " : "", SLICE_FMT(t->key[i].name));
    }
}

/* "$3::integer" */
static void add_param(const struct snapshot_key_column *key, size_t n, struct buf *sql)
{
    buf_printf(sql, "$%zu", n);
    if (!slice_is_null(key->type)) {
        buf_printf(sql, "::%.*s", SLICE_FMT(key->type));
    }
}

/* " and (a, b) > ($1, $2)" */
static void add_row_condition(const struct snapshot_table *t, const char *operator, size_t param,
                              struct buf *sql)
{
    buf_add_str(sql, " and (");
    add_key_list(t, sql);
    buf_printf(sql, ") %s (", operator);
    for (size_t i = 0; i < t->table->key_count; i++) {
        buf_add_str(sql, i > 0 ? ", " : "");
        add_param(&t->key[i], param + i, sql);
    }
    buf_add_char(sql, ')');
}

/* "a operator("s".>) $1" */
static void add_comparison(const struct snapshot_key_column *key, enum snapshot_operator op,
                           size_t param, struct buf *sql)
{
    buf_printf(sql, "%.*s %.*s ", SLICE_FMT(key->name), SLICE_FMT(key->operators[op]));
    add_param(key, param, sql);
}

/* Rows on one side of the key in the parameters, where the operators are not PostgreSQL's own:
 * a >= $1 and (a > $1 or (a = $1 and (b > $2))). The first comparison adds nothing to the result,
 * but it is the one that an index can be used for. */
static void add_column_conditions(const struct snapshot_table *t, enum snapshot_operator strict,
                                  enum snapshot_operator last, size_t param, struct buf *sql)
{
    size_t n = t->table->key_count;
    buf_add_str(sql, " and ");
    add_comparison(&t->key[0], strict == SNAPSHOT_MORE ? SNAPSHOT_NOT_LESS : SNAPSHOT_NOT_MORE,
                   param, sql);
    buf_add_str(sql, " and ");
    for (size_t i = 0; i < n; i++) {
        buf_add_char(sql, '(');
        add_comparison(&t->key[i], i + 1 == n ? last : strict, param + i, sql);
        if (i + 1 < n) {
            buf_add_str(sql, " or ");
            add_comparison(&t->key[i], SNAPSHOT_EQUAL, param + i, sql);
            buf_add_str(sql, " and ");
        }
    }
    for (size_t i = 0; i < n; i++) {
        buf_add_char(sql, ')');
    }
}

static void add_range(const struct snapshot_table *t, const struct snapshot_key *after,
                      const struct snapshot_key *upto, struct buf *sql)
{
    if (after->count && t->plain_operators) {
        add_row_condition(t, ">", 1, sql);
    } else if (after->count) {
        add_column_conditions(t, SNAPSHOT_MORE, SNAPSHOT_MORE, 1, sql);
    }
    if (upto && upto->count && t->plain_operators) {
        add_row_condition(t, "<=", after->count + 1, sql);
    } else if (upto && upto->count) {
        add_column_conditions(t, SNAPSHOT_LESS, SNAPSHOT_NOT_MORE, after->count + 1, sql);
    }
}

static void add_order(const struct snapshot_table *t, struct buf *sql)
{
    for (size_t i = 0; i < t->table->key_count; i++) {
        buf_printf(sql, "%s%.*s", i > 0 ? ", " : " order by ", SLICE_FMT(t->key[i].name));
        if (!t->plain_operators) {
            buf_printf(sql, " using %.*s", SLICE_FMT(t->key[i].operators[SNAPSHOT_LESS]));
        }
    }
}

void snapshot_plan_rows(const struct snapshot_table *t, const struct snapshot_key *after,
                        const struct snapshot_key *upto, size_t limit, struct buf *ret_sql)
{
    buf_clear(ret_sql);
    buf_add_str(ret_sql, "select ");
    buf_add_slice(ret_sql, t->columns);
    buf_add_slice(ret_sql, t->from);
    buf_add_slice(ret_sql, t->where);
    add_range(t, after, upto, ret_sql);
    add_order(t, ret_sql);
    if (limit) {
        buf_printf(ret_sql, " limit %zu", limit);
    }
}

void snapshot_plan_bound(const struct snapshot_table *t, const struct snapshot_key *after, size_t n,
                         struct buf *ret_sql)
{
    buf_clear(ret_sql);
    buf_add_str(ret_sql, "select ");
    add_key_list(t, ret_sql);
    buf_add_slice(ret_sql, t->from);
    add_range(t, after, NULL, ret_sql);
    add_order(t, ret_sql);
    buf_printf(ret_sql, " offset %zu limit 1", n - 1);
}
