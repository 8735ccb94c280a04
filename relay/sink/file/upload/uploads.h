/*
 * All that happens to a batch file after it lies complete in its folder: each target of `upload`
 * and the command of `on_complete` gets it, and once all have it and it is old enough (`keep_for`),
 * it is removed. Every target has a thread and a record of its own, so one that is down holds up
 * nothing but itself and the removal, and none ever delays the pipeline.
 *
 * The pipeline's thread calls all functions.
 */
#pragma once

#include "contract/sink.h"
#include "sink/file/conf.h"
#include "sink/file/upload/batch.h"

struct file_uploads;

/* NULL if there is nothing to do. `c` and `env` outlive it; `c` has passed file_conf_check. */
struct file_uploads *file_uploads_new(const struct file_conf *c, const struct sink_env *env);
void file_uploads_free(struct file_uploads *u);

/* Looks which files lie in the folder and goes on from what the records say. `d` is claimed; it
 * must not change before file_uploads_stop. `known`: number of the pipeline's last delivery. Waits
 * for the disk. FATAL/69 for a record that is damaged or goes further, RETRY and others as
 * file_dir_error says. All of these take NULL, too. */
int file_uploads_start(struct file_uploads *u, const struct file_dir *d, uint64_t known,
                       struct error *err) MUST_CHECK;

/* Breaks off what is under way; waits a second or two for it. */
void file_uploads_stop(struct file_uploads *u);

/* The batch was put in place. */
void file_uploads_placed(struct file_uploads *u, const struct file_batch *b);

/* For `check --connect`: reports each target of `c` that does not answer, is not the one that was
 * meant, or does not let us in. Waits for the network; the caller's thread. */
void file_uploads_check(const struct file_conf *c, finding_report *report, void *ctx);

/* As sink_ops.targets. */
size_t file_uploads_targets(struct file_uploads *u, struct sink_target out[SINK_TARGETS_MAX]);
