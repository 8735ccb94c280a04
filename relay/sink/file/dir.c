/*
 * Opens and checks the directory of batch files and its owner file. Refuses a directory that
 * everyone may write to, that is a symbolic link, or in which another relay is just completing a
 * file of the pipeline.
 */
#include "sink/file/dir.h"

#include "base/memory.h"
#include "contract/sink.h"
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#define PRIVATE_DIR ".commitrelay"
enum { DIR_FLAGS = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC };

static void cleanup_fd(int *fd)
{
    if (*fd >= 0) {
        close(*fd);
    }
}

static void drop_fd(int *fd)
{
    cleanup_fd(fd);
    *fd = -1;
}

void file_dir_init(struct file_dir *d, const char *path, const char *pipeline)
{
    *d = (struct file_dir){.path = memory_need(strdup(path)),
                           .pipeline = pipeline,
                           .fd = -1,
                           .private_fd = -1,
                           .owner_fd = -1};
    /* With a slash at the end, open would follow a symbolic link in spite of O_NOFOLLOW. */
    for (size_t n = strlen(d->path); n > 1 && d->path[n - 1] == '/'; n--) {
        d->path[n - 1] = '\0';
    }
}

static void close_all(struct file_dir *d)
{
    drop_fd(&d->fd);
    drop_fd(&d->private_fd);
    drop_fd(&d->owner_fd);
}

void file_dir_release(struct file_dir *d)
{
    close_all(d);
    free(d->path);
    d->path = NULL;
}

bool file_dir_gone(const struct file_dir *d)
{
    struct stat by_path, by_fd;
    return stat(d->path, &by_path) != 0 || fstat(d->fd, &by_fd) != 0 ||
           by_path.st_dev != by_fd.st_dev || by_path.st_ino != by_fd.st_ino;
}

int file_dir_error(const struct file_dir *d, struct error *err, int errnum, const char *fmt, ...)
{
    char what[256];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(what, sizeof what, fmt, ap);
    va_end(ap);
    if (errnum == ENOSPC || errnum == EDQUOT) {
        return error_errno(err, "file", errnum,
                           "disk full: cannot %s in %s; free space there, the relay then goes on",
                           what, d->path);
    }
    if ((errnum == ENOENT || errnum == ESTALE) && file_dir_gone(d)) {
        return error_exit(
            err, ERROR_FATAL, EXIT_CODE_IO, "file",
            "cannot %s: the directory %s was removed or replaced while the relay wrote to it; put it back, then start the relay again",
            what, d->path);
    }
    if (errnum == EACCES || errnum == EPERM || errnum == EROFS) {
        return error_errno(err, "file", errnum,
                           "cannot %s in %s; give the relay's user write access to it", what,
                           d->path);
    }
    return error_errno(err, "file", errnum, "cannot %s in %s; check the disk and its mount", what,
                       d->path);
}

bool file_dir_full(const struct error *err)
{
    return error_is(err, "ENOSPC") || error_is(err, "EDQUOT");
}

int file_dir_sync(const struct file_dir *d, int fd, struct error *err)
{
    return fsync(fd) ? file_dir_error(d, err, errno, "sync the directory's entries") : RESULT_DONE;
}

int file_write_all(int fd, struct slice bytes)
{
    while (bytes.len > 0) {
        ssize_t n = write(fd, bytes.ptr, bytes.len);
        if (n < 0 && errno != EINTR) {
            return errno;
        }
        if (n > 0) {
            bytes.ptr += n;
            bytes.len -= (size_t)n;
        }
    }
    return 0;
}

int file_dir_write(const struct file_dir *d, int at, const char *name, mode_t mode,
                   struct slice bytes, struct error *err)
{
    if (unlinkat(at, name, 0) && errno != ENOENT) {
        return file_dir_error(d, err, errno, "replace %s", name);
    }
    int fd = openat(at, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, mode);
    if (fd < 0) {
        return file_dir_error(d, err, errno, "create %s", name);
    }
    int failed = file_write_all(fd, bytes);
    if (!failed && fsync(fd)) {
        failed = errno;
    }
    if (close(fd) && !failed) {
        failed = errno;
    }
    if (failed) {
        unlinkat(at, name, 0);
        return file_dir_error(d, err, failed, "write %s", name);
    }
    return RESULT_DONE;
}

int file_dir_place(const struct file_dir *d, const char *from, const char *to)
{
    if (renameat2(d->fd, from, d->fd, to, RENAME_NOREPLACE) == 0) {
        return 0;
    }
    if (errno != EINVAL && errno != ENOSYS) {
        return errno;
    }
    /* The file system does not know this flag (NFS): link and unlink do the same in two steps. */
    if (linkat(d->fd, from, d->fd, to, 0)) {
        return errno;
    }
    unlinkat(d->fd, from,
             0); /* if this fails, the batch has a second name, which the next start removes */
    return 0;
}

static bool in_group(gid_t gid)
{
    gid_t groups[NGROUPS_MAX];
    int n = getgroups(NGROUPS_MAX, groups);
    bool found = gid == getegid();
    for (int i = 0; i < n; i++) {
        found = found || groups[i] == gid;
    }
    return found;
}

/* A directory of another owner is fine if that owner lets us write (a group, an ACL). Root may
 * write in any case, also into a directory whose owner could then replace the files. */
static int check_owner(const struct file_dir *d, const struct stat *st, struct error *err)
{
    if (geteuid() != 0 || st->st_uid == 0 || (st->st_mode & S_IWGRP && in_group(st->st_gid))) {
        return RESULT_DONE;
    }
    return error_exit(
        err, ERROR_CONFIG, EXIT_CODE_PERMISSION, "file",
        "sink.dir %s belongs to uid %ld, who lets root write there by no group: run the relay as that user, or chown it",
        d->path, (long)st->st_uid);
}

static int check_open_dir(const struct file_dir *d, int fd, struct error *err)
{
    struct stat st;
    if (fstat(fd, &st)) {
        return file_dir_error(d, err, errno, "look at the directory");
    }
    if (st.st_mode & S_IWOTH) {
        return error_set(
            err, ERROR_CONFIG, "file",
            "sink.dir %s is writable for everyone: anyone could plant batch files there; chmod o-w it or choose another",
            d->path);
    }
    if (faccessat(fd, ".", W_OK | X_OK, AT_EACCESS)) {
        return file_dir_error(d, err, errno, "write batch files");
    }
    return check_owner(d, &st, err);
}

/* Nobody else may write in `.commitrelay`: its files decide what counts as delivered. */
static int check_private(const struct file_dir *d, int fd, struct error *err)
{
    struct stat st;
    if (fstat(fd, &st)) {
        return file_dir_error(d, err, errno, "look at " PRIVATE_DIR);
    }
    if (st.st_uid != geteuid()) {
        return error_exit(
            err, ERROR_CONFIG, EXIT_CODE_PERMISSION, "file",
            "%s/" PRIVATE_DIR
            " belongs to uid %ld, not to the relay's user (uid %ld): run the relay as that user, or chown -R it",
            d->path, (long)st.st_uid, (long)geteuid());
    }
    if (st.st_mode & (S_IWGRP | S_IWOTH)) {
        return error_set(
            err, ERROR_CONFIG, "file",
            "%s/" PRIVATE_DIR
            " is writable for others, who could change what counts as delivered; see that nobody did, then chmod 700 it",
            d->path);
    }
    return RESULT_DONE;
}

static int open_failed(const struct file_dir *d, int errnum, struct error *err)
{
    if (errnum == ELOOP || errnum == ENOTDIR) {
        struct stat st;
        bool link = lstat(d->path, &st) == 0 && S_ISLNK(st.st_mode);
        return error_set(err, ERROR_CONFIG, "file", "sink.dir %s is %s; name the directory itself",
                         d->path,
                         link ? "a symbolic link, which is not followed" : "not a directory");
    }
    if (errnum == ENOENT) {
        return error_set(
            err, ERROR_CONFIG, "file",
            "sink.dir %s cannot be made: its parent directory does not exist; make it first",
            d->path);
    }
    return file_dir_error(d, err, errnum, "open the directory");
}

static void parent_of(const struct file_dir *d, char out[PATH_MAX])
{
    snprintf(out, PATH_MAX, "%s", d->path);
    char *slash = strrchr(out, '/');
    if (!slash) {
        snprintf(out, PATH_MAX, ".");
    } else {
        slash[slash == out ? 1 : 0] = '\0';
    }
}

static int sync_parent(const struct file_dir *d, struct error *err)
{
    char path[PATH_MAX];
    parent_of(d, path);
    CLEANUP(cleanup_fd) int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0 || fsync(fd)) {
        return error_errno(err, "file", errno, "cannot sync %s after making %s in it", path,
                           d->path);
    }
    return RESULT_DONE;
}

static int open_dir(struct file_dir *d, struct error *err)
{
    if (mkdir(d->path, 0750) == 0) {
        if (sync_parent(d, err)) {
            return RESULT_ERROR;
        }
    } else if (errno != EEXIST) {
        return open_failed(d, errno, err);
    }
    d->fd = open(d->path, DIR_FLAGS);
    return d->fd < 0 ? open_failed(d, errno, err) : check_open_dir(d, d->fd, err);
}

/* Opens and checks `.commitrelay`; *ret_fd is -1 if there is none yet. */
static int look_private(const struct file_dir *d, int dir, int *ret_fd, struct error *err)
{
    *ret_fd = openat(dir, PRIVATE_DIR, DIR_FLAGS);
    if (*ret_fd >= 0) {
        return check_private(d, *ret_fd, err);
    }
    if (errno == ELOOP || errno == ENOTDIR) {
        return error_set(
            err, ERROR_CONFIG, "file",
            "%s/" PRIVATE_DIR
            " is a symbolic link or a file, where the relay needs a directory of its own; see who put it there, and remove it",
            d->path);
    }
    return errno == ENOENT ? RESULT_DONE : file_dir_error(d, err, errno, "open " PRIVATE_DIR);
}

static int open_private(struct file_dir *d, struct error *err)
{
    if (mkdirat(d->fd, PRIVATE_DIR, 0700) == 0) {
        if (file_dir_sync(d, d->fd, err)) {
            return RESULT_ERROR;
        }
    } else if (errno != EEXIST) {
        return file_dir_error(d, err, errno, "make " PRIVATE_DIR);
    }
    return look_private(d, d->fd, &d->private_fd, err);
}

static void owner_name(const struct file_dir *d, const char *suffix, char out[FILE_NAME_SIZE])
{
    snprintf(out, FILE_NAME_SIZE, "%s.owner%s", d->pipeline, suffix);
}

static bool owns(const struct file_dir *d, int fd)
{
    char name[FILE_NAME_SIZE];
    struct stat by_name, by_fd;
    owner_name(d, "", name);
    return fstatat(d->private_fd, name, &by_name, AT_SYMLINK_NOFOLLOW) == 0 &&
           fstat(fd, &by_fd) == 0 && by_name.st_ino == by_fd.st_ino &&
           by_name.st_dev == by_fd.st_dev;
}

static int busy_error(const struct file_dir *d, struct error *err)
{
    return error_set(
        err, ERROR_RETRY, "file",
        "another relay is completing a file of pipeline %s in %s; waiting until it is done",
        d->pipeline, d->path);
}

static int name_claim(struct file_dir *d, struct error *err)
{
    uint64_t name;
    if (getrandom(&name, sizeof name, 0) != sizeof name) {
        return error_errno(err, "file", errno, "no random numbers for the names of files");
    }
    snprintf(d->owner, sizeof d->owner, "%016" PRIx64, name);
    return RESULT_DONE;
}

/* Compares up to the first bracket: the text in brackets is for people and may change. */
static bool same_origin(const char *a, const char *b)
{
    size_t n = strcspn(a, "(");
    return n == strcspn(b, "(") && strncmp(a, b, n) == 0;
}

/* Two databases would give the same numbers to different events, and so the same names to different
 * files. */
static int check_origin(const struct file_dir *d, int owner, const char *origin, struct error *err)
{
    char found[256];
    ssize_t n = pread(owner, found, sizeof found - 1, 0);
    if (n < 0) {
        return file_dir_error(d, err, errno, "read the owner of pipeline %s", d->pipeline);
    }
    found[n] = '\0';
    if (!found[0] || !origin[0] || same_origin(found, origin)) {
        return RESULT_DONE;
    }
    return error_set(
        err, ERROR_CONFIG, "file",
        "the files of pipeline %s in %s are those of %s, not of %s: give this pipeline another name or sink.dir; if the one took the place of the other, remove %s/" PRIVATE_DIR
        "/%s.owner",
        d->pipeline, d->path, found, origin, d->path, d->pipeline);
}

/* Each claim makes a new owner file and renames it over the old one; a relay that has the old one
 * open is no owner any more. The new file is locked from the start. The old one is locked during
 * the rename, so that its owner is not in the middle of a commit. */
static int take_ownership(struct file_dir *d, const char *origin, struct error *err)
{
    char name[FILE_NAME_SIZE], fresh[FILE_NAME_SIZE];
    owner_name(d, "", name);
    owner_name(d, ".new", fresh);
    CLEANUP(cleanup_fd)
    int old = openat(d->private_fd, name, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (old < 0) {
        return file_dir_error(d, err, errno, "open " PRIVATE_DIR "/%s", name);
    }
    if (flock(old, LOCK_EX | LOCK_NB) || !owns(d, old)) {
        return busy_error(d, err);
    }
    if (check_origin(d, old, origin, err)) {
        return RESULT_ERROR;
    }
    unlinkat(d->private_fd, fresh, 0); /* left by a relay that was killed at this point */
    d->owner_fd = openat(d->private_fd, fresh, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (d->owner_fd < 0 || flock(d->owner_fd, LOCK_EX | LOCK_NB) ||
        (errno = file_write_all(d->owner_fd, slice_from(origin))) ||
        renameat(d->private_fd, fresh, d->private_fd, name)) {
        return file_dir_error(d, err, errno, "become the owner of pipeline %s", d->pipeline);
    }
    return RESULT_DONE;
}

int file_dir_claim(struct file_dir *d, const char *origin, struct error *err)
{
    close_all(d);
    if (open_dir(d, err) || open_private(d, err) || name_claim(d, err) ||
        take_ownership(d, origin, err)) {
        close_all(d);
        return RESULT_ERROR;
    }
    return RESULT_DONE;
}

int file_dir_look(const struct file_dir *d, struct error *err)
{
    CLEANUP(cleanup_fd) int fd = open(d->path, DIR_FLAGS);
    CLEANUP(cleanup_fd) int private_fd = -1;
    if (fd >= 0) {
        return check_open_dir(d, fd, err) ? RESULT_ERROR : look_private(d, fd, &private_fd, err);
    }
    if (errno != ENOENT) {
        return open_failed(d, errno, err);
    }
    char parent[PATH_MAX];
    parent_of(d, parent);
    if (faccessat(AT_FDCWD, parent, W_OK | X_OK, AT_EACCESS)) {
        return open_failed(d, errno, err);
    }
    return RESULT_DONE;
}

int file_dir_visit(struct file_dir *d, struct error *err)
{
    close_all(d);
    d->fd = open(d->path, DIR_FLAGS);
    return d->fd < 0 ? open_failed(d, errno, err) : RESULT_DONE;
}

int file_dir_enter(const struct file_dir *d, struct error *err)
{
    if (flock(d->owner_fd, LOCK_EX | LOCK_NB) == 0 && owns(d, d->owner_fd)) {
        return RESULT_DONE;
    }
    flock(d->owner_fd, LOCK_UN);
    if (file_dir_gone(d)) {
        return file_dir_error(d, err, ENOENT, "complete a batch file");
    }
    error_set(
        err, ERROR_RETRY, "file",
        "another relay has taken over pipeline %s in %s; this one completes no file there before it has the pipeline's lock again",
        d->pipeline, d->path);
    return error_code(err, SINK_OVERTAKEN);
}

bool file_dir_owned(const struct file_dir *d)
{
    return owns(d, d->owner_fd);
}

void file_dir_leave(const struct file_dir *d)
{
    flock(d->owner_fd, LOCK_UN);
}
