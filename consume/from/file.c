/* A folder of batch files as the sink `file` writes them. A file that has its name is complete and
 * never changes, so it is read from its first line on, and the n-th line has the number first + n -
 * 1. */
#include "base/clock.h"
#include "base/memory.h"
#include "config/conf_quote.h"
#include "consume/from/folder.h"
#include "consume/from/from.h"
#include "pack/unpack.h"
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static const int64_t LOOK_US = 200 * US_PER_MS;

enum { WAIT, SKIP };

struct file_conf {
    char *dir;
    int on_gap;
};

/* A pipeline's files. */
struct lines {
    char *pipeline;
    int64_t next; /* the number that is given next; at first 1, where each pipeline begins */
    bool told;    /* the gap in front of it was reported */
};

struct from_file {
    const struct file_conf *conf;
    struct from_env env;
    struct folder folder;
    size_t at;                /* its files before this one are done with */
    struct timespec modified; /* of the folder, when it was read */
    int64_t read_us;          /* wall clock */
    struct lines *pipelines;
    size_t count;
    int fd; /* of the file that is being read; -1: none */
    struct file_unpacker *unpacker;
    struct folder_file now;
    struct lines *of; /* its pipeline */
    int64_t number;   /* of its next line */
    struct buf text;  /* what was read of it; given up to `given` */
    size_t given;
    int64_t look_at_us; /* the folder is read again then */
    bool idle, held;    /* held: a pipeline waits for a file that is missing */
    struct error gap;
};

static const char *const gap_words[] = {"wait", "skip", NULL};

static const struct conf_key keys[] = {
    {"dir", CONF_STRING, offsetof(struct file_conf, dir), NULL, .required = true,
     .help =
         "the folder: files of the sink `file` in the format `jsonl`, plain or compressed, in the "
         "order of their numbers"},
    {"on_gap", CONF_ENUM, offsetof(struct file_conf, on_gap), "wait", .choices = gap_words,
     .help = "what a file that is missing does: `wait`: the pipeline's later files wait for it; "
             "`skip`: they do not, and a warning is logged. `--until-idle` ends with 69 at a gap "
             "that waits"},
    CONF_END};

static bool from_url(const char *url, struct buf *yaml)
{
    if (strncmp(url, "file:", 5) != 0 || !url[5]) {
        return false;
    }
    buf_add_str(yaml, "{type: file, dir: ");
    conf_quote(yaml, url + 5);
    buf_add_char(yaml, '}');
    return true;
}

static int file_open(const void *conf, const struct from_env *env, void **ret, struct error *err)
{
    struct from_file *f = memory_need(calloc(1, sizeof *f));
    f->conf = conf;
    f->env = *env;
    f->fd = -1;
    if (folder_read(&f->folder, f->conf->dir, err)) {
        free(f);
        return RESULT_ERROR;
    }
    *ret = f;
    return RESULT_DONE;
}

static int file_check(const void *conf, const struct from_env *env, struct error *err)
{
    CLEANUP(folder_release) struct folder folder = {0};
    (void)env;
    return folder_read(&folder, ((const struct file_conf *)conf)->dir, err);
}

static void end_file(struct from_file *f)
{
    if (f->fd >= 0) {
        file_unpacker_free(f->unpacker);
        close(f->fd);
        f->fd = -1;
    }
    buf_clear(&f->text);
    f->given = 0;
}

static void file_close(void *from)
{
    struct from_file *f = from;
    end_file(f);
    for (size_t i = 0; i < f->count; i++) {
        free(f->pipelines[i].pipeline);
    }
    free(f->pipelines);
    buf_release(&f->text);
    folder_release(&f->folder);
    free(f);
}

static struct lines *lines_of(struct from_file *f, struct slice pipeline)
{
    for (size_t i = 0; i < f->count; i++) {
        if (slice_equal_str(pipeline, f->pipelines[i].pipeline)) {
            return &f->pipelines[i];
        }
    }
    f->pipelines = memory_need(realloc(f->pipelines, (f->count + 1) * sizeof *f->pipelines));
    struct lines *l = &f->pipelines[f->count++];
    *l = (struct lines){.pipeline = memory_need(strndup(pipeline.ptr, pipeline.len)), .next = 1};
    return l;
}

static void file_resume(void *from, struct slice stream, int64_t number)
{
    lines_of(from, stream)->next = number + 1;
}

/* Reports the files that are missing, once. True: they are waited for. */
static bool gap(struct from_file *f, struct lines *l, const struct folder_file *file)
{
    error_exit(&f->gap, ERROR_FATAL, EXIT_CODE_UNAVAILABLE, "file",
               "events %" PRId64 " to %" PRId64 " of pipeline %s are missing in %s: the next file "
               "is %s; bring the missing files, or set from.on_gap: skip",
               l->next, file->first - 1, l->pipeline, f->conf->dir, file->name);
    if (!l->told) {
        l->told = true;
        f->env.note(f->env.ctx, LOG_WARN, f->gap.text);
    }
    return f->conf->on_gap == WAIT;
}

/* ".jsonl", ".jsonl.gz" and ".jsonl.zst". */
static bool takes(const char *extension, enum file_compression *ret)
{
    static const char jsonl[] = ".jsonl";
    enum { LEN = sizeof jsonl - 1 };
    for (int c = 0; strncmp(extension, jsonl, LEN) == 0 && c < FILE_COMPRESSIONS; c++) {
        *ret = (enum file_compression)c;
        if (strcmp(extension + LEN, file_compression_extension(*ret)) == 0) {
            return true;
        }
    }
    return false;
}

static int open_file(struct from_file *f, const struct folder_file *file, struct lines *l,
                     struct error *err)
{
    CLEANUP(buf_release) struct buf path = {0};
    enum file_compression compression;
    if (!takes(file->extension, &compression)) {
        return error_set(err, ERROR_CONFIG, "file",
                         "the batch file %s in %s is not of the format jsonl, the only one that "
                         "`consume` reads in this version",
                         file->name, f->conf->dir);
    }
    buf_printf(&path, "%s/%s", f->conf->dir, file->name);
    f->fd = open(buf_str(&path), O_RDONLY | O_CLOEXEC);
    if (f->fd < 0) {
        return error_errno(err, "file", errno, "the batch file %s cannot be opened",
                           buf_str(&path));
    }
    f->unpacker = file_unpacker_new(f->fd, compression);
    f->now = *file;
    f->of = l;
    f->number = file->first;
    return RESULT_DONE;
}

/* Opens the next file of some pipeline. AGAIN: there is none. */
static int next_file(struct from_file *f, struct error *err)
{
    const char *held = NULL; /* the pipeline whose later files wait */
    for (; f->at < f->folder.count; f->at++) {
        const struct folder_file *file = &f->folder.files[f->at];
        struct lines *l = lines_of(f, slice_from(file->pipeline));
        if (file->last < l->next || (held && strcmp(held, file->pipeline) == 0)) {
            continue;
        }
        if (file->first > l->next && gap(f, l, file)) {
            held = file->pipeline;
            f->held = true;
            continue;
        }
        l->told = false;
        if (open_file(f, file, l, err)) {
            return RESULT_ERROR;
        }
        f->at++;
        return RESULT_DONE;
    }
    return RESULT_AGAIN;
}

static int bad_file(const struct from_file *f, const char *what, struct error *err)
{
    return error_exit(err, ERROR_CONFIG, EXIT_CODE_UNAVAILABLE, "file",
                      "the batch file %s in %s %s; `commitrelay verify-batch` says more",
                      f->now.name, f->conf->dir, what);
}

/* At the end of a file its last line must have its last number. */
static int finish(struct from_file *f, struct error *err)
{
    if (f->text.len > f->given) {
        return bad_file(f, "does not end with a line end", err);
    }
    if (f->number != f->now.last + 1) {
        return bad_file(f, "has fewer events than its name says", err);
    }
    end_file(f);
    return RESULT_DONE;
}

/* Reads more of the file. *ret_end: there is nothing more. */
static int read_more(struct from_file *f, bool *ret_end, struct error *err)
{
    if (f->given > 0) {
        memmove(f->text.data, f->text.data + f->given, f->text.len - f->given);
        buf_truncate(&f->text, f->text.len - f->given);
        f->given = 0;
    }
    int failed = file_unpacker_read(f->unpacker, &f->text, ret_end);
    if (failed == EBADMSG) {
        return bad_file(f, "cannot be unpacked to its end", err);
    }
    return failed
               ? error_errno(err, "file", failed, "the batch file %s cannot be read", f->now.name)
               : RESULT_DONE;
}

/* The next line without its end, valid until the next call. AGAIN: there is no other. */
static int next_line(struct from_file *f, struct slice *ret, struct error *err)
{
    size_t looked = 0; /* bytes behind `given` that have no line end */
    for (bool over = false; !over;) {
        size_t from = f->given + looked, left = f->text.len - from;
        const char *end = left ? memchr(f->text.data + from, '\n', left) : NULL;
        if (end) {
            const char *start = f->text.data + f->given;
            *ret = (struct slice){start, (size_t)(end - start)};
            f->given += ret->len + 1;
            return RESULT_DONE;
        }
        looked += left;
        if (read_more(f, &over, err)) {
            return RESULT_ERROR;
        }
    }
    return RESULT_AGAIN;
}

/* Gives one line. AGAIN: the file is at its end. */
static int give_line(struct from_file *f, from_take *take, void *ctx, struct error *err)
{
    struct slice line;
    int rc = next_line(f, &line, err);
    if (rc) {
        return rc == RESULT_ERROR || finish(f, err) ? RESULT_ERROR : RESULT_AGAIN;
    }
    if (f->number > f->now.last) {
        return bad_file(f, "has more events than its name says", err);
    }
    int64_t number = f->number++;
    if (number < f->of->next) {
        return RESULT_DONE; /* given before */
    }
    f->of->next = number + 1;
    struct incoming in = {.stream = f->of->pipeline, .number = number, .line = line};
    take(ctx, &in);
    return RESULT_DONE;
}

/* Whether the folder is as it was. The clock of its time of change is coarse: a file that comes
 * right after a reading may not change that time. So a young time proves nothing. */
static bool unchanged(struct from_file *f)
{
    struct stat st;
    if (stat(f->conf->dir, &st)) {
        return false;
    }
    bool same =
        st.st_mtim.tv_sec == f->modified.tv_sec && st.st_mtim.tv_nsec == f->modified.tv_nsec;
    int64_t young_until_us = ((int64_t)st.st_mtim.tv_sec + 2) * US_PER_SECOND;
    f->modified = st.st_mtim;
    return same && f->read_us > young_until_us;
}

/* AGAIN: there is nothing new. */
static int look(struct from_file *f, struct error *err)
{
    if (clock_mono_us() < f->look_at_us) {
        return RESULT_AGAIN;
    }
    f->look_at_us = clock_mono_us() + LOOK_US;
    if (unchanged(f)) {
        return RESULT_AGAIN;
    }
    f->read_us = clock_wall_us();
    f->at = 0;
    f->held = false;
    return folder_read(&f->folder, f->conf->dir, err);
}

static int file_read(void *from, size_t max, from_take *take, void *ctx, struct error *err)
{
    struct from_file *f = from;
    for (size_t given = 0; given < max;) {
        if (f->fd >= 0) {
            int rc = give_line(f, take, ctx, err);
            if (rc == RESULT_ERROR) {
                return rc;
            }
            given += rc == RESULT_DONE;
            continue;
        }
        int rc = next_file(f, err);
        if (rc == RESULT_AGAIN && (rc = look(f, err)) == RESULT_DONE) {
            rc = next_file(f, err);
        }
        f->idle = rc == RESULT_AGAIN;
        if (rc) {
            return rc;
        }
    }
    return RESULT_DONE;
}

static void file_poll(void *from, struct poll_set *set)
{
    struct from_file *f = from;
    poll_set_deadline(set, f->look_at_us);
}

static bool file_idle(const void *from)
{
    return ((const struct from_file *)from)->idle;
}

static void file_look_again(void *from)
{
    struct from_file *f = from;
    f->idle = false;
    f->look_at_us = 0;
    f->modified = (struct timespec){0};
}

static const struct error *file_stuck(const void *from)
{
    const struct from_file *f = from;
    return f->held ? &f->gap : NULL;
}

const struct from_ops from_file = {
    .name = "file",
    .help = "The batch files of a folder",
    .keys = keys,
    .conf_size = sizeof(struct file_conf),
    .from_url = from_url,
    .check = file_check,
    .open = file_open,
    .close = file_close,
    .resume = file_resume,
    .read = file_read,
    .poll = file_poll,
    .idle = file_idle,
    .look_again = file_look_again,
    .stuck = file_stuck,
};
