/* Two URLs are the same as a file, whatever characters they hold. */
#include "unit.h"

#include "cli/kit/quick.h"
#include "config/conf_ask.h"
#include "daemon/assembly.h"
#include "daemon/registry.h"
#include "message/encode.h"
#include <stdlib.h>

static const struct cli_command command = {.name = "try", .usage = ""};

static struct config *load_quick(const char *source, const char *sink, const struct quick *quick)
{
    CLEANUP(buf_release) struct buf yaml = {0};
    struct source_url url;
    struct config *c = NULL;
    struct error err = {0};
    assert_int_equal(source_url_take(&command, source, &url), 0);
    assert_int_equal(quick_config(&command, &url, sink, quick, &yaml), 0);
    if (config_parse("test", buf_slice(&yaml), registry_conf_plugins(), &c, &err)) {
        fail_msg("%s in: %s", err.text, buf_str(&yaml));
    }
    assert_int_equal(c->pipelines_count, 1);
    return c;
}

static struct config *load(const char *source, const char *sink, const char *table)
{
    return load_quick(source, sink, &(struct quick){.table = table});
}

static const char *source_text(const struct config *c, const char *key)
{
    return conf_ask_text(c->pipelines[0].source->keys, c->pipelines[0].source_conf, key);
}

static const char *sink_text(const struct config *c, const char *key)
{
    return conf_ask_text(c->pipelines[0].sink->keys, c->pipelines[0].sink_conf, key);
}

static bool makes_its_store(const struct config *c)
{
    CLEANUP(buf_release) struct buf url = {0};
    struct store_env env;
    assert_non_null(assembly_store(&env, &url, c, &c->pipelines[0]));
    return env.create;
}

static void test_sqlite_to_file(void **state UNUSED)
{
    /* Nothing in a path is YAML, and nothing is a variable. */
    const char *strange = "sqlite:a \"b\" \\ ${HOME} $${x} #c: {d}, 'e'\t[f]";
    struct config *c = load(strange, "file:out: #1", "my \"t\"");
    assert_string_equal(c->pipelines[0].name, "default");
    assert_string_equal(c->pipelines[0].source->name, "outbox_sqlite");
    assert_string_equal(source_text(c, "path"), strange + strlen("sqlite:"));
    assert_string_equal(source_text(c, "table"), "my \"t\"");
    assert_string_equal(c->pipelines[0].sink->name, "file");
    assert_string_equal(sink_text(c, "dir"), "out: #1");
    CLEANUP(buf_release) struct buf url = {0};
    assembly_store_url(&url, c, &c->pipelines[0]);
    assert_string_equal(buf_str(&url), strange);
    config_free(c);
}

static void test_postgres_to_kafka(void **state UNUSED)
{
    struct config *c = load("host=db dbname=shop", "kafka://a:9092,[::1]:9093", NULL);
    assert_string_equal(c->pipelines[0].source->name, "outbox_postgres");
    assert_string_equal(source_text(c, "url"), "host=db dbname=shop");
    assert_string_equal(source_text(c, "table"), "outbox");
    assert_string_equal(sink_text(c, "brokers"), "a:9092,[::1]:9093");
    config_free(c);
}

static void test_stream(void **state UNUSED)
{
    struct config *c = load_quick("host=db dbname=shop", "stdout:", &(struct quick){.cdc = true});
    const struct conf_pipeline *p = &c->pipelines[0];
    assert_string_equal(p->source->name, "cdc_postgres");
    assert_true(assembly_changes(p));
    assert_true(makes_its_store(c));
    assert_string_equal(format_words[p->encode.format], "flat");
    config_free(c);
    c = load_quick("host=db", "stdout:", &(struct quick){.cdc = true, .table = "shop.events"});
    p = &c->pipelines[0];
    assert_string_equal(p->source->name, "cdc_postgres");
    assert_false(assembly_changes(p));
    assert_string_equal(source_text(c, "table"), "shop.events");
    assert_string_equal(format_words[p->encode.format], "payload");
    config_free(c);
    c = load("host=db", "stdout:", NULL);
    assert_false(assembly_changes(&c->pipelines[0]) || makes_its_store(c));
    config_free(c);
}

static void test_environment(void **state UNUSED)
{
    setenv("COMMITRELAY_SOURCE", "postgresql://u:geheim@db/shop", 1);
    struct config *c = load(NULL, "stdout:", NULL);
    assert_string_equal(source_text(c, "url"), "postgresql://u:geheim@db/shop");
    assert_int_equal(c->warnings_count, 0); /* it is where a secret may be */
    config_free(c);
    setenv("COMMITRELAY_SOURCE", "sqlite:x.db", 1);
    c = load(NULL, "stdout:", NULL);
    assert_string_equal(source_text(c, "path"), "x.db");
    config_free(c);
    unsetenv("COMMITRELAY_SOURCE");
}

static void source_refused(const char *source)
{
    struct source_url url;
    assert_int_equal(source_url_take(&command, source, &url), 64);
}

static void test_refused(void **state UNUSED)
{
    CLEANUP(buf_release) struct buf yaml = {0};
    struct source_url url;
    source_refused(NULL);
    source_refused("sqlite:");
    source_refused("shop.db");
    source_refused("postgresql://u:geheim@db/shop");
    source_refused("postgresql://u@db/shop?password=geheim");
    source_refused("host=db password=geheim");
    assert_int_equal(source_url_take(&command, "sqlite:x", &url), 0);
    const char *sinks[] = {"kafka://", "kafka://u:p@h:9092", "kafka://h:9092/topic", "file:",
                           "stdout:x", "mysql://h",          "KAFKA://h:9092"};
    for (size_t i = 0; i < sizeof sinks / sizeof *sinks; i++) {
        assert_int_equal(quick_config(&command, &url, sinks[i], &(struct quick){0}, &yaml), 64);
    }
    const struct quick cdc = {.cdc = true};
    assert_int_equal(quick_config(&command, &url, "stdout:", &cdc, &yaml), 64);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sqlite_to_file), cmocka_unit_test(test_postgres_to_kafka),
        cmocka_unit_test(test_stream),         cmocka_unit_test(test_environment),
        cmocka_unit_test(test_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
