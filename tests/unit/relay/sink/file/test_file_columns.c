/* The file sink: which columns a record has, under which names, and how a delimited file is
 * written. */
#include "file_fixture.h"

#include <unistd.h>

#define FIRST_TWO "orders-00000000000000000001-00000000000000000002"

/* {column: payload.n, as: N}, id, {value: shop, as: from}, headers.trace */
static void set_named(struct fixture *f)
{
    static char id[] = "id", trace[] = "headers.trace", n[] = "N", total[] = "payload.n",
                from[] = "from", shop[] = "shop";
    static char *words[] = {id, trace};
    static struct conf_named items[] = {{.as = n, .column = total, .place = 0},
                                        {.as = from, .value = shop, .place = 2}};
    struct conf_named_list *columns = fixture_conf(f, "columns");
    *columns = (struct conf_named_list){
        .words = {.items = words, .count = 2, .given = true}, .items = items, .count = 2};
}

static void assert_records(struct fixture *f, const char *extension, const char *expected)
{
    CLEANUP(buf_release) struct buf got = {0};
    char file[128];
    fixture_open(f, 1);
    fixture_events(f, 2, 1);
    f->batch->events[1].headers = SLICE_LITERAL("{\"trace\":\"a,b\"}");
    fixture_batch(f, 2);
    snprintf(file, sizeof file, FIRST_TWO ".%s", extension);
    read_file(f, file, &got);
    assert_string_equal(got.data, expected);
    fixture_end(f);
}

static void test_names_and_order(void **state UNUSED)
{
    struct fixture f;
    fixture_init(&f);
    *(int *)fixture_conf(&f, "format") = 1;
    set_named(&f);
    assert_records(&f, "csv",
                   "N,id,from,headers.trace\r\n"
                   "1,id-1,shop,\r\n"
                   "2,id-2,shop,\"a,b\"\r\n");
    fixture_init(&f);
    *(int *)fixture_conf(&f, "format") = 2;
    set_named(&f);
    assert_records(&f, "kv",
                   "N=1 id=id-1 from=shop\n"
                   "N=2 id=id-2 from=shop headers.trace=a,b\n");
    fixture_init(&f);
    set_named(&f);
    assert_records(&f, "jsonl",
                   "{\"N\":1,\"id\":\"id-1\",\"from\":\"shop\",\"headers.trace\":null}\n"
                   "{\"N\":2,\"id\":\"id-2\",\"from\":\"shop\",\"headers.trace\":\"a,b\"}\n");
}

static void test_what_an_importer_wants(void **state UNUSED)
{
    struct fixture f;
    fixture_init(&f);
    *(int *)fixture_conf(&f, "format") = 1;
    *(char **)fixture_conf(&f, "delimiter") = (char[]){";"};
    *(int *)fixture_key(&f, "delimited", "quote") = 1;
    *(int *)fixture_key(&f, "delimited", "line_end") = 1;
    *(bool *)fixture_key(&f, "delimited", "header") = false;
    *(char **)fixture_key(&f, "delimited", "null_text") = (char[]){"\\N"};
    set_named(&f);
    assert_records(&f, "csv",
                   "\"1\";\"id-1\";\"shop\";\\N\n"
                   "\"2\";\"id-2\";\"shop\";\"a,b\"\n");
}

/* A value that looks like the null text is quoted; an empty one need not be then. */
static void test_null_text(void **state UNUSED)
{
    struct fixture f;
    char *columns[] = {(char[]){"aggregateid"}, (char[]){"headers"}};
    CLEANUP(buf_release) struct buf got = {0};
    fixture_init(&f);
    *(int *)fixture_conf(&f, "format") = 1;
    *(char **)fixture_key(&f, "delimited", "null_text") = (char[]){"NULL"};
    set_columns(&f, columns, 2);
    fixture_open(&f, 1);
    fixture_events(&f, 2, 1);
    f.batch->events[0].aggregateid = SLICE_LITERAL("NULL");
    f.batch->events[1].aggregateid = SLICE_LITERAL("");
    fixture_batch(&f, 2);
    read_file(&f, FIRST_TWO ".csv", &got);
    assert_string_equal(got.data, "aggregateid,headers\r\n\"NULL\",NULL\r\n,NULL\r\n");
    fixture_end(&f);
}

static void test_what_has_no_such_column_is_poison(void **state UNUSED)
{
    char *columns[] = {(char[]){"id"}, (char[]){"payload.n"}};
    for (int format = 0; format < 3; format++) {
        struct fixture f;
        struct error err;
        size_t taken;
        fixture_init(&f);
        *(int *)fixture_conf(&f, "format") = format;
        set_columns(&f, columns, 2);
        fixture_open(&f, 1);
        fixture_events(&f, 2, 1);
        f.batch->events[1].payload = SLICE_LITERAL("plain text");
        f.batch->events[1].payload_kind = PAYLOAD_TEXT;
        assert_int_equal(sink_file.put(f.sink, f.batch, 0, 2, f.token, &taken, &err), RESULT_ERROR);
        assert_int_equal(err.class, ERROR_POISON);
        assert_int_equal(taken, 1);
        assert_non_null(strstr(err.text, "payload.n"));
        fixture_end(&f);
    }
}

static void test_what_does_not_fit_is_refused(void **state UNUSED)
{
    static const char *const keys[] = {"quote", "null_text", "header", "line_end"};
    struct fixture f;
    char *columns[] = {(char[]){"payload..n"}};
    struct conf_named named = {.as = (char[]){"a b"}, .column = (char[]){"id"}};
    fixture_init(&f);
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        const struct conf_key *k = sink_file.keys;
        char fragment[64];
        while (strcmp(k->name, "delimited") != 0) {
            k++;
        }
        char *group = (char *)f.conf + k->offset;
        for (k = k->group; strcmp(k->name, keys[i]) != 0;) {
            k++;
        }
        *(bool *)(group + k->given_offset) = true;
        snprintf(fragment, sizeof fragment, "sink.delimited.%s is for format: delimited", keys[i]);
        assert_refused(&f, fragment);
        *(bool *)(group + k->given_offset) = false;
    }
    set_columns(&f, columns, 1);
    assert_refused(&f, "`payload..n`");
    *(struct conf_named_list *)fixture_conf(&f, "columns") =
        (struct conf_named_list){.items = &named, .count = 1, .words.given = true};
    *(int *)fixture_conf(&f, "format") = 2;
    assert_refused(&f, "`a b` cannot stand before a `=`");
    *(int *)fixture_conf(&f, "format") = 1;
    for (int i = 0; i < 3; i++) {
        *(char **)fixture_key(&f, "delimited", "null_text") =
            (char *[]){(char[]){"\""}, (char[]){"a,b"}, (char[]){"\n"}}[i];
        assert_refused(&f, "null_text must hold no quote");
    }
    fixture_end(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names_and_order),
        cmocka_unit_test(test_what_an_importer_wants),
        cmocka_unit_test(test_null_text),
        cmocka_unit_test(test_what_has_no_such_column_is_poison),
        cmocka_unit_test(test_what_does_not_fit_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
