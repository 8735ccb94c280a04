/* The same outbox in PostgreSQL behind a publication and a slot that begins before its first row.
 */
#include "../../unit/unit.h"

#include "../outbox.h"
#include "../patience.h"
#include "../plugin_conf.h"

#include "base/clock.h"
#include "db/pg.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool cdc_sql(struct outbox *o, unsigned session, const char *text)
{
    return outbox_kind_outbox_postgres.sql(o, session, text);
}

/* What the case before left: its relay may have gone a moment ago only. */
static const char DROP_SLOT[] =
    "do $$ begin for i in 1..18000 loop begin"
    " perform pg_terminate_backend(active_pid) from pg_replication_slots where slot_name = 'p';"
    " perform pg_drop_replication_slot(slot_name) from pg_replication_slots where slot_name = 'p';"
    " return; exception when object_in_use then perform pg_sleep(0.01); end; end loop; end $$";

static bool cdc_make(struct outbox *o, const char *mode)
{
    if (mode[0] || !outbox_kind_outbox_postgres.make(o, "position")) {
        return false;
    }
    cdc_sql(o, 0, DROP_SLOT);
    cdc_sql(o, 0, "drop publication if exists p");
    cdc_sql(o, 0, "create publication p for table outbox");
    return cdc_sql(o, 0, "select pg_create_logical_replication_slot('p', 'pgoutput')");
}

static void cdc_drop(struct outbox *o)
{
    cdc_sql(o, 0, DROP_SLOT);
    outbox_kind_outbox_postgres.drop(o);
}

static void cdc_configure(const struct conf_key *keys, void *conf)
{
    plugin_conf_text(keys, conf, "as", "outbox");
    plugin_conf_text(keys, conf, "slot", "p");
    plugin_conf_text(keys, conf, "publication", "p");
    plugin_conf_text(keys, conf, "start_from", "beginning");
}

/* On a connection of its own: the sessions may be in the middle of a transaction. */
static bool cdc_sends(struct outbox *o, const char *position)
{
    const struct pg_options opt = {.url = o->where,
                                   .pipeline = "application",
                                   .connect_timeout_us = PATIENCE_US,
                                   .read_timeout_us = PATIENCE_US,
                                   .stop_fd = -1};
    struct pg *c = NULL;
    struct pg_result *r = NULL;
    struct error err = {0};
    if (pg_connect(&opt, &c, &err) ||
        pg_query(c,
                 "select pg_current_wal_flush_lsn() > split_part($1, ':', 1)::pg_lsn"
                 " or not exists (select from pg_replication_slots where slot_name = 'p'"
                 " and active)",
                 1, &position, &r, &err)) {
        fail_msg("%s: %s", position, err.text);
    }
    bool more = slice_equal_str(pg_value(r, 0, 0), "t");
    pg_result_free(r);
    pg_close(c);
    return more;
}

static void cdc_cut(struct outbox *o)
{
    outbox_kind_outbox_postgres.cut(o);
}

/* The walsender that stands in the middle of a transaction is the slot's own affair. */
static bool cdc_at_rest(struct outbox *o)
{
    return outbox_no_session_is(o, "state like 'idle in transaction%'");
}

const struct outbox_kind outbox_kind_cdc_postgres = {
    .url_key = "url",
    .positions = "commitrelay.positions",
    .on_server = true,
    .foreign_cursor = "c1 1 1 0/1 0/0 0 0 0 0/0", /* of another cluster */
    .make = cdc_make,
    .drop = cdc_drop,
    .sql = cdc_sql,
    .at_rest = cdc_at_rest,
    .cut = cdc_cut,
    .configure = cdc_configure,
    .sends = cdc_sends,
};
