/*
 * Goes through the batch files of a pipeline, those of its replays included, and gives their
 * records one by one. A file is read in pieces, so memory holds a piece and one record.
 */
#include "sink/file/read_back.h"

#include "pack/unpack.h"
#include "sink/file/listing.h"
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <unistd.h>

enum { RECORD_MAX = 256 * 1024 * 1024 };

struct walk {
    const struct file_read_back *from;
    const struct sink_reading *reading;
    const char *dir;
    struct file_reader reader;
    struct buf text, payload; /* text: what of the file is not taken yet */
    int dir_fd;
};

static void release(struct walk *w)
{
    file_reader_release(&w->reader);
    buf_release(&w->text);
    buf_release(&w->payload);
    if (w->dir_fd >= 0) {
        close(w->dir_fd);
    }
}

static int unreadable(const struct walk *w, int errnum, const char *name, struct error *err)
{
    if (errnum == EBADMSG) {
        return error_exit(err, ERROR_FATAL, EXIT_CODE_IO, "file",
                          "%s in %s is damaged: it cannot be unpacked to its end; commitrelay "
                          "verify-batch says more",
                          name, w->dir);
    }
    error_errno(err, "file", errnum, "cannot read %s in %s", name, w->dir);
    err->exit_code = EXIT_CODE_IO;
    return RESULT_ERROR;
}

static int too_large(const struct walk *w, const struct file_listed *f, uint64_t line,
                     struct error *err)
{
    return error_exit(err, ERROR_FATAL, EXIT_CODE_IO, "file",
                      "%s in %s is damaged: the record behind record %" PRIu64 " does not end "
                      "within 256 MiB",
                      f->data, w->dir, line);
}

static int check_stop(const struct walk *w, struct error *err)
{
    struct pollfd stop = {.fd = w->from->stop_fd, .events = POLLIN};
    return poll(&stop, 1, 0) > 0 ? error_set(err, ERROR_RETRY, "file", "it was interrupted")
                                 : RESULT_DONE;
}

/* The files of a replay are called <pipeline>-replay-<id>. */
static bool is_ours(const struct walk *w, const struct file_listed *f, bool *ret_replayed)
{
    static const char replay[] = "-replay-";
    struct slice name = f->name.pipeline;
    size_t n = strlen(w->from->pipeline);
    if (name.len < n || memcmp(name.ptr, w->from->pipeline, n) != 0) {
        return false;
    }
    *ret_replayed = name.len > n;
    return name.len == n || (name.len > n + sizeof replay - 1 &&
                             memcmp(name.ptr + n, replay, sizeof replay - 1) == 0);
}

static int give(struct walk *w, const char *place, uint64_t line, bool replayed, size_t len,
                struct error *err)
{
    struct file_record record;
    buf_clear(&w->payload);
    file_reader_take(&w->reader, w->text.data, len, &w->payload, &record);
    if (slice_is_null(record.id)) { /* whatever it is, it is not what was sent */
        buf_add(&w->payload, w->text.data, len);
    }
    const struct sink_copy copy = {.id = record.id,
                                   .payload = buf_slice(&w->payload),
                                   .key = record.key,
                                   .sent = record.sent,
                                   .created_us = record.created_us,
                                   .by_us = TIME_NONE,
                                   .replayed = replayed,
                                   .place = place,
                                   .number = line};
    return w->reading->take(w->reading->ctx, &copy, err);
}

/* Takes the whole records off the front of w->text. */
static int take_records(struct walk *w, const struct file_listed *f, const char *place,
                        bool replayed, bool end, uint64_t *line, struct error *err)
{
    size_t taken = 0, len;
    int rc = RESULT_DONE;
    struct buf all = w->text; /* `give` works on the front of it */
    while (rc == RESULT_DONE &&
           (len = file_reader_next(&w->reader, (struct slice){all.data + taken, all.len - taken},
                                   end)) > 0) {
        w->text.data = all.data + taken;
        if (*line == 0 && w->reader.format->kind == FILE_DELIMITED && w->reader.format->header) {
            if (!file_reader_header(&w->reader, w->text.data, len)) {
                rc = error_set(err, ERROR_CONFIG, "file",
                               "%s in %s has no column for the id in its first line: it was "
                               "written with other columns than sink.columns names now",
                               f->data, w->dir);
            }
        } else {
            rc = give(w, place, *line + 1, replayed, len, err);
        }
        ++*line;
        taken += len;
    }
    w->text = all;
    memmove(w->text.data, w->text.data + taken, w->text.len - taken);
    buf_truncate(&w->text, w->text.len - taken);
    return rc;
}

static int read_open(struct walk *w, const struct file_listed *f, int fd, bool replayed,
                     struct error *err)
{
    char place[300];
    uint64_t line = 0;
    bool end = false;
    int rc = RESULT_DONE;
    struct file_unpacker *u = file_unpacker_new(fd, f->name.compression);
    snprintf(place, sizeof place, "%s line", f->data);
    buf_clear(&w->text);
    file_reader_begin(&w->reader);
    while (rc == RESULT_DONE && !end) {
        int failed = file_unpacker_read(u, &w->text, &end);
        rc = failed ? unreadable(w, failed, f->data, err) : check_stop(w, err);
        rc = rc || w->text.len == 0 ? rc : take_records(w, f, place, replayed, end, &line, err);
        rc = rc || w->text.len <= RECORD_MAX ? rc : too_large(w, f, line, err);
    }
    file_unpacker_free(u);
    return rc;
}

static int read_file(struct walk *w, const struct file_listed *f, bool replayed, struct error *err)
{
    if (f->name.kind != w->reader.format->kind) {
        return error_set(err, ERROR_CONFIG, "file",
                         "%s in %s is not of the format %s that the pipeline has now; put the "
                         "files of each format into a folder of their own",
                         f->data, w->dir, file_kind_name(w->reader.format->kind));
    }
    int fd = openat(w->dir_fd, f->data, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0) {
        return unreadable(w, errno, f->data, err);
    }
    int rc = read_open(w, f, fd, replayed, err);
    close(fd);
    return rc;
}

/* Tells what a gap in the numbers means. */
static void note_gap(const struct walk *w, const struct file_listed *f, uint64_t *next)
{
    char text[200];
    if (f->name.first > *next) {
        snprintf(text, sizeof text,
                 "the files of the events %" PRIu64 " to %" PRIu64 " are not in %s", *next,
                 f->name.first - 1, w->dir);
        w->reading->note(w->reading->ctx, text);
    }
    *next = f->name.last + 1;
}

static int read_all(struct walk *w, struct error *err)
{
    CLEANUP(file_listing_release) struct file_listing files = {0};
    uint64_t next = 1;
    int rc = file_listing_read(w->dir_fd, &files) ? unreadable(w, errno, "the folder", err)
                                                  : RESULT_DONE;
    for (size_t i = 0; rc == RESULT_DONE && i < files.count; i++) {
        const struct file_listed *f = &files.items[i];
        bool replayed;
        /* A manifest without its file: the file is about to get its name, or was taken away. */
        if (!is_ours(w, f, &replayed) || faccessat(w->dir_fd, f->data, F_OK, 0)) {
            continue;
        }
        if (!replayed) {
            note_gap(w, f, &next);
        }
        rc = read_file(w, f, replayed, err);
    }
    return rc;
}

static int check_whole(const struct walk *w, struct error *err)
{
    return w->reader.by_payload && w->reader.has_key
               ? RESULT_DONE
               : error_set(err, ERROR_CONFIG, "file",
                           "sink.columns needs the columns `key` and `payload`, or nothing tells "
                           "which row an event in the files is about; add them");
}

int file_read_back(const struct file_read_back *from, const struct sink_reading *r,
                   struct error *err)
{
    CLEANUP(release)
    struct walk w = {.from = from, .reading = r, .dir = r->at ? r->at : from->dir, .dir_fd = -1};
    if (file_reader_init(&w.reader, from->format, err) || (r->whole && check_whole(&w, err))) {
        return RESULT_ERROR;
    }
    w.dir_fd = open(w.dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return w.dir_fd < 0 ? unreadable(&w, errno, "the folder", err) : read_all(&w, err);
}

int file_payload_of(const struct file_format *format, const struct event *e, struct buf *out,
                    struct error *err)
{
    CLEANUP(file_reader_release) struct file_reader reader = {0};
    CLEANUP(buf_release) struct buf line = {0};
    struct file_record ignored;
    if (file_reader_init(&reader, format, err) || file_format_event(format, e, &line, err)) {
        return RESULT_ERROR;
    }
    file_reader_begin(&reader);
    file_reader_take(&reader, line.data, line.len, out, &ignored);
    return RESULT_DONE;
}
