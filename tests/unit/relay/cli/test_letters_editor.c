/* A dead letter that goes through the editor: what nobody touched stays byte for byte what it was.
 */
#include "unit.h"

#include "cli/letters_editor.h"
#include <string.h>

static struct arena arena;

static int setup(void **state)
{
    (void)state;
    arena_init(&arena);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    arena_release(&arena);
    return 0;
}

static const struct letter_values json_letter = {
    .topic = SLICE_LITERAL("orders"),
    .key = SLICE_LITERAL("k \"1\"\n"),
    .headers = SLICE_LITERAL("{ \"a\" : 1.0 }"),
    .payload =
        SLICE_LITERAL("{\"n\": 1.50, \"big\": 123456789012345678901234567890, \"n\": \"\\u00e9\"}"),
    .json = true};

static int read_text(const char *text, struct letter_values *v, struct error *err)
{
    return letter_object_read(slice_from(text), v, &arena, err);
}

static void what_is_not_touched_stays(void **state)
{
    (void)state;
    struct letter_values v = json_letter;
    CLEANUP(buf_release) struct buf text = {0};
    struct error err;
    letter_object_add(&text, &v);
    assert_int_equal(letter_object_read(buf_slice(&text), &v, &arena, &err), RESULT_DONE);
    assert_true(slice_equal(v.topic, json_letter.topic) && slice_equal(v.key, json_letter.key));
    assert_true(slice_equal(v.headers, json_letter.headers));
    assert_true(slice_equal(v.payload, json_letter.payload));
}

static void nulls_and_bytes_stay(void **state)
{
    (void)state;
    struct letter_values v = {.key = SLICE_LITERAL("\xff\xfe"), .payload = SLICE_LITERAL("a\xff")};
    CLEANUP(buf_release) struct buf text = {0};
    struct error err;
    letter_object_add(&text, &v);
    assert_null(strstr(buf_str(&text), "key")); /* no text: only --payload-file takes bytes */
    assert_int_equal(letter_object_read(buf_slice(&text), &v, &arena, &err), RESULT_DONE);
    assert_true(slice_is_null(v.topic) && slice_is_null(v.headers));
    assert_true(slice_equal_str(v.key, "\xff\xfe") && slice_equal_str(v.payload, "a\xff"));
    struct letter_values null = {.payload = SLICE_LITERAL("null"), .json = true};
    buf_clear(&text);
    letter_object_add(&text, &null);
    assert_int_equal(letter_object_read(buf_slice(&text), &null, &arena, &err), RESULT_DONE);
    assert_true(slice_equal_str(null.payload, "null"));
}

static void what_is_changed_is_taken(void **state)
{
    (void)state;
    struct letter_values v = json_letter;
    struct error err;
    assert_int_equal(
        read_text("{\"topic\": \"t\\u0032\", \"key\": null, \"payload\": \"text\"}", &v, &err),
        RESULT_DONE);
    assert_true(slice_equal_str(v.topic, "t2") && slice_is_null(v.key));
    assert_true(slice_equal_str(v.payload, "\"text\""));
    assert_true(slice_equal(v.headers, json_letter.headers)); /* taken out: left as it was */
    assert_int_equal(read_text("{\"payload\": null}", &v, &err), RESULT_DONE);
    assert_true(slice_is_null(v.payload));
}

static void what_cannot_be_is_refused(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "",
        "[]",
        "{\"topic\": 1}",
        "{\"payloads\": 1}",
        "{\"headers\": []}",
        "{\"payload\": {\"a\": }",
        "{\"key\": \"a\\u0000\"}",
        "{\"topic\": \"a\"} x",
    };
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        struct letter_values v = json_letter;
        struct error err = {0};
        assert_int_equal(read_text(texts[i], &v, &err), RESULT_ERROR);
        assert_int_equal(err.class, ERROR_CONFIG);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_is_not_touched_stays, setup, teardown),
        cmocka_unit_test_setup_teardown(nulls_and_bytes_stay, setup, teardown),
        cmocka_unit_test_setup_teardown(what_is_changed_is_taken, setup, teardown),
        cmocka_unit_test_setup_teardown(what_cannot_be_is_refused, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
