/* A line is whole JSON, whatever the texts in it; the file is the relay's own; and no line is lost
 * by a rotation. */
#include "unit.h"

#include "audit/audit.h"
#include <jansson.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

struct fixture {
    char dir[64], path[128];
    struct audit *log;
};

static unsigned told_failures, told_ends; /* what `tell` was called for */
static uint64_t told_missing;
static char told_text[1024];

static void tell(const struct error *err, uint64_t missing)
{
    told_failures += err != NULL;
    told_ends += err == NULL;
    told_missing = missing;
    if (err) {
        snprintf(told_text, sizeof told_text, "%s", err->text);
    }
}

static int setup(void **state)
{
    struct fixture *f = test_calloc(1, sizeof *f);
    snprintf(f->dir, sizeof f->dir, "/tmp/test_audit_XXXXXX");
    assert_non_null(mkdtemp(f->dir));
    snprintf(f->path, sizeof f->path, "%s/audit.log", f->dir);
    told_failures = told_ends = 0;
    told_missing = 0;
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    char command[128];
    audit_close(f->log);
    snprintf(command, sizeof command, "rm -rf '%s'", f->dir);
    assert_int_equal(system(command), 0);
    test_free(f);
    return 0;
}

static void opened(struct fixture *f)
{
    struct error err = {0};
    if (audit_open(f->path, tell, &f->log, &err)) {
        fail_msg("%s", err.text);
    }
}

static void note(struct fixture *f, const char *event)
{
    audit_write(f->log, &(struct audit_line){.event = event, .pipeline = "p"});
}

/* The n-th line of a file (from 0) as JSON, the caller's; NULL: there are not so many. */
static json_t *line_of(const char *path, size_t n)
{
    char text[8192];
    json_t *j = NULL;
    FILE *file = fopen(path, "re");
    assert_non_null(file);
    for (size_t i = 0; fgets(text, sizeof text, file); i++) {
        if (i == n) {
            j = json_loads(text, 0, NULL);
            assert_non_null(j);
        }
    }
    fclose(file);
    return j;
}

static const char *text_of(json_t *j, const char *key)
{
    return json_string_value(json_object_get(j, key));
}

static void has_event(const char *path, size_t n, const char *event)
{
    json_t *j = line_of(path, n);
    assert_string_equal(text_of(j, "event"), event);
    json_decref(j);
}

static void a_line_says_what_who_before_and_after(void **state)
{
    struct fixture *f = *state;
    CLEANUP(buf_release) struct buf before = {0}, after = {0};
    struct stat st;
    mode_t mask = umask(0077); /* takes nothing away from the mode */
    opened(f);
    umask(mask);
    assert_int_equal(stat(f->path, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0640);
    audit_text(&before, "position", "a\"b\\c\nd\x01 \xff \u202e ä");
    audit_yes(&before, "paused", true);
    audit_letter(&after, 7, "retried");
    audit_write(f->log, &(struct audit_line){.event = "retry",
                                             .pipeline = "orders",
                                             .who = "1000 anna",
                                             .before = &before,
                                             .after = &after});
    json_t *j = line_of(f->path, 0), *who = json_object_get(j, "who");
    assert_string_equal(text_of(j, "event"), "retry");
    assert_string_equal(text_of(j, "pipeline"), "orders");
    assert_int_equal(strlen(text_of(j, "time")), 27); /* RFC 3339, microseconds, Z */
    assert_int_equal(json_integer_value(json_object_get(who, "uid")), 1000);
    assert_string_equal(text_of(who, "user"), "anna");
    assert_string_equal(text_of(json_object_get(j, "before"), "position"),
                        "a\"b\\c\nd\x01 \xef\xbf\xbd \u202e ä");
    assert_string_equal(text_of(json_object_get(j, "before"), "paused"), "yes");
    json_t *is = json_object_get(j, "after");
    assert_int_equal(json_integer_value(json_object_get(is, "dead_letter")), 7);
    assert_string_equal(text_of(is, "state"), "retried");
    assert_int_equal(json_object_size(j), 6);
    json_decref(j);
    assert_int_equal(told_failures, 0);
    assert_false(audit_incomplete(f->log));
}

/* What the store says of who gave an order was written by others. */
static void who_is_what_it_can_be(void **state)
{
    struct fixture *f = *state;
    static const struct {
        const char *who, *shown;
    } cases[] = {{NULL, "\"daemon\""},      {"", "\"unknown\""},
                 {"daemon", "\"unknown\""}, {AUDIT_WHO_TOKEN, "\"token\""},
                 {"root", "\"unknown\""},   {"-1 x", "\"unknown\""},
                 {"12x", "\"unknown\""},    {"99999999999", "\"unknown\""},
                 {"0", "{\"uid\":0}"},      {"5 a\",\"b", "{\"uid\":5,\"user\":\"a\\\",\\\"b\"}"}};
    opened(f);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        audit_write(f->log, &(struct audit_line){.event = "x", .who = cases[i].who});
        json_t *j = line_of(f->path, i);
        char *shown = json_dumps(json_object_get(j, "who"), JSON_ENCODE_ANY | JSON_COMPACT);
        assert_string_equal(shown, cases[i].shown);
        assert_true(json_is_null(json_object_get(j, "pipeline")));
        assert_true(json_is_null(json_object_get(j, "before")));
        free(shown);
        json_decref(j);
    }
}

static void the_user_has_a_name(void **state UNUSED)
{
    char who[AUDIT_WHO_SIZE], wanted[AUDIT_WHO_SIZE];
    const struct passwd *root = getpwuid(0);
    audit_who(0, who);
    snprintf(wanted, sizeof wanted, "0 %s", root ? root->pw_name : "");
    assert_string_equal(who, root ? wanted : "0");
    audit_who(4123456789, who); /* nobody's */
    assert_string_equal(who, "4123456789");
}

static void without_a_path_nothing_is_written(void **state)
{
    struct fixture *f = *state;
    struct error err = {0};
    assert_int_equal(audit_open("", tell, &f->log, &err), 0);
    note(f, "x");
    audit_rotate(f->log);
    audit_write(NULL, &(struct audit_line){.event = "x"});
    audit_rotate(NULL);
    assert_false(audit_incomplete(NULL));
    assert_int_equal(access(f->path, F_OK), -1);
    assert_int_equal(audit_reopen(f->log, f->path, &err), 0);
    note(f, "y");
    has_event(f->path, 0, "y");
}

static void refused(struct fixture *f, int exit_code, const char *cause)
{
    struct error err = {0};
    assert_int_equal(audit_open(f->path, tell, &f->log, &err), RESULT_ERROR);
    assert_int_equal(err.class, ERROR_CONFIG);
    assert_int_equal(err.exit_code, exit_code);
    assert_non_null(strstr(err.text, f->path));
    if (!strstr(err.text, cause)) {
        fail_msg("\"%s\" does not say \"%s\"", err.text, cause);
    }
}

static void a_planted_file_is_refused(void **state)
{
    struct fixture *f = *state;
    char victim[128];
    snprintf(victim, sizeof victim, "%s/victim", f->dir);
    assert_int_equal(symlink(victim, f->path), 0);
    refused(f, EXIT_CODE_CONFIG, "a symbolic link");
    assert_int_equal(access(victim, F_OK), -1); /* nothing was made through it */
    assert_int_equal(unlink(f->path), 0);
    assert_int_equal(mkfifo(f->path, 0600), 0);
    refused(f, EXIT_CODE_IO, "cannot be opened"); /* nobody reads it */
    assert_int_equal(unlink(f->path), 0);
    assert_int_equal(mkdir(f->path, 0700), 0);
    refused(f, EXIT_CODE_IO, "Is a directory");
    assert_int_equal(rmdir(f->path), 0);
    FILE *file = fopen(f->path, "we");
    assert_non_null(file);
    fclose(file);
    assert_int_equal(chmod(f->path, 0646), 0);
    refused(f, EXIT_CODE_CONFIG, "world-writable");
    snprintf(f->path, sizeof f->path, "%s/no/such/audit.log", f->dir);
    refused(f, EXIT_CODE_IO, "make its directory");
}

static void a_rotation_loses_nothing(void **state)
{
    struct fixture *f = *state;
    char old[160];
    struct stat st;
    opened(f);
    snprintf(old, sizeof old, "%s.1", f->path);
    note(f, "a");
    assert_int_equal(rename(f->path, old), 0);
    note(f, "b"); /* the signal has not come yet */
    has_event(old, 1, "b");
    audit_rotate(f->log);
    assert_int_equal(stat(f->path, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0640);
    note(f, "c");
    has_event(f->path, 0, "c");
    assert_null(line_of(old, 2));
}

/* A new file that cannot be made: lines go on into the old one, and the path is tried each time. */
static void a_rotation_that_fails_goes_on_in_the_old_file(void **state)
{
    struct fixture *f = *state;
    char old[160];
    opened(f);
    snprintf(old, sizeof old, "%s.1", f->path);
    assert_int_equal(rename(f->path, old), 0);
    assert_int_equal(symlink("elsewhere", f->path), 0);
    audit_rotate(f->log);
    assert_int_equal(told_failures, 1);
    assert_non_null(strstr(told_text, "symbolic link"));
    note(f, "a");
    has_event(old, 0, "a");
    assert_int_equal(unlink(f->path), 0);
    note(f, "b");
    has_event(f->path, 0, "b");
    assert_false(audit_incomplete(f->log));
}

/* A limit on the file's size does what a full disk does: a line is cut, then none fits. */
static void a_line_that_cannot_be_written_is_told_once(void **state)
{
    struct fixture *f = *state;
    struct rlimit was, tight;
    struct stat st;
    opened(f);
    note(f, "a");
    assert_int_equal(stat(f->path, &st), 0);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &was), 0);
    (void)signal(SIGXFSZ, SIG_IGN);
    tight = (struct rlimit){(rlim_t)st.st_size + 10, was.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &tight), 0);
    note(f, "b");
    note(f, "c");
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &was), 0);
    assert_int_equal(told_failures, 1);
    assert_true(audit_incomplete(f->log));
    note(f, "d");
    assert_int_equal(told_ends, 1);
    assert_int_equal(told_missing, 2);
    has_event(f->path, 2, "d"); /* on a line of its own, behind the torn one */
}

/* Several processes write to one file, and each line is whole. */
static void lines_of_processes_do_not_mix(void **state)
{
    struct fixture *f = *state;
    enum { PROCESSES = 4, LINES = 200 };
    CLEANUP(buf_release) struct buf after = {0};
    char filler[1500];
    memset(filler, 'x', sizeof filler - 1);
    filler[sizeof filler - 1] = '\0';
    audit_text(&after, "filler", filler);
    pid_t children[PROCESSES];
    for (int i = 0; i < PROCESSES; i++) {
        children[i] = fork();
        if (children[i] == 0) {
            struct error err;
            if (audit_open(f->path, tell, &f->log, &err)) {
                _exit(1);
            }
            for (int k = 0; k < LINES; k++) {
                audit_write(f->log, &(struct audit_line){.event = "x", .after = &after});
            }
            _exit(audit_incomplete(f->log));
        }
    }
    for (int i = 0; i < PROCESSES; i++) {
        int status;
        assert_int_equal(waitpid(children[i], &status, 0), children[i]);
        assert_int_equal(status, 0);
    }
    char text[4096];
    size_t count = 0;
    FILE *file = fopen(f->path, "re");
    assert_non_null(file);
    for (; fgets(text, sizeof text, file); count++) {
        json_t *j = json_loads(text, 0, NULL);
        assert_non_null(j);
        json_decref(j);
    }
    fclose(file);
    assert_int_equal(count, PROCESSES * LINES);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_line_says_what_who_before_and_after, setup, teardown),
        cmocka_unit_test_setup_teardown(who_is_what_it_can_be, setup, teardown),
        cmocka_unit_test(the_user_has_a_name),
        cmocka_unit_test_setup_teardown(without_a_path_nothing_is_written, setup, teardown),
        cmocka_unit_test_setup_teardown(a_planted_file_is_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(a_rotation_loses_nothing, setup, teardown),
        cmocka_unit_test_setup_teardown(a_rotation_that_fails_goes_on_in_the_old_file, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_line_that_cannot_be_written_is_told_once, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(lines_of_processes_do_not_mix, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
