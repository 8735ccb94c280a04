/* poll_set wakes for descriptors and deadlines, a worker runs each job once, a fault point kills
 * where it was told to. */
#include "unit.h"

#include "base/fault.h"
#include "base/poll_set.h"
#include "base/worker.h"
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

static void poll_set_keeps_the_nearest_deadline(void **state)
{
    (void)state;
    struct poll_set set;
    poll_set_clear(&set);
    assert_true(set.deadline_us == DEADLINE_NEVER);
    poll_set_add(&set, -1, POLLIN);
    assert_int_equal(set.count, 0);
    poll_set_deadline(&set, 500);
    poll_set_deadline(&set, 900);
    assert_int_equal(set.deadline_us, 500);
    assert_int_equal(poll_set_wait(&set), 0); /* long past: at once */

    poll_set_clear(&set);
    int64_t start = clock_mono_us();
    poll_set_deadline(&set, start + 5 * US_PER_MS);
    assert_int_equal(poll_set_wait(&set), 0);
    assert_true(clock_mono_us() >= start + 5 * US_PER_MS);
}

static void poll_set_wakes_for_a_descriptor(void **state)
{
    (void)state;
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    assert_int_equal(write(ends[1], "x", 1), 1);
    struct poll_set set;
    poll_set_clear(&set);
    poll_set_add(&set, ends[0], POLLIN);
    assert_int_equal(poll_set_wait(&set), 1);
    assert_true(set.fds[0].revents & POLLIN);
    close(ends[0]);
    close(ends[1]);
}

static void on_alarm(int signal_number)
{
    (void)signal_number;
}

static void a_signal_counts_as_nothing(void **state)
{
    (void)state;
    struct sigaction action = {.sa_handler = on_alarm};
    sigaction(SIGALRM, &action, NULL);
    /* Again and again: one alone may come before the wait. */
    struct itimerval often = {{0, 5000}, {0, 5000}}, never = {{0, 0}, {0, 0}};
    struct poll_set set;
    int64_t deadline = clock_mono_us() + 3600 * US_PER_SECOND;
    poll_set_clear(&set);
    poll_set_deadline(&set, deadline);
    setitimer(ITIMER_REAL, &often, NULL);
    assert_int_equal(poll_set_wait(&set), 0);
    assert_true(clock_mono_us() < deadline);
    setitimer(ITIMER_REAL, &never, NULL);
}

struct job {
    _Atomic int runs;
    bool signals_blocked;
    int wait_fd, over_fd;
};

static void do_job(void *arg)
{
    struct job *j = arg;
    sigset_t mask;
    pthread_sigmask(SIG_SETMASK, NULL, &mask);
    j->signals_blocked = sigismember(&mask, SIGTERM) == 1;
    char c;
    if (j->wait_fd >= 0 && read(j->wait_fd, &c, 1) != 1) {
        return;
    }
    j->runs++;
}

static void await_end(struct worker *w)
{
    struct poll_set set;
    poll_set_clear(&set);
    poll_set_add(&set, worker_fd(w), POLLIN);
    assert_int_equal(set.count, 1);
    poll_set_deadline(&set, clock_mono_us() + 180 * US_PER_SECOND);
    assert_int_equal(poll_set_wait(&set), 1);
}

static void worker_runs_each_job_once(void **state)
{
    (void)state;
    struct error err;
    struct worker *w = NULL;
    assert_int_equal(worker_new(&w, &err), 0);
    assert_int_equal(worker_fd(w), -1);
    assert_false(worker_take_end(w));
    struct job j = {.wait_fd = -1};
    for (int i = 1; i <= 50; i++) {
        worker_submit(w, do_job, &j);
        assert_true(worker_busy(w));
        await_end(w);
        assert_true(worker_take_end(w));
        assert_false(worker_take_end(w));
        assert_false(worker_busy(w));
        assert_int_equal(j.runs, i);
    }
    assert_true(j.signals_blocked);
    worker_free(w);
    worker_free(NULL);
}

static void worker_is_busy_until_the_job_ends(void **state)
{
    (void)state;
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    struct error err;
    struct worker *w = NULL;
    assert_int_equal(worker_new(&w, &err), 0);
    struct job j = {.wait_fd = ends[0]};
    worker_submit(w, do_job, &j);
    assert_false(worker_take_end(w));
    assert_true(worker_busy(w));
    assert_int_equal(write(ends[1], "x", 1), 1);
    worker_free(w); /* waits for it */
    assert_int_equal(j.runs, 1);
    close(ends[0]);
    close(ends[1]);
}

static void tell_the_end(void *arg)
{
    struct job *j = arg;
    assert_int_equal(write(j->over_fd, "x", 1), 1);
}

static void a_job_that_hangs_is_left_behind(void **state)
{
    (void)state;
    int ends[2], over[2];
    assert_int_equal(pipe(ends), 0);
    assert_int_equal(pipe(over), 0);
    struct error err;
    struct job j = {.wait_fd = ends[0], .over_fd = over[1]};
    struct worker *w = NULL;
    assert_int_equal(worker_new(&w, &err), 0);
    worker_submit(w, do_job, &j);
    assert_false(worker_wait_at_most(w, US_PER_MS));
    assert_false(worker_end(w, US_PER_MS, tell_the_end));
    char c;
    assert_int_equal(write(ends[1], "x", 1), 1);
    assert_int_equal(read(over[0], &c, 1), 1); /* it has ended, and its thread says so */
    assert_int_equal(j.runs, 1);

    assert_int_equal(worker_new(&w, &err), 0);
    assert_int_equal(write(ends[1], "x", 1), 1);
    worker_submit(w, do_job, &j);
    assert_true(worker_end(w, 180 * US_PER_SECOND, tell_the_end));
    assert_int_equal(j.runs, 2);
    assert_true(worker_end(NULL, 0, tell_the_end));
    for (int i = 0; i < 2; i++) {
        close(ends[i]);
        close(over[i]);
    }
}

/* Exit status of a child that passes the points "one", "other", "one", then leaves with 7. */
static int run_with_fault(const char *spec)
{
    pid_t child = fork();
    if (child == 0) {
        setenv("COMMITRELAY_FAULT", spec, 1);
        fault_point("one");
        fault_point("other");
        fault_point("one");
        _exit(7);
    }
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    return status;
}

static void fault_points_kill_where_told(void **state)
{
    (void)state;
#ifndef COMMITRELAY_FAULTS
    skip();
#endif
    static const struct {
        const char *spec;
        bool killed;
    } cases[] = {
        {"one:kill", true},    {"one@1:kill", true}, {"one@2:kill", true},
        {"one@3:kill", false}, {"other:kill", true}, {"other@2:kill", false},
        {"on:kill", false},    {"ones:kill", false}, {"one:other", false},
        {"", false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        int status = run_with_fault(cases[i].spec);
        bool killed = WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
        if (killed != cases[i].killed || (!killed && WEXITSTATUS(status) != 7)) {
            fail_msg("%s gave %d", cases[i].spec, status);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(poll_set_keeps_the_nearest_deadline),
        cmocka_unit_test(poll_set_wakes_for_a_descriptor),
        cmocka_unit_test(a_signal_counts_as_nothing),
        cmocka_unit_test(worker_runs_each_job_once),
        cmocka_unit_test(worker_is_busy_until_the_job_ends),
        cmocka_unit_test(a_job_that_hangs_is_left_behind),
        cmocka_unit_test(fault_points_kill_where_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
