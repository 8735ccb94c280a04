/*
 * Checks the path of a SQLite database before SQLite opens it, so that the error says what is wrong
 * with it. Only stat, access and statfs are used, never open: closing a descriptor of the file
 * would drop the locks that SQLite has on it (db/sqlite.h).
 */
#include "db/sqlite.h"

#include <errno.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

const char *sqlite_url_path(const char *url)
{
    static const char scheme[] = "sqlite:";
    if (!url || strncmp(url, scheme, sizeof scheme - 1) != 0 || !url[sizeof scheme - 1]) {
        return NULL;
    }
    return url + sizeof scheme - 1;
}

const char *sqlite_network_fs(uint64_t f_type)
{
    /* Not in linux/magic.h of every kernel release: CIFS, SMB2, Ceph. */
    static const struct {
        uint64_t magic;
        const char *name;
    } table[] = {{NFS_SUPER_MAGIC, "NFS"},   {SMB_SUPER_MAGIC, "SMB"}, {0xFF534D42, "CIFS"},
                 {0xFE534D42, "SMB2"},       {AFS_SUPER_MAGIC, "AFS"}, {CODA_SUPER_MAGIC, "Coda"},
                 {NCP_SUPER_MAGIC, "NCPFS"}, {0x00C36400, "Ceph"}};
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        if (table[i].magic == (f_type & 0xFFFFFFFF)) {
            return table[i].name;
        }
    }
    return NULL;
}

/* Appends the directory of a path. */
static void directory_of(const char *path, struct buf *out)
{
    const char *slash = strrchr(path, '/');
    if (!slash) {
        buf_add_str(out, ".");
    } else {
        buf_add(out, path, slash == path ? 1 : (size_t)(slash - path));
    }
}

static int check_file_system(const char *path, const char *place, struct error *err)
{
    struct statfs fs;
    if (statfs(place, &fs) != 0) {
        return error_errno(err, "sqlite", errno, "SQLite database \"%s\": statfs of \"%s\"", path,
                           place);
    }
    const char *name = sqlite_network_fs((uint64_t)fs.f_type);
    if (name) {
        return error_set(
            err, ERROR_CONFIG, "sqlite",
            "SQLite database \"%s\" lies on a network file system (%s), where SQLite's locks and shared memory cannot be relied on; move it to a local disk and run the relay there",
            path, name);
    }
    return RESULT_DONE;
}

static int check_missing(const char *path, struct error *err)
{
    CLEANUP(buf_release) struct buf dir = {0};
    directory_of(path, &dir);
    struct stat st;
    if (stat(buf_str(&dir), &st) != 0 || !S_ISDIR(st.st_mode)) {
        return error_set(
            err, ERROR_CONFIG, "sqlite",
            "SQLite database \"%s\": its directory \"%s\" does not exist; make it or correct the path",
            path, buf_str(&dir));
    }
    return check_file_system(path, buf_str(&dir), err);
}

int sqlite_path_check(const char *path, bool *ret_missing, struct error *err)
{
    if (!path[0]) {
        return error_set(err, ERROR_CONFIG, "sqlite",
                         "the path of the SQLite database is empty; give a file name");
    }
    struct stat st;
    if (stat(path, &st) != 0) {
        int code = errno;
        if (code == ENOENT) {
            if (check_missing(path, err)) {
                return RESULT_ERROR;
            }
            *ret_missing = true;
            return RESULT_DONE;
        }
        error_errno(err, "sqlite", code, "SQLite database \"%s\" cannot be looked at", path);
        if (err->class != ERROR_CONFIG) { /* ENOTDIR, ELOOP, ENAMETOOLONG: waiting does not help */
            err->class = ERROR_CONFIG;
            err->exit_code = EXIT_CODE_CONFIG;
        }
        return RESULT_ERROR;
    }
    if (!S_ISREG(st.st_mode)) {
        return error_set(err, ERROR_CONFIG, "sqlite",
                         "SQLite database \"%s\" is %s; give the path of a database file", path,
                         S_ISDIR(st.st_mode) ? "a directory" : "no regular file");
    }
    if (access(path, R_OK) != 0) {
        return error_errno(
            err, "sqlite", errno,
            "SQLite database \"%s\" cannot be read by uid %ld; give the relay and the application one group and make the file group-writable",
            path, (long)geteuid());
    }
    if (check_file_system(path, path, err)) {
        return RESULT_ERROR;
    }
    *ret_missing = false;
    return RESULT_DONE;
}
