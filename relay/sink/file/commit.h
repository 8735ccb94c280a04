/*
 * The commit of one file, a job for the worker thread. While it runs, writer and intent belong to
 * the worker; the pipeline's thread reads the outcome after the job has ended.
 */
#pragma once

#include "sink/file/intent.h"
#include "sink/file/manifest.h"
#include "sink/file/writer.h"

struct file_commit {
    /* All pointers are borrowed. */
    const struct file_dir *dir;
    struct file_writer *writer;
    struct file_intent *intent;   /* filled, except the batch's bytes, digests and manifest */
    const struct file_seal *seal; /* NULL: no manifest */
    /* RESULT_DONE: the batch is in place. RESULT_ERROR: `error` says why, and the writer has no
     * file any more. RETRY, CONFIG: nothing was put in place, and the events can be sent again.
     * FATAL/74: the batch's name is taken, or it is not known what became of the batch; then the
     * next start finds out. */
    int rc;
    struct error error;
};

/* Runs the commit of a struct file_commit and sets its rc. Waits for the disk. */
void file_commit_run(void *commit);
