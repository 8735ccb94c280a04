/* Events that wait behind a dead letter of their key. */
#include "../unit/unit.h"

#include "base/clock.h"
#include "store_fixture.h"
#include <stdio.h>
#include <string.h>

#define BYTES "\0\xff'\\\"{,}\n"

/* An event of a key; its id is its position. */
static struct store_dead_letter event(const char *id, struct slice key)
{
    return (struct store_dead_letter){.event_id = slice_from(id),
                                      .position = slice_from(id),
                                      .topic = SLICE_LITERAL("a \"topic\""),
                                      .key = key,
                                      .payload = SLICE_LITERAL(BYTES),
                                      .headers = SLICE_LITERAL("{\"a\":\"\xc3\xa9, NULL\"}"),
                                      .aggregatetype = SLICE_LITERAL("NULL"),
                                      .aggregateid = {"", 0},
                                      .type = SLICE_LITERAL("T\\"),
                                      .created_at = SLICE_NULL,
                                      .payload_kind = SLICE_LITERAL("bytes"),
                                      .partition = -1,
                                      .first_failed_us = TIME_NONE,
                                      .last_failed_us = TIME_NONE};
}

static void *started(struct fixture *f)
{
    struct store_position p = {0};
    void *s = fixture_open(f);
    fixture_start(f, s, &p);
    buf_release(&p.cursor);
    return s;
}

/* Puts a dead letter that parks its key; its number. */
static int64_t park(struct fixture *f, void *s, const char *id, struct slice key)
{
    struct store_dead_letter d = event(id, key);
    int64_t number = 0;
    d.parks = true;
    d.reason = SLICE_LITERAL("too large");
    d.attempts = 1;
    assert_done(f->ops->dead_letter_put(s, &d, &number, &f->err), &f->err);
    assert_true(number > 0);
    return number;
}

/* Stores events of one key, each named by one letter; how many are new. */
static int64_t put(struct fixture *f, void *s, const char *names, struct slice key)
{
    struct store_dead_letter d[26];
    char ids[26][2];
    size_t n = strlen(names);
    int64_t added = -1;
    for (size_t i = 0; i < n; i++) {
        ids[i][0] = names[i];
        ids[i][1] = '\0';
        d[i] = event(ids[i], key);
    }
    assert_done(f->ops->waiting_put(s, d, n, &added, &f->err), &f->err);
    return added;
}

/* --- looking --- */

struct seen {
    char names[64]; /* of those that were given, in order */
    int64_t ids[64];
    size_t count, stop_at;
};

static int see(void *ctx, const struct store_dead_letter *d)
{
    struct seen *seen = ctx;
    assert_true(seen->count == 0 || d->id > seen->ids[seen->count - 1]);
    assert_string_equal(d->state, STORE_LETTER_WAITING);
    seen->ids[seen->count] = d->id;
    seen->names[seen->count++] = d->event_id.ptr[0];
    return seen->count == seen->stop_at ? 7 : 0;
}

static struct seen waiting(struct fixture *f, void *s, struct slice key)
{
    struct seen seen = {0};
    assert_done(f->ops->waiting_list(s, key, 0, 64, INT64_MAX, see, &seen, &f->err), &f->err);
    return seen;
}

/* "3:2 0:1 ": for each parked key its letter, counted from the first, and how many wait. */
struct keys {
    char text[128];
    int64_t first;
    struct slice want; /* the key itself, if there is only one */
};

static int see_key(void *ctx, const struct store_parked *k)
{
    struct keys *keys = ctx;
    size_t len = strlen(keys->text);
    snprintf(keys->text + len, sizeof keys->text - len, "%lld:%lld ",
             (long long)(k->letter ? k->letter - keys->first + 1 : 0), (long long)k->waiting);
    if (!slice_is_null(keys->want)) {
        assert_true(slice_equal(k->key, keys->want));
    }
    return 0;
}

static void assert_keys(struct fixture *f, void *s, int64_t first, const char *want)
{
    struct keys keys = {.first = first};
    assert_done(f->ops->parked_list(s, see_key, &keys, &f->err), &f->err);
    assert_string_equal(keys.text, want);
}

/* Of `d` what does not point anywhere. */
struct letter {
    struct store_dead_letter d;
    char code[16];
};

static int copy_letter(void *ctx, const struct store_dead_letter *d)
{
    struct letter *to = ctx;
    assert_int_equal(to->d.id, 0);
    to->d = *d;
    snprintf(to->code, sizeof to->code, "%.*s", SLICE_FMT(d->code));
    return 0;
}

static struct letter look_at(struct fixture *f, void *s, int64_t id)
{
    struct letter l = {0};
    assert_done(f->ops->dead_letter_list(s, store_letter_number(id), copy_letter, &l, &f->err),
                &f->err);
    return l;
}

/* --- cases --- */

static void what_waits_is_kept_in_order(void **state)
{
    struct fixture *f = *state;
    const struct slice k = SLICE_LITERAL("k\0\xff"), other = {"", 0};
    void *s = started(f);
    assert_keys(f, s, 0, "");
    int64_t head = park(f, s, "1", k);
    assert_keys(f, s, head, "1:0 ");
    assert_int_equal(put(f, s, "cab", k), 3);
    park(f, s, "2", other);
    assert_int_equal(put(f, s, "x", other), 1);
    assert_int_equal(put(f, s, "d", k), 1);
    assert_string_equal(waiting(f, s, k).names, "cabd");
    assert_string_equal(waiting(f, s, other).names, "x");
    assert_string_equal(waiting(f, s, SLICE_LITERAL("k")).names, "");
    struct store_dead_letter d = look_at(f, s, head).d;
    assert_true(d.parks && d.waiting == 4);
    int64_t open = 0;
    assert_done(f->ops->dead_letter_count(s, &open, &f->err), &f->err);
    assert_int_equal(open, 2); /* what waits is no dead letter */
    assert_int_equal(look_at(f, s, waiting(f, s, k).ids[0]).d.id, 0);
    f->ops->close(s);

    s = started(f); /* all of it is there after a restart */
    assert_string_equal(waiting(f, s, k).names, "cabd");
    f->ops->close(s);
}

static int see_bytes(void *ctx, const struct store_dead_letter *d)
{
    const struct store_dead_letter want = event("a", SLICE_LITERAL("k"));
    (*(int *)ctx)++;
    assert_true(slice_equal(d->topic, want.topic) && slice_equal(d->key, want.key));
    assert_true(slice_equal(d->payload, want.payload) && slice_equal(d->headers, want.headers));
    assert_true(slice_equal(d->aggregatetype, want.aggregatetype));
    assert_true(slice_is_null(d->created_at) && !slice_is_null(d->aggregateid));
    assert_true(slice_equal(d->type, want.type) && slice_equal(d->payload_kind, want.payload_kind));
    assert_true(d->partition == -1 && d->attempts == 0 && d->edits == 0 && d->reason.len == 0);
    return 0;
}

static void what_waits_is_kept_whole(void **state)
{
    struct fixture *f = *state;
    const struct slice k = SLICE_LITERAL("k");
    int count = 0;
    void *s = started(f);
    park(f, s, "1", k);
    put(f, s, "a", k);
    assert_done(f->ops->waiting_list(s, k, 0, 9, 1, see_bytes, &count, &f->err), &f->err);
    assert_int_equal(count, 1);
    struct store_dead_letter d = event("n", k);
    int64_t added = 0;
    d.topic = d.headers = d.aggregatetype = d.aggregateid = d.type = d.payload = SLICE_NULL;
    d.partition = 5;
    assert_done(f->ops->waiting_put(s, &d, 1, &added, &f->err), &f->err);
    assert_int_equal(added, 1);
    f->ops->close(s);
}

/* An event is read again after a crash. */
static void what_is_stored_again_stays_what_it_is(void **state)
{
    struct fixture *f = *state;
    const struct slice k = SLICE_LITERAL("k");
    bool done = false;
    void *s = started(f);
    int64_t head = park(f, s, "1", k);
    put(f, s, "ab", k);
    assert_int_equal(put(f, s, "1abc", k), 1); /* the dead letter itself does not wait */
    assert_string_equal(waiting(f, s, k).names, "abc");
    assert_int_equal(park(f, s, "1", k), head);
    struct store_dead_letter d = event("a", k);
    int64_t id = -1;
    assert_done(f->ops->dead_letter_put(s, &d, &id, &f->err), &f->err);
    assert_int_equal(id, 0); /* it waits */
    assert_string_equal(waiting(f, s, k).names, "abc");
    d = event("1", k); /* a replay, which parks nothing, has met it */
    assert_done(f->ops->dead_letter_put(s, &d, &id, &f->err), &f->err);
    assert_true(id == head && look_at(f, s, head).d.parks);
    /* One that was given up and comes again goes to the end. */
    int64_t old = park(f, s, "z", k);
    assert_done(f->ops->dead_letter_close(s, old, STORE_LETTER_DROPPED, -1, 5, &done, &f->err),
                &f->err);
    assert_int_equal(put(f, s, "dze", k), 3);
    assert_string_equal(waiting(f, s, k).names, "abcdze");
    put(f, s, "f", k);
    assert_string_equal(waiting(f, s, k).names, "abcdzef");
    f->ops->close(s);
}

static void what_was_sent_is_removed_up_to_it(void **state)
{
    struct fixture *f = *state;
    const struct slice k = SLICE_LITERAL("k"), other = SLICE_LITERAL("o");
    int64_t removed = -1;
    bool done = false;
    void *s = started(f);
    int64_t head = park(f, s, "1", k);
    park(f, s, "2", other);
    put(f, s, "ab", k);
    put(f, s, "xy", other);
    put(f, s, "cd", k);
    struct seen all = waiting(f, s, k);
    assert_done(f->ops->dead_letter_close(s, head, STORE_LETTER_RETRIED, -1, 6, &done, &f->err),
                &f->err);
    assert_keys(f, s, head, "2:2 0:4 ");
    assert_done(f->ops->waiting_sent(s, 0, head, &removed, &f->err), &f->err);
    assert_int_equal(removed, 0); /* it does not wait */
    assert_done(f->ops->waiting_sent(s, 0, all.ids[2], &removed, &f->err), &f->err);
    assert_int_equal(removed, 3);
    assert_string_equal(waiting(f, s, k).names, "d");
    assert_done(f->ops->waiting_sent(s, 0, all.ids[2], &removed, &f->err), &f->err);
    assert_int_equal(removed, 0);
    assert_done(f->ops->waiting_sent(s, all.ids[2], all.ids[3], &removed, &f->err), &f->err);
    assert_int_equal(removed, 1);
    assert_keys(f, s, head, "2:2 ");
    assert_string_equal(waiting(f, s, other).names, "xy");
    /* Nothing of it goes with the closed ones. */
    assert_done(f->ops->dead_letter_expire(s, INT64_MAX / 2000, 100, &removed, &f->err), &f->err);
    assert_int_equal(removed, 1);
    assert_string_equal(waiting(f, s, other).names, "xy");
    f->ops->close(s);
}

static void what_waits_is_given_in_pages(void **state)
{
    struct fixture *f = *state;
    const struct slice k = SLICE_LITERAL("k");
    void *s = started(f);
    park(f, s, "1", k);
    put(f, s, "abcdef", k);
    struct seen some = {0}, next = {0}, small = {0}, stopped = {.stop_at = 2};
    assert_done(f->ops->waiting_list(s, k, 0, 4, INT64_MAX, see, &some, &f->err), &f->err);
    assert_string_equal(some.names, "abcd");
    assert_done(f->ops->waiting_list(s, k, some.ids[3], 4, INT64_MAX, see, &next, &f->err),
                &f->err);
    assert_string_equal(next.names, "ef");
    int64_t two = 2 * (int64_t)(sizeof BYTES - 1);
    assert_done(f->ops->waiting_list(s, k, 0, 4, two, see, &small, &f->err), &f->err);
    assert_string_equal(small.names, "ab");
    assert_int_equal(f->ops->waiting_list(s, k, 0, 4, INT64_MAX, see, &stopped, &f->err), 7);
    assert_string_equal(stopped.names, "ab");
    f->ops->close(s);
}

static void what_waits_may_become_the_dead_letter(void **state)
{
    struct fixture *f = *state;
    const struct slice k = SLICE_LITERAL("k");
    const struct store_dead_letter why = {.reason = SLICE_LITERAL("refused"),
                                          .code = SLICE_LITERAL("poison"),
                                          .attempts = 3,
                                          .last_failed_us = 5000};
    bool done = false;
    int64_t removed, id;
    void *s = started(f);
    int64_t head = park(f, s, "1", k);
    put(f, s, "abc", k);
    struct store_dead_letter kept = event("r", k);
    kept.code = SLICE_LITERAL("row_kept");
    assert_done(f->ops->waiting_put(s, &kept, 1, &removed, &f->err), &f->err);
    struct seen all = waiting(f, s, k);
    assert_done(f->ops->dead_letter_close(s, head, STORE_LETTER_DROPPED, -1, 6, &done, &f->err),
                &f->err);
    assert_done(f->ops->waiting_sent(s, 0, all.ids[0], &removed, &f->err), &f->err);
    id = all.ids[1];
    assert_done(f->ops->waiting_failed(s, id, &why, &done, &f->err), &f->err);
    assert_true(done);
    assert_keys(f, s, id, "1:2 ");
    struct store_dead_letter d = look_at(f, s, id).d;
    assert_true(store_letter_is_open(&d) && d.parks && d.waiting == 2 && d.attempts == 3);
    assert_true(d.first_failed_us == 5000 && d.last_failed_us == 5000);
    assert_done(f->ops->waiting_failed(s, id, &why, &done, &f->err), &f->err);
    assert_false(done);
    assert_done(f->ops->waiting_failed(s, all.ids[3], &why, &done, &f->err), &f->err);
    assert_true(done);
    assert_string_equal(look_at(f, s, all.ids[3]).code,
                        "row_kept"); /* that its row has the rest stays known */
    f->ops->close(s);
}

/* A key may be longer than what an index takes. */
static void a_key_may_be_long(void **state)
{
    struct fixture *f = *state;
    static char text[100000];
    unsigned random = 1;
    for (size_t i = 0; i < sizeof text; i++) {
        random = random * 1103515245 + 12345;
        text[i] = (char)(random >> 16);
    }
    struct keys keys = {.want = {text, sizeof text}};
    void *s = started(f);
    keys.first = park(f, s, "1", keys.want);
    assert_int_equal(put(f, s, "a", keys.want), 1);
    assert_done(f->ops->parked_list(s, see_key, &keys, &f->err), &f->err);
    assert_string_equal(keys.text, "1:1 ");
    assert_string_equal(waiting(f, s, keys.want).names, "a");
    f->ops->close(s);
}

static void pipelines_do_not_mix(void **state)
{
    struct fixture *f = *state;
    const struct slice k = SLICE_LITERAL("k");
    int64_t removed;
    char first = f->pipeline[0];
    void *s = started(f);
    int64_t head = park(f, s, "1", k);
    put(f, s, "ab", k);
    f->pipeline[0] = 'o';
    void *other = started(f);
    assert_keys(f, other, 0, "");
    park(f, other, "1", k);
    assert_int_equal(put(f, other, "ab", k), 2);
    assert_done(f->ops->waiting_sent(other, 0, waiting(f, s, k).ids[1], &removed, &f->err),
                &f->err);
    assert_int_equal(removed, 0);
    assert_done(f->ops->waiting_sent(other, 0, waiting(f, other, k).ids[1], &removed, &f->err),
                &f->err);
    assert_int_equal(removed, 2);
    assert_keys(f, s, head, "1:2 ");
    f->pipeline[0] = first;
    f->ops->close(other);
    f->ops->close(s);
}

int store_waiting_tests(const struct store_ops *ops, const char *url)
{
    const struct CMUnitTest tests[] = {
        STORE_TEST(what_waits_is_kept_in_order),
        STORE_TEST(what_waits_is_kept_whole),
        STORE_TEST(what_is_stored_again_stays_what_it_is),
        STORE_TEST(what_was_sent_is_removed_up_to_it),
        STORE_TEST(what_waits_is_given_in_pages),
        STORE_TEST(what_waits_may_become_the_dead_letter),
        STORE_TEST(a_key_may_be_long),
        STORE_TEST(pipelines_do_not_mix),
    };
    fixture_use(ops, url);
    return cmocka_run_group_tests_name("waiting", tests, NULL, NULL);
}
