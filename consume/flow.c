/* The way of the records: taken, given to the lane of their key, applied, passed by their stream.
 *
 * A record that concerns several keys (a truncated table, a row whose key changed) waits until all
 * records before it are applied. All records after it wait for it. */
#include "consume/internal.h"

#include <stdio.h>

static const int64_t SAVE_EVERY_US = US_PER_SECOND;

/* --- taking --- */

void flow_take(void *consumer, const struct incoming *in)
{
    struct consumer *c = consumer;
    struct record *r = decode(&c->decode, in);
    struct stream *s = streams_of(&c->streams, in->stream);
    s->taken = in->number;
    streams_add(&c->streams, s, r);
    r->next_of_lane = NULL;
    if (c->last) {
        c->last->next_of_lane = r;
    } else {
        c->first = r;
    }
    c->last = r;
}

/* --- to the lanes --- */

static bool lanes_empty(const struct consumer *c)
{
    for (size_t i = 0; i < c->lanes_count; i++) {
        if (c->lanes[i].job == LANE_APPLY || c->lanes[i].job == LANE_BURY ||
            c->lanes[i].waiting > 0) {
            return false;
        }
    }
    return true;
}

static void share_out(struct consumer *c)
{
    while (c->first && !c->alone) {
        struct record *r = c->first;
        if (r->alone && c->lanes_count > 1) {
            if (!lanes_empty(c)) {
                return;
            }
            c->alone = r;
        }
        c->first = r->next_of_lane;
        c->last = c->first ? c->last : NULL;
        lane_add(&c->lanes[r->order % c->lanes_count], r);
    }
}

static bool must_save(const struct consumer *c, const struct stream *s)
{
    return !c->from_ops->keeps_positions && s->settled > s->saved && !s->lost;
}

bool flow_saved(const struct consumer *c)
{
    for (size_t i = 0; i < c->streams.count; i++) {
        if (must_save(c, c->streams.items[i])) {
            return false;
        }
    }
    return true;
}

static void save(struct consumer *c, struct lane *l)
{
    lane_clear_positions(l);
    for (size_t i = 0; i < c->streams.count; i++) {
        const struct stream *s = c->streams.items[i];
        if (must_save(c, s)) {
            lane_position(l, slice_from(s->name), s->settled);
        }
    }
    c->save_at_us = clock_mono_us() + SAVE_EVERY_US;
    lane_save(l);
}

/* The first lane also saves positions: once a second, and at once when no record is in hand or the
 * consumer stops. */
static bool save_is_due(const struct consumer *c, const struct lane *l, int64_t now_us)
{
    return l == c->lanes && !flow_saved(c) &&
           (now_us >= c->save_at_us || c->streams.records == 0 || c->draining);
}

void flow_dispatch(struct consumer *c)
{
    int64_t now = clock_mono_us();
    share_out(c);
    for (size_t i = 0; i < c->lanes_count && !c->ended; i++) {
        struct lane *l = &c->lanes[i];
        if (!lane_free(l, now)) {
            continue;
        }
        if (!c->loaded) {
            if (i == 0 && !c->draining) {
                lane_load(l);
            }
        } else if (save_is_due(c, l, now)) {
            save(c, l);
        } else if (!c->draining && l->waiting > 0) {
            if (l->bury) {
                lane_bury(l);
            } else {
                lane_apply(l);
            }
        }
    }
}

/* --- back from the lanes --- */

/* A few are logged, so that a source without order does not fill the log; all are counted. */
static void tell_step_back(struct consumer *c, const struct record *r)
{
    enum { TOLD = 20 };
    pthread_mutex_lock(&c->lock);
    int64_t n = ++c->status.steps_back;
    pthread_mutex_unlock(&c->lock);
    if (n <= TOLD) {
        log_write(LOG_WARN, c->conf->name,
                  "event %.*s (%s, %lld) came behind a later one of its key: its position is "
                  "%.*s%s",
                  r->id.len < 100 ? (int)r->id.len : 100, r->id.ptr ? r->id.ptr : "", r->origin,
                  (long long)r->number, SLICE_FMT(r->position),
                  n == TOLD ? "; others are only counted" : "");
    }
}

static void passed(struct consumer *c, struct record *r)
{
    struct stream *s = r->stream;
    if (r->step_back) {
        tell_step_back(c, r);
    }
    if (c->alone == r) {
        c->alone = NULL;
    }
    if (streams_done(&c->streams, r) && !s->lost && c->from_ops->keeps_positions && c->from) {
        c->from_ops->settled(c->from, s->name, s->settled);
    }
}

/* A save that works does not show that events can be applied, and the other way round. So it ends
 * only failures of its own kind. */
static void works(struct lane *l, enum lane_job job)
{
    l->blocked = l->blocked && job == LANE_SAVE;
    if ((l->failed == LANE_SAVE) == (job == LANE_SAVE)) {
        l->failures = 0;
        backoff_reset(&l->backoff);
    }
}

/* Returns the record that could not be applied, as lane_give_back does. */
static struct record *take_done(struct consumer *c, struct lane *l)
{
    for (size_t i = 0; i < l->done; i++) {
        passed(c, l->batch[i]);
    }
    struct record *guilty = lane_give_back(l, &c->streams);
    if (l->done > 0) {
        c->progress_at_us = clock_mono_us();
        works(l, LANE_APPLY);
    }
    streams_tidy(&c->streams);
    return guilty;
}

static void name_event(const struct record *r, bool certain, struct error *err)
{
    error_prefix_text(err, "event %.*s (%s, %lld)%s", r->id.len < 100 ? (int)r->id.len : 100,
                      r->id.ptr ? r->id.ptr : "", r->origin, (long long)r->number,
                      certain ? " can never be applied (mend it, or set `poison: skip`)" : "");
}

/* What concerns several keys cannot park them. */
static bool may_bury(const struct consumer *c, const struct record *r)
{
    return c->conf->poison == CONF_POISON_SKIP ||
           (c->conf->poison == CONF_POISON_PARK_KEY && !r->alone);
}

/* The first record that waits cannot be applied, it seems. Tries it again, and then does what
 * `poison` says. */
static void suspect(struct consumer *c, struct lane *l, struct record *r)
{
    bool certain = r->fault[0] || ++r->tries >= (unsigned)c->conf->attempts;
    if (certain && may_bury(c, r)) {
        l->bury = true;
        snprintf(l->reason, sizeof l->reason, "%s", l->err.text);
        l->retry_at_us = 0;
        return;
    }
    name_event(r, certain, &l->err);
    if (certain) {
        l->blocked = true;
        l->retry_at_us = consumer_failed(c, &l->backoff, &l->err, clock_mono_us());
        return;
    }
    log_error(LOG_WARN, c->conf->name, "suspect event, tried again", &l->err);
    l->retry_at_us = clock_mono_us() + backoff_next(&l->backoff);
}

static void buried(struct consumer *c, const struct lane *l)
{
    const struct record *r = l->batch[0];
    pthread_mutex_lock(&c->lock);
    c->status.buried++;
    pthread_mutex_unlock(&c->lock);
    log_write(LOG_WARN, c->conf->name, "dead letter: event %.*s (%s, %lld): %s",
              r->id.len < 100 ? (int)r->id.len : 100, r->id.ptr ? r->id.ptr : "", r->origin,
              (long long)r->number, l->reason);
}

static void take_positions(struct consumer *c, struct lane *l)
{
    for (size_t i = 0; i < l->positions_count; i++) {
        struct stream *s = streams_of(&c->streams, l->positions[i].stream);
        s->saved = l->positions[i].number;
        s->settled = s->settled > s->saved ? s->settled : s->saved;
        s->taken = s->taken > s->saved ? s->taken : s->saved;
    }
}

static void failed(struct consumer *c, struct lane *l, enum lane_job job)
{
    l->failed = job;
    if (l->failures++ == 0) {
        l->failed_at_us = clock_mono_us();
    }
    l->retry_at_us = consumer_failed(c, &l->backoff, &l->err, l->failed_at_us);
}

static void ended(struct consumer *c, struct lane *l, enum lane_job job)
{
    struct record *guilty = NULL;
    if (job == LANE_BURY && !l->rc) {
        l->bury = false;
        buried(c, l);
    }
    if (job == LANE_APPLY || job == LANE_BURY) {
        guilty = take_done(c, l);
    }
    bool poison = l->rc && job == LANE_APPLY && l->err.class == ERROR_POISON;
    if (poison && guilty) {
        suspect(c, l, guilty);
    } else if (l->rc && !poison) { /* poison of a stream that is lost is another consumer's */
        failed(c, l, job);
    } else {
        works(l, job);
        l->retry_at_us = 0;
        if (job != LANE_APPLY && job != LANE_BURY) {
            take_positions(c, l);
        }
        c->loaded = c->loaded || job == LANE_LOAD;
        consumer_well(c);
    }
}

void flow_collect(struct consumer *c)
{
    for (size_t i = 0; i < c->lanes_count; i++) {
        enum lane_job job = lane_take_end(&c->lanes[i]);
        if (job != LANE_IDLE) {
            ended(c, &c->lanes[i], job);
        }
    }
}

/* --- losing a stream --- */

static void drop_taken(struct consumer *c, const struct stream *of)
{
    struct record *r = c->first;
    c->first = c->last = NULL;
    for (struct record *next; r; r = next) {
        next = r->next_of_lane;
        r->next_of_lane = NULL;
        if (r->stream == of) {
            (void)streams_done(&c->streams, r);
            continue;
        }
        if (c->last) {
            c->last->next_of_lane = r;
        } else {
            c->first = r;
        }
        c->last = r;
    }
}

static bool applies(const struct consumer *c, const struct stream *of)
{
    for (size_t i = 0; i < c->lanes_count; i++) {
        const struct lane *l = &c->lanes[i];
        bool busy = l->job == LANE_APPLY || l->job == LANE_BURY;
        for (size_t k = 0; busy && k < l->batch_count; k++) {
            if (l->batch[k]->stream == of) {
                return true;
            }
        }
    }
    return false;
}

static void wait_for_lanes(struct consumer *c, int64_t until_us)
{
    struct poll_set set;
    poll_set_clear(&set);
    for (size_t i = 0; i < c->lanes_count; i++) {
        poll_set_add(&set, worker_fd(c->lanes[i].worker), POLLIN);
    }
    poll_set_deadline(&set, until_us);
    poll_set_wait(&set);
}

void flow_lose(void *consumer, const char *name)
{
    struct consumer *c = consumer;
    struct stream *s = streams_find(&c->streams, name);
    int64_t until = clock_mono_us() + c->conf->drain_timeout_us;
    if (!s) {
        return;
    }
    /* What is being applied ends first: it still counts for this stream. */
    while (applies(c, s) && clock_mono_us() < until) {
        wait_for_lanes(c, until);
        flow_collect(c);
    }
    s->lost = true;
    if (c->alone && c->alone->stream == s) {
        c->alone = NULL;
    }
    drop_taken(c, s);
    for (size_t i = 0; i < c->lanes_count; i++) {
        lane_drop_lost(&c->lanes[i], &c->streams);
    }
    streams_tidy(&c->streams);
    consumer_well(c); /* it may have been what failed */
}
