/*
 * A pipeline that is one shard of a divided one (contract/shards.h). It gives its shard away when
 * the store asks for it back, and takes it again when it is its turn.
 *
 * I4: it leaves when all that was read is settled and saved. The next owner begins behind the saved
 * cursor: what is still in flight here would be sent twice, and behind later events of its key.
 */
#include "pipeline/internal.h"

#include "base/fault.h"
#include "base/log.h"
#include "contract/shards.h"
#include "pipeline/room.h"
#include "pipeline/side.h"
#include "pipeline/status.h"

/* Reads no more; what was read is put and settled as always. A read under way stands still. It goes
 * on if the shard is not asked for any more. */
static void begin_giving(struct pipeline *p)
{
    p->giving = true;
    log_write(LOG_INFO, p->name, "asked for this shard: %zu events are settled first",
              ledger_open_count(p->ledger) + ledger_waiting_count(p->ledger));
}

/* A sink that is down may still have events in hand, although the ledger has none: they were given
 * up, to be read again. It forgets them when it is started. */
static bool sink_has_none(const struct pipeline *p)
{
    return p->downstream.ready || !p->downstream.was_up;
}

/* Events wait that are not put as long as an operator does not act: the next owner may read them
 * again. */
static bool only_held_back(const struct pipeline *p)
{
    return p->paused || p->poisoned;
}

static bool is_settled(const struct pipeline *p)
{
    return sink_has_none(p) && settle_done(p) && !p->settling && !p->committing &&
           !redrive_under_way(&p->redrive) && !park_flow_in_hand(p) && p->park.pending_count == 0 &&
           (ledger_waiting_count(p->ledger) == 0 || only_held_back(p));
}

static void leave(struct pipeline *p)
{
    room_drop_waiting(p);
    upstream_down(p);
    p->giving = false;
    fault_point("shard_before_leave");
    p->parts.store->shards->leave(p->store);
    pipeline_enter(p, PIPELINE_WAITING, "given to another relay");
    p->upstream.retry_at_us = clock_mono_us() + US_PER_SECOND;
}

/* I1: nothing is read, put or marked from now on. What the sink has in hand cannot be called back.
 */
static void lose(struct pipeline *p)
{
    struct error err;
    p->giving = false;
    error_set(&err, ERROR_RETRY, "store", "the lock of this shard is lost");
    failure_upstream(p, &err);
}

void shard_tend(struct pipeline *p)
{
    if (!p->store_env.member || p->draining || p->ended) {
        return;
    }
    switch (p->parts.store->shards->seat(p->store)) {
    case STORE_SEAT_AWAY:
        if (p->store_ready) {
            lose(p);
        }
        p->giving = false;
        break;
    case STORE_SEAT_OURS:
        p->giving = false;
        if (p->status.state == PIPELINE_WAITING) {
            p->upstream.retry_at_us = 0;
        }
        break;
    case STORE_SEAT_ASKED_BACK:
        if (!p->giving) {
            begin_giving(p);
        }
        if (is_settled(p)) {
            leave(p);
        }
        break;
    }
}

void shard_poll(const struct pipeline *p, struct poll_set *set)
{
    if (p->store_env.member && !p->draining) {
        poll_set_add(set, p->parts.store->shards->seat_fd(p->store), POLLIN);
    }
}
