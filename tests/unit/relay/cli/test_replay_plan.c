/* What the store keeps of a replay gives the same replay back, and its words can be pasted. */
#include "unit.h"

#include "base/clock.h"
#include "cli/replay_plan.h"

static const struct cli_command command = {.name = "replay"};

static void words_become_a_range(void **state)
{
    (void)state;
    struct replay_plan p = {0};
    const struct replay_words w = {.from_time = "2026-11-21T10:00:00Z",
                                   .to_position = "7",
                                   .key = "it's one",
                                   .sink = "stdout:"};
    assert_int_equal(replay_plan_read(&p, &w), 0);
    assert_true(p.range.from == INT64_MIN && p.range.to == 7);
    assert_true(p.range.from_us == INT64_C(1795255200000000) && p.range.to_us == INT64_MAX);
    assert_string_equal(p.range.key, "it's one");
    assert_true(p.range.ids_count == 0);
    assert_string_equal(buf_str(&p.words),
                        " --from-time 2026-11-21T10:00:00Z --to-position 7 --key 'it'\"'\"'s one'");
    assert_string_equal(buf_str(&p.sink), " --sink stdout:");
    replay_plan_release(&p);
}

static void a_duration_is_counted_from_now(void **state)
{
    (void)state;
    struct replay_plan p = {0};
    const struct replay_words w = {.from_time = "2h"};
    int64_t ago = 7200 * US_PER_SECOND, before = clock_wall_us() - ago;
    assert_int_equal(replay_plan_read(&p, &w), 0);
    assert_true(p.range.from_us >= before && p.range.from_us <= clock_wall_us() - ago);
    replay_plan_release(&p);
}

static void the_store_gives_it_back(void **state)
{
    (void)state;
    struct replay_plan p = {.total = INT64_C(1) << 40}, q = {0};
    struct error err = {0};
    CLEANUP(buf_release) struct buf text = {0};
    const struct replay_words w = {.from_position = "-3", .key = "a\"b\\", .sink_config = "a file"};
    assert_int_equal(replay_plan_read(&p, &w), 0);
    buf_add_str(&p.frontier, "p1 1:1: - 0 0 0");
    p.range.frontier = buf_str(&p.frontier);
    replay_plan_text(&p, &text);
    const struct store_replay row = {.id = "r1", .asked = buf_slice(&text)};
    assert_int_equal(replay_plan_parse(&q, &row, &err), 0);
    assert_string_equal(q.id, "r1");
    assert_true(q.range.from == -3 && q.range.to == INT64_MAX && q.range.from_us == INT64_MIN &&
                q.range.to_us == INT64_MAX && q.total == p.total);
    assert_string_equal(q.range.key, "a\"b\\");
    assert_true(q.range.ids_count == 0);
    assert_string_equal(q.range.frontier, "p1 1:1: - 0 0 0");
    assert_string_equal(buf_str(&q.words), buf_str(&p.words));
    assert_string_equal(buf_str(&q.sink), " --sink-config 'a file'");
    replay_plan_release(&p);
    replay_plan_release(&q);
}

static void several_ids_come_back(void **state)
{
    (void)state;
    struct replay_plan p = {0}, q = {0};
    struct error err = {0};
    CLEANUP(buf_release) struct buf text = {0};
    const char *ids[] = {"a", "b \"c\""};
    const struct replay_words w = {.command = &command, .ids = {ids, 2}};
    assert_int_equal(replay_plan_read(&p, &w), 0);
    assert_string_equal(buf_str(&p.words), " --id a --id 'b \"c\"'");
    p.range.frontier = "";
    replay_plan_text(&p, &text);
    const struct store_replay row = {.id = "r1", .asked = buf_slice(&text)};
    assert_int_equal(replay_plan_parse(&q, &row, &err), 0);
    assert_true(q.range.ids_count == 2);
    assert_string_equal(q.range.ids[1], ids[1]);
    replay_plan_release(&p);
    replay_plan_release(&q);
    const struct replay_words more = {.command = &command, .ids = {ids, 2}, .key = "k"};
    assert_int_equal(replay_plan_read(&p, &more), EXIT_CODE_USAGE);
    replay_plan_release(&p);
}

static void what_another_version_kept_is_refused(void **state)
{
    (void)state;
    static const char *const texts[] = {"", "{}", "[1]", "{\"from\": 1}"};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        struct replay_plan p = {0};
        struct error err = {0};
        const struct store_replay row = {.id = "r1", .asked = slice_from(texts[i])};
        assert_int_equal(replay_plan_parse(&p, &row, &err), -1);
        assert_int_equal(err.exit_code, EXIT_CODE_CONFIG);
        replay_plan_release(&p);
    }
}

static void ids_differ_and_are_bounded(void **state)
{
    (void)state;
    struct replay_plan p = {0}, q = {0};
    assert_int_equal(replay_plan_name(&p, &command, NULL), 0);
    assert_int_equal(replay_plan_name(&q, &command, NULL), 0);
    assert_string_not_equal(p.id, q.id);
    assert_int_equal(replay_plan_name(&p, &command, "a-b_1"), 0);
    assert_string_equal(p.id, "a-b_1");
    assert_int_equal(replay_plan_name(&p, &command, "A"), EXIT_CODE_USAGE);
    assert_int_equal(replay_plan_name(&p, &command, "a123456789012345678901234567890123"),
                     EXIT_CODE_USAGE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(words_become_a_range),
        cmocka_unit_test(a_duration_is_counted_from_now),
        cmocka_unit_test(the_store_gives_it_back),
        cmocka_unit_test(several_ids_come_back),
        cmocka_unit_test(what_another_version_kept_is_refused),
        cmocka_unit_test(ids_differ_and_are_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
