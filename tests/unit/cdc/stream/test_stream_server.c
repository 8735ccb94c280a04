/* The stream against a server that the test plays itself, byte by byte. */
#include "unit.h"

#include "base/clock.h"
#include "cdc/stream/stream.h"

#include <arpa/inet.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

enum { PATIENCE_S = 180 };

struct fixture {
    int listener, fd; /* fd: the server's end */
    unsigned port;
    struct stream *stream;
    char commands[2000]; /* what was asked before the copying began */
};

/* --- the server's side --- */

static void put(int fd, const void *bytes, size_t n)
{
    assert_int_equal(send(fd, bytes, n, MSG_NOSIGNAL), (ssize_t)n);
}

static void get(int fd, void *bytes, size_t n)
{
    struct timeval patience = {.tv_sec = PATIENCE_S};
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    if (n > 0) { /* nothing to wait for is waited for as well */
        assert_int_equal(recv(fd, bytes, n, MSG_WAITALL), (ssize_t)n);
    }
}

static void message(int fd, char type, const void *body, size_t n)
{
    char head[5] = {type};
    uint32_t len = htonl((uint32_t)n + 4);
    memcpy(head + 1, &len, 4);
    put(fd, head, sizeof head);
    put(fd, body, n);
}

#define MESSAGE(fd, type, text) message(fd, type, text, sizeof(text) - 1)

/* The next message of the client; its body, NUL-terminated, goes to `out`. */
static char next_message(int fd, char *out, size_t size, size_t *ret_len)
{
    char type;
    uint32_t len;
    get(fd, &type, 1);
    get(fd, &len, 4);
    *ret_len = ntohl(len) - 4;
    assert_true(*ret_len < size);
    get(fd, out, *ret_len);
    out[*ret_len] = '\0';
    return type;
}

/* A column of text, as RowDescription has it. */
#define FIELD(name) name "\0\0\0\0\0\0\0\0\0\0\31\377\377\377\377\377\377\0\0"

static void *serve_start(void *arg)
{
    struct fixture *f = arg;
    char body[2000];
    uint32_t len;
    size_t n;
    f->fd = accept(f->listener, NULL, NULL);
    get(f->fd, &len, 4); /* the startup packet */
    get(f->fd, body, ntohl(len) - 4);
    MESSAGE(f->fd, 'R', "\0\0\0\0");
    MESSAGE(f->fd, 'S', "server_version\00018.0\0");
    MESSAGE(f->fd, 'Z', "I");
    while (next_message(f->fd, body, sizeof body, &n) == 'Q') {
        size_t used = strlen(f->commands);
        snprintf(f->commands + used, sizeof f->commands - used, "%s\n", body);
        if (strstr(body, "START_REPLICATION")) {
            MESSAGE(f->fd, 'W', "\0\0\0");
            return NULL;
        }
        if (strcmp(body, "IDENTIFY_SYSTEM") == 0) {
            MESSAGE(f->fd, 'T',
                    "\0\4" FIELD("systemid") FIELD("timeline") FIELD("xlogpos") FIELD("dbname"));
            MESSAGE(f->fd, 'D', "\0\4\0\0\0\0017\0\0\0\0011\0\0\0\0040/15\0\0\0\1d");
            MESSAGE(f->fd, 'C', "IDENTIFY_SYSTEM\0");
            MESSAGE(f->fd, 'Z', "I");
            continue;
        }
        MESSAGE(f->fd, 'T', "\0\1" FIELD("setting"));
        MESSAGE(f->fd, 'D', "\0\1\0\0\0\00560000");
        MESSAGE(f->fd, 'C', "SELECT 1\0");
        MESSAGE(f->fd, 'Z', "I");
    }
    return NULL;
}

/* CopyData with a 'w' header, all LSNs `lsn`. */
static void data(int fd, uint64_t lsn, const char *payload)
{
    char body[200] = "w";
    size_t n = strlen(payload);
    for (int i = 0; i < 8; i++) {
        body[1 + i] = body[9 + i] = (char)(lsn >> (56 - 8 * i) & 0xFF);
    }
    memcpy(body + 25, payload, n);
    message(fd, 'd', body, 25 + n);
}

static void keepalive(int fd, uint8_t lsn, bool reply)
{
    char body[18] = "k";
    body[8] = (char)lsn;
    body[17] = reply;
    message(fd, 'd', body, sizeof body);
}

/* --- the client's side --- */

static int begin(void **state, bool identify)
{
    struct fixture *f = calloc(1, sizeof *f);
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof a;
    f->listener = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(bind(f->listener, (struct sockaddr *)&a, sizeof a), 0);
    assert_int_equal(listen(f->listener, 1), 0);
    getsockname(f->listener, (struct sockaddr *)&a, &len);
    char url[120];
    snprintf(url, sizeof url, "postgresql://u@127.0.0.1:%u/d?sslmode=disable&gssencmode=disable",
             ntohs(a.sin_port));
    pthread_t server;
    assert_int_equal(pthread_create(&server, NULL, serve_start, f), 0);
    struct stream_options options = {.url = url,
                                     .pipeline = "test",
                                     .connect_timeout_us = PATIENCE_S * US_PER_SECOND,
                                     .read_timeout_us = PATIENCE_S * US_PER_SECOND,
                                     .stop_fd = -1};
    struct stream_start start = {.slot = "slot", .publication = "pub", .lsn = 16};
    struct error err;
    assert_int_equal(stream_connect(&options, &f->stream, &err), RESULT_DONE);
    if (identify) { /* so that it knows how far the server is: 0/15 */
        struct stream_identity identity;
        assert_int_equal(stream_identify(f->stream, &identity, &err), RESULT_DONE);
    }
    assert_int_equal(stream_start(f->stream, &start, &err), RESULT_DONE);
    pthread_join(server, NULL);
    *state = f;
    return 0;
}

static int fixture_new(void **state)
{
    return begin(state, false);
}

static int fixture_identified(void **state)
{
    return begin(state, true);
}

static int fixture_free(void **state)
{
    struct fixture *f = *state;
    shutdown(f->fd, SHUT_WR);
    stream_close(f->stream);
    close(f->fd);
    close(f->listener);
    free(f);
    return 0;
}

/* As the pipeline: waits by what it is told until there is an answer. */
static int next(struct fixture *f, struct stream_message *m, struct error *err)
{
    int64_t until = clock_mono_us() + PATIENCE_S * US_PER_SECOND;
    int rc;
    while ((rc = stream_next(f->stream, m, err)) == RESULT_AGAIN) {
        struct poll_set set;
        poll_set_clear(&set);
        stream_poll_fds(f->stream, &set);
        stream_tend_fds(f->stream, &set);
        poll_set_deadline(&set, until);
        poll_set_wait(&set);
        assert_true(clock_mono_us() < until);
        assert_int_equal(stream_tend(f->stream, err), RESULT_DONE);
    }
    return rc;
}

static void assert_next(struct fixture *f, const char *payload)
{
    struct stream_message m;
    struct error err;
    assert_int_equal(next(f, &m, &err), RESULT_DONE);
    assert_int_equal(m.kind, STREAM_DATA);
    assert_true(slice_equal_str(m.payload, payload));
}

struct status {
    uint64_t write, flush, apply;
    bool ask;
};

static void read_status(struct fixture *f, struct status *ret)
{
    char body[100];
    size_t n;
    assert_int_equal(next_message(f->fd, body, sizeof body, &n), 'd');
    assert_int_equal(n, 34);
    assert_int_equal(body[0], 'r');
    uint64_t v[3] = {0};
    for (int i = 0; i < 24; i++) {
        v[i / 8] = v[i / 8] << 8 | (uint8_t)body[1 + i];
    }
    *ret = (struct status){v[0], v[1], v[2], body[33]};
}

static bool silent(struct fixture *f)
{
    char c;
    return recv(f->fd, &c, 1, MSG_PEEK | MSG_DONTWAIT) < 0;
}

/* --- the cases --- */

static void it_starts_as_the_protocol_says(void **state)
{
    struct fixture *f = *state;
    assert_non_null(strstr(f->commands, "transaction_timeout = 0"));
    assert_non_null(strstr(f->commands,
                           "START_REPLICATION SLOT \"slot\" LOGICAL 0/10 (proto_version '1',"
                           " publication_names '\"pub\"')\n"));
}

static void messages_come_whole_and_in_order(void **state)
{
    struct fixture *f = *state;
    static const char part[] = "d\0\0\0\037w\0\0\0\0\0\0\0\1\0\0\0\0\0\0\0\1\0\0\0\0\0\0\0\0xy";
    struct stream_message m;
    struct error err;
    data(f->fd, 20, "one");
    data(f->fd, 21, "two");
    put(f->fd, part, sizeof part - 2); /* the rest comes later */
    assert_next(f, "one");
    assert_next(f, "two");
    assert_int_equal(stream_next(f->stream, &m, &err), RESULT_AGAIN);
    put(f->fd, part + sizeof part - 2, 1);
    assert_next(f, "xy");
    assert_true(stream_wal_end(f->stream) == 21);
}

static void an_unknown_byte_ends_it(void **state)
{
    struct fixture *f = *state;
    struct stream_message m;
    struct error err;
    MESSAGE(f->fd, 'd', "z123");
    data(f->fd, 20, "behind");
    assert_int_equal(next(f, &m, &err), RESULT_ERROR);
    assert_int_equal(err.class, ERROR_RETRY);
    assert_non_null(strstr(err.text, "0x7A"));
    assert_int_equal(stream_next(f->stream, &m, &err), RESULT_ERROR);
    assert_int_equal(err.class, ERROR_RETRY);
}

/* Else a reader would never be told that it has caught up. */
static void a_backlog_that_is_read_is_over(void **state)
{
    struct fixture *f = *state;
    struct stream_message m;
    struct error err;
    int64_t until = clock_mono_us() + PATIENCE_S * US_PER_SECOND;
    data(f->fd, 20, "row");
    assert_next(f, "row");
    assert_int_equal(stream_next(f->stream, &m, &err), RESULT_AGAIN);
    assert_true(stream_behind(f->stream)); /* one row is still to come */
    data(f->fd, 21, "last");
    assert_next(f, "last");
    while (stream_behind(f->stream)) {
        assert_int_equal(stream_next(f->stream, &m, &err), RESULT_AGAIN);
        assert_true(clock_mono_us() < until);
    }
}

#define WARNING(function) \
    "SWARNING\0VWARNING\0C55000\0M\303\274bersprungen \"pub\"\0R" function "\0\0"

static void changes_that_are_passed_over_end_it(void **state)
{
    struct fixture *f = *state;
    struct stream_message m;
    struct error err;
    MESSAGE(f->fd, 'N', WARNING("Other")); /* is no obstacle */
    data(f->fd, 20, "before");
    assert_next(f, "before");
    MESSAGE(f->fd, 'N', WARNING("LoadPublications")); /* 18, whatever its language */
    data(f->fd, 21, "behind");
    assert_int_equal(next(f, &m, &err), RESULT_ERROR);
    assert_int_equal(err.exit_code, EXIT_CODE_CONFIG);
    assert_non_null(strstr(err.text, "\"pub\""));
    assert_int_equal(stream_next(f->stream, &m, &err), RESULT_ERROR);
}

static void what_came_before_the_end_is_given_out(void **state)
{
    struct fixture *f = *state;
    struct stream_message m;
    struct error err;
    for (int i = 0; i < 1000; i++) {
        data(f->fd, 20, "row");
    }
    MESSAGE(f->fd, 'E', "SFATAL\0VFATAL\0C57P01\0Mgoing down\0\0");
    close(f->fd);
    f->fd = -1;
    for (int i = 0; i < 1000; i++) {
        assert_next(f, "row");
    }
    assert_int_equal(next(f, &m, &err), RESULT_ERROR);
    assert_int_equal(err.class, ERROR_RETRY);
    assert_string_equal(err.code, "57P01");
}

static void a_lost_connection_and_an_orderly_end_are_retried(void **state)
{
    struct fixture *f = *state;
    struct stream_message m;
    struct error err;
    MESSAGE(f->fd, 'c', "");
    assert_int_equal(next(f, &m, &err), RESULT_ERROR);
    assert_int_equal(err.class, ERROR_RETRY);
    assert_string_equal(err.code, "57P01");
}

static void only_what_was_confirmed_is_told(void **state)
{
    struct fixture *f = *state;
    struct status s;
    struct error err;
    assert_int_equal(stream_tend(f->stream, &err), RESULT_DONE);
    read_status(f, &s); /* the first at once */
    assert_true(s.write == 16 && s.flush == 0 && s.apply == 0 && !s.ask);
    data(f->fd, 200, "row");
    assert_next(f, "row");
    assert_int_equal(stream_tend(f->stream, &err), RESULT_DONE);
    assert_true(silent(f));
    stream_confirm(f->stream, 100, false); /* with the next timed one */
    assert_true(silent(f));
    stream_confirm(f->stream, 90, true); /* not back, but now */
    read_status(f, &s);
    assert_true(s.write == 200 && s.flush == 100 && s.apply == 100);
    stream_confirm(f->stream, 100, true); /* it knows */
    assert_true(silent(f));
}

static void less_than_where_it_started_is_never_told(void **state)
{
    struct fixture *f = *state;
    stream_confirm(f->stream, 15, true);
    assert_true(silent(f));
}

static void a_keepalive_that_asks_is_answered(void **state)
{
    struct fixture *f = *state;
    struct stream_message m;
    struct status s;
    struct error err;
    assert_int_equal(stream_tend(f->stream, &err), RESULT_DONE);
    read_status(f, &s);
    int64_t asked_us = clock_mono_us();
    keepalive(f->fd, 77, true);
    assert_int_equal(next(f, &m, &err), RESULT_DONE);
    assert_true(m.kind == STREAM_KEEPALIVE && m.reply_wanted && m.wal_end == 77);
    while (silent(f)) {
        assert_int_equal(stream_tend(f->stream, &err), RESULT_DONE);
        assert_true(clock_mono_us() < asked_us + PATIENCE_S * US_PER_SECOND);
    }
    /* Not before the source may have had more to say. */
    assert_true(clock_mono_us() >= asked_us + 50 * US_PER_MS);
    read_status(f, &s);
    assert_true(s.write == 77 && s.flush == 0);
    assert_int_equal(stream_tend(f->stream, &err), RESULT_DONE);
    assert_true(silent(f));
}

static void *answer_close(void *arg)
{
    struct fixture *f = arg;
    char body[100];
    size_t n;
    char type;
    while ((type = next_message(f->fd, body, sizeof body, &n)) == 'd') {
        data(f->fd, 300, "late"); /* what was on its way is no obstacle */
    }
    assert_int_equal(type, 'c');
    static const char end[] = "c\0\0\0\4C\0\0\0\013COPY 0\0Z\0\0\0\5I";
    put(f->fd, end, sizeof end - 1);
    return NULL;
}

/* Did it end before the time after which it gives up? */
static bool ends_early(struct fixture *f)
{
    pthread_t server;
    data(f->fd, 20, "row");
    assert_next(f, "row");
    assert_int_equal(pthread_create(&server, NULL, answer_close, f), 0);
    int64_t t = clock_mono_us();
    stream_close(f->stream);
    f->stream = NULL;
    t = clock_mono_us() - t;
    pthread_join(server, NULL);
    return t < 400 * US_PER_MS;
}

/* A machine that is slow may miss that time, but not always. */
static void closing_waits_for_the_server_but_not_for_long(void **state)
{
    bool early = ends_early(*state);
    for (int i = 0; !early && i < 50; i++) {
        fixture_free(state);
        fixture_new(state);
        early = ends_early(*state);
    }
    assert_true(early);
}

static void closing_gives_up_on_a_silent_server(void **state)
{
    struct fixture *f = *state;
    int64_t t = clock_mono_us();
    stream_close(f->stream);
    f->stream = NULL;
    t = clock_mono_us() - t;
    assert_true(t > 300 * US_PER_MS && t < PATIENCE_S * US_PER_SECOND);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, fixture_new, fixture_free)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(it_starts_as_the_protocol_says),
        CASE(messages_come_whole_and_in_order),
        CASE(an_unknown_byte_ends_it),
        cmocka_unit_test_setup_teardown(a_backlog_that_is_read_is_over, fixture_identified,
                                        fixture_free),
        CASE(changes_that_are_passed_over_end_it),
        CASE(what_came_before_the_end_is_given_out),
        CASE(a_lost_connection_and_an_orderly_end_are_retried),
        CASE(only_what_was_confirmed_is_told),
        CASE(less_than_where_it_started_is_never_told),
        CASE(a_keepalive_that_asks_is_answered),
        CASE(closing_waits_for_the_server_but_not_for_long),
        CASE(closing_gives_up_on_a_silent_server),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
