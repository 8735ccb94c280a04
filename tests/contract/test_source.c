/* What every source must keep: each registered one, in each of its modes, on a real database. A
 * source or a mode without a fixture fails here, so that none can be forgotten. */
#include "../unit/unit.h"

#include "plugin_conf.h"
#include "source_cases.h"
#include "store_fixture.h"

#include <stdio.h>
#include <string.h>

enum { CASES_MAX = 64 };

/* The sources of this build, each with its kind, without which this does not link. */
#define SINK(name)
#define STORE(name)
#define SOURCE(name)                              \
    extern const struct source_ops source_##name; \
    extern const struct outbox_kind outbox_kind_##name;
#include "plugins.def"
#undef SOURCE

static const struct {
    const struct source_ops *ops;
    const struct outbox_kind *kind;
} sources[] = {
#define SOURCE(name) {&source_##name, &outbox_kind_##name},
#include "plugins.def"
#undef SOURCE
};

static const struct source_test *const lists[] = {source_loss_cases, source_resume_cases,
                                                  source_rest_cases, source_marks_cases};

/* ran[i]: whether the case concerned any source. */
static int run(struct source_case *c, bool *ran)
{
    struct CMUnitTest tests[CASES_MAX];
    char name[80];
    size_t n = 0, all = 0;
    for (size_t i = 0; i < sizeof lists / sizeof *lists; i++) {
        for (const struct source_test *t = lists[i]; t->test.name; t++, all++) {
            assert_true(all < CASES_MAX);
            if (!t->concerns || t->concerns(c)) {
                tests[n] = t->test;
                tests[n++].initial_state = c;
                ran[all] = true;
            }
        }
    }
    snprintf(name, sizeof name, "%s %s", c->ops->name, c->mode);
    return _cmocka_run_group_tests(name, tests, n, NULL, NULL);
}

static int count_forgotten(const bool *ran)
{
    int forgotten = 0;
    for (size_t i = 0, all = 0; i < sizeof lists / sizeof *lists; i++) {
        for (const struct source_test *t = lists[i]; t->test.name; t++, all++) {
            if (!ran[all]) {
                fprintf(stderr, "case %s concerns no source\n", t->test.name);
                forgotten++;
            }
        }
    }
    return forgotten;
}

static bool needs_server(void)
{
    for (size_t i = 0; i < sizeof sources / sizeof *sources; i++) {
        if (sources[i].kind->on_server) {
            return true;
        }
    }
    return false;
}

int main(int argc, char **argv)
{
    static const char *const one_mode[] = {"", NULL};
    char server[512] = "";
    bool ran[CASES_MAX] = {false};
    int failed = 0;
    if (argc > 1) {
        cmocka_set_test_filter(argv[1]);
    }
    if (needs_server()) {
        fixture_database_make(server, sizeof server);
    }
    for (size_t i = 0; i < sizeof sources / sizeof *sources; i++) {
        const struct source_ops *ops = sources[i].ops;
        const char *const *modes = plugin_conf_choices(ops->keys, "mode");
        for (modes = modes ? modes : one_mode; *modes; modes++) {
            failed += run(&(struct source_case){ops, sources[i].kind, *modes, server}, ran);
        }
    }
    if (server[0]) {
        fixture_database_drop();
    }
    return EVERY_PLUGIN ? failed + count_forgotten(ran) : failed;
}
