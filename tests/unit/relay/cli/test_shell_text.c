/* What is printed to be pasted means the same in a shell, however it is laid out. */
#include "unit.h"

#include "base/shown.h"
#include "cli/columns.h"
#include "cli/kit/shell_text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* The words of a command, as bash sees them, each with a line end behind it. */
static void words_of(const char *command, char *ret, size_t size)
{
    char path[] = "/tmp/commitrelay-shell-XXXXXX", script[4096];
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    int n = snprintf(script, sizeof script, "commitrelay() { printf '%%s\\n' \"$@\"; } >%s\n%s\n",
                     path, command);
    assert_in_range(n, 1, sizeof script - 1);
    FILE *shell = popen("bash", "w");
    assert_non_null(shell);
    fputs(script, shell);
    assert_int_equal(pclose(shell), 0);
    ssize_t got = read(fd, ret, size - 1);
    ret[got < 0 ? 0 : got] = '\0';
    close(fd);
    unlink(path);
}

static void word(const char *text, const char *expected)
{
    CLEANUP(buf_release) struct buf out = {0};
    shell_add_word(&out, text);
    assert_string_equal(buf_str(&out), expected);
}

static void a_word_is_quoted_where_it_must_be(void **state UNUSED)
{
    word("relay-2.yaml", "relay-2.yaml");
    word("2026-11-21T10:00:00Z", "2026-11-21T10:00:00Z");
    word("", "''");
    word("my file", "'my file'");
    word("a\"$b`", "'a\"$b`'");
    word("it's", "'it'\"'\"'s'");
    word("~", "'~'");
    word("größe", "'größe'");
}

static void nothing_steers_the_terminal(void **state UNUSED)
{
    word("a\nb", "$'a\\012b'");
    word("\x1b[2J it's\\", "$'\\033[2J it\\047s\\134'");
    word("\xe2\x80\xae", "$'\\342\\200\\256'");
    word("\xff", "$'\\377'");
}

static void a_shell_reads_the_same(void **state UNUSED)
{
    static const char *const keys[] = {
        "k",
        "",
        "it's",
        "'",
        "two  blanks",
        "$HOME `id` \\ \"",
        "a\nb",
        "\x1b]0;x\x07 '\\''",
        "\xe2\x80\xae\xff",
        "o'neil, with a key that is too long for one line of a command, and then o'neil again"};
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        CLEANUP(buf_release) struct buf command = {0}, laid_out = {0}, shown = {0}, expected = {0};
        char words[2048];
        shell_add_command(&command, "dead-letters drop", "/etc/my relay/relay.yaml", "orders");
        shell_add_option(&command, "key", keys[i]);
        shell_add_option(&command, "type", NULL);
        columns_command(&laid_out, 4, buf_slice(&command));
        shown_escape(&shown, buf_slice(&laid_out), SHOWN_AS_LINES);
        words_of(buf_str(&shown), words, sizeof words);
        buf_printf(
            &expected,
            "dead-letters\ndrop\n-c\n/etc/my relay/relay.yaml\n--pipeline\norders\n--key\n%s\n",
            keys[i]);
        assert_string_equal(words, buf_str(&expected));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_word_is_quoted_where_it_must_be),
        cmocka_unit_test(nothing_steers_the_terminal),
        cmocka_unit_test(a_shell_reads_the_same),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
