/* What becomes of a lane's events and failures when a stream goes to another consumer. The events
 * are given to a program that refuses all; the inbox is a SQLite database of its own. */
#include "unit.h"

#include "base/clock.h"
#include "base/poll_set.h"
#include "consume/decode/decode.h"
#include "consume/lane.h"
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

static char program[] = "false", name[] = "billing", nothing[] = "", url[64], dir[32];
static char *words[] = {program, NULL};
static struct apply_counts counts;
static struct lane lane;
static struct streams streams;
static int stop_fd = -1;
static struct error err;

static int setup(void **state UNUSED)
{
    snprintf(dir, sizeof dir, "/tmp/lane-XXXXXX");
    assert_non_null(mkdtemp(dir));
    snprintf(url, sizeof url, "sqlite:%s/inbox.db", dir);
    char path[64];
    snprintf(path, sizeof path, "%s/inbox.db", dir);
    fclose(fopen(path, "w"));
    static struct conf_consumer conf;
    conf = (struct conf_consumer){
        .name = name,
        .inbox.url = url,
        .apply = {.into = nothing, .call = nothing, .exec = {.items = words, .count = 1}},
        .batch_size = 10,
        .retry = {.initial_us = 1000, .max_us = 1000}};
    struct apply *apply = NULL;
    stop_fd = eventfd(0, EFD_CLOEXEC);
    streams = (struct streams){0};
    return apply_new(&conf, &counts, stop_fd, &apply, &err) || lane_init(&lane, apply, &conf, &err);
}

static int teardown(void **state UNUSED)
{
    char path[64];
    lane_release(&lane);
    streams_release(&streams);
    close(stop_fd);
    snprintf(path, sizeof path, "%s/inbox.db", dir);
    unlink(path);
    return rmdir(dir);
}

/* One event of this stream behind all others. */
static struct stream *add(const char *stream)
{
    const struct decode_conf conf = {.format = DECODE_JSON};
    const struct incoming in = {
        .stream = stream, .number = 1, .line = SLICE_LITERAL("{\"id\":\"e\",\"payload\":1}")};
    struct record *r = decode(&conf, &in);
    struct stream *of = streams_of(&streams, stream);
    streams_add(&streams, of, r);
    lane_add(&lane, r);
    return of;
}

static void apply_one(void)
{
    lane_apply(&lane);
    struct pollfd end = {.fd = worker_fd(lane.worker), .events = POLLIN};
    while (lane_take_end(&lane) == LANE_IDLE) {
        poll(&end, 1, -1);
    }
    assert_int_equal(lane.rc, RESULT_ERROR);
    assert_int_equal(lane.err.class, ERROR_POISON);
}

static void an_event_of_a_lost_stream_leaves_no_blame(void **state UNUSED)
{
    struct stream *ours = add("a/0");
    struct stream *other = add("b/0");
    apply_one();
    ours->lost = true; /* while it was with the program */
    assert_null(lane_give_back(&lane, &streams));
    assert_int_equal(lane.waiting, 1);
    assert_ptr_equal(lane.first->stream, other);
    apply_one();
    const struct record *guilty = lane_give_back(&lane, &streams);
    assert_ptr_equal(guilty, lane.first);
    assert_ptr_equal(lane.first->stream, other);
    assert_int_equal(lane.waiting, 1);
}

static void fail_at_the_first(enum lane_job job)
{
    lane.failed = job;
    lane.failures = 3;
    lane.blocked = lane.bury = true;
    lane.retry_at_us = DEADLINE_NEVER;
}

static void what_failed_at_a_lost_stream_is_over(void **state UNUSED)
{
    struct stream *ours = add("a/0");
    struct stream *other = add("b/0");
    fail_at_the_first(LANE_APPLY);
    other->lost = true; /* which was not the cause */
    lane_drop_lost(&lane, &streams);
    assert_true(lane.blocked && lane.bury && lane.failures == 3);
    ours->lost = true;
    lane_drop_lost(&lane, &streams);
    assert_true(!lane.blocked && !lane.bury && lane.failures == 0);
    assert_true(lane_free(&lane, clock_mono_us()));
    assert_int_equal(lane.waiting, 0);
}

static void what_failed_at_saving_is_not(void **state UNUSED)
{
    add("a/0")->lost = true;
    fail_at_the_first(LANE_SAVE);
    lane_drop_lost(&lane, &streams);
    assert_true(!lane.blocked && lane.failures == 3);
    assert_false(lane_free(&lane, clock_mono_us()));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(an_event_of_a_lost_stream_leaves_no_blame, setup, teardown),
        cmocka_unit_test_setup_teardown(what_failed_at_a_lost_stream_is_over, setup, teardown),
        cmocka_unit_test_setup_teardown(what_failed_at_saving_is_not, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
