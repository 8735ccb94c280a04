/*
 * Goes through the batch files of a folder in the order of their names and stops at the first
 * fault. A manifest is checked against the file, its name and the manifest before it, so what was
 * removed, changed or inserted shows at its place.
 */
#include "sink/file/verify.h"

#include "sink/file/digest.h"
#include "sink/file/listing.h"
#include "sink/file/manifest.h"
#include "value/digest.h"
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdarg.h>
#include <sys/stat.h>
#include <unistd.h>

/* The largest manifest; ours have less than 1 KiB. */
enum { MANIFEST_MAX = 64 * 1024 };

/* The state of the walk. */
struct walk {
    const char *dir;
    int fd;
    struct slice key;
    struct sink_verdict *verdict;
    struct error *err;
    /* Of the file before, if it is of the same pipeline. */
    bool has_before; /* a file, an empty one too */
    uint64_t before_last;
    bool has_link, before_chained; /* has_link: one that is a link of the chain */
    char before_sha256[DIGEST_HEX_SIZE];
    struct buf text; /* the manifest */
};

/* The answers of the checks below, beside RESULT_DONE and RESULT_ERROR. */
enum { FAULT = RESULT_AGAIN };

static void cleanup_fd(int *fd)
{
    if (*fd >= 0) {
        close(*fd);
    }
}

static void cleanup_json(json_t **o)
{
    json_decref(*o);
}

static int unreadable(struct walk *w, const char *name)
{
    int failed = errno;
    error_errno(w->err, "file", failed, "cannot read %s in %s; see that its files may be read",
                name, w->dir);
    w->err->exit_code = EXIT_CODE_IO;
    return RESULT_ERROR;
}

/* Notes the fault. `found` may be NULL: nothing is there. */
static int fault(struct walk *w, const char *file, const char *what, const char *expected,
                 const char *found)
{
    struct sink_verdict *v = w->verdict;
    buf_add_str(&v->at, file);
    buf_add_str(&v->what, what);
    buf_add_str(&v->expected, expected);
    buf_add_str(&v->found, found ? found : "nothing");
    return FAULT;
}

static int fault_number(struct walk *w, const char *file, const char *what, uint64_t expected,
                        uint64_t found)
{
    char want[24], have[24];
    snprintf(want, sizeof want, "%" PRIu64, expected);
    snprintf(have, sizeof have, "%" PRIu64, found);
    return fault(w, file, what, want, have);
}

/* Opens a file of the folder. FAULT if it is not there, or no regular file. */
static int open_file(struct walk *w, const char *name, const char *what, int *ret_fd,
                     uint64_t *ret_size)
{
    struct stat st;
    int fd = openat(w->fd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0 && errno == ENOENT) {
        return fault(w, name, what, "a file", NULL);
    }
    if (fd < 0 && errno == ELOOP) {
        return fault(w, name, what, "a file", "a symbolic link");
    }
    if (fd < 0 || fstat(fd, &st)) {
        int rc = unreadable(w, name);
        cleanup_fd(&fd);
        return rc;
    }
    if (!S_ISREG(st.st_mode)) {
        close(fd);
        return fault(w, name, what, "a file", "something else");
    }
    *ret_fd = fd;
    *ret_size = (uint64_t)st.st_size;
    return RESULT_DONE;
}

/* Reads the manifest into w->text and parses it. */
static int read_manifest(struct walk *w, const char *name, json_t **ret)
{
    CLEANUP(cleanup_fd) int fd = -1;
    uint64_t size;
    int rc = open_file(w, name, "the manifest", &fd, &size);
    if (rc) {
        return rc;
    }
    buf_clear(&w->text);
    buf_reserve(&w->text, MANIFEST_MAX + 1);
    for (ssize_t n = 1; n > 0 && w->text.len <= MANIFEST_MAX;) {
        n = read(fd, w->text.data + w->text.len, MANIFEST_MAX + 1 - w->text.len);
        if (n < 0 && errno != EINTR) {
            return unreadable(w, name);
        }
        buf_truncate(&w->text, w->text.len + (n > 0 ? (size_t)n : 0));
    }
    if (w->text.len > MANIFEST_MAX) {
        return fault(w, name, "the manifest", "at most 64 KiB", "more");
    }
    *ret = json_loadb(w->text.data, w->text.len, JSON_REJECT_DUPLICATES, NULL);
    return json_is_object(*ret) ? RESULT_DONE
                                : fault(w, name, "the manifest", "a JSON object", "other text");
}

/* A text of the manifest; NULL if it is none. */
static const char *text_of(const json_t *o, const char *member)
{
    return json_string_value(json_object_get(o, member));
}

static int expect_text(struct walk *w, const char *manifest, const json_t *o, const char *member,
                       const char *expected)
{
    const char *found = text_of(o, member);
    return found && strcmp(found, expected) == 0 ? RESULT_DONE
                                                 : fault(w, manifest, member, expected, found);
}

static int expect_number(struct walk *w, const char *manifest, const json_t *o, const char *member,
                         uint64_t expected)
{
    const json_t *found = json_object_get(o, member);
    uint64_t number = (uint64_t)json_integer_value(found);
    char want[24];
    snprintf(want, sizeof want, "%" PRIu64, expected);
    return !json_is_integer(found) ? fault(w, manifest, member, want, NULL)
           : number == expected    ? RESULT_DONE
                                   : fault_number(w, manifest, member, expected, number);
}

/* What the manifest says of itself fits the name of the file. */
static int check_names(struct walk *w, const struct file_listed *f, const json_t *o)
{
    char pipeline[FILE_NAME_SIZE];
    snprintf(pipeline, sizeof pipeline, "%.*s", SLICE_FMT(f->name.pipeline));
    int rc = expect_text(w, f->manifest, o, "pipeline", pipeline);
    rc = rc ? rc : expect_text(w, f->manifest, o, "file", f->data);
    rc = rc ? rc : expect_text(w, f->manifest, o, "format", file_kind_name(f->name.kind));
    rc = rc ? rc : expect_number(w, f->manifest, o, "first", f->name.first);
    rc = rc ? rc : expect_number(w, f->manifest, o, "last", f->name.last);
    return rc ? rc : expect_number(w, f->manifest, o, "events", f->name.last - f->name.first + 1);
}

/* The file is what the manifest says. */
static int check_data(struct walk *w, const struct file_listed *f, const json_t *o,
                      struct sink_verified *part)
{
    CLEANUP(cleanup_fd) int fd = -1;
    uint64_t size;
    char sha256[DIGEST_HEX_SIZE], hmac[DIGEST_HEX_SIZE];
    int rc = open_file(w, f->data, "the file", &fd, &size);
    if (rc) {
        return rc;
    }
    const json_t *bytes = json_object_get(o, "bytes");
    if (!json_is_integer(bytes) || (uint64_t)json_integer_value(bytes) != size) {
        return fault_number(w, f->data, "bytes", (uint64_t)json_integer_value(bytes), size);
    }
    if ((errno = file_digest_of_fd(fd, w->key, sha256, hmac))) {
        return unreadable(w, f->data);
    }
    const char *told = text_of(o, "sha256"), *sealed = text_of(o, "hmac_sha256");
    if (!told || strcmp(told, sha256) != 0) {
        return fault(w, f->data, "sha256", told ? told : "that of its manifest", sha256);
    }
    if (!slice_is_null(w->key) && (!sealed || strcmp(sealed, hmac) != 0)) {
        return fault(w, f->data, "hmac_sha256", hmac, sealed);
    }
    part->sealed += sealed != NULL;
    w->verdict->bytes += size;
    return RESULT_DONE;
}

/* The HMAC over all that stands before it in the manifest, and nothing stands behind it. */
static int check_seal(struct walk *w, const struct file_listed *f)
{
    char hmac[DIGEST_HEX_SIZE], expected[sizeof FILE_MANIFEST_SEAL + DIGEST_HEX_SIZE + 4];
    if (slice_is_null(w->key)) {
        return RESULT_DONE;
    }
    const char *seal = strstr(buf_str(&w->text), FILE_MANIFEST_SEAL);
    if (!seal) {
        return fault(w, f->manifest, "manifest_hmac_sha256", "an HMAC", NULL);
    }
    digest_hmac_sha256(w->key, (struct slice){w->text.data, (size_t)(seal - w->text.data)}, hmac);
    snprintf(expected, sizeof expected, FILE_MANIFEST_SEAL "%s\"}\n", hmac);
    return strcmp(seal, expected) == 0
               ? RESULT_DONE
               : fault(w, f->manifest, "manifest_hmac_sha256", hmac, "another, or text behind it");
}

/* An empty file, for a time at which there was nothing to send: "...11-...10". */
static bool is_empty(const struct file_listed *f)
{
    return f->name.last + 1 == f->name.first;
}

/* The manifest names the one before; that of an empty file is named by none. Manifests of early
 * versions do not, and the first that does begins a chain. */
static int check_chain(struct walk *w, const struct file_listed *f, const json_t *o,
                       struct sink_verified *part)
{
    const json_t *previous = json_object_get(o, "previous_sha256");
    const char *told = json_string_value(previous);
    bool chained = previous != NULL;
    int rc = RESULT_DONE;
    if (!w->has_link) {
        part->from_start = f->name.first == 1 || (chained && !told);
    } else if (w->before_chained ? !told || strcmp(told, w->before_sha256) != 0 : told != NULL) {
        rc = fault(w, f->manifest, "previous_sha256", w->before_chained ? w->before_sha256 : "null",
                   told ? told : "null");
    }
    if (is_empty(f)) {
        return rc;
    }
    w->has_link = true;
    w->before_chained = chained;
    digest_sha256(buf_slice(&w->text), w->before_sha256);
    return rc;
}

static int check_numbers(struct walk *w, const struct file_listed *f)
{
    if ((f->name.last < f->name.first && !is_empty(f)) || f->name.first == 0) {
        return fault(w, f->data, "the numbers in its name", "first <= last, from 1", f->data);
    }
    if (w->has_before && f->name.first != w->before_last + 1) {
        return fault_number(w, f->data, "its first number", w->before_last + 1, f->name.first);
    }
    w->before_last = f->name.last;
    return RESULT_DONE;
}

/* Begins the next pipeline, if the file is of another one than that before. */
static struct sink_verified *part_of(struct walk *w, const struct file_listed *f)
{
    struct sink_verdict *v = w->verdict;
    size_t n = v->pipelines_count;
    w->has_before = n > 0 && slice_equal_str(f->name.pipeline, v->pipelines[n - 1].pipeline);
    if (!w->has_before) {
        w->has_link = false;
        v->pipelines[n] = (struct sink_verified){
            .pipeline = arena_copy(&v->arena, f->name.pipeline).ptr, .first = f->name.first};
        v->pipelines_count++;
    }
    return &v->pipelines[v->pipelines_count - 1];
}

static int check_file(struct walk *w, const struct file_listed *f)
{
    CLEANUP(cleanup_json) json_t *manifest = NULL;
    struct sink_verified *part = part_of(w, f);
    int rc = check_numbers(w, f);
    rc = rc ? rc : read_manifest(w, f->manifest, &manifest);
    rc = rc ? rc : check_names(w, f, manifest);
    rc = rc ? rc : check_seal(w, f);
    rc = rc ? rc : check_chain(w, f, manifest, part);
    rc = rc ? rc : check_data(w, f, manifest, part);
    if (rc == RESULT_DONE) {
        part->files++;
        part->events += f->name.last - f->name.first + 1;
        part->last = f->name.last;
        w->verdict->files++;
    }
    return rc;
}

static void release_walk(struct walk *w)
{
    cleanup_fd(&w->fd);
    buf_release(&w->text);
}

int file_verify(const char *dir, struct slice key, const struct sink_watch *watch,
                struct sink_verdict *ret, struct error *err)
{
    CLEANUP(file_listing_release) struct file_listing files = {0};
    CLEANUP(release_walk)
    struct walk w = {.dir = dir, .fd = -1, .key = key, .verdict = ret, .err = err};
    w.fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (w.fd < 0 || file_listing_read(w.fd, &files)) {
        return unreadable(&w, "the folder");
    }
    ret->others = files.others;
    ret->pipelines = arena_array(&ret->arena, files.pipelines + 1, sizeof *ret->pipelines);
    for (size_t i = 0; i < files.count; i++) {
        int rc = check_file(&w, &files.items[i]);
        if (rc) {
            return rc == FAULT ? RESULT_DONE : RESULT_ERROR;
        }
        watch->progress(watch->ctx, i + 1, files.count, ret->bytes);
    }
    return RESULT_DONE;
}
