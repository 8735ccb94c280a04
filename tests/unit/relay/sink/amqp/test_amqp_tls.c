/* The TLS of the sink amqp, on a terminal. */
#include "unit.h"

#include "sink/amqp/tls.h"

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <pty.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static void encrypted_key(char path[64])
{
    EVP_PKEY *key = EVP_EC_gen("P-256");
    snprintf(path, 64, "/tmp/amqp_tls.XXXXXX");
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    FILE *f = fdopen(fd, "w");
    assert_int_equal(PEM_write_PKCS8PrivateKey(f, key, EVP_aes_256_cbc(), "hunter2", 7, NULL, NULL),
                     1);
    fclose(f);
    EVP_PKEY_free(key);
}

/* Never returns. On a terminal of its own, as a relay that is started by hand. */
static void use_key(char *path)
{
    char nothing[] = "";
    const struct net_tls tls = {.ca_file = nothing,
                                .cert_file = nothing,
                                .key_file = path,
                                .server_name = nothing,
                                .verify = true};
    SSL_CTX *context;
    struct error err = {0};
    bool refused = amqp_tls_context(&tls, &context, &err) == RESULT_ERROR &&
                   err.class == ERROR_CONFIG && strstr(err.text, "sink.tls.key_file: ");
    _exit(refused ? 7 : 1);
}

static void nobody_is_asked_for_a_passphrase(void **state)
{
    char path[64], said[1024] = "";
    int terminal, status;
    size_t used = 0;
    ssize_t n;
    (void)state;
    encrypted_key(path);
    pid_t pid = forkpty(&terminal, NULL, NULL, NULL);
    assert_true(pid >= 0);
    if (pid == 0) {
        use_key(path);
    }
    while (!strstr(said, "pass phrase") && used < sizeof said - 1 &&
           (n = read(terminal, said + used, sizeof said - 1 - used)) > 0) {
        used += (size_t)n;
        said[used] = '\0';
    }
    kill(pid, SIGKILL); /* if it waits for an answer */
    assert_int_equal(waitpid(pid, &status, 0), pid);
    close(terminal);
    unlink(path);
    assert_string_equal(said, "");
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 7);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(nobody_is_asked_for_a_passphrase)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
