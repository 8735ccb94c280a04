/* Makes the SQL that adds to an outbox table what its pipeline needs. Names from the configuration
 * are quoted everywhere, also inside of literals; otherwise a name could run as SQL. */
#include "cli/sql_fit.h"

#include "db/pg.h"
#include "schema/schema.h"

struct fit {
    struct buf *out;
    const struct sql_fit *conf;
    struct buf table; /* quoted */
};

static int add_name(struct buf *out, const char *name, struct error *err)
{
    return pg_quote_name(out, slice_from(name), err);
}

/* Adds an index on `column`, unless there is a suitable one whose first column that is. The server
 * chooses its name. `kind`: "index" or "unique index"; `rest`: further columns, the closing
 * parenthesis and a WHERE clause; `wanted`: the SQL condition on pg_index that makes an existing
 * one suitable. */
static int add_index(struct fit *f, const char *kind, const char *column, const char *rest,
                     const char *wanted, struct error *err)
{
    CLEANUP(buf_release) struct buf quoted = {0};
    if (add_name(&quoted, column, err)) {
        return RESULT_ERROR;
    }
    buf_add_str(f->out, "\ndo $commitrelay$\nbegin\n    if not exists (\n"
                        "        select from pg_catalog.pg_index i\n"
                        "        join pg_catalog.pg_attribute a on a.attrelid = i.indrelid and "
                        "a.attnum = i.indkey[0]\n        where i.indrelid = ");
    pg_quote_literal(f->out, buf_slice(&f->table));
    buf_add_str(f->out, "::pg_catalog.regclass and a.attname = ");
    pg_quote_literal(f->out, slice_from(column));
    buf_printf(f->out,
               " and %s\n    ) then\n        create %s on %s (%s%s;\n    end if;\nend\n"
               "$commitrelay$;\n",
               wanted, kind, buf_str(&f->table), buf_str(&quoted), rest);
    return RESULT_DONE;
}

/* A unique index on this column alone, over all rows. */
static int add_unique(struct fit *f, const char *column, struct error *err)
{
    return add_index(f, "unique index", column, ")",
                     "i.indisunique and i.indpred is null and i.indnkeyatts = 1", err);
}

static int add_column(struct fit *f, const char *name, const char *type, struct error *err)
{
    buf_printf(f->out, "alter table %s add column if not exists ", buf_str(&f->table));
    if (add_name(f->out, name, err)) {
        return RESULT_ERROR;
    }
    buf_printf(f->out, " %s;\n", type);
    return RESULT_DONE;
}

static int add_seq(struct fit *f, struct error *err)
{
    const char *seq = f->conf->seq;
    return add_column(f, seq, "bigint not null generated always as identity", err) ||
                   add_unique(f, seq, err)
               ? RESULT_ERROR
               : RESULT_DONE;
}

static int fit_position(struct fit *f, struct error *err)
{
    CLEANUP(buf_release) struct buf rest = {0};
    const char *xid = f->conf->xid;
    buf_add_str(f->out, "-- Rows that are there share one transaction number; `start_from: now` "
                        "skips them.\n");
    buf_add_str(&rest, ", ");
    if (add_column(f, xid, "xid8 not null default pg_current_xact_id()", err) || add_seq(f, err) ||
        add_name(&rest, f->conf->seq, err)) {
        return RESULT_ERROR;
    }
    buf_add_char(&rest, ')');
    return add_index(f, "index", xid, buf_str(&rest), "i.indpred is null", err);
}

/* *ret: the column that orders the rows, or that identifies them if order_by is empty. Without
 * order_by that is seq, which is added if it is missing; with it the id gets a unique index. */
static int add_order(struct fit *f, const char **ret, struct error *err)
{
    const struct sql_fit *conf = f->conf;
    if (!conf->order_by) {
        *ret = conf->seq;
        return add_seq(f, err);
    }
    *ret = conf->order_by[0] ? conf->order_by : conf->id;
    return add_unique(f, conf->id, err);
}

static const char vacuum[] =
    "\n-- Each mark or delete leaves a dead row: vacuum by count, early and unthrottled.\n"
    "alter table %s set (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000,\n"
    "    autovacuum_vacuum_cost_delay = 0);\n";

static int fit_status(struct fit *f, struct error *err)
{
    static const struct {
        const char *name, *type;
    } columns[] = {{"status",
                    "text not null default 'pending' check (status in ('pending', 'done', "
                    "'failed'))"},
                   {"attempts", "int not null default 0"},
                   {"last_error", "text"},
                   {"next_attempt_at", "timestamptz"},
                   {"published_at", "timestamptz"}};
    static const char pending[] = "pg_catalog.pg_get_expr(i.indpred, i.indrelid) like "
                                  "'%status%pending%'";
    const char *order;
    buf_printf(
        f->out,
        "-- Rows that are there become pending. What must not be sent, mark before the relay "
        "starts:\n-- update %s set status = 'done' where ...;\n",
        buf_str(&f->table));
    for (size_t i = 0; i < sizeof columns / sizeof *columns; i++) {
        if (add_column(f, columns[i].name, columns[i].type, err)) {
            return RESULT_ERROR;
        }
    }
    if (add_order(f, &order, err) ||
        add_index(f, "index", order, ") where status = 'pending'", pending, err) ||
        add_index(f, "index", "next_attempt_at",
                  ") where status = 'pending' and next_attempt_at is not null", pending, err)) {
        return RESULT_ERROR;
    }
    buf_printf(f->out, vacuum, buf_str(&f->table));
    return RESULT_DONE;
}

static int fit_delete(struct fit *f, struct error *err)
{
    const char *order;
    if (add_order(f, &order, err) || add_index(f, "index", order, ")", "i.indpred is null", err)) {
        return RESULT_ERROR;
    }
    buf_printf(f->out, vacuum, buf_str(&f->table));
    return RESULT_DONE;
}

static int fit_all(struct fit *f, struct error *err)
{
    static const char dollar[] = "$commitrelay$";
    if (pg_quote_table(&f->table, f->conf->table, err)) {
        return error_prefix(err, "source.table");
    }
    const char *const names[] = {f->conf->table, f->conf->id, f->conf->seq, f->conf->xid,
                                 f->conf->order_by};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        if (names[i] && strstr(names[i], dollar)) {
            return error_set(err, ERROR_CONFIG, "init",
                             "the name \"%s\" holds %s, which the SQL quotes with; choose another",
                             names[i], dollar);
        }
    }
    buf_add_str(f->out, "begin;\nset local client_min_messages = warning;\n\n");
    buf_add_str(f->out, schema_postgres_relay);
    buf_add_char(f->out, '\n');
    if (!f->conf->mapped) {
        sql_text_rename(f->out, schema_postgres_outbox, buf_str(&f->table));
        buf_add_char(f->out, '\n');
    }
    int rc = f->conf->mode == SQL_STATUS   ? fit_status(f, err)
             : f->conf->mode == SQL_DELETE ? fit_delete(f, err)
                                           : fit_position(f, err);
    buf_add_str(f->out, "\ncommit;\n");
    return rc;
}

int sql_fit(struct buf *out, const struct sql_fit *request, struct error *err)
{
    struct fit f = {.out = out, .conf = request};
    int rc = fit_all(&f, err);
    buf_release(&f.table);
    return rc;
}
