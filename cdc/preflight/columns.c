/* Looks for published columns that the format cannot write correctly, before the first row comes:
 * names that the format uses itself, money values in a unit that the format does not expect,
 * columns of `mask` that are not there, and columns of encode.key_columns that are not there or not
 * sent. */
#include "cdc/decode/published.h"
#include "cdc/preflight/internal.h"
#include "cdc/tables.h"
#include "message/column_rules.h"
#include "message/mask/mask.h"

/* The check of one start. */
struct look {
    const struct preflight *p;
    struct cdc_tables tables; /* the wanted ones */
    struct fault *f;
};

/* The published columns that meet one more condition (%s). */
#define COLUMNS_SQL                                                                             \
    " select n.nspname, c.relname, a.attname from published t join pg_class c on c.oid = t.oid" \
    " join pg_namespace n on n.oid = c.relnamespace"                                            \
    " join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped"        \
    " and " PUBLISHED_COLUMN " where %s order by 1, 2, 3"

static int find(const struct preflight *p, const char *condition, struct pg_result **ret,
                struct error *err)
{
    CLEANUP(buf_release) struct buf sql = {0};
    published_tables(&sql, pg_server_version(p->sql), 1);
    buf_printf(&sql, COLUMNS_SQL, condition);
    return pg_query(p->sql, buf_str(&sql), 1, &p->publication, ret, err)
               ? error_prefix(err, "the columns of publication %s", p->publication)
               : RESULT_DONE;
}

/* The first row from *row on whose table is wanted; *row == pg_rows(r): there is none. Each row has
 * the table's schema and name at its beginning. */
static int next_wanted(struct look *l, const struct pg_result *r, size_t *row, struct error *err)
{
    bool wanted = false;
    for (; *row < pg_rows(r); (*row)++) {
        if (cdc_tables_want(&l->tables, pg_value(r, *row, 0), pg_value(r, *row, 1), &wanted, err)) {
            return RESULT_ERROR;
        }
        if (wanted) {
            break;
        }
    }
    return RESULT_DONE;
}

static int judge_own_names(struct look *l, struct error *err)
{
    static const char *const names[] = {CHANGE_OWN_NAMES};
    CLEANUP(pg_result_cleanup) struct pg_result *r = NULL;
    CLEANUP(buf_release) struct buf condition = {0};
    const char *prefix = l->p->shape->own_prefix;
    size_t row = 0;
    if (!prefix) {
        return RESULT_DONE;
    }
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        buf_printf(&condition, "%s'%s%s'", i ? ", " : "a.attname in (", prefix, names[i]);
    }
    buf_add_char(&condition, ')');
    if (find(l->p, buf_str(&condition), &r, err) || next_wanted(l, r, &row, err)) {
        return RESULT_ERROR;
    }
    if (row == pg_rows(r)) {
        return RESULT_DONE;
    }
    fault_set(l->f, ERROR_CONFIG, EXIT_CODE_CONFIG, OWN_NAME_TEXT, SLICE_FMT(pg_value(r, row, 0)),
              SLICE_FMT(pg_value(r, row, 1)), SLICE_FMT(pg_value(r, row, 2)));
    return fault_mend(l->f, OWN_NAME_REMEDY, prefix);
}

static int judge_money(struct look *l, struct error *err)
{
    CLEANUP(pg_result_cleanup) struct pg_result *r = NULL;
    size_t row = 0;
    if (!l->p->shape->plain_money || l->p->money_unit == MONEY_UNIT) {
        return RESULT_DONE;
    }
    if (find(l->p, COLUMN_IS("money"), &r, err) || next_wanted(l, r, &row, err)) {
        return RESULT_ERROR;
    }
    if (row == pg_rows(r)) {
        return RESULT_DONE;
    }
    fault_set(l->f, ERROR_CONFIG, EXIT_CODE_CONFIG, MONEY_TEXT, SLICE_FMT(pg_value(r, row, 0)),
              SLICE_FMT(pg_value(r, row, 1)), SLICE_FMT(pg_value(r, row, 2)));
    return fault_mend(l->f, MONEY_REMEDY);
}

/* The published tables of one name that a configured column may be of: schema, name, whether the
 * column is published, whether it is part of the table's own key, whether the server sends it of an
 * old row (or never sends one), and whether it is a text. */
enum { NAMED_PUBLISHED = 2, NAMED_KEY, NAMED_SENT, NAMED_TEXT };
#define NAMED_SQL                                                                                                                       \
    " select n.nspname, c.relname, a.attname is not null, exists (select from pg_index i"                                               \
    " where i.indrelid = c.oid and (i.indisprimary or i.indisreplident)"                                                                \
    " and a.attnum = any (i.indkey)), c.relreplident in ('f', 'n') or exists (select from"                                              \
    " pg_index i where i.indrelid = c.oid and case c.relreplident when 'd' then i.indisprimary"                                         \
    " else i.indisreplident end and a.attnum = any (i.indkey)), " COLUMN_IS("text") " or " COLUMN_IS(                                   \
        "varchar") " or " COLUMN_IS("bpchar") " from published t join pg_class c on c.oid = t.oid"                                      \
                                              " join pg_namespace n on n.oid = c.relnamespace"                                          \
                                              " left join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped" \
                                              " and a.attname = $4 and " PUBLISHED_COLUMN                                               \
                                              " where c.relname = $3 and ($2 = '' or n.nspname = $2) order by 1, 2"

static int find_named(const struct preflight *p, const struct mask_column *column,
                      struct pg_result **ret, struct error *err)
{
    CLEANUP(buf_release) struct buf sql = {0}, schema = {0}, table = {0}, name = {0};
    published_tables(&sql, pg_server_version(p->sql), 1);
    buf_add_str(&sql, NAMED_SQL);
    buf_add_slice(&schema, column->schema);
    buf_add_slice(&table, column->table);
    buf_add_slice(&name, column->name);
    const char *const params[] = {p->publication, buf_str(&schema), buf_str(&table),
                                  buf_str(&name)};
    return pg_query(p->sql, buf_str(&sql), 4, params, ret, err)
               ? error_prefix(err, "the columns of %s.%s", buf_str(&schema), buf_str(&table))
               : RESULT_DONE;
}

/* Whether a column is part of the message key: that of encode.key_columns, if it names the table.
 * `own`: it is part of the table's own. */
static bool is_key(const struct look *l, struct slice schema, struct slice table,
                   const struct mask_column *column, bool own)
{
    const char *named, *name;
    bool other = false;
    for (size_t i = 0; column_rules_key_at(l->p->shape->columns, i, &named, &name); i++) {
        const char *dot = strchr(named, '.'); /* column_rules_new has seen it */
        if (slice_equal((struct slice){named, (size_t)(dot - named)}, schema) &&
            slice_equal_str(table, dot + 1)) {
            if (slice_equal_str(column->name, name)) {
                return true;
            }
            other = true;
        }
    }
    return own && !other;
}

/* What is wrong with a column of `mask`, as row `row` shows it. */
static int judge_masked_row(struct look *l, const struct mask_column *column,
                            const struct pg_result *r, size_t row)
{
    struct slice schema = pg_value(r, row, 0), table = pg_value(r, row, 1);
    if (!pg_true(r, row, NAMED_PUBLISHED)) {
        fault_set(l->f, ERROR_CONFIG, EXIT_CODE_CONFIG, MASK_NO_COLUMN_TEXT, column->field,
                  SLICE_FMT(schema), SLICE_FMT(table));
        return fault_mend(l->f, MASK_NO_COLUMN_REMEDY);
    }
    if (column->for_text && !pg_true(r, row, NAMED_TEXT)) {
        fault_set(l->f, ERROR_CONFIG, EXIT_CODE_CONFIG, MASK_NO_TEXT_TEXT, column->field,
                  SLICE_FMT(schema), SLICE_FMT(table));
        return fault_mend(l->f, MASK_NO_TEXT_REMEDY);
    }
    if (!column->fits_key && is_key(l, schema, table, column, pg_true(r, row, NAMED_KEY))) {
        fault_set(l->f, ERROR_CONFIG, EXIT_CODE_CONFIG, MASK_KEY_TEXT, column->field,
                  SLICE_FMT(schema), SLICE_FMT(table));
        return fault_mend(l->f, MASK_KEY_REMEDY);
    }
    return RESULT_DONE;
}

/* The same for a column of encode.key_columns. */
static int judge_key_row(struct look *l, const struct mask_column *column,
                         const struct pg_result *r, size_t row)
{
    struct slice schema = pg_value(r, row, 0), table = pg_value(r, row, 1);
    if (!pg_true(r, row, NAMED_PUBLISHED)) {
        fault_set(l->f, ERROR_CONFIG, EXIT_CODE_CONFIG, KEY_NO_COLUMN_TEXT, SLICE_FMT(column->name),
                  SLICE_FMT(schema), SLICE_FMT(table));
        return fault_mend(l->f, KEY_NO_COLUMN_REMEDY);
    }
    if (!l->p->shape->skip[CHANGE_DELETE] && !pg_true(r, row, NAMED_SENT)) {
        fault_set(l->f, ERROR_CONFIG, EXIT_CODE_CONFIG, KEY_NOT_SENT_TEXT, SLICE_FMT(column->name),
                  SLICE_FMT(schema), SLICE_FMT(table));
        return fault_mend(l->f, KEY_NOT_SENT_REMEDY);
    }
    return RESULT_DONE;
}

typedef int judge_row(struct look *l, const struct mask_column *column, const struct pg_result *r,
                      size_t row);

/* Judges the column in each wanted table that it may be of. *ret_tables: how many there are. */
static int judge_named(struct look *l, const struct mask_column *column, judge_row *judge,
                       size_t *ret_tables, struct error *err)
{
    CLEANUP(pg_result_cleanup) struct pg_result *r = NULL;
    *ret_tables = 0;
    if (find_named(l->p, column, &r, err)) {
        return RESULT_ERROR;
    }
    for (size_t row = 0; next_wanted(l, r, &row, err) == RESULT_DONE; row++) {
        if (row == pg_rows(r)) {
            return RESULT_DONE;
        }
        if (judge(l, column, r, row)) {
            return RESULT_ERROR;
        }
        (*ret_tables)++;
    }
    return RESULT_ERROR;
}

static int judge_mask(struct look *l, struct error *err)
{
    struct mask_column column;
    size_t tables;
    for (size_t i = 0; mask_column_at(l->p->shape->mask, i, &column); i++) {
        if (judge_named(l, &column, judge_masked_row, &tables, err)) {
            return RESULT_ERROR;
        }
    }
    return RESULT_DONE;
}

/* A mistyped table would keep its usual key, and nobody would see that. */
static int judge_keys(struct look *l, struct error *err)
{
    const char *table, *name;
    for (size_t i = 0; column_rules_key_at(l->p->shape->columns, i, &table, &name); i++) {
        const char *dot = strchr(table, '.'); /* column_rules_new has seen it */
        struct mask_column column = {.schema = {table, (size_t)(dot - table)},
                                     .table = slice_from(dot + 1),
                                     .name = slice_from(name)};
        size_t tables = 0;
        if (judge_named(l, &column, judge_key_row, &tables, err)) {
            return RESULT_ERROR;
        }
        if (tables == 0) {
            fault_set(l->f, ERROR_CONFIG, EXIT_CODE_CONFIG,
                      "encode.key_columns: publication %s gives no changes of a table %s",
                      l->p->publication, table);
            return fault_mend(l->f, "correct the name, or add the table to the publication (and to"
                                    " source.tables)");
        }
    }
    return RESULT_DONE;
}

static void look_release(struct look *l)
{
    cdc_tables_close(&l->tables);
}

int columns_judge(const struct preflight *p, struct fault *f, struct error *err)
{
    CLEANUP(look_release) struct look l = {.p = p, .f = f};
    return cdc_tables_open(&l.tables, p->conf, err) || judge_own_names(&l, err) ||
                   judge_money(&l, err) || judge_mask(&l, err) || judge_keys(&l, err)
               ? RESULT_ERROR
               : RESULT_DONE;
}
