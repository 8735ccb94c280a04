/*
 * A helper thread for library calls that may block (fsync, destroying a producer): one job at a
 * time, the pipeline polls a descriptor for its end. While a job runs, what it was given belongs to
 * the worker's thread alone.
 */
#pragma once

#include "base/error.h"
#include <stdbool.h>

struct worker;

/* Starts the thread; all signals are blocked in it. RETRY when no thread can be had. */
int worker_new(struct worker **ret, struct error *err) MUST_CHECK;

/* Hands a job over; the worker must be idle. The job runs as fn(arg) on the worker's thread. */
void worker_submit(struct worker *w, void (*fn)(void *arg), void *arg);

bool worker_busy(const struct worker *w); /* a job was submitted and its end not yet taken */
int worker_fd(const struct worker *w);    /* readable when the job has ended; -1 while idle */

/* True once, after the job has ended; then the worker is idle again. */
bool worker_take_end(struct worker *w);

/* Waits for the job that runs, then ends the thread. NULL is fine. */
void worker_free(struct worker *w);
