/* The source outbox_postgres for one shard of a pipeline: every statement that looks for rows
 * leaves out those of the other shards, in all three modes; what a shard is called. */
#include "unit.h"

#include <string.h>

#include "contract/part.h"
#include "contract/source.h"
#include "fake_libpq.h"
#include "plugin_conf.h"

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
                                      COLUMN("xid", "xid8", "U"),
                                      COLUMN("status", "text", "S"),
                                      COLUMN("attempts", "int4", "N"),
                                      COLUMN("last_error", "text", "S"),
                                      COLUMN("next_attempt_at", "timestamptz", "D"),
                                      COLUMN("published_at", "timestamptz", "D")};
static const char *const relation[] = {"16385", "r", "relay", "f", "t", "f", ""};
static const char *const no[] = {"f"};
static const char *const snapshot[] = {"30:30:"};
enum { COLUMN_FACTS = 15, COLUMN_COUNT = sizeof columns / sizeof *columns / COLUMN_FACTS };

static const struct fake_answer server[] = {
    {.when = "to_regclass($1)", .columns = 7, .rows = 1, .values = relation},
    {.when = "format_type(a.atttypid, a.atttypmod)",
     .columns = COLUMN_FACTS,
     .rows = COLUMN_COUNT,
     .values = columns},
    {.when = "pg_snapshot_xmax(pg_current_snapshot()))", .columns = 1, .rows = 1, .values = no},
    {.when = "select pg_current_snapshot()", .columns = 1, .rows = 1, .values = snapshot},
};

static const char filter[] =
    "(hashtextextended(coalesce(t.\"aggregateid\"::text, ''), 0) & 2147483647) % 8 = 3";

/* Starts the source for a part and gives its answer. The statements stay to be counted. */
static int start(const char *mode, const char *part, struct error *err)
{
    void *memory, *source;
    unsigned caps;
    struct source_env env = {.pipeline = "p",
                             .stop_fd = -1,
                             .store = {.positions = "commitrelay.positions",
                                       .dead_letters = "commitrelay.dead_letters",
                                       .part = part}};
    void *conf = plugin_conf_new(ops->keys, ops->conf_size, &memory);
    plugin_conf_text(ops->keys, conf, "url", "host=script");
    plugin_conf_text(ops->keys, conf, "mode", mode);
    fake_libpq_script(server, sizeof server / sizeof *server);
    assert_int_equal(ops->open(conf, &env, &source, &caps, err), RESULT_DONE);
    int rc = ops->start(source, SLICE_NULL, 1, err);
    ops->close(source);
    plugin_conf_free(conf, memory);
    return rc;
}

static void started(const char *mode, const char *part)
{
    struct error err = {0};
    if (start(mode, part, &err)) {
        fail_msg("mode %s, part \"%s\": %s", mode, part, err.text);
    }
}

/* Statements that give rows of the outbox, and how many of them have the filter. */
static void every_statement_has_the_filter(void **state)
{
    (void)state;
    started("position", "3/8");
    assert_int_equal(fake_libpq_sent("prepare: with w as materialized"), 1);
    assert_int_equal(fake_libpq_sent(filter),
                     1 + 2 * 5); /* the window, and two pages in each form */
    started("status", "3/8");
    assert_int_equal(fake_libpq_sent(filter), 5 + 1); /* pages, and the count */
    started("delete", "3/8");
    assert_int_equal(fake_libpq_sent(filter), 5 + 1);
}

/* The window looks for stragglers in two ways, and brings a page. */
static void the_window_has_it_wherever_it_looks(void **state)
{
    (void)state;
    started("position", "3/8");
    assert_int_equal(fake_libpq_sent("$2::bigint and (hashtextextended("), 1);
    assert_int_equal(fake_libpq_sent("$2::bigint) and (hashtextextended("), 1);
    assert_int_equal(fake_libpq_sent("$1::pg_snapshot) and (hashtextextended("), 1 + 5);
}

/* A page of stragglers is limited after the filter, or a page could be empty and look like the
 * last one. */
static void stragglers_are_filtered_before_the_limit(void **state)
{
    (void)state;
    started("position", "3/8");
    assert_int_equal(fake_libpq_sent("% 8 = 3 order by t.\"xid\", t.\"seq\" limit"), 5);
    assert_int_equal(fake_libpq_sent("% 8 = 3 union all select"), 5);
}

static void a_whole_pipeline_has_none(void **state)
{
    (void)state;
    static const char *const modes[] = {"position", "status", "delete"};
    for (size_t i = 0; i < sizeof modes / sizeof *modes; i++) {
        started(modes[i], PART_WHOLE);
        assert_int_equal(fake_libpq_sent("hashtextextended"), 0);
    }
}

static void a_part_that_is_none_is_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {"8/8", "3", "3/", "-1/8", "03/8", "3/8 ", "0/1", "1/17", "x"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct part p;
        struct error err = {0};
        assert_false(part_parse(bad[i], &p));
        assert_int_equal(start("position", bad[i], &err), RESULT_ERROR);
    }
}

static void every_part_has_its_text(void **state)
{
    (void)state;
    for (int of = 2; of <= PART_SHARDS_MAX; of++) {
        for (int number = 0; number < of; number++) {
            char text[PART_SIZE];
            struct part p;
            part_text((struct part){number, of}, text);
            assert_true(part_parse(text, &p));
            assert_int_equal(p.number, number);
            assert_int_equal(p.of, of);
        }
    }
    struct part whole;
    assert_true(part_parse(PART_WHOLE, &whole) && whole.of == 1);
    assert_true(part_parse(NULL, &whole) && whole.of == 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_statement_has_the_filter),
        cmocka_unit_test(the_window_has_it_wherever_it_looks),
        cmocka_unit_test(stragglers_are_filtered_before_the_limit),
        cmocka_unit_test(a_whole_pipeline_has_none),
        cmocka_unit_test(a_part_that_is_none_is_refused),
        cmocka_unit_test(every_part_has_its_text),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
