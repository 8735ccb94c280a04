/* The class decides policy and exit code, and no text is ever too long. */
#include "unit.h"

#include "base/error.h"
#include <errno.h>
#include <string.h>

static void class_gives_the_exit_code(void **state)
{
    (void)state;
    static const struct {
        enum error_class class;
        int exit_code;
        const char *name;
    } cases[] = {
        {ERROR_RETRY, 75, "retry"}, {ERROR_POISON, 75, "poison"}, {ERROR_CONFIG, 78, "config"},
        {ERROR_FATAL, 70, "fatal"}, {ERROR_BUSY, 75, "busy"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct error err;
        assert_int_equal(error_set(&err, cases[i].class, "test", "n %d", 7), -1);
        assert_int_equal(err.class, cases[i].class);
        assert_int_equal(err.exit_code, cases[i].exit_code);
        assert_string_equal(err.origin, "test");
        assert_string_equal(err.text, "n 7");
        assert_string_equal(err.code, "");
        assert_int_equal(err.retry_after_us, 0);
        assert_string_equal(error_class_name(cases[i].class), cases[i].name);
    }
    struct error err;
    assert_int_equal(error_exit(&err, ERROR_FATAL, EXIT_CODE_UNAVAILABLE, "test", "gone"), -1);
    assert_int_equal(err.exit_code, 69);
    error_clear(&err);
    assert_int_equal(err.class, ERROR_NONE);
    assert_string_equal(err.text, "");
    assert_string_equal(error_class_name(ERROR_NONE), "none");
}

static void errno_gives_class_and_code(void **state)
{
    (void)state;
    struct error err;
    assert_int_equal(error_errno(&err, "file", EACCES, "cannot open %s", "x"), -1);
    assert_int_equal(err.class, ERROR_CONFIG);
    assert_int_equal(err.exit_code, 77);
    assert_string_equal(err.code, "EACCES");
    assert_string_equal(err.text, "cannot open x: Permission denied");
    error_errno(&err, "file", EROFS, "x");
    assert_int_equal(err.exit_code, 77);
    error_errno(&err, "file", ENOSPC, "x");
    assert_int_equal(err.class, ERROR_RETRY);
    assert_int_equal(err.exit_code, 74);
    assert_string_equal(err.code, "ENOSPC");
    error_errno(&err, "file", 99999, "x");
    assert_string_equal(err.code, "errno");
}

static void text_is_utf8_whatever_it_quotes(void **state)
{
    (void)state;
    struct error err;
    error_set(&err, ERROR_POISON, "test", "the topic \"\xff\xc3\xa9\xc3\"");
    assert_string_equal(err.text, "the topic \"?\xc3\xa9?\"");
    char longest[2 * sizeof err.text];
    memset(longest, 'x', sizeof longest);
    memcpy(longest + sizeof err.text - 2, "\xc3\xa9", 3);
    error_set(&err, ERROR_POISON, "test", "%s", longest);
    assert_int_equal(strlen(err.text), sizeof err.text - 1);
    assert_int_equal(err.text[sizeof err.text - 2], '?');
    error_prefix(&err, "a\xe2\x82");
    assert_memory_equal(err.text, "a??: xxx", 8);
}

static void prefix_keeps_the_rest(void **state)
{
    (void)state;
    struct error err;
    error_set(&err, ERROR_CONFIG, "test", "cause");
    assert_int_equal(error_prefix(&err, "pipeline %s", "a"), -1);
    assert_string_equal(err.text, "pipeline a: cause");
    assert_int_equal(err.class, ERROR_CONFIG);
    error_prefix(&err, "%s", "");
    assert_string_equal(err.text, ": pipeline a: cause");
}

static void long_texts_are_cut(void **state)
{
    (void)state;
    char text[3000];
    memset(text, 'x', sizeof text);
    text[sizeof text - 1] = '\0';
    struct error err;
    error_set(&err, ERROR_RETRY, "test", "%s", text);
    assert_int_equal(strlen(err.text), sizeof err.text - 1);
    error_errno(&err, "test", EIO, "%s", text);
    assert_int_equal(strlen(err.text), sizeof err.text - 1);
    error_prefix(&err, "p");
    assert_int_equal(strlen(err.text), sizeof err.text - 1);
    assert_memory_equal(err.text, "p: xxx", 6);
    error_prefix(&err, "%s", text);
    assert_int_equal(strlen(err.text), sizeof err.text - 1);
    /* Every length around the limit: the sanitizers watch. */
    for (size_t n = sizeof err.text - 8; n < sizeof err.text + 4; n++) {
        error_set(&err, ERROR_RETRY, "test", "tail");
        error_prefix(&err, "%.*s", (int)n, text);
        assert_true(strlen(err.text) < sizeof err.text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(class_gives_the_exit_code),
        cmocka_unit_test(errno_gives_class_and_code),
        cmocka_unit_test(text_is_utf8_whatever_it_quotes),
        cmocka_unit_test(prefix_keeps_the_rest),
        cmocka_unit_test(long_texts_are_cut),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
