/* What the contract tests need to know of the example: its database is that of outbox_sqlite. */
#include "../contract/outbox.h"
#include "../contract/plugin_conf.h"

#include "base/clock.h"

static bool example_make(struct outbox *o, const char *mode)
{
    return !mode[0] && outbox_kind_outbox_sqlite.make(o, "position"); /* it has no modes */
}

static void example_drop(struct outbox *o)
{
    outbox_kind_outbox_sqlite.drop(o);
}

static bool example_sql(struct outbox *o, unsigned session, const char *text)
{
    return outbox_kind_outbox_sqlite.sql(o, session, text);
}

static void example_configure(const struct conf_key *keys, void *conf)
{
    plugin_conf_number(keys, conf, "poll_interval", 20 * US_PER_MS);
}

const struct outbox_kind outbox_kind_example = {
    .url_key = "path",
    .positions = "commitrelay_positions",
    .dead_letters = "commitrelay_dead_letters",
    .one_writer = true,
    .foreign_cursor = "s1 3 0123456789abcdef0123456789abcdef",
    .make = example_make,
    .drop = example_drop,
    .sql = example_sql,
    .configure = example_configure,
};
