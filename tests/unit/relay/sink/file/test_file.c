/* The file sink: formats, rotation, manifests, and what it refuses. */
#include "file_fixture.h"

#include "message/encode.h"
#include <jansson.h>
#include <openssl/sha.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#define FIRST_THREE "orders-00000000000000000001-00000000000000000003"

static uint64_t number(const json_t *o, const char *name)
{
    return (uint64_t)json_integer_value(json_object_get(o, name));
}

static const char *text(const json_t *o, const char *name)
{
    return json_string_value(json_object_get(o, name));
}

/* The manifest tells the truth about the file beside it. */
static void assert_manifest(const struct fixture *f, const char *file, const char *format,
                            uint64_t first, uint64_t last)
{
    CLEANUP(buf_release) struct buf data = {0}, manifest = {0};
    char name[256], hex[65];
    unsigned char raw[SHA256_DIGEST_LENGTH];
    read_file(f, file, &data);
    snprintf(name, sizeof name, "%s.manifest.json", file);
    read_file(f, name, &manifest);
    assert_int_equal(manifest.data[manifest.len - 1], '\n');
    json_t *o = json_loadb(manifest.data, manifest.len, JSON_REJECT_DUPLICATES, NULL);
    assert_non_null(o);
    SHA256((const unsigned char *)data.data, data.len, raw);
    for (int i = 0; i < SHA256_DIGEST_LENGTH; i++) {
        snprintf(hex + 2 * i, 3, "%02x", raw[i]);
    }
    assert_int_equal(json_object_size(o), 14);
    assert_string_equal(text(o, "pipeline"), "orders");
    assert_string_equal(text(o, "file"), file);
    assert_string_equal(text(o, "format"), format);
    assert_string_equal(text(o, "sha256"), hex);
    assert_int_equal(number(o, "events"), last - first + 1);
    assert_int_equal(number(o, "bytes"), data.len);
    assert_int_equal(number(o, "first"), first);
    assert_int_equal(number(o, "last"), last);
    assert_int_equal(strtoull(text(o, "first_position"), NULL, 10), first);
    assert_int_equal(strtoull(text(o, "last_position"), NULL, 10), last);
    assert_true(json_is_null(json_object_get(o, "hmac_sha256")));
    assert_true(json_is_null(json_object_get(o, "key_id")));
    assert_int_equal(strlen(text(o, "created_at")), 27);
    json_decref(o);
}

static void test_jsonl(void **state UNUSED)
{
    struct fixture f;
    struct error err;
    CLEANUP(buf_release) struct buf expected = {0}, got = {0};
    fixture_init(&f);
    fixture_open(&f, 1);
    fixture_events(&f, 3, 5);
    fixture_batch(&f, 3);
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(encode_json_line(&expected, &f.batch->events[i], &err), RESULT_DONE);
        buf_add_char(&expected, '\n');
    }
    read_file(&f, FIRST_THREE ".jsonl", &got);
    assert_string_equal(got.data, expected.data);
    assert_dir_holds(&f, FIRST_THREE ".jsonl " FIRST_THREE ".jsonl.manifest.json ");
    assert_manifest(&f, FIRST_THREE ".jsonl", "jsonl", 1, 3);
    fixture_end(&f);
}

static void text_format(int format, const char *extension, const char *name, const char *expected)
{
    struct fixture f;
    char *columns[] = {(char[]){"id"}, (char[]){"aggregateid"}, (char[]){"headers"},
                       (char[]){"payload"}};
    char file[128];
    CLEANUP(buf_release) struct buf got = {0};
    fixture_init(&f);
    *(int *)fixture_conf(&f, "format") = format;
    set_columns(&f, columns, 4);
    fixture_open(&f, 1);
    fixture_events(&f, 3, 1);
    f.batch->events[1].headers = SLICE_LITERAL("");
    fixture_batch(&f, 3);
    snprintf(file, sizeof file, FIRST_THREE ".%s", extension);
    read_file(&f, file, &got);
    assert_string_equal(got.data, expected);
    assert_manifest(&f, file, name, 1, 3);
    fixture_end(&f);
}

static void test_delimited(void **state UNUSED)
{
    text_format(1, "csv", "delimited",
                "id,aggregateid,headers,payload\r\n"
                "id-1,o 1,,\"{\"\"n\"\":1,\"\"pad\"\":\"\"0\"\"}\"\r\n"
                "id-2,o 1,\"\",\"{\"\"n\"\":2,\"\"pad\"\":\"\"0\"\"}\"\r\n"
                "id-3,o 1,,\"{\"\"n\"\":3,\"\"pad\"\":\"\"0\"\"}\"\r\n");
}

/* A cell that a spreadsheet would run; told apart from a null and an empty text all the same. */
static void test_escaped_formulas(void **state UNUSED)
{
    static const char *const cells[] = {"=1+1", "+1",  "-1",  "@sum", "\t=1",  "\r=1",
                                        "\n=1", "1-1", "'=1", "",     "=\",\""};
    static const char *const expected[] = {"'=1+1",          "'+1",       "'-1", "'@sum", "'\t=1",
                                           "\"'\r=1\"",      "\"'\n=1\"", "1-1", "'=1",   "\"\"",
                                           "\"'=\"\",\"\"\""};
    enum { CELLS = sizeof cells / sizeof *cells };
    struct fixture f;
    char *columns[] = {(char[]){"aggregateid"}, (char[]){"headers"}};
    CLEANUP(buf_release) struct buf got = {0}, want = {0};
    fixture_init(&f);
    *(int *)fixture_conf(&f, "format") = 1;
    *(bool *)fixture_key(&f, "delimited", "escape_formulas") = true;
    set_columns(&f, columns, 2);
    fixture_open(&f, 1);
    fixture_events(&f, CELLS, 1);
    buf_add_str(&want, "aggregateid,headers\r\n");
    for (size_t i = 0; i < CELLS; i++) {
        f.batch->events[i].aggregateid = slice_from(cells[i]);
        buf_printf(&want, "%s,\r\n", expected[i]);
    }
    fixture_batch(&f, CELLS);
    read_file(&f, "orders-00000000000000000001-00000000000000000011.csv", &got);
    assert_string_equal(got.data, buf_str(&want));
    fixture_close(&f);
    *(int *)fixture_conf(&f, "format") = 2;
    assert_refused(&f, "sink.delimited.escape_formulas is for format: delimited");
    fixture_end(&f);
}

static void test_key_value(void **state UNUSED)
{
    text_format(
        2, "kv", "key_value",
        "id=id-1 aggregateid=\"o 1\" payload=\"{\\\"n\\\":1,\\\"pad\\\":\\\"0\\\"}\"\n"
        "id=id-2 aggregateid=\"o 1\" headers=\"\" payload=\"{\\\"n\\\":2,\\\"pad\\\":\\\"0\\\"}\"\n"
        "id=id-3 aggregateid=\"o 1\" payload=\"{\\\"n\\\":3,\\\"pad\\\":\\\"0\\\"}\"\n");
}

static void test_rotation_by_events(void **state UNUSED)
{
    struct fixture f;
    struct error err;
    fixture_init(&f);
    *fixture_rotate(&f, "events") = 2000; /* more than one report holds */
    *(bool *)fixture_conf(&f, "manifest") = false;
    fixture_open(&f, 5);
    fixture_events(&f, 4500, 1);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(fixture_put(&f, 4500), 2000);
        assert_int_equal(fixture_put(&f, 4500), 0);
        assert_true(sink_file.commit_due(f.sink, clock_mono_us()));
        assert_int_equal(fixture_commit(&f, 2000, &err), RESULT_DONE);
    }
    assert_int_equal(fixture_put(&f, 4500), 500);
    assert_false(sink_file.commit_due(f.sink, clock_mono_us()));
    fixture_close(&f); /* what was not committed never was */
    assert_dir_holds(&f, "orders-00000000000000000005-00000000000000002004.jsonl "
                         "orders-00000000000000002005-00000000000000004004.jsonl ");
    fixture_end(&f);
}

static void test_rotation_by_bytes(void **state UNUSED)
{
    struct fixture f;
    struct error err;
    struct stat st;
    char path[256];
    fixture_init(&f);
    *fixture_rotate(&f, "bytes") = 1000;
    fixture_open(&f, 1);
    fixture_events(&f, 10, 200);
    size_t n = fixture_put(&f, 10);
    assert_in_range(n, 2, 3);
    assert_int_equal(fixture_commit(&f, n, &err), RESULT_DONE);
    snprintf(path, sizeof path, "%s/orders-%020d-%020zu.jsonl", f.dir, 1, n);
    assert_int_equal(stat(path, &st), 0);
    assert_true(st.st_size <= 1000);
    *fixture_rotate(&f, "bytes") = 100; /* smaller than any: one each */
    assert_int_equal(fixture_put(&f, 10), 1);
    assert_true(sink_file.commit_due(f.sink, clock_mono_us()));
    assert_int_equal(fixture_commit(&f, 1, &err), RESULT_DONE);
    assert_int_equal(fixture_put(&f, 10), 1);
    fixture_end(&f);
}

static void test_rotation_by_interval(void **state UNUSED)
{
    struct fixture f;
    struct poll_set set;
    fixture_init(&f);
    fixture_open(&f, 1);
    fixture_events(&f, 1, 1);
    assert_false(sink_file.commit_due(f.sink, clock_mono_us() + 3600 * US_PER_SECOND));
    int64_t before = clock_mono_us();
    fixture_put(&f, 1);
    assert_false(sink_file.commit_due(f.sink, before + 9999 * US_PER_MS));
    assert_true(sink_file.commit_due(f.sink, clock_mono_us() + 10 * US_PER_SECOND));
    poll_set_clear(&set);
    sink_file.poll_fds(f.sink, &set);
    assert_in_range(set.deadline_us, before + 10 * US_PER_SECOND,
                    clock_mono_us() + 10 * US_PER_SECOND);
    fixture_end(&f);
}

static void test_poison_leaves_the_file_whole(void **state UNUSED)
{
    struct fixture f;
    struct error err;
    size_t taken;
    fixture_init(&f);
    fixture_open(&f, 1);
    fixture_events(&f, 4, 1);
    f.batch->events[1].type = SLICE_LITERAL("\xff");
    assert_int_equal(sink_file.put(f.sink, f.batch, 0, 4, f.token, &taken, &err), RESULT_ERROR);
    assert_int_equal(err.class, ERROR_POISON);
    assert_int_equal(taken, 1);
    f.put = 2; /* skipped: no number is used up */
    f.token++;
    assert_int_equal(fixture_put(&f, 2), 2);
    assert_int_equal(fixture_commit(&f, 3, &err), RESULT_DONE);
    CLEANUP(buf_release) struct buf got = {0};
    read_file(&f, FIRST_THREE ".jsonl", &got);
    size_t lines = 0;
    for (size_t i = 0; i < got.len; i++) {
        lines += got.data[i] == '\n';
    }
    assert_int_equal(lines, 3);
    assert_null(strstr(got.data, "id-2"));
    fixture_end(&f);
}

static void test_rewind_starts_anew(void **state UNUSED)
{
    struct fixture f;
    struct error err;
    fixture_init(&f);
    fixture_open(&f, 1);
    fixture_events(&f, 3, 1);
    fixture_put(&f, 2);
    assert_int_equal(sink_file.start(f.sink, 1, &err), RESULT_DONE);
    f.put = 0;
    fixture_batch(&f, 3);
    assert_manifest(&f, FIRST_THREE ".jsonl", "jsonl", 1, 3);
    /* What is in place is never sent again. */
    assert_int_equal(sink_file.start(f.sink, 3, &err), RESULT_ERROR);
    assert_int_equal(err.class, ERROR_FATAL);
    assert_int_equal(sink_file.start(f.sink, 4, &err), RESULT_DONE);
    fixture_end(&f);
}

/* A start that does not see the files of 1 to 3: they come back behind it. */
static void open_behind_files(struct fixture *f)
{
    char command[512];
    snprintf(command, sizeof command, "cd %s && mkdir aside && mv out/* aside/", f->root);
    assert_int_equal(system(command), 0);
    fixture_open(f, 1);
    snprintf(command, sizeof command, "cd %s && mv aside/* out/ && rmdir aside", f->root);
    assert_int_equal(system(command), 0);
}

/* The name is there: with the same content it is done, with other content nothing is touched. */
static void test_name_taken(void **state UNUSED)
{
    struct fixture f;
    struct error err;
    fixture_init(&f);
    fixture_open(&f, 1);
    for (int i = 0; i < 2; i++) {
        fixture_events(&f, 3, 1);
        fixture_batch(&f, 3);
        sink_file.recovered(f.sink); /* forgets it, as a restored database would */
        open_behind_files(&f);
    }
    assert_dir_holds(&f, FIRST_THREE ".jsonl " FIRST_THREE ".jsonl.manifest.json ");
    fixture_events(&f, 3, 2);
    fixture_put(&f, 3);
    assert_int_equal(fixture_commit(&f, 3, &err), RESULT_ERROR);
    assert_int_equal(err.class, ERROR_FATAL);
    assert_int_equal(err.exit_code, EXIT_CODE_IO);
    assert_non_null(strstr(err.text, "refuse to overwrite"));
    fixture_close(&f);
    assert_dir_holds(&f, FIRST_THREE ".jsonl " FIRST_THREE ".jsonl.manifest.json ");
    assert_manifest(&f, FIRST_THREE ".jsonl", "jsonl", 1, 3);
    fixture_end(&f);
}

static void test_bad_settings(void **state UNUSED)
{
    struct fixture f;
    char *columns[] = {(char[]){"id"}, (char[]){"nosuch"}};
    char delimiter[] = ";;", quote[] = "\"";
    char **delimiter_key;
    fixture_init(&f);
    delimiter_key = fixture_conf(&f, "delimiter");
    *(int *)fixture_conf(&f, "format") = 1;
    *delimiter_key = delimiter;
    assert_refused(&f, "sink.delimiter");
    *delimiter_key = quote;
    assert_refused(&f, "sink.delimiter");
    delimiter[1] = '\0';
    *delimiter_key = delimiter;
    set_columns(&f, columns, 2);
    assert_refused(&f, "`nosuch`");
    set_columns(&f, columns, 0);
    assert_refused(&f, "sink.columns is empty");
    fixture_end(&f);
}

static void test_unsafe_directories(void **state UNUSED)
{
    struct fixture f;
    char parent[128];
    struct stat st;
    fixture_init(&f);
    assert_int_equal(symlink(f.root, f.dir), 0);
    assert_refused(&f, "symbolic link");
    strcat(f.dir, "/"); /* a slash must not make it follow */
    assert_refused(&f, "symbolic link");
    f.dir[strlen(f.dir) - 1] = '\0';
    unlink(f.dir);
    mkdir(f.dir, 0700);
    chmod(f.dir, 01777);
    assert_refused(&f, "writable for everyone");
    rmdir(f.dir);
    snprintf(parent, sizeof parent, "%s/none/out", f.root);
    f.dir_value = parent;
    memcpy(fixture_conf(&f, "dir"), &f.dir_value, sizeof f.dir_value);
    assert_refused(&f, "parent");
    f.dir_value = f.dir;
    memcpy(fixture_conf(&f, "dir"), &f.dir_value, sizeof f.dir_value);
    fixture_open(&f, 1);
    assert_int_equal(stat(f.dir, &st), 0);
    assert_int_equal(st.st_mode & 07027, 0);
    fixture_end(&f);
}

static void test_directory_removed(void **state UNUSED)
{
    struct fixture f;
    struct error err;
    char command[512];
    for (int recreate = 0; recreate < 2; recreate++) {
        size_t taken;
        fixture_init(&f);
        fixture_open(&f, 1);
        fixture_events(&f, 2, 1);
        fixture_put(&f, recreate ? 0 : 1);
        snprintf(command, sizeof command, "mv %s %s/moved; [ %d = 0 ] || mkdir %s", f.dir, f.root,
                 recreate, f.dir);
        assert_int_equal(system(command), 0);
        assert_int_equal(sink_file.healthy(f.sink, &err), RESULT_ERROR);
        if (!recreate) {
            snprintf(command, sizeof command, "rm -r %s/moved", f.root);
            assert_int_equal(system(command), 0);
        }
        int rc = recreate ? sink_file.put(f.sink, f.batch, 0, 2, 1, &taken, &err)
                          : fixture_commit(&f, 1, &err);
        assert_int_equal(rc, RESULT_ERROR);
        assert_int_equal(err.class, ERROR_FATAL);
        assert_int_equal(err.exit_code, EXIT_CODE_IO);
        assert_non_null(strstr(err.text, "was removed or replaced"));
        fixture_end(&f);
    }
}

/* Writes three events under a file size limit; 0 or -1, and then nothing is left. */
static int commit_limited(struct fixture *f, rlim_t limit, struct error *err)
{
    struct rlimit old, now;
    assert_int_equal(sink_file.start(f->sink, 1, err), RESULT_DONE);
    fixture_events(f, 3, 100);
    fixture_put(f, 3);
    getrlimit(RLIMIT_FSIZE, &old);
    now = old;
    now.rlim_cur = limit;
    setrlimit(RLIMIT_FSIZE, &now);
    int rc = fixture_commit(f, 3, err);
    setrlimit(RLIMIT_FSIZE, &old);
    if (rc) {
        assert_string_equal(err->code, "EFBIG");
        assert_int_equal(err->exit_code, EXIT_CODE_IO);
        assert_dir_holds(f, "");
    }
    return rc;
}

/* A file that failed is thrown away and written anew; the third failure in a row ends it. */
static void test_failing_writes(void **state UNUSED)
{
    struct fixture f;
    struct error err;
    signal(SIGXFSZ, SIG_IGN);
    fixture_init(&f);
    fixture_open(&f, 1);
    for (int try = 1; try <= 3; try++) {
        assert_int_equal(commit_limited(&f, 100, &err), RESULT_ERROR);
        assert_int_equal(err.class, try == 3 ? ERROR_FATAL : ERROR_RETRY);
    }
    fixture_open(&f, 1);
    assert_int_equal(commit_limited(&f, 100, &err), RESULT_ERROR);
    assert_int_equal(commit_limited(&f, RLIM_INFINITY, &err), RESULT_DONE);
    assert_manifest(&f, FIRST_THREE ".jsonl", "jsonl", 1, 3);
    signal(SIGXFSZ, SIG_DFL);
    fixture_end(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_jsonl),
        cmocka_unit_test(test_delimited),
        cmocka_unit_test(test_key_value),
        cmocka_unit_test(test_escaped_formulas),
        cmocka_unit_test(test_rotation_by_events),
        cmocka_unit_test(test_rotation_by_bytes),
        cmocka_unit_test(test_rotation_by_interval),
        cmocka_unit_test(test_poison_leaves_the_file_whole),
        cmocka_unit_test(test_rewind_starts_anew),
        cmocka_unit_test(test_name_taken),
        cmocka_unit_test(test_bad_settings),
        cmocka_unit_test(test_unsafe_directories),
        cmocka_unit_test(test_directory_removed),
        cmocka_unit_test(test_failing_writes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
