/*
 * A circuit breaker in front of the sink: after too many failures among the last outcomes nothing
 * is sent for a while (open). Then a little is tried, mostly one event (half-open). If it is
 * delivered, everything may be sent again (closed). If it fails, the wait begins anew. See M.
 * Nygard, Release It!, "Circuit Breaker".
 *
 * A plain struct of the caller: no I/O, no memory to free, no function here can fail. All times are
 * monotonic, in microseconds, and given by the caller. One thread per struct.
 */
#pragma once

#include "config/config.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum breaker_state { BREAKER_CLOSED, BREAKER_HALF_OPEN, BREAKER_OPEN };

struct breaker {
    size_t window;        /* how many outcomes are remembered */
    double failure_ratio; /* 0 to 1: opens when at least this share of them failed */
    int64_t open_for_us;
    enum breaker_state state;
    int64_t open_until_us;                /* of BREAKER_OPEN */
    bool failed[CONF_BREAKER_WINDOW_MAX]; /* ring of the last outcomes */
    size_t outcomes, failures, pos;       /* how many it holds, how many failed, where to write */
};

/* Starts closed, without any outcome. `window` is brought into 1 .. CONF_BREAKER_WINDOW_MAX. */
void breaker_init(struct breaker *b, size_t window, double failure_ratio, int64_t open_for_us);

/* May something be sent now? Moves from open to half-open once open_for_us has passed. While it is
 * half-open the answer is true, and the caller should send little: feed.c sends one event, or whole
 * transactions to a sink that does not split them; park_flow.c sends a page. */
bool breaker_allows(struct breaker *b, int64_t now_us);

/* Adds one outcome. A success closes a half-open breaker; a failure opens a half-open one, and a
 * closed one if failure_ratio is reached. */
void breaker_success(struct breaker *b);
void breaker_failure(struct breaker *b, int64_t now_us);

/* "closed", "half-open" or "open"; static. */
const char *breaker_state_name(enum breaker_state state);
