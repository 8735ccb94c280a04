/* The client against a registry that answers by a script: what it asks, and what follows from an
 * answer. */
#include "formats.h"
#include "unit.h"

#include "base/clock.h"
#include "schemas/answer.h"
#include "schemas/client.h"
#include <arpa/inet.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

/* --- a registry --- */

struct exchange {
    const char *request; /* its first line must hold this */
    const char *body;    /* and its body this; NULL: it has none */
    int status;
    const char *answer;
};

struct registry {
    const struct exchange *script;
    size_t count, done;
    int fd;
    int port;
    char wrong[512]; /* what did not fit the script */
    pthread_t thread;
};

/* Reads a request; the body is as long as Content-Length says. */
static bool read_request(int fd, struct buf *out)
{
    char piece[2048];
    for (;;) {
        const char *end = out->len ? strstr(buf_str(out), "\r\n\r\n") : NULL;
        if (end) {
            const char *length = strcasestr(buf_str(out), "\r\ncontent-length:");
            size_t body = length ? strtoul(length + 17, NULL, 10) : 0;
            if (out->len >= (size_t)(end - buf_str(out)) + 4 + body) {
                return true;
            }
        }
        ssize_t n = read(fd, piece, sizeof piece);
        if (n <= 0) {
            return false;
        }
        buf_add(out, piece, (size_t)n);
    }
}

static void answer(struct registry *r, int fd, const struct buf *request)
{
    CLEANUP(buf_release) struct buf out = {0};
    const struct exchange *x = &r->script[r->done];
    const char *body = strstr(buf_str(request), "\r\n\r\n") + 4;
    if (!strstr(buf_str(request), x->request) || (x->body && !strstr(body, x->body)) ||
        (!x->body && *body)) {
        snprintf(r->wrong, sizeof r->wrong, "%.400s", buf_str(request));
    }
    buf_printf(&out, "HTTP/1.1 %d x\r\nContent-Length: %zu\r\nConnection: close\r\n\r\n%s",
               x->status, strlen(x->answer), x->answer);
    if (write(fd, buf_str(&out), out.len) != (ssize_t)out.len) {
        snprintf(r->wrong, sizeof r->wrong, "the answer could not be written");
    }
    r->done++;
}

static void *serve(void *arg)
{
    struct registry *r = arg;
    while (r->done < r->count) {
        CLEANUP(buf_release) struct buf request = {0};
        int fd = accept(r->fd, NULL, NULL);
        if (fd < 0) {
            break;
        }
        if (read_request(fd, &request)) {
            answer(r, fd, &request);
        }
        close(fd);
    }
    return NULL;
}

static void registry_start(struct registry *r, const struct exchange *script, size_t count)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof at;
    *r = (struct registry){.script = script, .count = count, .fd = socket(AF_INET, SOCK_STREAM, 0)};
    assert_int_equal(bind(r->fd, (struct sockaddr *)&at, sizeof at), 0);
    assert_int_equal(listen(r->fd, 4), 0);
    assert_int_equal(getsockname(r->fd, (struct sockaddr *)&at, &size), 0);
    r->port = ntohs(at.sin_port);
    assert_int_equal(pthread_create(&r->thread, NULL, serve, r), 0);
}

static void registry_end(struct registry *r)
{
    pthread_join(r->thread, NULL);
    close(r->fd);
    assert_string_equal(r->wrong, "");
}

/* --- the other side --- */

static const struct column_type int4 = {
    .oid = 23, .base_oid = 23, .kind = TYPE_BASE, .base_name = SLICE_LITERAL("int4")};
static const struct change_column id = {
    .name = SLICE_LITERAL("id"), .typmod = -1, .not_null = true, .type = &int4};
static const uint16_t key[] = {0};
static const struct change_table table = {.oid = 1,
                                          .schema = SLICE_LITERAL("public"),
                                          .name = SLICE_LITERAL("t"),
                                          .columns = &id,
                                          .columns_count = 1,
                                          .key = key,
                                          .key_count = 1};
static const struct cell seven = {CELL_TEXT, SLICE_LITERAL("7")};
static const struct encode_conf avro = {.format = &format_flat,
                                        .name = "s",
                                        .value = VALUE_AVRO,
                                        .unavailable_placeholder = "",
                                        .flat_prefix = "__"};

struct side {
    char url[64];
    struct schema_book *book;
    struct schemas_client *client;
    struct batch *batch;
    struct event *event;
};

static void side_start(struct side *s, int port)
{
    const struct change c = {.op = CHANGE_CREATE, .table = &table, .after = &seven};
    struct error err;
    snprintf(s->url, sizeof s->url, "http://127.0.0.1:%d/apis/ccompat/v7/", port);
    const struct schemas_conf conf = {.url = s->url,
                                      .username = "u",
                                      .password = "p",
                                      .ca_file = "",
                                      .connect_timeout_us = 60 * US_PER_SECOND,
                                      .timeout_us = 60 * US_PER_SECOND};
    s->book = schema_book_new(&(struct schema_book_conf){.encode = &avro});
    assert_int_equal(schemas_client_new(&conf, &s->client, &err), 0);
    s->batch = batch_new();
    s->event = batch_add(s->batch);
    s->event->change = &c;
    assert_int_equal(encode_change(&avro, s->event, &s->batch->arena, &err), 0);
    assert_int_equal(schema_book_change(s->book, s->event, &err), 0);
    s->event->change = NULL;
    s->event->topic = SLICE_LITERAL("a topic/1");
}

static void side_end(struct side *s)
{
    schemas_client_free(s->client);
    schema_book_free(s->book);
    batch_free(s->batch);
}

static int frame(struct side *s)
{
    struct error err;
    int rc = schema_frame(s->book, s->event, &s->batch->arena, &err);
    if (rc == RESULT_ERROR) {
        fail_msg("%s", err.text);
    }
    return rc;
}

/* Until the event is framed, or a request has failed: then *ret says why. */
static bool run(struct side *s, struct error *ret)
{
    struct poll_set set;
    while (frame(s) == RESULT_AGAIN) {
        (void)schemas_client_step(s->client, s->book);
        if (schemas_client_failure(s->client, s->book, ret)) {
            return false;
        }
        poll_set_clear(&set);
        schemas_client_poll_fds(s->client, &set);
        poll_set_deadline(&set, clock_mono_us() + US_PER_SECOND);
        poll_set_wait(&set);
    }
    return true;
}

#define KEY_REQUEST "POST /apis/ccompat/v7/subjects/a%20topic%2F1-key/versions HTTP"
#define VALUE_REQUEST "POST /apis/ccompat/v7/subjects/a%20topic%2F1-value/versions HTTP"

static void each_schema_is_registered_once(void **state)
{
    (void)state;
    static const struct exchange script[] = {
        {KEY_REQUEST, "{\"schema\":\"{\\\"type\\\":\\\"record\\\",\\\"name\\\":\\\"Key\\\"", 200,
         "{\"id\":1}"},
        {VALUE_REQUEST, "__deleted", 200, "{ \"version\": 3, \"id\": 70000 }"}};
    struct registry r;
    struct side s;
    struct error err;
    registry_start(&r, script, 2);
    side_start(&s, r.port);
    assert_true(run(&s, &err));
    assert_memory_equal(s.event->wire_key.ptr, "\0\0\0\0\x01\x0e", 6);
    assert_memory_equal(s.event->value.ptr, "\0\0\x01\x11\x70\x0e", 6);
    assert_int_equal(frame(&s), RESULT_DONE);
    assert_false(schemas_client_step(s.client, s.book)); /* nothing is left to ask */
    registry_end(&r);
    side_end(&s);
}

/* Away, overloaded, broken: BUSY, and the next try succeeds. */
static void a_registry_that_is_away_is_waited_for(void **state)
{
    (void)state;
    static const struct exchange script[] = {
        {KEY_REQUEST, "schema", 503, "<html>busy</html>"},
        {KEY_REQUEST, "schema", 429, "{\"error_code\":429,\"message\":\"slow down\"}"},
        {KEY_REQUEST, "schema", 200, "{\"id\":1}"},
        {VALUE_REQUEST, "schema", 200, "{\"id\":2}"}};
    struct registry r;
    struct side s;
    struct error err;
    registry_start(&r, script, 4);
    side_start(&s, r.port);
    assert_false(run(&s, &err));
    assert_int_equal(err.class, ERROR_BUSY);
    assert_non_null(strstr(err.text, "(503)"));
    assert_false(run(&s, &err));
    assert_int_equal(err.class, ERROR_BUSY);
    assert_non_null(strstr(err.text, "slow down"));
    assert_true(run(&s, &err));
    registry_end(&r);
    side_end(&s);
}

static void a_check_looks_at_the_list_of_subjects(void **state)
{
    (void)state;
    static const struct exchange script[] = {
        {"GET /subjects HTTP", NULL, 200, "[]"},
        {"GET /subjects HTTP", NULL, 401, "{\"message\":\"Unauthorized\"}"}};
    struct registry r;
    struct error err;
    char url[64];
    registry_start(&r, script, 2);
    snprintf(url, sizeof url, "http://127.0.0.1:%d", r.port);
    const struct schemas_conf conf = {.url = url,
                                      .username = "",
                                      .password = "",
                                      .ca_file = "",
                                      .connect_timeout_us = 60 * US_PER_SECOND,
                                      .timeout_us = 60 * US_PER_SECOND};
    assert_int_equal(schemas_look(&conf, &err), 0);
    assert_int_equal(schemas_look(&conf, &err), -1);
    assert_int_equal(err.class, ERROR_CONFIG);
    assert_non_null(strstr(err.text, "Unauthorized"));
    registry_end(&r);
}

static void nobody_listens(void **state)
{
    (void)state;
    struct registry r;
    struct side s;
    struct error err;
    registry_start(&r, NULL, 0);
    registry_end(&r); /* its port is closed now */
    side_start(&s, r.port);
    assert_false(run(&s, &err));
    assert_int_equal(err.class, ERROR_BUSY);
    assert_non_null(strstr(err.text, "cannot be reached"));
    side_end(&s);
}

static void a_refusal_has_the_registry_s_words(void **state)
{
    (void)state;
    static const struct exchange script[] = {
        {KEY_REQUEST, "schema", 200, "{\"id\":1}"},
        {VALUE_REQUEST, "schema", 409,
         "{\"error_code\":409,\"message\":\"reader lacks the field \\\"note\\\"\"}"}};
    struct registry r;
    struct side s;
    struct error err;
    registry_start(&r, script, 2);
    side_start(&s, r.port);
    assert_false(run(&s, &err));
    assert_int_equal(err.class, ERROR_CONFIG);
    assert_non_null(strstr(err.text, "reader lacks the field \"note\""));
    assert_non_null(strstr(err.text, "a topic/1-value"));
    registry_end(&r);
    side_end(&s);
}

/* --- answers alone --- */

static void judge(long status, const char *body, enum error_class class, const char *why)
{
    const struct answer a = {
        .url = "http://r", .subject = "s", .status = status, .body = slice_from(body)};
    struct error err = {0};
    uint32_t number;
    assert_int_equal(answer_read(&a, &number, NULL, &err), -1);
    assert_int_equal(err.class, class);
    if (!strstr(err.text, why)) {
        fail_msg("\"%s\" does not say \"%s\"", err.text, why);
    }
}

static void what_answers_mean(void **state)
{
    (void)state;
    judge(401, "", ERROR_CONFIG, "does not let us in (401)");
    judge(403, "", ERROR_CONFIG, "its right to register s");
    judge(404, "{\"message\":\"no\"}", ERROR_CONFIG, "lacks its path");
    judge(422, "{\"message\":\"bad schema\"}", ERROR_CONFIG, "bad schema");
    judge(500, "", ERROR_BUSY, "events wait");
    judge(408, "", ERROR_BUSY, "events wait");
    judge(302, "", ERROR_CONFIG, "(302)");
    judge(200, "<html>", ERROR_CONFIG, "does not answer as a schema registry");
    judge(200, "{\"id\":\"1\"}", ERROR_CONFIG, "does not answer as a schema registry");
    judge(200, "{\"id\":-1}", ERROR_CONFIG, "does not answer as a schema registry");
}

static void a_lookup_brings_the_schema(void **state)
{
    (void)state;
    CLEANUP(buf_release) struct buf text = {0};
    struct error err;
    uint32_t number;
    const struct answer a = {
        .url = "u",
        .subject = "s",
        .status = 200,
        .body =
            SLICE_LITERAL("{\"subject\":\"s\",\"version\":1,\"id\":5,\"schema\":\"\\\"int\\\"\"}")};
    assert_int_equal(answer_read(&a, &number, &text, &err), 0);
    assert_int_equal(number, 5);
    assert_string_equal(buf_str(&text), "\"int\"");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_schema_is_registered_once),
        cmocka_unit_test(a_registry_that_is_away_is_waited_for),
        cmocka_unit_test(a_check_looks_at_the_list_of_subjects),
        cmocka_unit_test(nobody_listens),
        cmocka_unit_test(a_refusal_has_the_registry_s_words),
        cmocka_unit_test(what_answers_mean),
        cmocka_unit_test(a_lookup_brings_the_schema),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
