/*
 * One target and its thread: it sends the batches in their order, one after the other, and keeps
 * durably which ones were accepted (record.h). What fails is tried again for ever, with backoff;
 * after five failures in a row the breaker is open: one try each retry.max. Sending, and looking
 * what was confirmed, fail each for itself.
 *
 * The functions are called by the pipeline's thread, except _settled, which any thread may call
 * while the target exists.
 */
#pragma once

#include "contract/sink.h"
#include "sink/file/upload/sender.h"

struct upload_target;

/* Makes an idle target. `name` is borrowed, as is what `to` points to. `tell` is called by the
 * target's thread whenever a batch was accepted. */
struct upload_target *upload_target_new(const char *name, struct upload_to to,
                                        const struct sink_env *env, void (*tell)(void *ctx),
                                        void *ctx);
/* Stops the thread. NULL is fine. */
void upload_target_free(struct upload_target *t);

/* Reads the record and starts the thread. `d` is claimed, and stays so until upload_target_stop;
 * `known`: number of the pipeline's last delivery. ERROR: as upload_record_read says; FATAL/69 if
 * the target has accepted later numbers than that; RETRY if no thread can be started. */
int upload_target_start(struct upload_target *t, const struct file_dir *d, uint64_t known,
                        struct error *err) MUST_CHECK;

/* Asks the thread to end; upload_target_join waits for it, a second or two. A transfer is broken
 * off, and comes again after the next start. Both do nothing without a thread. */
void upload_target_stop(struct upload_target *t);
void upload_target_join(struct upload_target *t);

/* A batch lies complete in the folder. What was accepted before is left out. */
void upload_target_add(struct upload_target *t, const struct upload_batch *b);

/* Up to here the target has all, and has confirmed all where that is wanted. */
struct upload_mark upload_target_settled(struct upload_target *t);
void upload_target_standing(struct upload_target *t, struct sink_target *ret);
