/* Gets texts from the environment and from secret files. Sizes are limited, so that /dev/zero or a
 * wrong path cannot fill the memory. No error text holds a value, because logs are read by more
 * people than secrets. */
#include "config/conf_text.h"

#include "base/buf.h"
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

/* The longest name of a variable, with its NUL, and the most bytes that a value with variables may
 * have. */
enum { VARIABLE_MAX = 128, EXPANDED_MAX = 1 << 20 };

static bool variable_name(struct slice name)
{
    if (name.len == 0 || name.len >= VARIABLE_MAX || isdigit((unsigned char)name.ptr[0])) {
        return false;
    }
    for (size_t i = 0; i < name.len; i++) {
        if (!isalnum((unsigned char)name.ptr[i]) && name.ptr[i] != '_') {
            return false;
        }
    }
    return true;
}

static bool starts(struct slice text, size_t at, const char *prefix)
{
    size_t n = strlen(prefix);
    return text.len - at >= n && memcmp(text.ptr + at, prefix, n) == 0;
}

/* Adds the value of a variable. raw.ptr[at] is the first byte of its name; *ret_after is behind the
 * }. */
static int add_variable(struct buf *out, struct slice raw, size_t at, size_t *ret_after,
                        struct error *err)
{
    const char *end = memchr(raw.ptr + at, '}', raw.len - at);
    struct slice name = {raw.ptr + at, end ? (size_t)(end - raw.ptr) - at : 0};
    if (!variable_name(name)) {
        return error_set(
            err, ERROR_CONFIG, "config",
            "malformed ${...}: a variable's name has letters, digits and _ only and is closed by }; a literal ${ is written $${");
    }
    char variable[VARIABLE_MAX];
    memcpy(variable, name.ptr, name.len);
    variable[name.len] = '\0';
    const char *value = getenv(variable);
    if (!value) {
        return error_set(err, ERROR_CONFIG, "config",
                         "environment variable `%s` is not set; set it or replace ${%s}", variable,
                         variable);
    }
    buf_add_str(out, value);
    *ret_after = at + name.len + 1;
    return RESULT_DONE;
}

int conf_expand(struct slice raw, struct arena *memory, char **ret, bool *ret_expanded,
                struct error *err)
{
    CLEANUP(buf_release) struct buf out = {0};
    bool expanded = false;
    for (size_t i = 0; i < raw.len;) {
        if (starts(raw, i, "$${")) {
            buf_add_str(&out, "${");
            i += 3;
        } else if (starts(raw, i, "${")) {
            if (add_variable(&out, raw, i + 2, &i, err)) {
                return RESULT_ERROR;
            }
            expanded = true;
            if (out.len > EXPANDED_MAX) {
                return error_set(err, ERROR_CONFIG, "config",
                                 "the variables expand to more than %d MiB", EXPANDED_MAX >> 20);
            }
        } else {
            buf_add_char(&out, raw.ptr[i++]);
        }
    }
    *ret = arena_bytes(memory, out.len + 1);
    memcpy(*ret, buf_str(&out), out.len + 1);
    *ret_expanded = expanded;
    return RESULT_DONE;
}

int conf_read_file(int fd, const char *path, size_t max, struct arena *memory, struct slice *ret,
                   struct error *err)
{
    CLEANUP(buf_release) struct buf text = {0};
    while (text.len <= max) {
        enum { PIECE = 64 * 1024 };
        buf_reserve(&text, PIECE);
        ssize_t n = read(fd, text.data + text.len, PIECE);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n < 0) {
            return error_set(err, ERROR_CONFIG, "config", "%s: cannot be read: %s (%s)", path,
                             strerror(errno), strerrorname_np(errno));
        }
        if (n == 0) {
            break;
        }
        text.len += (size_t)n;
    }
    *ret = arena_copy(memory, buf_slice(&text));
    return RESULT_DONE;
}

int conf_check_file(int fd, const char *what, const char *path, const char *risk, mode_t *ret_mode,
                    struct error *err)
{
    struct stat st;
    if (fstat(fd, &st) < 0) {
        return error_set(err, ERROR_CONFIG, "config", "%s %s: %s", what, path, strerror(errno));
    }
    if (!S_ISREG(st.st_mode)) {
        return error_set(err, ERROR_CONFIG, "config", "%s %s is not a regular file: %s", what, path,
                         S_ISDIR(st.st_mode)    ? "Is a directory"
                         : S_ISFIFO(st.st_mode) ? "it is a FIFO"
                                                : "it is a device or a socket");
    }
    if (st.st_mode & S_IWOTH) {
        return error_set(err, ERROR_CONFIG, "config", "%s %s is world-writable: anyone could %s",
                         what, path, risk);
    }
    *ret_mode = st.st_mode;
    return RESULT_DONE;
}

static int check_secret(struct slice text, const char *path, struct error *err)
{
    if (text.len > CONF_SECRET_MAX) {
        return error_set(err, ERROR_CONFIG, "config", "secret file %s is larger than %d KiB", path,
                         CONF_SECRET_MAX >> 10);
    }
    if (memchr(text.ptr, '\0', text.len)) {
        return error_set(err, ERROR_CONFIG, "config",
                         "secret file %s holds a NUL byte; it must be text", path);
    }
    return RESULT_DONE;
}

static void close_fd(const int *fd)
{
    if (*fd >= 0) {
        close(*fd);
    }
}

int conf_read_secret(const char *path, struct arena *memory, char **ret, bool *ret_world_readable,
                     struct error *err)
{
    struct slice text;
    /* O_NONBLOCK: without it, opening a FIFO would wait for a writer; conf_check_file refuses it.
     */
    CLEANUP(close_fd) int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0) {
        return error_set(err, ERROR_CONFIG, "config", "secret file %s cannot be opened: %s (%s)",
                         path, strerror(errno), strerrorname_np(errno));
    }
    mode_t mode;
    if (conf_check_file(fd, "secret file", path, "replace the secret; chmod 600 it", &mode, err) ||
        conf_read_file(fd, path, CONF_SECRET_MAX, memory, &text, err) ||
        check_secret(text, path, err)) {
        return RESULT_ERROR;
    }
    /* Editors and echo put a newline at the end; as a character of the password it would make every
     * login fail. */
    if (text.len > 0 && text.ptr[text.len - 1] == '\n') {
        text.len--;
        text.len -= text.len > 0 && text.ptr[text.len - 1] == '\r';
    }
    if (text.len == 0) {
        return error_set(err, ERROR_CONFIG, "config", "secret file %s is empty", path);
    }
    *ret_world_readable = (mode & S_IROTH) != 0;
    *ret = arena_bytes(memory, text.len + 1);
    memcpy(*ret, text.ptr, text.len);
    (*ret)[text.len] = '\0';
    return RESULT_DONE;
}

/* Whether a URL has user:pw@ between :// and the first / or ?. A password may hold a slash that was
 * not encoded; then the @ stands behind that slash. */
static bool url_password(struct slice raw)
{
    const char *start = memmem(raw.ptr, raw.len, "://", 3);
    if (!start) {
        return false;
    }
    start += 3;
    const char *end = raw.ptr + raw.len;
    const char *path = start + strcspn(start, "/?");
    path = path < end ? path : end;
    const char *at = memrchr(start, '@', (size_t)(path - start));
    if (!at && path < end && *path == '/') { /* the slash may be in the password, not encoded */
        at = memrchr(path, '@', strcspn(path, "?"));
    }
    const char *colon = at ? memchr(start, ':', (size_t)(at - start)) : NULL;
    if (!colon || at - colon < 2) {
        return false;
    }
    return memmem(colon, (size_t)(at - colon), "${", 2) == NULL;
}

bool conf_has_password(struct slice raw)
{
    if (url_password(raw)) {
        return true;
    }
    /* Any "password =" or "password=" that is not followed by ${ counts, in whatever letter case.
     */
    for (const char *p = raw.ptr; p && (p = strcasestr(p, "password")) != NULL; p++) {
        const char *value = p + strlen("password");
        value += strspn(value, " ");
        if (*value != '=') {
            continue;
        }
        value++;
        value += strspn(value, " '");
        if (*value && *value != '&' && strncmp(value, "${", 2) != 0) {
            return true;
        }
    }
    return false;
}
