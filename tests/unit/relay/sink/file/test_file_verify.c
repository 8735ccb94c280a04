/* The check of a folder of batch files: what is whole passes, and each fault is named at its place.
 */
#include "file_fixture.h"

#include "sink/file/names.h"
#include <sys/stat.h>
#include <unistd.h>

#define ONE "orders-00000000000000000001-00000000000000000002.jsonl"
#define TWO "orders-00000000000000000003-00000000000000000004.jsonl"
#define THREE "orders-00000000000000000005-00000000000000000006.jsonl"
#define MANIFEST ".manifest.json"

static const char key[] = "a key of the partner";

static void no_progress(void *ctx UNUSED, uint64_t files UNUSED, uint64_t of UNUSED,
                        uint64_t bytes UNUSED)
{
}

static int verify(const char *dir, struct slice with, struct sink_verdict *ret, struct error *err)
{
    const struct sink_watch watch = {.progress = no_progress};
    *ret = (struct sink_verdict){0};
    return sink_file.verify(dir, with, &watch, ret, err);
}

/* Three files of two events each. */
static void fixture_three(struct fixture *f, bool sealed)
{
    fixture_init(f);
    if (sealed) {
        *(const char **)fixture_conf(f, "hmac_key") = key;
    }
    fixture_open(f, 1);
    fixture_events(f, 6, 10);
    for (int i = 0; i < 3; i++) {
        fixture_batch(f, 2);
    }
}

static void test_whole(void **state UNUSED)
{
    for (int sealed = 0; sealed < 2; sealed++) {
        struct fixture f;
        CLEANUP(sink_verdict_release) struct sink_verdict v = {0};
        struct error err;
        fixture_three(&f, sealed);
        write_file(&f, "notes.txt", "not looked at");
        assert_int_equal(verify(f.dir, sealed ? slice_from(key) : SLICE_NULL, &v, &err),
                         RESULT_DONE);
        assert_string_equal(buf_str(&v.what), "");
        assert_int_equal(v.files, 3);
        assert_int_equal(v.others, 1);
        assert_int_equal(v.pipelines_count, 1);
        assert_string_equal(v.pipelines[0].pipeline, "orders");
        assert_int_equal(v.pipelines[0].events, 6);
        assert_int_equal(v.pipelines[0].first, 1);
        assert_int_equal(v.pipelines[0].last, 6);
        assert_int_equal(v.pipelines[0].sealed, sealed ? 3 : 0);
        assert_true(v.pipelines[0].from_start);
        fixture_end(&f);
    }
}

/* What one did to the folder (a shell command in it), and what has to be said of it. */
static const struct {
    const char *command, *at, *what, *found; /* found NULL: whatever it is */
    bool sealed;
} faults[] = {
    {"rm " TWO, TWO, "the file", "nothing", false},
    {"rm " TWO MANIFEST, TWO MANIFEST, "the manifest", "nothing", false},
    {"rm " TWO "*", THREE, "its first number", "5", false},
    {"echo >> " TWO, TWO, "bytes", NULL, false},
    {"printf '{\"id\":7' | dd of=" TWO " conv=notrunc status=none", TWO, "sha256", NULL, false},
    {"ln -sf " ONE " " TWO, TWO, "the file", "a symbolic link", false},
    {"rm " TWO " && mkdir " TWO, TWO, "the file", "something else", false},
    {"echo '{' > " TWO MANIFEST, TWO MANIFEST, "the manifest", "other text", false},
    {"head -c 70000 /dev/zero > " TWO MANIFEST, TWO MANIFEST, "the manifest", "more", false},
    {"mv " TWO " x; mv " THREE " " TWO "; mv x " THREE, TWO, "sha256", NULL, false},
    {"cp " ONE MANIFEST " " TWO MANIFEST, TWO MANIFEST, "file", ONE, false},
    {"sed -i 's/\"events\":2/\"events\":3/' " TWO MANIFEST, TWO MANIFEST, "events", "3", false},
    {"sed -i 's/\"pipeline\":\"orders/&x/' " TWO MANIFEST, TWO MANIFEST, "pipeline", "ordersx",
     false},
    {"sed -i 's/\"format\":\"jsonl/\"format\":\"csv/' " TWO MANIFEST, TWO MANIFEST, "format", "csv",
     false},
    /* What fits in itself shows in the manifest behind it. */
    {"sed -i 's/\"created_at\":\"2/\"created_at\":\"3/' " TWO MANIFEST, THREE MANIFEST,
     "previous_sha256", NULL, false},
    {"echo >> " TWO MANIFEST, THREE MANIFEST, "previous_sha256", NULL, false},
    {"sed -i 's/\"previous_sha256\":\"[0-9a-f]*\"/\"previous_sha256\":null/' " TWO MANIFEST,
     TWO MANIFEST, "previous_sha256", "null", false},
    {"sed -i 's/\"previous_sha256\":\"[0-9a-f]*\",//' " TWO MANIFEST, TWO MANIFEST,
     "previous_sha256", "null", false},
    {"cp " TWO " orders-00000000000000000004-00000000000000000004.jsonl",
     "orders-00000000000000000004-00000000000000000004.jsonl", "its first number", "4", false},
    {"cp " TWO " orders-00000000000000000009-00000000000000000007.jsonl",
     "orders-00000000000000000009-00000000000000000007.jsonl", "the numbers in its name", NULL,
     false},
    /* Whoever has no key cannot make a manifest that fits, not even the last one. */
    {"sed -i 's/\"created_at\":\"2/\"created_at\":\"3/' " THREE MANIFEST, THREE MANIFEST,
     "manifest_hmac_sha256", NULL, true},
    {"sed -i 's/,\"manifest_hmac_sha256.*\"}/}/' " THREE MANIFEST, THREE MANIFEST,
     "manifest_hmac_sha256", "nothing", true},
    {"sed -i 's/}$/,\"x\":1}/' " THREE MANIFEST, THREE MANIFEST, "manifest_hmac_sha256", NULL,
     true},
};

static void test_each_fault(void **state UNUSED)
{
    for (size_t i = 0; i < sizeof faults / sizeof *faults; i++) {
        struct fixture f;
        CLEANUP(sink_verdict_release) struct sink_verdict v = {0};
        struct error err;
        char command[1024];
        fixture_three(&f, faults[i].sealed);
        snprintf(command, sizeof command, "cd %s && %s", f.dir, faults[i].command);
        assert_int_equal(system(command), 0);
        if (verify(f.dir, faults[i].sealed ? slice_from(key) : SLICE_NULL, &v, &err)) {
            fail_msg("%s: %s", faults[i].command, err.text);
        }
        if (strcmp(buf_str(&v.at), faults[i].at) != 0 ||
            strcmp(buf_str(&v.what), faults[i].what) != 0 ||
            (faults[i].found && strcmp(buf_str(&v.found), faults[i].found) != 0)) {
            fail_msg("%s: %s: %s: expected %s, found %s", faults[i].command, buf_str(&v.at),
                     buf_str(&v.what), buf_str(&v.expected), buf_str(&v.found));
        }
        fixture_end(&f);
    }
}

/* An attacker without the key who makes file, manifest and chain fit is caught by the HMAC only. */
static void test_seal(void **state UNUSED)
{
    struct fixture f;
    struct error err;
    CLEANUP(sink_verdict_release) struct sink_verdict with = {0}, without = {0}, other = {0};
    char command[512];
    fixture_three(&f, false); /* as written by somebody who has no key */
    assert_int_equal(verify(f.dir, SLICE_NULL, &without, &err), RESULT_DONE);
    assert_int_equal(without.what.len, 0);
    assert_int_equal(verify(f.dir, slice_from(key), &with, &err), RESULT_DONE);
    assert_string_equal(buf_str(&with.at), ONE MANIFEST);
    assert_string_equal(buf_str(&with.what), "manifest_hmac_sha256");
    fixture_end(&f);
    fixture_three(&f, true);
    assert_int_equal(verify(f.dir, SLICE_LITERAL("another key"), &other, &err), RESULT_DONE);
    assert_string_equal(buf_str(&other.at), ONE MANIFEST);
    snprintf(command, sizeof command,
             "cd %s && sed -i 's/\"hmac_sha256\":\"[0-9a-f]*\"/\"hmac_sha256\":null/' *.json",
             f.dir);
    assert_int_equal(system(command), 0);
    sink_verdict_release(&with);
    assert_int_equal(verify(f.dir, slice_from(key), &with, &err), RESULT_DONE);
    assert_string_equal(buf_str(&with.at), ONE MANIFEST);
    fixture_end(&f);
}

/* Files of several pipelines are not mixed up, and those taken away in front are no fault. */
static void test_several_pipelines(void **state UNUSED)
{
    struct fixture f;
    struct error err;
    CLEANUP(sink_verdict_release) struct sink_verdict v = {0};
    char command[256];
    fixture_three(&f, false);
    fixture_close(&f);
    f.env.pipeline = "orders-eu";
    fixture_open(&f, 1);
    fixture_events(&f, 2, 10);
    fixture_batch(&f, 1);
    fixture_batch(&f, 1);
    snprintf(command, sizeof command, "rm %s/" ONE "*", f.dir);
    assert_int_equal(system(command), 0);
    assert_int_equal(verify(f.dir, SLICE_NULL, &v, &err), RESULT_DONE);
    assert_string_equal(buf_str(&v.what), "");
    assert_int_equal(v.pipelines_count, 2);
    assert_string_equal(v.pipelines[0].pipeline, "orders");
    assert_int_equal(v.pipelines[0].first, 3);
    assert_false(v.pipelines[0].from_start);
    assert_string_equal(v.pipelines[1].pipeline, "orders-eu");
    assert_int_equal(v.pipelines[1].files, 2);
    assert_true(v.pipelines[1].from_start);
    fixture_end(&f);
}

static void test_what_cannot_be_read(void **state UNUSED)
{
    struct fixture f;
    struct error err;
    struct sink_verdict v;
    fixture_init(&f);
    assert_int_equal(verify(f.dir, SLICE_NULL, &v, &err), RESULT_ERROR);
    assert_int_equal(err.exit_code, EXIT_CODE_IO);
    sink_verdict_release(&v);
    fixture_open(&f, 1);
    assert_int_equal(verify(f.dir, SLICE_NULL, &v, &err), RESULT_DONE);
    assert_int_equal(v.files, 0);
    sink_verdict_release(&v);
    fixture_end(&f);
}

static void test_names(void **state UNUSED)
{
    static const char *const bad[] = {"",
                                      "orders",
                                      "orders.jsonl",
                                      "-00000000000000000001-00000000000000000002.jsonl",
                                      "orders-0000000000000000001-00000000000000000002.jsonl",
                                      "orders-0000000000000000000a-00000000000000000002.jsonl",
                                      "orders-99999999999999999999-00000000000000000002.jsonl",
                                      ONE ".txt",
                                      ONE ".gz.zst",
                                      ONE MANIFEST ".gz",
                                      ONE MANIFEST MANIFEST,
                                      "orders-00000000000000000001-00000000000000000002.txt"};
    struct file_name n;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_false(file_name_read(bad[i], &n));
    }
    static const char name[] = "a-1-00000000000000000001-18446744073709551615.csv.zst" MANIFEST;
    assert_true(file_name_read(name, &n));
    assert_true(slice_equal_str(n.pipeline, "a-1"));
    assert_int_equal(n.first, 1);
    assert_true(n.last == UINT64_MAX);
    assert_int_equal(n.kind, FILE_DELIMITED);
    assert_int_equal(n.compression, FILE_ZSTD);
    assert_true(n.manifest);
    assert_int_equal(n.data.len, strlen(name) - strlen(MANIFEST));
    assert_true(file_name_read(ONE, &n));
    assert_int_equal(n.compression, FILE_PLAIN);
    assert_false(n.manifest);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_whole),
        cmocka_unit_test(test_each_fault),
        cmocka_unit_test(test_seal),
        cmocka_unit_test(test_several_pipelines),
        cmocka_unit_test(test_what_cannot_be_read),
        cmocka_unit_test(test_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
