/* What a person sees: no secret, no escape sequence, no forged line. */
#include "base/shown.h"
#include "unit.h"

static void expect(const char *text, const char *expected)
{
    CLEANUP(buf_release) struct buf out = {0}, again = {0};
    shown_add(&out, slice_from(text), SHOWN_IN_LINE);
    assert_string_equal(buf_str(&out), expected);
    shown_add(&again, buf_slice(&out), SHOWN_IN_LINE);
    assert_string_equal(buf_str(&again), expected);
}

static void passwords_are_not_shown(void **state)
{
    (void)state;
    expect("postgresql://relay:S/tail@127.0.0.1:5432/shop",
           "postgresql://relay:***@127.0.0.1:5432/shop");
    expect("at `https://u:S@h`, not", "at `https://u:***@h`, not");
    expect("\"kafka://u:a b@h:9092\" is", "\"kafka://u:***@h:9092\" is");
    expect("kafka://u:S@h", "kafka://u:***@h");
    expect("postgresql://u:p@ss/w@h/db x", "postgresql://u:***@h/db x");
    expect("`postgresql://relay:SECRETcut...`", "`postgresql://relay:***`");
    expect("postgresql://:S@h", "postgresql://:***@h");
    expect("postgresql://u@h/db?password=S&x=1", "postgresql://u@h/db?password=***&x=1");
    expect("host=h password=S user=u", "host=h password=*** user=u");
    expect("host=h password='a b' user=u", "host=h password=*** user=u");
    expect("sasl.password=S", "sasl.password=***");
    expect("https://a:1@h https://b:2@h", "https://a:***@h https://b:***@h");
}

static void other_text_stays(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "postgresql://relay@127.0.0.1:5432/shop",
        "kafka://a:9092,b:9093",
        "http://h:8080/x:y",
        "postgresql://u@[::1]:5432/db",
        "http://[::1]:80/",
        "postgresql://h1:1,h2:2/db",
        "write postgresql://user@host:port/database",
        "file:out",
        "sqlite:x://",
        "kafka://HOST:PORT[,HOST:PORT], file:DIR",
        "é 日本 \\u001b",
        "a@b:c",
        "",
    };
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        expect(texts[i], texts[i]);
    }
}

static void terminals_are_not_obeyed(void **state)
{
    (void)state;
    expect("\x1b]0;x\x07\x1b[2J", "\\u001b]0;x\\u0007\\u001b[2J");
    expect("a\nlevel=error\r\tb\x7f", "a\\nlevel=error\\r\\tb\\u007f");
    expect("\xc2\x9b"
           "2J\xe2\x80\xae"
           "x\xe2\x81\xa6\xe2\x80\xa8",
           "\\u009b2J\\u202ex\\u2066\\u2028");
    expect("\xef\xbb\xbf\xd8\x9c\xe2\x80\x8f", "\\ufeff\\u061c\\u200f");
    expect("\x9b"
           "x\xff",
           "?x?");
    CLEANUP(buf_release) struct buf out = {0};
    shown_add(&out, slice_from("a\n\tb\x1b"), SHOWN_AS_LINES);
    assert_string_equal(buf_str(&out), "a\n\tb\\u001b");
}

static void a_cut_text_is_whole(void **state)
{
    (void)state;
    char text[8] = "a\x1b\x1b";
    shown_mend(text, sizeof text, SHOWN_IN_LINE);
    assert_string_equal(text, "a\\u001b");
    char umlaut[4] = "\x01\xc3\xa4";
    shown_mend(umlaut, sizeof umlaut, SHOWN_IN_LINE);
    assert_string_equal(umlaut, "\\u0");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(passwords_are_not_shown),
        cmocka_unit_test(other_text_stays),
        cmocka_unit_test(terminals_are_not_obeyed),
        cmocka_unit_test(a_cut_text_is_whole),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
