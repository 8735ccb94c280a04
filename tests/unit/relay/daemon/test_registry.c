/* A URL means one plugin, or none. */
#include "unit.h"

#include "daemon/registry.h"
#include <string.h>

static void assert_sink(const char *url, const char *name, const char *value)
{
    const char *got = NULL;
    const struct sink_ops *ops = registry_sink_of_url(url, &got);
    assert_string_equal(ops ? ops->name : "none", name);
    if (ops) {
        assert_string_equal(got, value);
    }
}

static void test_sinks(void **state UNUSED)
{
    assert_sink("kafka://a:9092,b:9092", "kafka", "a:9092,b:9092");
    assert_sink("file:out", "file", "out");
    assert_sink("file:/out", "file", "/out");
    assert_sink("stdout:", "stdout", "stdout:");
    assert_sink("https://h/x", "http", "https://h/x");
    assert_sink("http://h", "http", "http://h");
    const char *const none[] = {
        "", "kafka:", "kafka://", "file:", "stdout:x", "stdout", "KAFKA://h", "mysql://h"};
    for (size_t i = 0; i < sizeof none / sizeof *none; i++) {
        assert_sink(none[i], "none", "");
    }
}

static void assert_source(const char *url, bool stream, const char *name, const char *value)
{
    const char *got = NULL;
    const struct source_ops *ops = registry_source_of_url(url, stream, &got);
    assert_string_equal(ops ? ops->name : "none", name);
    if (ops) {
        assert_string_equal(got, value);
        assert_int_equal(ops->stream, stream);
    }
}

static void test_sources(void **state UNUSED)
{
    assert_source("postgresql://h/db", false, "outbox_postgres", "postgresql://h/db");
    assert_source("postgres://h/db", true, "cdc_postgres", "postgres://h/db");
    assert_source("host=/run/pg port=1", false, "outbox_postgres", "host=/run/pg port=1");
    assert_source("sqlite:shop.db", false, "outbox_sqlite", "shop.db");
    assert_source("sqlite:a=b", false, "outbox_sqlite", "a=b");
    assert_source("sqlite:shop.db", true, "none", "");
    assert_source("sqlite:", false, "none", "");
    assert_source("mysql://h/db?x=1", false, "none", "");
}

static void test_stores(void **state UNUSED)
{
    assert_string_equal(registry_store_of_url("host=db dbname=shop")->name, "postgres");
    assert_string_equal(registry_store_of_url("postgresql://h/db")->name, "postgres");
    assert_string_equal(registry_store_of_url("sqlite:a=b.db")->name, "sqlite");
    assert_null(registry_store_of_url("mysql://h/db?x=1"));
    assert_null(registry_store_of_url("sqlite:"));
    assert_null(registry_store_of_url("shop.db"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sinks),
        cmocka_unit_test(test_sources),
        cmocka_unit_test(test_stores),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
