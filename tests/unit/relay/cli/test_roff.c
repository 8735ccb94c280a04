/* What roff would take for a command or another character reaches the reader as it was. */
#include "unit.h"

#include "cli/kit/roff.h"

static void text(const char *plain, const char *expected)
{
    CLEANUP(buf_release) struct buf out = {0};
    roff_text(&out, slice_from(plain));
    assert_string_equal(buf_str(&out), expected);
}

static void markdown(const char *plain, const char *expected)
{
    CLEANUP(buf_release) struct buf out = {0};
    roff_markdown(&out, slice_from(plain));
    assert_string_equal(buf_str(&out), expected);
}

static void paragraphs(const char *plain, const char *expected)
{
    CLEANUP(buf_release) struct buf out = {0};
    roff_paragraphs(&out, plain);
    assert_string_equal(buf_str(&out), expected);
}

static void characters_stay(void **state UNUSED)
{
    text("a-b \\ c^d ~e", "a\\-b \\e c\\(had \\(tie");
    text(".SH x\n.br", "\\&.SH x\n\\&.br");
    text("'br it's", "\\(aqbr it\\(aqs");
    text("in the middle. And . so", "in the middle. And . so");
}

static void code_is_bold(void **state UNUSED)
{
    text("`--yes` and `a`", "\\fB\\-\\-yes\\fR and \\fBa\\fR");
    text("`left open", "\\fBleft open\\fR");
}

static void headings_and_paragraphs(void **state UNUSED)
{
    markdown("# Title\n\nOne\ntwo.\n\n## Top \"level\"\n\nThree.\n### `mask`\nFour.\n",
             ".PP\nOne\ntwo.\n.SH \"TOP \\(dqLEVEL\\(dq\"\n.PP\nThree.\n.SS \"mask\"\nFour.\n");
    paragraphs("One\ntwo\n\nexample: x\n    y\nz", ".PP\nOne\ntwo\n.PP\nexample: x\n    y\nz\n");
}

static void a_row_is_a_term(void **state UNUSED)
{
    markdown("| key | type | default | meaning |\n|---|---|---|---|\n"
             "| `a` | text | required | one \\| other |\n| `b.c` | size | `1KB` | two |\n\n"
             "| number | meaning |\n|---|---|\n| 0 | none |\n",
             ".TP\n\\fBa\\fR\ntext; required\n.br\none | other\n"
             ".TP\n\\fBb.c\\fR\nsize; default \\fB1KB\\fR\n.br\ntwo\n"
             ".TP\n0\nnone\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(characters_stay),
        cmocka_unit_test(code_is_bold),
        cmocka_unit_test(headings_and_paragraphs),
        cmocka_unit_test(a_row_is_a_term),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
