/*
 * Where relative paths of the configuration begin: at the first of $STATE_DIRECTORY, where there
 * is one, else at the working directory. Each function appends.
 */
#pragma once

#include "base/buf.h"
#include "config/config.h"

/* A path from the working directory on; "" is that directory itself, with a slash at its end. */
void paths_absolute(struct buf *out, const char *path);

/* A path of the relay's own files; it stays relative without $STATE_DIRECTORY. */
void paths_state(struct buf *out, const char *path);

/* The absolute path of the socket that the commands ask; nothing where none is wanted. */
void paths_socket(struct buf *out, const struct config *c);
