/*
 * The directory that batch files go to: opened once, checked, and from then on reached through its
 * descriptor, so that nobody can put another one in its place unseen. `.commitrelay/` in it (0700)
 * is ours and not for partners.
 *
 * One relay writes a pipeline's files: `claim` makes this process the owner, and a commit first
 * makes sure that it still is. A relay that was overtaken without noticing completes no file. Each
 * claim has a name of its own, which its temporary files carry: two relays never share one.
 */
#pragma once

#include "base/error.h"
#include "base/slice.h"
#include <sys/types.h>

enum { FILE_NAME_SIZE = 160, FILE_OWNER_SIZE = 17 }; /* an owner: hex digits and a NUL */

struct file_dir {
    char *path;
    const char *pipeline;
    int fd, private_fd;          /* the directory and its .commitrelay; -1 */
    int owner_fd;                /* .commitrelay/<pipeline>.owner, as made by our claim; -1 */
    char owner[FILE_OWNER_SIZE]; /* of our claim; "" before it */
};

void file_dir_init(struct file_dir *d, const char *path, const char *pipeline);
void file_dir_release(struct file_dir *d);

/* Makes what is missing (not the parents), refuses what is unsafe, becomes the owner, and has
 * entered (leave follows). RETRY while another relay is inside. May wait for the disk. `origin` (""
 * if unknown): whose events they are; CONFIG when the pipeline's files here are of another. */
int file_dir_claim(struct file_dir *d, const char *origin, struct error *err) MUST_CHECK;

/* Looks only: what `claim` would refuse. DONE too when the directory is missing but can be made. */
int file_dir_look(const struct file_dir *d, struct error *err) MUST_CHECK;

/* Nobody else claims or commits between these two. RETRY with SINK_OVERTAKEN when another relay is
 * the owner now. */
int file_dir_enter(const struct file_dir *d, struct error *err) MUST_CHECK;
void file_dir_leave(const struct file_dir *d);

/* The error for an errno: disk full, directory gone, not allowed, or trouble with the disk. Returns
 * -1. */
int file_dir_error(const struct file_dir *d, struct error *err, int errnum, const char *fmt, ...)
    PRINTF_LIKE(4, 5);

/* Whether the directory is still the one at its path. */
bool file_dir_gone(const struct file_dir *d);

int file_dir_sync(const struct file_dir *d, int fd, struct error *err) MUST_CHECK;

/* 0, or an errno. Short and interrupted writes go on. */
int file_write_all(int fd, struct slice bytes);

/* A small file, complete and durable under a temporary name; the caller renames it and syncs the
 * directory. */
int file_dir_write(const struct file_dir *d, int at, const char *name, mode_t mode,
                   struct slice bytes, struct error *err) MUST_CHECK;

/* Renames without replacing: 0, or an errno (EEXIST: there already). */
int file_dir_place(const struct file_dir *d, const char *from, const char *to);
