/* The console's questions to stores, while those who ask go away. This file stands for the stores,
 * the check and the admin port. */
#include "unit.h"

#include "daemon/console/check.h"
#include "daemon/console/jobs.h"

#include <semaphore.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static sem_t let_go;
static atomic_int asked;
static char seen[256];     /* the numbers of what was asked, as "1 2 " */
static char answered[256]; /* the statuses and numbers of requests */
static struct admin_request requests[JOBS_MAX + 2];

static int number_of(const struct admin_request *r)
{
    return (int)(r - requests) + 1;
}

/* Ends when it is let go, with 200, or when it is stopped, with 503. */
static int hang(int stop_fd)
{
    struct pollfd p = {.fd = stop_fd, .events = POLLIN};
    for (;;) {
        if (sem_trywait(&let_go) == 0) {
            return 200;
        }
        if (poll(&p, 1, 1) > 0) {
            return 503;
        }
    }
}

int stored_answer(const struct stored_ask *ask, struct buf *out)
{
    size_t used = strlen(seen);
    snprintf(seen + used, sizeof seen - used, "%d ", (int)ask->after);
    asked++;
    buf_add_str(out, "{}");
    return hang(ask->stop_fd);
}

int check_answer(const char *file, int stop_fd, struct buf *out)
{
    (void)file;
    asked++;
    buf_add_str(out, "{}");
    return hang(stop_fd);
}

void admin_request_hold(struct admin_request *r)
{
    (void)r;
}

void admin_request_answer(struct admin_request *r, const struct admin_reply_text *reply)
{
    size_t used = strlen(answered);
    snprintf(answered + used, sizeof answered - used, "%u:%d ", reply->status, number_of(r));
}

struct generation *generation_ref(struct generation *g)
{
    return g;
}

void generation_unref(struct generation *g)
{
    (void)g;
}

static int set_up(void **state)
{
    sem_init(&let_go, 0, 0);
    asked = 0;
    seen[0] = answered[0] = '\0';
    *state = jobs_new();
    return 0;
}

static int tear_down(void **state)
{
    jobs_free(*state);
    return 0;
}

static void ask(struct jobs *j, int n, enum route_what what)
{
    const struct stored_ask a = {.route.what = what, .after = n, .who = ""};
    jobs_add(j, &requests[n - 1], NULL, &a);
}

static void turn(struct jobs *j)
{
    struct poll_set set;
    poll_set_clear(&set);
    jobs_poll(j, &set);
    poll_set_deadline(&set, clock_mono_us() + US_PER_MS);
    poll_set_wait(&set);
    jobs_run(j);
}

static void wait_asked(struct jobs *j, int n)
{
    while (asked < n) {
        turn(j);
    }
}

static void wait_answered(struct jobs *j, const char *want)
{
    while (strlen(answered) < strlen(want)) {
        turn(j);
    }
    assert_string_equal(answered, want);
}

static void what_waits_is_dropped_with_its_asker(void **state)
{
    struct jobs *j = *state;
    ask(j, 1, ROUTE_LETTERS);
    ask(j, 2, ROUTE_LETTERS);
    ask(j, 3, ROUTE_EDIT);
    ask(j, 4, ROUTE_LETTERS);
    wait_asked(j, 1);
    jobs_forget(j, &requests[1]);
    jobs_forget(j, &requests[2]);
    sem_post(&let_go);
    sem_post(&let_go);
    wait_answered(j, "200:1 200:4 ");
    assert_string_equal(seen, "1 4 ");
}

/* Those who ask and leave keep nobody out. */
static void places_are_free_again(void **state)
{
    struct jobs *j = *state;
    for (int i = 1; i <= JOBS_MAX; i++) {
        ask(j, i, ROUTE_LETTERS);
    }
    wait_asked(j, 1);
    ask(j, JOBS_MAX + 1, ROUTE_LETTERS);
    wait_answered(j, "503:17 ");
    for (int i = 2; i <= JOBS_MAX; i++) {
        jobs_forget(j, &requests[i - 1]);
    }
    ask(j, JOBS_MAX + 2, ROUTE_LETTERS);
    sem_post(&let_go);
    sem_post(&let_go);
    wait_answered(j, "503:17 200:1 200:18 ");
}

static void what_is_under_way_is_stopped(void **state)
{
    struct jobs *j = *state;
    ask(j, 1, ROUTE_LETTERS);
    wait_asked(j, 1);
    jobs_add_check(j, &requests[1], "relay.yaml");
    ask(j, 3, ROUTE_LETTERS);
    jobs_forget(j, &requests[0]);
    wait_asked(j, 2); /* nobody let go */
    jobs_forget(j, &requests[1]);
    wait_asked(j, 3);
    sem_post(&let_go);
    wait_answered(j, "200:3 ");
}

/* It is in the audit log then. */
static void an_edit_that_has_begun_is_made(void **state)
{
    struct jobs *j = *state;
    ask(j, 1, ROUTE_EDIT);
    ask(j, 2, ROUTE_LETTERS);
    wait_asked(j, 1);
    jobs_forget(j, &requests[0]);
    for (int i = 0; i < 20; i++) { /* silence is what is tested */
        turn(j);
    }
    assert_int_equal(asked, 1);
    sem_post(&let_go);
    sem_post(&let_go);
    wait_answered(j, "200:2 ");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_waits_is_dropped_with_its_asker, set_up, tear_down),
        cmocka_unit_test_setup_teardown(places_are_free_again, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_is_under_way_is_stopped, set_up, tear_down),
        cmocka_unit_test_setup_teardown(an_edit_that_has_begun_is_made, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
