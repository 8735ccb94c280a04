/* Any bytes are a bounded tree or an error with a line. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka needs the four above first */
#include <cmocka.h>

#include "base/buf.h"
#include "config/yaml_tree.h"

static int parse(struct arena *a, struct slice text, const struct tree_node **ret,
                 struct error *err)
{
    *err = (struct error){0};
    *ret = NULL;
    return tree_parse("t.yaml", text, a, ret, err);
}

static void refuse(struct slice text, const char *expected)
{
    struct arena a;
    struct error err;
    const struct tree_node *root;
    arena_init(&a);
    if (parse(&a, text, &root, &err) == 0) {
        fail_msg("accepted, but expected: %s", expected);
    }
    if (!strstr(err.text, expected)) {
        fail_msg("\"%s\" does not hold \"%s\"", err.text, expected);
    }
    assert_int_equal(err.class, ERROR_CONFIG);
    arena_release(&a);
}

#define REFUSE(text, expected) refuse(SLICE_LITERAL(text), expected)

static void lines_are_those_of_the_file(void **state)
{
    (void)state;
    struct arena a;
    struct error err;
    const struct tree_node *root;
    arena_init(&a);
    assert_int_equal(
        parse(&a, SLICE_LITERAL("a: 1\n\nb:\n  - x\n  - 'y'\n# c\nd: |\n  t\n"), &root, &err), 0);
    assert_int_equal(root->count, 3);
    assert_int_equal(tree_find(root, "b")->line, 3);
    assert_int_equal(tree_find(root, "b")->value->items[1]->line, 5);
    assert_true(tree_find(root, "b")->value->items[1]->quoted);
    assert_false(tree_find(root, "a")->value->quoted);
    assert_int_equal(tree_find(root, "d")->line, 7);
    assert_true(slice_equal_str(tree_find(root, "d")->value->text, "t\n"));
    assert_null(tree_find(root, "c"));
    arena_release(&a);
}

static void an_empty_file_has_no_tree(void **state)
{
    (void)state;
    static const char *const texts[] = {"", "\n\n", "# only a comment", "\xEF\xBB\xBF"};
    struct arena a;
    struct error err;
    const struct tree_node *root;
    arena_init(&a);
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        assert_int_equal(parse(&a, slice_from(texts[i]), &root, &err), 0);
        assert_null(root);
    }
    arena_release(&a);
}

static void broken_bytes_are_errors(void **state)
{
    (void)state;
    REFUSE("a: 1\nb: \xFF\xFE\n", "t.yaml:2: not readable as UTF-8");
    REFUSE("a: 1\nb: x\0y\n", "t.yaml:2: not readable as UTF-8");
    REFUSE("a: \"x\\0y\"\n", "t.yaml:1: a NUL character");
    REFUSE("\"x\\0y\": 1\n", "a NUL character");
    REFUSE("a: [1\n", "t.yaml:2: not valid YAML");
    REFUSE("a: 1\n\tb: 2\n", "t.yaml:2: not valid YAML");
    REFUSE("a: \"x", "not valid YAML");
    REFUSE("a: b: c", "t.yaml:1: not valid YAML");
}

static void odd_shapes_are_refused(void **state)
{
    (void)state;
    REFUSE("a: 1\n---\nb: 2\n", "t.yaml:2: a second document");
    REFUSE("a: 1\nb: 2\na: 3\n", "t.yaml:3: key `a` is given twice, first in line 1");
    REFUSE("[a]: 1\n", "a key must be a plain name");
    REFUSE("{a: b}: 1\n", "a key must be a plain name");
    REFUSE("a: !!int 5\n", "a tag (!...)");
    REFUSE("a: !x {}\n", "a tag (!...)");
    REFUSE("a: *b\n", "alias `b` has no anchor");
    REFUSE("a: &b [*b]\n", "alias `b` stands inside its own anchor");
    REFUSE("? &k a\n: 1\n*k : 2\n", "a key must be a plain name");
}

static void an_alias_is_its_anchors_node(void **state)
{
    (void)state;
    struct arena a;
    struct error err;
    const struct tree_node *root;
    arena_init(&a);
    assert_int_equal(parse(&a, SLICE_LITERAL("a: &x 1\nb: *x\nc: &x 2\nd: *x\n"), &root, &err), 0);
    assert_ptr_equal(root->pairs[1].value, root->pairs[0].value);
    assert_ptr_equal(root->pairs[3].value, root->pairs[2].value);
    arena_release(&a);
}

static void bombs_are_refused(void **state)
{
    (void)state;
    struct buf text = {0};
    buf_add_str(&text, "a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n");
    for (int i = 1; i < 12; i++) {
        buf_printf(&text, "a%d: &a%d [", i, i);
        for (int j = 0; j < 10; j++) {
            buf_printf(&text, "%s*a%d", j ? "," : "", i - 1);
        }
        buf_add_str(&text, "]\n");
    }
    refuse(buf_slice(&text), "t.yaml:4: holds more than 100000 values");

    buf_clear(&text);
    for (int i = 0; i < 200000; i++) {
        buf_add_char(&text, '[');
    }
    refuse(buf_slice(&text), "nested deeper than 32 levels");

    buf_clear(&text);
    for (int i = 0; i < 1001; i++) {
        buf_printf(&text, "k%d: 1\n", i);
    }
    refuse(buf_slice(&text), "t.yaml:1001: a map with more than 1000 keys");

    buf_clear(&text);
    buf_add_str(&text, "a: ");
    for (int i = 0; i < 10 << 20; i += 16) {
        buf_add_str(&text, "xxxxxxxxxxxxxxxx");
    }
    refuse(buf_slice(&text), "larger than 4 MiB");
    text.len = 4 << 20;
    struct arena a;
    struct error err;
    const struct tree_node *root;
    arena_init(&a);
    assert_int_equal(parse(&a, buf_slice(&text), &root, &err), 0);
    assert_int_equal(root->pairs[0].value->text.len, (4 << 20) - 3);
    arena_release(&a);
    buf_release(&text);
}

static void shown_text_is_short_and_printable(void **state)
{
    (void)state;
    char out[TREE_SHOWN_SIZE];
    assert_string_equal(tree_shown(SLICE_LITERAL("a\n\x1b[31m`b"), out), "a??[31m?b");
    struct buf text = {0};
    buf_add_char(&text, 'x');
    for (int i = 0; i < 100; i++) {
        buf_add_str(&text, "\xC3\xA4");
    }
    tree_shown(buf_slice(&text), out);
    size_t n = strlen(out);
    assert_true(n < TREE_SHOWN_SIZE);
    assert_string_equal(out + n - 5, "\xC3\xA4...");
    buf_release(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lines_are_those_of_the_file),
        cmocka_unit_test(an_empty_file_has_no_tree),
        cmocka_unit_test(broken_bytes_are_errors),
        cmocka_unit_test(odd_shapes_are_refused),
        cmocka_unit_test(an_alias_is_its_anchors_node),
        cmocka_unit_test(bombs_are_refused),
        cmocka_unit_test(shown_text_is_short_and_printable),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
