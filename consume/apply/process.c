/* Starts a program with posix_spawn, so that the threads of this process do not matter. */
#include "consume/apply/process.h"

#include "base/buf.h"
#include "base/memory.h"
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

static const char variable[] = "COMMITRELAY_EVENT_ID=";

static void close_fd(int *fd)
{
    if (*fd >= 0) {
        close(*fd);
        *fd = -1;
    }
}

/* Our environment with the event's id. */
static char **environment(const char *id, struct buf *word)
{
    size_t n = 0, kept = 0;
    while (environ[n]) {
        n++;
    }
    char **out = memory_need(calloc(n + 2, sizeof *out));
    for (size_t i = 0; i < n; i++) {
        if (strncmp(environ[i], variable, sizeof variable - 1) != 0) {
            out[kept++] = environ[i];
        }
    }
    if (id) {
        buf_printf(word, "%s%s", variable, id);
        out[kept] = word->data;
    }
    return out;
}

/* Signals that are blocked or ignored here are not in the program. */
static void set_attributes(posix_spawnattr_t *a)
{
    sigset_t none, all;
    sigemptyset(&none);
    sigfillset(&all);
    posix_spawnattr_setsigmask(a, &none);
    posix_spawnattr_setsigdefault(a, &all);
    posix_spawnattr_setpgroup(a, 0);
    posix_spawnattr_setflags(a, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF |
                                    POSIX_SPAWN_SETPGROUP);
}

static int spawn(struct process *p, char **argv, char **env, int in, int out)
{
    posix_spawn_file_actions_t files;
    posix_spawnattr_t attributes;
    posix_spawn_file_actions_init(&files);
    posix_spawnattr_init(&attributes);
    posix_spawn_file_actions_adddup2(&files, in, STDIN_FILENO);
    posix_spawn_file_actions_adddup2(&files, out, STDOUT_FILENO);
    set_attributes(&attributes);
    int rc = posix_spawnp(&p->pid, argv[0], &files, &attributes, argv, env);
    posix_spawn_file_actions_destroy(&files);
    posix_spawnattr_destroy(&attributes);
    return rc;
}

static int failed(int code, const char *program, struct error *err)
{
    bool gone = code == ENOENT || code == EACCES || code == ENOEXEC || code == ENOTDIR;
    return gone ? error_set(err, ERROR_CONFIG, "consume",
                            "the program %s cannot be started: %s; correct apply.exec", program,
                            strerror(code))
                : error_set(err, ERROR_RETRY, "consume", "the program %s cannot be started: %s",
                            program, strerror(code));
}

int process_start(struct process *p, const struct conf_list *argv, const char *id, bool answers,
                  struct error *err)
{
    CLEANUP(buf_release) struct buf word = {0};
    int in[2] = {-1, -1}, out[2] = {-1, -1};
    *p = (struct process){.in = -1, .out = -1, .end = -1};
    char **env = environment(id, &word);
    int code = pipe2(in, O_CLOEXEC) || (answers && pipe2(out, O_CLOEXEC)) ? errno : 0;
    code = code ? code : spawn(p, argv->items, env, in[0], answers ? out[1] : STDERR_FILENO);
    free(env);
    close_fd(&in[0]);
    close_fd(&out[1]);
    if (code) {
        close_fd(&in[1]);
        close_fd(&out[0]);
        p->pid = 0;
        return failed(code, argv->items[0], err);
    }
    p->in = in[1];
    p->out = out[0];
    fcntl(p->in, F_SETFL, O_NONBLOCK);
    if (p->out >= 0) {
        fcntl(p->out, F_SETFL, O_NONBLOCK);
    }
    p->end = (int)syscall(SYS_pidfd_open, p->pid, 0);
    if (p->end < 0) {
        process_kill(p);
        return failed(EMFILE, argv->items[0], err);
    }
    return RESULT_DONE;
}

int process_take_end(struct process *p)
{
    int status = 0;
    while (waitpid(p->pid, &status, 0) < 0 && errno == EINTR) {
    }
    p->pid = 0;
    return status;
}

int process_kill_end(struct process *p)
{
    int status = 0;
    close_fd(&p->in);
    close_fd(&p->out);
    if (p->pid > 0) {
        kill(-p->pid, SIGKILL);
        status = process_take_end(p);
    }
    close_fd(&p->end);
    return status;
}

void process_kill(struct process *p)
{
    (void)process_kill_end(p);
}
