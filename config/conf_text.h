/*
 * Where the text of a value comes from: the file itself, the environment (${VAR}), or a secret's
 * own file.
 */
#pragma once

#include "base/arena.h"
#include "base/error.h"
#include <stdbool.h>
#include <sys/types.h>

/* Replaces each ${VAR}; `$${` stands for a literal `${`. The result is the arena's. The error text
 * names the variable, never its value; file and line are put before it by the caller. */
int conf_expand(struct slice raw, struct arena *memory, char **ret, bool *ret_expanded,
                struct error *err) MUST_CHECK;

/* The contents of a secret file without the newline at its end. Refused: what is not a regular
 * file, world-writable, empty, holds a NUL or is larger than CONF_SECRET_MAX. */
enum { CONF_SECRET_MAX = 64 * 1024 };
int conf_read_secret(const char *path, struct arena *memory, char **ret, bool *ret_world_readable,
                     struct error *err) MUST_CHECK;

/* Does a text, as written in the file, hold a password that is not a ${VAR}? Knows URLs (user:pw@)
 * and conninfo and query parameters (password=). */
bool conf_has_password(struct slice raw);

/* Refused: a file that is not regular (a FIFO would be waited for, and cannot be read again), and
 * one that anyone may write to. `what` names its kind, `risk` what anyone could do, and the remedy.
 */
int conf_check_file(int fd, const char *what, const char *path, const char *risk, mode_t *ret_mode,
                    struct error *err) MUST_CHECK;

/* Reads a file into *ret, at most `max` bytes and one more to show that it is larger. CONFIG with
 * path and errno. */
int conf_read_file(int fd, const char *path, size_t max, struct arena *memory, struct slice *ret,
                   struct error *err) MUST_CHECK;
