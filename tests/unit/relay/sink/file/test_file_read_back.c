/* What the file sink has written it reads back: each event with its id and what identifies its
 * payload, in every format, and nothing that is not the pipeline's. */
#include "file_fixture.h"

#include <unistd.h>

enum { EVENTS = 7, SOME = 20 };

#define FIRST "orders-00000000000000000001-00000000000000000007"

/* What was read. */
struct got {
    char ids[SOME][64], payloads[SOME][400], places[SOME][160];
    int64_t created_us[SOME];
    bool replayed[SOME];
    uint64_t numbers[SOME];
    size_t count, notes;
};

static int take(void *ctx, const struct sink_copy *c, struct error *err UNUSED)
{
    struct got *g = ctx;
    assert_true(g->count < SOME);
    size_t n = g->count++;
    snprintf(g->ids[n], sizeof g->ids[n], "%.*s",
             SLICE_FMT(slice_is_null(c->id) ? SLICE_LITERAL("none") : c->id));
    snprintf(g->payloads[n], sizeof g->payloads[n], "%.*s", SLICE_FMT(c->payload));
    snprintf(g->places[n], sizeof g->places[n], "%s", c->place);
    g->created_us[n] = c->created_us;
    g->replayed[n] = c->replayed;
    g->numbers[n] = c->number;
    return RESULT_DONE;
}

static void note(void *ctx, const char *text UNUSED)
{
    ((struct got *)ctx)->notes++;
}

static int read_again(struct fixture *f, struct got *g, struct error *err)
{
    const struct sink_reading r = {.from_us = INT64_MIN, .take = take, .note = note, .ctx = g};
    *g = (struct got){0};
    return sink_file.read_back(f->sink, &r, err);
}

static void read_well(struct fixture *f, struct got *g)
{
    struct error err;
    if (read_again(f, g, &err)) {
        fail_msg("%s", err.text);
    }
}

/* Events whose payloads need every kind of quote. */
static void write_events(struct fixture *f)
{
    static const char *const payloads[EVENTS] = {"{\"n\":1}",
                                                 "{\"n\":\"two\\nlines, a; b\"}",
                                                 "{\n\"n\":\"c\"}",
                                                 "{\"n\":\"= ' \\\\ x\"}",
                                                 "{\"n\":\"\"}",
                                                 "{\"n\":null}",
                                                 "{}"};
    fixture_open(f, 1);
    fixture_events(f, EVENTS, 1);
    for (size_t i = 0; i < EVENTS; i++) {
        f->batch->events[i].payload = slice_from(payloads[i]);
    }
    f->batch->events[6].id = SLICE_LITERAL("say \"hi\", b=\\c");
    fixture_batch(f, EVENTS);
}

/* Each event once, in order, and as the sink itself says that it must be. */
static void assert_all(struct fixture *f, bool created)
{
    static struct got g;
    struct error err;
    read_well(f, &g);
    assert_int_equal(g.count, EVENTS);
    for (size_t i = 0; i < EVENTS; i++) {
        CLEANUP(buf_release) struct buf expected = {0};
        const struct event *e = &f->batch->events[i];
        assert_int_equal(sink_file.payload_of(f->sink, e, &expected, &err), RESULT_DONE);
        assert_string_equal(g.payloads[i], buf_str(&expected));
        assert_true(slice_equal_str(e->id, g.ids[i]));
        assert_true(g.created_us[i] == (created ? e->created_at_us : TIME_NONE));
        assert_false(g.replayed[i]);
        for (size_t other = 0; other < i; other++) {
            assert_string_not_equal(g.payloads[i], g.payloads[other]);
        }
    }
    assert_int_equal(g.notes, 0);
}

static void test_every_format_and_compression(void **state UNUSED)
{
    for (int format = 0; format < 3; format++) {
        for (int compression = 0; compression < 3; compression++) {
            struct fixture f;
            fixture_init(&f);
            *(int *)fixture_conf(&f, "format") = format;
            *(int *)fixture_conf(&f, "compression") = compression;
            write_events(&f);
            assert_all(&f, true);
            fixture_end(&f);
        }
    }
}

/* Larger than what is read at once, and than what is unpacked at once. */
static void test_large_records(void **state UNUSED)
{
    static struct got g;
    for (int format = 0; format < 3; format++) {
        for (int compression = 0; compression < 2; compression++) {
            struct fixture f;
            fixture_init(&f);
            *(int *)fixture_conf(&f, "format") = format;
            *(int *)fixture_conf(&f, "compression") = compression;
            fixture_open(&f, 1);
            fixture_events(&f, 3, 300 * 1024);
            fixture_batch(&f, 3);
            read_well(&f, &g);
            assert_int_equal(g.count, 3);
            assert_string_equal(g.ids[2], "id-3");
            assert_int_equal(g.numbers[2], format == 1 ? 4 : 3);
            fixture_end(&f);
        }
    }
}

static void test_parts_of_the_payload(void **state UNUSED)
{
    char *columns[] = {(char[]){"payload.n"}, (char[]){"headers"}, (char[]){"id"}};
    for (int format = 0; format < 3; format++) {
        struct fixture f;
        struct got g;
        fixture_init(&f);
        *(int *)fixture_conf(&f, "format") = format;
        set_columns(&f, columns, 3);
        write_events(&f);
        read_well(&f, &g);
        assert_int_equal(g.count, EVENTS);
        assert_string_equal(g.ids[6], "say \"hi\", b=\\c");
        assert_string_not_equal(g.payloads[0], g.payloads[1]);
        assert_string_equal(g.payloads[5], g.payloads[6]); /* both have no n */
        fixture_end(&f);
    }
}

static int keep_whole(void *ctx, const struct sink_copy *c, struct error *err UNUSED)
{
    struct buf *out = ctx;
    buf_printf(out, "%.*s %.*s %.*s\n", SLICE_FMT(c->id), SLICE_FMT(c->key), SLICE_FMT(c->sent));
    return RESULT_DONE;
}

/* `verify` of table changes needs the key and the payload as they were sent. */
static void test_key_and_payload(void **state UNUSED)
{
    char *some[] = {(char[]){"payload"}, (char[]){"id"}, (char[]){"key"}};
    for (int n = 0; n < 8; n++) {
        CLEANUP(buf_release) struct buf out = {0};
        const struct sink_reading r = {
            .from_us = INT64_MIN, .whole = true, .take = keep_whole, .note = note, .ctx = &out};
        struct fixture f;
        struct error err;
        fixture_init(&f);
        *(int *)fixture_conf(&f, "format") = n % 3;
        if (n >= 3) { /* from 6 on without the key */
            set_columns(&f, some, n < 6 ? 3 : 2);
        }
        fixture_open(&f, 1);
        fixture_events(&f, 1, 1);
        f.batch->events[0].key = SLICE_LITERAL("{\"id\":\"a;\\n\"}");
        f.batch->events[0].payload = SLICE_LITERAL("{\"n\":\"b, \\\"c\\\"\"}");
        fixture_batch(&f, 1);
        int rc = sink_file.read_back(f.sink, &r, &err);
        assert_int_equal(rc, n < 6 ? RESULT_DONE : RESULT_ERROR);
        if (rc) {
            assert_int_equal(err.exit_code, EXIT_CODE_CONFIG);
        } else {
            assert_string_equal(buf_str(&out),
                                "id-1 {\"id\":\"a;\\n\"} {\"n\":\"b, \\\"c\\\"\"}\n");
        }
        fixture_end(&f);
    }
}

static void test_as_an_importer_wants_it(void **state UNUSED)
{
    struct fixture f;
    fixture_init(&f);
    *(int *)fixture_conf(&f, "format") = 1;
    *(char **)fixture_conf(&f, "delimiter") = (char[]){"|"};
    *(int *)fixture_key(&f, "delimited", "quote") = 1;
    *(int *)fixture_key(&f, "delimited", "line_end") = 1;
    *(bool *)fixture_key(&f, "delimited", "header") = false;
    *(char **)fixture_key(&f, "delimited", "null_text") = (char[]){"NULL"};
    *(bool *)fixture_key(&f, "delimited", "escape_formulas") = true;
    fixture_open(&f, 1);
    fixture_events(&f, EVENTS, 1);
    f.batch->events[0].id = SLICE_LITERAL("=1"); /* written as '=1 */
    f.batch->events[1].payload = SLICE_LITERAL("NULL");
    f.batch->events[2].payload = SLICE_NULL;
    f.batch->events[3].payload = SLICE_LITERAL("a|\"b\"\nc");
    fixture_batch(&f, EVENTS);
    assert_all(&f, true);
    fixture_end(&f);
}

static void put_text(const struct fixture *f, const char *name, const char *text)
{
    char path[256];
    fixture_path(f, name, path);
    FILE *file = fopen(path, "we");
    assert_non_null(file);
    fputs(text, file);
    fclose(file);
}

static void test_whose_files(void **state UNUSED)
{
    static struct got g;
    struct fixture f;
    fixture_init(&f);
    write_events(&f);
    put_text(&f, "other-00000000000000000001-00000000000000000001.jsonl",
             "{\"id\":\"o\",\"payload\":1}\n");
    put_text(&f, "orders2-00000000000000000001-00000000000000000001.jsonl",
             "{\"id\":\"o\",\"payload\":1}\n");
    put_text(&f, "notes.txt", "notes\n");
    assert_all(&f, true);
    put_text(&f, "orders-replay-r1-00000000000000000001-00000000000000000001.jsonl",
             "{\"id\":\"again\",\"payload\":1}\n");
    put_text(&f, "orders-00000000000000000011-00000000000000000012.jsonl",
             "{\"id\":\"\\u0061\",\"payload\":1}\nno record\n");
    read_well(&f, &g);
    assert_int_equal(g.count, EVENTS + 3);
    assert_string_equal(g.ids[EVENTS], "a");
    assert_string_equal(g.ids[EVENTS + 1], "none");
    assert_string_equal(g.payloads[EVENTS + 1], "no record\n");
    assert_int_equal(g.numbers[EVENTS + 1], 2);
    assert_string_equal(g.places[EVENTS + 1],
                        "orders-00000000000000000011-00000000000000000012.jsonl line");
    assert_string_equal(g.ids[EVENTS + 2], "again");
    assert_true(g.replayed[EVENTS + 2]);
    assert_int_equal(g.notes, 1); /* 8 to 10 are missing */
    fixture_end(&f);
}

static void test_records_that_are_none(void **state UNUSED)
{
    static struct got g;
    static const char *const bad[] = {"", "a,b\r\n", "\"open,1\r\n", "\"a\"b,1,2\r\n"};
    static const char *const pairs[] = {"id\n",        "id=\"open\n", "id=\"\\q\"\n",
                                        "id=\"a\"b\n", "payload=1\n", "id=\n"};
    char *columns[] = {(char[]){"id"}, (char[]){"payload"}, (char[]){"type"}};
    struct fixture f;
    fixture_init(&f);
    *(int *)fixture_conf(&f, "format") = 1;
    set_columns(&f, columns, 3);
    fixture_open(&f, 1);
    for (size_t i = 1; i < sizeof bad / sizeof *bad; i++) {
        CLEANUP(buf_release) struct buf text = {0};
        buf_printf(&text, "type,id,extra,payload\r\nt,one,,\"a\nb\"\r\n%s", bad[i]);
        put_text(&f, FIRST ".csv", buf_str(&text));
        read_well(&f, &g);
        assert_int_equal(g.count, 2);
        assert_string_equal(g.ids[0], "one");
        assert_string_equal(g.payloads[0], "+3:a\nb");
        assert_string_equal(g.ids[1], "none");
    }
    struct error err;
    put_text(&f, FIRST ".csv", "type,payload\r\n");
    assert_int_equal(read_again(&f, &g, &err), RESULT_ERROR);
    assert_int_equal(err.exit_code, EXIT_CODE_CONFIG);
    put_text(&f, FIRST ".kv", "id=1\n");
    assert_int_equal(read_again(&f, &g, &err), RESULT_ERROR);
    fixture_end(&f);

    fixture_init(&f);
    *(int *)fixture_conf(&f, "format") = 2;
    set_columns(&f, columns, 3);
    fixture_open(&f, 1);
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
        put_text(&f, FIRST ".kv", pairs[i]);
        read_well(&f, &g);
        assert_int_equal(g.count, 1);
        assert_string_equal(g.ids[0], "none");
    }
    put_text(&f, FIRST ".kv", "type=x more=1 id=\"a\\x0A\\\"\\n\\t\\r\\\\\" payload=p");
    read_well(&f, &g);
    assert_string_equal(g.ids[0], "a\n\"\n\t\r\\");
    assert_string_equal(g.payloads[0], "+1:p");
    fixture_end(&f);
}

/* Columns are added in the course of time: an old file has fewer of them than the sink has now. */
static void test_files_of_fewer_columns(void **state UNUSED)
{
    static struct got g;
    char *columns[] = {(char[]){"id"},          (char[]){"payload"},       (char[]){"type"},
                       (char[]){"aggregateid"}, (char[]){"aggregatetype"}, (char[]){"topic"}};
    struct fixture f;
    fixture_init(&f);
    *(int *)fixture_conf(&f, "format") = 1;
    set_columns(&f, columns, 6);
    fixture_open(&f, 1);
    put_text(&f, FIRST ".csv", "id,payload\r\none,1\r\n");
    put_text(&f, "orders-00000000000000000008-00000000000000000009.csv",
             "id,payload,type,aggregateid,aggregatetype,topic\r\ntwo,2,t,k,a,o\r\n");
    put_text(&f, "orders-00000000000000000010-00000000000000000011.csv",
             "id,payload\r\nthree,3\r\n");
    read_well(&f, &g);
    assert_int_equal(g.count, 3);
    assert_string_equal(g.ids[1], "two");
    assert_string_equal(g.ids[2], "three");
    fixture_end(&f);
}

static void test_escapes_in_id_and_time(void **state UNUSED)
{
    static struct got g;
    char *columns[] = {(char[]){"id"}, (char[]){"created_at"}, (char[]){"payload"}};
    struct fixture f;
    fixture_init(&f);
    set_columns(&f, columns, 3);
    fixture_open(&f, 1);
    put_text(&f, FIRST ".jsonl",
             "{\"id\":\"\\u0061\",\"created_at\":\"\\u0032026-11-29T10:00:00Z\",\"payload\":1}\n");
    read_well(&f, &g);
    assert_int_equal(g.count, 1);
    assert_string_equal(g.ids[0], "a");
    assert_true(g.created_us[0] > 0);
    fixture_end(&f);
}

/* Cut off at any byte, a compressed file is damaged, and not shorter. */
static void test_a_file_that_was_cut_off(void **state UNUSED)
{
    static struct got g;
    for (int compression = 1; compression < 3; compression++) {
        struct fixture f;
        struct error err;
        char path[256];
        CLEANUP(buf_release) struct buf whole = {0};
        fixture_init(&f);
        *(int *)fixture_conf(&f, "compression") = compression;
        write_events(&f);
        fixture_path(&f, compression == 1 ? FIRST ".jsonl.gz" : FIRST ".jsonl.zst", path);
        read_file(&f, path + strlen(f.dir) + 1, &whole);
        for (size_t len = 1; len < whole.len; len += 7) {
            assert_int_equal(truncate(path, (off_t)(whole.len - len)), 0);
            assert_int_equal(read_again(&f, &g, &err), RESULT_ERROR);
            assert_int_equal(err.exit_code, EXIT_CODE_IO);
        }
        fixture_end(&f);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_format_and_compression),
        cmocka_unit_test(test_large_records),
        cmocka_unit_test(test_parts_of_the_payload),
        cmocka_unit_test(test_key_and_payload),
        cmocka_unit_test(test_as_an_importer_wants_it),
        cmocka_unit_test(test_whose_files),
        cmocka_unit_test(test_records_that_are_none),
        cmocka_unit_test(test_files_of_fewer_columns),
        cmocka_unit_test(test_escapes_in_id_and_time),
        cmocka_unit_test(test_a_file_that_was_cut_off),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
