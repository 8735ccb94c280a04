/*
 * Notices writes to a database file and its -wal file through inotify. This only makes reading
 * faster and cannot replace the timed poll: a write is seen before its commit is visible, and some
 * file systems report nothing. Nothing here fails or waits. One thread.
 */
#pragma once

#include <stdbool.h>

struct outbox_sqlite_watch {
    int fd; /* -1: inotify is not available, and only the timer is left */
    /* Watch descriptors of the directory and of the database file. */
    int directory, database;
    const char *path; /* borrowed: the database file, absolute */
};

void outbox_sqlite_watch_init(struct outbox_sqlite_watch *w); /* nothing is watched yet */
/* Begins to watch; `path` is borrowed until `stop`. */
void outbox_sqlite_watch_start(struct outbox_sqlite_watch *w, const char *path);
void outbox_sqlite_watch_stop(struct outbox_sqlite_watch *w);

/* True if something was written since the last call. Never waits. */
bool outbox_sqlite_watch_take(struct outbox_sqlite_watch *w);
