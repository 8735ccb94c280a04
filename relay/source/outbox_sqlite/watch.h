/*
 * Notices writes to a database file and its -wal through inotify: an accelerator only. A write is
 * seen before its commit is visible, and some file systems tell nothing, so the timed poll goes on
 * beside it. One thread.
 */
#pragma once

#include <stdbool.h>

struct outbox_sqlite_watch {
    int fd; /* -1: cannot be had, the timer alone must do */
    int directory, database;
    const char *path; /* borrowed: the database file, absolute */
};

void outbox_sqlite_watch_init(struct outbox_sqlite_watch *w); /* nothing watched */
void outbox_sqlite_watch_start(struct outbox_sqlite_watch *w, const char *path);
void outbox_sqlite_watch_stop(struct outbox_sqlite_watch *w);

/* True if something was written since the last call. Never waits. */
bool outbox_sqlite_watch_take(struct outbox_sqlite_watch *w);
