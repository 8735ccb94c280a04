/*
 * The commit of one file, as a job for the worker: while it runs, writer and intent are the
 * worker's.
 */
#pragma once

#include "sink/file/intent.h"
#include "sink/file/writer.h"

struct file_commit {
    const struct file_dir *dir;
    struct file_writer *writer;
    struct file_intent *intent; /* all but bytes and digest is filled */
    bool manifest;
    int rc; /* the outcome; with -1, `error` says what the pipeline should do, and the writer has no
               file */
    struct error error;
};

void file_commit_run(void *commit);
