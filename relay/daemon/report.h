/*
 * The pages of the daemon: health, readiness, metrics and status. Each is text that is made from
 * the values of a struct report. No I/O; never a password or a payload. Any thread, with its own
 * data.
 */
#pragma once

#include "base/buf.h"
#include "base/metrics.h"
#include "pipeline/pipeline.h"
#include <jansson.h>

/* A pipeline whose loop did not come round for so long is stuck. Normally it comes round once a
 * second. It may wait for a server, for at most a read_timeout (30 s by default); while it
 * connects, several such waits may follow each other. */
enum { REPORT_ALIVE_WITHIN_S = 45, REPORT_CONNECT_WITHIN_S = 180 };

struct report_row {
    const char *name, *part; /* part: a shard of a divided pipeline, else STORE_WHOLE */
    struct pipeline_status status;
    struct metrics *metrics;
    bool running;       /* its thread has not ended */
    int64_t started_us; /* monotonic: when its thread began */
    const char *store;  /* where its state is kept, for people */
};

/* Where the process runs. Commands read it from /status, to use the same files. Absolute paths; "":
 * none. Borrowed. */
struct report_place {
    const char *config, *directory, *state_directory, *socket;
};

struct report {
    const struct report_row *rows;
    size_t count;
    int64_t started_us;       /* monotonic: the process */
    int64_t started_wall_us;  /* the same by the wall clock, which may have been set since */
    int64_t now_us;           /* monotonic: when these values were read */
    uint64_t reload_failures; /* reloads that were refused because of a mistake */
    struct report_place place;
    json_t *consumers; /* for report_status: a list, borrowed; NULL: none */
};

/* Appends the name for people and as a key: the pipeline, and of a divided one the part. */
void report_row_name(struct buf *out, const struct report_row *row);

/* True unless this pipeline is stuck: its loop came round not long ago, or it has ended. */
bool report_alive(const struct report *r, const struct report_row *row);
bool report_all_alive(const struct report *r);

/* Each appends a page and returns its HTTP status. 503 of report_health: a pipeline is stuck. 503
 * of report_ready: a pipeline is stuck, or neither running, paused nor waiting for its lock. */
int report_health(struct buf *out, const struct report *r);
int report_ready(struct buf *out, const struct report *r);
int report_metrics(struct buf *out, const struct report *r);
int report_status(struct buf *out, const struct report *r); /* JSON, one line */

/* The object that report_status prints, for who adds to it. The caller's. */
json_t *report_json(const struct report *r);

/* Appends one line for people: "2 running, 1 blocked". */
void report_summary(struct buf *out, const struct report *r);

/* Appends the table of all metrics, also those of the process, as Markdown. */
void report_metrics_reference(struct buf *out);
