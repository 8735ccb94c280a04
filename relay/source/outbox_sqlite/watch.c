/*
 * Watches the database file and its -wal file for writes, and their directory for files that
 * appear. Other files in the directory do not wake the relay.
 */
#include "source/outbox_sqlite/watch.h"

#include "base/buf.h"

#include <stdalign.h>
#include <string.h>
#include <sys/inotify.h>
#include <unistd.h>

void outbox_sqlite_watch_init(struct outbox_sqlite_watch *w)
{
    *w = (struct outbox_sqlite_watch){.fd = -1, .directory = -1, .database = -1};
}

/* The -shm file is mapped into memory and gives no events. With a rollback journal the database
 * file itself is written. */
static void watch_files(struct outbox_sqlite_watch *w)
{
    CLEANUP(buf_release) struct buf wal = {0};
    buf_printf(&wal, "%s-wal", w->path);
    w->database = inotify_add_watch(w->fd, w->path, IN_MODIFY);
    (void)inotify_add_watch(w->fd, buf_str(&wal), IN_MODIFY);
}

void outbox_sqlite_watch_start(struct outbox_sqlite_watch *w, const char *path)
{
    outbox_sqlite_watch_stop(w);
    const char *slash = strrchr(path, '/');
    w->fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
    if (w->fd < 0 || !slash) {
        return;
    }
    w->path = path;
    CLEANUP(buf_release) struct buf dir = {0};
    buf_add(&dir, path, slash == path ? 1 : (size_t)(slash - path));
    w->directory = inotify_add_watch(w->fd, buf_str(&dir), IN_CREATE | IN_MOVED_TO);
    watch_files(w);
}

void outbox_sqlite_watch_stop(struct outbox_sqlite_watch *w)
{
    if (w->fd >= 0) {
        close(w->fd);
    }
    outbox_sqlite_watch_init(w);
}

/* True if the event is about the database file or a file whose name begins with its name (-wal, for
 * example), which has just appeared. */
static bool concerns_us(const struct outbox_sqlite_watch *w, const struct inotify_event *e)
{
    const char *base = strrchr(w->path, '/') + 1;
    return e->len > 0 && strncmp(e->name, base, strlen(base)) == 0;
}

bool outbox_sqlite_watch_take(struct outbox_sqlite_watch *w)
{
    if (w->fd < 0) {
        return false;
    }
    alignas(struct inotify_event) char bytes[4096];
    bool written = false, appeared = false;
    ssize_t n;
    while ((n = read(w->fd, bytes, sizeof bytes)) > 0) {
        for (ssize_t at = 0; at < n;) {
            const struct inotify_event *e = (const void *)(bytes + at);
            if (e->wd == w->directory) {
                appeared |= concerns_us(w, e);
            } else {
                written = true;
            }
            at += (ssize_t)(sizeof *e + e->len);
        }
    }
    if (appeared) {
        watch_files(w);
    }
    return written || appeared;
}
