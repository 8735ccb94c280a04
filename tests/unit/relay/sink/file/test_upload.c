/* The keys of `upload`, and the record of what a target has accepted. */
#include "file_fixture.h"

#include "sink/file/upload/conf.h"
#include "sink/file/upload/record.h"
#include <sys/stat.h>

static const struct conf_plugin plugins[] = {{.name = "none"}, {.name = NULL}};

/* Loads a file sink with this in its map. */
static struct config *load(const char *keys, const void **ret_conf)
{
    const struct conf_plugin sinks[] = {{"file", "x", sink_file.keys, sink_file.conf_size},
                                        {.name = NULL}};
    const struct conf_plugins all = {.sources = plugins, .sinks = sinks};
    CLEANUP(buf_release) struct buf yaml = {0};
    struct config *c = NULL;
    struct error err;
    buf_printf(&yaml, "sink: {type: file, dir: d, %s}\n", keys);
    if (config_parse_sink("t", buf_slice(&yaml), &all, &c, &err)) {
        fail_msg("%s", err.text);
    }
    *ret_conf = c->pipelines[0].sink_conf;
    return c;
}

static void refuse(const char *keys, const char *says)
{
    const void *conf;
    struct config *c = load(keys, &conf);
    struct sink_env env = {.pipeline = "p", .stop_fd = -1};
    struct error err;
    void *sink;
    size_t max;
    if (sink_file.open(conf, &env, &sink, &max, &err) == RESULT_DONE) {
        fail_msg("accepted: %s", keys);
    }
    assert_int_equal(err.class, ERROR_CONFIG);
    if (!strstr(err.text, says)) {
        fail_msg("\"%s\" does not hold \"%s\"", err.text, says);
    }
    assert_null(strstr(err.text, "hunter2"));
    config_free(c);
}

static void test_wrong_targets_are_named(void **state UNUSED)
{
#define SFTP "name: a, url: 'sftp://u@h/in', known_hosts: k, key_file: i"
#define S3 "name: a, url: 's3://b', region: r-1, auth: {user: u, password: p}"
    static const char *const cases[][2] = {
        {"name: a, url: 'http://h/in'", "must begin with https://, sftp:// or s3://"},
        {"name: a, url: 'https://'", "has no host"},
        {"name: a, url: 'https://u:hunter2@h/in'", "holds a password"},
        {"name: a, url: 'sftp://u:hunter2@h/in'", "holds a password"},
        {"name: a, url: 'https://u@h/in'", "set auth.user"},
        {"name: a, url: 'https://h/in?x=1'", "has a path with other signs"},
        {"name: a, url: 'https://h/a b'", "has a path with other signs"},
        {"name: a, url: 'https://h/in', key_file: x", "does not use the key key_file"},
        {"name: a, url: 'https://h/in', region: x", "does not use the key region"},
        {"name: a, url: 'https://h/in', auth: {user: u}", "either bearer, or user and password"},
        {"name: a, url: 'https://h/', auth: {user: u, password: p, bearer: b}", "either bearer"},
        {"name: a, url: 'sftp://h/in'", "names no user"},
        {"name: a, url: 'sftp://u@h/in', key_file: i", "known_hosts is missing"},
        {"name: a, url: 'sftp://u@h/in', known_hosts: k", "only one of them"},
        {SFTP ", auth: {password: p}", "only one of them"},
        {"name: a, url: 'sftp://u@h/~/in', known_hosts: k, key_file: i", "name the whole path"},
        {SFTP ", method: PUT", "does not use the key method"},
        {SFTP ", ca_file: x", "does not use the key ca_file"},
        {"name: a, url: 's3://b/x', region: r", "needs user (the access key id)"},
        {"name: a, url: 's3://b', auth: {user: u, password: p}", "region is missing"},
        {S3 ", endpoint: 'http://h'", "endpoint is https://HOST"},
        {"name: a, url: 's3://b/a%20b', region: r, auth: {user: u, password: p}", "?, #, % or"},
        {"name: a, url: 's3://b?x', region: r, auth: {user: u, password: p}", "?, #, % or"},
        {"name: a, url: 's3://b/x/../y', region: r, auth: {user: u, password: p}",
         "a part . or .."},
        {"name: a, url: 'sftp://u@h/a b', known_hosts: k, key_file: i",
         "has a path with other signs"},
        {S3 ", endpoint: 'https://h/x'", "endpoint is https://HOST"},
        {"name: a, url: 'https://h/', acknowledge: {resend_after: 1h}", "needs acknowledge.suffix"},
        {"name: a, url: 'https://h/', acknowledge: {suffix: a/b}", "at most 20 letters"},
        {"name: a, url: 'https://h/', method: POST, acknowledge: {suffix: .ack}",
         "has no place for POST"},
        {"name: A, url: 'https://h/'", "must be 1 to 40 of a-z 0-9 _ -"},
        {"name: on_complete, url: 'https://h/'", "stands for the command"},
        {"name: a, url: 'https://h/'}, {name: a, url: 'https://i/'", "two targets called a"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char keys[512];
        snprintf(keys, sizeof keys, "upload: [{%s}]", cases[i][0]);
        refuse(keys, cases[i][1]);
    }
    refuse("on_complete: []", "on_complete names no program");
    refuse("on_complete: ['']", "on_complete names no program");
}

static void test_addresses(void **state UNUSED)
{
    static const struct {
        const char *keys, *base, *dir, *user;
        enum upload_kind kind;
    } cases[] = {
        {"name: a, url: 'https://h:8443/in'", "https://h:8443/in/", "", "", UPLOAD_HTTPS},
        {"name: a, url: 'https://h'", "https://h/", "", "", UPLOAD_HTTPS},
        {"name: a, url: 'https://h/in', method: POST", "https://h/in", "", "", UPLOAD_HTTPS},
        {SFTP, "sftp://h/in/", "/in/", "u", UPLOAD_SFTP},
        {"name: a, url: 'sftp://u@[::1]:22/', known_hosts: k, auth: {password: p}",
         "sftp://[::1]:22/", "/", "u", UPLOAD_SFTP},
        {S3, "https://b.s3.r-1.amazonaws.com/", "", "", UPLOAD_S3},
        {S3 ", endpoint: 'https://h:9000'", "https://h:9000/b/", "", "", UPLOAD_S3},
        {"name: a, url: 's3://b/x/y', region: r, auth: {user: u, password: p}",
         "https://b.s3.r.amazonaws.com/x/y/", "", "", UPLOAD_S3},
        /* As AWS encodes them: all but letters, digits, -._~ and the slash. */
        {"name: a, url: \"s3://b/d=1/a+b,c@d e/\\u00e4!$&'()*;:~._-\", region: r, auth: {user: u, "
         "password: p}",
         "https://b.s3.r.amazonaws.com/d%3D1/a%2Bb%2Cc%40d%20e/"
         "%C3%A4%21%24%26%27%28%29%2A%3B%3A~._-/",
         "", "", UPLOAD_S3},
        {"name: a, url: 'https://h/d=1/a+b,c@d'", "https://h/d=1/a+b,c@d/", "", "", UPLOAD_HTTPS},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const void *conf;
        char keys[512];
        snprintf(keys, sizeof keys, "upload: [{%s}]", cases[i].keys);
        struct config *c = load(keys, &conf);
        const struct conf_groups *uploads =
            field_in(sink_file.keys, (void *)(uintptr_t)conf, "upload");
        CLEANUP(upload_address_release) struct upload_address a = {0};
        struct error err;
        assert_int_equal(uploads->count, 1);
        assert_int_equal(upload_address_of(uploads->items, &a, &err), RESULT_DONE);
        assert_string_equal(buf_str(&a.base), cases[i].base);
        assert_string_equal(buf_str(&a.dir), cases[i].dir);
        assert_string_equal(buf_str(&a.user), cases[i].user);
        assert_int_equal(a.kind, cases[i].kind);
        config_free(c);
    }
}

static void claim(struct fixture *f, struct file_dir *d)
{
    struct error err;
    fixture_init(f);
    file_dir_init(d, f->dir, "orders");
    assert_int_equal(file_dir_claim(d, "", &err), RESULT_DONE);
}

static void test_a_record_comes_back(void **state UNUSED)
{
    struct fixture f;
    struct file_dir d;
    struct error err;
    struct upload_record r = {.accepted = {1, 2}};
    claim(&f, &d);
    assert_int_equal(upload_record_read(&d, "a", &r, &err), RESULT_DONE);
    assert_true(r.accepted.first == 0 && r.accepted.last == 0 && !r.temp[0]);
    r = (struct upload_record){.accepted = {11, 10}, .temp = ".tmp-x"};
    assert_int_equal(upload_record_write(&d, "a", &r, &err), RESULT_DONE);
    struct upload_open o = {.batch = {.at = {1, 10}, .kind = 1, .compression = 2}, .sent_us = 77};
    r.accepted = (struct upload_mark){1, 10};
    for (int i = 0; i < UPLOAD_OPEN_MAX; i++) {
        buf_add(&r.open, &o, sizeof o);
    }
    assert_int_equal(upload_record_write(&d, "b", &r, &err), RESULT_DONE);
    upload_record_release(&r);
    assert_int_equal(upload_record_read(&d, "a", &r, &err), RESULT_DONE);
    assert_true(r.accepted.first == 11 && r.accepted.last == 10);
    assert_string_equal(r.temp, ".tmp-x");
    assert_int_equal(r.open.len, 0);
    upload_record_release(&r);
    assert_int_equal(upload_record_read(&d, "b", &r, &err), RESULT_DONE);
    assert_int_equal(r.open.len, UPLOAD_OPEN_MAX * sizeof o);
    memcpy(&o, r.open.data + r.open.len - sizeof o, sizeof o);
    assert_true(o.batch.at.first == 1 && o.batch.at.last == 10 && o.batch.kind == 1 &&
                o.batch.compression == 2 && o.sent_us == 77);
    upload_record_release(&r);
    file_dir_release(&d);
    fixture_end(&f);
}

static void test_a_damaged_record_is_refused(void **state UNUSED)
{
    struct fixture f;
    struct file_dir d;
    struct error err;
    struct upload_record r = {.accepted = {1, 10}};
    struct upload_open o = {.batch = {.at = {1, 10}}, .sent_us = 5};
    CLEANUP(buf_release) struct buf text = {0};
    claim(&f, &d);
    buf_add(&r.open, &o, sizeof o);
    assert_int_equal(upload_record_write(&d, "a", &r, &err), RESULT_DONE);
    read_file(&f, ".commitrelay/orders.upload.a", &text);
    for (size_t i = 0; i < text.len; i++) {
        CLEANUP(buf_release) struct buf other = {0};
        buf_add_slice(&other, buf_slice(&text));
        other.data[i] = other.data[i] == '1' ? '2' : '1';
        write_file(&f, ".commitrelay/orders.upload.a", buf_str(&other));
        assert_int_equal(upload_record_read(&d, "a", &r, &err), RESULT_ERROR);
        assert_int_equal(err.exit_code, EXIT_CODE_UNAVAILABLE);
        buf_truncate(&other, i);
        other.data[i] = '\0';
        write_file(&f, ".commitrelay/orders.upload.a", buf_str(&other));
        assert_int_equal(upload_record_read(&d, "a", &r, &err), RESULT_ERROR);
    }
    upload_record_release(&r);
    file_dir_release(&d);
    fixture_end(&f);
}

static void test_batches_are_ordered(void **state UNUSED)
{
    static const struct upload_mark in_order[] = {{0, 0}, {1, 10}, {11, 10}, {11, 20}, {21, 21}};
    size_t n = sizeof in_order / sizeof *in_order;
    for (size_t i = 0; i < n; i++) {
        for (size_t j = 0; j < n; j++) {
            assert_int_equal(upload_mark_before(in_order[i], in_order[j]), i < j);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_wrong_targets_are_named),
        cmocka_unit_test(test_addresses),
        cmocka_unit_test(test_a_record_comes_back),
        cmocka_unit_test(test_a_damaged_record_is_refused),
        cmocka_unit_test(test_batches_are_ordered),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
