/* Appends lines to the audit file. A file that is rotated is renamed first, and SIGUSR1 comes
 * later; lines in between go to the renamed file, and none is lost. */
#include "audit/audit.h"

#include "base/clock.h"
#include "base/digits.h"
#include "base/memory.h"
#include "base/shown.h"
#include "base/utf8.h"
#include "value/json.h"
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const mode_t MODE = 0640;

struct audit {
    pthread_mutex_t lock; /* protects all below */
    audit_tell *tell;
    char *path;       /* "": there is no file */
    int fd;           /* -1 only without a path */
    bool stale;       /* the path is to be opened again */
    bool torn;        /* the last line was written in part, so the next one begins a new line */
    bool broken;      /* the last line was not written, and that was told */
    uint64_t missing; /* lines that are not in the file */
};

/* --- the file --- */

static int cannot_open(const char *path, int errnum, struct error *err)
{
    if (errnum == ELOOP) {
        return error_set(
            err, ERROR_CONFIG, "audit",
            "audit.path %s is a symbolic link, which is not followed; name the file itself", path);
    }
    return error_exit(err, ERROR_CONFIG, EXIT_CODE_IO, "audit",
                      "audit.path %s cannot be opened for appending: %s (%s); %s", path,
                      strerror(errnum), strerrorname_np(errnum),
                      errnum == ENOENT ? "make its directory"
                      : errnum == EACCES || errnum == EPERM || errnum == EROFS
                          ? "run as the relay's user, or let this one write there"
                          : "mend that, or name another file");
}

static int check(int fd, const char *path, struct error *err)
{
    struct stat st;
    if (fstat(fd, &st)) {
        return cannot_open(path, errno, err);
    }
    if (!S_ISREG(st.st_mode)) {
        return error_set(err, ERROR_CONFIG, "audit",
                         "audit.path %s is not a regular file; name another one", path);
    }
    if (st.st_mode & S_IWOTH) {
        return error_set(
            err, ERROR_CONFIG, "audit",
            "audit.path %s is world-writable: anyone could change what it says; chmod o-w it",
            path);
    }
    return RESULT_DONE;
}

/* O_NONBLOCK: opening a FIFO would wait for a reader otherwise. The mode is set once more because
 * the umask may have taken bits away. Another process may make the file between the two opens, or
 * rename it away. */
static int open_file(const char *path, int *ret_fd, struct error *err)
{
    enum { TRIES = 3 };
    const int flags = O_WRONLY | O_APPEND | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK;
    int fd = -1;
    for (int i = 0; fd < 0 && i < TRIES; i++) {
        fd = open(path, flags);
        if (fd < 0 && errno == ENOENT) {
            fd = open(path, flags | O_CREAT | O_EXCL, MODE);
            if (fd >= 0 && fchmod(fd, MODE)) {
                int why = errno;
                close(fd);
                return cannot_open(path, why, err);
            }
        }
        if (fd < 0 && errno != EEXIST && errno != ENOENT) {
            break;
        }
    }
    if (fd < 0) {
        return cannot_open(path, errno, err);
    }
    if (check(fd, path, err)) {
        close(fd);
        return RESULT_ERROR;
    }
    *ret_fd = fd;
    return RESULT_DONE;
}

static void close_file(struct audit *a)
{
    if (a->fd >= 0) {
        close(a->fd);
    }
    a->fd = -1;
}

/* The caller has the lock, or is the only one. */
static int change_file(struct audit *a, const char *path, struct error *err)
{
    int fd = -1;
    if (path[0] && open_file(path, &fd, err)) {
        return RESULT_ERROR;
    }
    char *copy = memory_need(strdup(path));
    close_file(a);
    free(a->path);
    a->path = copy;
    a->fd = fd;
    a->stale = a->torn = false;
    return RESULT_DONE;
}

int audit_open(const char *path, audit_tell *tell, struct audit **ret, struct error *err)
{
    struct audit *a = memory_need(calloc(1, sizeof *a));
    pthread_mutex_init(&a->lock, NULL);
    a->tell = tell;
    a->fd = -1;
    if (change_file(a, path, err)) {
        audit_close(a);
        return RESULT_ERROR;
    }
    *ret = a;
    return RESULT_DONE;
}

void audit_close(struct audit *a)
{
    if (a) {
        close_file(a);
        pthread_mutex_destroy(&a->lock);
        free(a->path);
        free(a);
    }
}

int audit_reopen(struct audit *a, const char *path, struct error *err)
{
    pthread_mutex_lock(&a->lock);
    int rc = change_file(a, path, err);
    pthread_mutex_unlock(&a->lock);
    return rc;
}

/* --- what a line says --- */

static void add_string(struct buf *out, const char *text)
{
    const char *end = text + strlen(text);
    uint32_t escaped;
    buf_add_char(out, '"');
    while (text < end) {
        size_t n = utf8_sequence(text, end);
        char letter = json_escape_letter((unsigned char)*text);
        if (n == 0) {
            buf_add_str(out, "\\ufffd");
        } else if (letter && letter != 'u') {
            buf_add_char(out, '\\');
            buf_add_char(out, letter);
        } else if (shown_escaped(text, n, &escaped)) {
            buf_printf(out, "\\u%04x", (unsigned)escaped);
        } else {
            buf_add(out, text, n);
        }
        text += n ? n : 1;
    }
    buf_add_char(out, '"');
}

static void add_name(struct buf *facts, const char *name)
{
    buf_printf(facts, "%s\"%s\":", facts->len > 0 ? "," : "", name);
}

void audit_text(struct buf *facts, const char *name, const char *text)
{
    add_name(facts, name);
    add_string(facts, text);
}

void audit_number(struct buf *facts, const char *name, int64_t number)
{
    add_name(facts, name);
    buf_printf(facts, "%lld", (long long)number);
}

void audit_yes(struct buf *facts, const char *name, bool yes)
{
    audit_text(facts, name, yes ? "yes" : "no");
}

void audit_letter(struct buf *facts, int64_t letter, const char *state)
{
    audit_number(facts, "dead_letter", letter);
    audit_text(facts, "state", state);
}

static void add_facts(struct buf *line, const char *name, const struct buf *facts)
{
    bool any = facts && facts->len > 0;
    buf_printf(line, ",\"%s\":", name);
    buf_printf(line, any ? "{%s}" : "%s", any ? buf_str(facts) : "null");
}

void audit_who(uid_t uid, char out[AUDIT_WHO_SIZE])
{
    struct passwd entry, *found = NULL;
    char memory[4096];
    bool known = getpwuid_r(uid, &entry, memory, sizeof memory, &found) == 0 && found;
    snprintf(out, AUDIT_WHO_SIZE, "%lu%s%.64s", (unsigned long)uid, known ? " " : "",
             known ? found->pw_name : "");
}

/* The text may come from the store, where others can write. */
static void add_who(struct buf *line, const char *who)
{
    size_t digits = who ? strspn(who, "0123456789") : 0;
    uint64_t uid;
    buf_add_str(line, ",\"who\":");
    if (!who) {
        add_string(line, "daemon");
    } else if (strcmp(who, AUDIT_WHO_TOKEN) == 0) {
        add_string(line, AUDIT_WHO_TOKEN);
    } else if ((who[digits] && who[digits] != ' ') ||
               !digits_parse((struct slice){who, digits}, &uid) || uid > UINT32_MAX) {
        add_string(line, "unknown");
    } else {
        buf_printf(line, "{\"uid\":%llu", (unsigned long long)uid);
        if (who[digits]) {
            buf_add_str(line, ",\"user\":");
            add_string(line, who + digits + 1);
        }
        buf_add_char(line, '}');
    }
}

static void add_line(struct buf *out, const struct audit_line *l)
{
    char time[CLOCK_RFC3339_SIZE];
    clock_format_rfc3339(clock_wall_us(), time);
    buf_printf(out, "{\"time\":\"%s\",\"event\":\"%s\",\"pipeline\":", time, l->event);
    if (l->pipeline) {
        add_string(out, l->pipeline);
    } else {
        buf_add_str(out, "null");
    }
    add_who(out, l->who);
    add_facts(out, "before", l->before);
    add_facts(out, "after", l->after);
    buf_add_str(out, "}\n");
}

/* --- writing --- */

static void told(struct audit *a, const struct error *err)
{
    a->missing += err != NULL;
    if (a->broken != (err != NULL)) {
        a->broken = err != NULL;
        a->tell(err, a->missing);
    }
}

static int append(struct audit *a, const struct buf *line, struct error *err)
{
    ssize_t n = write(a->fd, line->data, line->len);
    if (n == (ssize_t)line->len) {
        a->torn = false;
        return RESULT_DONE;
    }
    a->torn = a->torn || n > 0;
    return n < 0
               ? error_errno(err, "audit", errno, "audit.path %s cannot be written", a->path)
               : error_exit(err, ERROR_RETRY, EXIT_CODE_IO, "audit",
                            "audit.path %s took %zd of the %zu bytes of a line: is the disk full?",
                            a->path, n, line->len);
}

/* Opens the path again if that is due. A failure leaves the file until now in use. */
static int refresh(struct audit *a, struct error *err)
{
    int fd = -1;
    if (!a->stale) {
        return RESULT_DONE;
    }
    if (open_file(a->path, &fd, err)) {
        return RESULT_ERROR;
    }
    close_file(a);
    a->fd = fd;
    a->stale = a->torn = false;
    return RESULT_DONE;
}

void audit_rotate(struct audit *a)
{
    struct error err;
    if (!a) {
        return;
    }
    pthread_mutex_lock(&a->lock);
    a->stale = a->path[0] != '\0';
    if (refresh(a, &err)) {
        a->tell(&err, a->missing);
    }
    pthread_mutex_unlock(&a->lock);
}

void audit_write(struct audit *a, const struct audit_line *l)
{
    struct error err, ignored;
    if (!a) {
        return;
    }
    pthread_mutex_lock(&a->lock);
    if (a->path[0]) {
        CLEANUP(buf_release) struct buf line = {0};
        (void)!refresh(a, &ignored); /* audit_rotate has told it */
        buf_add_str(&line, a->torn ? "\n" : "");
        add_line(&line, l);
        told(a, append(a, &line, &err) ? &err : NULL);
    }
    pthread_mutex_unlock(&a->lock);
}

bool audit_incomplete(struct audit *a)
{
    if (!a) {
        return false;
    }
    pthread_mutex_lock(&a->lock);
    bool incomplete = a->missing > 0;
    pthread_mutex_unlock(&a->lock);
    return incomplete;
}
