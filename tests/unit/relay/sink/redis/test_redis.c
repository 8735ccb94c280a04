/* The sink redis against a server that follows a script: answers that no real one gives on demand.
 * Server and sink take turns on one thread. */
#include "unit.h"

#include "contract/sink.h"
#include "sink/redis/conf.h"

#include <arpa/inet.h>
#include <hiredis/hiredis.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

extern const struct sink_ops sink_redis;

enum { TURNS = 100000 };

/* --- the server --- */

struct server {
    int listener, fd, port;
    redisReader *reader;
    char log[1 << 18]; /* the commands, one a line */
    size_t executed;   /* how often EXEC came */
    size_t queued;     /* commands since MULTI; SIZE_MAX: none is open */
    const char *hello, *kill;
    const char *when,
        *say;   /* an answer of its own to commands that begin so; NULL: the usual one */
    bool holds; /* EXEC is not answered, and what comes behind it neither */
    bool is_held;
    size_t held; /* commands of that transaction */
    struct buf out;
};

static const char *const primary = "*6\r\n$4\r\nmode\r\n$10\r\nstandalone\r\n"
                                   "$4\r\nrole\r\n$6\r\nmaster\r\n$2\r\nid\r\n:7\r\n";

static void server_listen(struct server *s)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof at;
    s->fd = -1;
    s->hello = primary;
    s->kill = ":1\r\n";
    s->queued = SIZE_MAX;
    s->listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    assert_true(s->listener >= 0);
    assert_int_equal(bind(s->listener, (struct sockaddr *)&at, sizeof at), 0);
    assert_int_equal(listen(s->listener, 5), 0);
    assert_int_equal(getsockname(s->listener, (struct sockaddr *)&at, &size), 0);
    s->port = ntohs(at.sin_port);
}

static void server_drop(struct server *s)
{
    if (s->fd >= 0) {
        close(s->fd);
        redisReaderFree(s->reader);
        s->fd = -1;
    }
    s->queued = SIZE_MAX;
    s->is_held = false;
    buf_clear(&s->out);
}

static void answer(struct server *s, const char *text)
{
    buf_add_str(&s->out, text);
}

/* EXEC: an id for each command that was queued. */
static void answer_exec(struct server *s, size_t n)
{
    buf_printf(&s->out, "*%zu\r\n", n);
    for (size_t i = 0; i < n; i++) {
        answer(s, "$3\r\n1-0\r\n");
    }
}

/* In one piece; the sink may have gone away. */
static void send_answers(struct server *s)
{
    ssize_t rc UNUSED = send(s->fd, s->out.data, s->out.len, MSG_NOSIGNAL);
    buf_clear(&s->out);
}

/* What was held back follows the answer to EXEC. */
static void release(struct server *s, const char *exec)
{
    CLEANUP(buf_release) struct buf behind = s->out;
    s->out = (struct buf){0};
    if (exec) {
        answer(s, exec);
    } else {
        answer_exec(s, s->held);
    }
    buf_add_slice(&s->out, buf_slice(&behind));
    send_answers(s);
    s->holds = s->is_held = false;
}

static void write_down(struct server *s, const redisReply *command)
{
    size_t used = strlen(s->log);
    for (size_t i = 0; i < command->elements; i++) {
        used += (size_t)snprintf(s->log + used, sizeof s->log - used, "%s%.*s", i ? " " : "",
                                 (int)command->element[i]->len, command->element[i]->str);
        assert_true(used < sizeof s->log);
    }
    snprintf(s->log + used, sizeof s->log - used, "\n");
}

static void obey(struct server *s, const redisReply *command)
{
    const char *word = command->element[0]->str;
    bool open = s->queued != SIZE_MAX;
    bool exec = strcmp(word, "EXEC") == 0, multi = strcmp(word, "MULTI") == 0;
    size_t queued = s->queued;
    write_down(s, command);
    s->executed += exec;
    s->queued = multi                                  ? 0
                : exec || strcmp(word, "DISCARD") == 0 ? SIZE_MAX
                : open                                 ? queued + 1
                                                       : SIZE_MAX;
    if (exec && s->holds) {
        send_answers(s);
        s->is_held = true;
        s->held = queued;
        return;
    }
    if (s->when && strncmp(word, s->when, strlen(s->when)) == 0) {
        answer(s, s->say);
    } else if (exec) {
        answer_exec(s, queued);
    } else if (strcmp(word, "HELLO") == 0) {
        answer(s, s->hello);
    } else if (strcmp(word, "CLIENT") == 0) {
        bool info = strcmp(command->element[1]->str, "INFO") == 0;
        answer(s, info ? "$34\r\nid=7 addr=10.0.0.9:555 laddr=x y=z\r\n" : s->kill);
    } else if (strcmp(word, "WAIT") == 0) {
        answer(s, ":1\r\n");
    } else {
        answer(s, open && !exec && strcmp(word, "DISCARD") != 0 ? "+QUEUED\r\n" : "+OK\r\n");
    }
}

/* Accepts, and obeys what has come. */
static void serve(struct server *s)
{
    char bytes[65536];
    ssize_t n;
    void *command = NULL;
    int fd = accept(s->listener, NULL, NULL);
    if (fd >= 0) {
        server_drop(s);
        s->fd = fd;
        s->reader = redisReaderCreate();
    }
    while (s->fd >= 0 && (n = recv(s->fd, bytes, sizeof bytes, MSG_DONTWAIT)) > 0) {
        redisReaderFeed(s->reader, bytes, (size_t)n);
    }
    while (s->fd >= 0 && redisReaderGetReply(s->reader, &command) == REDIS_OK && command) {
        obey(s, command);
        freeReplyObject(command);
    }
    if (s->fd >= 0 && !s->is_held && s->out.len > 0) {
        send_answers(s);
    }
}

/* --- the sink --- */

struct rig {
    struct server server;
    struct redis_conf conf;
    struct sink_env env;
    void *sink;
    struct batch *batch;
    struct sink_report report;
    struct error err;
    char url[128], notes[1024], delivered[4096];
    size_t put;
};

static void keep_note(void *ctx, int level, const char *text)
{
    struct rig *r = ctx;
    size_t used = strlen(r->notes);
    (void)level;
    snprintf(r->notes + used, sizeof r->notes - used, "%s\n", text);
}

static int rig_up(void **state)
{
    static char nothing[] = "", topic[] = "{topic}";
    struct rig *r = calloc(1, sizeof *r);
    assert_non_null(r);
    server_listen(&r->server);
    snprintf(r->url, sizeof r->url, "redis://127.0.0.1:%d", r->server.port);
    r->conf =
        (struct redis_conf){.url = r->url,
                            .stream = topic,
                            .wait = {0, US_PER_SECOND},
                            .net = {.connect_timeout_us = 60 * US_PER_SECOND,
                                    .stall_timeout_us = 60 * US_PER_SECOND,
                                    .username = nothing,
                                    .password = nothing,
                                    .tls = {nothing, nothing, nothing, nothing, .verify = true}}};
    r->env = (struct sink_env){
        .pipeline = "p", .max_in_flight = 10000, .stop_fd = -1, .note = keep_note, .note_ctx = r};
    r->batch = batch_new();
    *state = r;
    return 0;
}

static int rig_down(void **state)
{
    struct rig *r = *state;
    sink_redis.close(r->sink);
    server_drop(&r->server);
    buf_release(&r->server.out);
    close(r->server.listener);
    batch_free(r->batch);
    free(r);
    return 0;
}

static void rig_open(struct rig *r)
{
    size_t max;
    assert_int_equal(sink_redis.open(&r->conf, &r->env, &r->sink, &max, &r->err), RESULT_DONE);
}

/* A moment for what is on its way through the kernel. */
static void turn(struct rig *r)
{
    struct poll_set set;
    serve(&r->server);
    poll_set_clear(&set);
    sink_redis.poll_fds(r->sink, &set);
    poll_set_deadline(&set, clock_mono_us() + US_PER_MS);
    poll_set_wait(&set);
}

static int rig_start(struct rig *r)
{
    int rc = RESULT_AGAIN;
    for (int i = 0; i < TURNS && rc == RESULT_AGAIN; i++) {
        rc = sink_redis.start(r->sink, 1, &r->err);
        turn(r);
    }
    assert_int_not_equal(rc, RESULT_AGAIN);
    return rc;
}

static void started(struct rig *r)
{
    rig_open(r);
    if (rig_start(r)) {
        fail_msg("start: %s", r->err.text);
    }
    r->server.log[0] = '\0';
}

/* Event n: id e<n>, token n. */
static struct event *add_event(struct rig *r, const char *topic)
{
    static const struct header h[] = {{SLICE_LITERAL("id"), SLICE_LITERAL("")},
                                      {SLICE_LITERAL("trace"), SLICE_LITERAL("t 1")},
                                      {SLICE_LITERAL("none"), {NULL, 0}}};
    char id[16];
    struct event *e = batch_add(r->batch);
    struct header *headers = arena_array(&r->batch->arena, 3, sizeof *headers);
    memcpy(headers, h, sizeof h);
    snprintf(id, sizeof id, "e%zu", r->batch->count);
    e->id = headers[0].value = arena_copy(&r->batch->arena, slice_from(id));
    e->type = (struct slice)SLICE_LITERAL("Made");
    e->topic = slice_from(topic);
    e->key = (struct slice)SLICE_LITERAL("k");
    e->value = e->payload = (struct slice)SLICE_LITERAL("{}");
    e->position = (struct slice)SLICE_LITERAL("9.1");
    e->created_at_us = INT64_C(1700000000000000);
    e->out_headers = headers;
    e->out_headers_count = 3;
    return e;
}

/* Adds n events and puts what is taken. */
static size_t put(struct rig *r, size_t n)
{
    size_t taken;
    for (size_t i = 0; i < n; i++) {
        add_event(r, "orders");
    }
    assert_int_equal(
        sink_redis.put(r->sink, r->batch, r->put, r->batch->count, r->put + 1, &taken, &r->err),
        RESULT_DONE);
    r->put += taken;
    return taken;
}

/* The answer of `collect`; what it delivered is added to r->delivered as "1 2 ", poison as "!3 ".
 */
static int collect(struct rig *r)
{
    r->report.count = 0;
    int rc = sink_redis.collect(r->sink, &r->report, &r->err);
    for (size_t i = 0; i < r->report.count; i++) {
        size_t used = strlen(r->delivered);
        const struct sink_result *one = &r->report.results[i];
        snprintf(r->delivered + used, sizeof r->delivered - used, "%s%d ",
                 one->outcome == SINK_DELIVERED ? "" : "!", (int)one->token);
    }
    return rc;
}

/* Turns until the server has seen `n` EXEC and the sink what it answered; or until the sink fails.
 */
static int run(struct rig *r, size_t n)
{
    int rc = RESULT_DONE;
    for (int i = 0; i < TURNS && rc == RESULT_DONE && r->server.executed < n; i++) {
        rc = collect(r);
        turn(r);
    }
    for (int i = 0; i < 3 && rc == RESULT_DONE; i++) { /* its answers */
        rc = collect(r);
        turn(r);
    }
    if (rc) {
        fail_msg("collect: %s", r->err.text);
    }
    return rc;
}

static int until_failure(struct rig *r)
{
    int rc = RESULT_DONE;
    for (int i = 0; i < TURNS && rc == RESULT_DONE; i++) {
        turn(r);
        rc = collect(r);
    }
    assert_int_equal(rc, RESULT_ERROR);
    return rc;
}

/* --- what is sent --- */

static void an_event_is_an_entry_with_its_fields(void **state)
{
    struct rig *r = *state;
    started(r);
    assert_int_equal(put(r, 1), 1);
    run(r, 1);
    assert_string_equal(r->server.log, "MULTI\n"
                                       "XADD orders * id e1 type Made key k payload {} created_at "
                                       "2023-11-14T22:13:20.000000Z position 9.1 h:trace t 1\n"
                                       "EXEC\n");
    assert_string_equal(r->delivered, "1 ");
}

static void a_tombstone_has_no_payload_and_a_stream_may_be_trimmed(void **state)
{
    struct rig *r = *state;
    char stream[] = "s:{key}";
    r->conf.stream = stream;
    r->conf.maxlen = 50;
    started(r);
    struct event *e = add_event(r, "orders");
    e->value = SLICE_NULL;
    e->out_headers_count = 0;
    put(r, 0);
    run(r, 1);
    assert_non_null(
        strstr(r->server.log, "XADD s:k MAXLEN ~ 50 * id e1 type Made key k created_at 2023"));
}

static void pubsub_publishes_the_value(void **state)
{
    struct rig *r = *state;
    r->conf.mode = REDIS_PUBSUB;
    r->env.at_most_once = true;
    started(r);
    put(r, 1);
    run(r, 1);
    assert_string_equal(r->server.log, "MULTI\nPUBLISH orders {}\nEXEC\n");
    assert_string_equal(r->delivered, "1 ");
}

static void it_says_who_it_is(void **state)
{
    struct rig *r = *state;
    char user[] = "relay", password[] = "secret";
    r->conf.net.username = user;
    r->conf.net.password = password;
    snprintf(r->url, sizeof r->url, "redis://127.0.0.1:%d/4", r->server.port);
    rig_open(r);
    assert_int_equal(rig_start(r), RESULT_DONE);
    assert_string_equal(r->server.log, "HELLO 2 SETNAME commitrelay-p AUTH relay secret\n"
                                       "CLIENT INFO\nSELECT 4\nCONFIG GET proto-max-bulk-len\n"
                                       "MULTI\nDISCARD\n");
    assert_non_null(strstr(r->notes, "sent unencrypted"));
    assert_null(strstr(r->notes, "secret"));
}

/* --- delivered --- */

static void queued_is_not_delivered_and_two_batches_are_taken(void **state)
{
    struct rig *r = *state;
    started(r);
    r->server.holds = true;
    assert_int_equal(put(r, 10000), 512);
    run(r, 1);
    assert_string_equal(r->delivered, "");
    assert_int_equal(r->server.executed, 1); /* the second waits for the first */
    assert_int_equal(put(r, 0), 0);
    release(&r->server, NULL);
    run(r, 2);
    assert_non_null(strstr(r->delivered, "1 2 3 "));
    assert_non_null(strstr(r->delivered, " 512 "));
}

static void nothing_is_executed_behind_what_has_failed(void **state)
{
    struct rig *r = *state;
    started(r);
    r->server.holds = true;
    assert_int_equal(put(r, 300), 300);
    run(r, 1);
    release(&r->server, "-OOM command not allowed when used memory > 'maxmemory'.\r\n");
    until_failure(r);
    assert_int_equal(r->err.class, ERROR_BUSY);
    assert_int_equal(r->server.executed, 1);
    assert_string_equal(r->delivered, "");
    assert_int_equal(rig_start(r), RESULT_DONE);
    r->put = 0;
    assert_int_equal(put(r, 0), 300);
    assert_int_equal(sink_redis.healthy(r->sink, &r->err), RESULT_ERROR); /* until it succeeds */
    assert_int_equal(r->err.class, ERROR_BUSY);
    run(r, 3);
    assert_int_equal(sink_redis.healthy(r->sink, &r->err), RESULT_DONE);
    assert_non_null(strstr(r->delivered, " 300 "));
}

static void what_is_refused_when_it_is_queued_says_why(void **state)
{
    struct rig *r = *state;
    started(r);
    r->server.when = "XADD";
    r->server.say = "-NOPERM this user has no permissions to run the 'xadd' command\r\n";
    r->server.holds = true;
    put(r, 2);
    run(r, 1);
    release(&r->server, "-EXECABORT Transaction discarded because of previous errors.\r\n");
    until_failure(r);
    assert_int_equal(r->err.class, ERROR_CONFIG);
    assert_int_equal(r->err.exit_code, EXIT_CODE_PERMISSION);
    assert_non_null(strstr(r->err.text, ", orders: NOPERM"));
    assert_string_equal(r->delivered, "");
}

static void a_connection_that_is_ended_for_a_command_says_why(void **state)
{
    struct rig *r = *state;
    started(r);
    r->server.when = "XADD";
    r->server.say = "-ERR Protocol error: invalid bulk length\r\n";
    r->server.holds = true;
    put(r, 1);
    run(r, 1);
    server_drop(&r->server);
    until_failure(r);
    assert_non_null(strstr(r->err.text, "proto-max-bulk-len"));
}

/* Event 2 of three: a key of another type. */
static const char *const wrong_type =
    "*3\r\n$3\r\n1-0\r\n-WRONGTYPE Operation against a key holding the wrong kind of "
    "value\r\n$3\r\n1-1\r\n";

static void neighbours_of_a_refused_event_are_delivered(void **state)
{
    struct rig *r = *state;
    started(r);
    r->server.when = "EXEC";
    r->server.say = wrong_type;
    add_event(r, "orders");
    add_event(r, "list");
    put(r, 1);
    assert_int_equal(run(r, 1), RESULT_DONE);
    assert_string_equal(r->delivered, "1 3 !2 "); /* the event has named the stream */
    assert_int_equal(r->report.error.class, ERROR_POISON);
    assert_non_null(strstr(r->report.error.text, ", list: WRONGTYPE"));
}

static void a_stream_of_all_events_that_is_none_is_the_operators_fault(void **state)
{
    struct rig *r = *state;
    r->env.fixed_topic = "orders";
    started(r);
    r->server.when = "EXEC";
    r->server.say = wrong_type;
    put(r, 3);
    until_failure(r);
    assert_string_equal(r->delivered, "1 3 ");
    assert_int_equal(r->err.class, ERROR_CONFIG);
    assert_non_null(strstr(r->err.text, ", orders: WRONGTYPE"));
}

static void an_entry_that_is_too_large_is_poison(void **state)
{
    struct rig *r = *state;
    started(r);
    r->server.when = "EXEC";
    r->server.say = "*3\r\n$3\r\n1-0\r\n-ERR Elements are too large to be stored\r\n$3\r\n1-1\r\n";
    put(r, 3);
    assert_int_equal(run(r, 1), RESULT_DONE);
    assert_string_equal(r->delivered, "1 3 !2 ");
    assert_int_equal(r->report.error.class, ERROR_POISON);
    r->server.when = NULL; /* the sink goes on by itself */
    assert_int_equal(put(r, 1), 1);
    assert_int_equal(run(r, 2), RESULT_DONE);
    assert_string_equal(r->delivered, "1 3 !2 4 ");
}

static void a_field_longer_than_the_server_takes_is_poison(void **state)
{
    static const char text[] = "12345678";
    struct rig *r = *state;
    size_t taken;
    r->server.when = "CONFIG";
    r->server.say = "*2\r\n$18\r\nproto-max-bulk-len\r\n$1\r\n7\r\n";
    started(r);
    add_event(r, "s")->value = (struct slice){text, 8};
    add_event(r, "s")->value = (struct slice){text, 7};
    r->batch->events[0].out_headers_count = r->batch->events[1].out_headers_count = 0;
    r->batch->events[0].created_at_us = r->batch->events[1].created_at_us = TIME_NONE;
    /* The names of the fields, too: "payload" has seven bytes. */
    assert_int_equal(sink_redis.put(r->sink, r->batch, 0, 2, 1, &taken, &r->err), RESULT_ERROR);
    assert_int_equal(taken, 0);
    assert_int_equal(r->err.class, ERROR_POISON);
    assert_non_null(strstr(r->err.text, "has 8 bytes, and 127.0.0.1:"));
    assert_non_null(strstr(r->err.text, " takes 7 (proto-max-bulk-len)"));
}

/* Of a transaction everything is executed that can be. */
static void no_later_event_of_a_key_is_with_one_that_may_be_refused(void **state)
{
    struct rig *r = *state;
    size_t taken;
    r->env.holds_keys = true;
    started(r);
    add_event(r, "orders");
    add_event(r, "orders"); /* the same stream: both are refused or none is */
    add_event(r, "list");
    assert_int_equal(sink_redis.put(r->sink, r->batch, 0, 3, 1, &taken, &r->err), RESULT_DONE);
    assert_int_equal(taken, 2);
    r->batch->events[2].key = (struct slice)SLICE_LITERAL("k2");
    assert_int_equal(sink_redis.put(r->sink, r->batch, 2, 3, 3, &taken, &r->err), RESULT_DONE);
    assert_int_equal(taken, 1);
}

/* --- replicas --- */

static void an_event_is_delivered_once_the_replicas_have_it(void **state)
{
    struct rig *r = *state;
    r->conf.wait.replicas = 1;
    started(r);
    r->server.when = "WAIT";
    r->server.say = ":0\r\n";
    assert_int_equal(put(r, 300), 256);
    run(r, 1);
    assert_int_equal(put(r, 0), 0); /* WAIT would not wait within a transaction */
    assert_string_equal(r->delivered, "");
    assert_int_equal(sink_redis.healthy(r->sink, &r->err), RESULT_ERROR);
    assert_non_null(strstr(r->err.text, "0 of 1 replicas"));
    r->server.when = NULL;
    for (int i = 0; i < TURNS && !r->delivered[0]; i++) {
        collect(r);
        turn(r);
    }
    assert_non_null(strstr(r->delivered, " 256 "));
    assert_int_equal(sink_redis.healthy(r->sink, &r->err), RESULT_DONE);
    assert_int_equal(put(r, 0), 44);
}

/* Not by sending them again: the primary has them, and would have them twice. */
static void events_wait_for_replicas_for_as_long_as_it_takes(void **state)
{
    struct rig *r = *state;
    r->conf.wait.replicas = 1;
    r->conf.wait.timeout_us = 30 * US_PER_SECOND;
    started(r);
    r->server.when = "WAIT";
    r->server.say = ":0\r\n";
    put(r, 3);
    run(r, 1);
    assert_int_equal(sink_redis.healthy(r->sink, &r->err), RESULT_ERROR);
    assert_int_equal(r->err.class, ERROR_BUSY);
    r->server.say = ""; /* this WAIT takes its half minute */
    for (int i = 0; i < 3; i++) {
        assert_int_equal(collect(r), RESULT_DONE);
        turn(r);
    }
    r->conf.net.stall_timeout_us = 1; /* long since the events were put */
    assert_int_equal(collect(r), RESULT_DONE);
    assert_int_equal(r->server.executed, 1);
}

static void a_server_that_stands_still_meanwhile_has_failed(void **state)
{
    struct rig *r = *state;
    r->conf.wait.replicas = 1;
    r->conf.wait.timeout_us = US_PER_MS;
    started(r);
    r->server.when = "WAIT";
    r->server.say = ":0\r\n";
    put(r, 3);
    run(r, 1);
    r->server.say = "";
    r->conf.net.stall_timeout_us = 1;
    until_failure(r);
    assert_int_equal(r->err.class, ERROR_RETRY);
    assert_non_null(strstr(r->err.text, "no acknowledgement from 127.0.0.1:"));
}

static void what_the_primary_refused_is_not_delivered_by_its_replicas(void **state)
{
    struct rig *r = *state;
    r->conf.wait.replicas = 1;
    r->env.fixed_topic = "orders";
    started(r);
    r->server.when = "EXEC";
    r->server.say = wrong_type;
    put(r, 3);
    until_failure(r);
    assert_string_equal(r->delivered, "1 3 ");
}

/* --- connections --- */

static void what_a_broken_connection_left_is_ended_first(void **state)
{
    struct rig *r = *state;
    started(r);
    r->server.holds = true;
    put(r, 1);
    run(r, 1);
    assert_int_equal(rig_start(r), RESULT_DONE); /* a rewind */
    assert_non_null(strstr(r->server.log, "CLIENT KILL ID 7 ADDR 10.0.0.9:555\n"));
    r->server.log[0] = '\0';
    server_drop(&r->server); /* with nothing under way */
    until_failure(r);
    assert_non_null(strstr(r->err.text, "the connection has ended"));
    assert_int_equal(rig_start(r), RESULT_DONE);
    assert_null(strstr(r->server.log, "KILL"));
    assert_string_equal(r->notes, "");
}

static void without_the_right_to_end_it_that_is_said_once(void **state)
{
    struct rig *r = *state;
    r->server.kill = "-NOPERM this user has no permissions to run the 'client|kill' command\r\n";
    started(r);
    r->server.holds = true;
    for (int i = 0; i < 2; i++) {
        r->server.executed = r->put = 0;
        put(r, 1);
        run(r, 1);
        assert_int_equal(rig_start(r), RESULT_DONE);
    }
    const char *said = strstr(r->notes, "+client|kill");
    assert_non_null(said);
    assert_null(strstr(said + 1, "+client|kill"));
}

static void an_idle_connection_is_kept(void **state)
{
    struct rig *r = *state;
    started(r);
    put(r, 1);
    run(r, 1);
    r->server.log[0] = '\0';
    assert_int_equal(rig_start(r), RESULT_DONE);
    assert_string_equal(r->server.log, "");
}

static void silence_is_a_failure(void **state)
{
    struct rig *r = *state;
    r->conf.net.stall_timeout_us = 1;
    started(r);
    r->server.holds = true;
    put(r, 1);
    until_failure(r);
    assert_int_equal(r->err.class, ERROR_RETRY);
    assert_true(error_is(&r->err, "stalled"));
    assert_non_null(strstr(r->err.text, "no acknowledgement from 127.0.0.1:"));
}

static void a_login_without_an_answer_is_a_failure(void **state)
{
    struct rig *r = *state;
    int rc = RESULT_AGAIN;
    r->conf.net.connect_timeout_us = US_PER_MS;
    rig_open(r);
    for (int i = 0; i < TURNS && rc == RESULT_AGAIN; i++) {
        rc = sink_redis.start(r->sink, 1, &r->err); /* the server accepts and says nothing */
    }
    assert_int_equal(rc, RESULT_ERROR);
    assert_int_equal(r->err.class, ERROR_RETRY);
    assert_non_null(strstr(r->err.text, "sink.connect_timeout"));
}

static void only_a_primary_by_itself_is_written_to(void **state)
{
    struct rig *r = *state;
    static const struct {
        const char *hello, *says;
        enum error_class class;
    } others[] = {
        {"*4\r\n$4\r\nmode\r\n$7\r\ncluster\r\n$4\r\nrole\r\n$6\r\nmaster\r\n", "this is a cluster",
         ERROR_CONFIG},
        {"*4\r\n$4\r\nmode\r\n$8\r\nsentinel\r\n$4\r\nrole\r\n$8\r\nsentinel\r\n", "is a Sentinel",
         ERROR_CONFIG},
        {"*4\r\n$4\r\nmode\r\n$10\r\nstandalone\r\n$4\r\nrole\r\n$7\r\nreplica\r\n", "is a replica",
         ERROR_RETRY},
        {"-ERR unknown command `HELLO`, with args beginning with: `2`\r\n", "needs Redis 6.0",
         ERROR_CONFIG},
        {"-WRONGPASS invalid username-password pair or user is disabled.\r\n", "sink.password_file",
         ERROR_CONFIG},
        {"-LOADING Redis is loading the dataset in memory\r\n", "after a start", ERROR_RETRY},
    };
    rig_open(r);
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        r->server.hello = others[i].hello;
        assert_int_equal(rig_start(r), RESULT_ERROR);
        assert_int_equal(r->err.class, others[i].class);
        assert_non_null(strstr(r->err.text, others[i].says));
    }
}

static void servers_are_tried_in_turn(void **state)
{
    struct rig *r = *state;
    struct server away = {.port = 0};
    server_listen(&away);
    close(away.listener);
    snprintf(r->url, sizeof r->url, "redis://127.0.0.1:%d,redis://127.0.0.1:%d", away.port,
             r->server.port);
    started(r);
    put(r, 1);
    run(r, 1);
    assert_string_equal(r->delivered, "1 ");
    r->server.hello = "-WRONGPASS invalid\r\n";
    server_drop(&r->server);
    until_failure(r);
    assert_int_equal(rig_start(r), RESULT_ERROR);
    assert_int_equal(r->err.class, ERROR_RETRY); /* the one that is away may come back */
    assert_non_null(strstr(r->err.text, "WRONGPASS"));
    assert_non_null(strstr(r->err.text, "cannot be reached: Connection refused"));
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, rig_up, rig_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(an_event_is_an_entry_with_its_fields),
        CASE(a_tombstone_has_no_payload_and_a_stream_may_be_trimmed),
        CASE(pubsub_publishes_the_value),
        CASE(it_says_who_it_is),
        CASE(queued_is_not_delivered_and_two_batches_are_taken),
        CASE(nothing_is_executed_behind_what_has_failed),
        CASE(what_is_refused_when_it_is_queued_says_why),
        CASE(a_connection_that_is_ended_for_a_command_says_why),
        CASE(neighbours_of_a_refused_event_are_delivered),
        CASE(a_stream_of_all_events_that_is_none_is_the_operators_fault),
        CASE(an_entry_that_is_too_large_is_poison),
        CASE(a_field_longer_than_the_server_takes_is_poison),
        CASE(no_later_event_of_a_key_is_with_one_that_may_be_refused),
        CASE(an_event_is_delivered_once_the_replicas_have_it),
        CASE(events_wait_for_replicas_for_as_long_as_it_takes),
        CASE(a_server_that_stands_still_meanwhile_has_failed),
        CASE(what_the_primary_refused_is_not_delivered_by_its_replicas),
        CASE(what_a_broken_connection_left_is_ended_first),
        CASE(without_the_right_to_end_it_that_is_said_once),
        CASE(an_idle_connection_is_kept),
        CASE(silence_is_a_failure),
        CASE(a_login_without_an_answer_is_a_failure),
        CASE(only_a_primary_by_itself_is_written_to),
        CASE(servers_are_tried_in_turn),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
