/* A store that can divide a pipeline: its processes share the shards, each shard is in one of them
 * at a time, and one that is given away goes on where it was left. */
#include "../unit/unit.h"

#include "contract/shards.h"
#include "patience.h"
#include "store_fixture.h"

#include <poll.h>
#include <stdio.h>
#include <string.h>

enum { SHARDS = 4 };

/* What a process has: its membership, and a store for each shard. */
struct process {
    struct store_env env[SHARDS + 1]; /* the last one is the membership's */
    char part[SHARDS][PART_SIZE];
    struct store_member *member;
    void *store[SHARDS];
    bool fed[SHARDS];
    int64_t epoch[SHARDS];
};

static void begin_of(struct fixture *f, struct process *p, int shards)
{
    *p = (struct process){0};
    for (int i = 0; i <= SHARDS; i++) {
        p->env[i] = (struct store_env){.url = f->url,
                                       .pipeline = f->pipeline,
                                       .part = STORE_WHOLE,
                                       .connect_timeout_us = PATIENCE_US,
                                       .read_timeout_us = PATIENCE_US,
                                       .stop_fd = -1};
    }
    assert_done(f->ops->shards->member_new(&p->env[SHARDS], shards, &p->member, &f->err), &f->err);
    for (int i = 0; i < SHARDS && i < shards; i++) {
        part_text((struct part){i, shards}, p->part[i]);
        p->env[i].part = p->part[i];
        p->env[i].member = p->member;
        assert_done(f->ops->open(&p->env[i], &p->store[i], &f->err), &f->err);
    }
}

static void begin(struct fixture *f, struct process *p)
{
    begin_of(f, p, SHARDS);
}

static void end(struct fixture *f, struct process *p)
{
    for (int i = 0; i < SHARDS; i++) {
        f->ops->close(p->store[i]);
    }
    f->ops->shards->member_free(p->member);
}

static int start(struct fixture *f, struct process *p, int i)
{
    struct store_position at = {0};
    int rc = f->ops->start(p->store[i], &at, &f->err);
    p->fed[i] = rc == RESULT_DONE;
    p->epoch[i] = at.epoch;
    buf_release(&at.cursor);
    return rc;
}

/* What the pipelines of a process do in a round. Returns how many shards it feeds. */
static int turn(struct fixture *f, struct process *p)
{
    int n = 0;
    for (int i = 0; i < SHARDS; i++) {
        enum store_seat seat = f->ops->shards->seat(p->store[i]);
        if (p->fed[i] && seat == STORE_SEAT_ASKED_BACK) {
            f->ops->shards->leave(p->store[i]);
            p->fed[i] = false;
        } else if (!p->fed[i]) {
            if (start(f, p, i) == RESULT_ERROR && f->err.class != ERROR_RETRY) {
                fail_msg("shard %d: %s", i, f->err.text);
            }
        }
        n += p->fed[i];
    }
    return n;
}

/* Goes on until the one feeds `n` and the other one (NULL: none) the rest. */
static void until_shared(struct fixture *f, struct process *p, int n, struct process *other)
{
    int64_t until = clock_mono_us() + PATIENCE_US;
    for (;;) {
        int a = turn(f, p), b = other ? turn(f, other) : SHARDS - n;
        for (int i = 0; i < SHARDS; i++) {
            bool both = other && p->fed[i] && other->fed[i];
            if (both && f->ops->shards->seat(p->store[i]) != STORE_SEAT_AWAY &&
                f->ops->shards->seat(other->store[i]) != STORE_SEAT_AWAY) {
                fail_msg("shard %d is fed twice", i);
            }
        }
        if (a == n && b == SHARDS - n) {
            return;
        }
        assert_true(clock_mono_us() < until);
        poll(NULL, 0, 1);
    }
}

static int asked_back(struct fixture *f, struct process *p)
{
    for (int64_t until = clock_mono_us() + PATIENCE_US; clock_mono_us() < until; poll(NULL, 0, 1)) {
        for (int i = 0; i < SHARDS; i++) {
            if (f->ops->shards->seat(p->store[i]) == STORE_SEAT_ASKED_BACK) {
                return i;
            }
        }
    }
    fail_msg("no shard is asked back");
    return -1;
}

static void processes_share_the_shards(void **state)
{
    struct fixture *f = *state;
    struct process one, two;
    begin(f, &one);
    until_shared(f, &one, SHARDS, NULL);
    begin(f, &two);
    until_shared(f, &one, SHARDS / 2, &two);
    end(f, &one);
    until_shared(f, &two, SHARDS, NULL);
    end(f, &two);
}

static void two_first_members_at_once(void **state)
{
    struct fixture *f = *state;
    struct process one, two;
    begin(f, &one);
    begin(f, &two);
    until_shared(f, &one, SHARDS / 2, &two);
    end(f, &one);
    end(f, &two);
}

/* I4: until it is left, nobody else gets it; then the next one goes on behind what was saved, under
 * a new epoch. */
static void a_shard_is_given_when_it_is_left(void **state)
{
    struct fixture *f = *state;
    struct process one, two;
    struct store_position at = {0};
    begin(f, &one);
    until_shared(f, &one, SHARDS, NULL);
    begin(f, &two);
    for (int i = 0; i < SHARDS; i++) {
        assert_int_not_equal(start(f, &two, i), RESULT_DONE);
    }
    int given = asked_back(f, &one);
    fixture_save(f, one.store[given], "left here", 7);
    for (int n = 0; n < 150; n++) { /* longer than both take to look twice */
        assert_int_not_equal(start(f, &two, given), RESULT_DONE);
        poll(NULL, 0, 10);
    }
    f->ops->shards->leave(one.store[given]);
    while (start(f, &two, given) != RESULT_DONE) {
        poll(NULL, 0, 1);
    }
    assert_int_equal(two.epoch[given], one.epoch[given] + 1);
    assert_done(f->ops->observe(two.store[given], &at, &f->err), &f->err);
    assert_string_equal(buf_str(&at.cursor), "left here");
    assert_true(at.locked);
    assert_int_not_equal(start(f, &one, given), RESULT_DONE);
    buf_release(&at.cursor);
    end(f, &one);
    end(f, &two);
}

/* I1: with the lock connection all shards of the process are lost, whatever connections those have.
 */
static void a_lost_lock_connection_ends_all(void **state)
{
    struct fixture *f = *state;
    struct process one;
    int64_t before[SHARDS];
    begin(f, &one);
    until_shared(f, &one, SHARDS, NULL);
    memcpy(before, one.epoch, sizeof before);
    fixture_sql(f->url, "select pg_terminate_backend(pid) from pg_locks where locktype = 'advisory'"
                        " and pid <> pg_backend_pid() and database = (select oid from pg_database"
                        " where datname = current_database())");
    for (int i = 0; i < SHARDS; i++) {
        int64_t until = clock_mono_us() + PATIENCE_US;
        bool paused;
        while (f->ops->get_paused(one.store[i], &paused, &f->err) == RESULT_DONE) {
            assert_true(clock_mono_us() < until);
            poll(NULL, 0, 1);
        }
        assert_int_equal(f->err.class, ERROR_RETRY);
        assert_int_equal(f->ops->save(one.store[i], SLICE_LITERAL("x"), 1, &f->err), RESULT_ERROR);
        one.fed[i] = false;
    }
    until_shared(f, &one, SHARDS, NULL);
    for (int i = 0; i < SHARDS; i++) {
        assert_int_equal(one.epoch[i], before[i] + 1);
    }
    end(f, &one);
}

/* I2 */
static void a_save_of_an_older_epoch_is_none(void **state)
{
    struct fixture *f = *state;
    struct process one;
    begin(f, &one);
    until_shared(f, &one, SHARDS, NULL);
    fixture_sql(f->url, "update commitrelay.positions set epoch = epoch + 1 where part like '2/%'");
    fixture_save(f, one.store[1], "mine", 1);
    assert_done(f->ops->save(one.store[2], SLICE_LITERAL("stale"), 1, &f->err), &f->err);
    assert_int_equal(fixture_saved(f, one.store[2]), RESULT_ERROR);
    assert_int_equal(f->err.class, ERROR_RETRY);
    end(f, &one);
}

static void refused(struct fixture *f, struct process *p)
{
    int64_t until = clock_mono_us() + PATIENCE_US;
    while (start(f, p, 0) == RESULT_AGAIN || f->err.class != ERROR_FATAL) {
        assert_true(clock_mono_us() < until);
        poll(NULL, 0, 1);
    }
    assert_int_equal(f->err.exit_code, EXIT_CODE_UNAVAILABLE);
    assert_non_null(strstr(f->err.text, "this version cannot"));
}

/* I3 */
static void another_number_of_shards_is_refused(void **state)
{
    struct fixture *f = *state;
    struct process one, other;
    struct store_position at = {0};
    begin(f, &one);
    until_shared(f, &one, SHARDS, NULL);
    begin_of(f, &other, SHARDS - 1);
    refused(f, &other);
    end(f, &other);
    void *whole = fixture_open(f);
    assert_int_equal(f->ops->start(whole, &at, &f->err), RESULT_AGAIN);
    end(f, &one);
    int rc = RESULT_AGAIN;
    while (rc == RESULT_AGAIN) {
        rc = f->ops->start(whole, &at, &f->err);
    }
    assert_int_equal(rc, RESULT_ERROR);
    assert_int_equal(f->err.class, ERROR_FATAL);
    assert_non_null(strstr(f->err.text, "this version cannot"));
    f->ops->close(whole);
    buf_release(&at.cursor);
}

/* What has delivered something undivided is not divided without a barrier. */
static void a_whole_pipeline_with_a_position_is_not_divided(void **state)
{
    struct fixture *f = *state;
    struct process one;
    struct store_position at = {0};
    void *whole = fixture_open(f);
    fixture_start(f, whole, &at);
    begin(f, &one);
    while (start(f, &one, 0) != RESULT_ERROR) {
        poll(NULL, 0, 1);
    }
    assert_int_equal(f->err.class, ERROR_RETRY);
    assert_non_null(strstr(f->err.text, "does not divide"));
    fixture_save(f, whole, "somewhere", 3);
    f->ops->close(whole);
    refused(f, &one);
    end(f, &one);
    buf_release(&at.cursor);
}

int store_shards_tests(const struct store_ops *ops, const char *url)
{
    const struct CMUnitTest tests[] = {
        STORE_TEST(processes_share_the_shards),
        STORE_TEST(two_first_members_at_once),
        STORE_TEST(a_shard_is_given_when_it_is_left),
        STORE_TEST(a_lost_lock_connection_ends_all),
        STORE_TEST(a_save_of_an_older_epoch_is_none),
        STORE_TEST(another_number_of_shards_is_refused),
        STORE_TEST(a_whole_pipeline_with_a_position_is_not_divided),
    };
    fixture_use(ops, url);
    return ops->shards ? cmocka_run_group_tests_name("shards", tests, NULL, NULL) : 0;
}
