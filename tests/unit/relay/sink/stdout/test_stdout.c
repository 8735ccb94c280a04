/* The stdout sink against real pipes and files put in the place of descriptor 1. */
#include "contract/sink.h"
#include "message/encode.h"

#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

extern const struct sink_ops sink_stdout;

struct fixture {
    int saved, reader; /* the real stdout; our end of the pipe */
    void *sink;
    struct batch *batch;
    struct buf expected; /* all lines, as the encoder makes them */
};

static void replace_stdout(struct fixture *f, int fd)
{
    fflush(stdout);
    f->saved = dup(STDOUT_FILENO);
    assert_true(f->saved >= 0);
    assert_int_equal(dup2(fd, STDOUT_FILENO), STDOUT_FILENO);
    close(fd);
}

static void open_sink(struct fixture *f)
{
    struct sink_env env = {.pipeline = "p", .stop_fd = -1};
    struct error err;
    size_t max;
    assert_int_equal(sink_stdout.open(NULL, &env, &f->sink, &max, &err), RESULT_DONE);
    assert_int_equal(max, 0);
    assert_int_equal(sink_stdout.start(f->sink, 1, &err), RESULT_DONE);
}

/* n events with payloads of `size` letters. */
static void make_events(struct fixture *f, size_t n, size_t size)
{
    struct error err;
    f->batch = batch_new();
    char *text = arena_bytes(&f->batch->arena, size);
    memset(text, 'x', size);
    for (size_t i = 0; i < n; i++) {
        struct event *e = batch_add(f->batch);
        char id[24];
        snprintf(id, sizeof id, "id-%zu", i);
        e->id = arena_copy(&f->batch->arena, slice_from(id));
        e->type = e->aggregatetype = e->aggregateid = e->position = SLICE_LITERAL("t");
        e->topic = SLICE_LITERAL("topic");
        e->payload = (struct slice){text, size};
        e->payload_kind = PAYLOAD_TEXT;
        assert_int_equal(encode_json_line(&f->expected, e, &err), RESULT_DONE);
        buf_add_char(&f->expected, '\n');
    }
}

static void pipe_fixture(struct fixture *f, size_t events, size_t size)
{
    int ends[2];
    *f = (struct fixture){0};
    make_events(f, events, size);
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    f->reader = ends[0];
    replace_stdout(f, ends[1]);
    open_sink(f);
}

static void fixture_end(struct fixture *f)
{
    sink_stdout.close(f->sink);
    fflush(stdout);
    dup2(f->saved, STDOUT_FILENO);
    close(f->saved);
    if (f->reader > 0) {
        close(f->reader);
    }
    batch_free(f->batch);
    buf_release(&f->expected);
}

static void read_some(struct fixture *f, struct buf *got, size_t at_most)
{
    char bytes[65536];
    ssize_t n = read(f->reader, bytes, at_most < sizeof bytes ? at_most : sizeof bytes);
    assert_true(n > 0);
    buf_add(got, bytes, (size_t)n);
}

/* Collects once; tokens must come in order from *next on. */
static void collect(struct fixture *f, uint64_t *next)
{
    static struct sink_report report;
    struct error err;
    report.count = 0;
    assert_int_equal(sink_stdout.collect(f->sink, &report, &err), RESULT_DONE);
    for (size_t i = 0; i < report.count; i++) {
        assert_int_equal(report.results[i].token, (*next)++);
        assert_int_equal(report.results[i].outcome, SINK_DELIVERED);
    }
}

static void test_a_slow_reader_slows_it_down(void **state UNUSED)
{
    struct fixture f;
    enum { EVENTS = 3000 };
    pipe_fixture(&f, EVENTS, 200);
    struct buf got CLEANUP(buf_release) = {0};
    struct error err;
    size_t put = 0, stalls = 0;
    uint64_t delivered = 100;
    while (delivered < 100 + EVENTS) {
        size_t taken = 0;
        assert_int_equal(sink_stdout.put(f.sink, f.batch, put, EVENTS, 100 + put, &taken, &err),
                         RESULT_DONE);
        put += taken;
        uint64_t before = delivered;
        collect(&f, &delivered);
        if (taken == 0 && delivered == before) { /* the pipe is full */
            struct poll_set set;
            poll_set_clear(&set);
            sink_stdout.poll_fds(f.sink, &set);
            assert_int_equal(set.count, 1);
            stalls++;
            read_some(&f, &got, 5000);
        }
    }
    assert_true(stalls > 0);
    while (got.len < f.expected.len) {
        read_some(&f, &got, SIZE_MAX);
    }
    assert_true(slice_equal(buf_slice(&got), buf_slice(&f.expected)));
    fixture_end(&f);
}

static void test_delivered_only_when_wholly_written(void **state UNUSED)
{
    struct fixture f;
    pipe_fixture(&f, 1, 300 * 1000); /* more than a pipe holds */
    struct buf got CLEANUP(buf_release) = {0};
    struct error err;
    size_t taken;
    uint64_t next = 7;
    assert_int_equal(sink_stdout.put(f.sink, f.batch, 0, 1, 7, &taken, &err), RESULT_DONE);
    assert_int_equal(taken, 1);
    while (got.len < f.expected.len) {
        collect(&f, &next);
        assert_true(next == 7 || f.expected.len - got.len <= 65536);
        read_some(&f, &got, SIZE_MAX);
    }
    collect(&f, &next);
    assert_int_equal(next, 8);
    fixture_end(&f);
}

/* After a rewind the line that was begun is ended first, then the event comes again. */
static void test_restart_leaves_whole_lines(void **state UNUSED)
{
    struct fixture f;
    pipe_fixture(&f, 2, 100 * 1000);
    struct buf got CLEANUP(buf_release) = {0};
    struct error err;
    size_t taken;
    uint64_t next = 50;
    assert_int_equal(sink_stdout.put(f.sink, f.batch, 0, 2, 1, &taken, &err), RESULT_DONE);
    assert_int_equal(sink_stdout.start(f.sink, 1, &err), RESULT_DONE);
    assert_int_equal(sink_stdout.put(f.sink, f.batch, 0, 1, 50, &taken, &err), RESULT_DONE);
    assert_int_equal(taken, 1);
    size_t line = f.expected.len / 2; /* both lines are equally long */
    while (got.len < 2 * line) {
        collect(&f, &next);
        read_some(&f, &got, SIZE_MAX);
    }
    collect(&f, &next);
    assert_int_equal(next, 51);
    assert_int_equal(got.len, 2 * line);
    assert_memory_equal(got.data, f.expected.data, line);
    assert_memory_equal(got.data + line, f.expected.data, line);
    fixture_end(&f);
}

static void test_poison_is_refused_alone(void **state UNUSED)
{
    struct fixture f;
    pipe_fixture(&f, 3, 10);
    struct buf got CLEANUP(buf_release) = {0};
    struct error err;
    size_t taken;
    uint64_t next = 1;
    f.batch->events[1].payload = SLICE_LITERAL("\xff");
    assert_int_equal(sink_stdout.put(f.sink, f.batch, 0, 3, 1, &taken, &err), RESULT_ERROR);
    assert_int_equal(err.class, ERROR_POISON);
    assert_int_equal(taken, 1);
    assert_int_equal(sink_stdout.put(f.sink, f.batch, 2, 3, 2, &taken, &err), RESULT_DONE);
    collect(&f, &next);
    assert_int_equal(next, 3);
    size_t line = f.expected.len / 3;
    while (got.len < 2 * line) {
        read_some(&f, &got, SIZE_MAX);
    }
    assert_memory_equal(got.data, f.expected.data, line);
    assert_memory_equal(got.data + line, f.expected.data + 2 * line, line);
    fixture_end(&f);
}

static void test_reader_gone(void **state UNUSED)
{
    struct fixture f;
    pipe_fixture(&f, 1, 10);
    struct error err;
    size_t taken;
    assert_int_equal(sink_stdout.healthy(f.sink, &err), RESULT_DONE);
    close(f.reader);
    f.reader = 0;
    assert_int_equal(sink_stdout.healthy(f.sink, &err), RESULT_ERROR);
    int rc = sink_stdout.put(f.sink, f.batch, 0, 1, 1, &taken, &err);
    fixture_end(&f);
    assert_int_equal(rc, RESULT_ERROR);
    assert_int_equal(err.class, ERROR_FATAL);
    assert_int_equal(err.exit_code, EXIT_CODE_IO);
}

static void test_full_disk_is_retried(void **state UNUSED)
{
    struct fixture f = {0};
    make_events(&f, 1, 10);
    replace_stdout(&f, open("/dev/full", O_WRONLY | O_CLOEXEC));
    open_sink(&f);
    struct error err;
    size_t taken;
    int rc = sink_stdout.put(f.sink, f.batch, 0, 1, 1, &taken, &err);
    fixture_end(&f);
    assert_int_equal(rc, RESULT_ERROR);
    assert_int_equal(err.class, ERROR_RETRY);
    assert_int_equal(err.exit_code, EXIT_CODE_IO);
    assert_string_equal(err.code, "ENOSPC");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_slow_reader_slows_it_down),
        cmocka_unit_test(test_delivered_only_when_wholly_written),
        cmocka_unit_test(test_restart_leaves_whole_lines),
        cmocka_unit_test(test_poison_is_refused_alone),
        cmocka_unit_test(test_reader_gone),
        cmocka_unit_test(test_full_disk_is_retried),
    };
    signal(SIGPIPE, SIG_IGN); /* as the daemon does */
    return cmocka_run_group_tests(tests, NULL, NULL);
}
