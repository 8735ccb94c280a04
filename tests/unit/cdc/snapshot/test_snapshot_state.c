/* snapshot_state: what was written is read as the same; what is none of ours is refused. */
#include "unit.h"

#include "cdc/snapshot/state.h"

#define S(text) SLICE_LITERAL(text)

static void parse(const char *text, struct arena *arena, struct snapshot_place *ret)
{
    struct error err;
    if (snapshot_place_parse(slice_from(text), arena, ret, &err)) {
        fail_msg("%s: %s", text, err.text);
    }
}

static void round_trip(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "s1,0/1,1700000000000000,0",
        "s1,16/B374D848,1,12,bare",
        "s1,0/1,1,12,public.orders,done",
        "s1,0/1,1,12,bare,public.orders,id=42",
        "s1,0/1,1,12,@4294967295-0,public.orders,done",
        "s1,0/1,1,12,bare,@16384-7,public.orders",
        "s1,0/1,1,12,bare,@16384-4294967295.23.25,public.orders,id=42,bare=x",
        "s1,0/1,1,12,A%20b%2Ec.%2C%3D%25%22%0A,a%3D=%2C,b%C3%A9=",
    };
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        CLEANUP(arena_release) struct arena arena;
        CLEANUP(buf_release) struct buf out = {0};
        struct snapshot_place p;
        arena_init(&arena);
        parse(texts[i], &arena, &p);
        snapshot_place_format(&p, &out);
        assert_string_equal(buf_str(&out), texts[i]);
    }
}

static void any_name_and_value_is_kept(void **state)
{
    (void)state;
    CLEANUP(arena_release) struct arena arena;
    CLEANUP(buf_release) struct buf out = {0};
    char all[256];
    arena_init(&arena);
    for (size_t i = 0; i < 255; i++) {
        all[i] = (char)(i + 1);
    }
    const struct slice columns[] = {S("done"), {all, 255}}, values[] = {{all, 255}, S("")};
    const struct snapshot_place p = {.lsn = 0x1600000001,
                                     .started_us = 5,
                                     .rows = 7,
                                     .schema = S("bare"),
                                     .table = {all, 255},
                                     .columns = columns,
                                     .values = values,
                                     .key_count = 2};
    struct snapshot_place back;
    snapshot_place_format(&p, &out);
    assert_null(memchr(buf_str(&out), ' ', out.len));
    parse(buf_str(&out), &arena, &back);
    assert_int_equal(back.lsn, p.lsn);
    assert_int_equal(back.rows, 7);
    assert_true(slice_equal(back.schema, p.schema) && slice_equal(back.table, p.table));
    assert_int_equal(back.key_count, 2);
    assert_true(slice_equal(back.columns[0], columns[0]) && slice_equal(back.values[0], values[0]));
    assert_true(slice_equal(back.columns[1], columns[1]) && slice_equal(back.values[1], values[1]));
    assert_false(back.done);
    assert_false(back.bare_done);
}

static void anything_else_is_refused(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "",
        "s1",
        "s2,0/1,1,0",
        "s1,0/1,1",
        "s1,0/1,1,",
        "s1,0/1,1,0,",
        "s1,0/1,-1,0",
        "s1,0/1,9223372036854775808,0",
        "s1,0/1,1,01",
        "s1,0,1,0",
        "s1,0/1,1,0,orders",
        "s1,0/1,1,0,.orders",
        "s1,0/1,1,0,public.",
        "s1,0/1,1,0,public.orders,",
        "s1,0/1,1,0,public.orders,id",
        "s1,0/1,1,0,public.orders,=1",
        "s1,0/1,1,0,public.orders,id=1,",
        "s1,0/1,1,0,public.orders,id=1,done",
        "s1,0/1,1,0,public.orders,done,id=1",
        "s1,0/1,1,0,public.or ders,done",
        "s1,0/1,1,0,public.orders,id=%",
        "s1,0/1,1,0,public.orders,id=%2",
        "s1,0/1,1,0,public.orders,id=%2c",
        "s1,0/1,1,0,public.orders,id=%41",
        "s1,0/1,1,0,public.orders,id=%00",
        "s1,0/1,1,0,bare,",
        "s1,0/1,1,0,@16384-7",
        "s1,0/1,1,0,@16384,public.orders,done",
        "s1,0/1,1,0,@16384-,public.orders,done",
        "s1,0/1,1,0,@16384-4294967296,public.orders,done",
        "s1,0/1,1,0,@,public.orders,done",
        "s1,0/1,1,0,@0-7,public.orders,done",
        "s1,0/1,1,0,@4294967296-7,public.orders,done",
        "s1,0/1,1,0,@16384-7.,public.orders,id=1",
        "s1,0/1,1,0,@16384-7,public.orders,id=1",
        "s1,0/1,1,0,@16384-7.23.23,public.orders,id=1",
        "s1,0/1,1,0,@16384-7.23,public.orders,done",
    };
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        CLEANUP(arena_release) struct arena arena;
        struct snapshot_place p;
        struct error err;
        arena_init(&arena);
        if (snapshot_place_parse(slice_from(texts[i]), &arena, &p, &err) == RESULT_DONE) {
            fail_msg("\"%s\" was taken for a place", texts[i]);
        }
        assert_int_equal(err.exit_code, EXIT_CODE_UNAVAILABLE);
        /* The command is one that can be run, and what it costs is said. */
        assert_non_null(
            strstr(err.text, "commitrelay position set -c FILE --pipeline NAME beginning --yes"));
        assert_non_null(strstr(err.text, "will not be read"));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(round_trip),
        cmocka_unit_test(any_name_and_value_is_kept),
        cmocka_unit_test(anything_else_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
