/* The sink redis is closed while the name service hangs. This file stands for the C library's
 * name service. */
#include "unit.h"

#include "contract/sink.h"
#include "sink/redis/conf.h"

#include <netdb.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdio.h>
#include <time.h>

extern const struct sink_ops sink_redis;

static sem_t asked, answers;
static atomic_bool has_answered;

/* Answers when it is told to, or after a minute, which ends a test that hangs. */
int getaddrinfo(const char *restrict host, const char *restrict port,
                const struct addrinfo *restrict hints, struct addrinfo **restrict ret)
{
    struct timespec until;
    (void)host, (void)port, (void)ret;
    if (hints->ai_flags & AI_NUMERICHOST) {
        return EAI_NONAME;
    }
    sem_post(&asked);
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += 60;
    (void)sem_timedwait(&answers, &until);
    has_answered = true;
    return EAI_AGAIN;
}

static void keep_note(void *ctx, int level, const char *text)
{
    (void)level;
    snprintf(ctx, 256, "%s", text);
}

static void closing_waits_for_no_name(void **state)
{
    static char nothing[] = "", topic[] = "{topic}", url[] = "redis://cache.example:6379";
    (void)state;
    char notes[256] = "";
    struct redis_conf conf = {.url = url,
                              .stream = topic,
                              .net = {.connect_timeout_us = 60 * US_PER_SECOND,
                                      .stall_timeout_us = 60 * US_PER_SECOND,
                                      .username = nothing,
                                      .password = nothing,
                                      .tls = {nothing, nothing, nothing, nothing, .verify = true}}};
    struct sink_env env = {
        .pipeline = "p", .max_in_flight = 10, .stop_fd = -1, .note = keep_note, .note_ctx = notes};
    struct error err;
    void *sink = NULL;
    size_t max;
    assert_int_equal(sem_init(&asked, 0, 0), 0);
    assert_int_equal(sem_init(&answers, 0, 0), 0);
    assert_int_equal(sink_redis.open(&conf, &env, &sink, &max, &err), RESULT_DONE);
    assert_int_equal(sink_redis.start(sink, 1, &err), RESULT_AGAIN);
    assert_int_equal(sem_wait(&asked), 0);
    sink_redis.close(sink);
    assert_false(has_answered);
    assert_non_null(strstr(notes, "is left behind"));
    sem_post(&answers); /* its thread ends, and frees what it has */
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(closing_waits_for_no_name)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
