/* The keys that sinks with a server share: what is refused, and what is warned about. */
#include "unit.h"

#include "plugin_conf.h"
#include "sink/kit/net_conf.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct conf {
    struct net_conf net;
};

static const struct conf_key keys[] = {NET_CONF_KEYS(struct conf, net), CONF_END};

struct fixture {
    struct conf *conf;
    void *memory;
    char file[64];
    char notes[1024];
};

static void note(void *ctx, int level, const char *text)
{
    struct fixture *f = ctx;
    (void)level;
    size_t used = strlen(f->notes);
    snprintf(f->notes + used, sizeof f->notes - used, "%s\n", text);
}

static int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    f->conf = plugin_conf_new(keys, sizeof *f->conf, &f->memory);
    snprintf(f->file, sizeof f->file, "/tmp/net_conf.XXXXXX");
    int fd = mkstemp(f->file);
    assert_true(fd >= 0);
    close(fd);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    unlink(f->file);
    plugin_conf_free(f->conf, f->memory);
    free(f);
    return 0;
}

static void accepts(struct fixture *f, bool encrypted)
{
    struct error err = {0};
    if (net_conf_check(&f->conf->net, encrypted, "test", &err)) {
        fail_msg("refused: %s", err.text);
    }
}

static void refuses(struct fixture *f, bool encrypted, const char *part)
{
    struct error err = {0};
    assert_int_equal(net_conf_check(&f->conf->net, encrypted, "test", &err), RESULT_ERROR);
    assert_int_equal(err.class, ERROR_CONFIG);
    assert_int_equal(err.exit_code, 78);
    if (!strstr(err.text, part)) {
        fail_msg("\"%s\" lacks \"%s\"", err.text, part);
    }
}

static void set(struct fixture *f, const char *name, const char *value)
{
    plugin_conf_text(keys, f->conf, name, value);
}

static void defaults_are_those_of_the_contract(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(f->conf->net.connect_timeout_us, 5000000);
    assert_int_equal(f->conf->net.stall_timeout_us, 60000000);
    assert_true(f->conf->net.tls.verify);
    accepts(f, true);
    accepts(f, false);
    net_conf_note_risks(&f->conf->net, true, &(struct sink_env){.note = note, .note_ctx = f});
    assert_string_equal(f->notes, "");
}

static void verification_is_off_only_if_it_is_meant(void **state)
{
    struct fixture *f = *state;
    plugin_conf_bool(keys, f->conf, "tls.verify", false);
    refuses(f, true, "insecure: true");
    plugin_conf_bool(keys, f->conf, "tls.insecure", true);
    accepts(f, true);
    net_conf_note_risks(&f->conf->net, true, &(struct sink_env){.note = note, .note_ctx = f});
    assert_non_null(strstr(f->notes, "anybody can pose as the server"));
    plugin_conf_bool(keys, f->conf, "tls.verify", true);
    refuses(f, true, "count only together");
}

static void tls_keys_without_tls_are_refused(void **state)
{
    struct fixture *f = *state;
    set(f, "tls.server_name", "broker");
    accepts(f, true);
    refuses(f, false, "the URL asks for no TLS");
}

static void files_are_looked_at(void **state)
{
    struct fixture *f = *state;
    set(f, "tls.ca_file", "/nowhere/ca.pem");
    refuses(f, true, "sink.tls.ca_file: /nowhere/ca.pem cannot be read: No such file");
    set(f, "tls.ca_file", "/tmp");
    refuses(f, true, "is a directory");
    set(f, "tls.ca_file", f->file);
    accepts(f, true);
    assert_int_equal(chmod(f->file, 0646), 0);
    refuses(f, true, "everybody may write");
}

static void a_certificate_needs_its_key(void **state)
{
    struct fixture *f = *state;
    set(f, "tls.cert_file", f->file);
    refuses(f, true, "belong together");
    set(f, "tls.key_file", f->file);
    accepts(f, true);
    assert_int_equal(chmod(f->file, 0644), 0);
    net_conf_note_risks(&f->conf->net, true, &(struct sink_env){.note = note, .note_ctx = f});
    assert_non_null(strstr(f->notes, "world-readable"));
}

static void an_encrypted_key_is_refused(void **state)
{
    static const char *const keys_in_pem[] = {
        "-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n"
        "-----BEGIN ENCRYPTED PRIVATE KEY-----\n",
        "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\n"};
    struct fixture *f = *state;
    set(f, "tls.cert_file", f->file);
    set(f, "tls.key_file", f->file);
    for (size_t i = 0; i < sizeof keys_in_pem / sizeof *keys_in_pem; i++) {
        FILE *out = fopen(f->file, "w");
        assert_non_null(out);
        fputs(keys_in_pem[i], out);
        fclose(out);
        refuses(f, true, "is encrypted, and nobody is there to type its passphrase");
    }
}

static void a_password_in_clear_is_warned_about(void **state)
{
    struct fixture *f = *state;
    set(f, "password", "pw");
    accepts(f, false);
    net_conf_note_risks(&f->conf->net, false, &(struct sink_env){.note = note, .note_ctx = f});
    assert_non_null(strstr(f->notes, "unencrypted"));
    assert_null(strstr(f->notes, "pw"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(defaults_are_those_of_the_contract, set_up, tear_down),
        cmocka_unit_test_setup_teardown(verification_is_off_only_if_it_is_meant, set_up, tear_down),
        cmocka_unit_test_setup_teardown(tls_keys_without_tls_are_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(files_are_looked_at, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_certificate_needs_its_key, set_up, tear_down),
        cmocka_unit_test_setup_teardown(an_encrypted_key_is_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_password_in_clear_is_warned_about, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
