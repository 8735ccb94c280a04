/* Which events wait behind a dead letter, and what is left of them when they are applied. The inbox
 * is a SQLite database, and the table of `into` lies in it. */
#include "unit.h"

#include "consume/apply/letters.h"
#include "consume/decode/decode.h"
#include "db/sqlite.h"
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

static char name[] = "billing", orders[] = "orders", nothing[] = "", url[80], path[64], dir[32];
static struct conf_consumer conf;
static struct apply_counts counts;
static struct apply *apply;
static struct error err;

static void sql(const char *statement)
{
    const struct sqlite_options options = {.path = path, .create = true, .stop_fd = -1};
    struct sqlite *db;
    assert_int_equal(sqlite_open(&options, &db, &err), 0);
    if (sqlite_exec(db, statement, &err)) {
        fail_msg("%s", err.text);
    }
    sqlite_close(db);
}

static int64_t number(const char *query)
{
    const struct sqlite_options options = {.path = path, .stop_fd = -1};
    struct sqlite *db;
    int64_t n = -1;
    assert_int_equal(sqlite_open(&options, &db, &err), 0);
    if (sqlite_query_int(db, query, -1, &n, &err)) {
        fail_msg("%s", err.text);
    }
    sqlite_close(db);
    return n;
}

static int setup(void **state UNUSED)
{
    snprintf(dir, sizeof dir, "/tmp/parking-XXXXXX");
    assert_non_null(mkdtemp(dir));
    snprintf(path, sizeof path, "%s/inbox.db", dir);
    snprintf(url, sizeof url, "sqlite:%s", path);
    sql("create table orders (id integer primary key, state text not null)");
    conf = (struct conf_consumer){.name = name,
                                  .inbox.url = url,
                                  .apply = {.into = orders, .call = nothing},
                                  .poison = CONF_POISON_PARK_KEY,
                                  .park = {.max_keys = 10, .max_events = 10},
                                  .attempts = 1,
                                  .batch_size = 10};
    counts = (struct apply_counts){0};
    return apply_new(&conf, &counts, -1, &apply, &err);
}

static int teardown(void **state UNUSED)
{
    char more[80];
    apply_free(apply);
    for (const char *const *end = (const char *const[]){"", "-wal", "-shm", NULL}; *end; end++) {
        snprintf(more, sizeof more, "%s%s", path, *end);
        unlink(more);
    }
    return rmdir(dir);
}

static struct record *made(int64_t n, const char *key, const char *payload)
{
    char line[256], id[24];
    const struct decode_conf how = decode_conf_of(&conf);
    snprintf(id, sizeof id, "e%lld", (long long)n);
    snprintf(line, sizeof line, "{\"id\":\"%s\",\"topic\":\"t\",\"key\":%s,\"payload\":%s}", id,
             key, payload);
    struct incoming in = {.stream = "p", .number = n, .line = slice_from(line)};
    struct record *r = decode(&how, &in);
    r->origin = "p";
    return r;
}

/* Applies one event; what is at fault becomes a dead letter. */
static void put_record(struct record *r)
{
    size_t done;
    if (apply_batch(apply, &r, 1, &done, &err)) {
        assert_int_equal(err.class, ERROR_POISON);
        assert_int_equal(apply_bury(apply, r, err.text, &err), 0);
    }
    record_free(r);
}

static void put(int64_t n, const char *key, const char *payload)
{
    put_record(made(n, key, payload));
}

static int64_t letter(void)
{
    return number("select max(id) from commitrelay_consumer_dead_letters");
}

static int64_t waiting(void)
{
    return number("select count(*) from commitrelay_consumer_waiting");
}

static int64_t row_is(const char *state)
{
    char query[128];
    snprintf(query, sizeof query, "select count(*) from orders where id = 1 and state = '%s'",
             state);
    return number(query);
}

#define BAD "{\"id\":1,\"state\":null}"
#define ROW(state) "{\"id\":1,\"state\":\"" state "\"}"

static void what_follows_waits_and_comes_in_order(void **state UNUSED)
{
    bool done, stopped;
    int64_t applied;
    put(1, "\"a\"", BAD);
    put(2, "\"a\"", ROW("second"));
    put(3, "\"b\"", "{\"id\":2,\"state\":\"other\"}");
    put(4, "\"a\"", ROW("last"));
    assert_int_equal(waiting(), 2);
    assert_int_equal(number("select count(*) from orders"), 1);
    assert_int_equal(kept_letter_drop(apply, letter(), &done, &err), 0);
    assert_true(done);
    put(5, "\"a\"", ROW("the very last")); /* still behind the others */
    assert_int_equal(waiting(), 3);
    assert_int_equal(kept_letter_release(apply, letter(), &applied, &stopped, &err), 0);
    assert_int_equal(applied, 3);
    assert_false(stopped);
    assert_int_equal(row_is("the very last"), 1);
    put(6, "\"a\"", ROW("free"));
    assert_int_equal(row_is("free"), 1);
}

static void an_event_that_comes_again_waits_once(void **state UNUSED)
{
    put(1, "\"a\"", ROW("first"));
    put(2, "\"a\"", BAD);
    put(3, "\"a\"", ROW("third"));
    for (int64_t n = 1; n <= 3; n++) { /* applied, a dead letter, waiting */
        put(n, "\"a\"", n == 2 ? BAD : n == 1 ? ROW("first") : ROW("third"));
    }
    assert_int_equal(waiting(), 1);
    assert_int_equal(letter(), 1);
    assert_int_equal(atomic_load(&counts.waiting), 1);
    assert_int_equal(atomic_load(&counts.seen), 3);
    assert_int_equal(row_is("first"), 1);
}

/* What can be seen to be at fault does not pass those before it, and keeps all its bytes. */
static void a_faulty_event_waits_too(void **state UNUSED)
{
    bool done, stopped;
    int64_t applied;
    put(1, "\"a\"", BAD);
    put(2, "\"a\"", "{\"id\":1,\"state\":\"\xff\"}");
    put(3, "\"a\"", ROW("third"));
    assert_int_equal(waiting(), 2);
    assert_int_equal(kept_letter_drop(apply, letter(), &done, &err), 0);
    assert_int_equal(kept_letter_release(apply, letter(), &applied, &stopped, &err), 0);
    assert_true(stopped);
    assert_int_equal(letter(), 2);
    assert_int_equal(waiting(), 1);
    assert_int_equal(number("select instr(event_bytes, x'ff') > 0 and parked is not null "
                            "from commitrelay_consumer_dead_letters where id = 2"),
                     1);
}

static void an_event_without_a_key_parks_nothing(void **state UNUSED)
{
    put(1, "null", BAD);
    put(2, "null", ROW("second"));
    assert_int_equal(row_is("second"), 1);
    assert_int_equal(waiting(), 0);
}

/* A message says id, topic and key beside its value. They stay while it waits: the claim has its
 * id, it waits for its key, and it is the same letter when it comes once more. */
static void put_message(int64_t n, const char *value)
{
    char id[24];
    const struct decode_conf how = decode_conf_of(&conf);
    snprintf(id, sizeof id, "h%lld", (long long)n);
    struct record *r = decode(&how, &(struct incoming){.stream = "t/0",
                                                       .number = n,
                                                       .topic = SLICE_LITERAL("t"),
                                                       .key = SLICE_LITERAL("\xff"),
                                                       .id = slice_from(id),
                                                       .value = slice_from(value)});
    r->origin = "t/0";
    put_record(r);
}

static void what_a_message_says_beside_its_value_stays(void **state UNUSED)
{
    static const char *const queries[] = {
        "select count(*) from inbox where event_id = 'h3'",
        "select count(*) from commitrelay_consumer_dead_letters where hex(key_bytes) = 'FF'"};
    bool done, stopped;
    int64_t applied;
    for (int format = CONF_CONSUME_JSON; format <= CONF_CONSUME_PAYLOAD; format += 3) {
        bool json = format == CONF_CONSUME_JSON;
        int64_t first = json ? 1 : 3, n = json ? 1 : 11;
        const char *bad = json ? "{\"payload\":" BAD "}" : BAD;
        conf.format = format;
        put_message(n, bad);
        put_message(n + 1, bad);
        put_message(n + 2, json ? "{\"payload\":" ROW("third") "}" : ROW("thirteenth"));
        assert_int_equal(waiting(), 2);
        assert_int_equal(kept_letter_drop(apply, first, &done, &err), 0);
        assert_int_equal(kept_letter_release(apply, first, &applied, &stopped, &err), 0);
        assert_true(stopped);
        put_message(n + 1, bad);
        assert_int_equal(letter(), first + 1);
        assert_int_equal(waiting(), 1);
        assert_int_equal(kept_letter_drop(apply, first + 1, &done, &err), 0);
        assert_int_equal(kept_letter_release(apply, first + 1, &applied, &stopped, &err), 0);
        assert_int_equal(applied, 1);
        assert_int_equal(row_is(json ? "third" : "thirteenth"), 1);
        assert_int_equal(number(queries[0]), 1);
        assert_int_equal(number(queries[1]), first + 1);
    }
}

static void no_more_wait_than_may(void **state UNUSED)
{
    struct record *r = made(99, "\"a\"", ROW("x"));
    size_t done;
    put(1, "\"a\"", BAD);
    for (int64_t n = 2; n < 12; n++) {
        put(n, "\"a\"", ROW("x"));
    }
    assert_int_equal(apply_batch(apply, &r, 1, &done, &err), RESULT_ERROR);
    assert_int_equal(err.class, ERROR_CONFIG);
    assert_non_null(strstr(err.text, "10 events wait"));
    record_free(r);
    r = made(100, "\"b\"", "{\"id\":2,\"state\":\"other\"}");
    assert_int_equal(apply_batch(apply, &r, 1, &done, &err), 0);
    record_free(r);
}

static void tables_of_an_earlier_build_keep_their_letters(void **state UNUSED)
{
    sql("create table commitrelay_consumer_positions (consumer text not null, stream text not null,"
        " number integer not null, saved_at text, primary key (consumer, stream)) without rowid;"
        "create table commitrelay_consumer_dead_letters (consumer text not null, event_id text not "
        "null, stream text not null, number integer not null, key text, reason text not null, "
        "event text not null, digest text not null, key_bytes blob, event_bytes blob, created_at "
        "text not null default '2026-11-29T20:00:00Z', primary key (consumer, digest));"
        "insert into commitrelay_consumer_dead_letters (consumer, event_id, stream, number, reason,"
        " event, digest) values ('billing', 'old', 'p', 1, 'odd', 'an event', 'abc')");
    put(1, "\"a\"", ROW("first"));
    assert_int_equal(number("select count(*) from commitrelay_consumer_dead_letters where digest = "
                            "'abc' and state = 'dead' and parked is null and id = 1"),
                     1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_follows_waits_and_comes_in_order, setup, teardown),
        cmocka_unit_test_setup_teardown(an_event_that_comes_again_waits_once, setup, teardown),
        cmocka_unit_test_setup_teardown(a_faulty_event_waits_too, setup, teardown),
        cmocka_unit_test_setup_teardown(an_event_without_a_key_parks_nothing, setup, teardown),
        cmocka_unit_test_setup_teardown(what_a_message_says_beside_its_value_stays, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(no_more_wait_than_may, setup, teardown),
        cmocka_unit_test_setup_teardown(tables_of_an_earlier_build_keep_their_letters, setup,
                                        teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
