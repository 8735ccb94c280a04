/*
 * Resolves host names on a worker (lookup.h). A job has its own texts: one that hangs may outlive
 * its sink.
 */
#include "sink/kit/lookup.h"

#include "base/log.h"
#include "base/memory.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

/* A look-up has nothing to lose. */
#define END_WAIT_US US_PER_SECOND

struct lookup_job {
    char *host, *port;
    struct addrinfo *found;
    int rc, cause;
};

static struct lookup_job *job_new(const char *host, const char *port)
{
    struct lookup_job *job = memory_need(calloc(1, sizeof *job));
    job->host = memory_need(strdup(host));
    job->port = memory_need(strdup(port));
    return job;
}

static void job_free(void *arg)
{
    struct lookup_job *job = arg;
    if (!job) {
        return;
    }
    if (job->found) {
        freeaddrinfo(job->found);
    }
    free(job->host);
    free(job->port);
    free(job);
}

static int look_up(struct lookup_job *job, int flags)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = flags | AI_NUMERICSERV};
    job->rc = getaddrinfo(job->host, job->port, &hints, &job->found);
    job->cause = errno;
    return job->rc;
}

/* On the worker's thread. */
static void look_up_name(void *arg)
{
    (void)look_up(arg, 0);
}

/* DONE: the host is an address, which needs no worker. AGAIN: the worker has the job. */
static int ask(struct lookup *l, const char *host, const char *port, struct error *err)
{
    job_free(l->job);
    l->job = job_new(host, port);
    l->asked = look_up(l->job, AI_NUMERICHOST) == 0;
    if (l->asked) {
        return RESULT_DONE;
    }
    if (!l->worker && worker_new(&l->worker, err)) {
        return RESULT_ERROR;
    }
    worker_submit(l->worker, look_up_name, l->job);
    l->asked = true;
    return RESULT_AGAIN;
}

int lookup_run(struct lookup *l, const char *host, const char *port, struct addrinfo **ret,
               struct error *err)
{
    if (l->worker && worker_busy(l->worker) && !worker_take_end(l->worker)) {
        return RESULT_AGAIN;
    }
    int rc = l->asked ? RESULT_DONE : ask(l, host, port, err);
    if (rc) {
        return rc;
    }
    const struct lookup_job *job = l->job;
    if (job->rc) {
        return error_set(err, ERROR_RETRY, "lookup", "%s",
                         job->rc == EAI_SYSTEM ? strerror(job->cause) : gai_strerror(job->rc));
    }
    *ret = job->found;
    return RESULT_DONE;
}

int lookup_fd(const struct lookup *l)
{
    return l->worker ? worker_fd(l->worker) : -1;
}

void lookup_forget(struct lookup *l)
{
    l->asked = false;
    if (!l->worker || !worker_busy(l->worker)) {
        job_free(l->job);
        l->job = NULL;
    }
}

void lookup_release(struct lookup *l, const struct sink_env *env)
{
    if (!worker_end(l->worker, END_WAIT_US, job_free)) {
        l->job = NULL; /* its thread's */
        if (env->note) {
            env->note(env->note_ctx, LOG_WARN,
                      "the name service does not answer; a look-up is left behind");
        }
    }
    l->worker = NULL;
    lookup_forget(l);
}
