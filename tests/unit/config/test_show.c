/* The settings are shown as they are in force, and no secret is among them. */
#include "unit.h"

#include "config/conf_show.h"
#include "fake_plugins.h"

#define SECRET "Zq7secret"

static void add(void *ctx, const char *key, const char *value)
{
    buf_printf(ctx, "%s = %s\n", key, value);
}

static void show(const char *yaml, struct buf *out)
{
    struct config *c = NULL;
    struct error err = {0};
    if (config_parse("t.yaml", slice_from(yaml), &fake_plugins, &c, &err)) {
        fail_msg("%s", err.text);
    }
    conf_show(c, add, out);
    config_free(c);
}

static void has(const struct buf *out, const char *line)
{
    if (!strstr(buf_str(out), line)) {
        fail_msg("no \"%s\" in:\n%s", line, buf_str(out));
    }
}

static void test_values(void **state UNUSED)
{
    CLEANUP(buf_release) struct buf out = {0};
    show("log: {level: warn}\n"
         "pipelines:\n"
         "  - name: a\n"
         "    source: {type: outbox_fake, url: x, mode: delete, poll_interval: 1500ms}\n"
         "    sink: {type: fake, dir: /var/out, rotate: {bytes: 3MiB, interval: 2h}, ratio: 0.5}\n"
         "    mask: [{field: card, with: last4}]\n",
         &out);
    has(&out, "store.url = sqlite:commitrelay.db\n");
    has(&out, "log.level = warn\n");
    has(&out, "admin.actions = false\n");
    has(&out, "pipelines.a.source.type = outbox_fake\n");
    has(&out, "pipelines.a.source.mode = delete\n");
    has(&out, "pipelines.a.source.columns.id = id\n");
    has(&out, "pipelines.a.source.poll_interval = 1500ms\n");
    has(&out, "pipelines.a.sink.dir = /var/out\n");
    has(&out, "pipelines.a.sink.rotate.bytes = 3MiB\n");
    has(&out, "pipelines.a.sink.rotate.interval = 2h\n");
    has(&out, "pipelines.a.sink.columns = [id, a, b]\n");
    has(&out, "pipelines.a.sink.ratio = 0.5\n");
    has(&out, "pipelines.a.route.key = {aggregateid}\n");
    has(&out, "pipelines.a.mask[0].field = card\n");
}

static void test_secrets(void **state UNUSED)
{
    static const char *const urls[] = {
        "postgresql://app:" SECRET "@db:5432/shop",
        "postgresql://db/shop?password=" SECRET,
        "postgresql://app:" SECRET "/b@db/shop", /* a slash that was not encoded */
        "https://hooks.example/services/" SECRET,
        "https://x@h/" SECRET,
        "host=db password=" SECRET,
        "host=db password='" SECRET " '",
        SECRET "@db",
    };
    for (size_t i = 0; i < sizeof urls / sizeof *urls; i++) {
        CLEANUP(buf_release) struct buf out = {0}, yaml = {0};
        buf_printf(&yaml,
                   "admin: {token: " SECRET "0123456789}\n"
                   "pipelines:\n"
                   "  - name: a\n"
                   "    source: {type: outbox_fake, url: \"%s\"}\n"
                   "    sink: {type: fake, password: " SECRET ", properties: {sasl: " SECRET
                   "}, words: [run, --token, " SECRET "],\n"
                   "      places: [{name: n, password: " SECRET "}]}\n"
                   "    mask: [{field: card, with: hmac, key: " SECRET SECRET SECRET SECRET "}]\n",
                   urls[i]);
        show(buf_str(&yaml), &out);
        if (strstr(buf_str(&out), SECRET)) {
            fail_msg("a secret is shown:\n%s", buf_str(&out));
        }
        has(&out, "admin.token = ***\n");
        has(&out, "sink.properties = {sasl: ***}\n");
        has(&out, "sink.words = [run, ***, ***]\n");
        has(&out, "sink.places[0].name = n\n");
    }
    CLEANUP(buf_release) struct buf out = {0};
    show(
        "pipelines:\n  - name: a\n    source: {type: outbox_fake, url: \"postgresql://u:p@db:5/x\"}\n"
        "    sink: {type: bare}\n",
        &out);
    has(&out, "source.url = postgresql://db:5/***\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_values),
                                       cmocka_unit_test(test_secrets)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
