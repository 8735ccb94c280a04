/*
 * A pipeline's source as commands use it: to look, never to mark, delete or store anything.
 */
#pragma once

#include "config/config.h"
#include "contract/source.h"
#include "message/encode.h"
#include "message/route.h"

struct cli_source {
    const struct source_ops *ops;
    const struct conf_pipeline *conf;
    void *source;
    struct route *route;
    struct encode_conf encode;
    struct source_env env;
};

/* Opens without I/O. Larger payloads than max_event_bytes are not fetched; 0: no limit. `ret` must
 * stay where it is until released. */
int cli_source_open(struct cli_source *ret, const struct conf_pipeline *p, size_t max_event_bytes,
                    int stop_fd, struct error *err) MUST_CHECK;
void cli_source_release(struct cli_source *s); /* for CLEANUP: start from {0} */

/* What the relay makes of an event before it is sent, up to what a message alone needs. POISON. */
int cli_source_prepare(const struct cli_source *s, struct batch *batch, struct event *e,
                       struct error *err) MUST_CHECK;

/* Waits until there may be something to read; AGAIN once `deadline_us` has passed or stop_fd is
 * readable. */
int cli_source_wait(struct cli_source *s, int64_t deadline_us, struct error *err) MUST_CHECK;

/* As the contract's read, but waits: AGAIN only once `deadline_us` (monotonic) has passed or
 * stop_fd is readable. */
int cli_source_read(struct cli_source *s, struct batch *batch, size_t max_events, size_t max_bytes,
                    int64_t deadline_us, struct error *err) MUST_CHECK;

/* The event position inside a cursor, for people; "" for an empty one. */
void cli_source_describe(const struct source_ops *ops, struct slice cursor, struct buf *out);
