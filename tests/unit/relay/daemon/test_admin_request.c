/* Requests for a site: answered at once, later, or as a stream; none is left behind at the end. */
#include "unit.h"

#include "daemon/admin.h"
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

enum { WAITS_S = 180 };

struct site {
    struct admin *admin;
    struct admin_request *last; /* held or streaming */
    char body[64], method[16], argument[32];
    size_t body_len, taken, gone;
};

static int answer(void *ctx UNUSED, enum admin_page page UNUSED, struct buf *body)
{
    buf_add_str(body, "page\n");
    return 200;
}

static void take(void *ctx, struct admin_request *r)
{
    struct site *s = ctx;
    s->taken++;
    s->body_len = r->body.len;
    snprintf(s->body, sizeof s->body, "%.*s", SLICE_FMT(r->body));
    snprintf(s->method, sizeof s->method, "%s", r->method);
    snprintf(s->argument, sizeof s->argument, "%s", admin_request_argument(r, "after"));
    if (strcmp(r->path, "/later") == 0) {
        s->last = r;
        admin_request_hold(r);
    } else if (strcmp(r->path, "/stream") == 0) {
        s->last = r;
        admin_request_stream(r);
    } else {
        admin_request_answer(
            r, &(struct admin_reply_text){201, "text/plain", NULL, SLICE_LITERAL("at once")});
    }
}

static bool wants(void *ctx UNUSED, const struct admin_request *r)
{
    return strcmp(r->path, "/unwanted") != 0;
}

static void gone(void *ctx, struct admin_request *r)
{
    struct site *s = ctx;
    s->last = r == s->last ? NULL : s->last;
    s->gone++;
}

static const struct admin_site site = {wants, take, gone};
static const struct admin_ops ops = {.answer = answer, .site = &site};

static int setup(void **state)
{
    struct site *s = test_calloc(1, sizeof *s);
    struct error err = {0};
    if (admin_new("127.0.0.1:0", &ops, s, &s->admin, &err)) {
        fail_msg("%s", err.text);
    }
    *state = s;
    return 0;
}

static int teardown(void **state)
{
    struct site *s = *state;
    admin_free(s->admin);
    assert_null(s->last);
    test_free(s);
    return 0;
}

static int send_request(const struct site *s, const char *text)
{
    struct sockaddr_in to = {.sin_family = AF_INET};
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    to.sin_port = htons((uint16_t)atoi(strrchr(admin_address(s->admin), ':') + 1));
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof to), 0);
    assert_int_equal(send(fd, text, strlen(text), MSG_NOSIGNAL), strlen(text));
    return fd;
}

/* Lets the server run until the answer has this text (NULL: until the other end closes). */
static void read_until(struct site *s, int fd, const char *expected, char *out, size_t size)
{
    int64_t until = clock_mono_us() + WAITS_S * US_PER_SECOND;
    size_t n = 0;
    out[0] = 0;
    while (clock_mono_us() < until && n < size - 1) {
        struct poll_set set;
        poll_set_clear(&set);
        poll_set_add(&set, fd, POLLIN);
        poll_set_deadline(&set, until);
        admin_poll(s->admin, &set);
        poll_set_wait(&set);
        admin_run(s->admin);
        ssize_t got = recv(fd, out + n, size - 1 - n, MSG_DONTWAIT);
        n += got > 0 ? (size_t)got : 0;
        out[n] = 0;
        if (expected ? strstr(out, expected) != NULL : got == 0) {
            return;
        }
        if (got == 0) {
            break;
        }
    }
    fail_msg("no \"%s\" in: %s", expected ? expected : "end", out);
}

/* Lets the server run until the site has got so many requests. */
static void run_until_taken(struct site *s, size_t taken)
{
    int64_t until = clock_mono_us() + WAITS_S * US_PER_SECOND;
    while (s->taken < taken && clock_mono_us() < until) {
        struct poll_set set;
        poll_set_clear(&set);
        poll_set_deadline(&set, until);
        admin_poll(s->admin, &set);
        poll_set_wait(&set);
        admin_run(s->admin);
    }
    assert_int_equal(s->taken, taken);
}

static void run_until_gone(struct site *s, size_t number)
{
    int64_t until = clock_mono_us() + WAITS_S * US_PER_SECOND;
    while (s->gone < number && clock_mono_us() < until) {
        struct poll_set set;
        poll_set_clear(&set);
        poll_set_deadline(&set, until);
        admin_poll(s->admin, &set);
        poll_set_wait(&set);
        admin_run(s->admin);
    }
    assert_int_equal(s->gone, number);
}

static void test_at_once(void **state)
{
    struct site *s = *state;
    char out[4096];
    int fd = send_request(s, "GET /x?after=7%20a HTTP/1.1\r\nHost: localhost\r\n"
                             "Connection: close\r\n\r\n");
    read_until(s, fd, NULL, out, sizeof out);
    close(fd);
    assert_non_null(strstr(out, "HTTP/1.1 201"));
    assert_non_null(strstr(out, "at once"));
    assert_non_null(strstr(out, "Content-Security-Policy: default-src 'none'"));
    assert_non_null(strstr(out, "X-Content-Type-Options: nosniff"));
    assert_string_equal(s->argument, "7 a");
    fd = send_request(s, "GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    read_until(s, fd, "page\n", out, sizeof out); /* the plain pages are not the site's */
    close(fd);
    fd = send_request(s, "GET /x HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n");
    read_until(s, fd, "HTTP/1.1 403", out, sizeof out);
    close(fd);
    assert_int_equal(s->taken, 1);
}

static void test_body(void **state)
{
    struct site *s = *state;
    char out[4096];
    int fd = send_request(s, "POST /x HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n"
                             "Connection: close\r\n\r\n{\"a\": 1}\n");
    read_until(s, fd, "at once", out, sizeof out);
    close(fd);
    assert_string_equal(s->body, "{\"a\": 1}\n");
    assert_string_equal(s->method, "POST");
    fd = send_request(s, "POST /unwanted HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n"
                         "Connection: close\r\n\r\n{\"a\": 1}\n");
    read_until(s, fd, "at once", out, sizeof out);
    close(fd);
    assert_string_equal(s->body, "");
}

/* A body without an end costs no more memory than ADMIN_BODY_MAX, and is not given to the site. */
static void test_long_body(void **state)
{
    struct site *s = *state;
    char out[4096], head[160];
    char *body = test_calloc(1, ADMIN_BODY_MAX + 2);
    size_t sent = 0, all = ADMIN_BODY_MAX + 1;
    memset(body, 'x', all);
    snprintf(head, sizeof head,
             "POST /x HTTP/1.1\r\nHost: localhost\r\nContent-Length: %zu\r\n"
             "Connection: close\r\n\r\n",
             all);
    int fd = send_request(s, head);
    while (sent < all) {
        ssize_t n = send(fd, body + sent, all - sent, MSG_DONTWAIT | MSG_NOSIGNAL);
        sent += n > 0 ? (size_t)n : 0;
        admin_run(s->admin);
    }
    test_free(body);
    read_until(s, fd, "HTTP/1.1 413", out, sizeof out);
    close(fd);
    assert_int_equal(s->taken, 0);
}

static void test_later(void **state)
{
    struct site *s = *state;
    char out[4096];
    int fd = send_request(s, "GET /later HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    run_until_taken(s, 1);
    assert_non_null(s->last);
    int other = send_request(s, "GET /x HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    read_until(s, other, "at once", out, sizeof out); /* nobody waits for it */
    close(other);
    admin_request_answer(
        s->last, &(struct admin_reply_text){200, "text/plain", NULL, SLICE_LITERAL("late answer")});
    read_until(s, fd, "late answer", out, sizeof out);
    close(fd);
    run_until_gone(s, 1);
}

/* Its question need not be answered any more. */
static void test_gone_while_held(void **state)
{
    struct site *s = *state;
    int fd = send_request(s, "GET /later HTTP/1.1\r\nHost: localhost\r\n\r\n");
    int other = send_request(s, "GET /later HTTP/1.1\r\nHost: localhost\r\n\r\n");
    run_until_taken(s, 2);
    close(fd);
    run_until_gone(s, 1);
    close(other);
    run_until_gone(s, 2);
}

static void push(struct site *s, const char *text)
{
    CLEANUP(buf_release) struct buf b = {0};
    buf_add_str(&b, text);
    struct admin_text *t = admin_text_new(&b);
    assert_true(admin_request_push(s->last, t));
    admin_text_drop(t);
}

static void test_stream(void **state)
{
    struct site *s = *state;
    char out[4096];
    int fd = send_request(s, "GET /stream HTTP/1.1\r\nHost: localhost\r\n\r\n");
    run_until_taken(s, 1);
    push(s, "data: one\n\n");
    read_until(s, fd, "data: one", out, sizeof out);
    assert_non_null(strstr(out, "Content-Type: text/event-stream"));
    push(s, "data: two\n\n");
    read_until(s, fd, "data: two", out, sizeof out);
    assert_null(strstr(out, "data: one"));
    close(fd);
    while (s->last) { /* its end is noticed when something is sent */
        CLEANUP(buf_release) struct buf b = {0};
        buf_add_str(&b, "data: three\n\n");
        struct admin_text *t = admin_text_new(&b);
        (void)admin_request_push(s->last, t);
        admin_text_drop(t);
        admin_run(s->admin);
    }
    assert_int_equal(s->gone, 1);
}

/* One who does not read costs one text, and nobody waits for him. */
static void test_slow_reader(void **state)
{
    enum { MUCH = 32 << 20 };
    struct site *s = *state;
    CLEANUP(buf_release) struct buf b = {0};
    char out[4096], *much = test_calloc(1, MUCH);
    int fd = send_request(s, "GET /stream HTTP/1.1\r\nHost: localhost\r\n\r\n");
    run_until_taken(s, 1);
    buf_add(&b, much, MUCH);
    test_free(much);
    struct admin_text *t = admin_text_new(&b);
    assert_true(admin_request_push(s->last, t));
    for (int i = 0; i < 3; i++) {
        int other = send_request(s, "GET /x HTTP/1.1\r\nHost: localhost\r\n\r\n");
        read_until(s, other, "at once", out, sizeof out);
        close(other);
        assert_false(admin_request_push(s->last, t));
    }
    admin_text_drop(t);
    close(fd);
    run_until_gone(s, 1);
}

/* One who opens many connections ends those that rest, and no other is kept out. */
static void test_many_resting(void **state)
{
    enum { MANY = 100, KEPT = 32 };
    struct site *s = *state;
    char out[4096];
    int fds[MANY];
    for (size_t i = 0; i < MANY; i++) {
        fds[i] = send_request(s, i % 2 ? "GET /stream HTTP/1.1\r\nHost: localhost\r\n\r\n"
                                       : "GET /later HTTP/1.1\r\nHost: localhost\r\n\r\n");
        run_until_taken(s, i + 1);
    }
    run_until_gone(s, MANY - KEPT);
    int fd = send_request(s, "GET /x HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    read_until(s, fd, "at once", out, sizeof out);
    close(fd);
    for (size_t i = 0; i < MANY; i++) {
        close(fds[i]);
    }
}

/* The port is closed (a reload, an end) while requests rest. */
static void test_closed_while_resting(void **state)
{
    struct site *s = *state;
    struct error err = {0};
    int fd = send_request(s, "GET /later HTTP/1.1\r\nHost: localhost\r\n\r\n");
    run_until_taken(s, 1);
    admin_free(s->admin);
    assert_int_equal(s->gone, 1);
    close(fd);
    assert_int_equal(admin_new("127.0.0.1:0", &ops, s, &s->admin, &err), 0);
    fd = send_request(s, "GET /stream HTTP/1.1\r\nHost: localhost\r\n\r\n");
    run_until_taken(s, 2);
    push(s, "data: sent or not\n\n"); /* a text that is under way is not lost memory */
    admin_free(s->admin);
    assert_int_equal(s->gone, 2);
    close(fd);
    assert_int_equal(admin_new("127.0.0.1:0", &ops, s, &s->admin, &err), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_at_once, setup, teardown),
        cmocka_unit_test_setup_teardown(test_body, setup, teardown),
        cmocka_unit_test_setup_teardown(test_long_body, setup, teardown),
        cmocka_unit_test_setup_teardown(test_later, setup, teardown),
        cmocka_unit_test_setup_teardown(test_gone_while_held, setup, teardown),
        cmocka_unit_test_setup_teardown(test_stream, setup, teardown),
        cmocka_unit_test_setup_teardown(test_slow_reader, setup, teardown),
        cmocka_unit_test_setup_teardown(test_many_resting, setup, teardown),
        cmocka_unit_test_setup_teardown(test_closed_while_resting, setup, teardown)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
