/* Lists batch files: <pipeline>-<first>-<last>.<extension>, both numbers in 20 digits. */
#include "consume/from/folder.h"

#include "base/buf.h"
#include <dirent.h>
#include <errno.h>
#include <stdlib.h>

enum { DIGITS = 20 };

void folder_release(struct folder *f)
{
    arena_release(&f->memory);
    *f = (struct folder){0};
}

/* Takes "-<20 digits>" off the end. */
static bool take_number(struct slice *text, int64_t *ret)
{
    int64_t n = 0;
    if (text->len < DIGITS + 1 || text->ptr[text->len - DIGITS - 1] != '-') {
        return false;
    }
    const char *digits = text->ptr + text->len - DIGITS;
    for (int i = 0; i < DIGITS; i++) {
        int digit = digits[i] - '0';
        if (digit < 0 || digit > 9 || __builtin_mul_overflow(n, 10, &n) ||
            __builtin_add_overflow(n, digit, &n)) {
            return false;
        }
    }
    text->len -= DIGITS + 1;
    *ret = n;
    return true;
}

bool folder_name(const char *name, struct arena *memory, struct folder_file *ret)
{
    static const char manifest[] = ".manifest.json";
    const char *dot = strchr(name, '.'); /* a pipeline's name has none */
    size_t n = strlen(name);
    bool is_manifest =
        n > sizeof manifest && strcmp(name + n - (sizeof manifest - 1), manifest) == 0;
    if (!dot || dot == name || is_manifest) {
        return false;
    }
    struct slice rest = {name, (size_t)(dot - name)};
    if (!take_number(&rest, &ret->last) || !take_number(&rest, &ret->first) || rest.len == 0 ||
        ret->first < 1 || ret->last < ret->first) {
        return false;
    }
    ret->pipeline = arena_copy(memory, rest).ptr;
    ret->name = arena_copy(memory, slice_from(name)).ptr;
    ret->extension = ret->name + (dot - name);
    return true;
}

static int compare(const void *a, const void *b)
{
    const struct folder_file *x = a, *y = b;
    int rc = strcmp(x->pipeline, y->pipeline);
    if (rc == 0 && x->first != y->first) {
        rc = x->first < y->first ? -1 : 1;
    }
    return rc ? rc : strcmp(x->name, y->name);
}

static void cleanup_dir(DIR **dir)
{
    if (*dir) {
        closedir(*dir);
    }
}

static int unreadable(const char *dir, struct error *err)
{
    int failed = errno;
    error_errno(err, "file", failed, "the folder %s, from which events are taken, cannot be read",
                dir);
    if (failed == ENOENT || failed == ENOTDIR) {
        err->class = ERROR_CONFIG;
        err->exit_code = EXIT_CODE_CONFIG;
    }
    return RESULT_ERROR;
}

int folder_read(struct folder *f, const char *path, struct error *err)
{
    CLEANUP(buf_release) struct buf found = {0}; /* of struct folder_file */
    CLEANUP(cleanup_dir) DIR *dir = opendir(path);
    struct folder_file file;
    if (!dir) {
        return unreadable(path, err);
    }
    arena_reset(&f->memory);
    f->count = 0;
    errno = 0;
    for (struct dirent *e; (e = readdir(dir)); errno = 0) {
        if (e->d_name[0] != '.' && folder_name(e->d_name, &f->memory, &file)) {
            buf_add(&found, &file, sizeof file);
            f->count++;
        }
    }
    if (errno) {
        return unreadable(path, err);
    }
    f->files = arena_array(&f->memory, f->count + 1, sizeof *f->files);
    memcpy(f->files, buf_slice(&found).ptr, f->count * sizeof *f->files);
    qsort(f->files, f->count, sizeof *f->files, compare);
    return RESULT_DONE;
}
