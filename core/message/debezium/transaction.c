/* Which transaction a change is of, the messages of where a transaction begins and ends, and
 * heartbeats: as Debezium writes them with provide.transaction.metadata and heartbeat.interval.ms.
 * Their times are the commit's, so that an event that is sent again has the same bytes. */
#include "message/debezium/debezium.h"

#include "base/memory.h"
#include <stdlib.h>

void dbz_transaction_id(struct buf *out, const struct change *c)
{
    dbz_add_char(out, '"');
    dbz_u64(out, c->xid);
    dbz_add_char(out, ':');
    dbz_u64(out, c->lsn);
    dbz_add_char(out, '"');
}

void dbz_transaction_block(struct buf *out, const struct change *c)
{
    if (c->total_order == 0) {
        DBZ_LITERAL(out, "null");
        return;
    }
    DBZ_LITERAL(out, "{\"id\":");
    dbz_transaction_id(out, c);
    DBZ_LITERAL(out, ",\"total_order\":");
    dbz_u64(out, c->total_order);
    DBZ_LITERAL(out, ",\"data_collection_order\":");
    dbz_u64(out, c->table_order);
    dbz_add_char(out, '}');
}

/* --- the end of a transaction --- */

struct place {
    size_t at; /* in change.counts */
    uint32_t bucket;
};

static int by_bucket(const void *a, const void *b)
{
    const struct place *x = a, *y = b;
    if (x->bucket != y->bucket) {
        return x->bucket < y->bucket ? -1 : 1;
    }
    return x->at < y->at ? -1 : x->at > y->at;
}

/* Debezium's counts are in a HashMap. A name that is no text is not written, so it has no place. */
static struct place *in_map_order(const struct change *c)
{
    struct place *p = memory_need(calloc(c->counts_count + 1, sizeof *p));
    for (size_t i = 0; i < c->counts_count; i++) {
        p[i].at = i;
        if (!dbz_bucket(c->counts[i].name, c->counts_count, &p[i].bucket)) {
            p[i].bucket = 0;
        }
    }
    if (c->counts_count > 1) {
        qsort(p, c->counts_count, sizeof *p, by_bucket);
    }
    return p;
}

static int add_counts(struct dbz *d, const struct change *c, struct error *err)
{
    struct place *order = in_map_order(c);
    int rc = RESULT_DONE;
    dbz_add_char(d->out, '[');
    for (size_t i = 0; !rc && i < c->counts_count; i++) {
        const struct change_count *one = &c->counts[order[i].at];
        if (i > 0) {
            dbz_add_char(d->out, ',');
        }
        DBZ_LITERAL(d->out, "{\"data_collection\":");
        rc = dbz_name(d->out, one->name, err);
        DBZ_LITERAL(d->out, ",\"event_count\":");
        dbz_u64(d->out, one->events);
        dbz_add_char(d->out, '}');
    }
    dbz_add_char(d->out, ']');
    free(order);
    return rc;
}

int dbz_boundary(struct dbz *d, const struct change *c, struct error *err)
{
    bool end = c->op == CHANGE_END;
    DBZ_LITERAL(d->out, "{\"status\":\"");
    buf_add_str(d->out, end ? "END" : "BEGIN");
    DBZ_LITERAL(d->out, "\",\"id\":");
    dbz_transaction_id(d->out, c);
    DBZ_LITERAL(d->out, ",\"event_count\":");
    if (end) {
        dbz_u64(d->out, c->total_order);
    } else {
        DBZ_LITERAL(d->out, "null");
    }
    DBZ_LITERAL(d->out, ",\"data_collections\":");
    if (!end) {
        DBZ_LITERAL(d->out, "null");
    } else if (add_counts(d, c, err)) {
        return RESULT_ERROR;
    }
    DBZ_LITERAL(d->out, ",\"ts_ms\":");
    dbz_i64(d->out, dbz_millis(c->commit_us));
    dbz_add_char(d->out, '}');
    return RESULT_DONE;
}

/* --- heartbeats --- */

int dbz_heartbeat(struct dbz *d, const struct change *c)
{
    DBZ_LITERAL(d->out, "{\"ts_ms\":");
    dbz_i64(d->out, dbz_millis(c->commit_us));
    dbz_add_char(d->out, '}');
    return RESULT_DONE;
}

int dbz_boundary_key(struct dbz *d, const struct change *c, struct error *err)
{
    int rc = RESULT_DONE;
    if (c->op == CHANGE_HEARTBEAT) {
        DBZ_LITERAL(d->out, "{\"serverName\":");
        rc = dbz_name(d->out, slice_from(d->conf->name), err);
    } else {
        DBZ_LITERAL(d->out, "{\"id\":");
        dbz_transaction_id(d->out, c);
    }
    dbz_add_char(d->out, '}');
    return rc;
}
