/* cdc_postgres: whatever is killed when, each event comes in its order with its own id, and the
 * server is told of nothing that is not delivered. */
#include "unit.h"

#include "fakes_source.h"

#include "contract/source.h"
#include "message/column_rules.h"
#include "message/encode.h"

#include <stdio.h>
#include <stdlib.h>

extern const struct source_ops source_cdc_postgres;

enum { EVENTS = 200 };

/* The configuration owns its texts, so they are not const. */
#define TEXT(literal) ((char *)(uintptr_t)(literal))

static char *prefixes[] = {TEXT("ev")};
static char *some_tables[] = {TEXT("orders"), TEXT("public.items")};

static struct cdc_conf conf_for(int as)
{
    struct cdc_conf c = {.url = TEXT("x"),
                         .slot = TEXT(""),
                         .publication = TEXT(""),
                         .as = as,
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
                         .messages = {.items = prefixes, .count = 1}};
    if (as == CDC_AS_CHANGES) {
        c.tables.items = some_tables;
        c.tables.count = 2;
    }
    return c;
}

/* A source under test, and what it gave. */
struct bench {
    struct cdc_conf conf;
    struct source_env env;
    void *source;
    struct batch *batch;
    struct buf cursors[EVENTS]; /* behind each event */
    char *events[EVENTS];       /* "position id what" */
    uint64_t orders[EVENTS];    /* of a change: 100 * total_order + table_order */
    size_t count;
};

static void open_source(struct bench *b, int as)
{
    static const char *const columns[] = {"op", "name"};
    struct error err;
    unsigned caps;
    memset(b, 0, sizeof *b);
    b->conf = conf_for(as);
    b->env = (struct source_env){.pipeline = "my-pipe", .stop_fd = -1, .ordered = true};
    if (as == CDC_AS_CHANGES) {
        b->env.columns = columns;
        b->env.columns_count = 2;
        b->env.shape = (struct change_shape){
            .tombstones = true, .split_key_change = true, .skip = {['t'] = false}};
    }
    assert_int_equal(source_cdc_postgres.open(&b->conf, &b->env, &b->source, &caps, &err),
                     RESULT_DONE);
    assert_true(caps & SOURCE_ORDERED);
    assert_int_equal((caps & SOURCE_CHANGES) != 0, as == CDC_AS_CHANGES);
    b->batch = batch_new();
}

static void forget(struct bench *b)
{
    for (size_t i = 0; i < b->count; i++) {
        free(b->events[i]);
        buf_release(&b->cursors[i]);
    }
    b->count = 0;
}

static void close_source(struct bench *b)
{
    forget(b);
    batch_free(b->batch);
    source_cdc_postgres.close(b->source);
}

static int start(struct bench *b, struct slice cursor, struct error *err)
{
    return source_cdc_postgres.start(b->source, cursor, 1, err);
}

static void must_start(struct bench *b, struct slice cursor)
{
    struct error err;
    assert_int_equal(start(b, cursor, &err), RESULT_DONE);
}

static struct slice cell_text(const struct cell *cells, size_t i)
{
    return cells && cells[i].kind == CELL_TEXT ? cells[i].text : SLICE_LITERAL("-");
}

static void add_event(struct bench *b, size_t index)
{
    const struct event *e = &b->batch->events[index];
    const struct change *c = e->change;
    char text[400];
    assert_true(b->count < EVENTS);
    if (c) {
        snprintf(text, sizeof text, "%.*s %.*s %c %.*s>%.*s %.*s.%.*s", SLICE_FMT(e->position),
                 SLICE_FMT(e->id), c->op, SLICE_FMT(cell_text(c->before, 0)),
                 SLICE_FMT(cell_text(c->after, 0)), SLICE_FMT(e->columns[0]),
                 SLICE_FMT(e->columns[1]));
    } else {
        snprintf(text, sizeof text, "%.*s %.*s %.*s %.*s %.*s%s", SLICE_FMT(e->position),
                 SLICE_FMT(e->id), SLICE_FMT(e->aggregateid), SLICE_FMT(e->type),
                 SLICE_FMT(e->payload), e->poison ? e->poison : "");
    }
    b->events[b->count] = strdup(text);
    b->orders[b->count] = c ? 100 * c->total_order + c->table_order : 0;
    source_cdc_postgres.cursor(b->source, b->batch, index, &b->cursors[b->count]);
    b->count++;
}

/* One read; what it gave is remembered. */
static int read_once(struct bench *b, size_t max_events, size_t max_bytes, struct error *err)
{
    batch_reset(b->batch);
    int rc = source_cdc_postgres.read(b->source, b->batch, max_events, max_bytes, err);
    for (size_t i = 0; rc == RESULT_DONE && i < b->batch->count; i++) {
        add_event(b, i);
    }
    return rc;
}

static void read_all(struct bench *b, size_t max_events, size_t max_bytes)
{
    struct error err;
    for (size_t n = 0; n < 1000; n++) {
        int rc = read_once(b, max_events, max_bytes, &err);
        if (rc == RESULT_ERROR) {
            fail_msg("%s", err.text);
        }
        if (b->batch->count == 0 && server.at == server.count && rc == RESULT_DONE) {
            return;
        }
    }
    fail_msg("it never catches up");
}

/* --- the log that most tests read --- */

static void write_changes(void)
{
    fake_reset();
    fake_keepalive(50, false);
    fake_begin(100);
    fake_relation(1, 'd', "orders", "*id name");
    fake_insert(1, "1 a");
    fake_relation(2, 'f', "other", "*x");
    fake_insert(2, "9");
    fake_insert(1, "2 b");
    fake_emit(true, "else", "not ours");
    fake_emit(false, "ev", "{}");
    fake_insert(1, "3 c");
    fake_commit(110);
    fake_pause();
    fake_begin(110); /* its commit record begins where the one before ended */
    fake_update(1, 'K', "1 -", "7 a");
    fake_delete(1, 'K', "2 -");
    fake_update(1, 'K', NULL, "3 d");
    fake_commit(130);
    fake_keepalive(140, false);
    fake_begin(150);
    fake_relation(3, 'f', "items", "*k *v");
    fake_truncate(2, 0);
    fake_truncate(1, 3);
    fake_emit(true, "ev",
              "{\"id\":\"m\",\"aggregatetype\":\"t\",\"aggregateid\":\"a\",\"type\":"
              "\"y\",\"payload\":[1]}");
    fake_commit(160);
    fake_begin(170); /* nothing of it is wanted */
    fake_insert(2, "10");
    fake_commit(180);
    fake_keepalive(200, false);
}

/* A source of table changes, at the beginning of a server that has written some. */
static void begin_changes(struct bench *b)
{
    write_changes();
    open_source(b, CDC_AS_CHANGES);
    must_start(b, SLICE_NULL);
}

static const char *const changes[] = {
    "0/64:1 7:0/64:1 c ->1 c.a", "0/64:3 7:0/64:3 c ->2 c.b",    "0/64:5 7:0/64:5 c ->3 c.c",
    "0/6E:1 7:0/6E:1 d 1>- d.",  "0/6E:1.1 7:0/6E:1.1 0 1>- d.", "0/6E:1.2 7:0/6E:1.2 c ->7 c.a",
    "0/6E:2 7:0/6E:2 d 2>- d.",  "0/6E:2.1 7:0/6E:2.1 0 2>- d.", "0/6E:3 7:0/6E:3 u ->3 u.d",
    "0/96:2 7:0/96:2 t ->- t.",  "0/96:2.1 7:0/96:2.1 t ->- t.", "0/96:3 m a y [1]",
};
enum { CHANGES = sizeof changes / sizeof *changes };

static void expect_from(const struct bench *b, size_t first)
{
    assert_int_equal(b->count, CHANGES - first);
    for (size_t i = 0; i < b->count; i++) {
        assert_string_equal(b->events[i], changes[first + i]);
    }
}

static void changes_come_in_order_each_with_its_id(void **state)
{
    (void)state;
    struct bench b;
    begin_changes(&b);
    assert_int_equal(server.started, 10);
    read_all(&b, 1000, 1 << 20);
    expect_from(&b, 0);
    close_source(&b);
}

static void it_does_not_matter_how_much_is_read_at_once(void **state)
{
    (void)state;
    struct bench b;
    write_changes();
    open_source(&b, CDC_AS_CHANGES);
    for (size_t max = 1; max < 8; max++) {
        must_start(&b, SLICE_NULL);
        read_all(&b, max, 1 << 20);
        expect_from(&b, 0);
        forget(&b);
        must_start(&b, SLICE_NULL);
        read_all(&b, 1000, max * 300);
        expect_from(&b, 0);
        forget(&b);
    }
    close_source(&b);
}

/* The heart of it: killed behind any event, it goes on with the next one. */
static void a_restart_goes_on_behind_the_cursor(void **state)
{
    (void)state;
    struct bench b, again;
    begin_changes(&b);
    read_all(&b, 1000, 1 << 20);
    for (size_t i = 0; i < CHANGES; i++) {
        for (size_t max = 1; max < 5; max++) {
            open_source(&again, CDC_AS_CHANGES);
            must_start(&again, buf_slice(&b.cursors[i]));
            read_all(&again, max, 1 << 20);
            expect_from(&again, i + 1);
            close_source(&again);
        }
    }
    close_source(&b);
}

/* The cursor of where it stands, taken after each read, is as good as an event's. */
static void a_restart_goes_on_from_where_it_stood(void **state)
{
    (void)state;
    struct bench b, again;
    struct error err;
    begin_changes(&b);
    for (size_t n = 0; n < 30; n++) {
        CLEANUP(buf_release) struct buf cursor = {0};
        source_cdc_postgres.cursor(b.source, NULL, SIZE_MAX, &cursor);
        size_t given = b.count, at = server.at;
        open_source(&again, CDC_AS_CHANGES);
        must_start(&again, buf_slice(&cursor));
        read_all(&again, 1000, 1 << 20);
        expect_from(&again, given);
        close_source(&again);
        server.at = at; /* the first one's connection is its own */
        server.started = 10;
        assert_int_not_equal(read_once(&b, 2, 1 << 20, &err), RESULT_ERROR);
    }
    expect_from(&b, 0);
    close_source(&b);
}

static void other_options_resend_the_transaction(void **state)
{
    (void)state;
    struct bench b, again;
    begin_changes(&b);
    read_all(&b, 1000, 1 << 20);
    open_source(&again, CDC_AS_CHANGES);
    source_cdc_postgres.close(again.source);
    again.conf.publication = TEXT("another");
    unsigned caps;
    struct error err;
    assert_int_equal(source_cdc_postgres.open(&again.conf, &again.env, &again.source, &caps, &err),
                     0);
    must_start(&again, buf_slice(&b.cursors[1]));
    read_all(&again, 1000, 1 << 20);
    expect_from(&again, 0);
    close_source(&again);
    close_source(&b);
}

/* --- transactions --- */

/* The same log with encode.transaction_metadata: beginnings and ends are counted, too. The last
 * transaction has no event, so nothing is said of it. */
static const struct {
    const char *event;
    uint64_t orders;
} numbered[] = {
    {"0/64:1 7:0/64:1 B ->- .", 0},
    {"0/64:2 7:0/64:2 c ->1 c.a", 101},
    {"0/64:4 7:0/64:4 c ->2 c.b", 202},
    {"0/64:6 7:0/64:6 c ->3 c.c", 303},
    {"0/64:7 7:0/64:7 E ->- .", 300},
    {"0/6E:1 7:0/6E:1 B ->- .", 0},
    {"0/6E:2 7:0/6E:2 d 1>- d.", 101},
    {"0/6E:2.1 7:0/6E:2.1 0 1>- d.", 0},
    {"0/6E:2.2 7:0/6E:2.2 c ->7 c.a", 202},
    {"0/6E:3 7:0/6E:3 d 2>- d.", 303},
    {"0/6E:3.1 7:0/6E:3.1 0 2>- d.", 0},
    {"0/6E:4 7:0/6E:4 u ->3 u.d", 404},
    {"0/6E:5 7:0/6E:5 E ->- .", 400},
    {"0/96:1 7:0/96:1 B ->- .", 0},
    {"0/96:3 7:0/96:3 t ->- t.", 101},
    {"0/96:3.1 7:0/96:3.1 t ->- t.", 201},
    {"0/96:4 m a y [1]", 0},
    {"0/96:5 7:0/96:5 E ->- .", 200},
};
enum { NUMBERED = sizeof numbered / sizeof *numbered };

static void expect_numbered(const struct bench *b, size_t first)
{
    assert_int_equal(b->count, NUMBERED - first);
    for (size_t i = 0; i < b->count; i++) {
        assert_string_equal(b->events[i], numbered[first + i].event);
        assert_int_equal(b->orders[i], numbered[first + i].orders);
    }
}

static void open_numbered(struct bench *b, struct slice cursor)
{
    struct error err;
    unsigned caps;
    open_source(b, CDC_AS_CHANGES);
    source_cdc_postgres.close(b->source);
    b->env.shape.transactions = true;
    assert_int_equal(source_cdc_postgres.open(&b->conf, &b->env, &b->source, &caps, &err), 0);
    must_start(b, cursor);
}

static void transactions_begin_and_end(void **state)
{
    (void)state;
    struct bench b;
    write_changes();
    for (size_t max = 1; max < 8; max++) {
        open_numbered(&b, SLICE_NULL);
        read_all(&b, max, 1 << 20);
        expect_numbered(&b, 0);
        close_source(&b);
    }
}

/* The numbers of changes, and the counts of the end, are those of the whole transaction. */
static void a_restart_within_a_transaction_counts_on(void **state)
{
    (void)state;
    struct bench b, again;
    write_changes();
    open_numbered(&b, SLICE_NULL);
    read_all(&b, 1000, 1 << 20);
    for (size_t i = 0; i < NUMBERED; i++) {
        open_numbered(&again, buf_slice(&b.cursors[i]));
        read_all(&again, 1 + i % 4, 1 << 20);
        expect_numbered(&again, i + 1);
        close_source(&again);
    }
    close_source(&b);
}

/* Ordinals were counted in another way, so the transaction comes again. */
static void with_transactions_the_options_differ(void **state)
{
    (void)state;
    struct bench b, again;
    begin_changes(&b);
    read_all(&b, 1000, 1 << 20);
    open_numbered(&again, buf_slice(&b.cursors[1]));
    read_all(&again, 1000, 1 << 20);
    expect_numbered(&again, 0);
    close_source(&again);
    close_source(&b);
}

static void heartbeats_of_our_own_are_events(void **state)
{
    (void)state;
    struct bench b;
    struct error err;
    unsigned caps;
    fake_reset();
    fake_begin(100);
    fake_emit(true, "commitrelay_heartbeat", "another_slot");
    fake_emit(true, "commitrelay_heartbeat", "commitrelay_my_pipe");
    fake_commit(110);
    open_source(&b, CDC_AS_CHANGES);
    must_start(&b, SLICE_NULL);
    read_all(&b, 1000, 1 << 20);
    assert_int_equal(b.count, 0); /* nobody has asked for them */
    source_cdc_postgres.close(b.source);
    b.env.shape.heartbeats = b.env.shape.transactions = true;
    assert_int_equal(source_cdc_postgres.open(&b.conf, &b.env, &b.source, &caps, &err), 0);
    must_start(&b, SLICE_NULL);
    read_all(&b, 1000, 1 << 20);
    assert_int_equal(b.count, 1); /* and they are in no transaction */
    assert_string_equal(b.events[0], "0/64:3 7:0/64:3 H ->- .");
    close_source(&b);
    fake_reset();
    open_source(&b, CDC_AS_CHANGES);
    source_cdc_postgres.close(b.source);
    b.env.shape.heartbeats = b.conf.streaming = true;
    b.conf.messages = (struct conf_list){0};
    assert_int_equal(source_cdc_postgres.open(&b.conf, &b.env, &b.source, &caps, &err),
                     RESULT_ERROR);
    assert_non_null(strstr(err.text, "encode.heartbeat_topic cannot be had with source.streaming"));
    forget(&b);
    batch_free(b.batch);
}

/* Opens it again, after the test has changed the configuration. */
static void reopen(struct bench *b)
{
    struct error err;
    unsigned caps;
    source_cdc_postgres.close(b->source);
    if (source_cdc_postgres.open(&b->conf, &b->env, &b->source, &caps, &err)) {
        fail_msg("%s", err.text);
    }
    must_start(b, SLICE_NULL);
}

static void tables_may_be_named_by_patterns(void **state)
{
    (void)state;
    static char *patterns[] = {TEXT("re:PUBLIC\\.ord.*"), TEXT("public.items")};
    static char *part[] = {TEXT("re:public\\.order"), TEXT("re:orders")};
    struct bench b;
    write_changes();
    open_source(&b, CDC_AS_CHANGES);
    b.conf.tables.items = patterns;
    reopen(&b);
    read_all(&b, 1000, 1 << 20);
    expect_from(&b, 0);
    forget(&b);
    b.conf.tables.items = part; /* neither is about the whole name */
    reopen(&b);
    read_all(&b, 1000, 1 << 20);
    assert_int_equal(b.count, 1); /* the message */
    close_source(&b);
}

static void a_pattern_that_is_none_is_refused(void **state)
{
    (void)state;
    static char *bad[] = {TEXT("re:public\\.(a")};
    struct bench b;
    struct error err;
    unsigned caps;
    void *source = NULL;
    write_changes();
    open_source(&b, CDC_AS_CHANGES);
    b.conf.tables = (struct conf_list){.items = bad, .count = 1};
    assert_int_equal(source_cdc_postgres.open(&b.conf, &b.env, &source, &caps, &err), RESULT_ERROR);
    assert_int_equal(err.class, ERROR_CONFIG);
    assert_non_null(strstr(err.text, "source.tables: `public\\.(a` is no regular expression"));
    close_source(&b);
}

/* Which update changes a key is decided by the configured key. */
static void a_configured_key_decides_what_a_key_change_is(void **state)
{
    (void)state;
    static const char *const name[] = {"name"};
    static const struct column_key keys[] = {{"public.orders", name, 1}};
    static const char *const want[] = {"0/64:1 7:0/64:1 u 1>2 u.a", "0/64:2 7:0/64:2 d 2>- d.a",
                                       "0/64:2.1 7:0/64:2.1 0 2>- d.a",
                                       "0/64:2.2 7:0/64:2.2 c ->2 c.b"};
    struct bench b;
    struct error err;
    fake_reset();
    fake_begin(100);
    fake_relation(1, 'f', "orders", "*id *name");
    fake_update(1, 'O', "1 a", "2 a");
    fake_update(1, 'O', "2 a", "2 b");
    fake_commit(110);
    open_source(&b, CDC_AS_CHANGES);
    assert_int_equal(column_rules_new(&(struct column_rules_conf){.keys = keys, .keys_count = 1},
                                      &b.env.shape.columns, &err),
                     RESULT_DONE);
    reopen(&b);
    read_all(&b, 1000, 1 << 20);
    assert_int_equal(b.count, 4);
    for (size_t i = 0; i < 4; i++) {
        assert_string_equal(b.events[i], want[i]);
    }
    close_source(&b);
    column_rules_free(b.env.shape.columns);
}

static void a_configured_key_that_deletes_would_not_tell_stops_it(void **state)
{
    (void)state;
    static const char *const name[] = {"name"};
    static const struct column_key keys[] = {{"public.orders", name, 1}};
    struct bench b;
    struct error err;
    write_changes();
    open_source(&b, CDC_AS_CHANGES);
    assert_int_equal(column_rules_new(&(struct column_rules_conf){.keys = keys, .keys_count = 1},
                                      &b.env.shape.columns, &err),
                     RESULT_DONE);
    reopen(&b);
    int rc = RESULT_DONE;
    for (size_t n = 0; n < 10 && rc != RESULT_ERROR; n++) {
        rc = read_once(&b, 1000, 1 << 20, &err);
    }
    assert_int_equal(rc, RESULT_ERROR);
    assert_int_equal(err.class, ERROR_CONFIG);
    assert_non_null(strstr(err.text, "name of public.orders is not part of the replica identity"));
    close_source(&b);
    column_rules_free(b.env.shape.columns);
}

/* --- what the server is told --- */

/* The connection beside the stream is asked, and answers. */
static void tend_twice(struct bench *b)
{
    struct error err;
    assert_int_equal(source_cdc_postgres.tend(b->source, &err), RESULT_DONE);
    assert_int_equal(source_cdc_postgres.tend(b->source, &err), RESULT_DONE);
    assert_int_equal(source_cdc_postgres.tend(b->source, &err), RESULT_DONE);
}

static void a_position_beyond_the_servers_end_is_not_believed(void **state)
{
    (void)state;
    struct bench b;
    struct error err;
    fake_reset();
    fake_keepalive(UINT64_C(0x1000000000), false); /* the server's end is 900 */
    open_source(&b, CDC_AS_CHANGES);
    must_start(&b, SLICE_NULL);
    assert_int_equal(read_once(&b, 10, 1000, &err), RESULT_DONE);
    assert_false(source_cdc_postgres.moved(b.source));
    int rc = RESULT_DONE;
    for (int i = 0; i < 3 && rc == RESULT_DONE; i++) {
        rc = source_cdc_postgres.tend(b.source, &err);
    }
    assert_int_equal(rc, RESULT_ERROR);
    assert_int_equal(err.class, ERROR_RETRY);
    assert_non_null(strstr(err.text, "it is not believed"));
    close_source(&b);
}

static void the_slot_follows_what_is_saved_and_nothing_else(void **state)
{
    (void)state;
    struct bench b;
    begin_changes(&b);
    tend_twice(&b); /* how far the server's WAL goes is known from here on */
    read_all(&b, 1000, 1 << 20);
    assert_int_equal(server.confirmed, 0);
    source_cdc_postgres.confirm(b.source, buf_slice(&b.cursors[2]));
    assert_int_equal(server.confirmed, 50); /* the transaction of 100 is not known to be whole */
    source_cdc_postgres.confirm(b.source, buf_slice(&b.cursors[3]));
    assert_int_equal(server.confirmed, 110);
    source_cdc_postgres.confirm(b.source, buf_slice(&b.cursors[CHANGES - 1]));
    assert_int_equal(server.confirmed, 140);
    /* With empty hands, where it stands counts. */
    assert_true(source_cdc_postgres.moved(b.source));
    assert_false(source_cdc_postgres.moved(b.source));
    CLEANUP(buf_release) struct buf cursor = {0};
    source_cdc_postgres.cursor(b.source, NULL, SIZE_MAX, &cursor);
    source_cdc_postgres.confirm(b.source, buf_slice(&cursor));
    assert_int_equal(server.confirmed, 200);
    close_source(&b);
}

static void a_server_that_asks_is_answered_at_once(void **state)
{
    (void)state;
    struct bench b;
    fake_reset();
    fake_keepalive(50, false);
    fake_pause();
    fake_keepalive(60, true);
    open_source(&b, CDC_AS_CHANGES);
    must_start(&b, SLICE_NULL);
    read_all(&b, 10, 1000);
    tend_twice(&b);
    server.confirmed_now = false;
    assert_true(source_cdc_postgres.moved(b.source));
    CLEANUP(buf_release) struct buf cursor = {0};
    source_cdc_postgres.cursor(b.source, NULL, SIZE_MAX, &cursor);
    source_cdc_postgres.confirm(b.source, buf_slice(&cursor));
    assert_int_equal(server.confirmed, 60);
    assert_true(server.confirmed_now);
    close_source(&b);
}

static void mere_keepalives_are_not_saved_each(void **state)
{
    (void)state;
    struct bench b;
    struct error err;
    fake_reset();
    fake_keepalive(50, false);
    fake_pause();
    fake_keepalive(60, false);
    open_source(&b, CDC_AS_CHANGES);
    must_start(&b, SLICE_NULL);
    assert_int_equal(read_once(&b, 10, 1000, &err), RESULT_DONE);
    tend_twice(&b);
    assert_true(source_cdc_postgres.moved(b.source));
    assert_int_equal(read_once(&b, 10, 1000, &err), RESULT_DONE);
    assert_false(source_cdc_postgres.moved(b.source));
    close_source(&b);
}

static void idle_means_confirmed_up_to_the_servers_end(void **state)
{
    (void)state;
    struct bench b;
    struct error err;
    bool idle = true;
    fake_reset();
    fake_keepalive(899, false);
    fake_pause();
    fake_keepalive(900, false);
    open_source(&b, CDC_AS_CHANGES);
    must_start(&b, SLICE_NULL);
    assert_int_equal(read_once(&b, 10, 1000, &err), RESULT_DONE);
    assert_int_equal(source_cdc_postgres.idle(b.source, &idle, &err), RESULT_DONE);
    assert_false(idle);
    for (int i = 0; i < 4; i++) {
        assert_int_equal(source_cdc_postgres.tend(b.source, &err), RESULT_DONE);
    }
    CLEANUP(buf_release) struct buf cursor = {0};
    assert_true(source_cdc_postgres.moved(b.source));
    source_cdc_postgres.cursor(b.source, NULL, SIZE_MAX, &cursor);
    source_cdc_postgres.confirm(b.source, buf_slice(&cursor));
    assert_int_equal(source_cdc_postgres.idle(b.source, &idle, &err), RESULT_DONE);
    assert_false(idle); /* 899 */
    assert_int_equal(read_once(&b, 10, 1000, &err), RESULT_DONE);
    assert_true(source_cdc_postgres.moved(b.source));
    buf_clear(&cursor);
    source_cdc_postgres.cursor(b.source, NULL, SIZE_MAX, &cursor);
    source_cdc_postgres.confirm(b.source, buf_slice(&cursor));
    assert_int_equal(source_cdc_postgres.idle(b.source, &idle, &err), RESULT_DONE);
    assert_true(idle);
    close_source(&b);
}

/* --- outbox --- */

#define OUTBOX_COLUMNS "*id aggregatetype aggregateid type payload extra"

static void outbox_rows_are_events_and_their_removal_is_none(void **state)
{
    (void)state;
    struct bench b;
    fake_reset();
    fake_begin(100);
    fake_relation(1, 'd', "outbox", OUTBOX_COLUMNS);
    fake_relation(2, 'd', "other", "*id");
    fake_insert(1, "u1 order o1 made {} -");
    fake_insert(2, "5");
    fake_update(1, 'K', NULL, "u1 order o1 made {} x");
    fake_delete(1, 'K', "u1 - - - - -");
    fake_truncate(1, 0);
    fake_insert(1, "u2 order o2 made - -");
    fake_insert(1, "- order o3 made {} -");
    fake_insert(1, " order o4 made {} -");
    fake_commit(110);
    open_source(&b, CDC_AS_OUTBOX);
    must_start(&b, SLICE_NULL);
    read_all(&b, 1000, 1 << 20);
    assert_int_equal(b.count, 4);
    assert_string_equal(b.events[0], "0/64:1 u1 o1 made {}");
    assert_string_equal(b.events[1], "0/64:6 u2 o2 made ");
    assert_string_equal(b.events[2], "0/64:7 7:0/64:7 o3 made {}the id column is null or empty; "
                                     "consumers could not recognise a repetition");
    assert_string_equal(b.events[3], "0/64:8 7:0/64:8 o4 made {}the id column is null or empty; "
                                     "consumers could not recognise a repetition");
    close_source(&b);
}

/* encode.envelope: a column as text, and another one as JSON. */
static void columns_of_an_outbox_become_json(void **state)
{
    (void)state;
    static const char *const columns[] = {"type", "type"};
    const struct encode_conf encode = {0};
    struct bench b;
    struct error err;
    unsigned caps;
    fake_reset();
    fake_begin(100);
    fake_relation(1, 'd', "outbox", OUTBOX_COLUMNS);
    fake_insert(1, "u1 order o1 made {} -");
    fake_commit(110);
    open_source(&b, CDC_AS_OUTBOX);
    source_cdc_postgres.close(b.source);
    b.env.columns = columns;
    b.env.columns_count = 2;
    b.env.json_count = 1;
    b.env.encode = &encode;
    assert_int_equal(source_cdc_postgres.open(&b.conf, &b.env, &b.source, &caps, &err), 0);
    must_start(&b, SLICE_NULL);
    assert_int_equal(read_once(&b, 10, 10000, &err), RESULT_DONE);
    assert_int_equal(b.batch->count, 1);
    assert_true(slice_equal_str(b.batch->events[0].columns[0], "made"));
    assert_true(slice_equal_str(b.batch->events[0].columns[1], "\"made\""));
    close_source(&b);
}

static void a_mapped_column_that_goes_stops_the_source_where_it_is(void **state)
{
    (void)state;
    struct bench b;
    struct error err;
    fake_reset();
    fake_begin(100);
    fake_relation(1, 'd', "outbox", OUTBOX_COLUMNS);
    fake_insert(1, "u1 order o1 made {} -");
    fake_commit(110);
    fake_begin(120);
    fake_relation(1, 'd', "outbox", "*id aggregatetype aggregateid type body");
    fake_delete(1, 'K', "u1 - - - -");
    fake_insert(1, "u2 order o1 made {}");
    fake_commit(130);
    open_source(&b, CDC_AS_OUTBOX);
    must_start(&b, SLICE_NULL);
    assert_int_equal(read_once(&b, 10, 10000, &err), RESULT_DONE); /* what came before is given */
    assert_int_equal(b.count, 1);
    /* Once that is delivered hands are empty, but the row that failed was not given. */
    assert_false(source_cdc_postgres.moved(b.source));
    assert_int_equal(read_once(&b, 10, 10000, &err), RESULT_ERROR);
    assert_int_equal(err.class, ERROR_CONFIG);
    assert_non_null(strstr(err.text, "payload"));
    must_start(&b, buf_slice(&b.cursors[0]));
    assert_int_equal(read_once(&b, 10, 10000, &err), RESULT_ERROR);
    assert_int_equal(err.class, ERROR_CONFIG);
    close_source(&b);
}

static void bodies_of_messages(void **state)
{
    (void)state;
    static const struct {
        const char *body, *event;
    } cases[] = {
        {"{\"id\":\"m\\u00e9\",\"aggregatetype\":\"t\",\"aggregateid\":7,\"type\":\"y\",\"payload\""
         ":\"p\\n\",\"headers\":{\"a\":1}}",
         "0/64:1 mé 7 y \"p\\n\""},
        {"{\"id\":\"m\",\"aggregatetype\":\"t\",\"aggregateid\":\"a\",\"type\":\"y\",\"payload\":"
         "null,\"headers\":null}",
         "0/64:1 m a y null"},
        {"{\"id\":\"m\"", "0/64:1 7:0/64:1   {\"id\":\"m\"the logical message's body: no JSON "
                          "object, at byte 9"},
        {"[]", "0/64:1 7:0/64:1   []the logical message's body: no JSON object, at byte 0"},
        {"{\"id\":\"m\",\"id\":\"n\"}",
         "0/64:1 7:0/64:1   {\"id\":\"m\",\"id\":\"n\"}the logical message's body: id is there "
         "twice"},
        {"{\"aggregatetype\":\"t\"}",
         "0/64:1 7:0/64:1   {\"aggregatetype\":\"t\"}the logical message's body: id is missing"},
        {"{\"id\":\"\",\"aggregatetype\":\"t\",\"aggregateid\":\"a\",\"type\":\"y\"}",
         "0/64:1 7:0/64:1   "
         "{\"id\":\"\",\"aggregatetype\":\"t\",\"aggregateid\":\"a\",\"type\":\"y\"}the logical "
         "message's body: id is empty; consumers could not recognise a repetition"},
        {"{\"id\":null}",
         "0/64:1 7:0/64:1   {\"id\":null}the logical message's body: id must be a string"},
        {"{\"id\":\"\\u0000\",\"aggregatetype\":\"t\"}",
         "0/64:1 7:0/64:1   {\"id\":\"\\u0000\",\"aggregatetype\":\"t\"}the logical message's "
         "body: id is no text (half a surrogate pair, or \\u0000)"},
        {"{\"id\":\"m\",\"aggregatetype\":\"t\",\"aggregateid\":\"a\",\"type\":\"y\"}",
         "0/64:1 7:0/64:1   "
         "{\"id\":\"m\",\"aggregatetype\":\"t\",\"aggregateid\":\"a\",\"type\":\"y\"}the logical "
         "message's body: payload is missing"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct bench b;
        fake_reset();
        fake_begin(100);
        fake_emit(false, "ev", cases[i].body);
        fake_emit(true, "ev", cases[i].body);
        fake_emit(true, "eve", cases[i].body);
        fake_commit(110);
        open_source(&b, CDC_AS_OUTBOX);
        must_start(&b, SLICE_NULL);
        read_all(&b, 1000, 1 << 20);
        assert_int_equal(b.count, 1);
        assert_string_equal(b.events[0], cases[i].event);
        close_source(&b);
    }
}

/* --- what goes wrong --- */

static void nonsense_is_asked_for_again_once(void **state)
{
    (void)state;
    struct bench b;
    struct error err;
    fake_reset();
    fake_begin(100);
    fake_relation(1, 'd', "orders", "*id name");
    fake_insert(1, "1 a");
    fake_insert(5, "1 a"); /* never described */
    fake_commit(110);
    open_source(&b, CDC_AS_CHANGES);
    must_start(&b, SLICE_NULL);
    assert_int_equal(read_once(&b, 10, 10000, &err), RESULT_DONE);
    assert_int_equal(b.count, 1);
    assert_int_equal(read_once(&b, 10, 10000, &err), RESULT_ERROR);
    assert_int_equal(err.class, ERROR_RETRY);
    must_start(&b, buf_slice(&b.cursors[0]));
    assert_int_equal(read_once(&b, 10, 10000, &err), RESULT_ERROR);
    assert_int_equal(err.class, ERROR_FATAL);
    assert_int_equal(err.exit_code, EXIT_CODE_BUG);
    assert_non_null(strstr(err.text, "0/64"));
    close_source(&b);
}

/* Whatever class the error has: the place is told, and after three times there an operator. */
static void what_the_server_cannot_send_waits_for_an_operator(void **state)
{
    (void)state;
    struct bench b;
    struct error err;
    fake_reset();
    fake_begin(100);
    fake_relation(1, 'd', "orders", "*id name");
    fake_insert(1, "1 a");
    fake_refuse();
    open_source(&b, CDC_AS_CHANGES);
    must_start(&b, SLICE_NULL);
    assert_int_equal(read_once(&b, 10, 10000, &err), RESULT_DONE);
    assert_int_equal(b.count, 1);
    for (unsigned n = 1; n <= 3; n++) {
        assert_false(source_cdc_postgres.passed_start(b.source));
        assert_int_equal(read_once(&b, 10, 10000, &err), RESULT_ERROR);
        assert_int_equal(err.class, n < 3 ? ERROR_RETRY : ERROR_CONFIG);
        assert_int_equal(err.exit_code, EXIT_CODE_GAVE_UP);
        assert_non_null(strstr(err.text, "behind change 1 of the transaction committed at 0/64"));
        assert_non_null(strstr(err.text, "invalid memory alloc request size"));
        must_start(&b, buf_slice(&b.cursors[0]));
    }
    assert_non_null(strstr(err.text, "public.orders"));
    assert_non_null(strstr(err.text, "`position set 0/65 --yes`"));
    close_source(&b);
}

static void another_fault_is_another_matter(void **state)
{
    (void)state;
    struct bench b;
    struct error err;
    fake_reset();
    fake_raw("?", 1);
    open_source(&b, CDC_AS_CHANGES);
    must_start(&b, SLICE_NULL);
    assert_int_equal(read_once(&b, 10, 10000, &err), RESULT_ERROR);
    assert_int_equal(err.class, ERROR_RETRY);
    fake_reset();
    fake_commit(110);
    must_start(&b, SLICE_NULL);
    assert_int_equal(read_once(&b, 10, 10000, &err), RESULT_ERROR);
    assert_int_equal(err.class, ERROR_RETRY);
    close_source(&b);
}

static void a_row_of_other_columns_is_nonsense(void **state)
{
    (void)state;
    struct bench b;
    struct error err;
    fake_reset();
    fake_begin(100);
    fake_relation(1, 'd', "orders", "*id name");
    fake_insert(1, "1 a b");
    fake_commit(110);
    open_source(&b, CDC_AS_CHANGES);
    must_start(&b, SLICE_NULL);
    assert_int_equal(read_once(&b, 10, 10000, &err), RESULT_ERROR);
    assert_int_equal(err.class, ERROR_RETRY);
    close_source(&b);
}

static void a_new_table_waits_for_the_catalogs(void **state)
{
    (void)state;
    struct bench b;
    struct error err;
    write_changes();
    server.unknown = true;
    server.unknown_asks = 3;
    open_source(&b, CDC_AS_CHANGES);
    must_start(&b, SLICE_NULL);
    assert_int_equal(read_once(&b, 10, 10000, &err), RESULT_AGAIN);
    /* Their answer is taken also while nothing is read. */
    while (server.unknown_asks > 0) {
        unsigned left = server.unknown_asks;
        assert_int_equal(source_cdc_postgres.tend(b.source, &err), RESULT_DONE);
        assert_int_equal(server.unknown_asks, left - 1);
    }
    read_all(&b, 1000, 1 << 20);
    expect_from(&b, 0);
    close_source(&b);
}

/* What was read before is handed out first, and meanwhile the connection of the failed query, whose
 * end has not come yet, is not asked anything else. */
static void a_failure_of_the_catalogs_is_told_behind_what_was_read(void **state)
{
    (void)state;
    struct bench b;
    struct error err;
    fake_reset();
    fake_begin(100);
    fake_emit(true, "ev", "before");
    fake_commit(110);
    fake_begin(120);
    fake_relation(1, 'd', "orders", "*id name");
    fake_insert(1, "1 a");
    fake_commit(130);
    server.unknown = server.unknown_fails = true;
    open_source(&b, CDC_AS_CHANGES);
    must_start(&b, SLICE_NULL);
    assert_int_equal(read_once(&b, 10, 10000, &err), RESULT_DONE);
    assert_true(b.count > 0);
    for (int i = 0; i < 5; i++) {
        assert_int_equal(source_cdc_postgres.tend(b.source, &err), RESULT_DONE);
    }
    assert_int_equal(read_once(&b, 10, 10000, &err), RESULT_ERROR);
    assert_int_equal(err.class, ERROR_RETRY);
    close_source(&b);
}

/* What is passed over takes memory until the read is over, so a read is over in time. */
static void rows_nobody_wants_do_not_pile_up(void **state)
{
    (void)state;
    enum { LARGE = 1 << 20, ROWS = 20 };
    struct bench b;
    struct error err;
    struct buf row = {0};
    buf_add(&row, "I\0\0\0\1N\0\2t\0\0\0\0011t\0\x10\0\0", 19);
    for (size_t i = 0; i < LARGE; i++) {
        buf_add_char(&row, 'x');
    }
    fake_reset();
    fake_begin(100);
    fake_relation(1, 'd', "orders", "*id name");
    for (size_t i = 0; i < ROWS; i++) {
        fake_raw(row.data, row.len);
    }
    fake_commit(110);
    open_source(&b, CDC_AS_CHANGES);
    b.env.shape.skip['c'] = true;
    must_start(&b, SLICE_NULL);
    assert_int_equal(read_once(&b, 1000, 1 << 20, &err), RESULT_AGAIN);
    assert_in_range(server.at, 5, ROWS - 5);
    read_all(&b, 1000, 1 << 20);
    assert_int_equal(b.count, 0);
    close_source(&b);
    buf_release(&row);
}

static void a_lost_publication_or_side_connection_is_told(void **state)
{
    (void)state;
    struct bench b;
    struct error err;
    begin_changes(&b);
    assert_int_equal(source_cdc_postgres.tend(b.source, &err), RESULT_DONE);
    server.publication_gone = true;
    assert_int_equal(source_cdc_postgres.tend(b.source, &err), RESULT_ERROR);
    assert_int_equal(err.class, ERROR_CONFIG);
    server.publication_gone = false;
    server.table_gone = true;
    must_start(&b, SLICE_NULL);
    assert_int_equal(source_cdc_postgres.tend(b.source, &err), RESULT_DONE);
    assert_int_equal(source_cdc_postgres.tend(b.source, &err), RESULT_DONE);
    assert_int_equal(source_cdc_postgres.tend(b.source, &err), RESULT_ERROR);
    assert_int_equal(err.class, ERROR_CONFIG);
    server.table_gone = false;
    must_start(&b, SLICE_NULL);
    assert_int_equal(source_cdc_postgres.tend(b.source, &err), RESULT_DONE);
    assert_int_equal(source_cdc_postgres.tend(b.source, &err), RESULT_DONE);
    server.side_dead = true;
    assert_int_equal(source_cdc_postgres.tend(b.source, &err), RESULT_ERROR);
    assert_int_equal(err.class, ERROR_RETRY);
    /* Nothing is read on a connection that is gone. */
    assert_int_equal(read_once(&b, 10, 10000, &err), RESULT_AGAIN);
    assert_int_equal(source_cdc_postgres.tend(b.source, &err), RESULT_ERROR);
    close_source(&b);
}

/* What a promoted standby sends is of its new timeline, and soon no stored cursor says otherwise.
 */
static void a_promotion_under_way_is_noticed(void **state)
{
    (void)state;
    struct bench b;
    struct error err;
    CLEANUP(buf_release) struct buf cursor = {0};
    begin_changes(&b);
    read_all(&b, 1000, 1 << 20);
    assert_int_equal(source_cdc_postgres.tend(b.source, &err), RESULT_DONE);
    assert_int_equal(source_cdc_postgres.tend(b.source, &err), RESULT_DONE);
    assert_true(source_cdc_postgres.moved(b.source));
    assert_false(source_cdc_postgres.moved(b.source));
    must_start(&b, buf_slice(&b.cursors[0]));
    server.timeline = 2;
    assert_int_equal(source_cdc_postgres.tend(b.source, &err), RESULT_DONE);
    assert_int_equal(source_cdc_postgres.tend(b.source, &err), RESULT_DONE);
    assert_true(source_cdc_postgres.moved(b.source));
    source_cdc_postgres.cursor(b.source, NULL, SIZE_MAX, &cursor);
    assert_memory_equal(buf_str(&cursor), "c1 7 2 ", 7);
    close_source(&b);
}

static void positions_are_cursors(void **state)
{
    (void)state;
    struct bench b, again;
    struct error err;
    static const struct {
        const char *text;
        size_t first;
    } cases[] = {{"0/64:1", 1}, {"0/64:4", 2}, {"0/6E:1", 4}, {"0/6E:1.1", 5},
                 {"0/6E", 3},   {"0/6E:0", 3}, {"0/64", 0},   {"0/A", 0}};
    write_changes();
    open_source(&b, CDC_AS_CHANGES);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        CLEANUP(buf_release) struct buf cursor = {0};
        assert_int_equal(source_cdc_postgres.position(b.source, cases[i].text, &cursor, &err), 0);
        open_source(&again, CDC_AS_CHANGES);
        must_start(&again, buf_slice(&cursor));
        read_all(&again, 1000, 1 << 20);
        expect_from(&again, cases[i].first);
        close_source(&again);
    }
    CLEANUP(buf_release) struct buf cursor = {0};
    assert_int_equal(source_cdc_postgres.position(b.source, "F/0", &cursor, &err), RESULT_ERROR);
    assert_non_null(strstr(err.text, "ahead"));
    assert_int_equal(source_cdc_postgres.position(b.source, "12", &cursor, &err), RESULT_ERROR);
    assert_int_equal(source_cdc_postgres.position(b.source, "0/9", &cursor, &err), RESULT_ERROR);
    assert_non_null(strstr(err.text, "the first position is 0/A"));
    server.slot_gone = true;
    assert_int_equal(source_cdc_postgres.position(b.source, "now", &cursor, &err), RESULT_ERROR);
    assert_non_null(strstr(err.text, "pg_create_logical_replication_slot"));
    close_source(&b);
}

static void a_cursor_is_described_as_its_last_event(void **state)
{
    (void)state;
    struct bench b;
    begin_changes(&b);
    read_all(&b, 1000, 1 << 20);
    static const char *const described[] = {"0/64:1", "0/64:3",   "0/64:5",
                                            "0/6E:1", "0/6E:1.1", "0/6E:1"};
    for (size_t i = 0; i < sizeof described / sizeof *described; i++) {
        CLEANUP(buf_release) struct buf text = {0};
        source_cdc_postgres.describe(buf_slice(&b.cursors[i]), &text);
        assert_string_equal(buf_str(&text), described[i]);
    }
    close_source(&b);
}

/* `verify` brings the events of a row into their order by the ids alone. */
static void an_id_says_when_it_happened(void **state)
{
    (void)state;
    static const char *const in_order[] = {"8:0/FFFF:1", /* another cluster, before this one */
                                           "7:0/64:public.orders:1",
                                           "7:0/64:1",
                                           "7:0/64:9",
                                           "7:0/64:10",
                                           "7:0/64:10.1",
                                           "7:0/64:10.2",
                                           "7:0/100:1"};
    static const char *const foreign[] = {"",        "7",        "7:0/64",    "x:0/64:1", "7:64:1",
                                          "7:0/64:", "7:0/64:x", "7:0/64:1.", "phantom"};
    char before[SOURCE_WHEN_SIZE] = "", when[SOURCE_WHEN_SIZE];
    struct bench b;
    begin_changes(&b);
    assert_int_equal(source_cdc_postgres.when(b.source, SLICE_LITERAL("m"), when),
                     SOURCE_NO_CHANGE); /* it may be that of a message */
    b.conf.messages.count = 0;
    for (size_t i = 0; i < sizeof in_order / sizeof *in_order; i++) {
        assert_int_not_equal(source_cdc_postgres.when(b.source, slice_from(in_order[i]), when),
                             SOURCE_NOT_OURS);
        assert_true(strcmp(when, before) > 0);
        memcpy(before, when, sizeof before);
    }
    for (size_t i = 0; i < sizeof foreign / sizeof *foreign; i++) {
        assert_int_equal(source_cdc_postgres.when(b.source, slice_from(foreign[i]), when),
                         SOURCE_NOT_OURS);
    }
    /* The slot of the fake begins at 10; what commits from there on is not in its snapshot. */
    assert_int_equal(source_cdc_postgres.when(b.source, SLICE_LITERAL("7:0/9:3"), when),
                     SOURCE_BEFORE);
    assert_int_equal(source_cdc_postgres.when(b.source, SLICE_LITERAL("8:0/FFFF:3"), when),
                     SOURCE_BEFORE);
    close_source(&b);
}

static int clean(void **state)
{
    (void)state;
    fake_reset();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(changes_come_in_order_each_with_its_id),
        cmocka_unit_test(it_does_not_matter_how_much_is_read_at_once),
        cmocka_unit_test(a_restart_goes_on_behind_the_cursor),
        cmocka_unit_test(a_restart_goes_on_from_where_it_stood),
        cmocka_unit_test(other_options_resend_the_transaction),
        cmocka_unit_test(transactions_begin_and_end),
        cmocka_unit_test(a_restart_within_a_transaction_counts_on),
        cmocka_unit_test(with_transactions_the_options_differ),
        cmocka_unit_test(heartbeats_of_our_own_are_events),
        cmocka_unit_test(tables_may_be_named_by_patterns),
        cmocka_unit_test(a_pattern_that_is_none_is_refused),
        cmocka_unit_test(a_configured_key_decides_what_a_key_change_is),
        cmocka_unit_test(a_configured_key_that_deletes_would_not_tell_stops_it),
        cmocka_unit_test(a_position_beyond_the_servers_end_is_not_believed),
        cmocka_unit_test(the_slot_follows_what_is_saved_and_nothing_else),
        cmocka_unit_test(a_server_that_asks_is_answered_at_once),
        cmocka_unit_test(mere_keepalives_are_not_saved_each),
        cmocka_unit_test(idle_means_confirmed_up_to_the_servers_end),
        cmocka_unit_test(outbox_rows_are_events_and_their_removal_is_none),
        cmocka_unit_test(columns_of_an_outbox_become_json),
        cmocka_unit_test(a_mapped_column_that_goes_stops_the_source_where_it_is),
        cmocka_unit_test(bodies_of_messages),
        cmocka_unit_test(nonsense_is_asked_for_again_once),
        cmocka_unit_test(what_the_server_cannot_send_waits_for_an_operator),
        cmocka_unit_test(another_fault_is_another_matter),
        cmocka_unit_test(a_row_of_other_columns_is_nonsense),
        cmocka_unit_test(a_new_table_waits_for_the_catalogs),
        cmocka_unit_test(a_failure_of_the_catalogs_is_told_behind_what_was_read),
        cmocka_unit_test(rows_nobody_wants_do_not_pile_up),
        cmocka_unit_test(a_lost_publication_or_side_connection_is_told),
        cmocka_unit_test(a_promotion_under_way_is_noticed),
        cmocka_unit_test(positions_are_cursors),
        cmocka_unit_test(a_cursor_is_described_as_its_last_event),
        cmocka_unit_test(an_id_says_when_it_happened),
    };
    return cmocka_run_group_tests(tests, NULL, clean);
}
