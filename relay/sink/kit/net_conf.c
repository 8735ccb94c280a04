/*
 * Checks the keys that sinks with a server share (net_conf.h).
 */
#include "sink/kit/net_conf.h"

#include "base/log.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

const struct conf_key net_tls_keys[] = {
    {.name = "ca_file",
     .type = CONF_STRING,
     .offset = offsetof(struct net_tls, ca_file),
     .help = "PEM file of the authorities that may sign the server's certificate; without it the "
             "system's"},
    {.name = "cert_file",
     .type = CONF_STRING,
     .offset = offsetof(struct net_tls, cert_file),
     .help = "PEM file of the relay's own certificate, with key_file"},
    {.name = "key_file",
     .type = CONF_STRING,
     .offset = offsetof(struct net_tls, key_file),
     .help = "PEM file of the key of cert_file"},
    {.name = "server_name",
     .type = CONF_STRING,
     .offset = offsetof(struct net_tls, server_name),
     .help = "the name that the server's certificate must have; without it the URL's host"},
    {.name = "verify",
     .type = CONF_BOOL,
     .offset = offsetof(struct net_tls, verify),
     .fallback = "true",
     .help = "check the server's certificate and its name; false only together with insecure: "
             "true"},
    {.name = "insecure",
     .type = CONF_BOOL,
     .offset = offsetof(struct net_tls, insecure),
     .fallback = "false",
     .help = "says that verify: false is meant: anybody can then pose as the server"},
    CONF_END,
};

static int check_file(const char *key, const char *path, const char *origin, struct error *err)
{
    struct stat st;
    if (!*path) {
        return RESULT_DONE;
    }
    if (stat(path, &st) < 0 || access(path, R_OK) < 0) {
        int cause = errno;
        return error_set(err, ERROR_CONFIG, origin,
                         "sink.tls.%s: %s cannot be read: %s; correct the path or its permissions",
                         key, path, strerror(cause));
    }
    if (S_ISDIR(st.st_mode)) {
        return error_set(err, ERROR_CONFIG, origin,
                         "sink.tls.%s: %s is a directory; name a PEM file", key, path);
    }
    if (st.st_mode & S_IWOTH) {
        return error_set(
            err, ERROR_CONFIG, origin,
            "sink.tls.%s: everybody may write %s, and so choose whom the relay trusts; chmod o-w it",
            key, path);
    }
    return RESULT_DONE;
}

/* The words of a PEM file whose key is encrypted. */
static bool is_encrypted(const char *path)
{
    static const char *const words[] = {"BEGIN ENCRYPTED PRIVATE KEY", "Proc-Type: 4,ENCRYPTED"};
    char line[256];
    bool found = false;
    struct stat st;
    FILE *f = stat(path, &st) == 0 && S_ISREG(st.st_mode) ? fopen(path, "re") : NULL;
    while (f && !found && fgets(line, sizeof line, f)) {
        found = strstr(line, words[0]) || strstr(line, words[1]);
    }
    if (f) {
        (void)fclose(f);
    }
    return found;
}

int net_conf_check_key(const struct net_tls *tls, const char *origin, struct error *err)
{
    if (!*tls->key_file || !is_encrypted(tls->key_file)) {
        return RESULT_DONE;
    }
    return error_set(
        err, ERROR_CONFIG, origin,
        "sink.tls.key_file: %s is encrypted, and nobody is there to type its passphrase; write it "
        "without one, readable for the relay's user only: openssl pkey -in FILE -out FILE",
        tls->key_file);
}

static int check_effect(const struct net_tls *tls, const char *origin, struct error *err)
{
    if (*tls->ca_file || *tls->cert_file || *tls->key_file || *tls->server_name || !tls->verify ||
        tls->insecure) {
        return error_set(
            err, ERROR_CONFIG, origin,
            "sink.tls has no effect: the URL asks for no TLS; correct the URL's scheme, or remove sink.tls");
    }
    return RESULT_DONE;
}

int net_conf_check(const struct net_conf *c, bool encrypted, const char *origin, struct error *err)
{
    const struct net_tls *tls = &c->tls;
    if (!encrypted) {
        return check_effect(tls, origin, err);
    }
    if (!tls->verify != tls->insecure) {
        return error_set(
            err, ERROR_CONFIG, origin,
            "sink.tls.verify: false and sink.tls.insecure: true count only together: anybody could then pose as the server; set both, or better neither");
    }
    if (!*tls->cert_file != !*tls->key_file) {
        return error_set(err, ERROR_CONFIG, origin,
                         "sink.tls.cert_file and sink.tls.key_file belong together; set both");
    }
    if (check_file("ca_file", tls->ca_file, origin, err) ||
        check_file("cert_file", tls->cert_file, origin, err)) {
        return RESULT_ERROR;
    }
    return check_file("key_file", tls->key_file, origin, err) ||
                   net_conf_check_key(tls, origin, err)
               ? RESULT_ERROR
               : RESULT_DONE;
}

void net_conf_note_risks(const struct net_conf *c, bool encrypted, const struct sink_env *env)
{
    struct stat st;
    char text[512];
    if (!env->note) {
        return;
    }
    if (encrypted && !c->tls.verify) {
        env->note(env->note_ctx, LOG_WARN,
                  "sink.tls.verify is off: anybody can pose as the server");
    }
    if (encrypted && *c->tls.key_file && stat(c->tls.key_file, &st) == 0 && st.st_mode & S_IROTH) {
        snprintf(text, sizeof text, "sink.tls.key_file %s is world-readable; chmod 600 it",
                 c->tls.key_file);
        env->note(env->note_ctx, LOG_WARN, text);
    }
    if (!encrypted && *c->password) {
        env->note(env->note_ctx, LOG_WARN,
                  "sink.password is sent unencrypted: the URL asks for no TLS");
    }
}
