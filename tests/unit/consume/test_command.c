/* What a program of `exec_stream` answers, and what becomes of one that is out of step. The
 * programs are lines of a shell. */
#include "unit.h"

#include "consume/apply/command.h"
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <unistd.h>

static int stop_fd = -1;
static struct command_stream *stream;
static struct error err;

static int setup(void **state)
{
    (void)state;
    signal(SIGPIPE, SIG_IGN);
    stop_fd = eventfd(0, EFD_CLOEXEC);
    return stop_fd < 0;
}

static int teardown(void **state)
{
    (void)state;
    command_stream_free(stream);
    stream = NULL;
    close(stop_fd);
    return 0;
}

static char shell[] = "sh", option[] = "-c";
static char *words[] = {shell, option, NULL, NULL};
static struct conf_list argv = {.items = words, .count = 3};

static void start(const char *script)
{
    words[2] = (char *)(uintptr_t)script;
    stream = command_stream_new(&argv, stop_fd);
}

/* The class of what came of an event. */
static enum error_class give(const char *id)
{
    error_clear(&err);
    int rc = command_stream_run(stream, slice_from(id), SLICE_LITERAL("{}"), &err);
    return rc ? err.class : ERROR_NONE;
}

static void a_line_in_a_line_out(void **state)
{
    (void)state;
    start("read l; echo ok; read l; echo ok e2; read l; echo retry later; read l; echo no; read l");
    assert_int_equal(give("e1"), ERROR_NONE);
    assert_int_equal(give("e2"), ERROR_NONE);
    assert_int_equal(give("e3"), ERROR_RETRY);
    assert_int_equal(give("e4"), ERROR_POISON);
    assert_non_null(strstr(err.text, "answered: no"));
}

/* An answer that comes late is known by its id. */
static void an_answer_to_another_event_does_not_count(void **state)
{
    (void)state;
    start("n=1; while read l; do echo ok e$n; n=$((n + 1)); done");
    assert_int_equal(give("e1"), ERROR_NONE);
    assert_int_equal(give("e3"), ERROR_POISON);
    assert_non_null(strstr(err.text, "the id of another event"));
    assert_int_equal(give("e1"), ERROR_NONE); /* started anew */
}

static void two_lines_for_one_event_are_no_answer(void **state)
{
    (void)state;
    start("read l; printf 'ok\\nok\\n'; read l");
    assert_int_equal(give("e1"), ERROR_POISON);
    assert_non_null(strstr(err.text, "more than one line"));
}

static void wait_for_file(const char *path)
{
    struct stat st;
    for (int i = 0; stat(path, &st) && i < 6000; i++) {
        usleep(10000);
    }
    assert_int_equal(stat(path, &st), 0);
}

/* A line between two events belongs to none: the next one is not credited with it. */
static void a_line_too_many_is_noticed(void **state)
{
    (void)state;
    char dir[] = "/tmp/command-XXXXXX", go[64], done[64], script[400];
    assert_non_null(mkdtemp(dir));
    snprintf(go, sizeof go, "%s/go", dir);
    snprintf(done, sizeof done, "%s/done", dir);
    snprintf(script, sizeof script,
             "read l; echo ok; [ -e %s ] && read l; while [ ! -e %s ]; do sleep 0.01; done; "
             "echo ok; : > %s; read l; exit 1",
             done, go, done);
    start(script);
    assert_int_equal(give("e1"), ERROR_NONE);
    fclose(fopen(go, "w"));
    wait_for_file(done);
    assert_int_equal(give("e2"), ERROR_RETRY);
    assert_non_null(strstr(err.text, "answers no event"));
    assert_int_equal(give("e2"), ERROR_NONE);
    unlink(go);
    unlink(done);
    rmdir(dir);
}

/* Who dies at an event may die of it. */
static void a_death_is_a_try_of_the_event(void **state)
{
    (void)state;
    start("read l; exit 0");
    assert_int_equal(give("e1"), ERROR_POISON);
    assert_non_null(strstr(err.text, "ended with 0"));
    command_stream_free(stream);
    start("read l; kill -9 $$");
    assert_int_equal(give("e1"), ERROR_POISON);
    assert_non_null(strstr(err.text, "killed by a signal"));
    command_stream_free(stream);
    start("read l; exit 75");
    assert_int_equal(give("e1"), ERROR_RETRY);
}

static void a_death_between_events_is_none_of_theirs(void **state)
{
    (void)state;
    char dir[] = "/tmp/command-XXXXXX", one[64], script[300];
    assert_non_null(mkdtemp(dir));
    snprintf(one, sizeof one, "%s/pid", dir);
    snprintf(script, sizeof script,
             "echo $$ > %s.new; mv %s.new %s; read l; echo ok; exec sleep 60", one, one, one);
    start(script);
    for (int i = 0; i < 3; i++) {
        int pid = 0;
        unlink(one);
        assert_int_equal(give("e"), ERROR_NONE);
        wait_for_file(one);
        FILE *f = fopen(one, "r");
        assert_non_null(f);
        assert_int_equal(fscanf(f, "%d", &pid), 1);
        fclose(f);
        kill(pid, SIGKILL);
        for (char stat[32] = "", path[40]; stat[0] != 'Z';) { /* until it is dead */
            snprintf(path, sizeof path, "/proc/%d/stat", pid);
            f = fopen(path, "r");
            assert_non_null(f);
            assert_int_equal(fscanf(f, "%*d %*s %31s", stat), 1);
            fclose(f);
        }
    }
    unlink(one);
    rmdir(dir);
}

/* A program may end well after each event. That it does so just when it is given the next one is no
 * try of that one. */
static void who_leaves_well_is_started_anew(void **state)
{
    (void)state;
    start("read l; echo ok; read l; exit 0");
    for (int i = 0; i < 3; i++) {
        assert_int_equal(give("e"), ERROR_NONE);
    }
    command_stream_free(stream);
    start("read l; echo ok; read l; exit 3");
    assert_int_equal(give("e1"), ERROR_NONE);
    assert_int_equal(give("e2"), ERROR_POISON);
    command_stream_free(stream);
    start("read l; echo ok; read l; printf half; exit 0");
    assert_int_equal(give("e1"), ERROR_NONE);
    assert_int_equal(give("e2"), ERROR_POISON);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_line_in_a_line_out, setup, teardown),
        cmocka_unit_test_setup_teardown(an_answer_to_another_event_does_not_count, setup, teardown),
        cmocka_unit_test_setup_teardown(two_lines_for_one_event_are_no_answer, setup, teardown),
        cmocka_unit_test_setup_teardown(a_line_too_many_is_noticed, setup, teardown),
        cmocka_unit_test_setup_teardown(a_death_is_a_try_of_the_event, setup, teardown),
        cmocka_unit_test_setup_teardown(a_death_between_events_is_none_of_theirs, setup, teardown),
        cmocka_unit_test_setup_teardown(who_leaves_well_is_started_anew, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
