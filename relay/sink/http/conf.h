/*
 * The configuration of the HTTP sink, and the plan that is made of it once. Any thread.
 */
#pragma once

#include "sink/http/sign.h"
#include "sink/http/url.h"
#include "sink/kit/net_conf.h"

#include <curl/curl.h>

enum http_batch_format { HTTP_ARRAY, HTTP_LINES, HTTP_CLOUDEVENTS };

/* Filled by the configuration, which outlives the sink. Texts are never NULL. */
struct http_conf {
    char *url;
    int method; /* index into http_methods */
    struct conf_map headers;
    struct http_batch_conf {
        int64_t events, bytes, interval_us;
    } batch;
    int batch_format; /* enum http_batch_format */
    bool batch_format_given;
    int64_t concurrency, timeout_us;
    struct http_sign_conf {
        char *secret, *also_secret;
    } sign;
    struct http_auth_conf {
        char *bearer, *user, *password;
    } auth;
    bool allow_private, allow_private_given;
    struct net_conf net;
};

extern const struct conf_key http_conf_keys[];
extern const char *const http_methods[];

/* One of the URLs that are tried in turn. */
struct http_target {
    struct http_url url;
    struct curl_slist *connect_to; /* with tls.server_name: where that name really is; else NULL */
    char *host;                    /* then: the header Host, "Host: name"; else NULL */
};

/* What the configuration comes to. */
struct http_plan {
    const struct http_conf *conf;
    struct http_target *targets;
    size_t targets_count;
    struct http_secret secrets[2];
    bool allow_private;
    bool proxied;                         /* the environment names a proxy */
    bool has_content_type;                /* `headers` says what the body is */
    const char *user, *password, *bearer; /* borrowed from conf; "" if unused */
};

/* Checks the configuration and makes the plan of it; the caller releases it, after an error too.
 * Touches nothing outside. CONFIG for all that is wrong. */
int http_plan_make(const struct http_conf *conf, struct http_plan *ret,
                   struct error *err) MUST_CHECK;
void http_plan_release(struct http_plan *plan);

/* Logs risky settings, at each start. */
void http_plan_note_risks(const struct http_plan *plan, const struct sink_env *env);

/* See url_form and sink_ops.descriptors. */
const char *http_conf_url_value(const char *url);
int http_conf_url_check(const char *value, struct error *err) MUST_CHECK;
size_t http_conf_descriptors(const void *conf);
