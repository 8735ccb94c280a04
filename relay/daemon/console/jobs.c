/* A queue of jobs and one worker. The job owns all that its thread reads, because the request may
 * end while it runs. */
#include "daemon/console/jobs.h"

#include "base/memory.h"
#include "base/worker.h"
#include "daemon/console/answer.h"
#include "daemon/console/check.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

struct job {
    struct admin_request *asker; /* NULL: gone */
    struct generation *generation;
    struct stored_ask ask;
    struct buf file; /* of a check; "": it is a question to a store */
    struct buf body;
    char who[AUDIT_WHO_SIZE];
    int stop_fd; /* readable once nobody wants the answer */
    int status;
    struct buf answer;
};

struct jobs {
    struct job *queue[JOBS_MAX]; /* the first is under way while the worker is busy */
    size_t count;
    struct worker *worker; /* NULL: not started yet */
};

struct jobs *jobs_new(void)
{
    return memory_need(calloc(1, sizeof(struct jobs)));
}

static struct job *job_new(struct admin_request *asker)
{
    struct job *job = memory_need(calloc(1, sizeof *job));
    job->asker = asker;
    job->stop_fd = -1;
    return job;
}

static void job_free(struct job *job)
{
    generation_unref(job->generation);
    buf_release(&job->file);
    buf_release(&job->body);
    buf_release(&job->answer);
    if (job->stop_fd >= 0) {
        close(job->stop_fd);
    }
    free(job);
}

static void stop(const struct job *job)
{
    uint64_t one = 1;
    ssize_t n UNUSED = write(job->stop_fd, &one, sizeof one);
}

void jobs_free(struct jobs *j)
{
    if (!j) {
        return;
    }
    if (j->count > 0) {
        stop(j->queue[0]);
    }
    worker_free(j->worker);
    for (size_t i = 0; i < j->count; i++) {
        job_free(j->queue[i]);
    }
    free(j);
}

static void work(void *arg)
{
    struct job *job = arg;
    job->status = job->file.len > 0 ? check_answer(buf_str(&job->file), job->stop_fd, &job->answer)
                                    : stored_answer(&job->ask, &job->answer);
}

static int prepare(struct jobs *j, struct job *job, struct error *err)
{
    job->stop_fd = job->ask.stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (job->stop_fd < 0) {
        return error_errno(err, "console", errno, "cannot ask");
    }
    return j->worker ? RESULT_DONE : worker_new(&j->worker, err);
}

static void refuse(struct admin_request *r, const char *why)
{
    CLEANUP(buf_release) struct buf text = {0};
    int status = answer_error(&text, 503, why);
    admin_request_answer(r, &(struct admin_reply_text){(unsigned)status, "application/json", NULL,
                                                       buf_slice(&text)});
}

static void begin(struct jobs *j)
{
    if (j->count > 0 && !worker_busy(j->worker)) {
        worker_submit(j->worker, work, j->queue[0]);
    }
}

/* Takes the job over. */
static void add(struct jobs *j, struct job *job)
{
    struct error err = {0};
    if (j->count == JOBS_MAX) {
        refuse(job->asker, "too many questions wait; ask again later");
        job_free(job);
    } else if (prepare(j, job, &err)) {
        refuse(job->asker, err.text);
        job_free(job);
    } else {
        admin_request_hold(job->asker);
        j->queue[j->count++] = job;
        begin(j);
    }
}

void jobs_add(struct jobs *j, struct admin_request *r, struct generation *g,
              const struct stored_ask *ask)
{
    struct job *job = job_new(r);
    job->generation = generation_ref(g);
    job->ask = *ask;
    buf_add_slice(&job->body, ask->body);
    job->ask.body = buf_slice(&job->body);
    memcpy(job->who, ask->who, strnlen(ask->who, sizeof job->who - 1));
    job->ask.who = job->who;
    add(j, job);
}

void jobs_add_check(struct jobs *j, struct admin_request *r, const char *file)
{
    struct job *job = job_new(r);
    buf_add_str(&job->file, file);
    add(j, job);
}

static void take_out(struct jobs *j, size_t i)
{
    memmove(j->queue + i, j->queue + i + 1, (--j->count - i) * sizeof *j->queue);
}

/* What is under way is stopped, but not an edit: it would be made, and nobody would write it down.
 */
void jobs_forget(struct jobs *j, const struct admin_request *r)
{
    for (size_t i = 0; i < j->count;) {
        struct job *job = j->queue[i];
        if (job->asker != r) {
            i++;
        } else if (i > 0) {
            take_out(j, i);
            job_free(job);
        } else {
            job->asker = NULL;
            if (job->ask.route.what != ROUTE_EDIT) {
                stop(job);
            }
            i++;
        }
    }
}

void jobs_poll(const struct jobs *j, struct poll_set *set)
{
    if (j->worker) {
        poll_set_add(set, worker_fd(j->worker), POLLIN);
    }
}

void jobs_run(struct jobs *j)
{
    if (!j->worker || !worker_take_end(j->worker)) {
        return;
    }
    struct job *job = j->queue[0];
    take_out(j, 0);
    if (job->asker) {
        admin_request_answer(job->asker,
                             &(struct admin_reply_text){(unsigned)job->status, "application/json",
                                                        NULL, buf_slice(&job->answer)});
    }
    job_free(job);
    begin(j);
}
