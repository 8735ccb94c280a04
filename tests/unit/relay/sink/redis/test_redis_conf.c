/* What the sink redis makes of its configuration and of error replies, without a server. */
#include "unit.h"

#include "sink/redis/conf.h"
#include "sink/redis/errors.h"

#include <stdio.h>
#include <string.h>

static char nothing[] = "";

static struct redis_conf conf_of(const char *url)
{
    return (struct redis_conf){
        .url = (char *)(uintptr_t)url,
        .net = {.username = nothing,
                .password = nothing,
                .tls = {nothing, nothing, nothing, nothing, .verify = true}}};
}

/* --- sink.url --- */

static struct arena memory;
static struct redis_server servers[REDIS_SERVERS_MAX];
static struct error err;

static size_t read_servers(struct redis_conf conf)
{
    size_t count = 0;
    if (redis_servers_read(&conf, &memory, servers, &count, &err)) {
        assert_int_equal(err.class, ERROR_CONFIG);
        return 0;
    }
    return count;
}

static void a_url_names_a_server(void **state)
{
    (void)state;
    assert_int_equal(read_servers(conf_of("redis://cache")), 1);
    assert_string_equal(servers[0].host, "cache");
    assert_string_equal(servers[0].port, "6379");
    assert_string_equal(servers[0].shown, "cache:6379");
    assert_int_equal(servers[0].db, 0);
    assert_string_equal(servers[0].password, "");
    assert_int_equal(read_servers(conf_of("redis://relay:p%40ss%2C@10.0.0.1:7000/3")), 1);
    assert_string_equal(servers[0].host, "10.0.0.1");
    assert_string_equal(servers[0].user, "relay");
    assert_string_equal(servers[0].password, "p@ss,");
    assert_string_equal(servers[0].shown, "10.0.0.1:7000");
    assert_int_equal(servers[0].db, 3);
    assert_int_equal(read_servers(conf_of("redis://:secret@[::1]:7000/")), 1);
    assert_string_equal(servers[0].host, "::1");
    assert_string_equal(servers[0].shown, "[::1]:7000");
    assert_string_equal(servers[0].user, "");
    assert_string_equal(servers[0].password, "secret");
}

static void a_url_names_a_socket(void **state)
{
    (void)state;
    assert_int_equal(read_servers(conf_of("unix:/run/redis.sock?db=2")), 1);
    assert_null(servers[0].host);
    assert_string_equal(servers[0].path, "/run/redis.sock");
    assert_int_equal(servers[0].db, 2);
    assert_int_equal(read_servers(conf_of("unix://relay:secret@/run/redis.sock")), 1);
    assert_string_equal(servers[0].path, "/run/redis.sock");
    assert_string_equal(servers[0].shown, "/run/redis.sock");
    assert_string_equal(servers[0].user, "relay");
    assert_string_equal(servers[0].password, "secret");
}

static void several_are_read_in_order_and_take_the_login_of_the_keys(void **state)
{
    (void)state;
    struct redis_conf conf = conf_of("redis://a, redis://u:own@b:1,unix:/s");
    char user[] = "relay", password[] = "keyed";
    conf.net.username = user;
    conf.net.password = password;
    assert_int_equal(read_servers(conf), 3);
    assert_string_equal(servers[0].host, "a");
    assert_string_equal(servers[0].password, "keyed");
    assert_string_equal(servers[1].user, "u");
    assert_string_equal(servers[1].password, "own");
    assert_string_equal(servers[2].user, "relay");
}

static void what_is_wrong_with_a_url_is_said_without_its_password(void **state)
{
    (void)state;
    static const struct {
        const char *url, *says;
    } wrong[] = {
        {"redis://:hunter2@h,http://:hunter2@h", "server 2: it begins neither with redis://"},
        {"rediss://:hunter2@h", "rediss is not in this version"},
        {"redis://:hunter2@", "it names no host"},
        {"redis://:hunter2@h:0", "the port is not a number"},
        {"redis://:hunter2@h:70000", "the port is not a number"},
        {"redis://:hunter2@h/one", "the database is not a number"},
        {"redis://:hunter2%4@h", "two hex digits"},
        {"redis://:hunter2%00@h", "two hex digits"},
        {"redis://[::1", "stands in brackets"},
        {"unix:", "it names no path"},
        {"unix:/s?hunter2", "only db=DB"},
        {"redis://user@h", "a user without a password"},
        {"redis://h,", "server 2"},
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        assert_int_equal(read_servers(conf_of(wrong[i].url)), 0);
        if (!strstr(err.text, wrong[i].says) || strstr(err.text, "hunter2")) {
            fail_msg("%s: %s", wrong[i].url, err.text);
        }
    }
    char many[20 * REDIS_SERVERS_MAX] = "redis://h";
    for (int i = 0; i < REDIS_SERVERS_MAX; i++) {
        strcat(many, ",redis://h");
    }
    assert_int_equal(read_servers(conf_of(many)), 0);
    assert_non_null(strstr(err.text, "more than 16 servers"));
}

static void a_password_does_not_come_from_the_command_line(void **state)
{
    (void)state;
    assert_int_equal(redis_conf_url_check("redis://h", &err), RESULT_DONE);
    assert_int_equal(redis_conf_url_check("redis://:hunter2@h", &err), RESULT_ERROR);
    assert_null(strstr(err.text, "hunter2"));
    assert_null(redis_conf_url_value("kafka://h"));
    assert_string_equal(redis_conf_url_value("unix:/s"), "unix:/s");
}

/* --- keys that must fit each other --- */

static char noted[512];

static void note(void *ctx, int level, const char *text)
{
    (void)ctx, (void)level;
    snprintf(noted, sizeof noted, "%s", text);
}

static void what_keeps_nothing_must_be_meant(void **state)
{
    (void)state;
    struct redis_conf conf = conf_of("redis://h");
    struct sink_env env = {.pipeline = "p", .note = note};
    noted[0] = '\0';
    assert_int_equal(redis_conf_check(&conf, &env, &err), RESULT_DONE);
    assert_string_equal(noted, "");
    conf.mode = REDIS_PUBSUB;
    assert_int_equal(redis_conf_check(&conf, &env, &err), RESULT_ERROR);
    assert_int_equal(err.class, ERROR_CONFIG);
    assert_non_null(strstr(err.text, "delivery.at_most_once: true"));
    env.at_most_once = true;
    assert_int_equal(redis_conf_check(&conf, &env, &err), RESULT_DONE);
    assert_non_null(strstr(noted, "is lost"));
    conf.maxlen = 10;
    assert_int_equal(redis_conf_check(&conf, &env, &err), RESULT_ERROR);
    assert_non_null(strstr(err.text, "sink.maxlen has no effect"));
}

/* --- errors --- */

static void each_error_reply_has_its_class(void **state)
{
    (void)state;
    static const struct {
        const char *reply;
        enum error_class class;
        int exit_code;
        const char *says;
    } replies[] = {
        {"MOVED 5 10.0.0.2:6379", ERROR_CONFIG, 78, "this is a cluster"},
        {"ASK 5 10.0.0.2:6379", ERROR_CONFIG, 78, "this is a cluster"},
        {"CLUSTERDOWN Hash slot not served", ERROR_CONFIG, 78, "this is a cluster"},
        {"OOM command not allowed", ERROR_BUSY, 75, "raise its maxmemory"},
        {"BUSY Redis is busy running a script.", ERROR_BUSY, 75, "runs a script"},
        {"LOADING Redis is loading the dataset in memory", ERROR_RETRY, 75, "after a start"},
        {"READONLY You can't write against a read only replica.", ERROR_RETRY, 75, "primary"},
        {"MASTERDOWN Link with MASTER is down", ERROR_RETRY, 75, "primary"},
        {"NOREPLICAS Not enough good replicas to write.", ERROR_RETRY, 75, "min-replicas"},
        {"MISCONF Errors writing to the AOF file", ERROR_RETRY, 75, "disk"},
        {"NOAUTH Authentication required.", ERROR_CONFIG, 77, "sink.password_file"},
        {"WRONGPASS invalid username-password pair", ERROR_CONFIG, 77, "sink.password_file"},
        {"NOPERM this user has no permissions", ERROR_CONFIG, 77, "ACL SETUSER"},
        {"WRONGTYPE Operation against a key", ERROR_CONFIG, 78, "RENAME"},
        {"ERR Elements are too large to be stored", ERROR_POISON, 75, "no entry"},
        {"ERR something new", ERROR_RETRY, 75, "sent again"},
    };
    for (size_t i = 0; i < sizeof replies / sizeof *replies; i++) {
        redis_error(&err, "h:1", (struct slice)SLICE_LITERAL("orders"),
                    slice_from(replies[i].reply));
        assert_int_equal(err.class, replies[i].class);
        assert_int_equal(err.exit_code, replies[i].exit_code);
        assert_non_null(strstr(err.text, "h:1, orders: "));
        assert_non_null(strstr(err.text, replies[i].says));
    }
    assert_true(error_is(&err, "ERR"));
}

static void what_an_old_server_repeats_of_an_event_is_not_shown(void **state)
{
    (void)state;
    redis_error(&err, "h:1", SLICE_NULL,
                slice_from("ERR unknown command `XADD`, with args beginning with: `iban DE12`"));
    assert_int_equal(err.class, ERROR_CONFIG);
    assert_null(strstr(err.text, "DE12"));
    assert_non_null(strstr(err.text, "needs Redis 6.0"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_url_names_a_server),
        cmocka_unit_test(a_url_names_a_socket),
        cmocka_unit_test(several_are_read_in_order_and_take_the_login_of_the_keys),
        cmocka_unit_test(what_is_wrong_with_a_url_is_said_without_its_password),
        cmocka_unit_test(a_password_does_not_come_from_the_command_line),
        cmocka_unit_test(what_keeps_nothing_must_be_meant),
        cmocka_unit_test(each_error_reply_has_its_class),
        cmocka_unit_test(what_an_old_server_repeats_of_an_event_is_not_shown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
