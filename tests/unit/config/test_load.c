/* A configuration becomes what its text says, or an error that names the line and the remedy. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka needs the four above first */
#include <cmocka.h>

#include "fake_plugins.h"
#include <stdio.h>
#include <stdlib.h>

#define HEAD "pipelines:\n  - name: a\n"
#define SOURCE "    source: {type: outbox_fake, url: x}\n"
#define SINK "    sink: {type: fake}\n"

static struct config *load(const char *yaml)
{
    struct config *c = NULL;
    struct error err = {0};
    if (config_parse("t.yaml", slice_from(yaml), &fake_plugins, &c, &err)) {
        fail_msg("%s", err.text);
    }
    return c;
}

static void refuse(const char *yaml, const char *expected)
{
    struct config *c = NULL;
    struct error err = {0};
    if (config_parse("t.yaml", slice_from(yaml), &fake_plugins, &c, &err) == 0) {
        fail_msg("accepted, but expected: %s", expected);
    }
    if (!strstr(err.text, expected)) {
        fail_msg("\"%s\" does not hold \"%s\"", err.text, expected);
    }
    assert_null(c);
    assert_int_equal(err.class, ERROR_CONFIG);
    assert_int_equal(err.exit_code, EXIT_CODE_CONFIG);
}

static void acting_needs_a_token_or_a_socket(void **state)
{
    (void)state;
    refuse("admin: {actions: true}\n" HEAD SOURCE SINK, "needs admin.listen");
    refuse("admin: {listen: \"127.0.0.1:1\", actions: true}\n" HEAD SOURCE SINK,
           "needs admin.token_file");
    refuse("admin: {token: short}\n" HEAD SOURCE SINK, "at least 16 printable characters");
    refuse("admin: {token: \"0123456789abcdef ghi\"}\n" HEAD SOURCE SINK, "no blank");
    config_free(load("admin: {listen: \"unix:/x\", actions: true}\n" HEAD SOURCE SINK));
    struct config *c = load("admin: {listen: \"127.0.0.1:1\", actions: true,"
                            " token: 0123456789abcdef}\n" HEAD SOURCE SINK);
    assert_true(c->admin.actions);
    assert_string_equal(c->admin.token, "0123456789abcdef");
    config_free(c);
}

static void defaults_are_the_contracts(void **state)
{
    (void)state;
    struct config *c = load(HEAD SOURCE SINK);
    assert_string_equal(c->file, "t.yaml");
    assert_string_equal(c->store.url, "sqlite:commitrelay.db");
    assert_int_equal(c->log.level, 2);
    assert_int_equal(c->log.format, 0);
    assert_string_equal(c->admin.listen, "");
    assert_int_equal(c->pipelines_count, 1);
    const struct conf_pipeline *p = c->pipelines;
    assert_int_equal(p->line, 2);
    assert_string_equal(p->route.topic, "outbox.event.{aggregatetype}");
    assert_string_equal(p->route.key, "{aggregateid}");
    assert_string_equal(p->route.partition, "");
    assert_int_equal(p->route.timestamp, CONF_TIMESTAMP_CREATED_AT);
    assert_int_equal(p->route.allow_topics.count, 0);
    assert_false(p->route.topic_given || p->route.key_given);
    assert_int_equal(p->encode.format, 0);
    assert_int_equal(p->encode.headers.words.count, 3);
    assert_string_equal(p->encode.headers.words.items[2], "created_at");
    assert_false(p->encode.headers.words.given);
    const struct conf_delivery *d = &p->delivery;
    assert_int_equal(d->max_in_flight, 10000);
    assert_int_equal(d->max_in_flight_bytes, 16 << 20);
    assert_int_equal(d->save_interval_us, 100000);
    assert_int_equal(d->drain_timeout_us, 10000000);
    assert_int_equal(d->retry.initial_us, 100000);
    assert_int_equal(d->retry.max_us, 30000000);
    assert_int_equal(d->breaker.window, 20);
    assert_true(d->breaker.failure_ratio == 0.5);
    assert_int_equal(d->breaker.open_for_us, 10000000);
    assert_int_equal(d->poison, CONF_POISON_STOP);
    assert_true(d->park.max_keys == 1000 && d->park.max_events == 100000);
    assert_int_equal(d->attempts, 3);
    assert_string_equal(d->dead_letter_topic, "");
    assert_true(d->ordered);
    const struct fake_sink *s = p->sink_conf;
    assert_string_equal(s->dir, "");
    assert_string_equal(s->columns.items[1], "a, b");
    assert_int_equal(s->bytes, 64 << 20);
    assert_true(s->ratio == 0.25);
    config_free(c);
}

static void values_reach_their_fields(void **state)
{
    (void)state;
    struct config *c =
        load("\xEF\xBB\xBFstore: {url: 'postgresql://h/db'}\r\n"
             "admin:\r\n"
             "log: {level: debug, format: json}\r\n"
             "pipelines:\r\n"
             "  - name: a-1_b\r\n"
             "    source:\r\n"
             "      type: outbox_fake\r\n"
             "      url: u\r\n"
             "      columns: {id: event_id}\r\n"
             "      mode: delete\r\n"
             "      batch_size: 7\r\n"
             "      poll_interval: 5ms\r\n"
             "    route: {key: '', topic: t}\r\n"
             "    encode: {headers: []}\r\n"
             "    delivery: {poison: skip, ordered: false, breaker: {failure_ratio: 1}}\r\n"
             "    sink:\r\n"
             "      type: fake\r\n"
             "      properties: {linger.ms: 5, enable.idempotence: true}\r\n"
             "      tables: [x, 'y']\r\n"
             "      rotate: {bytes: 1MB}\r\n"
             "      manifest: false\r\n"
             "  - name: b\r\n"
             "    source: {type: outbox_fake, url: x}\r\n"
             "    sink: {type: bare}\r\n");
    const struct conf_pipeline *p = c->pipelines;
    const struct fake_source *src = p->source_conf;
    const struct fake_sink *s = p->sink_conf;
    assert_int_equal(c->log.level, 3);
    assert_int_equal(c->log.format, 1);
    assert_string_equal(p->name, "a-1_b");
    assert_string_equal(src->columns.id, "event_id");
    assert_string_equal(src->columns.seq, "seq");
    assert_int_equal(src->mode, 2);
    assert_true(src->mode_given);
    assert_int_equal(src->batch_size, 7);
    assert_int_equal(src->poll_interval_us, 5000);
    assert_string_equal(p->route.key, "");
    assert_true(p->route.key_given && p->route.topic_given);
    assert_int_equal(p->encode.headers.words.count, 0);
    assert_true(p->encode.headers.words.given);
    assert_int_equal(p->delivery.poison, CONF_POISON_SKIP);
    assert_false(p->delivery.ordered);
    assert_true(p->delivery.breaker.failure_ratio == 1.0);
    assert_int_equal(p->delivery.breaker.window, 20);
    assert_int_equal(s->properties.count, 2);
    assert_string_equal(s->properties.pairs[0].name, "linger.ms");
    assert_string_equal(s->properties.pairs[1].value, "true");
    assert_int_equal(s->tables.count, 2);
    assert_true(s->tables.given);
    assert_int_equal(s->bytes, 1000000);
    assert_int_equal(s->interval_us, 10000000);
    assert_false(s->manifest);
    assert_string_equal(c->pipelines[1].sink->name, "bare");
    config_free(c);
}

static void headers_may_be_named_values(void **state)
{
    (void)state;
    struct config *c = load(
        HEAD SOURCE SINK
        "    encode: {headers: [{value: shop, as: origin}, id, {column: kind, as: eventType}]}\n");
    const struct conf_named_list *h = &c->pipelines[0].encode.headers;
    assert_int_equal(h->words.count, 1);
    assert_string_equal(h->words.items[0], "id");
    assert_int_equal(h->count, 2);
    assert_string_equal(h->items[0].value, "shop");
    assert_null(h->items[0].column);
    assert_string_equal(h->items[0].as, "origin");
    assert_string_equal(h->items[1].column, "kind");
    assert_string_equal(h->items[1].as, "eventType");
    assert_int_equal(h->items[0].place, 0);
    assert_int_equal(h->items[1].place, 2);
    char *before = strdup(c->pipelines[0].fingerprint);
    config_free(c);
    c = load(
        HEAD SOURCE SINK
        "    encode: {headers: [{column: shop, as: origin}, id, {column: kind, as: eventType}]}\n");
    assert_string_not_equal(before, c->pipelines[0].fingerprint);
    config_free(c);
    c = load(
        HEAD SOURCE SINK
        "    encode: {headers: [{value: shop, as: origin}, {column: kind, as: eventType}, id]}\n");
    assert_string_not_equal(before, c->pipelines[0].fingerprint);
    config_free(c);
    free(before);
    static const struct {
        const char *list, *error;
    } bad[] = {{"[{column: a}]", "an item is a word, {column: C, as: NAME} or"},
               {"[{as: a}]", "an item is a word"},
               {"[{column: a, value: b, as: c}]", "an item is a word"},
               {"[{colum: a, as: b}]", "unknown key `colum`"},
               {"[{colum: a, as: b}]", "did you mean `column`?"},
               {"[{column: '', as: b}]", "encode.headers.column must not be empty"},
               {"[{column: [a], as: b}]", "must be a single value"},
               {"[id, {column: a, as: id}]", "names `id` twice"},
               {"[{column: a, as: x}, {value: b, as: x}]", "names `x` twice"},
               {"[ids]", "did you mean `id`?"},
               {"{column: a, as: b}", "must be a list"}};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        char text[512];
        snprintf(text, sizeof text, HEAD SOURCE SINK "    encode: {headers: %s}\n", bad[i].list);
        refuse(text, bad[i].error);
    }
}

/* `check` shows all at once; what one mistake has spoiled is not complained about again. */
static void all_mistakes_are_told(void **state)
{
    (void)state;
    static const char yaml[] =
        "store: {url: nope}\n"
        "log: {level: loud, formt: json}\n"
        "pipelines:\n"
        "  - name: A!\n"
        "    source: {type: outbox_fake, url: x, batch_size: 10x, tabel: y}\n"
        "    sink: {type: fakee}\n"
        "  - name: b\n"
        "    delivery: {max_in_flight: -1, retry: {initial: 5}}\n"
        "    sink: {type: fake}\n"
        "  - 3\n";
    static const char *const expected[] = {
        "t.yaml:2: unknown key `formt`",
        "t.yaml:2: log.level: `loud`",
        "t.yaml:1: store.url must be",
        "t.yaml:4: pipelines[0].name: `A!`",
        "t.yaml:5: unknown key `tabel`",
        "t.yaml:5: pipelines[0].source.batch_size: `10x`",
        "t.yaml:6: pipelines[0].sink.type: `fakee`",
        "t.yaml:8: pipelines[1].delivery.max_in_flight: `-1`",
        "t.yaml:8: pipelines[1].delivery.retry.initial: `5` needs a unit",
        "t.yaml:7: required key `source` is missing in pipelines[1]",
        "t.yaml:10: pipelines[2] must be a map"};
    CLEANUP(buf_release) struct buf faults = {0};
    struct config *c = NULL;
    struct error err = {0};
    assert_int_equal(config_parse_all("t.yaml", slice_from(yaml), &fake_plugins, &faults, &c, &err),
                     -1);
    assert_null(c);
    assert_int_equal(err.exit_code, EXIT_CODE_CONFIG);
    assert_int_equal(strncmp(buf_str(&faults), err.text, strlen(err.text)), 0); /* the first */
    size_t lines = 0;
    for (const char *p = buf_str(&faults); (p = strchr(p, '\n')); p++) {
        lines++;
    }
    assert_int_equal(lines, sizeof expected / sizeof *expected);
    for (size_t i = 0; i < sizeof expected / sizeof *expected; i++) {
        if (!strstr(buf_str(&faults), expected[i])) {
            fail_msg("\"%s\" is not in: %s", expected[i], buf_str(&faults));
        }
    }
    buf_clear(&faults);
    assert_int_equal(
        config_parse_all("t.yaml", SLICE_LITERAL("a: [b\n"), &fake_plugins, &faults, &c, &err), -1);
    assert_true(faults.len > 0);
    buf_clear(&faults);
    assert_int_equal(config_parse_all("t.yaml", SLICE_LITERAL(HEAD SOURCE SINK), &fake_plugins,
                                      &faults, &c, &err),
                     0);
    assert_int_equal(faults.len, 0);
    config_free(c);
}

static void unknown_keys_are_named(void **state)
{
    (void)state;
    refuse(HEAD SOURCE "    sink:\n      type: fake\n      lingr_ms: 5ms\n",
           "t.yaml:6: unknown key `lingr_ms` in pipelines[0].sink; did you mean `linger_ms`?");
    refuse("loog: {}\n", "t.yaml:1: unknown key `loog` at the top level; did you mean `log`?");
    refuse(HEAD SOURCE "    sink: {type: bare, qqqqqqqq: 1}\n", "; known keys: type");
    refuse(HEAD SOURCE SINK "    delivery: {retry: {inital: 1s}}\n",
           "unknown key `inital` in pipelines[0].delivery.retry; did you mean `initial`?");
    refuse(HEAD SOURCE SINK "    sinks: {}\n", "did you mean `sink`?");
    refuse(HEAD SOURCE "    sink: {type: fake, dir_file: x}\n", "unknown key `dir_file`");
    refuse(HEAD SOURCE "    sink: {type: fake, password_files: x}\n",
           "unknown key `password_files`");
    refuse(HEAD SOURCE SINK "    \"${HOME}\": 1\n", "unknown key `${HOME}`");
}

static void a_key_may_be_parked(void **state)
{
    (void)state;
    struct config *c = load(
        HEAD SOURCE SINK "    delivery: {poison: park_key, park: {max_keys: 7, max_events: 9}}\n");
    const struct conf_delivery *d = &c->pipelines->delivery;
    assert_int_equal(d->poison, CONF_POISON_PARK_KEY);
    assert_true(d->park.max_keys == 7 && d->park.max_events == 9);
    config_free(c);
    refuse(HEAD SOURCE SINK "    delivery: {park: {max_keys: 0}}\n",
           "max_keys: `0` is out of range");
}

static void later_words_are_refused_by_name(void **state)
{
    (void)state;
    refuse(HEAD SINK "    source: {type: cdc_postgres, url: x}\n",
           "pipelines[0].source.type: `cdc_postgres` is not in this version");
    refuse(HEAD SOURCE "    sink: {type: fake, compression: gzip}\n",
           "key `compression` in pipelines[0].sink is not in this version");
    refuse(HEAD SOURCE "    sink: {type: fake, rotate: {codec: x}}\n",
           "`codec` in pipelines[0].sink");
    refuse(HEAD SINK "    source: {type: outbox_fake, url: x, mode: stream}\n",
           "`stream` is not in this version");
}

static void encoding_of_changes_has_debezium_s_words(void **state)
{
    (void)state;
    struct config *c = load(HEAD SOURCE SINK "    encode: {format: debezium}\n");
    const struct conf_encode *e = &c->pipelines->encode;
    assert_int_equal(e->format, 2);
    assert_int_equal(e->decimal | e->time | e->binary | e->interval | e->hstore, 0);
    assert_true(e->tombstones);
    assert_int_equal(e->skipped_operations.count, 1);
    assert_string_equal(e->skipped_operations.items[0], "t");
    assert_string_equal(e->unavailable_placeholder, "__debezium_unavailable_value");
    assert_string_equal(e->name, "");
    config_free(c);
    c = load(HEAD SOURCE SINK
             "    encode: {format: debezium, name: shop, decimal: string, time: nanoseconds,\n"
             "      binary: base64-url-safe, interval: string, hstore: map, tombstones: false,\n"
             "      skipped_operations: [], unavailable_placeholder: \"?\"}\n");
    e = &c->pipelines->encode;
    assert_int_equal(e->decimal, 2);
    assert_int_equal(e->time, 5);
    assert_int_equal(e->binary, 2);
    assert_int_equal(e->interval, 1);
    assert_int_equal(e->hstore, 1);
    assert_false(e->tombstones);
    assert_int_equal(e->skipped_operations.count, 0);
    assert_string_equal(e->name, "shop");
    config_free(c);
    config_free(load(HEAD SOURCE SINK "    encode: {format: cloudevents, source: /shop}\n"));
    config_free(load(HEAD SOURCE SINK "    encode: {format: flat, skipped_operations: [none]}\n"));
}

static void keys_of_another_format_are_refused(void **state)
{
    (void)state;
    static const char *const debezium_only[] = {"tombstones: true",  "decimal: precise",
                                                "time: adaptive",    "binary: bytes",
                                                "interval: numeric", "hstore: json"};
    CLEANUP(buf_release) struct buf yaml = {0};
    for (size_t i = 0; i < sizeof debezium_only / sizeof *debezium_only; i++) {
        buf_clear(&yaml);
        buf_printf(&yaml, HEAD SOURCE SINK "    encode:\n      format: flat\n      %s\n",
                   debezium_only[i]);
        refuse(buf_str(&yaml), "t.yaml:7: pipelines[0].encode.");
        refuse(buf_str(&yaml), " is for debezium; remove it, or set encode.format");
    }
    refuse(HEAD SOURCE SINK "    encode: {name: x}\n", "encode.name is for table changes");
    refuse(HEAD SOURCE SINK "    encode: {skipped_operations: [t]}\n",
           "encode.skipped_operations is for table changes");
    refuse(HEAD SOURCE SINK "    encode: {unavailable_placeholder: x}\n",
           "encode.unavailable_placeholder is for table changes");
    refuse(HEAD SOURCE SINK "    encode: {format: json, source: /x}\n",
           "encode.source is for cloudevents and cloudevents_json");
}

static void wrong_types_and_ranges_say_what_is_allowed(void **state)
{
    (void)state;
#define SRC(text) HEAD SINK "    source: {type: outbox_fake, url: x, " text "}\n"
#define SNK(text) HEAD SOURCE "    sink: {type: fake, " text "}\n"
    refuse(SRC("batch_size: 0"),
           "t.yaml:4: pipelines[0].source.batch_size: `0` is out of range; allowed: 1 to 100000");
    refuse(SRC("batch_size: -1"), "allowed: 1 to 100000");
    refuse(SRC("batch_size: 100001"), "allowed: 1 to 100000");
    refuse(SRC("batch_size: 99999999999999999999"), "out of range; allowed: 1 to 100000");
    refuse(SRC("batch_size: ten"), "`ten` is not a whole number; allowed: 1 to 100000");
    refuse(SRC("batch_size: 1.0"), "not a whole number");
    refuse(SRC("batch_size: 0x10"), "not a whole number");
    refuse(SRC("batch_size: \"10\""), "remove the quotes");
    refuse(SRC("batch_size: [10]"), "must be a single value, but is a list");
    refuse(SRC("batch_size: {a: 1}"), "must be a single value, but is a map");
    refuse(SRC("batch_size: "), "batch_size has no value");
    refuse(SRC("poll_interval: 250"), "`250` needs a unit, for example 250ms");
    refuse(SRC("poll_interval: 5sec"),
           "unknown unit; units: us, ms, s, m, h, d; allowed: 1ms to 1h");
    refuse(SRC("poll_interval: 2h"), "`2h` is out of range; allowed: 1ms to 1h");
    refuse(SRC("poll_interval: 1.5s"), "not a duration");
    refuse(SRC("poll_interval: -1s"), "out of range");
    refuse(SRC("poll_interval: 99999999999999d"), "out of range");
    refuse(SRC("table: ~"), "source.table has no value");
    refuse(SRC("mode: delte"), "source.mode: `delte` is not a known value; did you mean `delete`?");
    refuse(SRC("mode: zzzzz"), "one of: position, status, delete");
    refuse(SRC("columns: [id]"), "source.columns must be a map of keys, but is a list");
    refuse(SNK("rotate: {bytes: 5}"), "needs a unit, for example 64MiB");
    refuse(SNK("rotate: {bytes: 5mb}"), "unknown unit");
    refuse(SNK("rotate: {bytes: 1B}"), "allowed: 1KiB to 1024GiB");
    refuse(SNK("rotate: {interval: -1s}"), "allowed: 0s or more");
    refuse(SNK("ratio: 1.5"), "allowed: 0.001 to 1");
    refuse(SNK("ratio: nan"), "not a decimal number");
    refuse(SNK("ratio: 5e-1"), "not a decimal number");
    refuse(SNK("manifest: yes"), "`yes` is not true or false");
    refuse(SNK("manifest: \"true\""), "remove the quotes");
    refuse(SNK("tables: orders"), "must be a list, for example [a, b]");
    refuse(SNK("tables: [a, [b]]"), "must be a single value");
    refuse(SNK("tables: [a, '']"), "empty item");
    refuse(SNK("columns: []"), "sink.columns is required and must not be empty");
    refuse(SNK("tables: [a, a]"), "names `a` twice");
    refuse(SNK("properties: [a]"), "must be a map");
    refuse(SNK("properties: {a: {b: c}}"), "sink.properties.a must be a single value");
    refuse(HEAD SOURCE SINK "    encode: {headers: [id, tpye]}\n", "did you mean `type`?");
}

static void what_is_missing_is_named(void **state)
{
    (void)state;
    refuse("", "t.yaml:1: required key `pipelines` is missing");
    refuse("# nothing\n", "required key `pipelines` is missing");
    refuse("log: {level: info}\n", "required key `pipelines` is missing");
    refuse("- a\n", "a configuration is a map");
    refuse("pipelines: []\n", "1 to 1000 pipelines");
    refuse("pipelines:\n", "1 to 1000 pipelines");
    refuse("pipelines: [x]\n", "pipelines[0] must be a map");
    refuse("pipelines:\n  -\n    source: {}\n",
           "t.yaml:3: required key `name` is missing in pipelines[0]");
    refuse(HEAD SINK, "t.yaml:2: required key `source` is missing in pipelines[0]");
    refuse(HEAD SOURCE, "required key `sink` is missing in pipelines[0]");
    refuse(HEAD "    source: {url: x}\n",
           "t.yaml:3: required key `type` is missing in pipelines[0].source");
    refuse(HEAD "    source: {type: outbox_fake}\n", "t.yaml:3: required key `url` is missing");
    refuse(HEAD "    source: {type: outbox_fake, url: ''}\n",
           "url is required and must not be empty");
    refuse(HEAD "    source: {type: outbox_fak, url: ''}\n", "did you mean `outbox_fake`?");
    refuse(HEAD "    source: {type: zzzzz}\n", "`zzzzz` is not a known type; one of: outbox_fake");
    refuse(HEAD "    source: postgresql://u:geheim@h/db\n", "source must be a map of keys");
    refuse(HEAD "    source:\n" SINK, "it needs a `type`");
}

static void names_must_fit(void **state)
{
    (void)state;
#define NAMED(name) "pipelines:\n  - name: " name "\n" SOURCE SINK
    refuse(NAMED("Orders"), "t.yaml:2: pipelines[0].name: `Orders` must be 1 to 40 characters of");
    refuse(NAMED("''"), "must not be empty");
    refuse(NAMED("a.b"), "must be 1 to 40");
    refuse(NAMED("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaab"), "must be 1 to 40");
    config_free(load(NAMED("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaab")));
    refuse(HEAD SOURCE SINK "  - name: b\n" SOURCE SINK "  - name: a\n" SOURCE SINK,
           "t.yaml:8: pipelines[2].name: a pipeline `a` is already in line 2");
    refuse(HEAD "    name: b\n" SOURCE SINK,
           "t.yaml:3: key `name` is given twice, first in line 2");
    refuse("log: {}\nlog: {}\n", "key `log` is given twice");
    refuse("log: {}\n\"log\": {}\n", "key `log` is given twice");
}

static void keys_must_fit_each_other(void **state)
{
    (void)state;
    refuse(HEAD SOURCE SINK "    delivery:\n      retry: {initial: 1m}\n",
           "t.yaml:6: pipelines[0].delivery.retry: initial is longer than max");
    refuse(HEAD SOURCE SINK "    delivery: {dead_letter_topic: 'a b'}\n", "is no topic name");
    refuse("store: {url: mysql://x}\n" HEAD SOURCE SINK, "t.yaml:1: store.url must be sqlite:PATH");
    refuse("store: {url: 'sqlite:'}\n" HEAD SOURCE SINK, "store.url must be");
    refuse("admin: {listen: 9480}\n" HEAD SOURCE SINK, "admin.listen must be HOST:PORT");
    refuse("admin: {listen: 'h:65536'}\n" HEAD SOURCE SINK, "admin.listen must be HOST:PORT");
    refuse("admin: {listen: 'unix:'}\n" HEAD SOURCE SINK, "admin.listen must be");
    config_free(
        load("admin: {listen: '[::1]:0'}\nstore: {url: 'host=x dbname=y'}\n" HEAD SOURCE SINK));
}

static void aliases_share_and_are_bounded(void **state)
{
    (void)state;
    struct config *c =
        load("pipelines:\n"
             "  - {name: a, source: &s {type: outbox_fake, url: x}, sink: &k {type: bare},\n"
             "     delivery: &d {attempts: 9}}\n"
             "  - {name: b, source: *s, sink: *k, delivery: *d}\n");
    assert_int_equal(c->pipelines[1].delivery.attempts, 9);
    assert_string_equal(((struct fake_source *)c->pipelines[1].source_conf)->url, "x");
    config_free(c);
    refuse(HEAD SOURCE "    sink: {<<: *x}\n", "merge keys");
    refuse(HEAD SOURCE "    sink: *nowhere\n", "alias `nowhere` has no anchor");
}

static void rules_of_a_mask(void **state)
{
    (void)state;
    struct config *c = load(
        HEAD SOURCE SINK "    mask: [{field: a.b, with: null}, {with: hmac, field: c, key: k}]\n");
    const struct conf_mask_list *list = &c->pipelines[0].mask;
    assert_int_equal(list->count, 2);
    assert_string_equal(list->items[0].field, "a.b");
    assert_int_equal(list->items[0].how, CONF_MASK_NULL);
    assert_string_equal(list->items[1].key, "k");
    config_free(c);
    static const struct {
        const char *list, *error;
    } bad[] = {{"{field: a, with: drop}", "mask must be a list"},
               {"[a]", "mask[0] must be a map"},
               {"[{field: a}]", "required key `with` is missing in pipelines[0].mask[0]"},
               {"[{with: drop}]", "required key `field` is missing"},
               {"[{field: '', with: drop}]", "mask[0].field is required and must not be empty"},
               {"[{field: a, with: }]", "`` is not a known value"},
               {"[{field: a, with: drop, kind: b}]", "unknown key `kind`"},
               {"[{field: a, with: hmac}]", "needs a key"},
               {"[{field: a, with: drop, key: k}]", "only `with: hmac`, `hash`"},
               {"[{field: a, with: hash}]", "`with: hash` needs a key"},
               {"[{field: a, with: stars}]", "`with: stars` needs a length"},
               {"[{field: a, with: drop, length: 3}]", "`with: drop` uses none"},
               {"[{field: a, with: drop, algorithm: MD5}]", "has an algorithm, but only"},
               {"[{field: a, with: hash, key: k, algorithm: CRC}]", "`CRC` is not a known value"}};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        char text[512];
        snprintf(text, sizeof text, HEAD SOURCE SINK "    mask: %s\n", bad[i].list);
        refuse(text, bad[i].error);
    }
}

static void columns_beside_a_payload(void **state)
{
    (void)state;
    struct config *c = load(HEAD SOURCE SINK "    encode: {envelope: {kind: eventType, at: at}}\n");
    const struct conf_map *map = &c->pipelines[0].encode.envelope;
    assert_true(c->pipelines[0].encode.given.envelope);
    assert_int_equal(map->count, 2);
    assert_string_equal(map->pairs[0].name, "kind");
    assert_string_equal(map->pairs[0].value, "eventType");
    config_free(c);
    c = load(HEAD SOURCE SINK);
    assert_false(c->pipelines[0].encode.given.envelope);
    config_free(c);
    refuse(HEAD SOURCE SINK "    encode: {envelope: [kind]}\n",
           "encode.envelope must be a map of keys, but is a list");
    refuse(HEAD SOURCE SINK "    encode: {envelope_file: {kind: f}}\n", "`envelope_file`");
    refuse(HEAD SOURCE SINK "    encode: {format: json, envelope: {kind: a}}\n",
           "encode.envelope is for payload; remove it, or set encode.format");
}

static void columns_of_changes(void **state)
{
    (void)state;
    struct config *c = load(
        HEAD SOURCE SINK "    encode:\n"
                         "      format: debezium\n"
                         "      key_columns: {public.a: [x, y], 'b.c': [z]}\n"
                         "      exclude_columns: ['public\\.a\\.(p|q)']\n"
                         "      unwrap: {add_fields: [op, 'source.ts_ms:at'], deletes: rewrite}\n"
                         "    route: {topic_rewrite: {match: '(.*)_\\d', to: $1}}\n");
    const struct conf_encode *e = &c->pipelines[0].encode;
    assert_true(e->key_columns.given);
    assert_int_equal(e->key_columns.count, 2);
    assert_string_equal(e->key_columns.items[0].name, "public.a");
    assert_int_equal(e->key_columns.items[0].texts.count, 2);
    assert_string_equal(e->key_columns.items[0].texts.items[1], "y");
    assert_string_equal(e->key_columns.items[1].name, "b.c");
    assert_string_equal(e->exclude_columns.items[0], "public\\.a\\.(p|q)");
    assert_false(e->include_columns.given);
    assert_true(e->given.unwrap);
    assert_int_equal(e->unwrap.add_fields.count, 2);
    assert_int_equal(e->unwrap.deletes, 2);
    assert_string_equal(c->pipelines[0].route.topic_rewrite.match, "(.*)_\\d");
    assert_string_equal(c->pipelines[0].route.topic_rewrite.to, "$1");
    config_free(c);
    c = load(HEAD SOURCE SINK "    encode: {format: debezium, unwrap: {}}\n");
    assert_true(c->pipelines[0].encode.given.unwrap);
    assert_int_equal(c->pipelines[0].encode.unwrap.deletes, 1);
    assert_false(c->pipelines[0].encode.key_columns.given);
    config_free(c);
    refuse(HEAD SOURCE SINK "    encode: {format: flat, key_columns: [a]}\n",
           "encode.key_columns must be a map of keys, but is a list");
    refuse(HEAD SOURCE SINK "    encode: {format: flat, key_columns: {a.b: c}}\n",
           "encode.key_columns.a.b must be a list");
    refuse(HEAD SOURCE SINK "    encode: {format: flat, key_columns: {a.b: [c, c]}}\n",
           "encode.key_columns.a.b names `c` twice");
    refuse(HEAD SOURCE SINK "    encode: {key_columns: {a.b: [c]}}\n",
           "encode.key_columns is for table changes");
    refuse(HEAD SOURCE SINK "    encode: {format: debezium, unwrap: {}, tombstones: true}\n",
           "encode.tombstones has no effect with encode.unwrap");
    refuse(HEAD SOURCE SINK "    encode: {exclude_columns: [a]}\n",
           "encode.exclude_columns is for table changes");
    refuse(HEAD SOURCE SINK "    route: {topic_rewrite: {match: a}}\n",
           "route.topic_rewrite needs both `match`");
    refuse(HEAD SOURCE SINK "    route: {topic_rewrite: {key_field: a}}\n",
           "route.topic_rewrite needs both `match`");
}

static void a_fingerprint_tells_each_change(void **state)
{
    (void)state;
    static const char *const variants[] = {
        HEAD SOURCE SINK,
        "store: {url: 'sqlite:other.db'}\n" HEAD SOURCE SINK,
        HEAD "    source: {type: outbox_fake, url: y}\n" SINK,
        HEAD "    source: {type: outbox_fake, url: x, batch_size: 999}\n" SINK,
        HEAD SOURCE "    sink: {type: bare}\n",
        HEAD SOURCE "    sink: {type: fake, password: a}\n",
        HEAD SOURCE "    sink: {type: fake, password: b}\n",
        HEAD SOURCE "    sink: {type: fake, properties: {a: b}}\n",
        HEAD SOURCE "    sink: {type: fake, properties: {a: c}}\n",
        HEAD SOURCE "    sink: {type: fake, tables: [ab]}\n",
        HEAD SOURCE "    sink: {type: fake, tables: [a, b]}\n",
        HEAD SOURCE "    sink: {type: fake, places: [{name: a}]}\n",
        HEAD SOURCE "    sink: {type: fake, places: [{name: a, password: a}]}\n",
        HEAD SOURCE "    sink: {type: fake, places: [{name: a, password: b}]}\n",
        HEAD SOURCE "    sink: {type: fake, places: [{name: a}, {name: b}]}\n",
        HEAD SOURCE "    sink: {type: fake, rotate: {interval: 1s}}\n",
        HEAD SOURCE SINK "    delivery: {breaker: {failure_ratio: 0.501}}\n",
        HEAD SOURCE SINK "    route: {topic: 'outbox.event.{aggregatetype}'}\n",
        HEAD SOURCE SINK "    encode: {format: flat}\n",
        HEAD SOURCE SINK "    encode: {format: flat, key_columns: {a.b: [c]}}\n",
        HEAD SOURCE SINK "    encode: {format: flat, key_columns: {a.b: [c, d]}}\n",
        HEAD SOURCE SINK "    encode: {format: debezium}\n",
        HEAD SOURCE SINK "    encode: {format: debezium, unwrap: {}}\n",
        HEAD SOURCE SINK "    mask: [{field: a.b, with: drop}]\n",
        HEAD SOURCE SINK "    mask: [{field: a.b, with: null}]\n",
        HEAD SOURCE SINK "    mask: [{field: a.b, with: hmac, key: a}]\n",
        HEAD SOURCE SINK "    mask: [{field: a.b, with: hmac, key: b}]\n",
    };
    enum { N = sizeof variants / sizeof *variants };
    struct config *c[N];
    for (size_t i = 0; i < N; i++) {
        c[i] = load(variants[i]);
        for (size_t j = 0; j < i; j++) {
            assert_string_not_equal(c[i]->pipelines[0].fingerprint, c[j]->pipelines[0].fingerprint);
        }
    }
    /* comments, lines, spelled-out defaults and the log level change nothing */
    struct config *same = load("# x\nlog: {level: debug}\n" HEAD SOURCE
                               "    sink: {type: fake, ratio: 0.250, rotate: {bytes: 65536KiB}}\n");
    assert_string_equal(same->pipelines[0].fingerprint, c[0]->pipelines[0].fingerprint);
    config_free(same);
    for (size_t i = 0; i < N; i++) {
        config_free(c[i]);
    }
}

static void tables_alone_give_defaults(void **state)
{
    (void)state;
    struct fake_source src;
    struct error err = {0};
    void *memory = NULL;
    memset(&src, 1, sizeof src);
    assert_int_equal(config_defaults(fake_source_keys, &src, &memory, &err), 0);
    assert_string_equal(src.url, "");
    assert_string_equal(src.table, "outbox");
    assert_string_equal(src.columns.seq, "seq");
    assert_int_equal(src.batch_size, 1000);
    assert_false(src.mode_given);
    config_defaults_free(memory);

    const struct conf_key wrong[] = {{"n", CONF_INT, 0, "0", 1, 2, .help = "x"}, CONF_END};
    assert_int_equal(config_defaults(wrong, &src, &memory, &err), -1);
    assert_int_equal(err.class, ERROR_FATAL);
}

static void a_sink_may_stand_alone(void **state)
{
    (void)state;
    struct config *c = NULL;
    struct error err = {0};
    assert_int_equal(
        config_parse_sink("s.yaml", slice_from("sink: {type: fake}\n"), &fake_plugins, &c, &err),
        0);
    assert_int_equal(c->pipelines_count, 1);
    assert_string_equal(c->pipelines[0].sink->name, "fake");
    assert_non_null(c->pipelines[0].sink_conf);
    config_free(c);
    const struct {
        const char *yaml, *says;
    } bad[] = {{"sink: {type: fake}\nroute: {}\n", "s.yaml:2: unknown key `route`"},
               {"sink:\n  type: fak\n", "s.yaml:2: sink.type: `fak` is not a known type"},
               {"[]\n", "a sink's file is a map with one key, `sink`"},
               {"", "a sink's file is a map with one key, `sink`"},
               {"{}\n", "required key `sink` is missing"}};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_int_equal(
            config_parse_sink("s.yaml", slice_from(bad[i].yaml), &fake_plugins, &c, &err), -1);
        if (!strstr(err.text, bad[i].says)) {
            fail_msg("\"%s\" does not hold \"%s\"", err.text, bad[i].says);
        }
    }
}

static void a_list_of_maps_fills_structs(void **state)
{
    (void)state;
    struct config *c =
        load(HEAD SOURCE "    sink: {type: fake, places: [{name: a}, {name: b, wait: 5s}]}\n");
    const struct fake_sink *s = c->pipelines[0].sink_conf;
    const struct fake_place *places = s->places.items;
    assert_int_equal(s->places.count, 2);
    assert_string_equal(places[0].name, "a");
    assert_string_equal(places[0].password, "");
    assert_int_equal(places[0].wait_us, 1000000);
    assert_string_equal(places[1].name, "b");
    assert_int_equal(places[1].wait_us, 5000000);
    config_free(c);
    c = load(HEAD SOURCE SINK);
    assert_int_equal(((const struct fake_sink *)c->pipelines[0].sink_conf)->places.count, 0);
    config_free(c);
    refuse(HEAD SOURCE "    sink: {type: fake, places: {name: a}}\n",
           "pipelines[0].sink.places must be a list of at most 2 maps");
    refuse(HEAD SOURCE "    sink: {type: fake, places: [{name: a}, {name: b}, {name: c}]}\n",
           "pipelines[0].sink.places must be a list of at most 2 maps");
    refuse(HEAD SOURCE "    sink: {type: fake, places: [a]}\n",
           "pipelines[0].sink.places[0] must be a map of keys");
    refuse(HEAD SOURCE "    sink: {type: fake, places: [{wait: 1s}]}\n",
           "required key `name` is missing in pipelines[0].sink.places[0]");
    refuse(HEAD SOURCE "    sink: {type: fake, places: [{name: a, wat: 1s}]}\n",
           "unknown key `wat` in pipelines[0].sink.places[0]; did you mean `wait`?");
}

static void words_of_a_command_may_repeat(void **state)
{
    (void)state;
    struct config *c = load(HEAD SOURCE "    sink: {type: fake, words: [a, '', a]}\n");
    assert_int_equal(((const struct fake_sink *)c->pipelines[0].sink_conf)->words.count, 3);
    config_free(c);
}

static void the_reference_has_every_key(void **state)
{
    (void)state;
    struct buf out = {0};
    config_reference(&out, &fake_plugins);
    const char *text = buf_str(&out);
    assert_non_null(strstr(
        text, "| `store.url` or `store.url_file` | secret text | `sqlite:commitrelay.db` |"));
    assert_non_null(strstr(text, "| `delivery.retry.initial` | duration, 1ms to 1h | `100ms` |"));
    assert_non_null(strstr(text, "### source `type: outbox_fake`"));
    assert_non_null(
        strstr(text, "| `url` or `url_file` | secret text | required | Where \\| it is |"));
    assert_non_null(strstr(text, "word: `position`, `status`, `delete` | `position`"));
    assert_non_null(strstr(text, "| `rotate.bytes` | size, 1KiB to 1024GiB | `64MiB` |"));
    assert_non_null(strstr(text, "| `places` | list of maps | none | Where else |"));
    assert_non_null(strstr(text, "| `places[].wait` | duration | `1s` | x |"));
    assert_non_null(strstr(text, "No keys of its own."));
    buf_release(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(acting_needs_a_token_or_a_socket),
        cmocka_unit_test(defaults_are_the_contracts),
        cmocka_unit_test(values_reach_their_fields),
        cmocka_unit_test(headers_may_be_named_values),
        cmocka_unit_test(all_mistakes_are_told),
        cmocka_unit_test(unknown_keys_are_named),
        cmocka_unit_test(a_key_may_be_parked),
        cmocka_unit_test(later_words_are_refused_by_name),
        cmocka_unit_test(encoding_of_changes_has_debezium_s_words),
        cmocka_unit_test(keys_of_another_format_are_refused),
        cmocka_unit_test(wrong_types_and_ranges_say_what_is_allowed),
        cmocka_unit_test(what_is_missing_is_named),
        cmocka_unit_test(names_must_fit),
        cmocka_unit_test(keys_must_fit_each_other),
        cmocka_unit_test(aliases_share_and_are_bounded),
        cmocka_unit_test(rules_of_a_mask),
        cmocka_unit_test(columns_beside_a_payload),
        cmocka_unit_test(columns_of_changes),
        cmocka_unit_test(a_fingerprint_tells_each_change),
        cmocka_unit_test(tables_alone_give_defaults),
        cmocka_unit_test(a_sink_may_stand_alone),
        cmocka_unit_test(a_list_of_maps_fills_structs),
        cmocka_unit_test(words_of_a_command_may_repeat),
        cmocka_unit_test(the_reference_has_every_key),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
