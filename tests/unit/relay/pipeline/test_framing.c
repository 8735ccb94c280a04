/* Events with schemas: none goes before the registry has given its number, and then all go, in
 * order. What the registry says is scripted. */
#include "unit.h"

#include "fakes.h"

#include <arpa/inet.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

/* A registry that answers with these, one after the other, and from then on gives numbers. */
struct registry {
    const int *refusals;
    size_t refusals_count;
    _Atomic size_t asked;
    char url[64];
    int fd;
    pthread_t thread;
};

/* Until the body has come, of which Content-Length tells the size. False: the client has gone. */
static bool read_request(int fd)
{
    static char text[1 << 16];
    size_t len = 0;
    for (;;) {
        ssize_t n = read(fd, text + len, sizeof text - 1 - len);
        if (n <= 0) {
            return false;
        }
        len += (size_t)n;
        text[len] = '\0';
        const char *end = strstr(text, "\r\n\r\n"), *size = strcasestr(text, "\r\ncontent-length:");
        if (end && len >= (size_t)(end - text) + 4 + (size ? strtoul(size + 17, NULL, 10) : 0)) {
            return true;
        }
    }
}

static void *serve(void *arg)
{
    struct registry *r = arg;
    for (int fd; (fd = accept(r->fd, NULL, NULL)) >= 0; close(fd)) {
        char body[64], answer[256];
        if (!read_request(fd)) {
            continue;
        }
        size_t i = atomic_fetch_add(&r->asked, 1);
        int status = i < r->refusals_count ? r->refusals[i] : 200;
        snprintf(body, sizeof body,
                 status == 200 ? "{\"id\":%zu}" : "{\"message\":\"refusal %zu\"}", i);
        int n = snprintf(answer, sizeof answer,
                         "HTTP/1.1 %d x\r\nContent-Length: %zu\r\nConnection: close\r\n\r\n%s",
                         status, strlen(body), body);
        if (write(fd, answer, (size_t)n) != n) {
            break;
        }
    }
    return NULL;
}

static void registry_start(struct registry *r, const int *refusals, size_t count)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof at;
    *r = (struct registry){
        .refusals = refusals, .refusals_count = count, .fd = socket(AF_INET, SOCK_STREAM, 0)};
    assert_int_equal(bind(r->fd, (struct sockaddr *)&at, sizeof at), 0);
    assert_int_equal(listen(r->fd, 8), 0);
    assert_int_equal(getsockname(r->fd, (struct sockaddr *)&at, &size), 0);
    snprintf(r->url, sizeof r->url, "http://127.0.0.1:%d", ntohs(at.sin_port));
    assert_int_equal(pthread_create(&r->thread, NULL, serve, r), 0);
}

static void registry_end(struct registry *r)
{
    shutdown(r->fd, SHUT_RDWR); /* ends the accept */
    pthread_join(r->thread, NULL);
    close(r->fd);
}

static struct fake *fake_new(const struct registry *r)
{
    struct fake *f = calloc(1, sizeof *f);
    assert_non_null(f);
    f->events = 500;
    f->registry = r->url;
    return f;
}

static void all_there(const struct fake *f)
{
    bool *seen = fake_assert_in_order(f);
    for (unsigned n = 1; n <= f->events; n++) {
        assert_true(seen[n]);
    }
    free(seen);
}

static void events_wait_for_a_registry_that_is_away(void **state)
{
    (void)state;
    static const int busy[] = {503, 429, 500, 200, 503};
    struct registry r;
    struct metrics metrics;
    registry_start(&r, busy, 5);
    struct fake *f = fake_new(&r);
    assert_int_equal(fake_run(f, fake_delivery(), &metrics), 0);
    all_there(f);
    assert_int_equal(atomic_load(&r.asked), 6); /* two schemas, four refusals */
    assert_int_equal(metrics_get(&metrics.failures[ERROR_RETRY]), 0); /* it is no failure */
    assert_int_equal(metrics_get(&metrics.failures[ERROR_POISON]), 0);
    registry_end(&r);
    free(f);
}

static void sources_and_sinks_fail_meanwhile(void **state)
{
    (void)state;
    static const int busy[] = {503, 503};
    struct registry r;
    struct metrics metrics;
    registry_start(&r, busy, 2);
    struct fake *f = fake_new(&r);
    f->source_fails_in = 40;
    f->sink_fails_in = 40;
    assert_int_equal(fake_run(f, fake_delivery(), &metrics), 0);
    all_there(f);
    registry_end(&r);
    free(f);
}

/* With until_idle it ends there; a daemon blocks and asks again. */
static void a_refusal_lets_nothing_pass(void **state)
{
    (void)state;
    static const int incompatible[] = {200, 409};
    struct registry r;
    struct metrics metrics;
    registry_start(&r, incompatible, 2);
    struct fake *f = fake_new(&r);
    assert_int_equal(fake_run(f, fake_delivery(), &metrics), EXIT_CODE_CONFIG);
    assert_int_equal(f->sent_count, 0);
    assert_int_equal(f->saved_cursor, 0);
    assert_int_equal(metrics_get(&metrics.failures[ERROR_CONFIG]), 1);
    registry_end(&r);
    free(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(events_wait_for_a_registry_that_is_away),
        cmocka_unit_test(sources_and_sinks_fail_meanwhile),
        cmocka_unit_test(a_refusal_lets_nothing_pass),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
