/* The table of Debezium's options answers for each, once, and names keys that there are. */
#include "unit.h"

#include "config/conf_core.h"
#include "config/conf_debezium.h"

static const char *found(enum debezium_where where, const char *name)
{
    const struct debezium_option *o = debezium_option_find(where, slice_from(name));
    return o ? o->name : "none";
}

static void names_and_patterns_fit(void **state)
{
    (void)state;
    assert_string_equal(found(DEBEZIUM_CONNECTOR, "database.hostname"), "database.hostname");
    assert_string_equal(found(DEBEZIUM_CONNECTOR, "database.loginTimeout"), "database.*");
    assert_string_equal(found(DEBEZIUM_CONNECTOR, "column.mask.with.12.chars"),
                        "column.mask.with.*.chars");
    assert_string_equal(found(DEBEZIUM_CONNECTOR, "column.mask.with.12.char"), "none");
    assert_string_equal(found(DEBEZIUM_CONNECTOR, "column.mask.hash.v2.SHA-256.with.salt.x"),
                        "column.mask.hash*");
    assert_string_equal(found(DEBEZIUM_CONNECTOR, "snapshot.mode"), "snapshot.mode");
    assert_string_equal(found(DEBEZIUM_CONNECTOR, "slot.nam"), "none");
    assert_string_equal(found(DEBEZIUM_SERVER, "slot.name"), "none");
    assert_string_equal(
        found(DEBEZIUM_TRANSFORM, "org.apache.kafka.connect.transforms.ExtractField$Key"),
        "org.apache.kafka.connect.transforms.ExtractField$Key");
    assert_string_equal(found(DEBEZIUM_TRANSFORM, "org.apache.kafka.connect.transforms.Cast$Value"),
                        "org.apache.kafka.connect.transforms.*");
    assert_string_equal(found(DEBEZIUM_TRANSFORM, "com.example.X"), "*");
}

/* No row is hidden behind a pattern that stands before it. */
static void each_is_found(void **state)
{
    (void)state;
    const struct debezium_option *o;
    for (size_t i = 0; (o = debezium_option_at(i)); i++) {
        CLEANUP(buf_release) struct buf name = {0};
        buf_add_replacing(&name, o->name, "*", "x");
        if (debezium_option_find(o->where, buf_slice(&name)) != o) {
            fail_msg("%s: another row comes first", o->name);
        }
    }
}

static void each_stands_there_once(void **state)
{
    (void)state;
    const struct debezium_option *a, *b;
    for (size_t i = 0; (a = debezium_option_at(i)); i++) {
        for (size_t j = i + 1; (b = debezium_option_at(j)); j++) {
            if (a->where == b->where && strcmp(a->name, b->name) == 0) {
                fail_msg("%s stands there twice", a->name);
            }
        }
        bool translated = a->effect == DEBEZIUM_KEY || a->effect == DEBEZIUM_CODE;
        if ((a->effect == DEBEZIUM_KEY && !*a->ours) || (!translated && *a->ours)) {
            fail_msg("%s: its key and its effect contradict each other", a->name);
        }
        if ((a->effect == DEBEZIUM_MESSAGES || a->effect == DEBEZIUM_OPERATION) && !*a->text) {
            fail_msg("%s: why is not said", a->name);
        }
    }
}

/* Whether the path, "encode.decimal", is a key of the table or of a group in it. */
static bool has_key(const struct conf_key *keys, const char *path)
{
    size_t n = strcspn(path, ".");
    for (; keys->name; keys++) {
        if (strlen(keys->name) == n && strncmp(keys->name, path, n) == 0) {
            return !path[n] || (keys->type == CONF_GROUP && has_key(keys->group, path + n + 1));
        }
    }
    return false;
}

static void our_keys_are_there(void **state)
{
    (void)state;
    const struct debezium_option *o;
    for (size_t i = 0; (o = debezium_option_at(i)); i++) {
        bool of_plugin = strncmp(o->ours, "source.", 7) == 0 || strncmp(o->ours, "sink.", 5) == 0;
        if (*o->ours && !of_plugin && strcmp(o->ours, "mask") != 0 &&
            !has_key(conf_pipeline_keys, o->ours)) {
            fail_msg("%s: there is no key %s", o->name, o->ours);
        }
    }
}

static void hint(const char *name, const char *expected)
{
    CLEANUP(buf_release) struct buf out = {0};
    bool has = debezium_hint(&out, slice_from(name));
    if (has != (expected != NULL) || (expected && !strstr(buf_str(&out), expected))) {
        fail_msg("%s: %s", name, buf_str(&out));
    }
}

static void a_name_of_debeziums_is_told(void **state)
{
    (void)state;
    hint("decimal.handling.mode", "; it is Debezium's name: here it is `encode.decimal`");
    hint("debezium.source.slot.name", "here it is `source.slot`");
    hint("route.by.field", "here it is `source.columns.aggregatetype`");
    hint("message.key.columns", "here it is `encode.key_columns`");
    hint("include.unknown.datatypes", "it is a name of Debezium's: ");
    hint("name", NULL);
    hint("transforms", NULL);
    hint("max.in.flight", NULL);
}

static void the_reference_has_them_all(void **state)
{
    (void)state;
    CLEANUP(buf_release) struct buf out = {0};
    const struct debezium_option *o;
    debezium_reference(&out);
    for (size_t i = 0; (o = debezium_option_at(i)); i++) {
        CLEANUP(buf_release) struct buf row = {0};
        buf_printf(&row, "\n| `%s` |", o->name);
        assert_non_null(strstr(buf_str(&out), buf_str(&row)));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_and_patterns_fit),      cmocka_unit_test(each_is_found),
        cmocka_unit_test(each_stands_there_once),      cmocka_unit_test(our_keys_are_there),
        cmocka_unit_test(a_name_of_debeziums_is_told), cmocka_unit_test(the_reference_has_them_all),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
