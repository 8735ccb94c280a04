/* Lists the batch files of a folder in order. */
#include "sink/file/listing.h"

#include "base/buf.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

void file_listing_release(struct file_listing *l)
{
    arena_release(&l->arena);
    *l = (struct file_listing){0};
}

static void cleanup_dir(DIR **dir)
{
    if (*dir) {
        closedir(*dir);
    }
}

static int compare_pipelines(const struct file_listed *x, const struct file_listed *y)
{
    struct slice a = x->name.pipeline, b = y->name.pipeline;
    int rc = memcmp(a.ptr, b.ptr, a.len < b.len ? a.len : b.len);
    return rc ? rc : (a.len > b.len) - (a.len < b.len);
}

static int compare(const void *a, const void *b)
{
    const struct file_listed *x = a, *y = b;
    int rc = compare_pipelines(x, y);
    if (rc == 0 && x->name.first != y->name.first) {
        rc = x->name.first < y->name.first ? -1 : 1;
    }
    return rc ? rc : strcmp(x->data, y->data);
}

static const char *text(struct arena *arena, struct slice name, const char *more)
{
    CLEANUP(buf_release) struct buf out = {0};
    buf_add_slice(&out, name);
    buf_add_str(&out, more);
    return arena_copy(arena, buf_slice(&out)).ptr;
}

/* Sorts, makes one of file and manifest, and counts the pipelines. */
static void put_in_order(struct file_listing *l)
{
    size_t n = 0;
    qsort(l->items, l->count, sizeof *l->items, compare);
    for (size_t i = 0; i < l->count; i++) {
        if (n > 0 && strcmp(l->items[n - 1].data, l->items[i].data) == 0) {
            continue;
        }
        l->pipelines += n == 0 || compare_pipelines(&l->items[n - 1], &l->items[i]) != 0;
        l->items[n++] = l->items[i];
    }
    l->count = n;
}

static void add(struct file_listing *l, struct buf *items, const char *entry)
{
    struct file_listed item;
    if (entry[0] == '.') {
        return;
    }
    if (!file_name_read(entry, &item.name)) {
        l->others++;
        return;
    }
    item.data = text(&l->arena, item.name.data, "");
    item.manifest = text(&l->arena, item.name.data, FILE_MANIFEST_EXTENSION);
    file_name_read(item.data, &item.name); /* again, as it points into the text */
    buf_add(items, &item, sizeof item);
    l->count++;
}

int file_listing_read(int fd, struct file_listing *ret)
{
    CLEANUP(buf_release) struct buf items = {0}; /* of struct file_listed */
    int again = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    CLEANUP(cleanup_dir) DIR *dir = again < 0 ? NULL : fdopendir(again);
    if (!dir) {
        int failed = errno;
        if (again >= 0) {
            close(again);
        }
        errno = failed;
        return -1;
    }
    for (struct dirent *e; (errno = 0, e = readdir(dir));) {
        add(ret, &items, e->d_name);
    }
    if (errno) {
        return -1;
    }
    ret->items = arena_array(&ret->arena, ret->count + 1, sizeof *ret->items);
    memcpy(ret->items, buf_slice(&items).ptr, ret->count * sizeof *ret->items);
    put_in_order(ret);
    return 0;
}
