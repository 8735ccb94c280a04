/* The object is written and read by our own scanner: a JSON library would change numbers and the
 * order of members in a payload that nobody touched. */
#include "cli/letters_editor.h"

#include "base/utf8.h"
#include "message/encode.h"
#include "value/json.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static bool is_json(struct slice text, enum json_kind *ret_kind)
{
    size_t fault;
    return json_check(text, ret_kind, &fault);
}

int letter_values_check(const struct letter_values *v, struct error *err)
{
    enum json_kind kind;
    if (!slice_is_null(v->headers) && (!is_json(v->headers, &kind) || kind != JSON_IS_OBJECT)) {
        return error_set(err, ERROR_CONFIG, "edit",
                         "the headers are no JSON object; write one such as {\"trace\":\"abc\"}");
    }
    if (v->json && !slice_is_null(v->payload) && !is_json(v->payload, &kind)) {
        return error_set(err, ERROR_CONFIG, "edit",
                         "the payload is no JSON, and this event's payload has to be; mend it");
    }
    return RESULT_DONE;
}

/* --- the object --- */

static void add_text(struct buf *out, struct slice text)
{
    if (slice_is_null(text)) {
        buf_add_str(out, "null");
    } else {
        (void)encode_json_string(out, text); /* the caller has looked that it is UTF-8 */
    }
}

static void add_member(struct buf *out, const char *name, struct slice text, bool as_json)
{
    if (!as_json && !slice_is_null(text) && !utf8_valid(text)) {
        return; /* bytes; --payload-file takes them */
    }
    buf_printf(out, "%s\n  \"%s\": ", out->len > 1 ? "," : "", name);
    if (as_json && !slice_is_null(text)) {
        buf_add_slice(out, text);
    } else {
        add_text(out, text);
    }
}

void letter_object_add(struct buf *out, const struct letter_values *v)
{
    enum json_kind kind;
    buf_add_char(out, '{');
    add_member(out, "topic", v->topic, false);
    add_member(out, "key", v->key, false);
    add_member(out, "headers", v->headers, is_json(v->headers, &kind));
    add_member(out, "payload", v->payload, v->json && is_json(v->payload, &kind));
    buf_add_str(out, "\n}\n");
}

static int take_text(const struct json_member *m, const char *name, struct slice *ret,
                     struct arena *arena, struct error *err)
{
    if (m->type == JSON_IS_NULL) {
        *ret = SLICE_NULL;
        return RESULT_DONE;
    }
    char *text = arena_bytes(arena, m->value.len + 1);
    size_t len = m->value.len;
    memcpy(text, m->value.ptr, len);
    if (m->type != JSON_IS_STRING || (m->value_escaped && !json_unescape(m->value, text, &len))) {
        return error_set(err, ERROR_CONFIG, "edit", "\"%s\" has to be a text or null", name);
    }
    *ret = (struct slice){text, len};
    return RESULT_DONE;
}

/* JSON null is a payload too: an untouched one stays what it was. */
static int take_json(const struct json_member *m, struct slice *ret, struct arena *arena)
{
    if (m->type != JSON_IS_NULL) {
        *ret = arena_copy(arena, json_member_text(m));
    } else if (!slice_equal_str(*ret, "null")) {
        *ret = SLICE_NULL;
    }
    return RESULT_DONE;
}

static int take_member(const struct json_member *m, struct letter_values *v, struct arena *arena,
                       struct error *err)
{
    if (slice_equal_str(m->name, "topic")) {
        return take_text(m, "topic", &v->topic, arena, err);
    }
    if (slice_equal_str(m->name, "key")) {
        return take_text(m, "key", &v->key, arena, err);
    }
    if (slice_equal_str(m->name, "headers")) {
        return take_json(m, &v->headers, arena);
    }
    if (slice_equal_str(m->name, "payload")) {
        return v->json ? take_json(m, &v->payload, arena)
                       : take_text(m, "payload", &v->payload, arena, err);
    }
    return error_set(err, ERROR_CONFIG, "edit",
                     "\"%.*s\" cannot be edited; there are topic, key, headers and payload",
                     SLICE_FMT(m->name));
}

int letter_object_read(struct slice text, struct letter_values *v, struct arena *arena,
                       struct error *err)
{
    struct json_members members = json_members(text);
    struct json_member m;
    enum json_step step;
    while ((step = json_members_next(&members, &m)) == JSON_MEMBER) {
        if (take_member(&m, v, arena, err)) {
            return RESULT_ERROR;
        }
    }
    return step == JSON_END
               ? letter_values_check(v, err)
               : error_set(err, ERROR_CONFIG, "edit", "it is no JSON object (byte %zu)",
                           json_members_offset(&members));
}

/* --- the editor --- */

/* As other programs do, the shell takes $EDITOR apart: it may have arguments. */
static int run_editor(const char *path, struct error *err)
{
    const char *editor = getenv("EDITOR");
    CLEANUP(buf_release) struct buf command = {0};
    int status;
    buf_printf(&command, "%s \"$1\"", editor && editor[0] ? editor : "vi");
    pid_t pid = fork();
    if (pid < 0) {
        return error_errno(err, "edit", errno, "cannot start the editor");
    }
    if (pid == 0) {
        execl("/bin/sh", "sh", "-c", buf_str(&command), "sh", path, (char *)NULL);
        _exit(127);
    }
    while (waitpid(pid, &status, 0) < 0) {
        if (errno != EINTR) {
            return error_errno(err, "edit", errno, "cannot wait for the editor");
        }
    }
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {
        return error_exit(
            err, ERROR_CONFIG, EXIT_CODE_IO, "edit",
            "the editor (%s) failed; nothing was changed. Name another one in $EDITOR",
            editor && editor[0] ? editor : "vi");
    }
    return RESULT_DONE;
}

static int write_file(char *path, struct slice text, struct error *err)
{
    int fd = mkstemps(path, (int)strlen(".json")); /* mode 0600: it is a payload */
    bool written = fd >= 0 && write(fd, text.ptr, text.len) == (ssize_t)text.len;
    int rc = written ? RESULT_DONE : error_errno(err, "edit", errno, "cannot write \"%s\"", path);
    if (fd >= 0) {
        close(fd);
    }
    return rc;
}

static int read_file(const char *path, struct buf *ret, struct error *err)
{
    char bytes[16384];
    size_t n;
    FILE *f = fopen(path, "re");
    if (!f) {
        return error_errno(err, "edit", errno, "cannot read \"%s\"", path);
    }
    while ((n = fread(bytes, 1, sizeof bytes, f)) > 0) {
        buf_add(ret, bytes, n);
    }
    fclose(f);
    return RESULT_DONE;
}

int letter_editor_run(int64_t id, struct letter_values *v, struct arena *arena, struct error *err)
{
    CLEANUP(buf_release) struct buf text = {0};
    const char *folder = getenv("TMPDIR");
    char path[512];
    snprintf(path, sizeof path, "%s/dead-letter-%lld-XXXXXX.json",
             folder && folder[0] ? folder : "/tmp", (long long)id);
    letter_object_add(&text, v);
    if (write_file(path, buf_slice(&text), err)) {
        return RESULT_ERROR;
    }
    buf_clear(&text);
    if (run_editor(path, err) || read_file(path, &text, err)) {
        unlink(path);
        return RESULT_ERROR;
    }
    if (letter_object_read(buf_slice(&text), v, arena, err)) {
        return error_prefix(err, "nothing was changed; what you wrote is in %s", path);
    }
    unlink(path);
    return RESULT_DONE;
}
