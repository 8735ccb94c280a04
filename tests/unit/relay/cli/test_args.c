/* Options are taken as spelled, and every mistake ends with 64. */
#include "unit.h"

#include "cli/kit/args.h"
#include <stdio.h>
#include <unistd.h>

static const struct cli_command command = {
    .name = "try", .summary = "a test", .usage = "[WORD]", .about = NULL, .run = NULL};

struct got {
    bool flag;
    const char *text;
    int64_t number;
    struct args_list list;
    struct args_rest rest;
    int exit_code;
    char said[1024]; /* on stderr */
    char *argv[16];
};

/* What goes to stderr is read back through a file in its place. */
static bool parse(struct got *g, bool words, const char *const *words_given)
{
    const struct args_option options[] = {
        {.name = "flag", .kind = ARGS_FLAG, .target = &g->flag},
        {.name = "text", .letter = 't', .kind = ARGS_TEXT, .target = &g->text, .value = "T"},
        {.name = "number", .kind = ARGS_INT, .target = &g->number, .min = 1, .max = 9},
        {.name = "list", .kind = ARGS_LIST, .target = &g->list},
        {.name = "future", .letter = 'f', .kind = ARGS_LATER},
        ARGS_END};
    *g = (struct got){.exit_code = -1};
    int argc = 0;
    for (; words_given[argc]; argc++) {
        g->argv[argc] =
            (char *)(uintptr_t)words_given[argc]; /* getopt permutes, but does not write */
    }
    FILE *file = tmpfile();
    int saved = dup(2);
    assert_non_null(file);
    dup2(fileno(file), 2);
    bool ok = args_parse(&command, options, argc, g->argv, words ? &g->rest : NULL, &g->exit_code);
    dup2(saved, 2);
    close(saved);
    rewind(file);
    g->said[fread(g->said, 1, sizeof g->said - 1, file)] = 0;
    fclose(file);
    return ok;
}

#define ARGV(...) ((const char *[]){"try", __VA_ARGS__, NULL})

static void refused(const char *const *argv, const char *said)
{
    struct got g;
    assert_false(parse(&g, false, argv));
    assert_int_equal(g.exit_code, 64);
    if (!strstr(g.said, said)) {
        fail_msg("\"%s\" is not in: %s", said, g.said);
    }
    args_list_release(&g.list);
}

static void test_all_kinds(void **state UNUSED)
{
    struct got g;
    assert_true(parse(&g, true,
                      ARGV("--flag", "one", "--text", "a", "--number=7", "--list", "x", "two",
                           "--list=y", "--", "--flag")));
    assert_true(g.flag);
    assert_string_equal(g.text, "a");
    assert_int_equal(g.number, 7);
    assert_int_equal(g.list.count, 2);
    assert_string_equal(g.list.items[1], "y");
    assert_int_equal(g.rest.count, 3);
    assert_string_equal(g.rest.items[0], "one");
    assert_string_equal(g.rest.items[2], "--flag");
    args_list_release(&g.list);
    assert_true(parse(&g, false, ARGV("-t", "--text")));
    assert_string_equal(g.text, "--text");
}

static void test_mistakes(void **state UNUSED)
{
    refused(ARGV("--flga"),
            "--flga, the nearest known one is --flag; see `commitrelay try --help`");
    refused(ARGV("--zzzzzzzz"), "unknown option --zzzzzzzz;");
    refused(ARGV("--zzzzzzzz=secret"), "unknown option --zzzzzzzz;");
    refused(ARGV("-x"), "unknown option -x");
    refused(ARGV("--flag=1"), "--flag takes no value");
    refused(ARGV("--text"), "--text needs a value");
    refused(ARGV("-t"), "-t needs a value");
    refused(ARGV("--text="), "--text needs a value");
    refused(ARGV("--text", "a", "--text", "b"), "--text is given twice");
    refused(ARGV("--number", "0"), "1 to 9");
    refused(ARGV("--number", "5x"), "1 to 9");
    refused(ARGV("--number", "99999999999999999999"), "1 to 9");
    refused(ARGV("word"), "\"word\" is one word too many");
}

/* They would change their meaning when an option is added. */
static void test_abbreviations(void **state UNUSED)
{
    refused(ARGV("--fla"), "unknown option --fla");
    refused(ARGV("--tex", "a"), "unknown option --tex,");
    refused(ARGV("--tex=a"), "unknown option --tex,");
}

static void test_later(void **state UNUSED)
{
    refused(ARGV("--future"), "--future is not in this version");
    refused(ARGV("--future=1"), "--future is not in this version");
    refused(ARGV("-f"), "is not in this version");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_all_kinds),
        cmocka_unit_test(test_mistakes),
        cmocka_unit_test(test_abbreviations),
        cmocka_unit_test(test_later),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
