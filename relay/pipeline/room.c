/* Limits what a pipeline holds in memory: it reads only while there is room for more events. */
#include "pipeline/room.h"

#include "base/memory.h"
#include "pipeline/internal.h"

/* How many events may be in hand until the sink has acknowledged something. Before the first
 * acknowledgement nobody knows how long the sink takes, and more events would only fill memory. It
 * was measured: without this limit memory had its peak in the first tenth of a second of a backlog.
 */
enum { FIRST_WINDOW = 1000 };

/* The present limit of events that are not acknowledged. A sink that commits acknowledges only when
 * a commit is done, so it has the whole limit from the start. */
static size_t window(const struct pipeline *p)
{
    size_t max = (size_t)p->delivery->max_in_flight, now = max;
    if (!(p->sink_caps & SINK_COMMITS) && !p->answered) {
        now = FIRST_WINDOW;
    } else if (p->sink_caps & SINK_STREAMS) {
        now = p->flight.events;
    }
    return now < max ? now : max;
}

static size_t unacknowledged(const struct pipeline *p)
{
    return ledger_open_count(p->ledger) + ledger_waiting_count(p->ledger);
}

/* All events that would be read again after a crash. A row that is delivered but not marked is one
 * of them. */
static size_t in_hand(const struct pipeline *p)
{
    return unacknowledged(p) + (size_t)progress_unmarked(&p->progress);
}

static size_t left_of(size_t limit, size_t used)
{
    return used < limit ? limit - used : 0;
}

static size_t left(const struct pipeline *p)
{
    size_t of_window = left_of(window(p), unacknowledged(p));
    size_t of_all = left_of((size_t)p->delivery->max_in_flight, in_hand(p));
    return of_window < of_all ? of_window : of_all;
}

uint64_t room_read_count(const struct pipeline *p)
{
    return p->progress.events + ledger_open_count(p->ledger) + ledger_waiting_count(p->ledger);
}

/* The source has failed more than once right behind what is in hand, and will probably fail there
 * again. Each failure makes a committing sink throw its open file away, so it would never complete
 * one. Therefore what is in hand is committed first. */
static bool completes_first(const struct pipeline *p)
{
    return (p->sink_caps & SINK_COMMITS) && p->upstream.read_failures > 1 &&
           room_read_count(p) == p->furthest && room_read_count(p) > p->progress.events;
}

bool room_may_read(const struct pipeline *p)
{
    if (p->draining || p->paused || p->poisoned || p->settling || p->idle_seen || p->giving ||
        p->parts.one_order || p->park.flow.holding) {
        return false;
    }
    if (p->reading) {
        return true; /* this read was begun when there was room for it */
    }
    if (completes_first(p)) {
        return false;
    }
    size_t max_bytes = (size_t)p->delivery->max_in_flight_bytes;
    /* Many small reads are slow, so wait until a quarter of the room is free. A committing sink
     * does not wait: its files should become as large as the limits allow. */
    size_t slack = p->sink_caps & SINK_COMMITS ? 1 : (window(p) + 3) / 4;
    return left(p) >= slack && ledger_bytes(p->ledger) < max_bytes;
}

size_t room_events(const struct pipeline *p)
{
    size_t events = left(p);
    return events ? events : 1; /* the window has shrunk since the read was begun */
}

size_t room_bytes(const struct pipeline *p)
{
    size_t used = ledger_bytes(p->ledger), max = (size_t)p->delivery->max_in_flight_bytes;
    return used < max ? max - used : 1;
}

void room_drop_waiting(struct pipeline *p)
{
    p->dropped = p->dropped || ledger_waiting_count(p->ledger) > 0 || p->reading;
    if (p->reading) {
        room_give_back(p, p->reading);
        p->reading = NULL;
    }
    ledger_drop_waiting(p->ledger);
    if (p->downstream.ready) {
        ledger_free_dropped(p->ledger); /* a sink that is started does not point into them */
    }
}

void room_rewind(struct pipeline *p)
{
    ledger_rewind(p->ledger);
    flight_forget(&p->flight);
    park_rewind(p);
    p->poisoned = false; /* events before it must be put first; then it blocks again */
}

/* Less is left in the heap for the next events: to give it back and to fault it in again would cost
 * more than it is worth. The same if the next burst comes soon. */
enum { BURST_BYTES = 4 * 1024 * 1024 };
#define REST_US (5 * US_PER_SECOND)

void room_took(struct pipeline *p)
{
    size_t bytes = ledger_bytes(p->ledger);
    p->burst_bytes = bytes > p->burst_bytes ? bytes : p->burst_bytes;
    p->took_us = clock_mono_us();
}

void room_rest(struct pipeline *p)
{
    if (p->burst_bytes < BURST_BYTES || in_hand(p) > 0 || clock_mono_us() - p->took_us < REST_US) {
        return;
    }
    p->burst_bytes = 0;
    batch_free(p->spare);
    p->spare = NULL;
    batch_free(progress_let_go(&p->progress));
    memory_give_back();
}

void room_give_back(struct pipeline *p, struct batch *b)
{
    batch_reset(b);
    if (p->spare) {
        batch_free(b);
    } else {
        p->spare = b;
    }
}

struct batch *room_empty_batch(struct pipeline *p)
{
    struct batch *b = p->spare ? p->spare : batch_new();
    p->spare = NULL;
    return b;
}
