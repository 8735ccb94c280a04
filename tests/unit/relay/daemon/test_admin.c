/* The admin port answers what it should, changes nothing, and takes no address that is in use. */
#include "unit.h"

#include "audit/audit.h"
#include "daemon/admin.h"
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

static char dir[] = "/tmp/test_admin_XXXXXX";

static int answer(void *ctx, enum admin_page page, struct buf *body)
{
    int *asked = ctx;
    ++*asked;
    buf_printf(body, "page %d\n", (int)page);
    return page == ADMIN_READY ? 503 : 200;
}

static const struct admin_ops pages = {.answer = answer};

static int connect_unix(const char *path)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    snprintf(a.sun_path, sizeof a.sun_path, "%s", path);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (connect(fd, (struct sockaddr *)&a, sizeof a)) {
        close(fd);
        return -1;
    }
    return fd;
}

/* Sends a request and lets the server run until the answer is complete. */
static void ask(struct admin *a, int fd, const char *request, char *out, size_t size)
{
    size_t n = 0;
    assert_int_equal(send(fd, request, strlen(request), MSG_NOSIGNAL), strlen(request));
    int64_t until = clock_mono_us() + 180 * US_PER_SECOND;
    while (clock_mono_us() < until) {
        struct poll_set set;
        poll_set_clear(&set);
        poll_set_add(&set, fd, POLLIN);
        poll_set_deadline(&set, until);
        admin_poll(a, &set);
        poll_set_wait(&set);
        admin_run(a);
        ssize_t got = recv(fd, out + n, size - 1 - n, MSG_DONTWAIT);
        if (got == 0) {
            break;
        }
        n += got > 0 ? (size_t)got : 0;
    }
    out[n] = 0;
    close(fd);
}

static struct admin *open_unix(char path[128], int *asked)
{
    char listen[160];
    struct admin *a = NULL;
    struct error err = {0};
    snprintf(path, 128, "%s/socket", dir);
    snprintf(listen, sizeof listen, "unix:%s", path);
    if (admin_new(listen, &pages, asked, &a, &err)) {
        fail_msg("%s", err.text);
    }
    return a;
}

static void request(struct admin *a, const char *path, const char *line, const char *expected)
{
    char out[1024], text[256];
    int fd = connect_unix(path);
    assert_true(fd >= 0);
    snprintf(text, sizeof text, "%s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
             line);
    ask(a, fd, text, out, sizeof out);
    if (!strstr(out, expected)) {
        fail_msg("%s: no \"%s\" in: %s", line, expected, out);
    }
}

static void test_pages(void **state UNUSED)
{
    char path[128];
    int asked = 0;
    struct admin *a = open_unix(path, &asked);
    request(a, path, "GET /healthz", "HTTP/1.1 200");
    request(a, path, "GET /readyz", "HTTP/1.1 503");
    request(a, path, "GET /metrics", "page 2\n");
    request(a, path, "GET /status", "application/json");
    request(a, path, "HEAD /status", "HTTP/1.1 200");
    assert_int_equal(asked, 5);
    request(a, path, "GET /", "HTTP/1.1 404");
    request(a, path, "GET /status/x", "HTTP/1.1 404");
    request(a, path, "POST /status", "HTTP/1.1 405");
    request(a, path, "DELETE /healthz", "HTTP/1.1 405");
    request(a, path, "nonsense", "HTTP/1.");
    assert_int_equal(asked, 5);
    admin_free(a);
    assert_int_equal(access(path, F_OK), -1);
}

/* Only the page of metrics has a second format. */
static void test_openmetrics(void **state UNUSED)
{
    char path[128];
    int asked = 0;
    struct admin *a = open_unix(path, &asked);
    request(a, path, "GET /metrics", "Content-Type: text/plain; version=0.0.4");
    static const char accept[] = " HTTP/1.1\r\nAccept: application/openmetrics-text\r\nX:";
    char line[128];
    snprintf(line, sizeof line, "GET /metrics%s", accept);
    request(a, path, line, "Content-Type: application/openmetrics-text; version=1.0.0");
    request(a, path, line, "page 2\n# EOF\n");
    snprintf(line, sizeof line, "GET /status%s", accept);
    request(a, path, line, "application/json");
    admin_free(a);
}

static int obey(void *ctx, const struct admin_order *o, struct buf *body)
{
    int *asked = ctx;
    ++*asked;
    buf_printf(body, "%s/%s/%s by %s", o->pipeline, o->command, o->argument, o->who);
    return 202;
}

static void test_orders(void **state UNUSED)
{
    static const struct admin_ops ops = {.answer = answer, .obey = obey};
    char path[128], listen[160];
    int asked = 0;
    struct admin *a = NULL;
    struct error err = {0};
    struct stat st;
    snprintf(path, sizeof path, "%s/orders", dir);
    snprintf(listen, sizeof listen, "unix:%s", path);
    assert_int_equal(admin_new(listen, &ops, &asked, &a, &err), 0);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600); /* for the relay's own user alone */
    request(a, path, "POST /orders?pipeline=p&command=pause", "HTTP/1.1 202");
    request(a, path, "POST /orders?pipeline=p&command=set&argument=0%2f1%20x", "p/set/0/1 x");
    char who[AUDIT_WHO_SIZE], by[AUDIT_WHO_SIZE + 8];
    audit_who(getuid(), who); /* what the kernel says, and no request can say otherwise */
    snprintf(by, sizeof by, " by %s", who);
    request(a, path, "POST /orders?pipeline=p&command=set&argument=&who=0%20root", by);
    assert_int_equal(asked, 3);
    request(a, path, "GET /orders?pipeline=p&command=pause", "HTTP/1.1 404");
    request(a, path, "GET /healthz", "HTTP/1.1 200");
    assert_true(admin_in_place(a));
    assert_int_equal(unlink(path), 0);
    assert_false(admin_in_place(a));
    admin_free(a);
    a = open_unix(path, &asked);
    request(a, path, "POST /orders?pipeline=p&command=pause", "HTTP/1.1 405"); /* takes no orders */
    admin_free(a);
}

static void test_unix_socket(void **state UNUSED)
{
    char path[128], listen[160];
    int asked = 0;
    struct admin *a = open_unix(path, &asked), *b = NULL;
    struct error err = {0};
    struct stat st;
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0660);
    assert_true(admin_is_local(a));
    snprintf(listen, sizeof listen, "unix:%s", path);
    assert_int_equal(admin_new(listen, &pages, &asked, &b, &err), -1);
    assert_int_equal(err.exit_code, 78);
    assert_non_null(strstr(err.text, path));
    request(a, path, "GET /healthz", "HTTP/1.1 200"); /* unharmed */
    admin_free(a);

    /* What a killed process leaves: a socket file nobody listens on. */
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    snprintf(address.sun_path, sizeof address.sun_path, "%.100s", path);
    int stale = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(stale, (struct sockaddr *)&address, sizeof address), 0);
    close(stale);
    a = open_unix(path, &asked);
    request(a, path, "GET /healthz", "HTTP/1.1 200");
    admin_free(a);

    /* Somebody's file is never taken for a stale socket. */
    close(open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
    assert_int_equal(admin_new(listen, &pages, &asked, &b, &err), -1);
    assert_int_equal(err.exit_code, 78);
    assert_int_equal(access(path, F_OK), 0);
    unlink(path);
}

static void test_tcp(void **state UNUSED)
{
    struct admin *a = NULL, *b = NULL;
    struct error err = {0};
    int asked = 0;
    assert_int_equal(admin_new("127.0.0.1:0", &pages, &asked, &a, &err), 0);
    assert_true(admin_is_local(a));
    assert_int_equal(admin_new(admin_address(a), &pages, &asked, &b, &err), -1);
    assert_int_equal(err.exit_code, 78);
    assert_non_null(strstr(err.text, admin_address(a)));
    admin_free(a);
    assert_int_equal(admin_new("0.0.0.0:0", &pages, &asked, &a, &err), 0);
    assert_false(admin_is_local(a));
    admin_free(a);
    assert_int_equal(admin_new("127.0.0.1", &pages, &asked, &a, &err), -1);
    assert_int_equal(admin_new("999.0.0.1:1", &pages, &asked, &a, &err), -1);
    assert_int_equal(err.exit_code, 78);
}

static int connect_tcp(const struct admin *a)
{
    struct sockaddr_in to = {.sin_family = AF_INET};
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    to.sin_port = htons((uint16_t)atoi(strrchr(admin_address(a), ':') + 1));
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof to), 0);
    return fd;
}

/* A web page whose name points to this address gets no answer that it could read. */
static void test_host(void **state UNUSED)
{
    static const struct {
        const char *line;
        int status;
    } cases[] = {
        {"Host: 127.0.0.1:9480\r\n", 200},
        {"Host: localhost:9480\r\n", 200},
        {"Host: LocalHost\r\n", 200},
        {"Host: 127.0.0.1\r\n", 200},
        {"Host: relay.example.com:1\r\n", 200},
        {"Host: evil.example.com\r\n", 403},
        {"Host: evil.example.com:9480\r\n", 403},
        {"Host: \r\n", 403},
        {"Host: 127.0.0.1.evil.com\r\n", 403},
        {"Host: [::1]:9480\r\n", 403},
        {"Host: xlocalhost\r\n", 403},
    };
    char name[] = "relay.example.com", *names[] = {name};
    struct conf_list hosts = {.items = names, .count = 1};
    const char *const listens[] = {"127.0.0.1:0", "0.0.0.0:0"};
    for (size_t i = 0; i < 2 * sizeof cases / sizeof *cases; i++) {
        struct admin *a = NULL;
        struct error err = {0};
        int asked = 0;
        char text[256], out[1024], status[32];
        assert_int_equal(admin_new(listens[i % 2], &pages, &asked, &a, &err), 0);
        admin_allow(a, &hosts);
        snprintf(text, sizeof text, "GET /healthz HTTP/1.1\r\n%sConnection: close\r\n\r\n",
                 cases[i / 2].line);
        ask(a, connect_tcp(a), text, out, sizeof out);
        snprintf(status, sizeof status, "HTTP/1.1 %d ", cases[i / 2].status);
        if (strncmp(out, status, strlen(status)) != 0) {
            fail_msg("%s: %s", cases[i / 2].line, out);
        }
        assert_int_equal(asked, cases[i / 2].status == 200);
        admin_free(a);
    }
}

/* A web server in front of the socket passes on what browsers send, whatever name they believe to
 * talk to. */
static void test_host_over_a_socket(void **state UNUSED)
{
    static const struct {
        const char *line;
        int status;
    } cases[] = {{"", 200},
                 {"Host: localhost\r\n", 200},
                 {"Host: relay.example.com\r\n", 200},
                 {"Host: evil.example.com\r\n", 403},
                 {"Host: unix\r\n", 403}};
    char name[] = "relay.example.com", *names[] = {name}, path[128];
    struct conf_list hosts = {.items = names, .count = 1};
    int asked = 0;
    struct admin *a = open_unix(path, &asked);
    admin_allow(a, &hosts);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char text[256], out[1024], status[32];
        int fd = connect_unix(path);
        assert_true(fd >= 0);
        snprintf(text, sizeof text, "GET /healthz HTTP/1.%d\r\n%sConnection: close\r\n\r\n",
                 *cases[i].line != 0, cases[i].line);
        ask(a, fd, text, out, sizeof out);
        snprintf(status, sizeof status, " %d ", cases[i].status);
        if (!strstr(out, status)) {
            fail_msg("%s: %s", cases[i].line, out);
        }
    }
    admin_free(a);
}

/* Many idle connections keep nobody out: the oldest ones give way. */
static void test_crowded(void **state UNUSED)
{
    enum { IDLE = 200 };
    char path[128], byte;
    int asked = 0, fds[IDLE];
    struct admin *a = open_unix(path, &asked);
    for (size_t i = 0; i < IDLE; i++) {
        fds[i] = connect_unix(path);
        assert_true(fds[i] >= 0);
        admin_run(a);
    }
    request(a, path, "GET /healthz", "HTTP/1.1 200");
    assert_int_equal(asked, 1);
    assert_int_equal(recv(fds[0], &byte, 1, MSG_DONTWAIT), 0);         /* it was ended */
    assert_int_equal(recv(fds[IDLE - 1], &byte, 1, MSG_DONTWAIT), -1); /* it was not */
    for (size_t i = 0; i < IDLE; i++) {
        close(fds[i]);
    }
    request(a, path, "GET /healthz", "HTTP/1.1 200");
    admin_free(a);
}

/* A client that says nothing does not keep others from being answered. */
static void test_silent_client(void **state UNUSED)
{
    char path[128];
    int asked = 0;
    struct admin *a = open_unix(path, &asked);
    int silent = connect_unix(path);
    assert_true(silent >= 0);
    request(a, path, "GET /healthz", "HTTP/1.1 200");
    close(silent);
    admin_free(a);
}

static int make_dir(void **state UNUSED)
{
    return mkdtemp(dir) ? 0 : -1;
}

static int remove_dir(void **state UNUSED)
{
    return rmdir(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pages),
        cmocka_unit_test(test_openmetrics),
        cmocka_unit_test(test_orders),
        cmocka_unit_test(test_unix_socket),
        cmocka_unit_test(test_tcp),
        cmocka_unit_test(test_host),
        cmocka_unit_test(test_host_over_a_socket),
        cmocka_unit_test(test_crowded),
        cmocka_unit_test(test_silent_client),
    };
    return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
