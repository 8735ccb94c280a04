/* The source outbox_postgres before a server that follows a script. Wherever that fails, no row is
 * given that the answer does not hold whole, and none is passed over; and while rows are handed
 * out, the next ones are asked for already. */
#include "unit.h"

#include <string.h>

#include "contract/source.h"
#include "fake_libpq.h"
#include "message/encode.h"
#include "plugin_conf.h"
#include "source/outbox_postgres/cursor.h"

extern const struct source_ops source_outbox_postgres;
static const struct source_ops *const ops = &source_outbox_postgres;

/* Name, type, format, default, not null, may select, may update, unique, indexed, indexed with seq,
 * category, length, oid, typmod, kind. */
#define COLUMN(name, type, category) \
    name, type, type, "", "t", "t", "t", "t", "t", "t", category, "-1", "25", "-1", "b"
static const char *const columns[] = {COLUMN("id", "uuid", "U"),
                                      COLUMN("aggregatetype", "text", "S"),
                                      COLUMN("aggregateid", "text", "S"),
                                      COLUMN("type", "text", "S"),
                                      COLUMN("payload", "jsonb", "U"),
                                      COLUMN("headers", "jsonb", "U"),
                                      COLUMN("created_at", "timestamptz", "D"),
                                      COLUMN("seq", "int8", "N"),
                                      COLUMN("xid", "xid8", "U")};
static const char *const relation[] = {"16385", "r", "relay", "f", "t", "f", ""};
static const char *const no[] = {"f"};
static const char *const snapshot[] = {"30:30:"};
enum { COLUMN_FACTS = 15, COLUMN_COUNT = sizeof columns / sizeof *columns / COLUMN_FACTS };

static const char columns_sql[] = "format_type(a.atttypid, a.atttypmod)";

/* What a server answers to a start that goes well. */
#define WELL                                                                                     \
    {.when = "to_regclass($1)", .columns = 7, .rows = 1, .values = relation},                    \
        {.when = columns_sql, .columns = COLUMN_FACTS, .rows = COLUMN_COUNT, .values = columns}, \
        {.when = "pg_snapshot_xmax(pg_current_snapshot()))",                                     \
         .columns = 1,                                                                           \
         .rows = 1,                                                                              \
         .values = no},                                                                          \
    {                                                                                            \
        .when = "select pg_current_snapshot()", .columns = 1, .rows = 1, .values = snapshot      \
    }

/* A page's row (order, id, type, key, type, payload, headers, time, size, due), then the window's
 * s2, highest seq and whether there are late rows. */
#define PAGE_ROW(seq, id) \
    seq, id, "order", "k", "Made", "{}", NULL, "2026-01-01 00:00:00+00", NULL, NULL
#define ROW(seq, id) PAGE_ROW(seq, id), "20:20:", "2", "f"
static const char *const two_rows[] = {ROW("1", "a"), ROW("2", "b")};
enum { PAGE_COLUMNS = 13, BARE_COLUMNS = 10 /* without the window's */ };
static const char window_sql[] = "execute: with w as materialized";
static const char page_sql[] = "execute: select c0, c1";

static const char *const no_snapshot[] = {ROW("1", "a")};

struct fixture {
    void *conf, *memory, *source;
    struct source_env env;
    struct batch *batch;
};

static void set_up_mode(struct fixture *f, const char *mode, int64_t batch_size)
{
    struct error err;
    unsigned caps;
    *f = (struct fixture){.env = {.pipeline = "p", .stop_fd = -1}};
    f->conf = plugin_conf_new(ops->keys, ops->conf_size, &f->memory);
    plugin_conf_text(ops->keys, f->conf, "url", "host=script");
    plugin_conf_text(ops->keys, f->conf, "mode", mode);
    plugin_conf_number(ops->keys, f->conf, "batch_size", batch_size);
    f->batch = batch_new();
    assert_int_equal(ops->open(f->conf, &f->env, &f->source, &caps, &err), RESULT_DONE);
}

static void set_up(struct fixture *f)
{
    set_up_mode(f, "position", 1000);
}

static void tear_down(struct fixture *f)
{
    ops->close(f->source);
    batch_free(f->batch);
    plugin_conf_free(f->conf, f->memory);
    assert_int_equal(fake_libpq_open(), 0);
}

static void start(struct fixture *f)
{
    struct error err;
    if (ops->start(f->source, SLICE_NULL, 1, &err) != RESULT_DONE) {
        fail_msg("start: %s", err.text);
    }
}

static int read_rows(struct fixture *f, struct error *err)
{
    batch_reset(f->batch);
    return ops->read(f->source, f->batch, 100, 1000000, err);
}

static void assert_two_rows(const struct fixture *f)
{
    assert_int_equal(f->batch->count, 2);
    assert_true(slice_equal_str(f->batch->events[0].id, "a"));
    assert_true(slice_equal_str(f->batch->events[1].position, "2"));
}

static void rows_become_events(void **state)
{
    (void)state;
    const struct fake_answer script[] = {
        {.when = window_sql, .columns = PAGE_COLUMNS, .rows = 2, .values = two_rows}, WELL};
    fake_libpq_script(script, sizeof script / sizeof *script);
    struct fixture f;
    struct error err;
    set_up(&f);
    start(&f);
    assert_int_equal(read_rows(&f, &err), RESULT_DONE);
    assert_two_rows(&f);
    tear_down(&f);
}

static void payloads_are_of_their_column_s_kind(void **state)
{
    (void)state;
    enum { PAYLOAD = 4 /* in `columns` */, VALUE = 5 /* in a row */, TYPE = 1, FORMAT = 2 };
    static const struct {
        const char *type, *value;
        enum payload_kind kind;
    } cases[] = {{"jsonb", "{}", PAYLOAD_JSON},
                 {"json", "{}", PAYLOAD_JSON},
                 {"bytea", "\\x6162", PAYLOAD_BYTES},
                 {"text", "{}", PAYLOAD_TEXT}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const char *of[COLUMN_COUNT * COLUMN_FACTS], *row[] = {ROW("1", "a")};
        memcpy(of, columns, sizeof of);
        of[PAYLOAD * COLUMN_FACTS + TYPE] = of[PAYLOAD * COLUMN_FACTS + FORMAT] = cases[i].type;
        row[VALUE] = cases[i].value;
        const struct fake_answer script[] = {
            {.when = window_sql, .columns = PAGE_COLUMNS, .rows = 1, .values = row},
            {.when = columns_sql, .columns = COLUMN_FACTS, .rows = COLUMN_COUNT, .values = of},
            WELL};
        fake_libpq_script(script, sizeof script / sizeof *script);
        struct fixture f;
        struct error err;
        set_up(&f);
        start(&f);
        assert_int_equal(read_rows(&f, &err), RESULT_DONE);
        assert_int_equal(f.batch->count, 1);
        assert_int_equal(f.batch->events[0].payload_kind, cases[i].kind);
        tear_down(&f);
    }
}

/* encode.envelope: a column as text, and again as JSON of its type. */
static void further_columns_may_be_json(void **state)
{
    (void)state;
    enum { SEQ = 7, OID = 12, KIND = 14, CATEGORY = 10, WITH_FURTHER = PAGE_COLUMNS + 3 };
    static const char *const names[] = {"seq", "seq", "type"};
    static const struct {
        const char *oid, *kind, *category, *value, *want; /* want NULL: poison */
    } cases[] = {{"20", "b", "N", "1", "1"},
                 {"25", "b", "S", "a\"b", "\"a\\\"b\""},
                 {"20000", "e", "E", "ok", "\"ok\""},
                 {"20", "b", "N", NULL, "null"},
                 {"20", "b", "N", "one", NULL},
                 {"1016", "b", "A", "{1}", ""}, /* "": refused at the start */
                 {"5069", "b", "U", "1", ""}};
    const struct encode_conf encode = {0};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const char *of[COLUMN_COUNT * COLUMN_FACTS];
        const char *row[] = {
            PAGE_ROW("1", "a"), cases[i].value, cases[i].value, "Made", "20:20:", "2", "f"};
        memcpy(of, columns, sizeof of);
        of[SEQ * COLUMN_FACTS + OID] = cases[i].oid;
        of[SEQ * COLUMN_FACTS + KIND] = cases[i].kind;
        of[SEQ * COLUMN_FACTS + CATEGORY] = cases[i].category;
        const struct fake_answer script[] = {
            {.when = window_sql, .columns = WITH_FURTHER, .rows = 1, .values = row},
            {.when = columns_sql, .columns = COLUMN_FACTS, .rows = COLUMN_COUNT, .values = of},
            WELL};
        fake_libpq_script(script, sizeof script / sizeof *script);
        struct fixture f;
        struct error err;
        set_up(&f);
        f.env.columns = names;
        f.env.columns_count = 3;
        f.env.json_count = 2;
        f.env.encode = &encode;
        if (cases[i].want && !*cases[i].want) {
            assert_int_equal(ops->start(f.source, SLICE_NULL, 1, &err), RESULT_ERROR);
            assert_non_null(strstr(err.text, "of a type that encode.envelope cannot write"));
            tear_down(&f);
            continue;
        }
        start(&f);
        assert_int_equal(read_rows(&f, &err), RESULT_DONE);
        assert_int_equal(f.batch->count, 1);
        const struct event *e = &f.batch->events[0];
        if (cases[i].want) {
            assert_null(e->poison);
            assert_true(slice_equal_str(e->columns[1], cases[i].want));
        } else {
            assert_non_null(strstr(e->poison, "column seq has a value that is not one of type"));
        }
        assert_true(slice_is_null(e->columns[0]) == !cases[i].value);
        assert_true(slice_equal_str(e->columns[2], "\"Made\""));
        tear_down(&f);
    }
}

/* Whatever an answer dies of, the cursor says what it said before, and after a new start the rows
 * come. */
static void an_answer_that_fails_passes_no_row(void **state)
{
    (void)state;
    static const struct {
        const char *sqlstate;
        bool lost;
    } ways[] = {{"57P01", false}, {"57014", false}, {NULL, true}};
    for (size_t w = 0; w < sizeof ways / sizeof *ways; w++) {
        const struct fake_answer script[] = {
            {.when = window_sql, .nth = 1, .sqlstate = ways[w].sqlstate, .lost = ways[w].lost},
            {.when = window_sql, .columns = PAGE_COLUMNS, .rows = 2, .values = two_rows},
            WELL};
        fake_libpq_script(script, sizeof script / sizeof *script);
        struct fixture f;
        struct error err;
        CLEANUP(buf_release) struct buf before = {0}, after = {0};
        set_up(&f);
        start(&f);
        ops->cursor(f.source, NULL, 0, &before);
        assert_int_equal(read_rows(&f, &err), RESULT_ERROR);
        assert_int_equal(f.batch->count, 0);
        assert_non_null(strstr(err.text, "reading"));
        ops->cursor(f.source, NULL, 0, &after);
        assert_string_equal(buf_str(&after), buf_str(&before));
        assert_int_equal(ops->start(f.source, buf_slice(&after), 1, &err), RESULT_DONE);
        assert_int_equal(read_rows(&f, &err), RESULT_DONE);
        assert_two_rows(&f);
        tear_down(&f);
    }
}

/* Too few columns: the snapshot that is to be remembered is not among them. */
static void an_answer_without_its_snapshot_is_refused(void **state)
{
    (void)state;
    const struct fake_answer script[] = {
        {.when = window_sql, .columns = PAGE_COLUMNS - 3, .rows = 1, .values = no_snapshot}, WELL};
    fake_libpq_script(script, sizeof script / sizeof *script);
    struct fixture f;
    struct error err;
    set_up(&f);
    start(&f);
    assert_int_equal(read_rows(&f, &err), RESULT_ERROR);
    assert_int_equal(err.class, ERROR_FATAL);
    assert_int_equal(f.batch->count, 0);
    tear_down(&f);
}

static int start_that_fails_at(unsigned nth, const char *sqlstate, struct error *err)
{
    const struct fake_answer script[] = {
        {.when = window_sql, .columns = PAGE_COLUMNS, .rows = 2, .values = two_rows},
        {.when = "", .nth = nth, .sqlstate = sqlstate, .lost = !sqlstate},
        WELL};
    fake_libpq_script(script, sizeof script / sizeof *script);
    struct fixture f;
    struct error later;
    set_up(&f);
    int rc = ops->start(f.source, SLICE_NULL, 1, err);
    if (rc != RESULT_DONE) { /* only the nth statement fails, so the next start goes well */
        start(&f);
    }
    assert_int_equal(read_rows(&f, &later), RESULT_DONE);
    assert_two_rows(&f);
    tear_down(&f);
    return rc;
}

/* The server shuts down, or is gone, between any two statements of a start: the next one finds
 * everything as if nothing had been. */
static void each_statement_of_a_start_may_fail(void **state)
{
    (void)state;
    static const char *const ways[] = {"57P01", NULL};
    for (size_t w = 0; w < sizeof ways / sizeof *ways; w++) {
        unsigned nth = 1;
        struct error err;
        while (start_that_fails_at(nth, ways[w], &err) != RESULT_DONE) {
            if (err.class != ERROR_RETRY) {
                fail_msg("statement %u: class %s: %s", nth, error_class_name(err.class), err.text);
            }
            nth++;
        }
        assert_true(nth > 10); /* it went through all of a start's statements */
    }
}

static void say_poll_interval(const struct fixture *f)
{
    for (const struct conf_key *k = ops->keys; k->name; k++) {
        if (strcmp(k->name, "poll_interval") == 0) {
            *((bool *)f->conf + k->given_offset) = true;
        }
    }
}

/* The longest wait that the source asks for beside an empty outbox; it stops at `enough`. */
static int64_t longest_rest(const char *channel, bool said, int64_t enough)
{
    static const char *const no_row[] = {NULL, NULL, NULL, NULL,     NULL, NULL, NULL,
                                         NULL, NULL, NULL, "20:20:", "2",  "f"};
    const struct fake_answer script[] = {
        {.when = window_sql, .columns = PAGE_COLUMNS, .rows = 1, .values = no_row}, WELL};
    fake_libpq_script(script, sizeof script / sizeof *script);
    struct fixture f;
    struct error err;
    int64_t longest = 0;
    set_up(&f);
    plugin_conf_text(ops->keys, f.conf, "notify_channel", channel);
    if (said) {
        say_poll_interval(&f);
    }
    start(&f);
    for (int polls = 0; polls < 15 && longest < enough;) {
        struct poll_set set;
        int rc = read_rows(&f, &err);
        assert_int_equal(f.batch->count, 0);
        poll_set_clear(&set);
        if (rc == RESULT_DONE) {
            ops->poll_fds(f.source, &set);
            int64_t rest = set.deadline_us - clock_mono_us();
            longest = rest > longest ? rest : longest;
            polls++;
            set.count = 0; /* nothing comes on a scripted connection */
        }
        poll_set_wait(rc == RESULT_DONE ? &set : (poll_set_deadline(&set, 0), &set));
    }
    tear_down(&f);
    return longest;
}

static void at_rest_it_polls_as_often_as_it_says(void **state)
{
    (void)state;
    enum { MOST = 50 * 1000, MORE = MOST + 1 };
    assert_in_range(longest_rest("", false, MORE), 1, MOST);
    assert_in_range(longest_rest("calls", true, MORE), 1, MOST);
    assert_in_range(longest_rest("calls", false, MORE), MORE, US_PER_SECOND);
}

/* --- reading ahead --- */

/* The cursor of an event, taken apart. `text` holds what the slices point to. */
static struct outbox_pg_cursor cursor_of(const struct fixture *f, size_t index, struct buf *text)
{
    struct outbox_pg_cursor c;
    buf_clear(text);
    ops->cursor(f->source, f->batch, index, text);
    if (!outbox_pg_cursor_parse(buf_slice(text), &c)) {
        fail_msg("no cursor: %s", buf_str(text));
    }
    return c;
}

/* A page that is handed out has its successor on the way already, which goes on behind its last
 * row. */
static void the_next_page_is_asked_for_with_this_one_in_hand(void **state)
{
    (void)state;
    static const char *const window[] = {PAGE_ROW("1", "a"), "20:20:", "3", "f",
                                         PAGE_ROW("2", "b"), "20:20:", "3", "f"};
    static const char *const last[] = {PAGE_ROW("3", "c")};
    const struct fake_answer script[] = {
        {.when = window_sql, .nth = 1, .columns = PAGE_COLUMNS, .rows = 2, .values = window},
        {.when = page_sql, .nth = 1, .columns = BARE_COLUMNS, .rows = 1, .values = last},
        {.when = window_sql, .nth = 2, .pieces = 1},
        WELL};
    fake_libpq_script(script, sizeof script / sizeof *script);
    struct fixture f;
    struct error err;
    CLEANUP(buf_release) struct buf text = {0};
    set_up_mode(&f, "position", 2);
    start(&f);
    assert_false(ops->behind(f.source));
    assert_int_equal(read_rows(&f, &err), RESULT_DONE);
    assert_two_rows(&f);
    assert_int_equal(fake_libpq_sent(page_sql), 1);
    assert_string_equal(fake_libpq_params(page_sql), "1:1: 20:20: 2 3 2");
    assert_true(ops->behind(f.source));
    assert_int_equal(cursor_of(&f, 0, &text).last, 1);
    assert_int_equal(cursor_of(&f, 1, &text).last, 2);
    assert_int_equal(read_rows(&f, &err), RESULT_DONE);
    assert_int_equal(f.batch->count, 1);
    assert_true(slice_equal_str(f.batch->events[0].id, "c"));
    /* That page was not full, so the next statement may well find nothing. */
    while (fake_libpq_sent(window_sql) < 2) {
        assert_false(ops->behind(f.source));
        assert_int_equal(read_rows(&f, &err), RESULT_AGAIN);
    }
    assert_false(ops->behind(f.source));
    tear_down(&f);
}

/* The window closes with its last page, before the rows of this page become events. Their cursors
 * still name it: a cursor of the next window would pass over what is not delivered yet. */
static void the_events_of_the_last_page_belong_to_its_window(void **state)
{
    (void)state;
    const struct fake_answer script[] = {
        {.when = window_sql, .columns = PAGE_COLUMNS, .rows = 2, .values = two_rows}, WELL};
    fake_libpq_script(script, sizeof script / sizeof *script);
    struct fixture f;
    struct error err;
    CLEANUP(buf_release) struct buf text = {0};
    set_up_mode(&f, "position", 3);
    start(&f);
    assert_int_equal(read_rows(&f, &err), RESULT_DONE);
    assert_two_rows(&f);
    struct outbox_pg_cursor c = cursor_of(&f, 0, &text);
    assert_true(slice_equal_str(c.s1, OUTBOX_PG_NOTHING_VISIBLE));
    assert_true(slice_equal_str(c.s2, "20:20:"));
    assert_int_equal(c.last, 1);
    assert_int_equal(c.hi, 2);
    tear_down(&f);
}

/* The rows that were found are given; the next read says that the page behind them has failed, and
 * a start from the last event's cursor goes on behind them. */
static void a_next_page_that_fails_takes_no_row_along(void **state)
{
    (void)state;
    static const struct {
        const char *sqlstate;
        bool lost, unsent;
    } ways[] = {{"57P01", false, false}, {NULL, true, false}, {NULL, false, true}};
    for (size_t w = 0; w < sizeof ways / sizeof *ways; w++) {
        const struct fake_answer script[] = {
            {.when = window_sql, .nth = 1, .columns = PAGE_COLUMNS, .rows = 2, .values = two_rows},
            {.when = page_sql,
             .nth = 1,
             .sqlstate = ways[w].sqlstate,
             .lost = ways[w].lost,
             .unsent = ways[w].unsent},
            WELL};
        fake_libpq_script(script, sizeof script / sizeof *script);
        struct fixture f;
        struct error err;
        CLEANUP(buf_release) struct buf text = {0};
        set_up_mode(&f, "position", 2);
        start(&f);
        assert_int_equal(read_rows(&f, &err), RESULT_DONE);
        assert_two_rows(&f);
        assert_false(ways[w].unsent && ops->behind(f.source));
        ops->cursor(f.source, f.batch, 1, &text);
        assert_int_equal(read_rows(&f, &err), RESULT_ERROR);
        assert_int_equal(err.class, ERROR_RETRY);
        assert_true(!ways[w].unsent || strstr(err.text, "the script says so"));
        assert_int_equal(f.batch->count, 0);
        assert_int_equal(ops->start(f.source, buf_slice(&text), 1, &err), RESULT_DONE);
        (void)!read_rows(&f, &err);
        assert_string_equal(fake_libpq_params(page_sql), "1:1: 20:20: 2 2 2");
        tear_down(&f);
    }
}

/* Rows in hand count as in flight for the next page, though they are no events yet when it is asked
 * for. */
static void the_next_page_leaves_out_the_rows_in_hand(void **state)
{
    (void)state;
    static const char *const page[] = {PAGE_ROW("1", "a"), PAGE_ROW("2", "b")};
    const struct fake_answer script[] = {
        {.when = page_sql, .nth = 1, .columns = BARE_COLUMNS, .rows = 2, .values = page}, WELL};
    fake_libpq_script(script, sizeof script / sizeof *script);
    struct fixture f;
    struct error err;
    set_up_mode(&f, "delete", 2);
    f.env.store =
        (struct source_store){.positions = "positions", .dead_letters = "dead_letters", .part = ""};
    start(&f);
    assert_int_equal(read_rows(&f, &err), RESULT_DONE);
    assert_two_rows(&f);
    assert_int_equal(fake_libpq_sent(page_sql), 2);
    assert_string_equal(fake_libpq_params(page_sql), "{1,2} 2");
    assert_true(ops->behind(f.source));
    tear_down(&f);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_become_events),
        cmocka_unit_test(payloads_are_of_their_column_s_kind),
        cmocka_unit_test(further_columns_may_be_json),
        cmocka_unit_test(an_answer_that_fails_passes_no_row),
        cmocka_unit_test(an_answer_without_its_snapshot_is_refused),
        cmocka_unit_test(each_statement_of_a_start_may_fail),
        cmocka_unit_test(at_rest_it_polls_as_often_as_it_says),
        cmocka_unit_test(the_next_page_is_asked_for_with_this_one_in_hand),
        cmocka_unit_test(the_events_of_the_last_page_belong_to_its_window),
        cmocka_unit_test(a_next_page_that_fails_takes_no_row_along),
        cmocka_unit_test(the_next_page_leaves_out_the_rows_in_hand),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
