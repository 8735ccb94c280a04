/* The source's connections: opening them, asking for the state of the slot, closing all. */
#include "cdc/internal.h"
#include "cdc/opening.h"

#include "cdc/preflight/lock_holder.h"

int cdc_connect_sql(const struct cdc_source *s, struct pg **ret, struct error *err)
{
    const struct pg_options options = {.url = s->conf->url,
                                       .pipeline = s->env->pipeline,
                                       .connect_timeout_us = s->conf->connect_timeout_us,
                                       .read_timeout_us = s->conf->read_timeout_us,
                                       .stop_fd = s->env->stop_fd};
    struct pg *sql;
    if (pg_connect(&options, &sql, err)) {
        return RESULT_ERROR;
    }
    /* The planner overestimates queries on the catalogs and would compile them (jit), which takes
     * seconds; the queries themselves take milliseconds. */
    if (pg_query(sql, "set jit = off; " LOCK_TIMEOUT_SQL, 0, NULL, NULL, err)) {
        pg_close(sql);
        return RESULT_ERROR;
    }
    *ret = sql;
    return RESULT_DONE;
}

int cdc_connect_stream(const struct cdc_source *s, struct stream **ret, struct error *err)
{
    const struct stream_options options = {.url = s->conf->url,
                                           .pipeline = s->env->pipeline,
                                           .connect_timeout_us = s->conf->connect_timeout_us,
                                           .read_timeout_us = s->conf->read_timeout_us,
                                           .lease_us = s->env->lease_us,
                                           .stop_fd = s->env->stop_fd,
                                           .plain_money = s->env->shape.plain_money};
    return stream_connect(&options, ret, err);
}

static int wait_state(struct pg *sql, struct slot_state *ret, struct error *err)
{
    int rc;
    while ((rc = slot_state_take(sql, ret, err)) == RESULT_AGAIN) {
        struct poll_set set;
        poll_set_clear(&set);
        pg_poll_fds(sql, &set);
        poll_set_deadline(&set, clock_mono_us() + US_PER_SECOND);
        poll_set_wait(&set);
    }
    return rc;
}

int cdc_ask_state(const struct cdc_source *s, struct pg *sql, struct slot_state *ret,
                  struct error *err)
{
    return slot_state_send(sql, s->slot, s->publication, err) ? RESULT_ERROR
                                                              : wait_state(sql, ret, err);
}

/* The relations stay: changes that were handed out may still point to them. */
void cdc_drop(struct cdc_source *s)
{
    cdc_keep_lag(s);
    opening_end(s->opening);
    s->opening = NULL;
    cdc_signals_clear(s);
    cdc_snapshot_close(s);
    stream_close(s->stream);
    side_close(&s->side);
    if (s->spool) {
        spool_clear(s->spool);
    }
    s->stream = NULL;
    s->side = (struct side){0};
    buf_clear(&s->snapshot_text);
    s->holding = s->asking = s->more = s->failed = false;
    s->unsaved = s->gave = s->txn_gave = s->reply_wanted = false;
    s->idle_state = s->idle_lsn = s->claim_state = s->claim_next = 0;
    s->txn.open = false;
}
