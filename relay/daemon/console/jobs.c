/* A queue of jobs and one worker. The job owns all that its thread reads, because the request may
 * end while it runs. */
#include "daemon/console/jobs.h"

#include "base/memory.h"
#include "base/worker.h"
#include "daemon/console/answer.h"
#include "daemon/console/check.h"
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
    int status;
    struct buf answer;
};

struct jobs {
    struct job *queue[JOBS_MAX]; /* the first is under way while the worker is busy */
    size_t count;
    struct worker *worker; /* NULL: not started yet */
    int stop_fd;
};

struct jobs *jobs_new(void)
{
    struct jobs *j = memory_need(calloc(1, sizeof *j));
    j->stop_fd = -1;
    return j;
}

static void job_free(struct job *job)
{
    generation_unref(job->generation);
    buf_release(&job->file);
    buf_release(&job->body);
    buf_release(&job->answer);
    free(job);
}

void jobs_free(struct jobs *j)
{
    uint64_t one = 1;
    if (!j) {
        return;
    }
    if (j->stop_fd >= 0) {
        ssize_t n UNUSED = write(j->stop_fd, &one, sizeof one);
    }
    worker_free(j->worker);
    for (size_t i = 0; i < j->count; i++) {
        job_free(j->queue[i]);
    }
    if (j->stop_fd >= 0) {
        close(j->stop_fd);
    }
    free(j);
}

static void work(void *arg)
{
    struct job *job = arg;
    job->status = job->file.len > 0
                      ? check_answer(buf_str(&job->file), job->ask.stop_fd, &job->answer)
                      : stored_answer(&job->ask, &job->answer);
}

static int start_worker(struct jobs *j, struct error *err)
{
    if (j->worker) {
        return RESULT_DONE;
    }
    j->stop_fd = j->stop_fd >= 0 ? j->stop_fd : eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    return worker_new(&j->worker, err);
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
    } else if (start_worker(j, &err)) {
        refuse(job->asker, err.text);
        job_free(job);
    } else {
        job->ask.stop_fd = j->stop_fd;
        admin_request_hold(job->asker);
        j->queue[j->count++] = job;
        begin(j);
    }
}

void jobs_add(struct jobs *j, struct admin_request *r, struct generation *g,
              const struct stored_ask *ask)
{
    struct job *job = memory_need(calloc(1, sizeof *job));
    job->asker = r;
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
    struct job *job = memory_need(calloc(1, sizeof *job));
    job->asker = r;
    buf_add_str(&job->file, file);
    add(j, job);
}

void jobs_forget(struct jobs *j, const struct admin_request *r)
{
    for (size_t i = 0; i < j->count; i++) {
        if (j->queue[i]->asker == r) {
            j->queue[i]->asker = NULL;
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
    memmove(j->queue, j->queue + 1, --j->count * sizeof *j->queue);
    if (job->asker) {
        admin_request_answer(job->asker,
                             &(struct admin_reply_text){(unsigned)job->status, "application/json",
                                                        NULL, buf_slice(&job->answer)});
    }
    job_free(job);
    begin(j);
}
