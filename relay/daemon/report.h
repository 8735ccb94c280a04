/*
 * What the daemon tells about itself: health, readiness, metrics and status, as text from plain
 * values. No secrets, no payloads, no I/O. Any thread, on its own data.
 */
#pragma once

#include "base/buf.h"
#include "base/metrics.h"
#include "pipeline/pipeline.h"

/* A pipeline's thread comes round at least once a second, unless it waits for a server, which is
 * bounded by a read_timeout (30 s); while connecting several such waits may follow each other. */
enum { REPORT_ALIVE_WITHIN_S = 45, REPORT_CONNECT_WITHIN_S = 180 };

struct report_row {
    const char *name;
    struct pipeline_status status;
    struct metrics *metrics;
    bool running;       /* its thread has not ended */
    int64_t started_us; /* monotonic: when its thread began */
    const char *store;  /* where its state is kept, for people */
};

/* Where the process is, so that commands look into the same files. Absolute paths; "": none. */
struct report_place {
    const char *config, *directory, *state_directory, *socket;
};

struct report {
    const struct report_row *rows;
    size_t count;
    int64_t started_us; /* monotonic: the process */
    int64_t now_us;     /* monotonic: when this was looked at */
    uint64_t reload_failures;
    struct report_place place;
};

/* Does this pipeline's loop still come round? True for one that has ended. */
bool report_alive(const struct report *r, const struct report_row *row);
bool report_all_alive(const struct report *r);

/* Each appends a text and returns the HTTP status that goes with it. */
int report_health(struct buf *out, const struct report *r);
int report_ready(struct buf *out, const struct report *r);
int report_metrics(struct buf *out, const struct report *r);
int report_status(struct buf *out, const struct report *r); /* JSON, one line */

/* One line for people: "2 running, 1 blocked". */
void report_summary(struct buf *out, const struct report *r);

/* All metrics, those of the process included, Markdown. */
void report_metrics_reference(struct buf *out);
