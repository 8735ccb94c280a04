/* Looks for published columns that the format cannot write correctly, before the first row comes:
 * names that the format uses itself, and money values in a unit that the format does not expect. */
#include "cdc/decode/published.h"
#include "cdc/preflight/internal.h"

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

int columns_judge(const struct preflight *p, struct fault *f, struct error *err)
{
    return judge_own_names(p, f, err) || judge_money(p, f, err) ? RESULT_ERROR : RESULT_DONE;
}
