/*
 * `check --connect`: connects to each URL and shakes hands. It sends no request: a receiver could
 * take it for an event.
 */
#include "sink/http/internal.h"

#include <string.h>

static void look(struct http *h, size_t target, finding_report *report, void *ctx)
{
    struct error err;
    struct http_call *c = &h->calls[0];
    const struct http_target *t = &h->plan.targets[target];
    static const struct event none;
    CLEANUP(buf_release) struct buf text = {0};
    if (t->url.varies) {
        buf_printf(&text, "sink.url number %zu has placeholders: no host was connected to",
                   target + 1);
        report(ctx, EXIT_CODE_OK, buf_str(&text), "");
        return;
    }
    buf_clear(&c->url);
    c->target = target;
    c->refused = false;
    c->why[0] = c->address[0] = '\0';
    (void)!http_url_expand(&t->url, &none, &c->url, &err);
    curl_easy_setopt(c->easy, CURLOPT_URL, buf_str(&c->url));
    curl_easy_setopt(c->easy, CURLOPT_CONNECT_TO, t->connect_to);
    curl_easy_setopt(c->easy, CURLOPT_CONNECT_ONLY, 1L);
    CURLcode code = curl_easy_perform(c->easy);
    if (code != CURLE_OK) {
        http_no_answer(c, code, &err);
        report(ctx, err.exit_code, err.text, "");
    }
}

int http_check(void *sink, finding_report *report, void *ctx, struct error *err)
{
    struct http *h = sink;
    (void)err;
    for (size_t i = 0; i < h->plan.targets_count; i++) {
        look(h, i, report, ctx);
    }
    return RESULT_DONE;
}
