/* The history of positions, a store that an earlier version made, and forgetting a pipeline. */
#include "../unit/unit.h"

#include "store_fixture.h"

#include "db/sqlite.h"

#include <stdio.h>
#include <stdlib.h>

static bool is_sqlite(const struct fixture *f)
{
    return strcmp(f->ops->name, "sqlite") == 0;
}

/* Runs the statement that belongs to the store under test. */
static void run_sql(struct fixture *f, const char *postgres, const char *sqlite)
{
    if (!is_sqlite(f)) {
        fixture_sql(f->url, postgres);
        return;
    }
    struct sqlite_options opt = {
        .path = sqlite_url_path(f->url), .patience_us = 10 * US_PER_SECOND, .stop_fd = -1};
    struct sqlite *db = NULL;
    assert_done(sqlite_open(&opt, &db, &f->err), &f->err);
    assert_done(sqlite_exec(db, sqlite, &f->err), &f->err);
    sqlite_close(db);
}

/* Makes all lines of this pipeline older. */
static void age_lines(struct fixture *f, int64_t seconds)
{
    char postgres[200], sqlite[200];
    snprintf(postgres, sizeof postgres,
             "update commitrelay.history set at = at - interval '%lld s' where pipeline = '%s'",
             (long long)seconds, f->pipeline);
    snprintf(sqlite, sizeof sqlite,
             "UPDATE commitrelay_history SET at_us = at_us - %lld000000 WHERE pipeline = '%s'",
             (long long)seconds, f->pipeline);
    run_sql(f, postgres, sqlite);
}

struct lines {
    struct buf text; /* "a b " */
    int64_t at_us[8];
    size_t count;
};

static int add_line(void *ctx, int64_t at_us, struct slice cursor)
{
    struct lines *l = ctx;
    assert_true(l->count < sizeof l->at_us / sizeof *l->at_us);
    l->at_us[l->count++] = at_us;
    buf_printf(&l->text, "%.*s ", SLICE_FMT(cursor));
    return 0;
}

static void assert_lines(struct fixture *f, void *s, const char *want, struct lines *ret)
{
    *ret = (struct lines){0};
    assert_done(f->ops->history_list(s, 0, add_line, ret, &f->err), &f->err);
    assert_string_equal(buf_str(&ret->text), want);
    buf_release(&ret->text);
}

static void *started(struct fixture *f)
{
    struct store_position p = {0};
    void *s = fixture_open(f);
    fixture_start(f, s, &p);
    buf_release(&p.cursor);
    return s;
}

static void a_line_a_minute_is_kept(void **state)
{
    struct fixture *f = *state;
    struct lines l;
    int64_t before = clock_wall_us();
    void *s = started(f);
    fixture_save(f, s, "one", 1);
    fixture_save(f, s, "two", 2);
    assert_lines(f, s, "one ", &l);
    assert_in_range(l.at_us[0], before - US_PER_SECOND, clock_wall_us() + US_PER_SECOND);
    f->ops->close(s);
    s = started(f);
    fixture_save(f, s, "three", 3); /* a restart is no reason for a line */
    assert_lines(f, s, "one ", &l);
    f->ops->close(s);
    age_lines(f, 61);
    s = started(f);
    fixture_save(f, s, "four", 4);
    fixture_save(f, s, "five", 5);
    assert_lines(f, s, "one four ", &l);
    f->ops->close(s);
}

static void the_position_of_a_time_is_found(void **state)
{
    struct fixture *f = *state;
    struct lines l;
    CLEANUP(buf_release) struct buf cursor = {0};
    int64_t at = 0;
    void *s = started(f);
    fixture_save(f, s, "one", 1);
    f->ops->close(s);
    age_lines(f, 100);
    s = started(f);
    fixture_save(f, s, "two", 2);
    assert_lines(f, s, "one two ", &l);
    const struct {
        int64_t at_us;
        const char *cursor;
    } cases[] = {{l.at_us[0] - 1, ""},
                 {l.at_us[0], "one"},
                 {l.at_us[1] - 1, "one"},
                 {l.at_us[1], "two"},
                 {clock_wall_us() + US_PER_SECOND, "two"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_done(f->ops->history_at(s, cases[i].at_us, &cursor, &at, &f->err), &f->err);
        assert_string_equal(buf_str(&cursor), cases[i].cursor);
    }
    assert_true(at == l.at_us[1]);
    f->ops->close(s);
}

/* Of the old lines the newest stays: without it nothing would say where the pipeline stood 7 days
 * ago. */
static void lines_older_than_seven_days_go(void **state)
{
    enum { DAY = 86400 };
    struct fixture *f = *state;
    struct lines l;
    static const char *const cursors[] = {"one", "two", "three"};
    for (int i = 0; i < 3; i++) {
        void *s = started(f);
        fixture_save(f, s, cursors[i], (uint64_t)i + 1);
        f->ops->close(s);
        age_lines(f, 3 * DAY);
    }
    void *s = started(f);
    fixture_save(f, s, "four", 4); /* 9, 6, 3 and 0 days old */
    assert_lines(f, s, "one two three four ", &l);
    f->ops->close(s);
    age_lines(f, 3 * DAY);
    s = started(f);
    fixture_save(f, s, "five", 5); /* 12, 9, 6, 3 and 0 */
    assert_lines(f, s, "two three four five ", &l);
    f->ops->close(s);
}

static void a_store_of_an_earlier_version_goes_on(void **state)
{
    struct fixture *f = *state;
    struct store_position p = {0};
    struct lines l;
    void *s = started(f);
    fixture_save(f, s, "old", 7);
    f->ops->close(s);
    run_sql(
        f,
        "drop table commitrelay.history, commitrelay.pruned; alter table commitrelay.positions drop"
        " column source_table, drop column source_mode, drop column seq_column, drop column"
        " xid_column",
        "DROP TABLE commitrelay_history; DROP TABLE commitrelay_pruned; ALTER TABLE "
        "commitrelay_positions DROP COLUMN source_table; ALTER TABLE commitrelay_positions DROP "
        "COLUMN source_mode");
    s = fixture_open(f);
    int64_t pruned_us = 0;
    assert_done(f->ops->pruned(s, "outbox", &pruned_us, &f->err), &f->err);
    assert_true(pruned_us == TIME_NONE);
    assert_int_equal(f->ops->note_pruned(s, "outbox", 0, &f->err), RESULT_ERROR);
    assert_non_null(strstr(f->err.text, "start the relay once"));
    assert_done(f->ops->observe(s, &p, &f->err), &f->err); /* a command looks before the relay */
    assert_string_equal(buf_str(&p.cursor), "old");
    assert_lines(f, s, "", &l);
    fixture_start(f, s, &p);
    assert_string_equal(buf_str(&p.cursor), "old");
    fixture_save(f, s, "new", 8);
    assert_lines(f, s, "new ", &l);
    f->ops->close(s);
    buf_release(&p.cursor);
}

static int count(void *ctx)
{
    ++*(int *)ctx;
    return RESULT_DONE;
}

static int count_parked(void *ctx, const struct store_parked *k UNUSED)
{
    return count(ctx);
}

static int count_id(void *ctx, struct slice id UNUSED)
{
    return count(ctx);
}

static int count_letter(void *ctx, const struct store_dead_letter *d UNUSED)
{
    return count(ctx);
}

static int count_removed(void *ctx, struct slice id UNUSED, int64_t edits UNUSED)
{
    return count(ctx);
}

/* The build before this one kept the marks of prunes with the pipelines. Commands find all dead
 * letters there, and what waits behind them; the next relay takes the marks over. */
static void the_letters_of_the_build_before_are_seen(void **state)
{
    struct fixture *f = *state;
    struct store_position p = {0};
    struct store_dead_letter d = {.event_id = SLICE_LITERAL("e"),
                                  .position = SLICE_LITERAL("1"),
                                  .key = SLICE_LITERAL("k"),
                                  .reason = SLICE_LITERAL("r"),
                                  .partition = -1,
                                  .parks = true};
    int64_t added, pruned_us = 0, noted_us;
    int parked = 0, waiting = 0, letters = 0, removed = 0;
    void *s = started(f);
    assert_done(f->ops->dead_letter_put(s, &d, &added, &f->err), &f->err);
    d.event_id = d.position = SLICE_LITERAL("2");
    d.parks = false;
    assert_done(f->ops->waiting_put(s, &d, 1, &added, &f->err), &f->err);
    d = (struct store_dead_letter){.event_id = SLICE_LITERAL("3"), .position = SLICE_LITERAL("3")};
    assert_done(f->ops->dead_letter_put(s, &d, NULL, &f->err), &f->err);
    f->ops->close(s);
    run_sql(f,
            "drop table commitrelay.pruned; alter table commitrelay.positions add pruned_before"
            " timestamptz; update commitrelay.positions set pruned_before = '2026-11-29T12:00:00Z',"
            " source_table = case when pipeline in (select pipeline from commitrelay.dead_letters"
            " where event_id = '3') then '\"public\".\"kept\"' else '' end; update"
            " commitrelay.dead_letters set state = 'removed' where event_id = '3'",
            "DROP TABLE commitrelay_pruned; ALTER TABLE commitrelay_positions ADD COLUMN "
            "pruned_before text; UPDATE commitrelay_positions SET pruned_before = "
            "'2026-11-29T12:00:00.000000Z', source_table = CASE WHEN pipeline IN (SELECT pipeline "
            "FROM commitrelay_dead_letters WHERE event_id = '3') THEN 'kept' ELSE '' END; UPDATE "
            "commitrelay_dead_letters SET state = 'removed' WHERE event_id = '3'");
    s = fixture_open(f);
    assert_done(f->ops->parked_list(s, count_parked, &parked, &f->err), &f->err);
    assert_done(f->ops->waiting_ids(s, count_id, &waiting, &f->err), &f->err);
    assert_done(
        f->ops->dead_letter_list(s, (struct store_letter_pick){0}, count_letter, &letters, &f->err),
        &f->err);
    assert_done(f->ops->removed_letters(s, count_removed, &removed, &f->err), &f->err);
    assert_true(parked == 1 && waiting == 1 && letters == 1 && removed == 1);
    assert_done(f->ops->pruned(s, "kept", &pruned_us, &f->err), &f->err);
    assert_true(pruned_us == TIME_NONE);
    fixture_start(f, s, &p);
    assert_done(f->ops->pruned(s, "kept", &pruned_us, &f->err), &f->err);
    assert_true(clock_parse_timestamp(SLICE_LITERAL("2026-11-29T12:00:00Z"), &noted_us));
    assert_true(pruned_us == noted_us);
    f->ops->close(s);
    buf_release(&p.cursor);
}

static void a_forgotten_pipeline_leaves_nothing(void **state)
{
    struct fixture *f = *state;
    struct store_position p = {0};
    struct store_dead_letter d = {.event_id = SLICE_LITERAL("e"), .reason = SLICE_LITERAL("r")};
    struct lines l;
    int64_t id = 0, letters = -1;
    char name[sizeof f->pipeline];
    void *runs = started(f);
    fixture_save(f, runs, "mine", 7);
    assert_done(f->ops->dead_letter_put(runs, &d, NULL, &f->err), &f->err);
    assert_done(f->ops->control_put(runs, STORE_PAUSE, "", "", &id, &f->err), &f->err);
    assert_done(f->ops->replay_add(runs, "r1", SLICE_LITERAL("x"), &f->err), &f->err);
    void *s = fixture_open(f);
    assert_int_equal(f->ops->forget(s, &f->err), RESULT_AGAIN);
    assert_non_null(strstr(f->err.text, f->pipeline));
    fixture_save(f, runs, "still mine", 8);
    f->ops->close(runs);
    f->ops->close(s);

    memcpy(name, f->pipeline, sizeof name);
    f->pipeline[0] = 'o';
    void *other = started(f);
    fixture_save(f, other, "other", 1);
    f->ops->close(other);
    memcpy(f->pipeline, name, sizeof name);

    s = fixture_open(f);
    int rc = RESULT_AGAIN; /* a lock that was just given up may take a moment to be free */
    for (int i = 0; rc == RESULT_AGAIN && i < 100; i++) {
        rc = f->ops->forget(s, &f->err);
    }
    assert_done(rc, &f->err);
    f->ops->close(s);
    s = fixture_open(f);
    assert_done(f->ops->observe(s, &p, &f->err), &f->err);
    assert_int_equal(p.cursor.len, 0);
    assert_int_equal(p.epoch, 0);
    assert_false(p.locked);
    assert_done(f->ops->dead_letter_count(s, &letters, &f->err), &f->err);
    assert_int_equal(letters, 0);
    assert_done(f->ops->replay_add(s, "r1", SLICE_LITERAL("x"), &f->err), &f->err); /* it is free */
    assert_lines(f, s, "", &l);
    f->pipeline[0] = 'o';
    other = fixture_open(f);
    assert_done(f->ops->observe(other, &p, &f->err), &f->err);
    assert_string_equal(buf_str(&p.cursor), "other");
    memcpy(f->pipeline, name, sizeof name);
    f->ops->close(other);
    f->ops->close(s);
    buf_release(&p.cursor);
}

int store_history_tests(const struct store_ops *ops, const char *url)
{
    const struct CMUnitTest tests[] = {
        STORE_TEST(a_line_a_minute_is_kept),
        STORE_TEST(the_position_of_a_time_is_found),
        STORE_TEST(lines_older_than_seven_days_go),
        STORE_TEST(a_store_of_an_earlier_version_goes_on),
        STORE_TEST(the_letters_of_the_build_before_are_seen),
        STORE_TEST(a_forgotten_pipeline_leaves_nothing),
    };
    fixture_use(ops, url);
    return cmocka_run_group_tests_name("history", tests, NULL, NULL);
}
