/* Options are read from properties and JSON as Java and Kafka Connect read them; of regular
 * expressions those are understood that say no more than names. */
#include "unit.h"

#include "base/buf.h"
#include "cli/import/names.h"
#include "cli/import/options.h"

static const char *value_of(const struct import_options *o, const char *name)
{
    for (size_t i = 0; i < o->count; i++) {
        if (strcmp(o->items[i].name, name) == 0) {
            return o->items[i].value;
        }
    }
    return NULL;
}

static void properties(const char *text, const char *name, const char *expected)
{
    CLEANUP(arena_release) struct arena memory = {0};
    struct import_options o = {.memory = &memory};
    struct error err = {0};
    if (import_read_properties(&o, "t", slice_from(text), &err)) {
        fail_msg("%s: %s", text, err.text);
    }
    const char *value = value_of(&o, name);
    if (!value || strcmp(value, expected) != 0) {
        fail_msg("%s: %s is %s, not %s", text, name, value ? value : "missing", expected);
    }
}

static void properties_are_javas(void **state UNUSED)
{
    properties("a=b", "a", "b");
    properties("a = b \t", "a", "b");
    properties("  a:b\n", "a", "b");
    properties("a b c", "a", "b c");
    properties("a\tb", "a", "b");
    properties("a = = b", "a", "= b");
    properties("a=b=c:d", "a", "b=c:d");
    properties("a", "a", "");
    properties("a=\nb=1", "a", "");
    properties("# a=1\n  ! a=2\na=3", "a", "3");
    properties("a=x # no comment", "a", "x # no comment");
    properties("a=1\r\nb=2\r\n", "b", "2");
    properties("a=1\rb=2", "b", "2");
    properties("a=1\na=2", "a", "2"); /* the last one counts */
    properties("a=x,\\\n    y,\\\r\n\tz", "a", "x,y,z");
    properties("a=x\\\\\nb=1", "a", "x\\"); /* two backslashes are one, and no line is continued */
    properties("a=x\\", "a", "x");
    properties("a\\=b\\:c\\ d=e", "a=b:c d", "e");
    properties("a=\\t\\n\\x\\q\\\"", "a", "xq\"");
    properties("a=caf\\u00e9 \\u20AC \\uD83D\\uDE00", "a",
               "caf\xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80");
    properties("a=caf\xc3\xa9", "a", "caf\xc3\xa9");
    properties("\\u0061=1", "a", "1");
    properties("debezium.source.slot.name=s", "slot.name", "s");
    properties("debezium.transforms.x.type=T", "transforms.x.type", "T");
    properties("debezium.sink.type=T", "debezium.sink.type", "T");
}

static void refused(const char *text, size_t len, const char *says)
{
    CLEANUP(arena_release) struct arena memory = {0};
    struct import_options o = {.memory = &memory};
    struct error err = {0};
    assert_int_equal(import_read_properties(&o, "t", (struct slice){text, len}, &err),
                     RESULT_ERROR);
    if (err.class != ERROR_CONFIG || !strstr(err.text, says)) {
        fail_msg("%s: %s", text, err.text);
    }
}

static void what_is_no_text_is_refused(void **state UNUSED)
{
    static const struct {
        const char *text, *says;
    } cases[] = {{"a=1\nb=\\u12g4", "t:2:"},   {"a=\\u", "t:1:"},      {"a=\\u0000", "t:1:"},
                 {"a=\\ud83d", "t:1:"},        {"a=\\ud83dx", "t:1:"}, {"a=\\ude00", "t:1:"},
                 {"a=\\ud83d\\u0041", "t:1:"}, {"a=caf\xe9", "UTF-8"}, {"\n\n\\u1=2", "t:3:"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        refused(cases[i].text, strlen(cases[i].text), cases[i].says);
    }
    refused("a=b\0c", 5, "UTF-8");
}

/* "" stands for: it is there and empty; NULL: it must not be there. */
static void json(const char *text, const char *name, const char *expected)
{
    CLEANUP(arena_release) struct arena memory = {0};
    struct import_options o = {.memory = &memory};
    struct error err = {0};
    if (import_read_json(&o, "t", slice_from(text), &err)) {
        fail_msg("%s: %s", text, err.text);
    }
    const char *value = value_of(&o, name);
    if (expected ? !value || strcmp(value, expected) != 0 : value != NULL) {
        fail_msg("%s: %s is %s", text, name, value ? value : "missing");
    }
}

static void json_is_connects(void **state UNUSED)
{
    json("{\"a\": \"b\"}", "a", "b");
    json("{\"a\": 5432, \"b\": true}", "a", "5432");
    json("{\"a\": 5432, \"b\": true}", "b", "true");
    json("{\"a\": 1.5}", "a", "1.5");
    json("{\"a\": null}", "a", NULL);
    json("{\"a\": \"\"}", "a", "");
    json("{\"name\": \"n\", \"config\": {\"a\": \"b\"}}", "a", "b");
    json("{\"name\": \"n\", \"config\": {\"a\": \"b\"}}", "name", "n");
    json("{\"name\": \"n\", \"tasks\": [], \"config\": {\"name\": \"m\"}}", "name", "m");
    json("{\"config\": \"x\"}", "config", "x");
}

static void json_refused(const char *text, const char *says)
{
    CLEANUP(arena_release) struct arena memory = {0};
    struct import_options o = {.memory = &memory};
    struct error err = {0};
    assert_int_equal(import_read_json(&o, "t", slice_from(text), &err), RESULT_ERROR);
    if (err.class != ERROR_CONFIG || !strstr(err.text, says)) {
        fail_msg("%s: %s", text, err.text);
    }
}

static void other_json_is_refused(void **state UNUSED)
{
    json_refused("", "t:");
    json_refused("{\n\"a\": }", "t:2:");
    json_refused("[1]", "no JSON object");
    json_refused("{\"a\": [1]}", "`a` is a list");
    json_refused("{\"config\": {\"a\": {}}}", "`a` is a list or an object");
}

static void the_first_file_counts(void **state UNUSED)
{
    CLEANUP(arena_release) struct arena memory = {0};
    struct import_options o = {.memory = &memory};
    struct error err = {0};
    import_next_file(&o);
    assert_int_equal(import_read_properties(&o, "a", slice_from("x=1\ny=1\ny=2"), &err), 0);
    import_next_file(&o);
    assert_int_equal(import_read_json(&o, "b", slice_from("{\"x\": 3, \"z\": 4}"), &err), 0);
    assert_string_equal(value_of(&o, "x"), "1");
    assert_string_equal(value_of(&o, "y"), "2");
    assert_string_equal(value_of(&o, "z"), "4");
    assert_int_equal(o.count, 3);
}

/* What the list gives, plain names and behind | the patterns. */
static void split(const char *list, const char *expected)
{
    CLEANUP(arena_release) struct arena memory = {0};
    CLEANUP(buf_release) struct buf got = {0};
    struct import_names plain = {0}, patterns = {0};
    import_split(&memory, list, &plain, &patterns);
    for (size_t i = 0; i < plain.count; i++) {
        buf_printf(&got, "%s ", plain.items[i]);
    }
    for (size_t i = 0; i < patterns.count; i++) {
        buf_printf(&got, "| %s ", patterns.items[i]);
    }
    if (strcmp(buf_str(&got), expected) != 0) {
        fail_msg("%s gives %s, not %s", list, buf_str(&got), expected);
    }
}

static void names_are_told_from_patterns(void **state UNUSED)
{
    split("", "");
    split("public.a", "public.a ");
    split("public.a,public.b", "public.a public.b ");
    split(" public\\.a , public\\.b\n", "public.a public.b ");
    split("^public\\.a$", "public.a ");
    split("public.(a|b),s.c", "public.a public.b s.c ");
    split("(a|b).t", "a.t b.t ");
    split("public.a\\$b", "public.a$b ");
    split("s.${T},s.b", "s.${T} s.b ");
    split("public.*", "| public.* ");
    split("public.a.*,public.b", "public.b | public.a.* ");
    split("public\\.[ab]", "| public\\.[ab] ");
    split("public.(a|b.*)", "| public.(a|b.*) ");
    split("public.(a|b)+", "| public.(a|b)+ ");
    split("s.a\\d", "| s.a\\d ");
    split("s.a\\,b, s.my table,,s.c", "s.my table s.c | s.a,b ");
    split("a,b,c,d,e,f,g,h,i", "a b c d e f g h i ");
}

static void topic(const char *regex, const char *replacement, const char *expected)
{
    const char *tables[] = {"public.orders", "public.items"};
    const struct import_topics topics = {"pg", {tables, 2}};
    CLEANUP(buf_release) struct buf out = {0};
    bool told = import_topic(&out, &topics, regex, replacement);
    if (told != (expected != NULL) || (told && strcmp(buf_str(&out), expected) != 0)) {
        fail_msg("%s, %s: %s", regex, replacement, told ? buf_str(&out) : "cannot be told");
    }
}

static void rewritten_topics_are_templates(void **state UNUSED)
{
    topic("(.*)", "$1", "{name}.{schema}.{table}");
    topic(".*", "all", "all");
    topic("([^.]+)", "$1", NULL); /* it fits no topic */
    topic("pg\\.public\\.[^.]+$", "all", "all");
    topic("(.*)", "x-$0", "x-{name}.{schema}.{table}");
    topic("([^.]+)\\.([^.]+)\\.([^.]+)", "$3", "{table}");
    topic("([^.]+)[.]([^.]+)", "$2", NULL);
    topic("^([^.]+).([^.]+).([^.]+)$", "${2}_$3", "{schema}_{table}");
    topic("(?<a>\\w+)\\.(?<b>\\w+)\\.(?<c>\\w+)", "${c}.${a}", "{table}.{name}");
    topic("(?:[^.]+)\\.([^.]+)\\.(.*)", "$1", "{schema}");
    topic("(.*)\\.(.*)\\.(.*)", "$2-$3", "{schema}-{table}");
    topic("(.*)\\.(.*)", "$2", "{table}"); /* the first group takes all it can */
    topic("([^.]+)\\.(.*)", "$2", NULL);
    topic("pg\\.(.*)", "$1", "{schema}.{table}");
    topic("pg\\.public\\.(.*)", "cdc.$1", "cdc.{table}");
    topic("pg.public.(.*)", "cdc.$1", "cdc.{table}");
    topic("(pg)\\.(public)\\.(.*)", "$2.$3", "{schema}.{table}");
    topic("other\\.public\\.(.*)", "$1", NULL); /* it fits no topic */
    topic("pg\\.sales\\.(.*)", "$1", NULL);
    topic("pg\\.public\\.orders", "o", NULL); /* it fits one of two */
    topic("pg\\.public\\.(orders|items)", "o", NULL);
    topic("(.*)orders(.*)", "$1", NULL);
    topic("(.*)", "$2", NULL);
    topic("(.*)", "$", NULL);
    topic("(.*)", "a\"b", NULL);
    topic("(.*)", "", NULL);
    topic("(.*", "a", NULL);
    topic("", "a", NULL);
    topic("a.b.c.d", "a", NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(properties_are_javas),
        cmocka_unit_test(what_is_no_text_is_refused),
        cmocka_unit_test(json_is_connects),
        cmocka_unit_test(other_json_is_refused),
        cmocka_unit_test(the_first_file_counts),
        cmocka_unit_test(names_are_told_from_patterns),
        cmocka_unit_test(rewritten_topics_are_templates),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
