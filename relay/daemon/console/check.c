/* The child writes to a pipe, which is read until it ends. */
#include "daemon/console/check.h"

#include "base/poll_set.h"
#include "daemon/console/answer.h"
#include "daemon/json_value.h"
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { TEXT_MAX = 256 << 10, FAILED = 500, UNAVAILABLE = 503 };

static const int64_t PATIENCE_US = 60 * US_PER_SECOND;

/* All signals are blocked on the helper thread; the child must not inherit that. */
static int start(const char *file, int to, pid_t *ret)
{
    char *const argv[] = {(char *)(uintptr_t) "commitrelay", (char *)(uintptr_t) "check",
                          (char *)(uintptr_t) "--connect",   (char *)(uintptr_t) "-c",
                          (char *)(uintptr_t)file,           NULL};
    posix_spawn_file_actions_t files;
    posix_spawnattr_t how;
    sigset_t none;
    sigemptyset(&none);
    posix_spawn_file_actions_init(&files);
    posix_spawn_file_actions_adddup2(&files, to, STDOUT_FILENO);
    posix_spawn_file_actions_adddup2(&files, to, STDERR_FILENO);
    posix_spawnattr_init(&how);
    posix_spawnattr_setsigmask(&how, &none);
    posix_spawnattr_setflags(&how, POSIX_SPAWN_SETSIGMASK);
    int rc = posix_spawn(ret, "/proc/self/exe", &files, &how, argv, environ);
    posix_spawnattr_destroy(&how);
    posix_spawn_file_actions_destroy(&files);
    return rc;
}

/* False: it was to stop, or took too long. What is behind TEXT_MAX is read and left out. */
static bool read_all(int from, int stop_fd, struct buf *text)
{
    char piece[4096];
    int64_t until_us = clock_mono_us() + PATIENCE_US;
    while (clock_mono_us() < until_us) {
        struct poll_set set;
        poll_set_clear(&set);
        poll_set_add(&set, from, POLLIN);
        poll_set_add(&set, stop_fd, POLLIN);
        poll_set_deadline(&set, until_us);
        poll_set_wait(&set);
        if (set.count > 1 && set.fds[1].revents) {
            return false;
        }
        if (!set.fds[0].revents) {
            continue;
        }
        ssize_t n = read(from, piece, sizeof piece);
        if (n <= 0) {
            return n == 0;
        }
        buf_add(text, piece, text->len < TEXT_MAX ? (size_t)n : 0);
    }
    return false;
}

int check_answer(const char *file, int stop_fd, struct buf *out)
{
    CLEANUP(buf_release) struct buf text = {0};
    int ends[2], status;
    pid_t pid;
    if (pipe2(ends, O_CLOEXEC)) {
        return answer_error(out, FAILED, strerror(errno));
    }
    int rc = start(file, ends[1], &pid);
    close(ends[1]);
    if (rc) {
        close(ends[0]);
        return answer_error(out, FAILED, strerror(rc));
    }
    bool whole = read_all(ends[0], stop_fd, &text);
    close(ends[0]);
    if (!whole) {
        kill(pid, SIGKILL);
    }
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {
    }
    if (!whole) {
        return answer_error(out, UNAVAILABLE, "the check did not end within a minute");
    }
    json_t *all = json_object();
    json_object_set_new(all, "exit_code",
                        json_integer(WIFEXITED(status) ? WEXITSTATUS(status) : -1));
    json_object_set_new(all, "text", json_text(buf_slice(&text)));
    return answer_json(out, 200, all);
}
