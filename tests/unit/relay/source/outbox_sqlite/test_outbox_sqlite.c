/* The SQLite outbox against real files: nothing lost, nothing twice, nothing read open. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "contract/source.h"
#include "db/sqlite.h"
#include "plugin_conf.h"
#include "schema/schema.h"
#include "source/outbox_sqlite/held.h"
#include "source/outbox_sqlite/wait.h"
#include "source/outbox_sqlite/watch.h"

extern const struct source_ops source_outbox_sqlite;
static const struct source_ops *const ops = &source_outbox_sqlite;

struct world {
    char dir[64], path[128];
    struct sqlite *app; /* the application's connection */
    void *conf, *conf_memory;
    struct source_env env;
    void *source;
    unsigned caps;
    struct batch *batch;
    struct error err;
};

static void set(struct world *w, const char *key, const char *value)
{
    plugin_conf_text(ops->keys, w->conf, key, value);
}

static void sql(struct world *w, const char *fmt, ...) PRINTF_LIKE(2, 3);

static void sql(struct world *w, const char *fmt, ...)
{
    char text[2048];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    struct error err = {0};
    if (sqlite_exec(w->app, text, &err) != RESULT_DONE) {
        fail_msg("%s: %s", text, err.text);
    }
}

static void open_app(struct world *w)
{
    struct sqlite_options opt = {
        .path = w->path, .create = true, .patience_us = US_PER_SECOND, .stop_fd = -1};
    assert_int_equal(sqlite_open(&opt, &w->app, &w->err), RESULT_DONE);
}

static int setup(void **state)
{
    struct world *w = calloc(1, sizeof *w);
    strcpy(w->dir, "/tmp/cr-outbox-XXXXXX");
    assert_non_null(mkdtemp(w->dir));
    snprintf(w->path, sizeof w->path, "%s/shop.db", w->dir);
    open_app(w);
    sql(w, "PRAGMA journal_mode = WAL");
    sql(w, "%s", schema_sqlite_outbox);
    assert_int_equal(sqlite_exec(w->app, schema_sqlite_relay, &w->err), RESULT_DONE);
    sql(w, "INSERT INTO commitrelay_positions (pipeline, part, epoch) VALUES ('p', 'one', 7)");
    w->conf = plugin_conf_new(ops->keys, ops->conf_size, &w->conf_memory);
    set(w, "path", w->path);
    w->env = (struct source_env){.pipeline = "p",
                                 .store = {.positions = "commitrelay_positions",
                                           .dead_letters = "commitrelay_dead_letters",
                                           .part = "one"},
                                 .ordered = true,
                                 .attempts = 3,
                                 .stop_fd = -1};
    w->batch = batch_new();
    *state = w;
    return 0;
}

static int teardown(void **state)
{
    struct world *w = *state;
    char command[128];
    ops->close(w->source);
    batch_free(w->batch);
    sqlite_close(w->app);
    plugin_conf_free(w->conf, w->conf_memory);
    snprintf(command, sizeof command, "rm -rf %s", w->dir);
    assert_int_equal(system(command), 0);
    free(w);
    return 0;
}

static int start(struct world *w, const char *cursor)
{
    if (!w->source) {
        assert_int_equal(ops->open(w->conf, &w->env, &w->source, &w->caps, &w->err), RESULT_DONE);
    }
    error_clear(&w->err);
    return ops->start(w->source, slice_from(cursor), 7, &w->err);
}

static void started(struct world *w, const char *cursor)
{
    if (start(w, cursor) != RESULT_DONE) {
        fail_msg("start: %s", w->err.text);
    }
}

static int read_some(struct world *w, size_t max_events, size_t max_bytes)
{
    batch_reset(w->batch);
    error_clear(&w->err);
    return ops->read(w->source, w->batch, max_events, max_bytes, &w->err);
}

/* The ids of one read, blank between. */
static const char *ids(struct world *w, size_t max_events)
{
    static char text[256];
    text[0] = '\0';
    if (read_some(w, max_events, SIZE_MAX) != RESULT_DONE) {
        fail_msg("read: %s", w->err.text);
    }
    for (size_t i = 0; i < w->batch->count; i++) {
        size_t n = strlen(text);
        snprintf(text + n, sizeof text - n, "%s%.*s", i ? " " : "",
                 SLICE_FMT(w->batch->events[i].id));
    }
    return text;
}

static void emit(struct world *w, const char *id)
{
    sql(w,
        "INSERT INTO outbox (id, aggregatetype, aggregateid, type, payload) VALUES ('%s', 'order', "
        "'k', 'made', '{}')",
        id);
}

static const char *cursor_now(struct world *w)
{
    static char text[128];
    CLEANUP(buf_release) struct buf out = {0};
    ops->cursor(w->source, NULL, SIZE_MAX, &out);
    snprintf(text, sizeof text, "%s", buf_str(&out));
    return text;
}

/* Acknowledges all events of the batch. */
static int ack(struct world *w)
{
    struct slice keys[64];
    size_t n = w->batch->count;
    for (size_t i = 0; i < n; i++) {
        keys[i] = w->batch->events[i].row_key;
    }
    int r = ops->ack(w->source, keys, n, &w->err);
    while (r == RESULT_AGAIN) {
        r = ops->ack(w->source, NULL, 0, &w->err);
    }
    return r;
}

static void reads_commits_in_order(void **state)
{
    struct world *w = *state;
    emit(w, "a");
    started(w, NULL);
    assert_int_equal(w->caps, SOURCE_ORDERED | SOURCE_ROWS_STAY);
    assert_string_equal(ids(w, 10), "a");
    assert_string_equal(ids(w, 10), "");
    sql(w, "BEGIN");
    emit(w, "b");
    assert_string_equal(ids(w, 10), ""); /* not committed */
    sql(w, "ROLLBACK");
    assert_string_equal(ids(w, 10), "");
    emit(w, "c"); /* takes the rolled-back number */
    emit(w, "d");
    assert_string_equal(ids(w, 1), "c");
    assert_string_equal(ids(w, 1), "d");
    assert_string_equal(ids(w, 1), "");
    bool idle;
    assert_int_equal(ops->idle(w->source, &idle, &w->err), RESULT_DONE);
    assert_true(idle);
}

static void fills_every_field(void **state)
{
    struct world *w = *state;
    sql(w, "ALTER TABLE outbox ADD COLUMN region text");
    sql(w, "INSERT INTO outbox (id, aggregatetype, aggregateid, type, payload, headers, "
           "created_at, region) VALUES "
           "('i', 'at', 'ai', 't', '[1]', '{\"h\":1}', '2026-11-21T10:00:00.250Z', 'eu')");
    sql(w, "INSERT INTO outbox (id, aggregatetype, aggregateid, type, payload, created_at) VALUES "
           "('j', 'at', 'ai', 't', x'00ff', 'infinity')");
    static const char *const more[] = {"region"};
    w->env.columns = more;
    w->env.columns_count = 1;
    started(w, NULL);
    assert_int_equal(read_some(w, 10, SIZE_MAX), RESULT_DONE);
    assert_int_equal(w->batch->count, 2);
    const struct event *e = w->batch->events;
    assert_true(slice_equal_str(e->aggregatetype, "at") && slice_equal_str(e->aggregateid, "ai"));
    assert_true(slice_equal_str(e->type, "t") && slice_equal_str(e->payload, "[1]"));
    assert_true(slice_equal_str(e->headers, "{\"h\":1}") && slice_equal_str(e->columns[0], "eu"));
    assert_true(slice_equal_str(e->position, "1") && slice_is_null(e->row_key));
    assert_int_equal(e->created_at_us % US_PER_SECOND, 250000);
    assert_int_equal(e->payload_kind, PAYLOAD_TEXT);
    assert_null(e->poison);
    assert_int_equal(e[1].payload_kind, PAYLOAD_BYTES);
    assert_int_equal(e[1].payload.len, 2);
    assert_true(slice_is_null(e[1].headers) && slice_is_null(e[1].columns[0]));
    assert_true(e[1].created_at_us == TIME_NONE && slice_equal_str(e[1].created_at, "infinity"));
}

static void goes_on_behind_the_cursor(void **state)
{
    struct world *w = *state;
    emit(w, "a");
    emit(w, "b");
    emit(w, "c");
    started(w, NULL);
    assert_string_equal(ids(w, 2), "a b");
    CLEANUP(buf_release) struct buf first = {0};
    CLEANUP(buf_release) struct buf shown = {0};
    ops->cursor(w->source, w->batch, 0, &first);
    ops->describe(buf_slice(&first), &shown);
    assert_string_equal(buf_str(&shown), "1");
    started(w, buf_str(&first));
    assert_string_equal(ids(w, 10), "b c");
}

static void start_from_now_skips(void **state)
{
    struct world *w = *state;
    emit(w, "a");
    set(w, "start_from", "now");
    started(w, NULL);
    assert_non_null(strstr(cursor_now(w), "s1 1 "));
    emit(w, "b");
    assert_string_equal(ids(w, 10), "b");
}

static void refuses_reusable_numbers(void **state)
{
    struct world *w = *state;
    sql(w, "DROP TABLE outbox; CREATE TABLE outbox (seq integer /* AUTOINCREMENT */ primary key, "
           "id text, aggregatetype, "
           "aggregateid, type, payload)");
    assert_int_equal(start(w, NULL), RESULT_ERROR);
    assert_int_equal(w->err.exit_code, EXIT_CODE_CONFIG);
    assert_non_null(strstr(w->err.text, "AUTOINCREMENT"));
}

static void names_missing_columns_and_tables(void **state)
{
    struct world *w = *state;
    set(w, "columns.payload", "body\"; drop table outbox; --");
    assert_int_equal(start(w, NULL), RESULT_ERROR);
    assert_int_equal(w->err.exit_code, EXIT_CODE_CONFIG);
    assert_non_null(strstr(w->err.text, "no column \"body"));
    set(w, "table", "outbux");
    assert_int_equal(start(w, NULL), RESULT_ERROR);
    assert_non_null(strstr(w->err.text, "\"outbux\" does not exist"));
}

static void stops_at_a_sequence_that_went_back(void **state)
{
    struct world *w = *state;
    emit(w, "a");
    emit(w, "b");
    started(w, NULL);
    assert_string_equal(ids(w, 10), "a b");
    char cursor[128];
    snprintf(cursor, sizeof cursor, "%s", cursor_now(w));
    sql(w, "DELETE FROM outbox; DELETE FROM sqlite_sequence");
    assert_int_equal(read_some(w, 10, SIZE_MAX), RESULT_ERROR);
    assert_int_equal(w->err.exit_code, EXIT_CODE_UNAVAILABLE);
    assert_int_equal(start(w, cursor), RESULT_ERROR);
    assert_int_equal(w->err.exit_code, EXIT_CODE_UNAVAILABLE);
}

static void refuses_foreign_cursors(void **state)
{
    struct world *w = *state;
    emit(w, "a");
    static const char *const bad[] = {
        "", "x", "s1 1", "s1 x id", "s2 1 id", "p1 1 id", "s1 0 0123456789abcdef"};
    for (size_t i = 1; i < sizeof bad / sizeof *bad; i++) {
        assert_int_equal(start(w, bad[i]), RESULT_ERROR);
        assert_int_equal(w->err.exit_code, EXIT_CODE_UNAVAILABLE);
    }
}

static void notices_a_replaced_file(void **state)
{
    struct world *w = *state;
    emit(w, "a");
    started(w, NULL);
    assert_string_equal(ids(w, 10), "a");
    sqlite_close(w->app);
    char moved[160];
    snprintf(moved, sizeof moved, "%s.old", w->path);
    assert_int_equal(rename(w->path, moved), 0);
    assert_int_equal(read_some(w, 10, SIZE_MAX), RESULT_ERROR);
    assert_int_equal(w->err.class, ERROR_RETRY);
    assert_int_equal(start(w, cursor_now(w)), RESULT_ERROR); /* gone */
    assert_int_equal(w->err.exit_code, EXIT_CODE_CONFIG);
    open_app(w);
    sql(w, "%s", schema_sqlite_outbox);
    emit(w, "z");
    assert_int_equal(start(w, NULL), RESULT_ERROR); /* another one */
    assert_int_equal(w->err.exit_code, EXIT_CODE_UNAVAILABLE);
}

static void bounds_bytes_and_poisons_the_over_large(void **state)
{
    struct world *w = *state;
    sql(w,
        "INSERT INTO outbox (id, aggregatetype, aggregateid, type, payload) VALUES "
        "('a', '', '', '', '{}'), ('fits', '', '', '', hex(zeroblob(20000))), "
        "('over', '', '', '', hex(zeroblob(30000))), ('huge', '', '', '', hex(zeroblob(1000000))), "
        "('c', '', '', '', '{}'), (hex(zeroblob(500000)), '', '', '', '{}'), ('d', '', '', '', "
        "'{}')");
    w->env.max_event_bytes = 50000;
    started(w, NULL);
    assert_int_equal(read_some(w, 10, 10000), RESULT_DONE);
    assert_int_equal(w->batch->count, 1); /* a; the next does not fit beside it */
    assert_int_equal(read_some(w, 1, 10000), RESULT_DONE);
    assert_int_equal(w->batch->events[0].payload.len, 40000); /* but alone it is given */
    assert_null(w->batch->events[0].poison);
    assert_string_equal(ids(w, 10), "over huge"); /* too large: not copied; not even loaded */
    for (size_t i = 0; i < 2; i++) {
        assert_non_null(w->batch->events[i].poison);
        assert_true(slice_is_null(w->batch->events[i].payload));
    }
    assert_int_equal(read_some(w, 10, SIZE_MAX), RESULT_DONE);
    assert_int_equal(w->batch->count, 2); /* c, and the row whose id is too large */
    assert_null(w->batch->events[0].poison);
    assert_non_null(w->batch->events[1].poison);
    assert_true(slice_equal_str(w->batch->events[1].position, "6"));
    assert_string_equal(ids(w, 10), "d");
    assert_string_equal(ids(w, 10), "");
}

static void poisons_rows_without_id(void **state)
{
    struct world *w = *state;
    sql(w, "DROP TABLE outbox; CREATE TABLE outbox (seq integer primary key autoincrement, id, "
           "aggregatetype, "
           "aggregateid, type, payload JSON); INSERT INTO outbox VALUES (1, NULL, 'a', 'b', 'c', "
           "'{}'), "
           "(2, x'01', 'a', 'b', 'c', NULL), (3, 17, 'a', 'b', 'c', '1')");
    started(w, NULL);
    assert_int_equal(read_some(w, 10, SIZE_MAX), RESULT_DONE);
    assert_int_equal(w->batch->count, 3);
    assert_non_null(w->batch->events[0].poison);
    assert_non_null(w->batch->events[1].poison);
    assert_null(w->batch->events[2].poison);
    assert_true(slice_is_null(w->batch->events[1].payload));
    assert_true(slice_equal_str(w->batch->events[2].id, "17"));
    assert_int_equal(w->batch->events[2].payload_kind, PAYLOAD_JSON);
}

static void holds_no_read_open(void **state)
{
    struct world *w = *state;
    int64_t busy;
    emit(w, "a");
    emit(w, "b");
    started(w, NULL);
    assert_string_equal(ids(w, 1), "a");
    /* A reader that is still open would keep TRUNCATE from finishing: its first column would be 1.
     */
    assert_int_equal(
        sqlite_query_int(w->app, "PRAGMA wal_checkpoint(TRUNCATE)", -1, &busy, &w->err),
        RESULT_DONE);
    assert_int_equal(busy, 0);
    assert_string_equal(ids(w, 1), "b");
}

static const char *held_up(struct world *w)
{
    static char text[256];
    struct source_lag lag;
    ops->lag(w->source, &lag);
    memcpy(text, lag.held_up, sizeof text);
    return text;
}

/* What is told of a wait of so many seconds, while another one has begun just now. */
static const char *told(int64_t seconds)
{
    static char text[256];
    const int64_t now = 100 * US_PER_SECOND;
    const struct outbox_sqlite_wait older = {.since_us = now - seconds * US_PER_SECOND},
                                    newer = {.since_us = now};
    outbox_sqlite_wait_tell(&newer, &older, "shop.db", now, text, sizeof text);
    return text;
}

static void a_long_wait_is_told_in_steps(void **state)
{
    (void)state;
    assert_string_equal(told(0), ""); /* a moment is not worth a warning */
    assert_string_equal(told(1),
                        "waits since more than 1 s for a lock another process holds on shop.db");
    assert_string_equal(told(4), told(1));
    assert_non_null(strstr(told(12), "more than 10 s for a lock"));
    char text[256];
    const struct outbox_sqlite_wait none = {0}, one = {.since_us = US_PER_SECOND};
    outbox_sqlite_wait_tell(&none, &none, "shop.db", 9 * US_PER_SECOND, text, sizeof text);
    assert_string_equal(text, "");
    outbox_sqlite_wait_tell(&one, &none, "shop.db", 9 * US_PER_SECOND, text, sizeof text);
    assert_non_null(strstr(text, "more than 5 s"));
}

static void a_wait_ends_with_its_timeout(void **state)
{
    (void)state;
    struct outbox_sqlite_wait w = {0};
    for (int64_t now = 1000; now < 1000 + 7 * US_PER_SECOND; now += US_PER_SECOND) {
        assert_true(outbox_sqlite_wait_on(&w, 7 * US_PER_SECOND, now));
        assert_true(w.since_us == 1000 && w.next_us > now && w.next_us < now + US_PER_SECOND);
    }
    assert_false(outbox_sqlite_wait_on(&w, 7 * US_PER_SECOND, 1000 + 7 * US_PER_SECOND));
    assert_int_equal(w.since_us, 0); /* the next one is another */
}

static void waits_for_a_lock_without_failing(void **state)
{
    struct world *w = *state;
    sql(w, "PRAGMA journal_mode = DELETE");
    emit(w, "a");
    started(w, NULL);
    sql(w, "BEGIN EXCLUSIVE");
    assert_int_equal(read_some(w, 10, SIZE_MAX), RESULT_AGAIN);
    struct poll_set fds;
    poll_set_clear(&fds);
    ops->poll_fds(w->source, &fds);
    assert_true(fds.deadline_us < clock_mono_us() + US_PER_SECOND);
    plugin_conf_number(ops->keys, w->conf, "read_timeout", 1); /* us: it has passed */
    assert_int_equal(read_some(w, 10, SIZE_MAX), RESULT_ERROR);
    assert_int_equal(w->err.class, ERROR_RETRY);
    sql(w, "COMMIT");
    assert_string_equal(ids(w, 10), "a");
}

static void wakes_up_on_a_commit(void **state)
{
    struct world *w = *state;
    started(w, NULL);
    assert_string_equal(ids(w, 10), "");
    struct poll_set fds;
    poll_set_clear(&fds);
    ops->poll_fds(w->source, &fds);
    assert_int_equal(fds.count, 0); /* at first only the timer */
    poll_set_wait(&fds);
    assert_string_equal(ids(w, 10), "");
    poll_set_clear(&fds);
    ops->poll_fds(w->source, &fds);
    assert_int_equal(fds.count, 1);
    fds.deadline_us = clock_mono_us() + 20 * US_PER_MS;
    assert_int_equal(poll_set_wait(&fds), 0); /* nothing happens, nothing wakes */
    emit(w, "a");
    fds.deadline_us = clock_mono_us() + US_PER_SECOND;
    assert_int_equal(poll_set_wait(&fds), 1);
    assert_string_equal(ids(w, 10), "a");
    /* Idle: the intervals grow to poll_interval. */
    const int64_t longest = 8 * US_PER_MS;
    int64_t before = 0, after = 0;
    plugin_conf_number(ops->keys, w->conf, "poll_interval", longest);
    assert_string_equal(ids(w, 10), "");
    for (int i = 0; i < 8; i++) {
        poll_set_clear(&fds);
        ops->poll_fds(w->source, &fds);
        fds.count = 0;
        poll_set_wait(&fds);
        before = clock_mono_us();
        assert_string_equal(ids(w, 10), "");
        after = clock_mono_us();
    }
    poll_set_clear(&fds);
    ops->poll_fds(w->source, &fds);
    assert_in_range(fds.deadline_us, before + longest, after + longest);
}

static void watches_the_database_only(void **state)
{
    struct world *w = *state;
    char other[160];
    snprintf(other, sizeof other, "%s/other.log", w->dir);
    struct outbox_sqlite_watch watch;
    outbox_sqlite_watch_init(&watch);
    outbox_sqlite_watch_start(&watch, w->path);
    assert_false(outbox_sqlite_watch_take(&watch));
    FILE *f = fopen(other, "w");
    assert_non_null(f);
    assert_true(fputs("noise", f) >= 0);
    assert_int_equal(fclose(f), 0);
    assert_false(outbox_sqlite_watch_take(&watch));
    emit(w, "a");
    assert_true(outbox_sqlite_watch_take(&watch));
    assert_false(outbox_sqlite_watch_take(&watch));
    outbox_sqlite_watch_stop(&watch);
}

static void follows_a_changed_schema(void **state)
{
    struct world *w = *state;
    emit(w, "a");
    started(w, NULL);
    assert_string_equal(ids(w, 10), "a");
    sql(w, "ALTER TABLE outbox ADD COLUMN x text");
    emit(w, "b");
    assert_string_equal(ids(w, 10), "b");
    sql(w, "ALTER TABLE outbox RENAME COLUMN payload TO body");
    assert_int_equal(read_some(w, 10, SIZE_MAX), RESULT_ERROR);
    assert_int_equal(w->err.class, ERROR_CONFIG);
    assert_non_null(strstr(w->err.text, "payload"));
}

static void accepts_only_what_it_delivered(void **state)
{
    struct world *w = *state;
    emit(w, "a");
    started(w, NULL);
    assert_string_equal(ids(w, 10), "a");
    struct slice cursor = slice_from(cursor_now(w)), one = slice_from("1");
    assert_int_equal(ops->accepts(w->source, cursor, one, slice_from("a"), &w->err), RESULT_DONE);
    assert_int_equal(ops->accepts(w->source, cursor, one, slice_from("b"), &w->err), RESULT_ERROR);
    assert_int_equal(w->err.exit_code, EXIT_CODE_UNAVAILABLE);
    assert_int_equal(ops->accepts(w->source, cursor, slice_from("2"), slice_from("a"), &w->err),
                     RESULT_ERROR);
}

static void places(void **state)
{
    struct world *w = *state;
    emit(w, "a");
    started(w, NULL);
    CLEANUP(buf_release) struct buf cursor = {0};
    assert_int_equal(ops->position(w->source, "1", &cursor, &w->err), RESULT_DONE);
    assert_int_equal(strncmp(buf_str(&cursor), "s1 1 ", 5), 0);
    assert_int_equal(ops->position(w->source, "2", &cursor, &w->err), RESULT_ERROR);
    assert_int_equal(w->err.class, ERROR_CONFIG);
    assert_int_equal(ops->position(w->source, "1x", &cursor, &w->err), RESULT_ERROR);
    assert_int_equal(ops->position(w->source, "beginning", &cursor, &w->err), RESULT_DONE);
    assert_int_equal(strncmp(buf_str(&cursor), "s1 0 ", 5), 0);
}

static void delete_mode_deletes_behind_delivery(void **state)
{
    struct world *w = *state;
    int64_t left;
    set(w, "mode", "delete");
    emit(w, "a");
    emit(w, "b");
    started(w, NULL);
    assert_int_equal(w->caps,
                     SOURCE_ORDERED | SOURCE_ACK_KEYS | SOURCE_ACK_REMOVES | SOURCE_ROWS_STAY);
    assert_string_equal(ids(w, 10), "a b");
    emit(w, "c");
    struct batch *first = w->batch;
    w->batch = batch_new();
    assert_string_equal(ids(w, 10), "c"); /* a and b are in flight */
    batch_free(w->batch);
    w->batch = first;
    assert_int_equal(ack(w), RESULT_DONE);
    assert_int_equal(sqlite_query_int(w->app, "SELECT count(*) FROM outbox", -1, &left, &w->err),
                     RESULT_DONE);
    assert_int_equal(left, 1);
    started(w, cursor_now(w)); /* c was not acknowledged: it comes again */
    assert_string_equal(ids(w, 10), "c");
}

/* Without AUTOINCREMENT: numbers come again, and rows may appear below those in flight. */
static void delete_mode_reads_reused_numbers(void **state)
{
    struct world *w = *state;
    set(w, "mode", "delete");
    sql(w, "DROP TABLE outbox; CREATE TABLE outbox (seq integer primary key, id text, "
           "aggregatetype, aggregateid, type, "
           "payload); INSERT INTO outbox (seq, id) VALUES (5, 'a'), (6, 'b')");
    started(w, NULL);
    assert_string_equal(ids(w, 10), "a b");
    struct batch *first = w->batch;
    w->batch = batch_new();
    assert_string_equal(ids(w, 10), "");
    sql(w, "INSERT INTO outbox (seq, id) VALUES (2, 'below')");
    assert_string_equal(ids(w, 10), "below");
    assert_int_equal(ack(w), RESULT_DONE);
    /* The application takes b away and its number is given again while it is in flight. */
    sql(w, "DELETE FROM outbox WHERE id = 'b'; INSERT INTO outbox (seq, id) VALUES (6, 'again')");
    assert_string_equal(ids(w, 10), "");
    batch_free(w->batch);
    w->batch = first;
    assert_int_equal(ack(w), RESULT_DONE); /* must not delete `again` */
    assert_string_equal(ids(w, 10), "again");
    assert_int_equal(ack(w), RESULT_DONE);
    sql(w, "INSERT INTO outbox (id) VALUES ('one')"); /* seq 1 */
    assert_string_equal(ids(w, 10), "one");
}

static void delete_mode_orders_by_another_column(void **state)
{
    struct world *w = *state;
    set(w, "mode", "delete");
    set(w, "order_by", "at");
    w->env.ordered = false; /* it cannot keep the order of a key */
    sql(w, "DROP TABLE outbox; CREATE TABLE outbox (id text primary key, aggregatetype, "
           "aggregateid, type, payload, at); "
           "INSERT INTO outbox (id, at) VALUES ('c', 3), ('b', 2), ('a', 1), ('b2', 2)");
    started(w, NULL);
    assert_string_equal(ids(w, 2), "a b");
    struct batch *first = w->batch;
    w->batch = batch_new();
    assert_string_equal(ids(w, 2), "b2 c");
    assert_string_equal(ids(w, 2), "");
    batch_free(w->batch);
    w->batch = first;
    assert_int_equal(ack(w), RESULT_DONE);
    sql(w, "INSERT INTO outbox (id, at) VALUES ('early', 0)");
    assert_string_equal(ids(w, 2), "early");
}

static void delete_mode_is_fenced(void **state)
{
    struct world *w = *state;
    int64_t left;
    set(w, "mode", "delete");
    emit(w, "a");
    started(w, NULL);
    assert_string_equal(ids(w, 10), "a");
    sql(w, "UPDATE commitrelay_positions SET epoch = 8");
    assert_int_equal(ack(w), RESULT_ERROR);
    assert_int_equal(w->err.exit_code, EXIT_CODE_UNAVAILABLE);
    assert_int_equal(sqlite_query_int(w->app, "SELECT count(*) FROM outbox", -1, &left, &w->err),
                     RESULT_DONE);
    assert_int_equal(left, 1);
}

static void delete_waits_for_a_writer(void **state)
{
    struct world *w = *state;
    set(w, "mode", "delete");
    emit(w, "a");
    started(w, NULL);
    assert_string_equal(ids(w, 10), "a");
    sql(w, "BEGIN IMMEDIATE");
    struct slice key = w->batch->events[0].row_key;
    assert_int_equal(ops->ack(w->source, &key, 1, &w->err), RESULT_AGAIN);
    sql(w, "COMMIT");
    assert_int_equal(ops->ack(w->source, NULL, 0, &w->err), RESULT_DONE);
    assert_int_equal(ops->ack(w->source, NULL, 0, &w->err), RESULT_DONE);
}

/* A write lock lets reads pass: what they find says nothing about the delete that waits. */
static void a_delete_gives_up_while_reads_succeed(void **state)
{
    struct world *w = *state;
    set(w, "mode", "delete");
    emit(w, "a");
    started(w, NULL);
    assert_string_equal(ids(w, 10), "a");
    char text[32];
    snprintf(text, sizeof text, "%.*s", SLICE_FMT(w->batch->events[0].row_key));
    struct slice key = slice_from(text);
    sql(w, "BEGIN IMMEDIATE");
    assert_int_equal(ops->ack(w->source, &key, 1, &w->err), RESULT_AGAIN);
    assert_string_equal(ids(w, 10), "");
    assert_string_equal(ids(w, 10), ""); /* one that found something to do, and one that did not */
    struct poll_set fds;
    poll_set_clear(&fds);
    ops->ack_fds(w->source, &fds);
    assert_true(fds.deadline_us > 0 && fds.deadline_us < clock_mono_us() + US_PER_SECOND);
    plugin_conf_number(ops->keys, w->conf, "read_timeout", 1); /* us: it has passed */
    assert_int_equal(ops->ack(w->source, NULL, 0, &w->err), RESULT_ERROR);
    assert_int_equal(w->err.class, ERROR_RETRY);
    sql(w, "COMMIT");
    assert_string_equal(held_up(w), "");
    started(w, NULL);
    assert_int_equal(ops->ack(w->source, &key, 1, &w->err), RESULT_DONE);
    assert_string_equal(ids(w, 10), "");
}

static void changing_the_mode_sends_nothing_twice(void **state)
{
    struct world *w = *state;
    emit(w, "a");
    emit(w, "b");
    started(w, NULL);
    assert_string_equal(ids(w, 1), "a");
    char cursor[128];
    snprintf(cursor, sizeof cursor, "%s", cursor_now(w));
    ops->close(w->source);
    w->source = NULL;
    set(w, "mode", "delete");
    assert_int_equal(start(w, cursor), RESULT_ERROR);
    assert_int_equal(w->err.exit_code, EXIT_CODE_CONFIG);
    sql(w, "DELETE FROM outbox WHERE id = 'a'");
    started(w, cursor);
    assert_string_equal(ids(w, 10), "b");
}

static void held_set_survives_collisions(void **state)
{
    (void)state;
    struct outbox_sqlite_held h = {0};
    for (int64_t i = 0; i < 5000; i++) {
        outbox_sqlite_held_add(&h, i * 131072 - 7);
    }
    for (int64_t i = 0; i < 5000; i += 2) {
        outbox_sqlite_held_remove(&h, i * 131072 - 7);
    }
    assert_int_equal(h.count, 2500);
    for (int64_t i = 0; i < 5000; i++) {
        assert_int_equal(outbox_sqlite_held_has(&h, i * 131072 - 7), i % 2);
    }
    outbox_sqlite_held_release(&h);
}

static void count_faults(void *ctx, int exit_code, const char *text, const char *remedy)
{
    int *n = ctx;
    assert_true(text[0] && remedy[0]);
    n[exit_code != 0]++;
}

static void check_reports_each_fault(void **state)
{
    struct world *w = *state;
    int n[2] = {0, 0};
    sql(w, "PRAGMA journal_mode = DELETE");
    assert_int_equal(ops->open(w->conf, &w->env, &w->source, &w->caps, &w->err), RESULT_DONE);
    assert_int_equal(ops->check(w->source, count_faults, n, &w->err), RESULT_DONE);
    assert_int_equal(n[true], 0);
    assert_int_equal(n[false], 1); /* the journal mode, said */
    sql(w,
        "CREATE TABLE copy AS SELECT * FROM outbox; DROP TABLE outbox; CREATE TABLE outbox (seq"
        " integer primary key autoincrement, id text not null, aggregatetype, aggregateid, type,"
        " payload, headers, created_at); CREATE INDEX not_unique ON outbox (id); CREATE UNIQUE"
        " INDEX wider ON outbox (id, type); CREATE UNIQUE INDEX some ON outbox (id) WHERE seq > 9");
    assert_int_equal(ops->check(w->source, count_faults, n, &w->err), RESULT_DONE);
    assert_int_equal(n[true], 0);
    assert_int_equal(n[false], 3); /* and that an id may come twice */
    sql(w, "CREATE UNIQUE INDEX ids ON outbox (id)");
    assert_int_equal(ops->check(w->source, count_faults, n, &w->err), RESULT_DONE);
    assert_int_equal(n[false], 4);
    sql(w, "DROP TABLE outbox; CREATE TABLE outbox (seq integer primary key, id text, "
           "aggregatetype, aggregateid)");
    assert_int_equal(ops->check(w->source, count_faults, n, &w->err), RESULT_DONE);
    assert_int_equal(n[true], 3); /* no AUTOINCREMENT, no type, no payload */
}

/* For `tail`: every row, whatever start_from says, also where the number of a removed one comes
 * again. */
static void a_look_follows_a_table_that_is_emptied(void **state)
{
    struct world *w = *state;
    struct source_range every = SOURCE_RANGE_ALL;
    CLEANUP(buf_release) struct buf cursor = {0};
    every.every = true;
    w->env.range = &every;
    w->env.observe = true;
    set(w, "start_from", "now");
    sql(w, "DROP TABLE outbox; CREATE TABLE outbox (seq integer primary key, id, aggregatetype, "
           "aggregateid, type, payload)");
    emit(w, "a");
    emit(w, "b");
    assert_int_equal(ops->open(w->conf, &w->env, &w->source, &w->caps, &w->err), RESULT_DONE);
    assert_int_equal(ops->recent(w->source, 1, &cursor, &w->err), RESULT_DONE);
    started(w, buf_str(&cursor));
    assert_string_equal(ids(w, 10), "b");
    sql(w, "DELETE FROM outbox");
    assert_string_equal(ids(w, 10), "");
    emit(w, "c");
    assert_string_equal(ids(w, 10), "c");
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(reads_commits_in_order),
        CASE(fills_every_field),
        CASE(goes_on_behind_the_cursor),
        CASE(start_from_now_skips),
        CASE(refuses_reusable_numbers),
        CASE(names_missing_columns_and_tables),
        CASE(stops_at_a_sequence_that_went_back),
        CASE(refuses_foreign_cursors),
        CASE(notices_a_replaced_file),
        CASE(bounds_bytes_and_poisons_the_over_large),
        CASE(poisons_rows_without_id),
        CASE(holds_no_read_open),
        cmocka_unit_test(a_long_wait_is_told_in_steps),
        cmocka_unit_test(a_wait_ends_with_its_timeout),
        CASE(waits_for_a_lock_without_failing),
        CASE(wakes_up_on_a_commit),
        CASE(watches_the_database_only),
        CASE(follows_a_changed_schema),
        CASE(accepts_only_what_it_delivered),
        CASE(places),
        CASE(delete_mode_deletes_behind_delivery),
        CASE(delete_mode_reads_reused_numbers),
        CASE(delete_mode_orders_by_another_column),
        CASE(delete_mode_is_fenced),
        CASE(delete_waits_for_a_writer),
        CASE(a_delete_gives_up_while_reads_succeed),
        CASE(changing_the_mode_sends_nothing_twice),
        cmocka_unit_test(held_set_survives_collisions),
        CASE(check_reports_each_fault),
        CASE(a_look_follows_a_table_that_is_emptied),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
