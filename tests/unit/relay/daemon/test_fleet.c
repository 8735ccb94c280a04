/* A reload touches what has changed and nothing else. The pipelines are real, SQLite to files, in a
 * directory of the test's own. */
#include "unit.h"

#include "daemon/fleet.h"
#include "daemon/registry.h"
#include "db/sqlite.h"
#include "schema/schema.h"
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

struct fixture {
    char dir[64];
    int end_fd;
    struct fleet *fleet;
};

static int setup(void **state)
{
    struct fixture *f = test_calloc(1, sizeof *f);
    snprintf(f->dir, sizeof f->dir, "/tmp/test_fleet_XXXXXX");
    assert_non_null(mkdtemp(f->dir));
    f->end_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    f->fleet = fleet_new(&(struct fleet_conf){.end_fd = f->end_fd});
    *state = f;
    return 0;
}

static void wait_for_end(struct fixture *f)
{
    uint64_t n;
    struct pollfd p = {.fd = f->end_fd, .events = POLLIN};
    if (poll(&p, 1, 180000) == 1) {
        assert_int_equal(read(f->end_fd, &n, sizeof n), sizeof n);
    }
    fleet_reap(f->fleet);
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    char command[128];
    fleet_stop(f->fleet);
    while (!fleet_ended(f->fleet)) {
        wait_for_end(f);
    }
    fleet_free(f->fleet);
    close(f->end_fd);
    snprintf(command, sizeof command, "rm -rf '%s'", f->dir);
    assert_int_equal(system(command), 0);
    test_free(f);
    return 0;
}

static void make_outbox(const struct fixture *f, const char *name)
{
    char path[128];
    struct sqlite *db = NULL;
    struct error err = {0};
    snprintf(path, sizeof path, "%s/%s.db", f->dir, name);
    struct sqlite_options o = {.path = path, .create = true, .need_write = true, .stop_fd = -1};
    if (sqlite_open(&o, &db, &err) || sqlite_exec(db, schema_sqlite_outbox, &err)) {
        fail_msg("%s", err.text);
    }
    sqlite_close(db);
}

static void add(struct buf *yaml, const struct fixture *f, const char *name, const char *more)
{
    buf_printf(yaml,
               "  - name: %s\n    source: {type: outbox_sqlite, path: %s/%s.db}\n"
               "    sink: {type: file, dir: %s/out}\n%s%s%s",
               name, f->dir, name, f->dir, more ? "    " : "", more ? more : "", more ? "\n" : "");
}

/* `names` ended by NULL; `more` goes to the pipeline named `changed`. */
static int apply(struct fixture *f, const char *const *names, const char *changed, const char *more,
                 struct error *err)
{
    CLEANUP(buf_release) struct buf yaml = {0};
    struct config *c;
    buf_add_str(&yaml, "pipelines:\n");
    for (; *names; names++) {
        add(&yaml, f, *names, changed && strcmp(changed, *names) == 0 ? more : NULL);
    }
    if (config_parse("test", buf_slice(&yaml), registry_conf_plugins(), &c, err)) {
        fail_msg("%s", err->text);
    }
    struct generation *g = generation_new(c);
    int rc = fleet_apply(f->fleet, g, err);
    generation_unref(g); /* what runs keeps it */
    return rc;
}

#define NAMES(...) ((const char *[]){__VA_ARGS__, NULL})

static void applied(struct fixture *f, const char *const *names, const char *changed,
                    const char *more)
{
    struct error err = {0};
    if (apply(f, names, changed, more, &err)) {
        fail_msg("%s", err.text);
    }
}

/* The row of a pipeline by value; false if it is not in the fleet. */
static bool look(struct fixture *f, const char *name, struct report_row *ret)
{
    size_t n;
    const struct report_row *rows = fleet_rows(f->fleet, &n);
    for (size_t i = 0; i < n; i++) {
        if (strcmp(rows[i].name, name) == 0) {
            *ret = rows[i];
            return true;
        }
    }
    return false;
}

/* Serves the ends of threads until the pipeline is in that state; a bounded wait. */
static struct report_row await(struct fixture *f, const char *name, enum pipeline_state state)
{
    struct report_row row;
    for (int i = 0; i < 18000; i++) {
        uint64_t n;
        struct pollfd p = {.fd = f->end_fd, .events = POLLIN};
        if (look(f, name, &row) && row.status.state == state) {
            return row;
        }
        if (poll(&p, 1, 10) == 1 && read(f->end_fd, &n, sizeof n) == (ssize_t)sizeof n) {
            fleet_reap(f->fleet);
        }
    }
    fail_msg("%s did not come to state %s", name, pipeline_state_name(state));
    return row;
}

static void test_only_the_changed_one_restarts(void **state)
{
    struct fixture *f = *state;
    make_outbox(f, "a");
    make_outbox(f, "b");
    applied(f, NAMES("a", "b"), NULL, NULL);
    struct report_row a = await(f, "a", PIPELINE_RUNNING), b = await(f, "b", PIPELINE_RUNNING);
    applied(f, NAMES("a", "b"), "b", "delivery: {max_in_flight: 7}");
    assert_int_equal(await(f, "a", PIPELINE_RUNNING).started_us, a.started_us);
    struct report_row again = {0};
    for (int i = 0; i < 10 && (!look(f, "b", &again) || again.started_us == b.started_us); i++) {
        wait_for_end(f);
    }
    again = await(f, "b", PIPELINE_RUNNING);
    assert_true(again.started_us > b.started_us);
    assert_ptr_equal(again.metrics, b.metrics); /* counters go on */
    assert_int_equal(await(f, "a", PIPELINE_RUNNING).started_us, a.started_us);
}

static void test_mistake_changes_nothing(void **state)
{
    struct fixture *f = *state;
    struct error err = {0};
    make_outbox(f, "a");
    applied(f, NAMES("a"), NULL, NULL);
    struct report_row a = await(f, "a", PIPELINE_RUNNING), row;
    /* c is refused, so b must not start and a must not stop. */
    assert_int_equal(apply(f, NAMES("b", "c"), "c", "delivery: {dead_letter_topic: x}", &err), -1);
    assert_int_equal(err.class, ERROR_CONFIG);
    assert_false(look(f, "b", &row));
    assert_false(look(f, "c", &row));
    assert_int_equal(await(f, "a", PIPELINE_RUNNING).started_us, a.started_us);
}

static void test_removed_and_back_again(void **state)
{
    struct fixture *f = *state;
    struct report_row row;
    make_outbox(f, "a");
    make_outbox(f, "b");
    applied(f, NAMES("a", "b"), NULL, NULL);
    struct report_row b = await(f, "b", PIPELINE_RUNNING);
    applied(f, NAMES("a"), NULL, NULL);
    applied(f, NAMES("a", "b"), NULL, NULL); /* while it still drains */
    wait_for_end(f);
    assert_true(await(f, "b", PIPELINE_RUNNING).started_us > b.started_us);
    applied(f, NAMES("a"), NULL, NULL);
    for (int i = 0; i < 3 && look(f, "b", &row); i++) {
        wait_for_end(f);
    }
    assert_false(look(f, "b", &row));
    assert_false(fleet_ended(f->fleet));
}

static void test_failure_takes_no_other_with_it(void **state)
{
    struct fixture *f = *state;
    make_outbox(f, "a");
    applied(f, NAMES("a", "b"), NULL, NULL); /* b has no database */
    struct report_row b = await(f, "b", PIPELINE_FAILED);
    struct report_row a = await(f, "a", PIPELINE_RUNNING);
    assert_true(b.status.detail[0] != 0);
    assert_int_equal(fleet_exit_code(f->fleet), 78);
    assert_false(fleet_ended(f->fleet));
    make_outbox(f, "b");
    applied(f, NAMES("a", "b"), NULL, NULL); /* the same file: a second chance */
    await(f, "b", PIPELINE_RUNNING);
    assert_int_equal(fleet_exit_code(f->fleet), 0);
    assert_int_equal(await(f, "a", PIPELINE_RUNNING).started_us, a.started_us);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_only_the_changed_one_restarts, setup, teardown),
        cmocka_unit_test_setup_teardown(test_mistake_changes_nothing, setup, teardown),
        cmocka_unit_test_setup_teardown(test_removed_and_back_again, setup, teardown),
        cmocka_unit_test_setup_teardown(test_failure_takes_no_other_with_it, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
