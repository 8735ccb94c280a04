/*
 * The configuration keys of outbox_sqlite. What this source cannot do (mode: status) is refused by
 * name.
 */
#include "source/kit/prune_keys.h"
#include "source/outbox_sqlite/internal.h"

#define OFFSET(field) offsetof(struct outbox_sqlite_columns, field)

static const struct conf_key column_keys[] = {
    {.name = "id",
     .type = CONF_STRING,
     .offset = OFFSET(id),
     .fallback = "id",
     .help = "the event id, unique"},
    {.name = "aggregatetype",
     .type = CONF_STRING,
     .offset = OFFSET(aggregatetype),
     .fallback = "aggregatetype",
     .help = "what the event is about; part of the default topic"},
    {.name = "aggregateid",
     .type = CONF_STRING,
     .offset = OFFSET(aggregateid),
     .fallback = "aggregateid",
     .help = "which one of them; the default key"},
    {.name = "type",
     .type = CONF_STRING,
     .offset = OFFSET(type),
     .fallback = "type",
     .help = "what happened"},
    {.name = "payload",
     .type = CONF_STRING,
     .offset = OFFSET(payload),
     .fallback = "payload",
     .help = "the message"},
    {.name = "headers",
     .type = CONF_STRING,
     .offset = OFFSET(headers),
     .fallback = "headers",
     .given_offset = OFFSET(headers_given),
     .help = "a JSON object of message headers; may be missing in the table unless named here"},
    {.name = "created_at",
     .type = CONF_STRING,
     .offset = OFFSET(created_at),
     .fallback = "created_at",
     .given_offset = OFFSET(created_at_given),
     .help = "a timestamp as text; may be missing in the table unless named here"},
    {.name = "seq",
     .type = CONF_STRING,
     .offset = OFFSET(seq),
     .fallback = "seq",
     .help = "position mode: an INTEGER PRIMARY KEY AUTOINCREMENT"},
    CONF_END};

#undef OFFSET
#define OFFSET(field) offsetof(struct outbox_sqlite_conf, field)

static const char *const modes[] = {
    [OUTBOX_SQLITE_POSITION] = "position", [OUTBOX_SQLITE_DELETE] = "delete", NULL};
static const char *const modes_refused[] = {"status", NULL};

const struct conf_key outbox_sqlite_keys[] = {
    {.name = "path",
     .type = CONF_STRING,
     .offset = OFFSET(path),
     .required = true,
     .help = "the database file"},
    {.name = "table",
     .type = CONF_STRING,
     .offset = OFFSET(table),
     .fallback = "outbox",
     .help = "the outbox table"},
    {.name = "mode",
     .type = CONF_ENUM,
     .offset = OFFSET(mode),
     .fallback = "position",
     .choices = modes,
     .later = modes_refused,
     .help = "position: remember the last row; delete: delete rows once they are delivered"},
    {.name = "columns",
     .type = CONF_GROUP,
     .offset = OFFSET(columns),
     .group = column_keys,
     .help = "maps the columns of an existing table"},
    {.name = "order_by",
     .type = CONF_STRING,
     .offset = OFFSET(order_by),
     .fallback = "seq",
     .help = "delete mode, for a table without seq: another column of it (id breaks ties), or \"\" "
             "for none"},
    {.name = "start_from",
     .type = CONF_STRING,
     .offset = OFFSET(start_from),
     .fallback = "beginning",
     .help = "beginning, now or an event position; used only while nothing is stored"},
    {.name = "batch_size",
     .type = CONF_INT,
     .offset = OFFSET(batch_size),
     .fallback = "1000",
     .min = 1,
     .max = 100000,
     .help = "rows read at once, at most"},
    {.name = "poll_interval",
     .type = CONF_DURATION,
     .offset = OFFSET(poll_interval_us),
     .fallback = "50ms",
     .min = US_PER_MS,
     .max = 3600 * US_PER_SECOND,
     .help = "the longest wait between two looks; it adapts to what happens"},
    {.name = "read_timeout",
     .type = CONF_DURATION,
     .offset = OFFSET(read_timeout_us),
     .fallback = "30s",
     .min = 100 * US_PER_MS,
     .max = 3600 * US_PER_SECOND,
     .help = "how long another process may hold a lock before it counts as a failure"},
    {.name = "prune",
     .type = CONF_GROUP,
     .offset = OFFSET(prune),
     .group = prune_keys,
     .given_offset = OFFSET(prune.given),
     .help = "delivered rows are removed by the daemon; absent: never"},
    CONF_END};

/* Rows that one pipeline has deleted, another one never sees. */
bool outbox_sqlite_clash(const struct pipeline_of *a, const struct pipeline_of *b,
                         struct buf *ret_what)
{
    const struct outbox_sqlite_conf *one = a->conf, *two = b->conf;
    bool deletes =
        !outbox_sqlite_mode(one)->has_positions || !outbox_sqlite_mode(two)->has_positions;
    bool clash =
        deletes && strcmp(one->table, two->table) == 0 && strcmp(one->path, two->path) == 0;
    if (clash) {
        buf_printf(ret_what, "source.table %s (mode delete)", one->table);
    }
    return clash;
}

void outbox_sqlite_store_url(const void *conf, struct buf *out)
{
    const struct outbox_sqlite_conf *c = conf;
    buf_printf(out, "sqlite:%s", c->path);
}

void outbox_sqlite_timeouts(const void *conf, int64_t *connect_us UNUSED, int64_t *read_us)
{
    const struct outbox_sqlite_conf *c = conf;
    *read_us = c->read_timeout_us;
}

void outbox_sqlite_rows(const void *conf, struct outbox_rows *ret)
{
    const struct outbox_sqlite_conf *c = conf;
    *ret = (struct outbox_rows){.table = c->table, .mode = modes[c->mode], .seq = "", .xid = ""};
}

const struct outbox_sqlite_mode *outbox_sqlite_mode(const struct outbox_sqlite_conf *conf)
{
    static const struct outbox_sqlite_mode *const of[] = {
        [OUTBOX_SQLITE_POSITION] = &outbox_sqlite_position_mode,
        [OUTBOX_SQLITE_DELETE] = &outbox_sqlite_delete_mode};
    return of[conf->mode];
}

const char *outbox_sqlite_prune_needless(const void *conf)
{
    const struct outbox_sqlite_conf *c = conf;
    return c->mode == OUTBOX_SQLITE_DELETE
               ? "mode: delete removes each row once it is delivered, so nothing is left to prune"
               : NULL;
}
