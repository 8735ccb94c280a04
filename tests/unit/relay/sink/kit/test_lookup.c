/* Looking up names while the name service hangs. This file stands for the C library's. */
#include "unit.h"

#include "base/clock.h"
#include "base/poll_set.h"
#include "sink/kit/lookup.h"

#include <arpa/inet.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static sem_t asked, answers;
static atomic_int answered;

static int address(struct addrinfo **ret)
{
    struct sockaddr_in *at = calloc(1, sizeof *at);
    at->sin_family = AF_INET;
    *ret = calloc(1, sizeof **ret);
    (*ret)->ai_family = AF_INET;
    (*ret)->ai_addr = (struct sockaddr *)at;
    return 0;
}

/* Knows 127.0.0.1 at once. Answers for a name when it is told to, or after a minute, which ends a
 * test that hangs: "good" has an address, others have none. */
int getaddrinfo(const char *restrict host, const char *restrict port,
                const struct addrinfo *restrict hints, struct addrinfo **restrict ret)
{
    struct timespec until;
    (void)port;
    if (hints->ai_flags & AI_NUMERICHOST) {
        return host[0] == '1' ? address(ret) : EAI_NONAME;
    }
    sem_post(&asked);
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += 60;
    (void)sem_timedwait(&answers, &until);
    answered++;
    return host[0] == 'g' ? address(ret) : EAI_AGAIN;
}

void freeaddrinfo(struct addrinfo *a)
{
    free(a->ai_addr);
    free(a);
}

static void keep_note(void *ctx, int level, const char *text)
{
    (void)level;
    snprintf(ctx, 256, "%s", text);
}

struct fixture {
    struct lookup lookup;
    struct sink_env env;
    struct addrinfo *found;
    struct error err;
    char notes[256];
};

static int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    f->env = (struct sink_env){.note = keep_note, .note_ctx = f->notes, .stop_fd = -1};
    sem_init(&asked, 0, 0);
    sem_init(&answers, 0, 0);
    answered = 0;
    *state = f;
    return 0;
}

static int run(struct fixture *f, const char *host)
{
    return lookup_run(&f->lookup, host, "5672", &f->found, &f->err);
}

/* Until the answer of the name service has come. */
static int wait_for(struct fixture *f, const char *host)
{
    int rc;
    while ((rc = run(f, host)) == RESULT_AGAIN) {
        struct poll_set set;
        poll_set_clear(&set);
        poll_set_add(&set, lookup_fd(&f->lookup), POLLIN);
        poll_set_deadline(&set, DEADLINE_NEVER);
        poll_set_wait(&set);
    }
    return rc;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    lookup_release(&f->lookup, &f->env);
    free(f);
    return 0;
}

static void an_address_is_there_at_once(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(run(f, "127.0.0.1"), RESULT_DONE);
    assert_non_null(f->found);
    assert_int_equal(lookup_fd(&f->lookup), -1);
    assert_int_equal(run(f, "127.0.0.1"), RESULT_DONE); /* the same answer */
}

static void a_name_is_waited_for_and_asked_anew(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(run(f, "bad"), RESULT_AGAIN);
    sem_post(&answers);
    assert_int_equal(wait_for(f, "bad"), RESULT_ERROR);
    assert_int_equal(f->err.class, ERROR_RETRY);
    assert_string_equal(f->err.text, gai_strerror(EAI_AGAIN));
    lookup_forget(&f->lookup);
    sem_post(&answers);
    assert_int_equal(wait_for(f, "good"), RESULT_DONE);
    assert_non_null(f->found);
    assert_int_equal(answered, 2);
}

/* Its answer is never taken for that of the next question. */
static void one_that_was_given_up_ends_first(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(run(f, "bad"), RESULT_AGAIN);
    sem_wait(&asked);
    lookup_forget(&f->lookup);
    assert_int_equal(run(f, "good"), RESULT_AGAIN);
    sem_post(&answers);
    sem_post(&answers);
    assert_int_equal(wait_for(f, "good"), RESULT_DONE);
    assert_int_equal(answered, 2);
}

static void the_end_waits_for_no_name(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(run(f, "bad"), RESULT_AGAIN);
    sem_wait(&asked);
    lookup_forget(&f->lookup); /* the connection is closed first */
    lookup_release(&f->lookup, &f->env);
    assert_int_equal(answered, 0);
    assert_string_equal(f->notes, "the name service does not answer; a look-up is left behind");
    sem_post(&answers); /* its thread ends, and frees what it has */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(an_address_is_there_at_once, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_name_is_waited_for_and_asked_anew, set_up, tear_down),
        cmocka_unit_test_setup_teardown(one_that_was_given_up_ends_first, set_up, tear_down),
        cmocka_unit_test_setup_teardown(the_end_waits_for_no_name, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
