/*
 * The directory that batch files go to. It is opened and checked once and then used through its
 * descriptor, so that a directory put in its place is noticed. `.commitrelay/` in it (mode 0700)
 * holds the relay's own files.
 *
 * One relay writes the files of a pipeline: `claim` makes this process the owner, and each commit
 * first checks that it still is. A relay that was overtaken completes no file. Each claim has a
 * random name, which its temporary files carry, so two relays never share one.
 *
 * Functions with `err` return RESULT_DONE or RESULT_ERROR. They may wait for the disk. Used by the
 * pipeline's thread, and by the worker while a commit runs; the struct does not change then.
 */
#pragma once

#include "base/error.h"
#include "base/slice.h"
#include <sys/types.h>

enum { FILE_NAME_SIZE = 160, FILE_OWNER_SIZE = 17 }; /* an owner: hex digits and a NUL */

struct file_dir {
    /* path is owned, pipeline is borrowed. */
    char *path;
    const char *pipeline;
    int fd, private_fd;          /* the directory and its .commitrelay; -1: not open */
    int owner_fd;                /* .commitrelay/<pipeline>.owner, as made by our claim; -1: none */
    char owner[FILE_OWNER_SIZE]; /* name of our claim; "" before it */
};

/* `init` copies the path and does no I/O; `release` closes all and frees. */
void file_dir_init(struct file_dir *d, const char *path, const char *pipeline);
void file_dir_release(struct file_dir *d);

/* Makes the directory if only its last part is missing, refuses one that is not safe (CONFIG),
 * becomes the owner, and enters: call `leave` afterwards. RETRY while another relay is completing a
 * file. `origin` says whose events they are ("" if unknown): CONFIG if the pipeline's files here
 * are of another database. */
int file_dir_claim(struct file_dir *d, const char *origin, struct error *err) MUST_CHECK;

/* Returns the error that `claim` would return for the directory itself, and changes nothing. DONE
 * also when the directory is missing but can be made. */
int file_dir_look(const struct file_dir *d, struct error *err) MUST_CHECK;

/* Opens the directory to read what lies there, without a claim: only `fd` is set. CONFIG if it is
 * not there. */
int file_dir_visit(struct file_dir *d, struct error *err) MUST_CHECK;

/* Between enter and leave no other relay claims or commits. RETRY with the code SINK_OVERTAKEN if
 * another relay is the owner now; FATAL if the directory is gone. */
int file_dir_enter(const struct file_dir *d, struct error *err) MUST_CHECK;
void file_dir_leave(const struct file_dir *d);

/* Whether our claim is still the newest. Any thread, while the directory is claimed. */
bool file_dir_owned(const struct file_dir *d);

/* Sets *err for an errno; the format says what could not be done. Disk full and other disk trouble:
 * RETRY/74; directory removed or replaced: FATAL/74; not allowed: CONFIG/77. Returns -1. */
int file_dir_error(const struct file_dir *d, struct error *err, int errnum, const char *fmt, ...)
    PRINTF_LIKE(4, 5);

/* Whether the error says that the disk or a quota of it is full. */
bool file_dir_full(const struct error *err);

/* True if the directory is no longer the one at its path. */
bool file_dir_gone(const struct file_dir *d);

/* fsync of a directory that `fd` refers to, so that renames in it are durable. */
int file_dir_sync(const struct file_dir *d, int fd, struct error *err) MUST_CHECK;

/* Writes all bytes; short and interrupted writes are continued. 0, or an errno. */
int file_write_all(int fd, struct slice bytes) MUST_CHECK;

/* Writes a small file in the directory `at`, durably; a file of that name is replaced. The caller
 * then renames it to its final name and syncs the directory. */
int file_dir_write(const struct file_dir *d, int at, const char *name, mode_t mode,
                   struct slice bytes, struct error *err) MUST_CHECK;

/* Renames within the directory, and never replaces a file. 0, or an errno (EEXIST: the name is
 * taken). */
int file_dir_place(const struct file_dir *d, const char *from, const char *to) MUST_CHECK;
