/* How far the source is behind, for status and metrics. */
#include "cdc/internal.h"

#include <inttypes.h>
#include <stdio.h>

static int64_t distance(uint64_t from, uint64_t to)
{
    return from == 0 || to == 0 ? -1 : to > from ? (int64_t)(to - from) : 0;
}

void cdc_lag_of_state(const struct slot_state *state, const char *slot, uint64_t delivered,
                      struct source_lag *ret)
{
    if (state->wal_status == WAL_SLOT_MISSING) {
        snprintf(ret->held_up, sizeof ret->held_up, "replication slot %s does not exist", slot);
        ret->slot_lost = delivered != 0; /* before the first start there is none yet */
        return;
    }
    ret->lag_bytes = distance(delivered, state->current);
    ret->slot_retained_bytes = state->retained_bytes;
    ret->slot_limit_bytes = state->limit_bytes;
    ret->slot_lost = state->wal_status == WAL_LOST;
    if (ret->slot_lost) {
        snprintf(
            ret->held_up, sizeof ret->held_up,
            "slot %s is lost%s%s: the server has removed WAL that was not read, so changes are missing",
            slot, state->invalidation[0] ? ", " : "", state->invalidation);
    } else if (state->wal_status == WAL_UNRESERVED) {
        snprintf(ret->held_up, sizeof ret->held_up,
                 "slot %s is about to be lost: it keeps %" PRId64
                 " bytes of WAL and may keep %" PRId64 " (max_slot_wal_keep_size)",
                 slot, state->retained_bytes, state->limit_bytes);
    }
}

/* Commit time of the transaction that is being received; 0: none. After a reconnect, until the
 * first state of the slot is known, it is the one that was under way before: the new stream may
 * fail at the same transaction, and the lag must not seem to be gone in between. */
static int64_t waits_since(const struct cdc_source *s)
{
    bool begun = s->stream && (s->txn.open || stream_behind(s->stream));
    if (begun && s->txn.commit_us != 0) {
        return s->txn.commit_us;
    }
    return begun || s->side.told_n == 0 ? s->waiting_us : 0;
}

void cdc_keep_lag(struct cdc_source *s)
{
    s->waiting_us = waits_since(s);
    if (s->side.told_n > 0) {
        s->slot_state = s->side.state;
        s->slot_told = true;
    }
}

/* While the source is not connected, this tells what was known last. That is when the slot makes
 * the server keep more and more WAL, so the numbers must not vanish then. */
void cdc_lag(void *source, struct source_lag *ret)
{
    const struct cdc_source *s = source;
    struct slot_state state = s->side.told_n > 0 ? s->side.state : s->slot_state;
    int64_t waiting = waits_since(s);
    ret->pending_events = -1;
    if (s->side.told_n > 0 || s->slot_told) {
        uint64_t heard = s->stream ? stream_wal_end(s->stream) : 0;
        state.current = heard > state.current ? heard : state.current;
        cdc_lag_of_state(&state, s->slot, s->saved, ret);
    }
    if (waiting != 0) {
        ret->oldest_us = waiting;
    }
    if (s->snapshot && !s->snapshot_ended) {
        snapshot_progress(s->snapshot, ret->progress, sizeof ret->progress);
    } else if (s->requests.paused) {
        snprintf(ret->progress, sizeof ret->progress, "snapshot: paused, %zu requested",
                 s->requests.count);
    }
    snprintf(ret->warning, sizeof ret->warning, "%s", s->given_up);
}
