/*
 * The commit of a batch file, which runs on the worker. It has three outcomes: the batch is in
 * place; nothing is left of it; or it is not known which. In the third case the pipeline ends, and
 * all files stay for the next start, which finds out.
 */
#include "sink/file/commit.h"

#include "base/fault.h"
#include <stdio.h>

/* The text of a full disk says that the relay goes on by itself. Here it does not. Some file
 * systems (NFS, btrfs) notice only at the fsync of a directory that there is no room. */
static int undecided_and_full(struct file_commit *c)
{
    char code[sizeof c->error.code];
    snprintf(code, sizeof code, "%s", c->error.code);
    error_exit(
        &c->error, ERROR_FATAL, EXIT_CODE_IO, "file",
        "disk full: a batch file was being put in place in %s; free space there, then start the relay again, which finishes it or finds it done",
        c->dir->path);
    return error_code(&c->error, code);
}

/* It is not known whether the batch is in place durably. The temporary file and the intent stay,
 * and the next start looks at them. */
static int undecided(struct file_commit *c)
{
    file_writer_leave(c->writer);
    if (file_dir_full(&c->error)) {
        return undecided_and_full(c);
    }
    c->error.class = ERROR_FATAL;
    c->error.exit_code = EXIT_CODE_IO;
    return error_prefix(
        &c->error,
        "a batch file was being put in place when the disk failed; start the relay again, which finishes it or finds it done");
}

static int give_up(struct file_commit *c)
{
    file_writer_discard(c->writer);
    return RESULT_ERROR;
}

/* When the file may be thrown away after a failure: before the intent has its name, yes; after the
 * data has its final name, no. In between the intent must be removed first, because it promises the
 * file. */
static int make_true(struct file_commit *c)
{
    bool promised = false, placed = false;
    struct error undo;
    if (file_batch_refuse_other(&c->intent->batch, c->dir, &c->error)) {
        return give_up(c);
    }
    int rc = file_intent_write(c->intent, c->dir, &promised, &c->error);
    if (rc == RESULT_DONE) {
        fault_point("file_after_intent");
        rc = file_batch_place(&c->intent->batch, c->dir, &placed, &c->error);
    }
    if (rc == RESULT_DONE) {
        rc = file_intent_finish(c->dir, &c->error);
    }
    if (rc == RESULT_DONE) {
        file_writer_leave(c->writer);
        return RESULT_DONE;
    }
    if (placed || (promised && file_intent_undo(c->dir, &undo))) {
        return undecided(c);
    }
    return give_up(c);
}

/* Completes the temporary file, and with it all that the intent will say of it. */
static int complete(struct file_commit *c)
{
    struct file_batch *b = &c->intent->batch;
    struct file_written written;
    if (file_writer_finish(c->writer, &written, &c->error)) {
        return RESULT_ERROR;
    }
    b->bytes = written.bytes;
    memcpy(b->sha256, written.sha256, sizeof b->sha256);
    memcpy(b->hmac_sha256, written.hmac, sizeof b->hmac_sha256);
    return c->seal ? file_manifest_make(b, c->dir->pipeline, c->seal, &c->error) : RESULT_DONE;
}

static int run(struct file_commit *c)
{
    if (complete(c)) {
        return give_up(c);
    }
    fault_point("file_after_fsync");
    if (file_dir_enter(c->dir, &c->error)) {
        return give_up(c);
    }
    int rc = make_true(c);
    file_dir_leave(c->dir);
    return rc;
}

void file_commit_run(void *commit)
{
    struct file_commit *c = commit;
    c->rc = run(c);
}
