/* The SQL connection beside the stream. Each call takes what has arrived, and sends the next query
 * only once the previous answer is complete. Nothing here blocks: the stream must not stand still
 * because a catalog query is slow. */
#include "cdc/side.h"

#include "base/clock.h"

static const int64_t STATE_EVERY_US = US_PER_SECOND;
/* If a table is taken out of the publication, its changes are missed, and nobody is told until the
 * next look: so the looks are close together. */
static const int64_t WATCH_EVERY_US = 5 * US_PER_SECOND;

void side_start(struct side *s, struct pg *sql, const struct cdc_conf *conf, const char *slot,
                const char *publication)
{
    int64_t now = clock_mono_us();
    *s = (struct side){.sql = sql,
                       .conf = conf,
                       .slot = slot,
                       .publication = publication,
                       .asked = pg_busy(sql) ? SIDE_FAILED : SIDE_NOTHING,
                       .state_at_us = now,
                       .watch_at_us = now};
    heartbeat_start(&s->heartbeat, conf->heartbeat_interval_us, now);
}

void side_close(struct side *s)
{
    pg_close(s->sql);
    s->sql = NULL;
    s->asked = SIDE_NOTHING;
}

static int demand_publication(const struct side *s, struct error *err)
{
    if (s->state.publication_there) {
        return RESULT_DONE;
    }
    return error_set(
        err, ERROR_CONFIG, "cdc",
        "publication \"%s\" was dropped: nothing moves until it is there again, since changes made without it never come. Create it anew (CREATE PUBLICATION ...), then decide what was missed: slot \"%s\" skips what was not published",
        s->publication, s->slot);
}

static int take_state(struct side *s, struct error *err)
{
    struct slot_state state;
    int rc = slot_state_take(s->sql, &state, err);
    if (rc) {
        return rc;
    }
    s->state = state;
    s->told_n = s->asked_n;
    s->asked = SIDE_NOTHING;
    s->state_at_us = clock_mono_us() + (s->wanted_n > s->told_n ? 0 : STATE_EVERY_US);
    return demand_publication(s, err);
}

static int take_watch(struct side *s, struct error *err)
{
    int rc = publication_watch_take(s->sql, s->conf, s->publication, err);
    if (rc == RESULT_DONE) {
        s->asked = SIDE_NOTHING;
        s->watch_at_us = clock_mono_us() + WATCH_EVERY_US;
    }
    return rc;
}

/* Takes what is left of the query, up to its end. *ret_failed: it has failed. Only a lost
 * connection is an error. */
static int take_rest(struct side *s, bool *ret_failed, struct error *err)
{
    while (pg_busy(s->sql)) {
        struct pg_result *r = NULL;
        int rc = pg_take(s->sql, &r, err);
        if (rc == RESULT_AGAIN) {
            return rc;
        }
        pg_result_free(r);
        if (rc && !pg_alive(s->sql)) {
            return rc;
        }
        *ret_failed = *ret_failed || rc;
    }
    s->asked = SIDE_NOTHING;
    return RESULT_DONE;
}

static int take(struct side *s, struct error *err)
{
    switch (s->asked) {
    case SIDE_STATE:
        return take_state(s, err);
    case SIDE_WATCH:
        return take_watch(s, err);
    case SIDE_HEARTBEAT: /* a server that refuses one (a standby, a read-only role) gets no more */
        return take_rest(s, &s->heartbeat.refused, err);
    case SIDE_FAILED: /* its failure was told when it came */
        return take_rest(s, &(bool){false}, err);
    case SIDE_CATALOG: /* whoever asks takes the answer */
        return RESULT_AGAIN;
    case SIDE_NOTHING:
        break;
    }
    bool notified;
    return pg_notified(s->sql, &notified, err);
}

static int ask(struct side *s, struct error *err)
{
    int64_t now = clock_mono_us();
    if (heartbeat_due(&s->heartbeat, s->state.confirmed, s->state.current, now)) {
        s->asked = SIDE_HEARTBEAT;
        return pg_send(s->sql, HEARTBEAT_SQL, 1, (const char *const[]){s->slot}, false, err);
    }
    if (now >= s->state_at_us) {
        s->asked = SIDE_STATE;
        s->asked_n++;
        return slot_state_send(s->sql, s->slot, s->publication, err);
    }
    /* It has no deadline of its own in side_poll_fds: the query for the state, every second, wakes
     * us often enough. */
    if (now >= s->watch_at_us && publication_is_watched(s->conf)) {
        s->asked = SIDE_WATCH;
        return publication_watch_send(s->sql, s->conf, s->publication, err);
    }
    return RESULT_DONE;
}

int side_tend(struct side *s, struct error *err)
{
    int rc = take(s, err);
    if (rc == RESULT_DONE && s->asked == SIDE_NOTHING) {
        rc = ask(s, err);
    }
    return rc < 0 ? rc : RESULT_DONE;
}

void side_poll_fds(struct side *s, struct poll_set *set)
{
    pg_poll_fds(s->sql, set);
    if (s->asked == SIDE_NOTHING) {
        poll_set_deadline(set, s->state_at_us);
    }
    if (!pg_alive(s->sql)) {
        poll_set_deadline(set, clock_mono_us()); /* side_tend returns the error */
    }
}

uint64_t side_want_state(struct side *s)
{
    s->state_at_us = clock_mono_us();
    s->wanted_n = s->asked_n + 1; /* an answer under way may be older than this call */
    return s->wanted_n;
}

int side_ask_catalog(struct side *s, struct catalog *catalog,
                     const struct pgoutput_message *relation, struct error *err)
{
    if (s->asked != SIDE_CATALOG) {
        if (s->asked != SIDE_NOTHING) {
            int rc = take(s, err);
            if (rc) {
                return rc;
            }
        }
        s->asked = SIDE_CATALOG;
    }
    int rc = catalog_ask(catalog, s->sql, relation, err);
    if (rc != RESULT_AGAIN) {
        /* Events that were read before may be handed out first, so this connection goes on. */
        s->asked = pg_busy(s->sql) ? SIDE_FAILED : SIDE_NOTHING;
    }
    return rc;
}
