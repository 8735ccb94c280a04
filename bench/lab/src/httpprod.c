// httpprod: the raw ceiling of a libcurl client that posts N messages, one a request, over CONCURRENCY connections that are kept.
// usage: httpprod URL N CONCURRENCY     the URL ends with the message's key
#include "common.h"
#include <curl/curl.h>
struct slot { CURL *easy; struct curl_slist *headers; char val[1024], url[512]; };
static int64_t n, sent, done, failed, bytes, t0;
static const char *base;
static size_t ignore(char *p, size_t size, size_t count, void *closure) { (void)p; (void)closure; return size * count; }
static void post(CURLM *multi, struct slot *s) {
    char key[32], id[96] = "webhook-id: ";
    int kl = order_key(key, sizeof key, sent), vl = order_json(s->val, sizeof s->val, sent, t0);
    message_id(id + strlen(id), sizeof id - strlen(id), sent);
    snprintf(s->url, sizeof s->url, "%s%s", base, key);
    bytes += kl + vl, sent++;
    curl_slist_free_all(s->headers);
    s->headers = curl_slist_append(curl_slist_append(NULL, "content-type: application/json"), id);
    curl_easy_setopt(s->easy, CURLOPT_URL, s->url);
    curl_easy_setopt(s->easy, CURLOPT_POSTFIELDS, s->val);
    curl_easy_setopt(s->easy, CURLOPT_POSTFIELDSIZE, (long)vl);
    curl_easy_setopt(s->easy, CURLOPT_HTTPHEADER, s->headers);
    curl_easy_setopt(s->easy, CURLOPT_WRITEFUNCTION, ignore);
    curl_easy_setopt(s->easy, CURLOPT_PRIVATE, s);
    curl_multi_add_handle(multi, s->easy);
}
int main(int argc, char **argv) {
    if (argc < 4) die("usage", "httpprod URL N CONCURRENCY");
    base = argv[1], n = atoll(argv[2]);
    int slots = atoi(argv[3]), running, left;
    curl_global_init(CURL_GLOBAL_DEFAULT);
    CURLM *multi = curl_multi_init();
    struct slot *s = calloc(slots, sizeof *s);
    t0 = now_us();
    for (int i = 0; i < slots && sent < n; i++) {
        s[i].easy = curl_easy_init();
        post(multi, &s[i]);
    }
    while (done < n) {
        if (curl_multi_perform(multi, &running)) die("curl", "perform");
        CURLMsg *m;
        while ((m = curl_multi_info_read(multi, &left))) {
            struct slot *one;
            long status = 0;
            CURL *easy = m->easy_handle;
            curl_easy_getinfo(easy, CURLINFO_PRIVATE, (char **)&one);
            curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &status);
            done++, failed += m->data.result != CURLE_OK || status / 100 != 2;
            curl_multi_remove_handle(multi, easy);
            if (sent < n) post(multi, one);
        }
        if (done < n && curl_multi_poll(multi, NULL, 0, 1000, NULL)) die("curl", "poll");
    }
    return print_produced(n, failed, bytes, t0);
}
