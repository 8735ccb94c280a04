/*
 * A circuit breaker: after too many failures among the last outcomes nothing is sent for a while;
 * then one event is tried (half-open), and its fate decides. (M. Nygard, Release It!, "Circuit
 * Breaker".) Pure; the caller brings the time.
 */
#pragma once

#include "config/config.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum breaker_state { BREAKER_CLOSED, BREAKER_HALF_OPEN, BREAKER_OPEN };

struct breaker {
    size_t window;
    double failure_ratio;
    int64_t open_for_us;
    enum breaker_state state;
    int64_t open_until_us;
    bool failed[CONF_BREAKER_WINDOW_MAX]; /* ring of the last outcomes */
    size_t outcomes, failures, pos;
};

void breaker_init(struct breaker *b, size_t window, double failure_ratio, int64_t open_for_us);

/* May something be sent now? Moves from open to half-open when the time has come. */
bool breaker_allows(struct breaker *b, int64_t now_us);
void breaker_success(struct breaker *b);
void breaker_failure(struct breaker *b, int64_t now_us);
const char *breaker_state_name(enum breaker_state state);
