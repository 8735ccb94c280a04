/*
 * Where relative paths of the configuration begin. Files that the relay makes (its own SQLite
 * store, the socket for commands) begin at the first directory of $STATE_DIRECTORY, which systemd
 * sets, or else at the working directory. Each function appends to `out`. Any thread.
 */
#pragma once

#include "base/buf.h"
#include "config/config.h"

/* The path as an absolute one, from the working directory on. For "": that directory with a slash
 * at its end. */
void paths_absolute(struct buf *out, const char *path);

/* The path of a file that the relay makes. Without $STATE_DIRECTORY it is `path` unchanged. */
void paths_state(struct buf *out, const char *path);

/* The absolute path of the socket for commands (`admin.socket`); nothing if none is wanted. */
void paths_socket(struct buf *out, const struct config *c);

/* The absolute path of the audit log (`audit.path`); nothing if none is wanted. */
void paths_audit(struct buf *out, const struct config *c);
