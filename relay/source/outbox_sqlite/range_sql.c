/* The SQL conditions of a range (range.c), which table.c builds into the statements. */
#include "source/outbox_sqlite/internal.h"

#include <stdlib.h>

/* The millisecond of created_at; null if SQLite cannot read it as a time. SQLite itself keeps no
 * more than milliseconds of a time. */
#define MS_OF_BEGIN "CAST(round((julianday("
#define MS_OF_END ") - 2440587.5) * 86400000.0) AS INTEGER)"

void outbox_sqlite_add_text(struct buf *out, const char *text)
{
    buf_add_char(out, '\'');
    for (; *text; text++) {
        buf_add_str(out, *text == '\'' ? "''" : (const char[]){*text, '\0'});
    }
    buf_add_char(out, '\'');
}

/* Appends the number; SQLite reads a bare -9223372036854775808 as a float. */
void outbox_sqlite_add_int(struct buf *out, int64_t v)
{
    if (v == INT64_MIN) {
        buf_add_str(out, "(-9223372036854775807 - 1)");
    } else {
        buf_printf(out, "%lld", (long long)v);
    }
}

static void add_bound(struct buf *out, const char *key, const char *operator, int64_t value)
{
    buf_add_str(out, " AND ");
    sqlite_quote_name(out, key);
    buf_add_str(out, operator);
    outbox_sqlite_add_int(out, value);
}

static void add_time(struct buf *out, const char *column, const char *operator, int64_t us)
{
    int64_t ms = us / US_PER_MS - (us % US_PER_MS < 0);
    buf_add_str(out, " AND " MS_OF_BEGIN);
    sqlite_quote_name(out, column);
    buf_add_str(out, MS_OF_END);
    buf_add_str(out, operator);
    outbox_sqlite_add_int(out, ms);
}

static void add_equal(struct buf *out, const char *column, const char *value)
{
    if (value) {
        buf_add_str(out, " AND ");
        sqlite_quote_name(out, column);
        buf_add_str(out, " = ");
        outbox_sqlite_add_text(out, value);
    }
}

static void add_ids(struct buf *out, const char *column, const struct source_range *range)
{
    if (range->ids_count > 0) {
        buf_add_str(out, " AND ");
        sqlite_quote_name(out, column);
        buf_add_str(out, " IN (");
        for (size_t i = 0; i < range->ids_count; i++) {
            buf_add_str(out, i ? ", " : "");
            outbox_sqlite_add_text(out, range->ids[i]);
        }
        buf_add_char(out, ')');
    }
}

int64_t outbox_sqlite_frontier_of(const struct source_range *range)
{
    char *end;
    int64_t last = range->frontier ? strtoll(range->frontier, &end, 10) : INT64_MIN;
    return range->frontier && !*end ? last : INT64_MIN;
}

void outbox_sqlite_add_range(const struct outbox_sqlite_conf *conf, const char *key,
                             const struct source_range *range, bool delivered, struct buf *out)
{
    if (range->from != INT64_MIN) {
        add_bound(out, key, " >= ", range->from);
    }
    if (range->to != INT64_MAX) {
        add_bound(out, key, " <= ", range->to);
    }
    if (delivered && !range->every) {
        add_bound(out, key, " <= ", outbox_sqlite_frontier_of(range));
    }
    if (range->from_us != INT64_MIN) {
        add_time(out, conf->columns.created_at, " >= ", range->from_us);
    }
    if (range->to_us != INT64_MAX) {
        add_time(out, conf->columns.created_at, " <= ", range->to_us);
    }
    add_ids(out, conf->columns.id, range);
    add_equal(out, conf->columns.aggregateid, range->key);
}
