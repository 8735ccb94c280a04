/*
 * Checks the configuration of the sink and makes the plan of it.
 */
#include "sink/http/conf.h"

#include "base/log.h"
#include "base/memory.h"
#include "sink/http/headers.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* --- targets --- */

/* With tls.server_name the URL gets that name, so that libcurl asks for it and checks it, and
 * CONNECT_TO says where it really is. The header Host stays the URL's. */
static int rename_host(struct slice *text, const char *name, struct buf *renamed,
                       struct http_target *t, struct error *err)
{
    CLEANUP(buf_release) struct buf copy = {0}, to = {0}, host_line = {0};
    enum { SCHEME = 8 }; /* https:// */
    char *host = NULL, *port = NULL;
    size_t rest = SCHEME;
    while (rest < text->len && !strchr("/?", text->ptr[rest])) {
        rest++;
    }
    buf_add_slice(&copy, *text);
    CURLU *url = curl_url();
    bool known = curl_url_set(url, CURLUPART_URL, buf_str(&copy), 0) == CURLUE_OK &&
                 curl_url_get(url, CURLUPART_HOST, &host, 0) == CURLUE_OK &&
                 curl_url_get(url, CURLUPART_PORT, &port, CURLU_DEFAULT_PORT) == CURLUE_OK;
    if (known) {
        buf_printf(&to, "%s:%s:%s:%s", name, port, host, port);
        buf_printf(&host_line, "Host: %.*s", (int)(rest - SCHEME), text->ptr + SCHEME);
        buf_printf(renamed, "https://%s:%s%.*s", name, port, (int)(text->len - rest),
                   text->ptr + rest);
        t->connect_to = memory_need(curl_slist_append(NULL, buf_str(&to)));
        t->host = memory_need(strdup(buf_str(&host_line)));
        *text = buf_slice(renamed);
    }
    curl_free(host);
    curl_free(port);
    curl_url_cleanup(url);
    return known
               ? RESULT_DONE
               : error_set(
                     err, ERROR_CONFIG, "http",
                     "sink.tls.server_name needs a sink.url without a placeholder in its host; remove one of them");
}

static int add_target(struct http_plan *p, struct slice text, struct error *err)
{
    CLEANUP(buf_release) struct buf renamed = {0};
    const char *name = p->conf->net.tls.server_name;
    p->targets = memory_need(realloc(p->targets, (p->targets_count + 1) * sizeof *p->targets));
    struct http_target *t = &p->targets[p->targets_count++];
    memset(t, 0, sizeof *t);
    if (http_url_compile(text, &t->url, err)) {
        return RESULT_ERROR;
    }
    if (!*name || !t->url.tls) {
        return RESULT_DONE;
    }
    if (name[strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789.-")] ||
        t->url.host_varies) {
        return error_set(
            err, ERROR_CONFIG, "http",
            "sink.tls.server_name must be a host's name, and sink.url one without a placeholder in its host; correct or remove it");
    }
    http_url_release(&t->url);
    if (rename_host(&text, name, &renamed, t, err)) {
        return RESULT_ERROR;
    }
    return http_url_compile(text, &t->url, err);
}

static int make_targets(struct http_plan *p, struct error *err)
{
    struct slice text;
    for (const char *list = p->conf->url; http_url_next(&list, &text);) {
        if (add_target(p, text, err)) {
            return RESULT_ERROR;
        }
    }
    return p->targets_count > 0
               ? RESULT_DONE
               : error_set(err, ERROR_CONFIG, "http",
                           "sink.url is empty; give a URL with http:// or https://");
}

static bool any_tls(const struct http_plan *p)
{
    bool tls = false;
    for (size_t i = 0; i < p->targets_count; i++) {
        tls = tls || p->targets[i].url.tls;
    }
    return tls;
}

static bool any_clear(const struct http_plan *p)
{
    bool clear = false;
    for (size_t i = 0; i < p->targets_count; i++) {
        clear = clear || !p->targets[i].url.tls;
    }
    return clear;
}

static bool any_varies(const struct http_plan *p)
{
    bool varies = false;
    for (size_t i = 0; i < p->targets_count; i++) {
        varies = varies || p->targets[i].url.varies;
    }
    return varies;
}

/* --- private addresses --- */

static const char *proxy_variable(const struct http_plan *p)
{
    static const char *const of_tls[] = {"https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"};
    static const char *const of_clear[] = {"http_proxy", "all_proxy", "ALL_PROXY"};
    for (size_t i = 0; any_tls(p) && i < sizeof of_tls / sizeof *of_tls; i++) {
        const char *value = getenv(of_tls[i]);
        if (value && *value) {
            return of_tls[i];
        }
    }
    for (size_t i = 0; any_clear(p) && i < sizeof of_clear / sizeof *of_clear; i++) {
        const char *value = getenv(of_clear[i]);
        if (value && *value) {
            return of_clear[i];
        }
    }
    return NULL;
}

/* A proxy connects by itself: which address it takes nobody here can see. */
static int check_private(struct http_plan *p, struct error *err)
{
    const struct http_conf *c = p->conf;
    p->allow_private = c->allow_private_given ? c->allow_private : !any_varies(p);
    const char *variable = proxy_variable(p), *proxy = p->allow_private ? NULL : variable;
    p->proxied = variable != NULL;
    return !proxy
               ? RESULT_DONE
               : error_set(
                     err, ERROR_CONFIG, "http",
                     "sink.allow_private is false, and a proxy (%s) would choose the addresses, which the relay cannot check; set allow_private: true and let the proxy refuse them, or unset the variable",
                     proxy);
}

/* --- authentication --- */

static int check_auth(struct http_plan *p, struct error *err)
{
    const struct http_conf *c = p->conf;
    bool of_auth = *c->auth.user || *c->auth.password;
    bool of_net = *c->net.username || *c->net.password;
    if (of_auth + of_net + (*c->auth.bearer != '\0') > 1) {
        return error_set(
            err, ERROR_CONFIG, "http",
            "sink.auth.bearer, sink.auth.user and sink.username exclude each other; keep one of them");
    }
    p->bearer = c->auth.bearer;
    p->user = of_auth ? c->auth.user : c->net.username;
    p->password = of_auth ? c->auth.password : c->net.password;
    if (*p->password && !*p->user) {
        return error_set(err, ERROR_CONFIG, "http",
                         "sink has a password and no user; set sink.username");
    }
    if (strpbrk(p->bearer, " \t\r\n") || strpbrk(p->user, ":\r\n") ||
        strpbrk(p->password, "\r\n")) {
        return error_set(
            err, ERROR_CONFIG, "http",
            "the sink's token, user or password holds a character that HTTP cannot carry there (a blank, a line end, a colon in the user); correct it");
    }
    if ((*c->sign.secret && http_secret_read(c->sign.secret, "sign.secret", &p->secrets[0], err)) ||
        (*c->sign.also_secret &&
         http_secret_read(c->sign.also_secret, "sign.also_secret", &p->secrets[1], err))) {
        return RESULT_ERROR;
    }
    return *c->sign.secret || !*c->sign.also_secret
               ? RESULT_DONE
               : error_set(err, ERROR_CONFIG, "http",
                           "sink.sign.also_secret counts beside sink.sign.secret only; set that");
}

static int check_headers(struct http_plan *p, struct error *err)
{
    const struct conf_map *headers = &p->conf->headers;
    for (size_t i = 0; i < headers->count; i++) {
        const struct conf_pair *h = &headers->pairs[i];
        bool content_type = strcasecmp(h->name, "content-type") == 0;
        bool authorization = strcasecmp(h->name, "authorization") == 0;
        bool twice = authorization && (*p->bearer || *p->user);
        struct slice name = slice_from(h->name);
        if (!http_header_name_valid(name) || twice ||
            (http_header_is_ours(name) && !authorization && !content_type)) {
            return error_set(
                err, ERROR_CONFIG, "http", "sink.headers: %s is %s; remove it", h->name,
                http_header_name_valid(name) ? "set by the relay itself" : "no name of a header");
        }
        if (!http_header_value_valid(slice_from(h->value))) {
            return error_set(err, ERROR_CONFIG, "http",
                             "sink.headers.%s holds a control character; remove it", h->name);
        }
        p->has_content_type = p->has_content_type || content_type;
    }
    return RESULT_DONE;
}

static int check_batch(const struct http_conf *c, struct error *err)
{
    if (c->batch.events == 1 && (c->batch_format_given || c->batch.interval_us > 0)) {
        return error_set(
            err, ERROR_CONFIG, "http",
            "sink.%s counts with sink.batch.events above 1 only; raise that, or remove the key",
            c->batch_format_given ? "batch_format" : "batch.interval");
    }
    return RESULT_DONE;
}

int http_plan_make(const struct http_conf *conf, struct http_plan *ret, struct error *err)
{
    *ret = (struct http_plan){.conf = conf};
    if (make_targets(ret, err) || net_conf_check(&conf->net, any_tls(ret), "http", err) ||
        check_private(ret, err) || check_auth(ret, err) || check_headers(ret, err)) {
        return RESULT_ERROR;
    }
    return check_batch(conf, err);
}

void http_plan_release(struct http_plan *plan)
{
    for (size_t i = 0; i < plan->targets_count; i++) {
        http_url_release(&plan->targets[i].url);
        curl_slist_free_all(plan->targets[i].connect_to);
        free(plan->targets[i].host);
    }
    free(plan->targets);
}

void http_plan_note_risks(const struct http_plan *plan, const struct sink_env *env)
{
    net_conf_note_risks(&plan->conf->net, !any_clear(plan), env);
    if (any_tls(plan) && any_clear(plan)) {
        net_conf_note_risks(&plan->conf->net, true, env);
    }
    if (env->note && any_clear(plan) && (*plan->bearer || *plan->conf->auth.password)) {
        env->note(env->note_ctx, LOG_WARN,
                  "sink.auth is sent unencrypted: sink.url asks for no TLS");
    }
}

const char *http_conf_url_value(const char *url)
{
    return strncmp(url, "http://", 7) == 0 || strncmp(url, "https://", 8) == 0 ? url : NULL;
}

/* Everybody on the machine can read a command line. */
int http_conf_url_check(const char *value, struct error *err)
{
    const char *host = strstr(value, "://") + 3;
    size_t end = strcspn(host, "/?");
    if (memchr(host, '@', end)) {
        return error_set(err, ERROR_CONFIG, "http",
                         "https://HOST/PATH takes no user and password; they go into a file (-c)");
    }
    return RESULT_DONE;
}

size_t http_conf_descriptors(const void *conf)
{
    enum { OF_LOOP = 3, OF_REQUEST = 3 }; /* its connection, and a pair while a name is looked up */
    const struct http_conf *c = conf;
    return OF_LOOP + OF_REQUEST * (size_t)c->concurrency;
}
