/*
 * Gets the text of a value from outside the configuration file: from the environment (${VAR}) or
 * from a file with a secret. Sizes are limited, and no error text holds a value.
 *
 * Texts and slices lie in `memory`. Functions that can fail return RESULT_DONE or RESULT_ERROR,
 * always CONFIG. They may read files, but they do not wait for a FIFO. Any thread, as long as no
 * other one changes the environment.
 */
#pragma once

#include "base/arena.h"
#include "base/error.h"
#include <stdbool.h>
#include <sys/types.h>

/* Replaces each ${VAR}; `$${` stands for a literal `${`. *ret_expanded: there was a ${VAR}. An
 * error names the variable, never its value; the caller puts file and line before it. CONFIG for a
 * variable that is not set. */
int conf_expand(struct slice raw, struct arena *memory, char **ret, bool *ret_expanded,
                struct error *err) MUST_CHECK;

/* The contents of a secret file without the newline at its end. CONFIG for a file that cannot be
 * read, is not regular, is world-writable or empty, holds a NUL, or is larger than CONF_SECRET_MAX.
 * *ret_world_readable: others may read it, which deserves a warning. */
/* The largest secret, in bytes. */
enum { CONF_SECRET_MAX = 64 * 1024 };
int conf_read_secret(const char *path, struct arena *memory, char **ret, bool *ret_world_readable,
                     struct error *err) MUST_CHECK;

/* Whether a text, as it stands in the file, holds a password that is not a ${VAR}. Knows URLs
 * (user:pw@) and conninfo and query parameters (password=). `raw` must be followed by a NUL. */
bool conf_has_password(struct slice raw);

/* Refuses an open file that is not regular (a FIFO would block the reader, and cannot be read
 * again), and one that anyone may write to. `what` names the kind of file; `risk` completes "anyone
 * could ..." and names the remedy. */
int conf_check_file(int fd, const char *what, const char *path, const char *risk, mode_t *ret_mode,
                    struct error *err) MUST_CHECK;

/* Reads a file into *ret and stops once it has more than `max` bytes: the caller refuses it then by
 * its length. CONFIG with path and errno. */
int conf_read_file(int fd, const char *path, size_t max, struct arena *memory, struct slice *ret,
                   struct error *err) MUST_CHECK;
