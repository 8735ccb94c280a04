/* The parts of outbox_postgres that need no server: cursor texts, what is held and blocked, values,
 * refusals. */
#include "unit.h"

#include <stdio.h>

#include "contract/source.h"
#include "plugin_conf.h"
#include "source/outbox_postgres/cursor.h"
#include "source/outbox_postgres/keys.h"

extern const struct source_ops source_outbox_postgres;
static const struct source_ops *const ops = &source_outbox_postgres;

static struct slice text(const char *s)
{
    return slice_from(s);
}

/* --- snapshots and cursors --- */

static void snapshot_is_read(void **state)
{
    (void)state;
    uint64_t xmin = 0, xmax = 0;
    assert_true(outbox_pg_snapshot_parse(text("10:20:10,14,19"), &xmin, &xmax));
    assert_int_equal(xmin, 10);
    assert_int_equal(xmax, 20);
    assert_true(outbox_pg_snapshot_parse(text("1:1:"), &xmin, &xmax));
    assert_true(
        outbox_pg_snapshot_parse(text("18446744073709551614:18446744073709551615:"), &xmin, &xmax));
}

static void bad_snapshots_are_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",          "1",         "1:2",         "1:2:3:",
        "0:1:",      "5:4:",      "10:20:9",     "10:20:20",
        "10:20:15,", "10:20:,15", "10:20:15,14", "10:20:15,15",
        " 1:1:",     "1:1: ",     "-1:1:",       "18446744073709551616:1:"};
    uint64_t xmin, xmax;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        if (outbox_pg_snapshot_parse(text(bad[i]), &xmin, &xmax)) {
            fail_msg("\"%s\" was taken for a snapshot", bad[i]);
        }
    }
    assert_false(outbox_pg_snapshot_parse(SLICE_NULL, &xmin, &xmax));
}

static void cursor_round_trip(void **state)
{
    (void)state;
    static const char *const cursors[] = {
        "p1 1:1: - -9223372036854775808 -9223372036854775808 -9223372036854775808",
        "p1 10:20:10,14 18:30:18,25 1000 2000 1500",
        "p1 10:20: - 1000 1000 0",
        "p1 1:1: 18:30:18,25 -9223372036854775808 9223372036854775807 -1",
    };
    for (size_t i = 0; i < sizeof cursors / sizeof *cursors; i++) {
        struct outbox_pg_cursor c;
        CLEANUP(buf_release) struct buf out = {0};
        assert_true(outbox_pg_cursor_parse(text(cursors[i]), &c));
        outbox_pg_cursor_text(&c, &out);
        assert_string_equal(buf_str(&out), cursors[i]);
    }
}

static void cursor_fields(void **state)
{
    (void)state;
    struct outbox_pg_cursor c;
    assert_true(outbox_pg_cursor_parse(text("p1 10:20:10 18:30:18 7 9 8"), &c));
    assert_true(slice_equal_str(c.s1, "10:20:10"));
    assert_true(slice_equal_str(c.s2, "18:30:18"));
    assert_int_equal(c.high, 7);
    assert_int_equal(c.hi, 9);
    assert_int_equal(c.last, 8);
    assert_true(outbox_pg_cursor_parse(text("p1 10:20:10 - 7 7 8"), &c));
    assert_true(slice_is_null(c.s2));
}

static void bad_cursors_are_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",
        "p1",
        "p2 1:1: - 1 1 1",
        "p1 1:1: - 1 1",
        "p1 1:1: - 1 1 1 1",
        "p1 1:1:  - 1 1 1",
        "p1 1:1: - 1 1 ",
        "p1 1:1: - 1 x 1",
        "p1 - 1:1: 1 1 1",
        "p1 10:20: 10:19: 1 1 1", /* a window that ends before it begins */
        "p1 1:1: - 1 1 9223372036854775808",
        "status",
    };
    struct outbox_pg_cursor c;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        if (outbox_pg_cursor_parse(text(bad[i]), &c)) {
            fail_msg("\"%s\" was taken for a cursor", bad[i]);
        }
    }
    assert_false(outbox_pg_cursor_parse(SLICE_NULL, &c));
}

static void check_description(const char *cursor, const char *expected)
{
    CLEANUP(buf_release) struct buf out = {0};
    ops->describe(text(cursor), &out);
    assert_string_equal(buf_str(&out), expected);
}

static void cursor_is_described(void **state)
{
    (void)state;
    check_description("p1 10:20: 20:30: 7 9 8", "8");
    check_description("p1 10:20: - 7 7 -9223372036854775808", "now");
    check_description("p1 1:1: - -9223372036854775808 -9223372036854775808 -9223372036854775808",
                      "beginning");
    check_description("delete", "delete");
}

static void numbers(void **state)
{
    (void)state;
    int64_t v = 0;
    assert_true(outbox_pg_number(text("-9223372036854775808"), &v));
    assert_true(v == INT64_MIN);
    assert_true(outbox_pg_number(text("9223372036854775807"), &v));
    assert_true(v == INT64_MAX);
    assert_false(outbox_pg_number(text("9223372036854775808"), &v));
    assert_false(outbox_pg_number(text("-"), &v));
    assert_false(outbox_pg_number(text("1x"), &v));
    assert_false(outbox_pg_number(text(""), &v));
}

/* --- held and blocked --- */

static void check_held(const struct outbox_pg_held *h, const char *expected)
{
    CLEANUP(buf_release) struct buf out = {0};
    outbox_pg_held_array(h, &out);
    assert_string_equal(buf_str(&out), expected);
}

static void held_until_acknowledged(void **state)
{
    (void)state;
    struct outbox_pg_held h = {0};
    outbox_pg_held_add(&h, text("1"));
    outbox_pg_held_add(&h, text("2"));
    outbox_pg_held_add(&h, text("3"));
    outbox_pg_held_acking(&h, text("2"));
    outbox_pg_held_acking(&h, text("99")); /* recovered: never handed out here */
    check_held(&h, "{1,2,3}");             /* asked for is not done */
    outbox_pg_held_acked(&h);
    check_held(&h, "{1,3}");
    outbox_pg_held_acking(&h, text("3"));
    outbox_pg_held_acking(&h, text("1"));
    outbox_pg_held_acked(&h);
    check_held(&h, "{}");
    outbox_pg_held_add(&h, text("1"));
    check_held(&h, "{1}");
    outbox_pg_held_release(&h);
}

static void key_of(unsigned i, char out[32])
{
    snprintf(out, 32, "key-%u", i);
}

/* A long run with a bounded number in flight stays bounded, and forgets nobody. */
static void held_stays_small(void **state)
{
    (void)state;
    enum { ROUNDS = 200000, IN_FLIGHT = 700 };
    struct outbox_pg_held h = {0};
    char key[32];
    for (unsigned i = 0; i < ROUNDS; i++) {
        key_of(i, key);
        outbox_pg_held_add(&h, text(key));
        if (i >= IN_FLIGHT) {
            key_of(i - IN_FLIGHT, key);
            outbox_pg_held_acking(&h, text(key));
        }
        if (i % 100 == 0) {
            outbox_pg_held_acked(&h);
        }
    }
    outbox_pg_held_acked(&h);
    assert_int_equal(h.live, IN_FLIGHT);
    assert_true(h.cap <= 8192);
    assert_true(h.text.cap <= 8192 * 32);
    CLEANUP(buf_release) struct buf out = {0};
    outbox_pg_held_array(&h, &out);
    assert_non_null(strstr(buf_str(&out), "{\"key-199300\","));
    assert_non_null(strstr(buf_str(&out), ",\"key-199999\"}"));
    outbox_pg_held_release(&h);
}

/* One that is not acknowledged for long keeps its place, and the others around it are forgotten. */
static void held_behind_a_slow_one_stays_small(void **state)
{
    (void)state;
    struct outbox_pg_held h = {0};
    char key[32];
    outbox_pg_held_add(&h, text("slow"));
    for (unsigned i = 0; i < 100000; i++) {
        key_of(i, key);
        outbox_pg_held_add(&h, text(key));
        outbox_pg_held_acking(&h, text(key));
        if (i % 100 == 99) {
            outbox_pg_held_acked(&h);
        }
    }
    check_held(&h, "{\"slow\"}");
    assert_true(h.cap <= 2048);
    outbox_pg_held_release(&h);
}

static void array_elements_are_quoted(void **state)
{
    (void)state;
    struct outbox_pg_held h = {0};
    outbox_pg_held_add(&h, text("a\"b\\c,{}"));
    outbox_pg_held_add(&h, text(""));
    outbox_pg_held_add(&h, text("null"));
    outbox_pg_held_add(&h, text("-5"));
    check_held(&h, "{\"a\\\"b\\\\c,{}\",\"\",\"null\",-5}");
    outbox_pg_held_release(&h);
}

static void keys_are_blocked_until_due(void **state)
{
    (void)state;
    struct outbox_pg_blocked b = {0};
    assert_true(outbox_pg_blocked_next(&b) == DEADLINE_NEVER);
    assert_true(outbox_pg_blocked_add(&b, text("k"), 100));
    assert_true(outbox_pg_blocked_add(&b, text("l"), 50));
    assert_true(outbox_pg_blocked_add(&b, text("k"), 70)); /* the later time counts */
    assert_int_equal(outbox_pg_blocked_next(&b), 50);
    outbox_pg_blocked_expire(&b, 70);
    assert_true(outbox_pg_blocked_has(&b, text("k")));
    assert_false(outbox_pg_blocked_has(&b, text("l")));
    CLEANUP(buf_release) struct buf out = {0};
    outbox_pg_blocked_array(&b, &out);
    assert_string_equal(buf_str(&out), "{\"k\"}");
    outbox_pg_blocked_expire(&b, 100);
    assert_int_equal(b.count, 0);
    outbox_pg_blocked_release(&b);
}

/* --- configuration --- */

struct setup {
    void *conf, *memory;
    struct source_env env;
};

static void set_up(struct setup *s)
{
    *s = (struct setup){.env = {.pipeline = "p", .ordered = true, .stop_fd = -1}};
    s->conf = plugin_conf_new(ops->keys, ops->conf_size, &s->memory);
}

static void set(const struct setup *s, const char *key, const char *value)
{
    plugin_conf_text(ops->keys, s->conf, key, value);
}

static void check_refused(const struct setup *s, const char *part)
{
    struct error err = {0};
    void *source = NULL;
    unsigned caps = 0;
    assert_int_equal(ops->open(s->conf, &s->env, &source, &caps, &err), RESULT_ERROR);
    assert_int_equal(err.class, ERROR_CONFIG);
    assert_int_equal(err.exit_code, EXIT_CODE_CONFIG);
    assert_non_null(strstr(err.text, part));
}

static unsigned open_caps(const struct setup *s)
{
    struct error err = {0};
    void *source = NULL;
    unsigned caps = 0;
    assert_int_equal(ops->open(s->conf, &s->env, &source, &caps, &err), RESULT_DONE);
    ops->close(source);
    return caps;
}

/* The default of a key of this table; NULL: it has none. */
static const char *fallback(const struct conf_key *keys, const char *name)
{
    for (; keys->name; keys++) {
        const char *dot = strchr(name, '.');
        size_t n = dot ? (size_t)(dot - name) : strlen(name);
        if (strlen(keys->name) == n && strncmp(keys->name, name, n) == 0) {
            return dot ? fallback(keys->group, dot + 1) : keys->fallback;
        }
    }
    fail_msg("there is no key %s", name);
    return NULL;
}

static void defaults_are_the_contract(void **state)
{
    (void)state;
    struct setup s;
    static const char *const defaults[][2] = {{"table", "outbox"},
                                              {"mode", "position"},
                                              {"columns.aggregateid", "aggregateid"},
                                              {"columns.xid", "xid"},
                                              {"start_from", "beginning"},
                                              {"batch_size", "1000"},
                                              {"poll_interval", "50ms"}};
    for (size_t i = 0; i < sizeof defaults / sizeof *defaults; i++) {
        assert_string_equal(fallback(ops->keys, defaults[i][0]), defaults[i][1]);
    }
    set_up(&s);
    assert_int_equal(open_caps(&s), SOURCE_ORDERED | SOURCE_VOLATILE | SOURCE_ROWS_STAY);
    plugin_conf_free(s.conf, s.memory);
}

static void modes_and_order(void **state)
{
    (void)state;
    struct setup s;
    set_up(&s);
    set(&s, "order_by", "created_at");
    check_refused(&s, "order_by");
    set(&s, "mode", "delete");
    assert_int_equal(open_caps(&s),
                     SOURCE_ORDERED | SOURCE_ACK_KEYS | SOURCE_ACK_REMOVES | SOURCE_ROWS_STAY);
    set(&s, "order_by", "");
    check_refused(&s, "delivery.ordered");
    s.env.ordered = false;
    assert_int_equal(open_caps(&s), SOURCE_ACK_KEYS | SOURCE_ACK_REMOVES | SOURCE_ROWS_STAY);
    set(&s, "start_from", "now");
    check_refused(&s, "start_from");
    plugin_conf_free(s.conf, s.memory);
}

/* The text is stored, so it must stay the word of the configuration. */
static void cursor_of_key_modes_is_their_name(void **state)
{
    (void)state;
    static const char *const modes[] = {"status", "delete"};
    for (size_t i = 0; i < sizeof modes / sizeof *modes; i++) {
        struct setup s;
        struct error err = {0};
        void *source = NULL;
        unsigned caps;
        set_up(&s);
        set(&s, "mode", modes[i]);
        assert_int_equal(ops->open(s.conf, &s.env, &source, &caps, &err), RESULT_DONE);
        CLEANUP(buf_release) struct buf out = {0};
        ops->cursor(source, NULL, SIZE_MAX, &out);
        assert_string_equal(buf_str(&out), modes[i]);
        buf_clear(&out);
        assert_int_equal(ops->position(source, "beginning", &out, &err), RESULT_DONE);
        assert_string_equal(buf_str(&out), modes[i]);
        assert_int_equal(ops->position(source, "17", &out, &err), RESULT_ERROR);
        ops->close(source);
        plugin_conf_free(s.conf, s.memory);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(snapshot_is_read),
        cmocka_unit_test(bad_snapshots_are_refused),
        cmocka_unit_test(cursor_round_trip),
        cmocka_unit_test(cursor_fields),
        cmocka_unit_test(bad_cursors_are_refused),
        cmocka_unit_test(cursor_is_described),
        cmocka_unit_test(numbers),
        cmocka_unit_test(held_until_acknowledged),
        cmocka_unit_test(held_stays_small),
        cmocka_unit_test(held_behind_a_slow_one_stays_small),
        cmocka_unit_test(array_elements_are_quoted),
        cmocka_unit_test(keys_are_blocked_until_due),
        cmocka_unit_test(defaults_are_the_contract),
        cmocka_unit_test(modes_and_order),
        cmocka_unit_test(cursor_of_key_modes_is_their_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
