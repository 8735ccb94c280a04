/* The keys of the sink. */
#include "sink/http/conf.h"

#include "base/clock.h"

#define FIELD(field) offsetof(struct http_conf, field)
#define BATCH(field) .offset = FIELD(batch.field) - FIELD(batch)
#define SIGN(field) .offset = FIELD(sign.field) - FIELD(sign)
#define AUTH(field) .offset = FIELD(auth.field) - FIELD(auth)

const char *const http_methods[] = {"POST", "PUT", "PATCH", NULL};
/* The words of enum http_batch_format. */
static const char *const formats[] = {"array", "lines", "cloudevents", NULL};

static const struct conf_key batch_keys[] = {
    {"events", CONF_INT, BATCH(events), .fallback = "1", .min = 1, .max = 10000,
     .help = "Events in one request, at most; 1: the body is the event's value itself"},
    {"bytes", CONF_SIZE, BATCH(bytes), .fallback = "1MiB", .min = 1, .max = INT64_C(1) << 30,
     .help = "Bytes in one request, at most; one larger event is still sent alone"},
    {"interval", CONF_DURATION, BATCH(interval_us), .fallback = "0s", .min = 0,
     .max = 60 * US_PER_SECOND, .help = "How long the first event of a request waits for more"},
    CONF_END,
};

static const struct conf_key sign_keys[] = {
    {"secret", CONF_SECRET, SIGN(secret),
     .help = "The secret of Standard Webhooks, whsec_ and base64: each request is signed with it"},
    {"also_secret", CONF_SECRET, SIGN(also_secret),
     .help = "A second one, while the receiver changes from one to the other"},
    CONF_END,
};

static const struct conf_key auth_keys[] = {
    {"bearer", CONF_SECRET, AUTH(bearer), .help = "A token for `Authorization: Bearer`"},
    {"user", CONF_STRING, AUTH(user), .help = "Basic authentication, as `username` of the sink"},
    {"password", CONF_SECRET, AUTH(password), .help = "The password of `user`"},
    CONF_END,
};

const struct conf_key http_conf_keys[] = {
    {"url", CONF_SECRET, FIELD(url), .required = true,
     .help = "Where events go: http or https, with placeholders in host, path and query "
             "(`https://hooks.example.com/{aggregatetype}`). Several, separated by commas, are "
             "tried in turn when one fails"},
    {"method", CONF_ENUM, FIELD(method), .fallback = "POST", .choices = http_methods,
     .help = "The method of each request"},
    {"headers", CONF_MAP, FIELD(headers), .help = "Further headers of each request"},
    {"batch", CONF_GROUP, FIELD(batch), .group = batch_keys,
     .help = "How many events go in one request, whichever comes first"},
    {"batch_format", CONF_ENUM, FIELD(batch_format), .fallback = "array", .choices = formats,
     .given_offset = FIELD(batch_format_given),
     .help = "With `batch.events` above 1: a JSON array of values, a JSON value a line, or a "
             "CloudEvents batch (with `encode.format: cloudevents_json`)"},
    {"concurrency", CONF_INT, FIELD(concurrency), .fallback = "8", .min = 1, .max = 256,
     .help = "Requests at the same time, and connections that are kept; of one key there is one "
             "at a time"},
    {"timeout", CONF_DURATION, FIELD(timeout_us), .fallback = "10s", .min = 10 * US_PER_MS,
     .max = 600 * US_PER_SECOND, .help = "The longest time for one request and its whole answer"},
    {"sign", CONF_GROUP, FIELD(sign), .group = sign_keys,
     .help = "Sign each request as Standard Webhooks says"},
    {"auth", CONF_GROUP, FIELD(auth), .group = auth_keys,
     .help = "How the relay authenticates itself: a bearer token, or user and password"},
    {"allow_private", CONF_BOOL, FIELD(allow_private), .given_offset = FIELD(allow_private_given),
     .help = "Connect to private, loopback and link-local addresses too; without it only if `url` "
             "has no placeholders"},
    NET_CONF_KEYS(struct http_conf, net),
    CONF_END,
};
