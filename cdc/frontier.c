/*
 * What an outbox that is read as a stream has delivered, for `replay`. A row does not say where its
 * commit lies in the WAL, so a snapshot and the end of the WAL are noted at one moment: once the
 * stored cursor has passed that end, all that the snapshot shows is delivered.
 */
#include "cdc/internal.h"
#include "cdc/stream/lsn.h"

#include <string.h>

/* The text begins as "<snapshot> <LSN>" and ends as the snapshot. */
static int note_moment(struct cdc_source *s, struct buf *out, struct error *err)
{
    struct pg *c = NULL;
    struct pg_result *r = NULL;
    if (cdc_connect_sql(s, &c, err)) {
        return RESULT_ERROR;
    }
    int rc = pg_query(c, "select pg_current_snapshot()::text || ' ' || pg_current_wal_insert_lsn()",
                      0, NULL, &r, err);
    if (rc == RESULT_DONE) {
        buf_add_slice(out, pg_value(r, 0, 0));
    }
    pg_result_free(r);
    pg_close(c);
    return rc;
}

int cdc_frontier(void *source, struct slice cursor, struct buf *out, struct error *err)
{
    struct cdc_source *s = source;
    struct cdc_cursor at = {0};
    uint64_t wanted;
    if (s->conf->as == CDC_AS_CHANGES) {
        return error_set(
            err, ERROR_CONFIG, "cdc",
            "pipeline %s sends changes, which the server forgets once they are delivered: there is nothing to send again. `snapshot: always` sends the tables' present rows at the next start (docs/REPLAY.md)",
            s->env->pipeline);
    }
    if ((out->len == 0 && note_moment(s, out, err)) ||
        (!slice_is_null(cursor) && cdc_cursor_parse(cursor, &at, err))) {
        return RESULT_ERROR;
    }
    const char *blank = strchr(buf_str(out), ' ');
    if (!blank || !lsn_parse(slice_from(blank + 1), &wanted)) {
        return error_set(err, ERROR_FATAL, "cdc", "the server's snapshot is not readable");
    }
    if (at.start < wanted) {
        error_set_text(err, ERROR_RETRY, "cdc",
                       "pipeline %s has not delivered all that was committed when the replay was "
                       "asked for (WAL up to %s): start it, or wait until it has caught up",
                       s->env->pipeline, blank + 1);
        return RESULT_AGAIN;
    }
    out->len = (size_t)(blank - buf_str(out));
    out->data[out->len] = '\0';
    return RESULT_DONE;
}

void cdc_polled(const void *conf, struct source_polled *ret)
{
    const struct cdc_conf *c = conf;
    const struct {
        const char *key, *name;
        bool given;
    } columns[] = {{"id", c->columns.id, true},
                   {"aggregatetype", c->columns.aggregatetype, true},
                   {"aggregateid", c->columns.aggregateid, true},
                   {"type", c->columns.type, true},
                   {"payload", c->columns.payload, true},
                   {"headers", c->columns.headers, c->columns.headers_given},
                   {"created_at", c->columns.created_at, c->columns.created_at_given},
                   {"seq", c->columns.seq, true},
                   {"xid", c->columns.xid, true}};
    *ret = (struct source_polled){.url = c->url, .table = c->table};
    for (size_t i = 0; i < sizeof columns / sizeof *columns; i++) {
        if (columns[i].given) {
            ret->columns[ret->count].key = columns[i].key;
            ret->columns[ret->count++].name = columns[i].name;
        }
    }
}
