/* The file sink by the clock: when a time is due, what serves it, and that it is served once. */
#include "file_fixture.h"

#include "sink/file/schedule.h"
#include <jansson.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define ONE "orders-00000000000000000001-00000000000000000002.csv"
#define EMPTY "orders-00000000000000000003-00000000000000000002.csv"
#define AT_START "orders-00000000000000000001-00000000000000000000.csv"
#define MANIFEST ".manifest.json"

static int64_t seconds(const char *text)
{
    int64_t us;
    assert_true(clock_parse_timestamp(slice_from(text), &us));
    return us / US_PER_SECOND;
}

/* A schedule of two o'clock, with a clock of our own. */
static void begin(struct file_schedule *s, const char *served, const char *now)
{
    struct error err;
    assert_int_equal(file_schedule_open(s, "0 2 * * *", "UTC", &err), RESULT_DONE);
    file_schedule_begin(s, served ? seconds(served) : 0, seconds(now));
}

static void test_a_time_comes(void **state UNUSED)
{
    struct file_schedule s;
    int64_t at = seconds("2026-11-29 02:00:00");
    begin(&s, NULL, "2026-11-28 12:00:00");
    file_schedule_caught_up(&s, at - 1);
    assert_false(file_schedule_ready(&s, at - 1, 10));
    assert_false(file_schedule_ready(&s, at, 10)); /* what was committed before may be unread */
    assert_false(file_schedule_quiet(&s, at));
    file_schedule_caught_up(&s, at);
    assert_true(file_schedule_ready(&s, at, 10));
    assert_true(file_schedule_quiet(&s, at));
    file_schedule_serve(&s, s.due);
    assert_int_equal(s.served, at);
    file_schedule_caught_up(&s, at + 5);
    assert_false(file_schedule_ready(&s, at + 5, 10));
    assert_int_equal(s.next, at + 24 * 3600);
    file_schedule_release(&s);
}

/* A source that always has more must not hold the file back for ever. */
static void test_patience(void **state UNUSED)
{
    struct file_schedule s;
    int64_t at = seconds("2026-11-29 02:00:00");
    begin(&s, NULL, "2026-11-28 12:00:00");
    assert_false(file_schedule_ready(&s, at, 10));
    assert_false(file_schedule_ready(&s, at + 9, 10));
    assert_true(file_schedule_ready(&s, at + 10, 10));
    assert_false(file_schedule_quiet(&s, at + 100)); /* but that there is nothing is not known */
    file_schedule_caught_up(&s, at + 101);
    file_schedule_rewind(&s); /* what was read is put again */
    assert_false(file_schedule_quiet(&s, at + 102));
    file_schedule_release(&s);
}

/* Times that were missed count as one, at the next start. */
static void test_missed_times(void **state UNUSED)
{
    struct file_schedule s;
    int64_t now = seconds("2026-11-29 12:00:00");
    begin(&s, "2026-11-25 02:00:00", "2026-11-29 12:00:00");
    file_schedule_caught_up(&s, now);
    assert_true(file_schedule_ready(&s, now, 1000000));
    file_schedule_serve(&s, s.due);
    file_schedule_caught_up(&s, now);
    assert_false(file_schedule_ready(&s, now, 1000000));
    assert_int_equal(s.next, seconds("2026-11-30 02:00:00"));
    file_schedule_release(&s);
    begin(&s, "2026-11-29 02:00:00", "2026-11-29 12:00:00"); /* none was missed */
    file_schedule_caught_up(&s, now);
    assert_false(file_schedule_ready(&s, now, 0));
    file_schedule_release(&s);
    begin(&s, NULL, "2026-11-29 12:00:00"); /* nothing is known: it begins now */
    file_schedule_caught_up(&s, now);
    assert_false(file_schedule_ready(&s, now, 0));
    file_schedule_release(&s);
}

/* A fixture for whose pipeline two o'clock is missed. */
static void fixture_missed(struct fixture *f, bool emit_empty)
{
    static char two_o_clock[] = "0 2 * * *";
    fixture_init(f);
    *(int *)fixture_conf(f, "format") = 1;
    *(char **)fixture_conf(f, "schedule") = two_o_clock;
    *(bool *)fixture_conf(f, "emit_empty") = emit_empty;
    fixture_open(f, 1);
    fixture_close(f);
    write_file(f, ".commitrelay/orders.schedule", "1700000000");
    fixture_open(f, 1);
}

/* Lets the sink work until it has served the time; its worker may not have ended yet. */
static void await_served(struct fixture *f)
{
    static struct sink_report report;
    CLEANUP(buf_release) struct buf served = {0};
    struct error err;
    do {
        struct poll_set set;
        poll_set_clear(&set);
        poll_set_deadline(&set, clock_mono_us() + 20 * US_PER_MS);
        sink_file.poll_fds(f->sink, &set);
        poll_set_wait(&set);
        report.count = 0;
        if (sink_file.collect(f->sink, &report, &err)) {
            fail_msg("collect: %s", err.text);
        }
        buf_clear(&served);
        read_file(f, ".commitrelay/orders.schedule", &served);
    } while (strcmp(served.data, "1700000000") == 0);
    sink_file.collect(f->sink, &report, &err);
}

static void test_nothing_to_send(void **state UNUSED)
{
    for (int empty = 0; empty < 2; empty++) {
        struct fixture f;
        fixture_missed(&f, empty);
        sink_file.caught_up(f.sink);
        await_served(&f);
        assert_dir_holds(&f, empty ? AT_START " " AT_START MANIFEST " " : "");
        fixture_close(&f);
        fixture_open(&f, 1); /* it was served, and is not again */
        sink_file.caught_up(f.sink);
        static struct sink_report report;
        struct error err;
        assert_int_equal(sink_file.collect(f.sink, &report, &err), RESULT_DONE);
        fixture_events(&f, 2, 1);
        fixture_put(&f, 2);
        sink_file.caught_up(f.sink);
        assert_false(sink_file.commit_due(f.sink, clock_mono_us() + 3600 * US_PER_SECOND));
        fixture_end(&f);
    }
}

static void no_progress(void *ctx UNUSED, uint64_t files UNUSED, uint64_t of UNUSED,
                        uint64_t bytes UNUSED)
{
}

/* A file with events serves the time; the record of its commit says so. */
static void test_something_to_send(void **state UNUSED)
{
    struct fixture f;
    struct error err;
    static struct sink_report report;
    fixture_missed(&f, true);
    fixture_events(&f, 4, 1);
    fixture_put(&f, 2);
    sink_file.caught_up(f.sink);
    assert_true(sink_file.commit_due(f.sink, clock_mono_us()));
    assert_int_equal(fixture_commit(&f, 2, &err), RESULT_DONE);
    for (int i = 0; i < 3; i++) { /* also after a restart, whatever its record is called */
        sink_file.caught_up(f.sink);
        report.count = 0;
        assert_int_equal(sink_file.collect(f.sink, &report, &err), RESULT_DONE);
        assert_dir_holds(&f, ONE " " ONE MANIFEST " ");
        fixture_open(&f, 3);
        if (i == 1) {
            sink_file.recovered(f.sink);
        }
    }
    fixture_end(&f);
}

static void test_an_empty_file_tells_the_truth(void **state UNUSED)
{
    struct fixture f;
    struct error err;
    CLEANUP(buf_release) struct buf data = {0}, manifest = {0};
    fixture_missed(&f, true);
    *(const char **)fixture_conf(&f, "hmac_key") = "a key";
    fixture_open(&f, 1);
    fixture_events(&f, 4, 1);
    fixture_batch(&f, 2); /* full, for example: before the source was read to its end */
    fixture_open(&f, 3);
    sink_file.caught_up(f.sink);
    await_served(&f);
    assert_dir_holds(&f, ONE " " ONE MANIFEST " " EMPTY " " EMPTY MANIFEST " ");
    read_file(&f, EMPTY, &data);
    assert_string_equal(data.data, "id,type,aggregatetype,aggregateid,topic,key,headers,payload,"
                                   "created_at,position\r\n");
    read_file(&f, EMPTY MANIFEST, &manifest);
    json_t *o = json_loadb(manifest.data, manifest.len, 0, NULL);
    assert_int_equal(json_integer_value(json_object_get(o, "events")), 0);
    assert_true(json_is_null(json_object_get(o, "first_position")));
    json_decref(o);
    /* The next batch goes on with the same number, once the worker has ended. */
    static struct sink_report report;
    f.put = 2;
    while (fixture_put(&f, 2) == 0) {
        assert_int_equal(sink_file.collect(f.sink, &report, &err), RESULT_DONE);
    }
    assert_int_equal(fixture_commit(&f, 2, &err), RESULT_DONE);
    CLEANUP(sink_verdict_release) struct sink_verdict v = {0};
    const struct sink_watch watch = {.progress = no_progress};
    int rc = sink_file.verify(f.dir, SLICE_LITERAL("a key"), &watch, &v, &err);
    assert_int_equal(rc, RESULT_DONE);
    assert_string_equal(buf_str(&v.at), ""); /* all three fit, the empty one between the others */
    assert_int_equal(v.files, 3);
    assert_int_equal(v.pipelines[0].events, 4);
    fixture_end(&f);
}

/* One that a partner has not taken yet is left as it is. */
static void test_an_empty_file_stays(void **state UNUSED)
{
    struct fixture f;
    CLEANUP(buf_release) struct buf before = {0}, after = {0};
    fixture_missed(&f, true);
    for (int i = 0; i < 2; i++) {
        sink_file.caught_up(f.sink);
        await_served(&f);
        read_file(&f, AT_START MANIFEST, i ? &after : &before);
        fixture_close(&f);
        write_file(&f, ".commitrelay/orders.schedule", "1700000000");
        *(bool *)fixture_key(&f, "delimited", "header") = false; /* it would be another one now */
        fixture_open(&f, 1);
    }
    assert_string_equal(before.data, after.data);
    fixture_end(&f);
}

/* Killed between the empty file and the note that its time is served: it is made once. */
static void test_killed_behind_an_empty_file(void **state UNUSED)
{
#ifndef COMMITRELAY_FAULTS
    skip();
#endif
    struct fixture f;
    CLEANUP(buf_release) struct buf before = {0}, after = {0};
    int status;
    fixture_missed(&f, true);
    fixture_close(&f);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        setenv("COMMITRELAY_FAULT", "file_after_empty:kill", 1);
        fixture_open(&f, 1);
        sink_file.caught_up(f.sink);
        await_served(&f);
        _exit(1);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    read_file(&f, AT_START MANIFEST, &before);
    fixture_open(&f, 1);
    sink_file.caught_up(f.sink);
    await_served(&f);
    assert_dir_holds(&f, AT_START " " AT_START MANIFEST " ");
    read_file(&f, AT_START MANIFEST, &after);
    assert_string_equal(before.data, after.data);
    fixture_end(&f);
}

static void test_bad_schedules(void **state UNUSED)
{
    struct fixture f;
    fixture_init(&f);
    *(bool *)fixture_conf(&f, "emit_empty") = true;
    assert_refused(&f, "sink.emit_empty needs sink.schedule");
    *(char **)fixture_conf(&f, "schedule") = (char[]){"0 25 * * *"};
    assert_refused(&f, "sink.schedule: `0 25 * * *` is no schedule");
    *(char **)fixture_conf(&f, "schedule") = (char[]){"0 2 * * *"};
    *(char **)fixture_conf(&f, "timezone") = (char[]){"Europe/Berlln"};
    assert_refused(&f, "there is no time zone `Europe/Berlln`");
    fixture_end(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_time_comes),
        cmocka_unit_test(test_patience),
        cmocka_unit_test(test_missed_times),
        cmocka_unit_test(test_nothing_to_send),
        cmocka_unit_test(test_something_to_send),
        cmocka_unit_test(test_an_empty_file_tells_the_truth),
        cmocka_unit_test(test_an_empty_file_stays),
        cmocka_unit_test(test_killed_behind_an_empty_file),
        cmocka_unit_test(test_bad_schedules),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
