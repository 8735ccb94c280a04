/*
 * What `status` knows of one pipeline: what is stored, what its daemon says if it answers, and what
 * the source itself shows. Only status_row_look does I/O. status_text.h prints it. One thread; no
 * function returns an error. What could not be found out is told in `at.problem`, or on stderr if
 * the store cannot be opened.
 */
#pragma once

#include "cli/kit/find_relay.h"
#include "daemon/standing.h"

struct status_row {
    struct standing at; /* its texts live in `texts`, or are constants */
    struct arena texts;
    json_t *targets; /* as the daemon lists them; NULL: it did not */
    int exit_code;   /* of at.problem */
};

/* The verdict for a monitor; the values are the exit codes of `status --exit-code`. */
enum status_level { STATUS_WELL, STATUS_DEGRADED, STATUS_DOWN };

/* What a row is about: a pipeline, or a shard of a divided one. */
struct status_of {
    const struct conf_pipeline *conf;
    char part[PART_SIZE];
};
/* One for each pipeline of the file, in its order, and for each shard. Returns how many; *ret is
 * the caller's (free). */
size_t status_rows_of(const struct config *c, struct status_of **ret);

/* Nothing is known of this pipeline yet. `name` and `part` outlive it. */
void status_row_init(struct status_row *r, const char *name, const char *part);
void status_row_release(struct status_row *r);

/* Begins a row with what the store and the source show; whatever cannot be found out is told by
 * its `problem`. `of` outlives the row. */
void status_row_look(struct status_row *r, const struct config *c, const struct status_of *of,
                     const struct found_relay *f);

/* Sets the state from the stored one. A stored state counts only while a relay holds the lock;
 * without one the pipeline is stopped, whatever its last relay stored. */
void status_row_settle(struct status_row *r, const char *stored_state, const char *stored_detail);

/* Takes over what a daemon says of this pipeline in its /status (NULL: nothing). One that is sure
 * to be the right one is believed first; else only who holds the lock. */
void status_row_merge(struct status_row *r, const json_t *daemon, bool sure);

/* Begins a row with what a daemon says alone: nothing else is asked. NULL: it says nothing of this
 * pipeline, whose state is "unknown" then. */
void status_row_told(struct status_row *r, const char *name, const char *part,
                     const json_t *daemon);

/* The row as `status --json` prints it; the caller's. */
json_t *status_row_json(const struct status_row *r);

/* `max_lag_us`: a longer lag is degraded; 0: any lag is fine. */
enum status_level status_row_level(const struct status_row *r, int64_t max_lag_us);
