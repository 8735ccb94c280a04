/*
 * What `status` knows of one pipeline: what is stored, what its daemon says if it answers, and what
 * the source itself shows. Plain values; pure but for status_row_look. status_text.h prints it.
 */
#pragma once

#include "cli/kit/find_relay.h"

struct status_row {
    const char *name;
    char state[24];
    struct buf source, sink; /* what they are, and where */
    struct buf detail, position, held_up, progress, store;
    struct buf problem; /* why something could not be found out; "" */
    int exit_code;      /* of the problem */
    bool locked, paused;
    bool has_since;
    char since[48]; /* as the daemon wrote it */
    uint64_t delivered;
    int64_t epoch, saved_at_us;
    int64_t pending;      /* -1: unknown */
    double lag_seconds;   /* -1: unknown */
    double rate;          /* events delivered per second; -1: unknown */
    int64_t dead_letters; /* -1: unknown */
    /* CDC; -1: unknown, or there is none */
    int64_t lag_bytes, slot_retained_bytes, slot_limit_bytes, slot_limit_s;
    bool slot_lost;
};

/* What a monitor makes of it; the values are those of `status --exit-code`. */
enum status_level { STATUS_WELL, STATUS_DEGRADED, STATUS_DOWN };

void status_row_release(struct status_row *r);

/* What the store and the source show; whatever cannot be found out is told by `problem`. */
void status_row_look(struct status_row *r, const struct config *c, const struct conf_pipeline *p,
                     const struct found_relay *f);

/* The state a stored one really means: a relay that is gone cannot be running. */
void status_row_settle(struct status_row *r, const char *stored_state, const char *stored_detail);

/* Takes over what a daemon says of this pipeline in its /status (NULL: nothing). One that is sure
 * to be the right one is believed first; else only who holds the lock. */
void status_row_merge(struct status_row *r, const json_t *daemon, bool sure);

json_t *status_row_json(const struct status_row *r);

/* `max_lag_us` 0: any lag is fine. */
enum status_level status_row_level(const struct status_row *r, int64_t max_lag_us);
