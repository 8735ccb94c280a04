/* The editor gets a file of its own, which stays if what was written cannot be read. */
#include "cli/letters_editor.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

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
