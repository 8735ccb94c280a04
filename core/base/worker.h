/*
 * A helper thread for library calls that may block, such as fsync or destroying a Kafka producer. A
 * pipeline's own thread must not block, so it hands the call to a worker and polls a descriptor for
 * its end. A worker runs one job at a time.
 *
 * All functions are called by the thread that owns the worker. From worker_submit until
 * worker_take_end says true, what the job was given belongs to the worker's thread; the owner must
 * not touch it.
 */
#pragma once

#include "base/error.h"
#include <stdbool.h>
#include <stdint.h>

struct worker;

/* Starts the thread, with all signals blocked. The caller frees *ret. ERROR as error_errno gives
 * it: RETRY when memory, descriptors or threads have run out; CONFIG for EACCES, EPERM, EROFS. */
int worker_new(struct worker **ret, struct error *err) MUST_CHECK;

/* Hands a job over: fn(arg) is called on the worker's thread. The worker must be idle (assert). */
void worker_submit(struct worker *w, void (*fn)(void *arg), void *arg);

/* Whether a job was submitted and its end was not yet taken. */
bool worker_busy(const struct worker *w);

/* A descriptor that is readable when the job has ended, -1 while the worker is idle. It stays the
 * worker's. */
int worker_fd(const struct worker *w);

/* True once after the job has ended; the worker is idle then, and what the job was given is the
 * owner's again. False while it runs, or if there is none. Does not wait. */
bool worker_take_end(struct worker *w);

/* Waits for the end of the job under way, if there is one, and takes it. NULL is fine. */
void worker_wait(struct worker *w);

/* The same, for at most so long. False: the job has not ended. */
bool worker_wait_at_most(struct worker *w, int64_t wait_us);

/* Waits for a job that was submitted, however long it takes, then ends the thread. NULL is fine. */
void worker_free(struct worker *w);

/* For jobs that may hang: the same, but waits for at most so long. False: the job is left behind.
 * When it ends, drop(arg) is called on its thread with what the job was given, and the thread ends.
 * True: what the job was given is the owner's, as after worker_free. NULL is fine. */
bool worker_end(struct worker *w, int64_t wait_us, void (*drop)(void *arg));
