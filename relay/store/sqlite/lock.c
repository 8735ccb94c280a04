/*
 * One relay per pipeline: takes a lock (flock) on a file of its own beside the database. The kernel
 * drops the lock when the process dies. The database file itself cannot carry it: opening and
 * closing that file outside SQLite would drop SQLite's own locks.
 */
#include "store/sqlite/internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

static void lock_path(const struct store_sqlite *s, struct buf *out)
{
    buf_printf(out, "%s-commitrelay-%s%s%s.lock", sqlite_path(s->db), s->env->pipeline,
               s->env->part[0] ? "." : "", s->env->part);
}

/* The pid that the holder wrote into the file; 0 if it is just being written. */
static long holder(int fd)
{
    char text[24] = "";
    ssize_t n = pread(fd, text, sizeof text - 1, 0);
    return n > 0 ? strtol(text, NULL, 10) : 0;
}

static int busy(struct store_sqlite *s, const char *path, int fd, struct error *err)
{
    error_set(err, ERROR_RETRY, "sqlite",
              "another relay runs pipeline \"%s\" on \"%s\" (pid %ld holds %s); stop one of them",
              s->env->pipeline, s->path, holder(fd), path);
    error_code(err, "locked");
    return RESULT_AGAIN;
}

/* Writing the pid empties the file. If somebody put a hard link there, this would empty the file it
 * leads to, so a lock file with a second name is refused. */
static int check_lock_file(int fd, const char *path, struct error *err)
{
    struct stat st;
    if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_nlink == 1) {
        return RESULT_DONE;
    }
    return error_exit(
        err, ERROR_CONFIG, EXIT_CODE_PERMISSION, "sqlite",
        "lock file \"%s\" is a second name of another file, or no file, so that it is not written to; see who put it there, and remove it",
        path);
}

static int note_pid(int fd, const char *path, struct error *err)
{
    char text[24];
    int n = snprintf(text, sizeof text, "%ld\n", (long)getpid());
    if (ftruncate(fd, 0) != 0 || pwrite(fd, text, (size_t)n, 0) != n) {
        return error_errno(err, "sqlite", errno, "lock file \"%s\" cannot be written", path);
    }
    return RESULT_DONE;
}

int store_sqlite_lock(struct store_sqlite *s, struct error *err)
{
    if (s->lock_fd >= 0) {
        return RESULT_DONE;
    }
    CLEANUP(buf_release) struct buf path = {0};
    lock_path(s, &path);
    int fd = open(buf_str(&path), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0660);
    if (fd < 0) {
        return error_errno(
            err, "sqlite", errno,
            "lock file \"%s\" cannot be opened; the relay must be able to make files beside its database",
            buf_str(&path));
    }
    int r = check_lock_file(fd, buf_str(&path), err);
    if (r == RESULT_DONE && flock(fd, LOCK_EX | LOCK_NB) != 0) {
        r = errno == EWOULDBLOCK
                ? busy(s, buf_str(&path), fd, err)
                : error_errno(err, "sqlite", errno, "lock file \"%s\"", buf_str(&path));
    } else if (r == RESULT_DONE) {
        r = note_pid(fd, buf_str(&path), err);
    }
    if (r) {
        close(fd);
        return r;
    }
    s->lock_fd = fd;
    return RESULT_DONE;
}

int store_sqlite_lock_held(struct store_sqlite *s, struct store_position *ret, struct error *err)
{
    CLEANUP(buf_release) struct buf path = {0};
    lock_path(s, &path);
    int fd = open(buf_str(&path), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (fd < 0) {
        if (errno != ENOENT) {
            return error_errno(err, "sqlite", errno, "lock file \"%s\" cannot be opened",
                               buf_str(&path));
        }
        ret->locked = false;
        ret->holder[0] = '\0';
        return RESULT_DONE;
    }
    ret->locked = flock(fd, LOCK_SH | LOCK_NB) != 0 && errno == EWOULDBLOCK;
    ret->holder[0] = '\0';
    if (ret->locked) {
        snprintf(ret->holder, sizeof ret->holder, "pid %ld", holder(fd));
    }
    close(fd);
    return RESULT_DONE;
}

void store_sqlite_unlock(struct store_sqlite *s)
{
    if (s->lock_fd >= 0) {
        close(s->lock_fd);
        s->lock_fd = -1;
    }
}
