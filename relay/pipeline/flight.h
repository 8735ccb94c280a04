/*
 * How many events to keep in hand for a sink that acknowledges each soon after it was put
 * (SINK_STREAMS).
 *
 * Example: the sink acknowledges 100,000 events a second, and one takes at least 10 ms. Then 1,000
 * are on their way at any time, and twice as many keep the sink busy. More would only wait inside
 * it, and cost memory and a longer repeat after a crash.
 *
 * So one event at a time is timed from its put to its acknowledgement. What was acknowledged
 * meanwhile tells the rate. The shortest such time tells how long the way is when nothing waits in
 * it. The way may become longer (another broker leads). So every ten seconds nearly nothing is put
 * for one round, and the time is taken anew. This is how BBR controls TCP's congestion (Cardwell et
 * al., ACM Queue 2016).
 *
 * Private to relay/pipeline; used by the pipeline's thread only. Nothing here fails. Times are
 * monotonic, in microseconds.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

struct flight {
    size_t events;         /* how many may be in hand now */
    uint64_t timed;        /* the token that is timed; 0: none */
    int64_t put_us;        /* when it was put */
    uint64_t acked;        /* acknowledgements so far */
    uint64_t acked_before; /* and when `timed` was put */
    int64_t shortest_us;   /* from put to acknowledgement, in this period; 0: unknown */
    int64_t period_us;     /* when the period began */
    int64_t probe_us;      /* since when nearly nothing is put; 0: no probe */
    size_t events_before;  /* a probe: `events` as it was, and will be again */
};

void flight_init(struct flight *f);

/* Events were put, `token` is that of the last one. */
void flight_put(struct flight *f, uint64_t token, int64_t now_us);

/* One was acknowledged. */
void flight_acked(struct flight *f, uint64_t token, int64_t now_us);

/* To be called now and then: a sink that does not answer ends a probe, too. */
void flight_time(struct flight *f, int64_t now_us);

/* The tokens of what was put are void: a rewind. */
void flight_forget(struct flight *f);
