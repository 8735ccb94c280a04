#include "pipeline/flight.h"

#include "base/clock.h"

/* LEAST: two pages. Below it the source could not read one while the sink works on the other.
 * PROBE: so few that nothing waits in the sink. MOST: beyond any delivery.max_in_flight; it keeps
 * the arithmetic small. */
enum { LEAST = 2000, PROBE = 200, MOST = 10 * 1000 * 1000 };
#define PERIOD_US (10 * US_PER_SECOND)
#define PROBE_US US_PER_SECOND

void flight_init(struct flight *f)
{
    *f = (struct flight){.events = LEAST};
}

void flight_forget(struct flight *f)
{
    f->timed = 0;
}

void flight_put(struct flight *f, uint64_t token, int64_t now_us)
{
    if (!f->timed) {
        f->timed = token;
        f->put_us = now_us;
        f->acked_before = f->acked;
    }
}

static void end_probe(struct flight *f)
{
    f->probe_us = 0;
    f->events = f->events_before;
}

void flight_time(struct flight *f, int64_t now_us)
{
    if (f->probe_us && now_us - f->probe_us > PROBE_US) {
        end_probe(f);
    }
}

static void begin_probe(struct flight *f, int64_t now_us)
{
    f->probe_us = f->period_us = now_us;
    f->events_before = f->events;
    f->events = PROBE;
}

/* A round with few events says little: the source had no more. */
static size_t wanted(const struct flight *f, int64_t took_us)
{
    uint64_t acked = f->acked - f->acked_before;
    double events = 2 * (double)acked / (double)took_us * (double)f->shortest_us;
    if (events <= (double)f->events && acked < f->events / 2) {
        return f->events;
    }
    return events < LEAST ? LEAST : events > MOST ? MOST : (size_t)events;
}

void flight_acked(struct flight *f, uint64_t token, int64_t now_us)
{
    f->acked++;
    if (token != f->timed) {
        return;
    }
    f->timed = 0;
    int64_t took = now_us > f->put_us ? now_us - f->put_us : 1;
    if (f->probe_us) {
        /* What was put before the probe began has waited behind others. */
        if (f->put_us >= f->probe_us) {
            f->shortest_us = took;
            end_probe(f);
        }
        return;
    }
    f->shortest_us = f->shortest_us && f->shortest_us < took ? f->shortest_us : took;
    f->events = wanted(f, took);
    if (now_us - f->period_us >= PERIOD_US) {
        begin_probe(f, now_us);
    }
}
