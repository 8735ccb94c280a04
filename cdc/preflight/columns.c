/* Looks for published columns that the format cannot write correctly, before the first row comes:
 * names that the format uses itself, money values in a unit that the format does not expect, and
 * columns of `mask` that are not there. */
#include "cdc/decode/published.h"
#include "cdc/preflight/internal.h"
#include "message/mask/mask.h"

/* The first published column of the wanted tables that meets one more condition (%s). */
#define COLUMNS_SQL                                                                                \
    " select n.nspname, c.relname, a.attname from published t join pg_class c on c.oid = t.oid"    \
    " join pg_namespace n on n.oid = c.relnamespace"                                               \
    " join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped"           \
    " and " PUBLISHED_COLUMN " where ($2 = '{}' or exists (select from unnest($2::text[]) w(name)" \
    " where (parse_ident(w.name))[1]::name = n.nspname"                                            \
    " and (parse_ident(w.name))[2]::name = c.relname)) and %s order by 1, 2, 3 limit 1"

static int find(const struct preflight *p, const char *condition, struct pg_result **ret,
                struct error *err)
{
    CLEANUP(buf_release) struct buf sql = {0}, wanted = {0};
    published_tables(&sql, pg_server_version(p->sql), 1);
    buf_printf(&sql, COLUMNS_SQL, condition);
    if (wanted_names(p->conf, &wanted, err)) {
        return RESULT_ERROR;
    }
    const char *const params[] = {p->publication, buf_str(&wanted)};
    return pg_query(p->sql, buf_str(&sql), 2, params, ret, err)
               ? error_prefix(err, "the columns of publication %s", p->publication)
               : RESULT_DONE;
}

static int judge_own_names(const struct preflight *p, struct fault *f, struct error *err)
{
    static const char *const names[] = {CHANGE_OWN_NAMES};
    CLEANUP(pg_result_cleanup) struct pg_result *r = NULL;
    CLEANUP(buf_release) struct buf condition = {0};
    const char *prefix = p->shape->own_prefix;
    if (!prefix) {
        return RESULT_DONE;
    }
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        buf_printf(&condition, "%s'%s%s'", i ? ", " : "a.attname in (", prefix, names[i]);
    }
    buf_add_char(&condition, ')');
    if (find(p, buf_str(&condition), &r, err)) {
        return RESULT_ERROR;
    }
    if (pg_rows(r) == 0) {
        return RESULT_DONE;
    }
    fault_set(f, ERROR_CONFIG, EXIT_CODE_CONFIG, OWN_NAME_TEXT, SLICE_FMT(pg_value(r, 0, 0)),
              SLICE_FMT(pg_value(r, 0, 1)), SLICE_FMT(pg_value(r, 0, 2)));
    return fault_mend(f, OWN_NAME_REMEDY, prefix);
}

static int judge_money(const struct preflight *p, struct fault *f, struct error *err)
{
    CLEANUP(pg_result_cleanup) struct pg_result *r = NULL;
    if (!p->shape->plain_money || p->money_unit == MONEY_UNIT) {
        return RESULT_DONE;
    }
    if (find(p, COLUMN_IS("money"), &r, err)) {
        return RESULT_ERROR;
    }
    if (pg_rows(r) == 0) {
        return RESULT_DONE;
    }
    fault_set(f, ERROR_CONFIG, EXIT_CODE_CONFIG, MONEY_TEXT, SLICE_FMT(pg_value(r, 0, 0)),
              SLICE_FMT(pg_value(r, 0, 1)), SLICE_FMT(pg_value(r, 0, 2)));
    return fault_mend(f, MONEY_REMEDY);
}

/* The published, wanted tables that a rule of `mask` may mean: schema, name, whether the column is
 * published, and whether it is part of the key. */
#define MASK_SQL                                                                                  \
    " select n.nspname, c.relname, a.attname is not null, exists (select from pg_index i"         \
    " where i.indrelid = c.oid and (i.indisprimary or i.indisreplident)"                          \
    " and a.attnum = any (i.indkey)) from published t join pg_class c on c.oid = t.oid"           \
    " join pg_namespace n on n.oid = c.relnamespace"                                              \
    " left join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped"     \
    " and a.attname = $5 and " PUBLISHED_COLUMN                                                   \
    " where c.relname = $4 and ($3 = '' or n.nspname = $3) and ($2 = '{}' or exists (select from" \
    " unnest($2::text[]) w(name) where (parse_ident(w.name))[1]::name = n.nspname"                \
    " and (parse_ident(w.name))[2]::name = c.relname)) order by 1, 2"

static int find_masked(const struct preflight *p, const struct mask_column *column,
                       struct pg_result **ret, struct error *err)
{
    CLEANUP(buf_release) struct buf sql = {0}, wanted = {0}, schema = {0}, table = {0}, name = {0};
    published_tables(&sql, pg_server_version(p->sql), 1);
    buf_add_str(&sql, MASK_SQL);
    buf_add_slice(&schema, column->schema);
    buf_add_slice(&table, column->table);
    buf_add_slice(&name, column->name);
    if (wanted_names(p->conf, &wanted, err)) {
        return RESULT_ERROR;
    }
    const char *const params[] = {p->publication, buf_str(&wanted), buf_str(&schema),
                                  buf_str(&table), buf_str(&name)};
    return pg_query(p->sql, buf_str(&sql), 5, params, ret, err)
               ? error_prefix(err, "the columns that mask names")
               : RESULT_DONE;
}

static int judge_masked(const struct preflight *p, const struct mask_column *column,
                        struct fault *f, struct error *err)
{
    CLEANUP(pg_result_cleanup) struct pg_result *r = NULL;
    if (find_masked(p, column, &r, err)) {
        return RESULT_ERROR;
    }
    for (size_t i = 0; i < pg_rows(r); i++) {
        struct slice schema = pg_value(r, i, 0), table = pg_value(r, i, 1);
        if (slice_equal_str(pg_value(r, i, 2), "f")) {
            fault_set(f, ERROR_CONFIG, EXIT_CODE_CONFIG, MASK_NO_COLUMN_TEXT, column->field,
                      SLICE_FMT(schema), SLICE_FMT(table));
            return fault_mend(f, MASK_NO_COLUMN_REMEDY);
        }
        if (!column->fits_key && slice_equal_str(pg_value(r, i, 3), "t")) {
            fault_set(f, ERROR_CONFIG, EXIT_CODE_CONFIG, MASK_KEY_TEXT, column->field,
                      SLICE_FMT(schema), SLICE_FMT(table));
            return fault_mend(f, MASK_KEY_REMEDY);
        }
    }
    return RESULT_DONE;
}

static int judge_mask(const struct preflight *p, struct fault *f, struct error *err)
{
    struct mask_column column;
    for (size_t i = 0; mask_column_at(p->shape->mask, i, &column); i++) {
        if (judge_masked(p, &column, f, err)) {
            return RESULT_ERROR;
        }
    }
    return RESULT_DONE;
}

int columns_judge(const struct preflight *p, struct fault *f, struct error *err)
{
    return judge_own_names(p, f, err) || judge_money(p, f, err) || judge_mask(p, f, err)
               ? RESULT_ERROR
               : RESULT_DONE;
}
