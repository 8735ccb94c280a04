/*
 * The table of status codes.
 */
#include "sink/http/status.h"

#include "base/clock.h"

#include <curl/curl.h>
#include <string.h>

static const struct rule {
    long from, to;
    enum error_class class;
    int exit_code;
    const char *remedy;
} rules[] = {
    {200, 299, ERROR_NONE, EXIT_CODE_OK, ""},
    {300, 399, ERROR_CONFIG, EXIT_CODE_CONFIG,
     "redirects are not followed: set sink.url to where it leads, if that is the receiver's"},
    {401, 401, ERROR_CONFIG, EXIT_CODE_PERMISSION,
     "the receiver does not know the relay: correct sink.auth, sink.username, sink.password or "
     "sink.sign"},
    {403, 403, ERROR_CONFIG, EXIT_CODE_PERMISSION,
     "the receiver forbids it: have it allow the relay, or correct sink.auth"},
    {404, 404, ERROR_CONFIG, EXIT_CODE_CONFIG, "nothing listens there: correct sink.url"},
    {405, 405, ERROR_CONFIG, EXIT_CODE_CONFIG, "correct sink.method or sink.url"},
    {408, 408, ERROR_RETRY, EXIT_CODE_GAVE_UP, "sent again"},
    {410, 410, ERROR_CONFIG, EXIT_CODE_CONFIG,
     "the receiver is gone for good: correct sink.url, or remove the pipeline"},
    {413, 413, ERROR_POISON, EXIT_CODE_GAVE_UP,
     "too large for the receiver: raise its limit if it should pass"},
    {425, 425, ERROR_RETRY, EXIT_CODE_GAVE_UP, "sent again"},
    {429, 429, ERROR_BUSY, EXIT_CODE_GAVE_UP,
     "the receiver limits the rate: sent again when it allows it"},
    {400, 499, ERROR_POISON, EXIT_CODE_GAVE_UP,
     "the receiver refuses the event: mend the event or the receiver"},
    {500, 599, ERROR_RETRY, EXIT_CODE_GAVE_UP, "the receiver has failed: sent again"},
};

/* No HTTP server should answer so: the world outside may get better. */
static const struct rule other = {0, 0, ERROR_RETRY, EXIT_CODE_GAVE_UP,
                                  "this is no answer of an HTTP server: correct sink.url"};

static const struct rule *rule_of(long status)
{
    for (size_t i = 0; i < sizeof rules / sizeof *rules; i++) {
        if (status >= rules[i].from && status <= rules[i].to) {
            return &rules[i];
        }
    }
    return &other;
}

enum error_class http_status_class(long status, bool retry_after)
{
    return status == 503 && retry_after ? ERROR_BUSY : rule_of(status)->class;
}

int http_status_exit_code(long status)
{
    return rule_of(status)->exit_code;
}

const char *http_status_remedy(long status)
{
    return rule_of(status)->remedy;
}

bool http_retry_after(const char *text, int64_t now_us, int64_t *ret_us)
{
    static const char digits[] = "0123456789";
    size_t n = strspn(text, digits);
    int64_t wait = 0;
    if (n > 0 && text[n] == '\0') {
        for (size_t i = 0; i < n && wait <= HTTP_RETRY_AFTER_MAX_US; i++) {
            wait = wait * 10 + (text[i] - '0') * US_PER_SECOND;
        }
    } else {
        time_t date = n > 0 ? -1 : curl_getdate(text, NULL);
        if (date < 0) {
            return false;
        }
        wait = (int64_t)date * US_PER_SECOND - now_us;
    }
    *ret_us = wait < 0 ? 0 : wait > HTTP_RETRY_AFTER_MAX_US ? HTTP_RETRY_AFTER_MAX_US : wait;
    return true;
}

void http_shown_url(struct buf *out, const char *url)
{
    size_t n = strcspn(url, "?");
    buf_add(out, url, n);
    if (url[n]) {
        buf_add_str(out, "?...");
    }
}
