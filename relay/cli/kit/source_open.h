/*
 * A pipeline's source as commands use it: opened with `observe` set, to look only. Commands never
 * mark rows as done, delete rows or store a cursor with it. One thread per source.
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
    struct mask *mask;
    struct column_rules *columns;
    struct encode_conf encode;
    struct source_env env;
};

/* Opens without I/O. Payloads larger than max_event_bytes are not fetched; 0: no limit. stop_fd: -1
 * or a descriptor that ends waiting. DONE or ERROR; `ret` is released in both cases and must not be
 * moved until then. */
int cli_source_open(struct cli_source *ret, const struct conf_pipeline *p, size_t max_event_bytes,
                    int stop_fd, struct error *err) MUST_CHECK;
/* The same for a range, which `replay` would read; it outlives the source. */
int cli_source_open_range(struct cli_source *ret, const struct conf_pipeline *p,
                          const struct source_range *range, size_t max_event_bytes, int stop_fd,
                          struct error *err) MUST_CHECK;
void cli_source_release(struct cli_source *s); /* for CLEANUP: start from {0} */

/* Masks, encodes, routes and adds headers as the relay does before it sends the event; memory comes
 * from the batch's arena. ERROR, class POISON: no message can be made of this event. */
int cli_source_prepare(const struct cli_source *s, struct batch *batch, struct event *e,
                       struct error *err) MUST_CHECK;

/* Waits until there may be something to read (DONE). AGAIN once `deadline_us` (monotonic) has
 * passed or stop_fd is readable; ERROR from the source. */
int cli_source_wait(struct cli_source *s, int64_t deadline_us, struct error *err) MUST_CHECK;

/* As the contract's read, but waits: AGAIN only once `deadline_us` (monotonic) has passed or
 * stop_fd is readable. */
int cli_source_read(struct cli_source *s, struct batch *batch, size_t max_events, size_t max_bytes,
                    int64_t deadline_us, struct error *err) MUST_CHECK;

/* Appends the position inside a cursor as people read it; nothing for an empty cursor. */
void cli_source_describe(const struct source_ops *ops, struct slice cursor, struct buf *out);
