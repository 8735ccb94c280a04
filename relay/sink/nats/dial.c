/*
 * Options and failures of connections (dial.h).
 */
#include "sink/nats/dial.h"

#include <stdio.h>
#include <string.h>

/* A connection over which nothing comes is noticed after two of these, also when no event is under
 * way. */
#define PING_INTERVAL_MS 20000

static int refuse(natsStatus s, const char *what, struct error *err)
{
    const char *text = nats_GetLastError(NULL);
    return error_set(err, ERROR_CONFIG, "nats", "%s: %s; correct it", what,
                     text && *text ? text : natsStatus_GetText(s));
}

static natsStatus set_tls(natsOptions *o, const struct net_tls *tls, const char **ret_what)
{
    natsStatus s = natsOptions_SetSecure(o, true);
    *ret_what = "sink.tls.ca_file";
    if (s == NATS_OK && *tls->ca_file) {
        s = natsOptions_LoadCATrustedCertificates(o, tls->ca_file);
    }
    if (s == NATS_OK && *tls->cert_file) {
        *ret_what = "sink.tls.cert_file and key_file";
        s = natsOptions_LoadCertificatesChain(o, tls->cert_file, tls->key_file);
    }
    if (s == NATS_OK && *tls->server_name) {
        *ret_what = "sink.tls.server_name";
        s = natsOptions_SetExpectedHostname(o, tls->server_name);
    }
    if (s == NATS_OK && !tls->verify) {
        s = natsOptions_SkipServerVerification(o, true);
    }
    return s;
}

static natsStatus set_login(natsOptions *o, const struct nats_conf *c, const char **ret_what)
{
    *ret_what = "sink.username";
    if (*c->credentials_file) {
        *ret_what = "sink.credentials_file";
        return natsOptions_SetUserCredentialsFromFiles(o, c->credentials_file, NULL);
    }
    return *c->net.username ? natsOptions_SetUserInfo(o, c->net.username, c->net.password)
                            : NATS_OK;
}

static natsStatus set_all(natsOptions *o, const struct nats_conf *c, const struct nats_servers *all,
                          const char *pipeline, const char **ret_what)
{
    char name[128];
    int64_t ms = c->net.connect_timeout_us / US_PER_MS;
    snprintf(name, sizeof name, "commitrelay-%s", pipeline);
    *ret_what = "sink.servers";
    natsStatus s = natsOptions_SetServers(o, (const char **)(uintptr_t)all->items, all->count);
    s = s ? s : natsOptions_SetNoRandomize(o, true);
    s = s ? s : natsOptions_SetAllowReconnect(o, false);
    s = s ? s : natsOptions_SetName(o, name);
    s = s ? s : natsOptions_SetTimeout(o, ms > 0 ? ms : 1);
    s = s ? s : natsOptions_SetPingInterval(o, PING_INTERVAL_MS);
    s = s ? s : natsOptions_SetMaxPingsOut(o, 1);
    s = s ? s : natsOptions_SetSendAsap(o, true);
    s = s ? s : set_login(o, c, ret_what);
    return s || !all->tls ? s : set_tls(o, &c->net.tls, ret_what);
}

int nats_dial_options(const struct nats_conf *c, const struct nats_servers *servers,
                      const char *pipeline, natsOptions **ret, struct error *err)
{
    natsOptions *o = NULL;
    const char *what = "libnats";
    if (servers->tls && net_conf_check_key(&c->net.tls, "nats", err)) {
        return RESULT_ERROR;
    }
    natsStatus s = natsOptions_Create(&o);
    s = s ? s : set_all(o, c, servers, pipeline, &what);
    if (s) {
        natsOptions_Destroy(o);
        return refuse(s, what, err);
    }
    *ret = o;
    return RESULT_DONE;
}

/* As libnats words a certificate that it does not believe, and OpenSSL a server that does not
 * believe ours. */
static bool is_about_certificates(const char *text)
{
    return strstr(text, ":depth=") || strstr(text, ":expected=") || strstr(text, "certificate") ||
           strstr(text, "unknown ca");
}

/* A URL in a text is followed by a blank: base/shown.h would take anything else behind its port for
 * a password. */
int nats_dial_error(natsStatus s, const char *where, struct error *err)
{
    const char *text = nats_GetLastError(NULL);
    text = text && *text ? text : natsStatus_GetText(s);
    switch (s) {
    case NATS_CONNECTION_AUTH_FAILED:
        error_exit(
            err, ERROR_CONFIG, EXIT_CODE_PERMISSION, "nats",
            "%s refuses the login: %.300s; correct sink.username and sink.password_file, or sink.credentials_file",
            where, text);
        break;
    case NATS_SECURE_CONNECTION_WANTED:
        error_set(err, ERROR_CONFIG, "nats",
                  "%s has no TLS, and sink.servers asks for it; turn it on at the server, or write "
                  "nats://",
                  where);
        break;
    default:
        if (is_about_certificates(text)) {
            error_set(
                err, ERROR_CONFIG, "nats",
                "the TLS handshake with %s failed: %.500s; see whether sink.tls.ca_file signed the server's certificate, whether the certificate has the host's name (or sink.tls.server_name), and whether the server wants sink.tls.cert_file",
                where, text);
        } else {
            error_set(err, ERROR_RETRY, "nats",
                      "no NATS server answers at %s (%.300s); check sink.servers, the network and "
                      "the server",
                      where, text);
        }
    }
    return error_code(err, natsStatus_GetText(s));
}

int nats_denied(const char *text, const char *where, struct error *err)
{
    bool answers = strstr(text, "Subscription") != NULL;
    error_exit(err, ERROR_CONFIG, EXIT_CODE_PERMISSION, "nats", "%s says %.300s; %s", where, text,
               answers ? "allow the relay's user to subscribe to _INBOX.>, where acknowledgements "
                         "come"
                       : "allow the relay's user to publish there, or correct sink.subject");
    return error_code(err, "permissions violation");
}
