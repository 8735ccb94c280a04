/* Starts the command in a process group of its own and waits for its end on a descriptor, so that a
 * stop can be waited for at the same time. */
#include "sink/file/upload/command.h"

#include "base/buf.h"
#include "base/clock.h"
#include "base/memory.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { PATIENCE_MS = 2000 }; /* between SIGTERM and SIGKILL */
/* Where a process has no descriptor, its end is looked for. */
static const int64_t LOOK_EVERY_US = 100 * US_PER_MS;

static char **words_of(const struct conf_list *words, const char *file, const char *manifest)
{
    char **argv = memory_need(calloc(words->count + 1, sizeof *argv));
    for (size_t i = 0; i < words->count; i++) {
        CLEANUP(buf_release) struct buf half = {0}, whole = {0};
        buf_add_replacing(&half, words->items[i], "{manifest}", manifest);
        buf_add_replacing(&whole, buf_str(&half), "{file}", file);
        argv[i] = memory_need(strdup(buf_str(&whole)));
    }
    return argv;
}

static void free_words(char ***argv)
{
    for (char **w = *argv; w && *w; w++) {
        free(*w);
    }
    free(*argv);
}

/* The thread that calls this has all signals blocked; the command shall not inherit that. */
static int spawn(char **argv, pid_t *ret)
{
    posix_spawn_file_actions_t files;
    posix_spawnattr_t how;
    sigset_t none, all;
    sigemptyset(&none);
    sigfillset(&all);
    posix_spawn_file_actions_init(&files);
    posix_spawnattr_init(&how);
    posix_spawn_file_actions_addopen(&files, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_adddup2(&files, STDERR_FILENO, STDOUT_FILENO);
    posix_spawn_file_actions_addclosefrom_np(&files, STDERR_FILENO + 1);
    posix_spawnattr_setsigmask(&how, &none);
    posix_spawnattr_setsigdefault(&how, &all);
    posix_spawnattr_setpgroup(&how, 0);
    posix_spawnattr_setflags(&how, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF |
                                       POSIX_SPAWN_SETPGROUP);
    int failed = posix_spawnp(ret, argv[0], &files, &how, argv, environ);
    posix_spawnattr_destroy(&how);
    posix_spawn_file_actions_destroy(&files);
    return failed;
}

/* The relay stops: the command gets a little time to end by itself. */
static void end(pid_t pid, int fd, int *status)
{
    struct pollfd ended = {.fd = fd, .events = POLLIN};
    kill(-pid, SIGTERM);
    poll(&ended, 1, PATIENCE_MS);
    kill(-pid, SIGKILL);
    waitpid(pid, status, 0);
}

/* Waits for the end; -1: the relay stops, and the command was ended. What it says after SIGTERM
 * does not count: many programs end with 0 then, done or not. */
static int wait_end(pid_t pid, struct upload_wait *wait)
{
    int status = 0;
    int fd = (int)syscall(SYS_pidfd_open, pid, 0); /* -1: an old kernel */
    bool ended = false;
    while (!ended && !upload_wait_stopped(wait)) {
        upload_wait_for(wait, fd, fd < 0 ? LOOK_EVERY_US : DEADLINE_NEVER);
        ended = waitpid(pid, &status, WNOHANG) == pid;
    }
    if (!ended) {
        end(pid, fd, &status);
    }
    if (fd >= 0) {
        close(fd);
    }
    return ended ? status : -1;
}

int upload_command_run(const struct conf_list *words, const char *file, const char *manifest,
                       struct upload_wait *wait, struct error *err)
{
    CLEANUP(free_words) char **argv = words_of(words, file, manifest);
    pid_t pid;
    int failed = spawn(argv, &pid);
    if (failed == EAGAIN || failed == ENOMEM) {
        return error_errno(err, "upload", failed, "on_complete: cannot start %s", argv[0]);
    }
    if (failed) {
        return error_set(err, ERROR_CONFIG, "upload",
                         "on_complete: cannot run %s: %s; name a program that the relay may run",
                         argv[0], strerror(failed));
    }
    int status = wait_end(pid, wait);
    if (status == 0) {
        return RESULT_DONE;
    }
    if (status < 0) {
        return error_set(err, ERROR_RETRY, "upload", "on_complete: the relay stops");
    }
    return WIFSIGNALED(status)
               ? error_set(err, ERROR_RETRY, "upload",
                           "on_complete: %s was ended by signal %d at %s; it is tried again",
                           argv[0], WTERMSIG(status), file)
               : error_set(err, ERROR_RETRY, "upload",
                           "on_complete: %s ended with %d at %s; it is tried again", argv[0],
                           WEXITSTATUS(status), file);
}
