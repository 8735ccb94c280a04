/*
 * A time of the schedule at which there was nothing to send: a job for the worker thread. It makes
 * an empty file, if that is wanted, and keeps which time was served.
 *
 * The empty file of a pipeline whose next event has the number 11 is called
 * `<pipeline>-...11-...10.csv`. One that still lies there says the same already, so it is left as
 * it is. It has no part in exactly-once delivery and needs no intent.
 */
#pragma once

#include "sink/file/manifest.h"
#include "sink/file/writer.h"

struct file_quiet {
    /* All pointers are borrowed. */
    const struct file_dir *dir;
    struct file_writer *writer;
    const struct file_seal *seal; /* NULL: no manifest */
    bool empty_file;
    struct file_batch batch; /* kind, compression, owner, numbers and previous_sha256 are set */
    struct buf header;       /* what the file holds */
    int64_t served;          /* the time */
    /* As of struct file_commit. */
    int rc;
    struct error error;
};

void file_quiet_release(struct file_quiet *q);

/* Runs the job of a struct file_quiet and sets its rc. Waits for the disk. */
void file_quiet_run(void *quiet);

/* Reads which time was served last; 0 if nothing was kept. */
int64_t file_quiet_served(const struct file_dir *d);
