/* The scanner takes exactly what RFC 8259 allows; jansson is asked too. */
#include "unit.h"

#include "base/arena.h"
#include "base/buf.h"
#include "value/json.h"
#include <jansson.h>

static const struct {
    const char *text;
    bool valid;
    enum json_kind type;
} texts[] = {
    {"{}", true, JSON_IS_OBJECT},
    {"[]", true, JSON_IS_ARRAY},
    {" \t\r\n[ ] \n", true, JSON_IS_ARRAY},
    {"null", true, JSON_IS_NULL},
    {"true", true, JSON_IS_BOOL},
    {"false", true, JSON_IS_BOOL},
    {"\"\"", true, JSON_IS_STRING},
    {"0", true, JSON_IS_NUMBER},
    {"-0", true, JSON_IS_NUMBER},
    {"-12.5e+3", true, JSON_IS_NUMBER},
    {"1E5", true, JSON_IS_NUMBER},
    {"1e-5", true, JSON_IS_NUMBER},
    {"{\"a\":{\"b\":[1,{\"c\":[[],{}]},\"x\"]},\"d\":null}", true, JSON_IS_OBJECT},
    {"[1 , 2\n,3]", true, JSON_IS_ARRAY},
    {"{ \"a\" : 1 , \"a\" : 2 }", true, JSON_IS_OBJECT},
    {"\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u00e4\\uD83D\\uDE00\"", true, JSON_IS_STRING},
    {"\"\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80\x7f\"", true, JSON_IS_STRING},
    {"", false, 0},
    {" ", false, 0},
    {"{", false, 0},
    {"}", false, 0},
    {"[", false, 0},
    {"]", false, 0},
    {"[1", false, 0},
    {"[1,", false, 0},
    {"[1,]", false, 0},
    {"[,1]", false, 0},
    {"[1 2]", false, 0},
    {"[1}", false, 0},
    {"{\"a\":1]", false, 0},
    {"[{]}", false, 0},
    {"[[1]", false, 0},
    {"[1]]", false, 0},
    {"{\"a\"}", false, 0},
    {"{\"a\":}", false, 0},
    {"{\"a\":1,}", false, 0},
    {"{,}", false, 0},
    {"{a:1}", false, 0},
    {"{1:1}", false, 0},
    {"{\"a\" 1}", false, 0},
    {"{\"a\":1 \"b\":2}", false, 0},
    {"{} {}", false, 0},
    {"{\"a\":1} x", false, 0},
    {"1 2", false, 0},
    {"nul", false, 0},
    {"nulll", false, 0},
    {"True", false, 0},
    {"NaN", false, 0},
    {"Infinity", false, 0},
    {"-Infinity", false, 0},
    {"-", false, 0},
    {"+1", false, 0},
    {"01", false, 0},
    {"-01", false, 0},
    {"1.", false, 0},
    {".5", false, 0},
    {"1e", false, 0},
    {"1e+", false, 0},
    {"1e+-5", false, 0},
    {"1e-+5", false, 0},
    {"0x10", false, 0},
    {"'a'", false, 0},
    {"\"", false, 0},
    {"\"a", false, 0},
    {"\"\\", false, 0},
    {"\"\\\"", false, 0},
    {"\"\\x41\"", false, 0},
    {"\"\\u12\"", false, 0},
    {"\"\\u12g4\"", false, 0},
    {"\"\\u00", false, 0},
    {"\"a\nb\"", false, 0},
    {"\"a\tb\"", false, 0},
    {"\"\x01\"", false, 0},
    {"\"\x80\"", false, 0},
    {"\"\xc0\x80\"", false, 0},
    {"\"\xed\xa0\x80\"", false, 0},
    {"\"\xf4\x90\x80\x80\"", false, 0},
    {"\"\xc3\"", false, 0},
    {"/* no */ 1", false, 0},
    {"\xef\xbb\xbf{}", false, 0}, /* a byte order mark */
    {"[1]\v", false, 0},
};

static void checks_texts(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        struct slice s = slice_from(texts[i].text);
        enum json_kind type = JSON_IS_NULL;
        size_t fault = SIZE_MAX;
        bool valid = json_check(s, &type, &fault);
        if (valid != texts[i].valid || (valid && type != texts[i].type)) {
            fail_msg("%s: %d, type %d, fault at %zu", texts[i].text, valid, type, fault);
        }
        assert_true(valid || fault <= s.len);
        json_t *other = json_loadb(s.ptr, s.len, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
        assert_int_equal(other != NULL, valid);
        json_decref(other);
    }
    size_t fault;
    enum json_kind type;
    assert_false(json_check(SLICE_NULL, &type, &fault));
    assert_false(json_check((struct slice){"1\0", 2}, &type, &fault));
    assert_false(json_check((struct slice){"\"\\\0\"", 4}, &type, &fault));
    /* Nothing behind the slice's end is looked at. */
    assert_true(json_check((struct slice){"12]", 2}, &type, &fault));
    assert_false(json_check((struct slice){"true", 3}, &type, &fault));
    assert_false(json_check((struct slice){"\"a\"", 2}, &type, &fault));
}

static void tells_where_it_stops(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        size_t fault;
    } cases[] = {{"[1,x]", 3}, {"{\"a\" 1}", 5}, {"[1] x", 4}, {"\"ab\x01\"", 3}, {"[1", 2}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        enum json_kind type;
        size_t fault = 0;
        assert_false(json_check(slice_from(cases[i].text), &type, &fault));
        assert_int_equal(fault, cases[i].fault);
    }
}

static bool nested(size_t depth, const char *open, const char *inner, const char *closing)
{
    CLEANUP(buf_release) struct buf b = {0};
    for (size_t i = 0; i < depth; i++) {
        buf_add_str(&b, i % 3 == 2 ? "{\"k\":" : open);
    }
    buf_add_str(&b, inner);
    for (size_t i = depth; i-- > 0;) {
        buf_add_str(&b, i % 3 == 2 ? "}" : closing);
    }
    enum json_kind type;
    size_t fault;
    return json_check(buf_slice(&b), &type, &fault);
}

/* Wherever in a string a byte stands, near its begin or far from it, and whether the text ends soon
 * or not: eight bytes are looked at at once. */
static void each_byte_is_judged_in_each_place(void **state)
{
    (void)state;
    enum { PLACES = 20, BLANKS = 8 };
    for (size_t i = 0; i < 2 * PLACES * 256; i++) {
        size_t place = i / 256 % PLACES, blanks = i < PLACES * 256 ? 0 : BLANKS;
        unsigned char byte = (unsigned char)i;
        char text[PLACES + 4 + BLANKS] = "\"";
        size_t fault = 0;
        enum json_kind type;
        memset(text + 1, 'a', place);
        text[1 + place] = (char)byte;
        memcpy(text + 2 + place, "b\"", 2); /* behind a backslash it makes an escape */
        memset(text + 4 + place, ' ', blanks);
        bool valid = byte >= 0x20 && byte < 0x80 && byte != '"';
        struct slice all = {text, place + 4 + blanks};
        assert_int_equal(json_check(all, &type, &fault), valid);
        assert_int_equal(fault, valid ? 0 : 1 + place + (byte == '"'));
    }
}

static void nesting_is_bounded(void **state)
{
    (void)state;
    assert_true(nested(63, "[", "1", "]"));
    assert_true(nested(64, "[", "[]", "]"));
    assert_true(nested(65, "[", "{}", "]"));
    assert_true(nested(6000, "[1,", "null", ",2]"));
    assert_true(nested(JSON_DEPTH_MAX, "[", "1", "]"));
    assert_false(nested(JSON_DEPTH_MAX + 1, "[", "1", "]"));
    assert_false(nested(200000, "[", "1", "]"));
    assert_false(nested(129, "[", "1", "}"));
}

static void expect_member(struct json_members *m, const char *name, enum json_kind type,
                          const char *value)
{
    struct json_member got;
    assert_int_equal(json_members_next(m, &got), JSON_MEMBER);
    assert_true(slice_equal_str(got.name, name));
    assert_int_equal(got.type, type);
    assert_true(slice_equal_str(got.value, value));
    struct slice text = json_member_text(&got);
    if (type == JSON_IS_STRING) {
        assert_true(text.len == got.value.len + 2 && text.ptr[0] == '"' &&
                    text.ptr[text.len - 1] == '"');
    } else {
        assert_true(slice_equal(text, got.value));
    }
    assert_int_equal(got.value_escaped, type == JSON_IS_STRING && strchr(value, '\\') != NULL);
    assert_int_equal(got.name_escaped, strchr(name, '\\') != NULL);
}

static void walks_members_in_order(void **state)
{
    (void)state;
    struct json_members m = json_members(SLICE_LITERAL(
        " { \"a\" : \"x\" ,\"b\":-1.5e3,\"a\":null,\"\":true,\n\"n\\u0041\":\"q\\\"\",\"o\":{ "
        "\"p\": [1, 2] } , "
        "\"l\":[] } "));
    struct json_member end;
    expect_member(&m, "a", JSON_IS_STRING, "x");
    expect_member(&m, "b", JSON_IS_NUMBER, "-1.5e3");
    expect_member(&m, "a", JSON_IS_NULL, "null");
    expect_member(&m, "", JSON_IS_BOOL, "true");
    expect_member(&m, "n\\u0041", JSON_IS_STRING, "q\\\"");
    expect_member(&m, "o", JSON_IS_OBJECT, "{ \"p\": [1, 2] }");
    expect_member(&m, "l", JSON_IS_ARRAY, "[]");
    assert_int_equal(json_members_next(&m, &end), JSON_END);
    m = json_members(SLICE_LITERAL(" { } "));
    assert_int_equal(json_members_next(&m, &end), JSON_END);
}

/* Whatever json_check thinks of a text, the walk thinks the same. */
static void walking_is_as_strict_as_checking(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        struct json_members m = json_members(slice_from(texts[i].text));
        struct json_member member;
        enum json_step step;
        while ((step = json_members_next(&m, &member)) == JSON_MEMBER) {
        }
        bool object = texts[i].valid && texts[i].type == JSON_IS_OBJECT;
        if ((step == JSON_END) != object) {
            fail_msg("%s", texts[i].text);
        }
    }
}

static void unescapes(void **state)
{
    (void)state;
    static const struct {
        const char *raw, *text; /* NULL: refused */
    } cases[] = {
        {"", ""},
        {"abc", "abc"},
        {"\\\"\\\\\\/\\b\\f\\n\\r\\t", "\"\\/\b\f\n\r\t"},
        {"\\u0041\\u00e4\\u20AC", "A\xc3\xa4\xe2\x82\xac"},
        {"\\ud83d\\ude00!", "\xf0\x9f\x98\x80!"},
        {"\\uDBFF\\uDFFF", "\xf4\x8f\xbf\xbf"},
        {"\xc3\xa4\\n\xc3\xa4", "\xc3\xa4\n\xc3\xa4"},
        {"\\u0001", "\x01"},
        {"\\uFFFF", "\xef\xbf\xbf"},
        {"a\\u0000b", NULL},
        {"\\ud83d", NULL},
        {"\\ud83dx", NULL},
        {"\\ud83d\\n12345", NULL},
        {"\\ud83d\\u0041", NULL},
        {"\\ud83d\\ud83d", NULL},
        {"\\ude00", NULL},
        {"\\ude00\\ud83d", NULL},
        {"\\ude00\\ude00", NULL},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct slice raw = slice_from(cases[i].raw);
        char out[64];
        size_t len = 0;
        bool ok = json_unescape(raw, out, &len);
        if (ok != (cases[i].text != NULL) ||
            (ok && !slice_equal_str((struct slice){out, len}, cases[i].text))) {
            fail_msg("%s", cases[i].raw);
        }
        assert_true(!ok || len <= raw.len);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(checks_texts),
        cmocka_unit_test(tells_where_it_stops),
        cmocka_unit_test(each_byte_is_judged_in_each_place),
        cmocka_unit_test(nesting_is_bounded),
        cmocka_unit_test(walks_members_in_order),
        cmocka_unit_test(walking_is_as_strict_as_checking),
        cmocka_unit_test(unescapes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
