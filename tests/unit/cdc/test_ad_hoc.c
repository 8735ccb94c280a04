/* Snapshots that are asked for while the stream goes on: each is read once, wherever the process
 * stops, and no signal takes the stream down. */
#include "unit.h"

#include "fakes_source.h"

#include "base/clock.h"
#include "base/log.h"
#include "contract/source.h"

#include <stdio.h>
#include <stdlib.h>

extern const struct source_ops source_cdc_postgres;

enum { EVENTS = 50, TRIES = 1000000 };

#define TEXT(literal) ((char *)(uintptr_t)(literal))

static char *tables[] = {TEXT("public.orders")};
static const struct cdc_conf conf = {.url = TEXT("x"),
                                     .slot = TEXT(""),
                                     .publication = TEXT(""),
                                     .as = CDC_AS_CHANGES,
                                     .table = TEXT("outbox"),
                                     .start_from = TEXT("beginning"),
                                     .heartbeat_interval_us = 1000000,
                                     .columns = {.id = TEXT("id"),
                                                 .aggregatetype = TEXT("aggregatetype"),
                                                 .aggregateid = TEXT("aggregateid"),
                                                 .type = TEXT("type"),
                                                 .payload = TEXT("payload"),
                                                 .headers = TEXT("headers"),
                                                 .created_at = TEXT("created_at"),
                                                 .seq = TEXT("seq"),
                                                 .xid = TEXT("xid")},
                                     .tables = {.items = tables, .count = 1},
                                     .signal_table = TEXT("public.signal")};

struct bench {
    struct source_env env;
    void *source;
    struct batch *batch;
    struct buf events;          /* "c1 r1 r2 " */
    struct buf cursors[EVENTS]; /* behind each event */
    size_t count;
    struct buf notes; /* warnings and errors of the log */
};

static void note(void *ctx, int level, const char *text)
{
    struct bench *b = ctx;
    if (level == LOG_WARN || level == LOG_ERROR) {
        buf_printf(&b->notes, "%s\n", text);
    }
}

static void open_at(struct bench *b, struct slice cursor)
{
    struct error err;
    unsigned caps;
    memset(b, 0, sizeof *b);
    b->env = (struct source_env){
        .pipeline = "my-pipe", .stop_fd = -1, .ordered = true, .note = note, .note_ctx = b};
    assert_int_equal(source_cdc_postgres.open(&conf, &b->env, &b->source, &caps, &err), 0);
    b->batch = batch_new();
    assert_int_equal(source_cdc_postgres.start(b->source, cursor, 1, &err), RESULT_DONE);
}

static void close_bench(struct bench *b)
{
    batch_free(b->batch);
    source_cdc_postgres.close(b->source);
    for (size_t i = 0; i < b->count; i++) {
        buf_release(&b->cursors[i]);
    }
    buf_release(&b->events);
    buf_release(&b->notes);
    assert_int_equal(snapshots.opened, snapshots.closed);
}

static void add_event(struct bench *b, size_t index)
{
    const struct event *e = &b->batch->events[index];
    const struct cell *row = e->change->after;
    assert_true(b->count < EVENTS);
    buf_printf(&b->events, "%c%.*s ", e->change->op, SLICE_FMT(row[0].text));
    source_cdc_postgres.cursor(b->source, b->batch, index, &b->cursors[b->count++]);
}

/* The thread that opens a snapshot takes its time. */
static void wait(struct bench *b)
{
    struct poll_set set;
    poll_set_clear(&set);
    source_cdc_postgres.poll_fds(b->source, &set);
    poll_set_deadline(&set, clock_mono_us() + US_PER_MS);
    poll_set_wait(&set);
}

/* Reads until `wanted` was given and nothing comes behind it; NULL: until it fails with *err. */
static void read_until(struct bench *b, const char *wanted, struct error *err)
{
    size_t empty = 0;
    for (size_t n = 0; n < TRIES && empty < 20; n++) {
        batch_reset(b->batch);
        int rc = source_cdc_postgres.read(b->source, b->batch, 2, 1 << 20, err);
        if (rc < 0 && !wanted) {
            return;
        }
        assert_true(rc >= 0);
        for (size_t i = 0; i < b->batch->count; i++) {
            add_event(b, i);
        }
        bool all = wanted && strcmp(buf_str(&b->events), wanted) == 0 && server.at == server.count;
        empty = all && b->batch->count == 0 ? empty + 1 : 0;
        wait(b);
    }
    if (!wanted || strcmp(buf_str(&b->events), wanted) != 0) {
        fail_msg("it gave \"%s\" and not \"%s\"", buf_str(&b->events), wanted ? wanted : "failed");
    }
}

static void expect(struct bench *b, const char *wanted)
{
    struct error err;
    read_until(b, wanted, &err);
}

/* The text behind all that was given. */
static void cursor_now(struct bench *b, struct buf *ret)
{
    source_cdc_postgres.cursor(b->source, NULL, SIZE_MAX, ret);
}

static bool has(const struct buf *text, const char *part)
{
    return strstr(buf_str(text), part) != NULL;
}

/* --- the log --- */

#define ORDERS "{\"data-collections\":[\"public.orders\"]}"

static void begin_log(unsigned rows)
{
    fake_reset();
    snapshots.rows = rows;
    fake_keepalive(50, false);
    fake_begin(100);
    fake_relation(1, 'd', "orders", "*id name");
    fake_relation(2, 'd', "signal", "*id type data");
    fake_commit(110);
}

static void write_signal(uint64_t commit, const char *row)
{
    fake_begin(commit);
    fake_insert(2, row);
    fake_commit(commit + 5);
}

/* One change, and one more in the transaction that asks for the snapshot. */
static void write_request(void)
{
    begin_log(3);
    fake_begin(120);
    fake_insert(1, "7 a");
    fake_insert(2, "a1 execute-snapshot " ORDERS);
    fake_insert(1, "8 b");
    fake_commit(130);
    fake_keepalive(140, false);
}

/* --- what is asked for, is read --- */

static void its_rows_come_and_the_signal_is_no_event(void **state UNUSED)
{
    struct bench b;
    CLEANUP(buf_release) struct buf now = {0};
    write_request();
    open_at(&b, SLICE_NULL);
    expect(&b, "c7 c8 r1 r2 r3 ");
    assert_string_equal(snapshots.last, "public.orders|");
    assert_string_equal(buf_str(&b.notes), "");
    assert_false(has(&b.cursors[0], "orders")); /* the transaction comes again from there */
    assert_true(has(&b.cursors[3], " ;public%2Eorders|a1||s1,"));
    cursor_now(&b, &now);
    assert_false(has(&now, "orders"));
    close_bench(&b);
}

/* Wherever it ends, the rest is given, and neither more nor less. */
static void a_restart_goes_on_from_any_cursor(void **state UNUSED)
{
    static const char *const rests[] = {"c8 r1 r2 r3 ", "r1 r2 r3 ", "r2 r3 ", "r3 ", ""};
    struct bench b;
    write_request();
    open_at(&b, SLICE_NULL);
    expect(&b, "c7 c8 r1 r2 r3 ");
    for (size_t i = 0; i < sizeof rests / sizeof *rests; i++) {
        struct bench again;
        open_at(&again, buf_slice(&b.cursors[i]));
        expect(&again, rests[i]);
        close_bench(&again);
    }
    close_bench(&b);
}

static void a_signal_has_a_predicate(void **state UNUSED)
{
    struct bench b;
    begin_log(1);
    write_signal(150, "a1 execute-snapshot {\"data-collections\":[\"public.orders\"],"
                      "\"additional-conditions\":[{\"data-collection\":\"public.orders\","
                      "\"filter\":\"id>5\"}]}");
    open_at(&b, SLICE_NULL);
    expect(&b, "r1 ");
    assert_string_equal(snapshots.last, "public.orders|id>5");
    close_bench(&b);
}

/* The command's order changes the stored cursor; a start from there reads the snapshot. */
static void an_order_becomes_part_of_the_cursor(void **state UNUSED)
{
    static const char order[] =
        "{\"id\":\"o1\",\"type\":\"execute-snapshot\",\"asked_us\":7,\"data\":{"
        "\"data-collections\":[\"public.orders\"],\"additional-conditions\":[{"
        "\"data-collection\":\"public.orders\",\"filter\":\"id > 5\"}]}}";
    struct bench b;
    struct error err;
    CLEANUP(buf_release) struct buf now = {0}, once = {0}, twice = {0}, said = {0};
    begin_log(2);
    open_at(&b, SLICE_NULL);
    expect(&b, "");
    cursor_now(&b, &now);
    assert_int_equal(source_cdc_postgres.obey(b.source, buf_slice(&now), order, &once, &said, &err),
                     RESULT_DONE);
    assert_true(has(&said, "a snapshot was asked for: public.orders (signal o1)"));
    assert_true(has(&once, " ;public%2Eorders|o1|id%20%3E%205|s1,0/7,7,"));
    assert_int_equal(
        source_cdc_postgres.obey(b.source, buf_slice(&once), order, &twice, &said, &err),
        RESULT_DONE);
    assert_string_equal(buf_str(&twice), buf_str(&once));
    assert_int_equal(source_cdc_postgres.start(b.source, buf_slice(&once), 1, &err), RESULT_DONE);
    expect(&b, "r1 r2 ");
    assert_string_equal(snapshots.last, "public.orders|id > 5");
    close_bench(&b);
}

static void an_order_that_means_nothing_is_refused(void **state UNUSED)
{
    static const char *const orders[] = {
        "", "{\"id\":\"o1\"}", "{\"id\":\"o1\",\"type\":\"log\"}",
        "{\"id\":\"o1\",\"type\":\"execute-snapshot\",\"data\":{}}",
        "{\"id\":\"o1\",\"type\":\"stop-snapshot\",\"data\":{}}"};
    struct bench b;
    CLEANUP(buf_release) struct buf now = {0};
    begin_log(1);
    open_at(&b, SLICE_NULL);
    expect(&b, "");
    cursor_now(&b, &now);
    for (size_t i = 0; i < sizeof orders / sizeof *orders; i++) {
        struct error err;
        CLEANUP(buf_release) struct buf cursor = {0}, said = {0};
        assert_int_equal(
            source_cdc_postgres.obey(b.source, buf_slice(&now), orders[i], &cursor, &said, &err),
            RESULT_ERROR);
        assert_int_equal(err.class, ERROR_CONFIG);
        assert_int_equal(cursor.len, 0);
    }
    close_bench(&b);
}

/* A change that was read before the snapshot is open could be one that its first chunk misses. */
static void the_stream_waits_until_it_is_open(void **state UNUSED)
{
    struct bench b;
    begin_log(2);
    write_signal(120, "a1 execute-snapshot " ORDERS);
    fake_begin(150);
    fake_insert(1, "9 c");
    fake_commit(160);
    open_at(&b, SLICE_NULL);
    expect(&b, "r1 r2 c9 ");
    close_bench(&b);
}

static void one_is_read_after_the_other(void **state UNUSED)
{
    struct bench b;
    begin_log(2);
    write_signal(120,
                 "a1 execute-snapshot {\"data-collections\":[\"public.orders\",\"public.x\"]}");
    open_at(&b, SLICE_NULL);
    expect(&b, "r1 r2 r1 r2 ");
    assert_int_equal(snapshots.opened, 2);
    assert_string_equal(snapshots.last, "public.x|");
    close_bench(&b);
}

/* --- stop, pause, resume --- */

/* A snapshot that stands behind its first row, and then `row` as a signal. */
static void stand_then(struct bench *b, const char *row)
{
    begin_log(3);
    snapshots.stands = true;
    write_signal(120, "a1 execute-snapshot " ORDERS);
    fake_pause();
    write_signal(150, row);
    open_at(b, SLICE_NULL);
    expect(b, "r1 ");
}

static void a_snapshot_can_be_stopped(void **state UNUSED)
{
    struct bench b;
    CLEANUP(buf_release) struct buf now = {0};
    stand_then(&b, "a2 stop-snapshot " ORDERS);
    cursor_now(&b, &now);
    assert_false(has(&now, "orders"));
    assert_int_equal(snapshots.closed, 1);
    close_bench(&b);
}

static void a_pause_lasts_and_keeps_the_place(void **state UNUSED)
{
    struct bench b, again;
    CLEANUP(buf_release) struct buf now = {0};
    stand_then(&b, "a2 pause-snapshot {}");
    cursor_now(&b, &now);
    assert_true(has(&now, " ;paused;public%2Eorders|a1||s1,0/3E8,1,1"));
    assert_int_equal(snapshots.closed, 1);
    open_at(&again, buf_slice(&now));
    expect(&again, "");
    assert_int_equal(snapshots.opened, 1);
    snapshots.stands = false;
    write_signal(200, "a3 resume-snapshot {}");
    expect(&again, "r2 r3 ");
    close_bench(&again);
    close_bench(&b);
}

static void stop_and_ask_again_in_one_transaction_begins_anew(void **state UNUSED)
{
    struct bench b;
    begin_log(2);
    snapshots.stands = true;
    write_signal(120, "a1 execute-snapshot " ORDERS);
    open_at(&b, SLICE_NULL);
    expect(&b, "r1 ");
    fake_begin(150);
    fake_insert(2, "a2 stop-snapshot " ORDERS);
    fake_insert(2, "a3 execute-snapshot " ORDERS);
    fake_commit(160);
    expect(&b, "r1 r1 ");
    assert_int_equal(snapshots.opened, 2);
    snapshots.stands = false;
    expect(&b, "r1 r1 r2 ");
    close_bench(&b);
}

/* --- what cannot be done --- */

static void a_request_that_cannot_be_read_is_given_up(void **state UNUSED)
{
    static const bool opens[] = {false, true};
    for (size_t i = 0; i < 2; i++) {
        struct bench b;
        struct source_lag lag = SOURCE_LAG_UNKNOWN;
        CLEANUP(buf_release) struct buf now = {0};
        write_request();
        snapshots.refuse = opens[i] ? ERROR_NONE : ERROR_CONFIG;
        snapshots.fails = ERROR_CONFIG;
        open_at(&b, SLICE_NULL);
        expect(&b, opens[i] ? "c7 c8 r1 " : "c7 c8 ");
        assert_true(has(&b.notes, "snapshot of public.orders (signal a1) is given up"));
        source_cdc_postgres.lag(b.source, &lag);
        assert_non_null(strstr(lag.warning, "snapshot of public.orders given up"));
        cursor_now(&b, &now);
        assert_false(has(&now, "orders"));
        close_bench(&b);
    }
}

static void a_failure_that_may_end_is_tried_again(void **state UNUSED)
{
    struct bench b;
    struct error err;
    write_request();
    snapshots.refuse = ERROR_RETRY;
    open_at(&b, SLICE_NULL);
    read_until(&b, NULL, &err);
    assert_int_equal(err.class, ERROR_RETRY);
    assert_string_equal(buf_str(&b.events), "c7 c8 ");
    snapshots.refuse = ERROR_NONE;
    assert_int_equal(
        source_cdc_postgres.start(b.source, buf_slice(&b.cursors[b.count - 1]), 1, &err), 0);
    expect(&b, "c7 c8 r1 r2 r3 ");
    close_bench(&b);
}

static void nonsense_is_told_and_passed(void **state UNUSED)
{
    struct bench b;
    begin_log(1);
    write_signal(120, "a1 execute-snapshot {");
    write_signal(130, "a2 execute-snapshot {\"data-collections\":[]}");
    write_signal(140, "a3 log {\"message\":\"x\"}");
    write_signal(150, "a4 stop-snapshot {}");
    open_at(&b, SLICE_NULL);
    expect(&b, "");
    assert_int_equal(snapshots.opened, 0);
    assert_true(has(&b.notes, "signal a1 (execute-snapshot) is not obeyed: its data is no JSON"));
    assert_true(
        has(&b.notes, "signal a2 (execute-snapshot) is not obeyed: its data names no table"));
    assert_false(has(&b.notes, "a3"));
    assert_true(has(&b.notes, "no snapshot to stop (signal a4)"));
    close_bench(&b);
}

static int clean(void **state UNUSED)
{
    fake_reset();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(its_rows_come_and_the_signal_is_no_event),
        cmocka_unit_test(a_restart_goes_on_from_any_cursor),
        cmocka_unit_test(a_signal_has_a_predicate),
        cmocka_unit_test(an_order_becomes_part_of_the_cursor),
        cmocka_unit_test(an_order_that_means_nothing_is_refused),
        cmocka_unit_test(the_stream_waits_until_it_is_open),
        cmocka_unit_test(one_is_read_after_the_other),
        cmocka_unit_test(a_snapshot_can_be_stopped),
        cmocka_unit_test(a_pause_lasts_and_keeps_the_place),
        cmocka_unit_test(stop_and_ask_again_in_one_transaction_begins_anew),
        cmocka_unit_test(a_request_that_cannot_be_read_is_given_up),
        cmocka_unit_test(a_failure_that_may_end_is_tried_again),
        cmocka_unit_test(nonsense_is_told_and_passed),
    };
    return cmocka_run_group_tests(tests, NULL, clean);
}
