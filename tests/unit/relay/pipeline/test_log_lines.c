/* What the log says has begun it also says is over, at the level that the state deserves. */
#include "capture.h"

#include "base/log.h"
#include "fakes.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct metrics metrics;

/* The lines of one run. */
static const char *run(struct capture *c, const struct fake *script, struct conf_delivery delivery,
                       int exit_code)
{
    struct fake *f = calloc(1, sizeof *f);
    assert_non_null(f);
    *f = *script;
    f->events = f->events ? f->events : 20;
    capture_begin(c);
    int code = fake_run(f, delivery, &metrics);
    const char *text = capture_end(c);
    assert_int_equal(code, exit_code);
    assert_null(f->broken);
    free(f);
    return text;
}

/* Where the line is, at or behind `from`. */
static const char *find(const char *from, const char *level, const char *msg)
{
    char line[256];
    snprintf(line, sizeof line, "level=%s pipeline=test msg=\"%s", level, msg);
    const char *found = strstr(from, line);
    if (!found) {
        fail_msg("no line %s in:\n%s", line, from);
    }
    return found;
}

static unsigned count(const char *text, const char *part)
{
    unsigned n = 0;
    for (const char *at = text; (at = strstr(at, part)) != NULL; at++) {
        n++;
    }
    return n;
}

static void held_up_is_over(void **state)
{
    (void)state;
    struct capture c;
    static const struct fake script = {.held_up_looks = 1};
    const char *text = find(run(&c, &script, fake_delivery(), 0), "warn", "held up: waits for");
    find(text, "info", "no longer held up, after ");
}

static void a_failure_is_a_warning_and_back_is_not(void **state)
{
    (void)state;
    struct capture c;
    static const struct fake once = {.sink_refusals = 1}, twice = {.sink_refusals = 2};
    const char *text = find(run(&c, &once, fake_delivery(), 0), "warn", "state retrying: ");
    text = find(text, "info", "fake is back after 1 failed try\"");
    find(text, "info", "state running\"");
    find(run(&c, &twice, fake_delivery(), 0), "info", "fake is back after 2 failed tries\"");
}

/* What came before the failing place comes again each time, and shows nothing. */
static void only_what_is_beyond_shows_that_it_is_over(void **state)
{
    (void)state;
    struct capture c;
    static const struct fake script = {
        .events = 500, .commits = true, .fails_at = 300, .fails_times = 50};
    const char *text = run(&c, &script, fake_delivery(), 0);
    const char *back = find(text, "info", "fake is back after 49 failed tries\"");
    assert_null(strstr(back + 1, "retry in"));
    assert_ptr_equal(find(text, "info", "fake is back"), back);
    assert_int_equal(count(text, "retry in"), 1);
}

static void what_is_repeated_is_counted(void **state)
{
    (void)state;
    struct capture c;
    struct conf_delivery d = fake_delivery();
    static const struct fake script = {.events = 20, .sink_refusals = 500};
    const char *text = run(&c, &script, d, 0);
    assert_int_equal(count(text, "sink cannot start"), 2); /* the failure and the state */
    find(text, "info", "fake is back after 500 failed tries\"");
}

static void what_waits_for_an_operator_is_an_error(void **state)
{
    (void)state;
    struct capture c;
    static const struct fake script = {.poison[3] = true};
    find(run(&c, &script, fake_delivery(), EXIT_CODE_GAVE_UP), "error", "state blocked: event");
    static const struct fake overtaken = {.events = 4000, .overtaken_after = 1};
    find(run(&c, &overtaken, fake_delivery(), EXIT_CODE_UNAVAILABLE), "error", "state failed: ");
}

static void isolation_is_over(void **state)
{
    (void)state;
    struct capture c;
    struct conf_delivery skip = fake_delivery();
    skip.poison = CONF_POISON_SKIP;
    static const struct fake script = {.poison[3] = true};
    const char *text = find(run(&c, &script, skip, 0), "warn", "isolating a refused event");
    find(text, "info", "isolated: events are sent together again\"");
}

/* The line at `from` ends with the trace of event 3. */
static void has_trace(const char *from)
{
    char trace[80];
    size_t n = strcspn(from, "\n");
    int len = snprintf(trace, sizeof trace, " traceparent=" FAKE_TRACE, 3U);
    if (n < (size_t)len || strncmp(from + n - len, trace, (size_t)len) != 0) {
        fail_msg("no%s in: %.*s", trace, (int)n, from);
    }
}

static void lines_about_an_event_have_its_trace(void **state)
{
    (void)state;
    struct capture c;
    struct conf_delivery skip = fake_delivery();
    skip.poison = CONF_POISON_SKIP;
    static const struct fake script = {.poison[3] = true};
    const char *text = run(&c, &script, skip, 0);
    has_trace(find(text, "warn", "suspect event, sent alone"));
    has_trace(find(text, "warn", "dead letter: event id-3"));
    text = run(&c, &script, fake_delivery(), EXIT_CODE_GAVE_UP);
    has_trace(find(text, "error", "event id-3 at position 3 can never be delivered"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(held_up_is_over),
        cmocka_unit_test(a_failure_is_a_warning_and_back_is_not),
        cmocka_unit_test(only_what_is_beyond_shows_that_it_is_over),
        cmocka_unit_test(what_is_repeated_is_counted),
        cmocka_unit_test(what_waits_for_an_operator_is_an_error),
        cmocka_unit_test(isolation_is_over),
        cmocka_unit_test(lines_about_an_event_have_its_trace),
    };
    log_configure(LOG_INFO, LOG_LOGFMT);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
