/* Values from the environment and from secret files arrive whole, and a secret is in no message. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka needs the four above first */
#include <cmocka.h>

#include "config/conf_text.h"
#include "fake_plugins.h"
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static char folder[] = "/tmp/commitrelay-config-XXXXXX";

static int make_folder(void **state)
{
    (void)state;
    setenv("CR_TEST_PW", "s3cret: #\"x", 1);
    setenv("CR_TEST_EMPTY", "", 1);
    setenv("CR_TEST_NUMBER", "12", 1);
    unsetenv("CR_TEST_UNSET");
    return mkdtemp(folder) ? 0 : -1;
}

static int remove_folder(void **state)
{
    (void)state;
    return rmdir(folder);
}

/* The expanded text, or the error's. */
static const char *expand(struct arena *a, const char *raw)
{
    char *text = NULL;
    bool expanded;
    struct error err = {0};
    if (conf_expand(slice_from(raw), a, &text, &expanded, &err)) {
        return arena_copy(a, slice_from(err.text)).ptr;
    }
    return text;
}

static void variables_are_replaced(void **state)
{
    (void)state;
    struct arena a;
    arena_init(&a);
    assert_string_equal(expand(&a, "u:${CR_TEST_PW}@h${CR_TEST_EMPTY}!"), "u:s3cret: #\"x@h!");
    assert_string_equal(expand(&a, "$${CR_TEST_PW} $HOME $ $$"), "${CR_TEST_PW} $HOME $ $$");
    assert_string_equal(expand(&a, "$$${CR_TEST_PW}"), "$${CR_TEST_PW}");
    assert_non_null(strstr(expand(&a, "${CR_TEST_UNSET}"), "`CR_TEST_UNSET` is not set"));
    assert_non_null(strstr(expand(&a, "${}"), "malformed"));
    assert_non_null(strstr(expand(&a, "${A"), "malformed"));
    assert_non_null(strstr(expand(&a, "${A:-b}"), "malformed"));
    assert_non_null(strstr(expand(&a, "${1A}"), "malformed"));
    assert_string_equal(expand(&a, "$"), "$");
    assert_string_equal(expand(&a, "x$"), "x$");
    arena_release(&a);
}

static void passwords_in_the_file_are_seen(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "postgresql://u:pw@h/db",
        "postgresql://u:pw@h",
        "host=h password=x",
        "host=h password = 'x y'",
        "postgresql://h/db?password=x",
        "postgresql://h?sslpassword=x",
        "org.Module required password=\"x\";",
        "postgresql://u:p@w@h/db",
        "postgresql://u@x:pw@h/db",
        "postgresql://u:p/w@h:5432/db",
    };
    static const char *const good[] = {
        "postgresql://u@h/db",
        "postgresql://u:${PW}@h/db",
        "host=h password=${PW}",
        "host=h password='${PW}'",
        "postgresql://h:5432/db?a=u:x@y",
        "sqlite:a.db",
        "postgresql://u:@h/db",
        "host=h password=",
        "the password is x",
        "",
        "${URL}",
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        if (!conf_has_password(slice_from(bad[i]))) {
            fail_msg("not seen: %s", bad[i]);
        }
    }
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        if (conf_has_password(slice_from(good[i]))) {
            fail_msg("seen wrongly: %s", good[i]);
        }
    }
}

/* Loads a pipeline whose source has `source` and whose sink has `sink` as further keys. */
static struct config *load(const char *source, const char *sink, struct error *err)
{
    struct config *c = NULL;
    struct buf yaml = {0};
    buf_printf(&yaml,
               "pipelines:\n  - name: a\n    source:\n      type: outbox_fake\n      %s\n"
               "    sink:\n      type: fake\n      %s\n",
               source, sink);
    *err = (struct error){0};
    int result = config_parse("t.yaml", buf_slice(&yaml), &fake_plugins, &c, err);
    assert_int_equal(result, c ? 0 : -1);
    buf_release(&yaml);
    return c;
}

static void expect_error(const char *source, const char *sink, const char *expected)
{
    struct error err;
    struct config *c = load(source, sink, &err);
    assert_null(c);
    if (!strstr(err.text, expected)) {
        fail_msg("\"%s\" does not hold \"%s\"", err.text, expected);
    }
    assert_null(strstr(err.text, "s3cret"));
    assert_int_equal(err.exit_code, EXIT_CODE_CONFIG);
}

static void only_values_are_expanded_after_parsing(void **state)
{
    (void)state;
    struct error err;
    /* the value has YAML's own characters: expansion comes after parsing */
    struct config *c =
        load("url: ${CR_TEST_PW}", "properties: {\"${CR_TEST_PW}\": \"${CR_TEST_PW}\"}", &err);
    assert_non_null(c);
    const struct fake_sink *s = c->pipelines[0].sink_conf;
    assert_string_equal(((struct fake_source *)c->pipelines[0].source_conf)->url, "s3cret: #\"x");
    assert_string_equal(s->properties.pairs[0].name, "${CR_TEST_PW}");
    assert_string_equal(s->properties.pairs[0].value, "s3cret: #\"x");
    assert_int_equal(c->warnings_count, 0);
    assert_null(strstr(c->pipelines[0].fingerprint, "s3cret"));
    config_free(c);

    c = load("url: x\n      batch_size: \"${CR_TEST_NUMBER}\"", "", &err);
    assert_non_null(c);
    assert_int_equal(((struct fake_source *)c->pipelines[0].source_conf)->batch_size, 12);
    config_free(c);
}

static void secrets_stay_out_of_messages(void **state)
{
    (void)state;
    expect_error(
        "url: ${CR_TEST_UNSET}", "",
        "t.yaml:5: pipelines[0].source.url: environment variable `CR_TEST_UNSET` is not set");
    expect_error("url: x\n      batch_size: ${CR_TEST_PW}", "",
                 "the value of its ${VAR} is not a whole number");
    expect_error("url: x\n      mode: ${CR_TEST_PW}", "",
                 "the value of its ${VAR} is not a known value");
    expect_error("url: x", "tables: [\"${CR_TEST_PW}\", \"${CR_TEST_PW}\"]", "twice");
    expect_error("url: {postgresql://u:s3cret@h/db: x}", "", "must be a single value");
    expect_error("url: x\n      batch_size: postgresql://u:s3cret@h", "",
                 "(not shown: it may hold a password)");
    expect_error("url: x\n      postgresql://u:s3cret@h: x", "", "unknown key `(not shown");
    expect_error("url: x\n      mode: host=h password=s3cret", "", "(not shown");
    expect_error("url: ''", "", "must not be empty");
}

static void inline_passwords_warn(void **state)
{
    (void)state;
    struct error err;
    struct config *c =
        load("url: postgresql://u:s3cret@h/db",
             "password: s3cret\n      properties: {sasl.password: s3cret, a: b}", &err);
    assert_non_null(c);
    assert_int_equal(c->warnings_count, 3);
    assert_non_null(strstr(c->warnings[0], "t.yaml:5: pipelines[0].source.url holds a password"));
    assert_non_null(strstr(c->warnings[1], "pipelines[0].sink.password"));
    assert_non_null(strstr(c->warnings[2], "pipelines[0].sink.properties.sasl.password"));
    for (size_t i = 0; i < c->warnings_count; i++) {
        assert_null(strstr(c->warnings[i], "s3cret"));
    }
    assert_null(strstr(c->pipelines[0].fingerprint, "s3cret"));
    config_free(c);
}

/* A secret file of the given bytes and mode; the sink's key for it. */
static const char *secret_file(char path[256], char key[512], const char *bytes, size_t n,
                               mode_t mode)
{
    snprintf(path, 256, "%s/pw", folder);
    unlink(path);
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, bytes, n), n);
    assert_int_equal(fchmod(fd, mode), 0);
    close(fd);
    snprintf(key, 512, "password_file: %s", path);
    return key;
}

static void secret_files_are_read(void **state)
{
    (void)state;
    static const struct {
        const char *bytes, *value;
        mode_t mode;
        size_t warnings;
    } cases[] = {{"s3cret\n", "s3cret", 0600, 0},
                 {"s3cret\r\n", "s3cret", 0640, 0},
                 {"s3cret", "s3cret", 0644, 1},
                 {" s3 cret\n\n", " s3 cret\n", 0600, 0}};
    char path[256], key[512];
    struct error err;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct config *c = load(
            "url: x", secret_file(path, key, cases[i].bytes, strlen(cases[i].bytes), cases[i].mode),
            &err);
        assert_non_null(c);
        assert_string_equal(((struct fake_sink *)c->pipelines[0].sink_conf)->password,
                            cases[i].value);
        assert_int_equal(c->warnings_count, cases[i].warnings);
        config_free(c);
    }
    unlink(path);
}

static void values_of_a_map_come_from_files_too(void **state)
{
    (void)state;
    char path[256], key[512], more[1024];
    struct error err;
    secret_file(path, key, "s3cret\n", 7, 0644);
    snprintf(more, sizeof more, "properties: {a: b}\n      properties_file: {sasl.password: %s}",
             path);
    struct config *c = load("url_file: /dev/null/x", more, &err);
    assert_null(c); /* a url comes from a file too, where there is one */
    assert_non_null(strstr(err.text, "url_file: secret file /dev/null/x cannot be opened"));
    c = load("url: x", more, &err);
    assert_non_null(c);
    const struct conf_map *map = &((struct fake_sink *)c->pipelines[0].sink_conf)->properties;
    assert_int_equal(map->count, 2);
    assert_string_equal(map->pairs[0].value, "b");
    assert_string_equal(map->pairs[1].name, "sasl.password");
    assert_string_equal(map->pairs[1].value, "s3cret");
    assert_int_equal(c->warnings_count, 1);
    assert_non_null(strstr(c->warnings[0], "properties_file.sasl.password: the secret file"));
    assert_null(strstr(c->pipelines[0].fingerprint, "s3cret"));
    char *before = strdup(c->pipelines[0].fingerprint);
    config_free(c);
    secret_file(path, key, "other", 5, 0600); /* a changed secret restarts at a reload */
    c = load("url: x", more, &err);
    assert_non_null(c);
    assert_int_not_equal(strcmp(before, c->pipelines[0].fingerprint), 0);
    config_free(c);
    free(before);
    snprintf(more, sizeof more, "properties_file: {a: %s, b: %s}", path,
             path); /* without the other */
    c = load("url: x", more, &err);
    assert_non_null(c);
    config_free(c);
    snprintf(more, sizeof more, "properties: {a: b}\n      properties_file: {a: %s}", path);
    expect_error("url: x", more, "properties_file.a and properties.a are both given");
    expect_error("url: x", "properties_file: x", "must be a map");
    expect_error("url: x", "properties_file: {a: [b]}", "must be a single value");
    secret_file(path, key, "s3cret", 6, 0602);
    snprintf(more, sizeof more, "properties_file: {a: %s}", path);
    expect_error("url: x", more, "is world-writable");
    unlink(path);
}

/* A certificate that was renewed under the same name restarts at a reload. */
static void what_named_files_hold_counts(void **state)
{
    (void)state;
    static const char *const forms[] = {"ca_file: ", "properties:\n        ssl.ca.location: "};
    char path[256], key[512], more[512];
    struct error err;
    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++) {
        secret_file(path, key, "old", 3, 0644);
        snprintf(more, sizeof more, "%s%s", forms[i], path);
        struct config *old = load("url: x", more, &err), *same = load("url: x", more, &err);
        secret_file(path, key, "new", 3, 0644);
        struct config *new = load("url: x", more, &err);
        unlink(path);
        struct config *gone = load("url: x", more, &err);
        assert_true(old && same && new &&gone);
        assert_string_equal(old->pipelines[0].fingerprint, same->pipelines[0].fingerprint);
        assert_string_not_equal(old->pipelines[0].fingerprint, new->pipelines[0].fingerprint);
        assert_string_not_equal(new->pipelines[0].fingerprint, gone->pipelines[0].fingerprint);
        config_free(old);
        config_free(same);
        config_free(new);
        config_free(gone);
    }
}

static void bad_secret_files_are_refused(void **state)
{
    (void)state;
    char path[256], key[512];
    expect_error("url: x", secret_file(path, key, "s3cret", 6, 0602), "is world-writable");
    expect_error("url: x", secret_file(path, key, "\n", 1, 0600), "is empty");
    expect_error("url: x", secret_file(path, key, "s3\0cret", 7, 0600), "holds a NUL byte");
    static char large[CONF_SECRET_MAX + 1];
    memset(large, 'x', sizeof large);
    expect_error("url: x", secret_file(path, key, large, sizeof large, 0600), "larger than 64 KiB");
    secret_file(path, key, "s3cret", 6, 0600);
    char both[600];
    snprintf(both, sizeof both, "%s\n      password: ${CR_TEST_PW}", key);
    expect_error("url: x", both, "password_file and password (line 9) are both given");
    unlink(path);
    expect_error("url: x", key, "t.yaml:8: pipelines[0].sink.password_file: secret file");
    expect_error("url: x", key, "No such file or directory (ENOENT)");
    assert_int_equal(mkfifo(path, 0600), 0);
    expect_error("url: x", key, "is not a regular file");
    unlink(path);
    snprintf(key, sizeof key, "password_file: %s", folder);
    expect_error("url: x", key, "is not a regular file");
    expect_error("url: x", "password_file: ${CR_TEST_UNSET}", "is not set");
    expect_error("url_file: /nonexistent/x", "",
                 "pipelines[0].source.url_file: secret file /nonexistent/x");
}

static void unreadable_files_are_told(void **state)
{
    (void)state;
    struct config *c = NULL;
    struct error err = {0};
    assert_int_equal(config_load("/nonexistent/c.yaml", &fake_plugins, &c, &err), -1);
    assert_non_null(strstr(
        err.text, "/nonexistent/c.yaml: cannot be opened: No such file or directory (ENOENT)"));
    assert_int_equal(err.exit_code, EXIT_CODE_CONFIG);
    assert_int_equal(config_load(folder, &fake_plugins, &c, &err), -1);
    assert_non_null(strstr(err.text, "is not a regular file: Is a directory"));
    assert_int_equal(err.exit_code, EXIT_CODE_CONFIG);
    assert_int_equal(config_load("/dev/zero", &fake_plugins, &c, &err), -1);
    assert_non_null(strstr(err.text, "/dev/zero is not a regular file: it is a device"));
    assert_null(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(variables_are_replaced),
        cmocka_unit_test(passwords_in_the_file_are_seen),
        cmocka_unit_test(only_values_are_expanded_after_parsing),
        cmocka_unit_test(secrets_stay_out_of_messages),
        cmocka_unit_test(inline_passwords_warn),
        cmocka_unit_test(secret_files_are_read),
        cmocka_unit_test(values_of_a_map_come_from_files_too),
        cmocka_unit_test(what_named_files_hold_counts),
        cmocka_unit_test(bad_secret_files_are_refused),
        cmocka_unit_test(unreadable_files_are_told),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
