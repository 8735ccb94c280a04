/* The file sink after a death: killed for real at each step, then what a new one finds and makes of
 * it. */
#include "file_fixture.h"

#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define ONE_TO_THREE "orders-00000000000000000001-00000000000000000003.jsonl"
#define FOUR_TO_FIVE "orders-00000000000000000004-00000000000000000005.jsonl"
#define BOTH_FILES                                                                             \
    ONE_TO_THREE " " ONE_TO_THREE ".manifest.json " FOUR_TO_FIVE " " FOUR_TO_FIVE ".manifest." \
                 "json "
#define INTENT ".commitrelay/orders.intent"

/* Recovers in a new sink and says what it found. */
static void assert_recovers(struct fixture *f, uint64_t delivered)
{
    struct error err;
    char expected[32];
    if (fixture_recover(f, &err)) {
        fail_msg("recover: %s", err.text);
    }
    const struct sink_recovery *r = &f->recovery;
    assert_int_equal(r->delivered, delivered);
    if (delivered == 0) {
        assert_int_equal(r->cursor.len + r->last_position.len + r->last_id.len + r->keys_count, 0);
        return;
    }
    snprintf(expected, sizeof expected, "cursor-%d", (int)delivered);
    assert_string_equal(buf_str(&r->cursor), expected);
    snprintf(expected, sizeof expected, "id-%d", (int)delivered);
    assert_string_equal(buf_str(&r->last_id), expected);
    assert_string_equal(buf_str(&r->last_position), expected + 3);
    assert_int_equal(r->keys_count, 2);
    assert_true(slice_equal(r->keys[0], SLICE_LITERAL("row-1")));
    assert_true(slice_equal(r->keys[1], SLICE_LITERAL("row\n\0-2")));
}

/* The temporary file of the events from 4 on, whoever made it. */
static void find_temp(const struct fixture *f, char out[96])
{
    char command[256];
    snprintf(command, sizeof command, "cd %s && echo .tmp-orders-00000000000000000004-?*", f->dir);
    FILE *p = popen(command, "re");
    assert_non_null(p);
    assert_non_null(fgets(out, 96, p));
    pclose(p);
    out[strcspn(out, "\n")] = '\0';
}

/* Events 1-3 are in place; then a child dies at `point` while it commits 4 and 5. */
static void fixture_killed(struct fixture *f, const char *point)
{
    char fault[64];
#ifndef COMMITRELAY_FAULTS
    skip();
#endif
    fixture_init(f);
    fixture_open(f, 1);
    fixture_events(f, 5, 10);
    fixture_batch(f, 3);
    fixture_close(f);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        snprintf(fault, sizeof fault, "%s:kill", point);
        setenv("COMMITRELAY_FAULT", fault, 1);
        fixture_open(f, 4);
        fixture_put(f, 2);
        struct error err;
        fixture_commit(f, 2, &err);
        _exit(1);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

static void test_killed_before_the_intent(void **state UNUSED)
{
    struct fixture f;
    fixture_killed(&f, "file_after_fsync");
    assert_recovers(&f, 3); /* the batch before; the events 4 and 5 come again */
    assert_dir_holds(&f, ONE_TO_THREE " " ONE_TO_THREE ".manifest.json ");
    sink_file.recovered(f.sink);
    f.stored.delivered = 3;
    assert_recovers(&f, 0);
    fixture_open(&f, 4);
    fixture_batch(&f, 2);
    assert_dir_holds(&f, BOTH_FILES);
    fixture_end(&f);
}

static void test_killed_after_the_intent(void **state UNUSED)
{
    const char *points[] = {"file_after_intent", "file_after_manifest", "file_after_rename"};
    for (size_t i = 0; i < sizeof points / sizeof *points; i++) {
        struct fixture f;
        fixture_killed(&f, points[i]);
        assert_recovers(&f, 5);
        assert_dir_holds(&f, BOTH_FILES);
        assert_recovers(&f, 5); /* again and again, until the pipeline has saved it */
        sink_file.recovered(f.sink);
        f.stored.delivered = 5;
        assert_recovers(&f, 0);
        assert_dir_holds(&f, BOTH_FILES);
        fixture_end(&f);
    }
}

/* A partner may take a batch as soon as it is there: that must not look as if it had never been. */
static void test_batch_taken_away(void **state UNUSED)
{
    struct fixture f;
    char path[256];
    fixture_killed(&f, "file_after_rename");
    fixture_path(&f, FOUR_TO_FIVE, path);
    assert_int_equal(unlink(path), 0);
    assert_recovers(&f, 5);
    assert_dir_holds(&f, ONE_TO_THREE " " ONE_TO_THREE ".manifest.json ");
    fixture_end(&f);
}

/* Nor does an absent temporary file prove that it was: without the batch and its manifest nothing
 * is taken for delivered. */
static void test_batch_without_a_trace(void **state UNUSED)
{
    struct fixture f;
    struct error err;
    char path[256], temp[96];
    fixture_killed(&f, "file_after_intent");
    find_temp(&f, temp);
    fixture_path(&f, temp, path);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(fixture_recover(&f, &err), RESULT_ERROR);
    assert_int_equal(err.class, ERROR_FATAL);
    assert_int_equal(err.exit_code, EXIT_CODE_UNAVAILABLE);
    assert_non_null(strstr(err.text, "not known what became of the events 4 to 5"));
    fixture_path(&f, INTENT, path); /* what the text says */
    assert_int_equal(unlink(path), 0);
    assert_recovers(&f, 3);
    assert_dir_holds(&f, ONE_TO_THREE " " ONE_TO_THREE ".manifest.json ");
    fixture_end(&f);
}

/* A manifest of other content tells nothing about this batch. */
static void test_manifest_of_another_batch(void **state UNUSED)
{
    struct fixture f;
    struct error err;
    char path[256];
    fixture_killed(&f, "file_after_rename");
    fixture_path(&f, FOUR_TO_FIVE, path);
    assert_int_equal(unlink(path), 0);
    write_file(&f, FOUR_TO_FIVE ".manifest.json", "{\"sha256\":\"0\"}");
    assert_int_equal(fixture_recover(&f, &err), RESULT_ERROR);
    assert_int_equal(err.exit_code, EXIT_CODE_UNAVAILABLE);
    fixture_end(&f);
}

/* What is saved was delivered: nobody asks what became of its file. */
static void test_saved_batch_without_a_trace(void **state UNUSED)
{
    struct fixture f;
    char path[256], temp[96];
    fixture_killed(&f, "file_after_intent");
    find_temp(&f, temp);
    fixture_path(&f, temp, path);
    assert_int_equal(unlink(path), 0);
    f.stored.delivered = 5;
    assert_recovers(&f, 5);
    fixture_end(&f);
}

/* Both names, as a kill between link and unlink leaves them where there is no RENAME_NOREPLACE. */
static void test_killed_between_link_and_unlink(void **state UNUSED)
{
    struct fixture f;
    char name[96], temp[256], data[256];
    fixture_killed(&f, "file_after_manifest");
    find_temp(&f, name);
    fixture_path(&f, name, temp);
    fixture_path(&f, FOUR_TO_FIVE, data);
    assert_int_equal(link(temp, data), 0);
    assert_recovers(&f, 5);
    assert_dir_holds(&f, BOTH_FILES);
    fixture_end(&f);
}

static void test_damaged_temporary_file(void **state UNUSED)
{
    struct fixture f;
    char temp[96];
    CLEANUP(buf_release) struct buf text = {0};
    fixture_killed(&f, "file_after_manifest");
    find_temp(&f, temp);
    read_file(&f, temp, &text);
    text.data[text.len / 2] ^= 1;
    write_file(&f, temp, text.data);
    assert_recovers(&f, 3); /* the intent of the batch before is back */
    assert_dir_holds(&f, ONE_TO_THREE " " ONE_TO_THREE ".manifest.json ");
    fixture_end(&f);
}

static void test_name_taken_meanwhile(void **state UNUSED)
{
    struct fixture f;
    struct error err;
    char path[256];
    fixture_killed(&f, "file_after_intent");
    write_file(&f, FOUR_TO_FIVE, "not ours");
    for (int i = 0; i < 2; i++) {
        assert_int_equal(fixture_recover(&f, &err), RESULT_ERROR);
        assert_int_equal(err.class, ERROR_FATAL);
        assert_int_equal(err.exit_code, EXIT_CODE_IO);
        assert_non_null(strstr(err.text, "refuse to overwrite"));
    }
    fixture_path(&f, FOUR_TO_FIVE, path);
    unlink(path);
    assert_recovers(&f, 5);
    assert_dir_holds(&f, BOTH_FILES);
    fixture_end(&f);
}

/* Every truncation and every changed byte is noticed. */
static void test_damaged_intent(void **state UNUSED)
{
    struct fixture f;
    struct error err;
    CLEANUP(buf_release) struct buf intent = {0};
    char path[256];
    fixture_killed(&f, "file_after_intent");
    read_file(&f, INTENT, &intent);
    fixture_path(&f, INTENT, path);
    for (size_t i = 0; i < 2 * intent.len; i += 7) {
        size_t len = i < intent.len ? i : intent.len, at = i - len;
        FILE *file = fopen(path, "we");
        intent.data[at] ^= (char)(i >= intent.len);
        fwrite(intent.data, 1, len, file);
        intent.data[at] ^= (char)(i >= intent.len);
        fclose(file);
        assert_int_equal(fixture_recover(&f, &err), RESULT_ERROR);
        assert_int_equal(err.class, ERROR_FATAL);
        assert_int_equal(err.exit_code, EXIT_CODE_UNAVAILABLE);
        assert_non_null(strstr(err.text, INTENT));
    }
    fixture_end(&f);
}

/* One that was never renamed into place never was. */
static void test_torn_intent(void **state UNUSED)
{
    struct fixture f;
    char path[256];
    fixture_init(&f);
    fixture_open(&f, 1);
    write_file(&f, INTENT ".new", "commitrelay-in");
    assert_recovers(&f, 0);
    fixture_path(&f, INTENT ".new", path);
    assert_int_equal(access(path, F_OK), -1);
    fixture_end(&f);
}

/* What is no file is no intent: not waited for, not tried again and again. */
static void test_odd_intents(void **state UNUSED)
{
    const char *const commands[] = {"mkdir", "mkfifo", "ln -s nowhere"};
    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++) {
        struct fixture f;
        struct error err;
        char path[256], command[512];
        fixture_init(&f);
        fixture_open(&f, 1);
        fixture_path(&f, INTENT, path);
        snprintf(command, sizeof command, "%s %s", commands[i], path);
        assert_int_equal(system(command), 0);
        assert_int_equal(fixture_recover(&f, &err), RESULT_ERROR);
        assert_int_equal(err.class, ERROR_FATAL);
        assert_int_equal(err.exit_code, EXIT_CODE_UNAVAILABLE);
        assert_non_null(strstr(err.text, INTENT));
        fixture_end(&f);
    }
}

/* A restored database, or another store: its numbers would be given out a second time. */
static void test_files_ahead_of_the_store(void **state UNUSED)
{
    struct fixture f;
    struct error err;
    fixture_init(&f);
    fixture_open(&f, 1);
    fixture_events(&f, 3, 10);
    fixture_batch(&f, 3);
    sink_file.recovered(f.sink);
    f.stored.delivered = 2;
    assert_int_equal(fixture_recover(&f, &err), RESULT_ERROR);
    assert_int_equal(err.class, ERROR_FATAL);
    assert_int_equal(err.exit_code, EXIT_CODE_UNAVAILABLE);
    assert_non_null(strstr(err.text, "up to number 3"));
    f.stored.delivered = 3;
    assert_recovers(&f, 0);
    fixture_end(&f);
}

/* One folder, two databases with a pipeline of one name. */
static void test_files_of_another_database(void **state UNUSED)
{
    struct fixture f;
    struct error err;
    char path[256];
    fixture_init(&f);
    f.stored.origin = "cluster 1, database 5 (shop)";
    fixture_open(&f, 1);
    f.stored.origin = "cluster 1, database 6 (shop)";
    assert_int_equal(fixture_recover(&f, &err), RESULT_ERROR);
    assert_int_equal(err.class, ERROR_CONFIG);
    assert_non_null(strstr(err.text, "are those of cluster 1, database 5 (shop), not of"));
    f.stored.origin = "cluster 1, database 5 (renamed)";
    fixture_open(&f, 1);
    f.stored.origin = "cluster 1, database 6 (shop)";
    assert_int_equal(fixture_recover(&f, &err), RESULT_ERROR);
    fixture_path(&f, ".commitrelay/orders.owner", path); /* what the text says */
    assert_int_equal(unlink(path), 0);
    fixture_open(&f, 1);
    fixture_end(&f);
}

/* Only what is exactly ours goes. */
static void test_sweep(void **state UNUSED)
{
    static const char *const stale[] = {
        ".tmp-orders-00000000000000000009", ".tmp-orders-00000000000000000009.manifest",
        ".tmp-orders-00000000000000000009-0123456789abcdef",
        ".tmp-orders-00000000000000000009-0123456789abcdef.manifest",
        "orders-00000000000000000009-00000000000000000010.csv.manifest.json"};
    static const char *const others[] = {
        ".tmp-orders-eu-00000000000000000009", ".tmp-orders-9",
        ".tmp-orders-00000000000000000009-0123456789abcdefg",
        "orders-eu-00000000000000000009-00000000000000000010.csv.manifest.json",
        "orders-00000000000000000009-00000000000000000010.txt.manifest.json"};
    struct fixture f;
    fixture_init(&f);
    fixture_open(&f, 1);
    for (size_t i = 0; i < sizeof stale / sizeof *stale; i++) {
        write_file(&f, stale[i], "x");
    }
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        write_file(&f, others[i], "x");
    }
    assert_recovers(&f, 0);
    assert_dir_holds(&f, ".tmp-orders-00000000000000000009-0123456789abcdefg .tmp-orders-9 "
                         ".tmp-orders-eu-00000000000000000009 "
                         "orders-00000000000000000009-00000000000000000010.txt.manifest.json "
                         "orders-eu-00000000000000000009-00000000000000000010.csv.manifest.json ");
    fixture_end(&f);
}

/* A commit that cannot be finished takes its intent back, and the one of the batch before counts
 * again. */
static void test_commit_taken_back(void **state UNUSED)
{
    struct fixture f;
    struct error err;
    char path[256];
    fixture_init(&f);
    fixture_open(&f, 1);
    fixture_events(&f, 5, 10);
    fixture_batch(&f, 3);
    fixture_put(&f, 2);
    fixture_path(&f, FOUR_TO_FIVE ".manifest.json", path);
    assert_int_equal(mkdir(path, 0700), 0); /* in the way of the manifest */
    assert_int_equal(fixture_commit(&f, 2, &err), RESULT_ERROR);
    assert_int_equal(err.class, ERROR_RETRY);
    assert_int_equal(rmdir(path), 0);
    assert_dir_holds(&f, ONE_TO_THREE " " ONE_TO_THREE ".manifest.json ");
    assert_int_equal(sink_file.start(f.sink, 4, &err), RESULT_DONE);
    assert_recovers(&f, 3);
    assert_int_equal(sink_file.start(f.sink, 4, &err), RESULT_DONE);
    f.put = 3;
    fixture_batch(&f, 2);
    assert_dir_holds(&f, BOTH_FILES);
    fixture_end(&f);
}

/* Two relays with one directory, each with a file of the events 1 to 3 open; the new one is the
 * owner. */
static void fixture_rivals(struct fixture *old, struct fixture *new)
{
    fixture_init(old);
    fixture_open(old, 1);
    fixture_events(old, 3, 10);
    fixture_put(old, 3);
    fixture_init(new);
    new->dir_value = old->dir;
    memcpy(fixture_conf(new, "dir"), &new->dir_value, sizeof new->dir_value);
    fixture_open(new, 1);
    fixture_events(new, 3, 10);
}

static void fixture_end_rivals(struct fixture *old, struct fixture *new)
{
    assert_dir_holds(old, ONE_TO_THREE " " ONE_TO_THREE ".manifest.json ");
    fixture_end(new);
    fixture_end(old);
}

static void test_overtaken(void **state UNUSED)
{
    struct fixture old, new;
    struct error err;
    fixture_rivals(&old, &new);
    for (int i = 0; i < 5; i++) { /* more often than a failing disk is borne */
        assert_int_equal(fixture_commit(&old, 3, &err), RESULT_ERROR);
        assert_int_equal(err.class, ERROR_RETRY);
        assert_string_equal(err.code, SINK_OVERTAKEN);
        assert_int_equal(sink_file.start(old.sink, 1, &err), RESULT_DONE);
        old.put = 0;
        fixture_put(&old, 3);
    }
    fixture_close(&old);
    fixture_batch(&new, 3);
    fixture_end_rivals(&old, &new);
}

/* An overtaken relay throws away what is its own, and nothing of its rival: not the open file of
 * the same events, not the intent. */
static void test_overtaken_ends(void **state UNUSED)
{
    struct fixture old, new;
    struct error err;
    fixture_rivals(&old, &new);
    fixture_put(&new, 3);
    fixture_close(&old);
    assert_int_equal(fixture_commit(&new, 3, &err), RESULT_DONE);
    fixture_end_rivals(&old, &new);
}

static void test_overtaken_after_recovery(void **state UNUSED)
{
    struct fixture old, new;
    fixture_rivals(&old, &new);
    fixture_batch(&new, 3);
    sink_file.recovered(old.sink); /* it had saved what it recovered, and slept meanwhile */
    fixture_close(&new);
    assert_recovers(&new, 3);
    fixture_end_rivals(&old, &new);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_torn_intent),
        cmocka_unit_test(test_odd_intents),
        cmocka_unit_test(test_files_ahead_of_the_store),
        cmocka_unit_test(test_files_of_another_database),
        cmocka_unit_test(test_sweep),
        cmocka_unit_test(test_commit_taken_back),
        cmocka_unit_test(test_overtaken),
        cmocka_unit_test(test_overtaken_ends),
        cmocka_unit_test(test_overtaken_after_recovery),
        cmocka_unit_test(test_killed_before_the_intent),
        cmocka_unit_test(test_killed_after_the_intent),
        cmocka_unit_test(test_batch_taken_away),
        cmocka_unit_test(test_batch_without_a_trace),
        cmocka_unit_test(test_manifest_of_another_batch),
        cmocka_unit_test(test_saved_batch_without_a_trace),
        cmocka_unit_test(test_killed_between_link_and_unlink),
        cmocka_unit_test(test_damaged_temporary_file),
        cmocka_unit_test(test_name_taken_meanwhile),
        cmocka_unit_test(test_damaged_intent),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
