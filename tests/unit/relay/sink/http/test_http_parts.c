/* The parts of the HTTP sink that need no server: signatures, statuses, addresses, URLs, headers.
 */
#include "unit.h"

#include "sink/http/address.h"
#include "sink/http/headers.h"
#include "sink/http/sign.h"
#include "sink/http/status.h"
#include "sink/http/url.h"

#include <arpa/inet.h>
#include <string.h>

/* --- signatures --- */

/* The vector of the reference libraries of Standard Webhooks. */
#define SECRET "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
#define ID "msg_p5jXN8AQM9LWM0D4loKWxJek"
#define TIME 1614265330
#define BODY "{\"test\": 2432232314}"
#define SIGNATURE "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="

static void sign(const struct http_secret *secrets, struct buf *out)
{
    CLEANUP(buf_release) struct buf scratch = {0};
    buf_clear(out);
    http_sign(out, secrets, 2, slice_from(ID), TIME, slice_from(BODY), &scratch);
}

static void the_known_signature_comes_out(void **state)
{
    struct http_secret secrets[2] = {0};
    struct error err;
    CLEANUP(buf_release) struct buf out = {0};
    (void)state;
    assert_int_equal(http_secret_read(SECRET, "sign.secret", &secrets[0], &err), 0);
    assert_int_equal(secrets[0].len, 24);
    sign(secrets, &out);
    assert_string_equal(buf_str(&out), SIGNATURE);
    assert_int_equal(http_secret_read(&SECRET[6], "sign.secret", &secrets[0], &err), 0);
    sign(secrets, &out);
    assert_string_equal(buf_str(&out), SIGNATURE);
}

static void two_secrets_give_two_signatures(void **state)
{
    struct http_secret secrets[2] = {0};
    struct error err;
    CLEANUP(buf_release) struct buf out = {0};
    (void)state;
    assert_int_equal(http_secret_read("whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=", "s",
                                      &secrets[0], &err),
                     0);
    assert_int_equal(secrets[0].len, 32); /* padding is none of it */
    assert_memory_equal(secrets[0].key, "01234567890123456789012345678901", 32);
    assert_int_equal(http_secret_read(SECRET, "s", &secrets[1], &err), 0);
    sign(secrets, &out);
    const char *second = strchr(buf_str(&out), ' ');
    assert_non_null(second);
    assert_string_equal(second + 1, SIGNATURE);
    assert_true(strncmp(buf_str(&out), SIGNATURE, strlen(SIGNATURE)) != 0);
}

static void what_is_no_secret_is_refused_unseen(void **state)
{
    static const char *const wrong[] = {
        "whsec_",
        "",
        "whsec_SECRET!",
        "whsec_AAAA",
        "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaS",
        " whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
        "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2L=LaSw",
        "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaL===",
        ("whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
         "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA")};
    (void)state;
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        struct http_secret secret = {0};
        struct error err = {0};
        assert_int_equal(http_secret_read(wrong[i], "sign.secret", &secret, &err), RESULT_ERROR);
        assert_int_equal(err.class, ERROR_CONFIG);
        assert_non_null(strstr(err.text, "sink.sign.secret"));
        assert_null(strstr(err.text, "SECRET!"));
        assert_null(strstr(err.text, "MfKQ"));
    }
}

/* --- statuses --- */

static void each_status_has_its_class(void **state)
{
    static const struct {
        long from, to;
        enum error_class class;
        int exit_code;
    } want[] = {
        {200, 299, ERROR_NONE, 0},    {300, 399, ERROR_CONFIG, 78}, {401, 401, ERROR_CONFIG, 77},
        {403, 403, ERROR_CONFIG, 77}, {404, 405, ERROR_CONFIG, 78}, {410, 410, ERROR_CONFIG, 78},
        {408, 408, ERROR_RETRY, 75},  {425, 425, ERROR_RETRY, 75},  {429, 429, ERROR_BUSY, 75},
        {500, 599, ERROR_RETRY, 75},  {400, 400, ERROR_POISON, 75}, {402, 402, ERROR_POISON, 75},
        {406, 407, ERROR_POISON, 75}, {409, 409, ERROR_POISON, 75}, {411, 424, ERROR_POISON, 75},
        {426, 428, ERROR_POISON, 75}, {430, 499, ERROR_POISON, 75}, {600, 999, ERROR_RETRY, 75},
        {0, 0, ERROR_RETRY, 75}};
    (void)state;
    for (size_t i = 0; i < sizeof want / sizeof *want; i++) {
        for (long status = want[i].from; status <= want[i].to; status++) {
            assert_int_equal(http_status_class(status, false), want[i].class);
            assert_int_equal(http_status_class(status, true),
                             status == 503 ? ERROR_BUSY : want[i].class);
            assert_int_equal(http_status_exit_code(status), want[i].exit_code);
            assert_non_null(http_status_remedy(status));
        }
    }
}

static void retry_after_is_seconds_or_a_date(void **state)
{
    const int64_t now = INT64_C(784111717) * US_PER_SECOND; /* Sun, 06 Nov 1994 08:48:37 GMT */
    static const struct {
        const char *text;
        int64_t want_s; /* -1: cannot be read */
    } cases[] = {{"0", 0},
                 {"1", 1},
                 {"120", 120},
                 {"300", 300},
                 {"301", 300},
                 {"99999999999999999999999999", 300},
                 {"Sun, 06 Nov 1994 08:49:37 GMT", 60},
                 {"Sunday, 06-Nov-94 08:49:37 GMT", 60},
                 {"Sun Nov  6 08:49:37 1994", 60},
                 {"Sun, 06 Nov 1994 07:49:37 GMT", 0},
                 {"Sun, 06 Nov 1995 07:49:37 GMT", 300},
                 {"", -1},
                 {"-1", -1},
                 {"1.5", -1},
                 {"1s", -1},
                 {"soon", -1}};
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        int64_t wait = 7;
        bool read = http_retry_after(cases[i].text, now, &wait);
        if (read != (cases[i].want_s >= 0) ||
            wait != (read ? cases[i].want_s * US_PER_SECOND : 7)) {
            fail_msg("\"%s\": %d, %lld us", cases[i].text, read, (long long)wait);
        }
    }
}

/* --- addresses --- */

static bool is_private(const char *text)
{
    struct sockaddr_in in = {.sin_family = AF_INET};
    struct sockaddr_in6 in6 = {.sin6_family = AF_INET6};
    if (inet_pton(AF_INET, text, &in.sin_addr) == 1) {
        return http_address_is_private((struct sockaddr *)&in);
    }
    assert_int_equal(inet_pton(AF_INET6, text, &in6.sin6_addr), 1);
    return http_address_is_private((struct sockaddr *)&in6);
}

static void private_addresses_are_known(void **state)
{
    static const char *const inside[] = {"0.0.0.0",
                                         "0.255.255.255",
                                         "10.0.0.0",
                                         "10.255.255.255",
                                         "100.64.0.1",
                                         "100.127.255.255",
                                         "127.0.0.1",
                                         "127.255.255.255",
                                         "169.254.169.254",
                                         "172.16.0.0",
                                         "172.31.255.255",
                                         "192.0.0.8",
                                         "192.168.0.1",
                                         "192.168.255.255",
                                         "198.18.0.1",
                                         "198.19.255.255",
                                         "224.0.0.1",
                                         "240.0.0.1",
                                         "255.255.255.255",
                                         "::",
                                         "::1",
                                         "::7f00:1",
                                         "fe80::1",
                                         "febf::1",
                                         "fec0::1",
                                         "fc00::1",
                                         "fdff::1",
                                         "ff02::1",
                                         "::ffff:127.0.0.1",
                                         "::ffff:10.1.2.3",
                                         "64:ff9b::10.1.2.3",
                                         "64:ff9b:1::1",
                                         "2002:7f00:1::",
                                         "2002:c0a8:101::1",
                                         "2001::1"};
    static const char *const outside[] = {
        "1.1.1.1",          "9.255.255.255",   "11.0.0.0",    "100.63.255.255",
        "100.128.0.0",      "126.255.255.255", "128.0.0.0",   "169.253.0.1",
        "169.255.0.1",      "172.15.255.255",  "172.32.0.0",  "192.0.1.1",
        "192.167.0.1",      "192.169.0.1",     "198.17.0.1",  "198.20.0.1",
        "223.255.255.255",  "2606:4700::1111", "2001:db8::1", "::ffff:1.1.1.1",
        "64:ff9b::1.1.1.1", "2002:101:101::1", "2a00::1",     "fbff::1"};
    struct sockaddr unknown = {.sa_family = AF_UNIX};
    (void)state;
    for (size_t i = 0; i < sizeof inside / sizeof *inside; i++) {
        if (!is_private(inside[i])) {
            fail_msg("%s", inside[i]);
        }
    }
    for (size_t i = 0; i < sizeof outside / sizeof *outside; i++) {
        if (is_private(outside[i])) {
            fail_msg("%s", outside[i]);
        }
    }
    assert_true(http_address_is_private(&unknown));
}

/* --- URLs --- */

static void a_list_of_urls_is_taken_apart(void **state)
{
    const char *list = " https://a/x,y?a,b=1 ,\n http://b/ ,https://c";
    static const char *const want[] = {"https://a/x,y?a,b=1", "http://b/", "https://c"};
    struct slice url;
    (void)state;
    for (size_t i = 0; i < 3; i++) {
        assert_true(http_url_next(&list, &url));
        assert_true(slice_equal_str(url, want[i]));
    }
    assert_false(http_url_next(&list, &url));
}

static const struct event *sample(const char *key)
{
    static struct event e;
    e = (struct event){.id = SLICE_LITERAL("i1"),
                       .type = SLICE_LITERAL("Made"),
                       .aggregatetype = SLICE_LITERAL("order"),
                       .aggregateid = SLICE_LITERAL("7"),
                       .topic = SLICE_LITERAL("shop.orders"),
                       .position = SLICE_LITERAL("17"),
                       .created_at_us = 0,
                       .key = slice_from(key)};
    return &e;
}

/* The URL for an event of this key, or NULL with *err filled. */
static const char *expanded(const char *text, const char *key, struct error *err)
{
    static struct buf out;
    struct http_url u;
    buf_release(&out);
    int rc = http_url_compile(slice_from(text), &u, err);
    rc = rc ? rc : http_url_expand(&u, sample(key), &out, err);
    http_url_release(&u);
    if (rc) {
        assert_int_equal(out.len, 0);
    }
    return rc ? NULL : buf_str(&out);
}

static void placeholders_are_filled_and_encoded(void **state)
{
    static const char *const cases[][3] = {
        {"https://h/x", "k", "https://h/x"},
        {"https://h/{topic}/{key}?t={type}&p={position}", "a/b ?#%&=\xc3\xbc",
         "https://h/shop.orders/a%2Fb%20%3F%23%25%26%3D%C3%BC?t=Made&p=17"},
        {"https://{key}.example.com:8443/{aggregatetype}-{aggregateid}", "Eu-1",
         "https://Eu-1.example.com:8443/order-7"},
        {"https://h/{{{id}}}", "k", "https://h/{i1}"},
        {"http://[::1]:80/{key}", "~._-", "http://[::1]:80/~._-"},
        {"https://h/{created_at}", "k", "https://h/1970-01-01T00%3A00%3A00.000000Z"},
        {"https://h/a{key}", "..", "https://h/a.."},
        {"https://h?{key}", "..", "https://h?.."},
    };
    struct error err;
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const char *got = expanded(cases[i][0], cases[i][1], &err);
        if (!got) {
            fail_msg("%s: %s", cases[i][0], err.text);
        }
        assert_string_equal(got, cases[i][2]);
    }
}

static void a_value_never_leads_elsewhere(void **state)
{
    static const char *const cases[][2] = {
        {"https://{key}/x", "evil.example/"},
        {"https://{key}/x", "a@b"},
        {"https://{key}/x", "h:81"},
        {"https://{key}/x", "%2f"},
        {"https://{key}/x", "a_b"},
        {"https://h/{key}/x", ".."},
        {"https://h/{key}/x", "."},
        {"https://h/{key}.", "."},
        {"https://h/{key}", ""},
        {"https://h/{key}", NULL},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct error err = {0};
        if (expanded(cases[i][0], cases[i][1], &err)) {
            fail_msg("%s with %s", cases[i][0], cases[i][1]);
        }
        assert_int_equal(err.class, ERROR_POISON);
    }
}

static void what_cannot_be_a_host_is_poison(void **state)
{
    char name[300];
    struct error err;
    (void)state;
    memset(name, 'x', sizeof name);
    name[63] = '\0';
    assert_non_null(expanded("https://{key}.h/", name, &err));
    name[63] = 'x';
    name[64] = '\0';
    assert_null(expanded("https://{key}.h/", name, &err));
    assert_int_equal(err.class, ERROR_POISON);
    for (size_t i = 0; i < sizeof name; i++) {
        name[i] = i % 2 ? '.' : 'x';
    }
    name[253] = '\0';
    assert_non_null(expanded("https://{key}:80/", name, &err));
    name[253] = '.';
    name[254] = '\0';
    assert_null(expanded("https://{key}:80/", name, &err));
    assert_null(expanded("https://{key}.h/", "a..b", &err));
    assert_null(expanded("https://{key}/", ".", &err));
    assert_null(expanded("https://a.{key}.h/x..y", ".b", &err));
    assert_non_null(expanded("https://a.{key}./x..y", "b", &err));
}

static void wrong_urls_are_refused(void **state)
{
    static const char *const wrong[] = {
        "",
        "h/x",
        "ftp://h/",
        "HTTPS//h",
        "https://",
        "https:///x",
        "https://h:99999/",
        "https://u@h/",
        "https://u:p@h/",
        "https://{key}@h/",
        "https://h/#x",
        "https://h/ x",
        "https://h/\xc3\xbc",
        "https://h/{nothing}",
        "https://h/{payload}",
        "https://h/{}",
        "https://h/{key",
        "https://h/key}",
        "https://h:{key}/",
        "{key}://h/",
    };
    (void)state;
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        struct http_url u;
        struct error err = {0};
        if (http_url_compile(slice_from(wrong[i]), &u, &err) != RESULT_ERROR) {
            fail_msg("%s is taken", wrong[i]);
        }
        http_url_release(&u);
        assert_int_equal(err.class, ERROR_CONFIG);
    }
}

static void it_knows_what_a_row_decides(void **state)
{
    static const struct {
        const char *url;
        bool varies, host_varies, tls;
    } cases[] = {{"https://h/x", false, false, true},
                 {"http://h/{{x}}", false, false, false},
                 {"https://h/{key}", true, false, true},
                 {"http://{key}.h/", true, true, false}};
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct http_url u;
        struct error err;
        assert_int_equal(http_url_compile(slice_from(cases[i].url), &u, &err), RESULT_DONE);
        assert_int_equal(u.varies, cases[i].varies);
        assert_int_equal(u.host_varies, cases[i].host_varies);
        assert_int_equal(u.tls, cases[i].tls);
        http_url_release(&u);
    }
}

static void a_query_is_not_shown(void **state)
{
    CLEANUP(buf_release) struct buf out = {0};
    (void)state;
    http_shown_url(&out, "https://h/x?token=secret");
    assert_string_equal(buf_str(&out), "https://h/x?...");
}

/* --- headers --- */

static bool takes_header(const char *name, const char *value)
{
    struct header h = {slice_from(name), slice_from(value)};
    struct event e = {.id = SLICE_LITERAL("i"), .out_headers = &h, .out_headers_count = 1};
    struct error err = {0};
    int rc = http_headers_check(&e, &err);
    assert_true(rc == RESULT_DONE || err.class == ERROR_POISON);
    return rc == RESULT_DONE;
}

static void a_row_cannot_change_the_request(void **state)
{
    static const char *const wrong[] = {"Host",
                                        "content-length",
                                        "Transfer-Encoding",
                                        "connection",
                                        "Authorization",
                                        "webhook-id",
                                        "webhook-signature",
                                        "Idempotency-Key",
                                        "Expect",
                                        "Proxy-Authorization",
                                        "a b",
                                        "a:b",
                                        "",
                                        "a\r\nb",
                                        "\xc3\xbc"};
    (void)state;
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        if (takes_header(wrong[i], "x")) {
            fail_msg("%s is taken", wrong[i]);
        }
    }
    assert_true(takes_header("traceparent", "00-1"));
    assert_true(takes_header("content-type", "text/plain"));
    assert_true(takes_header("x", "\xc3\xbc\t"));
    assert_true(takes_header("x", NULL));
    assert_true(takes_header("ce_subject", "a\nb")); /* it is percent-encoded */
    assert_false(takes_header("x", "a\r\nHost: b"));
}

static void headers_are_written_as_http_has_them(void **state)
{
    struct header h[] = {{SLICE_LITERAL("type"), SLICE_LITERAL("Made")},
                         {SLICE_LITERAL("none"), SLICE_NULL},
                         {SLICE_LITERAL("empty"), SLICE_LITERAL("")},
                         {SLICE_LITERAL("content-type"), SLICE_LITERAL("text/x")},
                         {SLICE_LITERAL("ce_subject"), SLICE_LITERAL("a \"%\xc3\xbc\n")}};
    static const char *const want[] = {"type: Made", "empty;", "ce-subject: a%20%22%25%C3%BC%0A"};
    struct event e = {.out_headers = h, .out_headers_count = sizeof h / sizeof *h};
    struct curl_slist *list = NULL, *at;
    CLEANUP(buf_release) struct buf scratch = {0};
    size_t n = 0;
    (void)state;
    http_headers_add_event(&list, &e, true, &scratch);
    for (at = list; at; at = at->next) {
        assert_true(n < 3);
        assert_string_equal(at->data, want[n++]);
    }
    assert_int_equal(n, 3);
    curl_slist_free_all(list);
    assert_true(slice_equal_str(http_headers_type(&e), "text/x"));
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_known_signature_comes_out),
        cmocka_unit_test(two_secrets_give_two_signatures),
        cmocka_unit_test(what_is_no_secret_is_refused_unseen),
        cmocka_unit_test(each_status_has_its_class),
        cmocka_unit_test(retry_after_is_seconds_or_a_date),
        cmocka_unit_test(private_addresses_are_known),
        cmocka_unit_test(a_list_of_urls_is_taken_apart),
        cmocka_unit_test(placeholders_are_filled_and_encoded),
        cmocka_unit_test(a_value_never_leads_elsewhere),
        cmocka_unit_test(what_cannot_be_a_host_is_poison),
        cmocka_unit_test(wrong_urls_are_refused),
        cmocka_unit_test(it_knows_what_a_row_decides),
        cmocka_unit_test(a_query_is_not_shown),
        cmocka_unit_test(a_row_cannot_change_the_request),
        cmocka_unit_test(headers_are_written_as_http_has_them),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
