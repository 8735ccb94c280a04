/*
 * Opens a requested snapshot without waiting: connecting, planning and judging its predicate take
 * many answers of the server, so a thread of their own waits for them. Until it is open the source
 * reads nothing of the stream, or it would miss the snapshot's first watermark.
 *
 * All calls on the pipeline's thread.
 */
#pragma once

#include "cdc/snapshot/snapshot.h"

struct opening;

/* Begins. What *opt points to must outlive the snapshot; opt->request and opt->state are copied.
 * RETRY: no thread can be had. */
int opening_begin(const struct snapshot_options *opt, struct opening **ret,
                  struct error *err) MUST_CHECK;
/* AGAIN: not yet. Else *o is freed and NULL, and the answer is that of snapshot_open. */
int opening_take(struct opening **o, struct snapshot **ret, struct error *err) MUST_CHECK;
void opening_poll_fds(const struct opening *o, struct poll_set *set);
/* Gives it up. Waits for the thread: each of its waits is bounded by connect_timeout or
 * read_timeout and ends once opt->stop_fd is readable. NULL is fine. */
void opening_end(struct opening *o);
