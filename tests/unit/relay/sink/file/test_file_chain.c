/* The file sink's proof: each manifest names the one before, over restarts and deaths, and with a
 * key file and manifest are sealed. */
#include "file_fixture.h"

#include "value/digest.h"
#include <jansson.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static const char key[] = "a key of the partner";

static void manifest_name(uint64_t first, uint64_t last, char out[128])
{
    snprintf(out, 128, "orders-%020llu-%020llu.jsonl.manifest.json", (unsigned long long)first,
             (unsigned long long)last);
}

static json_t *manifest(const struct fixture *f, uint64_t first, uint64_t last, struct buf *ret)
{
    char name[128];
    manifest_name(first, last, name);
    buf_clear(ret);
    read_file(f, name, ret);
    json_t *o = json_loadb(ret->data, ret->len, JSON_REJECT_DUPLICATES, NULL);
    assert_non_null(o);
    return o;
}

/* The manifest of first..last names that of `before`..first-1; before 0: none. */
static void assert_follows(const struct fixture *f, uint64_t before, uint64_t first, uint64_t last)
{
    CLEANUP(buf_release) struct buf text = {0};
    char sha256[DIGEST_HEX_SIZE];
    json_t *o = manifest(f, first, last, &text);
    const json_t *previous = json_object_get(o, "previous_sha256");
    assert_non_null(previous);
    if (before == 0) {
        assert_true(json_is_null(previous));
    } else {
        CLEANUP(buf_release) struct buf earlier = {0};
        json_decref(manifest(f, before, first - 1, &earlier));
        digest_sha256(buf_slice(&earlier), sha256);
        assert_string_equal(json_string_value(previous), sha256);
    }
    json_decref(o);
}

static void restart(struct fixture *f, uint64_t next_number, bool save)
{
    fixture_open(f, next_number);
    if (save) {
        sink_file.recovered(f->sink);
    }
}

static void test_chain_over_restarts(void **state UNUSED)
{
    struct fixture f;
    fixture_init(&f);
    fixture_open(&f, 1);
    fixture_events(&f, 9, 10);
    fixture_batch(&f, 2);
    fixture_batch(&f, 1);
    assert_follows(&f, 0, 1, 2);
    assert_follows(&f, 1, 3, 3);
    restart(&f, 4, true);
    restart(&f, 4, true); /* the record of the last batch was put aside, not thrown away */
    restart(&f, 4, false);
    fixture_batch(&f, 2);
    assert_follows(&f, 3, 4, 5);
    restart(&f, 6, false);
    fixture_batch(&f, 1);
    assert_follows(&f, 4, 6, 6);
    /* A partner takes all away: the chain goes on. */
    CLEANUP(buf_release) struct buf last = {0};
    char command[256], sha256[DIGEST_HEX_SIZE];
    json_decref(manifest(&f, 6, 6, &last));
    digest_sha256(buf_slice(&last), sha256);
    snprintf(command, sizeof command, "rm %s/orders-*", f.dir);
    assert_int_equal(system(command), 0);
    restart(&f, 7, true);
    restart(&f, 7, true);
    fixture_batch(&f, 2);
    json_t *o = manifest(&f, 7, 8, &last);
    assert_string_equal(json_string_value(json_object_get(o, "previous_sha256")), sha256);
    json_decref(o);
    fixture_end(&f);
}

/* Killed while it commits the second batch: the manifest is the one that the intent has, so the
 * third names it. */
static void test_chain_over_deaths(void **state UNUSED)
{
#ifndef COMMITRELAY_FAULTS
    skip();
#endif
    static const char *const points[] = {"file_after_fsync", "file_after_intent",
                                         "file_after_manifest", "file_after_rename"};
    for (size_t i = 0; i < sizeof points / sizeof *points; i++) {
        struct fixture f;
        char fault[64];
        int status;
        uint64_t next = i == 0 ? 3 : 5;
        fixture_init(&f);
        fixture_open(&f, 1);
        fixture_events(&f, 9, 10);
        fixture_batch(&f, 2);
        fixture_close(&f);
        pid_t child = fork();
        assert_true(child >= 0);
        if (child == 0) {
            struct error err;
            snprintf(fault, sizeof fault, "%s:kill", points[i]);
            setenv("COMMITRELAY_FAULT", fault, 1);
            fixture_open(&f, 3);
            fixture_put(&f, 2);
            fixture_commit(&f, 2, &err);
            _exit(1);
        }
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
        f.put = next - 1;
        f.stored.delivered = 2;
        struct error err;
        assert_int_equal(fixture_recover(&f, &err), RESULT_DONE);
        restart(&f, next, i & 1);
        fixture_batch(&f, 1);
        if (next == 5) {
            assert_follows(&f, 1, 3, 4);
        }
        assert_follows(&f, next == 5 ? 3 : 1, next, next);
        fixture_end(&f);
    }
}

/* A new chain begins where no manifest is known before: none was made, or numbers were set back. */
static void test_where_a_chain_begins(void **state UNUSED)
{
    struct fixture f;
    char command[256];
    fixture_init(&f);
    fixture_open(&f, 1);
    fixture_events(&f, 9, 10);
    fixture_batch(&f, 2);
    *(bool *)fixture_conf(&f, "manifest") = false;
    fixture_batch(&f, 1);
    *(bool *)fixture_conf(&f, "manifest") = true;
    fixture_batch(&f, 1);
    assert_follows(&f, 0, 4, 4);
    fixture_batch(&f, 1);
    assert_follows(&f, 4, 5, 5);
    sink_file.recovered(f.sink);
    snprintf(command, sizeof command, "rm %s/orders-*", f.dir);
    assert_int_equal(system(command), 0);
    restart(&f, 2, true);
    fixture_batch(&f, 1);
    assert_follows(&f, 0, 2, 2);
    fixture_end(&f);
}

static void test_damaged_record(void **state UNUSED)
{
    struct fixture f;
    struct error err;
    fixture_init(&f);
    fixture_open(&f, 1);
    fixture_events(&f, 1, 10);
    fixture_batch(&f, 1);
    restart(&f, 2, true);
    write_file(&f, ".commitrelay/orders.last", "commitrelay-intent 1:3\n");
    assert_int_equal(fixture_recover(&f, &err), RESULT_ERROR);
    assert_int_equal(err.class, ERROR_FATAL);
    assert_int_equal(err.exit_code, EXIT_CODE_UNAVAILABLE);
    assert_non_null(strstr(err.text, "orders.last is damaged"));
    fixture_end(&f);
}

static void test_seal(void **state UNUSED)
{
    struct fixture f;
    char hmac[DIGEST_HEX_SIZE];
    CLEANUP(buf_release) struct buf text = {0}, data = {0};
    fixture_init(&f);
    *(const char **)fixture_conf(&f, "hmac_key") = key;
    *(char **)fixture_conf(&f, "key_id") = (char[]){"2026-1"};
    fixture_open(&f, 1);
    fixture_events(&f, 4, 10);
    for (uint64_t n = 1; n <= 2; n++) { /* the second with the same context */
        char name[128];
        fixture_batch(&f, 2);
        json_t *o = manifest(&f, 2 * n - 1, 2 * n, &text);
        manifest_name(2 * n - 1, 2 * n, name);
        *strstr(name, ".manifest") = '\0';
        buf_clear(&data);
        read_file(&f, name, &data);
        digest_hmac_sha256(slice_from(key), buf_slice(&data), hmac);
        assert_string_equal(json_string_value(json_object_get(o, "hmac_sha256")), hmac);
        assert_string_equal(json_string_value(json_object_get(o, "key_id")), "2026-1");
        const char *seal = strstr(text.data, ",\"manifest_hmac_sha256\"");
        assert_non_null(seal);
        digest_hmac_sha256(slice_from(key), (struct slice){text.data, (size_t)(seal - text.data)},
                           hmac);
        assert_string_equal(json_string_value(json_object_get(o, "manifest_hmac_sha256")), hmac);
        json_decref(o);
    }
    assert_follows(&f, 1, 3, 4);
    fixture_end(&f);
}

static void test_bad_seals(void **state UNUSED)
{
    struct fixture f;
    const struct conf_key *k = sink_file.keys;
    fixture_init(&f);
    *(char **)fixture_conf(&f, "key_id") = (char[]){"k"};
    assert_refused(&f, "sink.key_id names a key, but there is none");
    *(const char **)fixture_conf(&f, "hmac_key") = key;
    *(bool *)fixture_conf(&f, "manifest") = false;
    assert_refused(&f, "sink.hmac_key is for manifests");
    *(bool *)fixture_conf(&f, "manifest") = true;
    *(char **)fixture_conf(&f, "key_id") = (char[]){"a \"b\""};
    assert_refused(&f, "sink.key_id is at most 64");
    while (strcmp(k->name, "hmac_key") != 0) {
        k++;
    }
    *(char **)fixture_conf(&f, "hmac_key") = (char[]){""};
    *((bool *)f.conf + k->given_offset) = true;
    assert_refused(&f, "sink.hmac_key is empty");
    fixture_end(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_chain_over_restarts),
        cmocka_unit_test(test_chain_over_deaths),
        cmocka_unit_test(test_where_a_chain_begins),
        cmocka_unit_test(test_damaged_record),
        cmocka_unit_test(test_seal),
        cmocka_unit_test(test_bad_seals),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
