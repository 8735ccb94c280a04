/*
 * `check --connect`: reports the rights that the store will need and the role does not have.
 */
#include "store/postgres/internal.h"

/* The tables, and the rights that a running relay needs on each beside select and insert. */
static const struct table {
    const char *name, *right;
} tables[] = {{"commitrelay.positions", "update"},
              {"commitrelay.history", "delete"},
              {"commitrelay.control", "update"},
              {"commitrelay.dead_letters", "update"}};
/* With delivery.poison: park_key. */
static const struct table waiting = {"commitrelay.dead_letters", "delete"};

/* Where findings go. */
struct listener {
    finding_report *report;
    void *ctx;
};

static int check_table(const struct listener *l, struct pg *pg, const struct table *table,
                       struct error *err)
{
    CLEANUP(pg_result_cleanup) struct pg_result *r = NULL;
    CLEANUP(buf_release) struct buf text = {0}, mend = {0};
    if (pg_query(pg,
                 "select has_table_privilege($1, 'select') and has_table_privilege($1, 'insert')"
                 " and has_table_privilege($1, $2), quote_ident(current_user)",
                 2, (const char *const[]){table->name, table->right}, &r, err)) {
        return RESULT_ERROR;
    }
    if (!pg_true(r, 0, 0)) {
        buf_printf(&text, "the role may not keep positions, commands and dead letters in %s",
                   table->name);
        buf_printf(&mend, "grant select, insert, %s on %s to %.*s", table->right, table->name,
                   SLICE_FMT(pg_value(r, 0, 1)));
        l->report(l->ctx, EXIT_CODE_PERMISSION, buf_str(&text), buf_str(&mend));
    }
    return RESULT_DONE;
}

static int check_making(const struct listener *l, struct pg *pg, const char *url, struct error *err)
{
    CLEANUP(pg_result_cleanup) struct pg_result *r = NULL;
    CLEANUP(buf_release) struct buf mend = {0};
    if (pg_query(pg, "select has_database_privilege(current_database(), 'create')", 0, NULL, &r,
                 err)) {
        return RESULT_ERROR;
    }
    if (!pg_true(r, 0, 0)) {
        buf_add_str(&mend, "let an owner run `commitrelay init --source '");
        pg_redact(url, &mend);
        buf_add_str(&mend, "'`, then grant as in schema/postgres/roles.sql");
        l->report(
            l->ctx, EXIT_CODE_PERMISSION,
            "the relay's tables (schema commitrelay) are missing and the role may not make them",
            buf_str(&mend));
    }
    return RESULT_DONE;
}

/* If all tables are there: reports the rights that the role lacks on them. Else: may the role make
 * them? */
static int look(const struct listener *l, struct pg *pg, const struct store_pg *s,
                struct error *err)
{
    CLEANUP(pg_result_cleanup) struct pg_result *r = NULL;
    if (pg_query(pg,
                 "select to_regclass('commitrelay.positions') is not null"
                 " and to_regclass('commitrelay.history') is not null"
                 " and to_regclass('commitrelay.control') is not null"
                 " and to_regclass('commitrelay.dead_letters') is not null",
                 0, NULL, &r, err)) {
        return RESULT_ERROR;
    }
    if (!pg_true(r, 0, 0)) {
        return check_making(l, pg, s->url, err);
    }
    for (size_t i = 0; i < sizeof tables / sizeof *tables; i++) {
        if (check_table(l, pg, &tables[i], err)) {
            return RESULT_ERROR;
        }
    }
    return s->parks ? check_table(l, pg, &waiting, err) : RESULT_DONE;
}

/* A pooler in between is recognised by its process id: it differs from the server's. */
static int check_pooler(const struct listener *l, struct pg *pg, struct error *err)
{
    CLEANUP(pg_result_cleanup) struct pg_result *r = NULL;
    if (pg_query(pg, "select pg_backend_pid()", 0, NULL, &r, err)) {
        return RESULT_ERROR;
    }
    if (pg_int(r, 0, 0, -1) != pg_backend_pid(pg)) {
        l->report(
            l->ctx, 0,
            "a connection pooler is between the relay and PostgreSQL: one that pools sessions is fine, one that pools transactions is refused by `run`",
            "name the server's own host and port in the URL, or pool_mode = session");
    }
    return RESULT_DONE;
}

int store_pg_check(void *store, finding_report *report, void *ctx, struct error *err)
{
    const struct store_pg *s = store;
    const struct listener l = {report, ctx};
    struct pg *pg = NULL;
    if (store_pg_connect(s, &pg, err)) {
        return RESULT_ERROR;
    }
    int rc = check_pooler(&l, pg, err);
    rc = rc ? rc : look(&l, pg, s, err);
    pg_close(pg);
    return rc;
}
