/* Runs one request at a time on a worker thread, and reads what the registry answers. */
#include "schemas/client.h"

#include "base/memory.h"
#include "base/worker.h"
#include "schemas/answer.h"
#include <curl/curl.h>
#include <stdio.h>
#include <stdlib.h>

enum { ANSWER_MAX = 16 << 20 }; /* bytes; a longer one is cut, and then no JSON */

static const int64_t FREE_WAIT_US = 2 * US_PER_SECOND;

/* What the worker's thread uses while it is busy. */
struct job {
    CURL *easy;
    struct curl_slist *headers;
    struct buf url, body, answer;
    char why[CURL_ERROR_SIZE];
    CURLcode code;
    long status;
};

struct schemas_client {
    struct schemas_conf conf;
    struct worker *worker;
    struct job *job;
    struct schema_subject *asked; /* the subject of the request under way */
    bool failed;
    struct error failure;
};

static void must(CURLcode rc)
{
    if (rc != CURLE_OK) {
        fprintf(stderr, "commitrelay: libcurl refuses an option: %s\n", curl_easy_strerror(rc));
        abort();
    }
}

#define SET(job, option, value) must(curl_easy_setopt((job)->easy, option, value))

static void job_free(void *arg)
{
    struct job *j = arg;
    curl_easy_cleanup(j->easy);
    curl_slist_free_all(j->headers);
    buf_release(&j->url);
    buf_release(&j->body);
    buf_release(&j->answer);
    free(j);
    curl_global_cleanup();
}

static struct job *job_new(void)
{
    struct job *j = memory_need(calloc(1, sizeof *j));
    must(curl_global_init(CURL_GLOBAL_DEFAULT));
    j->easy = memory_need(curl_easy_init());
    j->headers = memory_need(
        curl_slist_append(NULL, "Content-Type: application/vnd.schemaregistry.v1+json"));
    j->headers = memory_need(
        curl_slist_append(j->headers, "Accept: application/vnd.schemaregistry.v1+json"));
    /* Without it a large schema waits a second for an answer that most servers do not give. */
    j->headers = memory_need(curl_slist_append(j->headers, "Expect:"));
    return j;
}

static size_t take(char *bytes, size_t size, size_t n, void *arg)
{
    struct job *j = arg;
    size_t room = ANSWER_MAX - j->answer.len, len = size * n;
    buf_add(&j->answer, bytes, len < room ? len : room);
    return len;
}

/* On the worker's thread. */
static void run(void *arg)
{
    struct job *j = arg;
    j->code = curl_easy_perform(j->easy);
    if (j->code == CURLE_OK) {
        curl_easy_getinfo(j->easy, CURLINFO_RESPONSE_CODE, &j->status);
    }
}

int schemas_client_new(const struct schemas_conf *conf, struct schemas_client **ret,
                       struct error *err)
{
    struct schemas_client *c = memory_need(calloc(1, sizeof *c));
    c->conf = *conf;
    if (worker_new(&c->worker, err)) {
        free(c);
        return RESULT_ERROR;
    }
    c->job = job_new();
    *ret = c;
    return RESULT_DONE;
}

void schemas_client_free(struct schemas_client *c)
{
    if (!c) {
        return;
    }
    if (worker_end(c->worker, FREE_WAIT_US, job_free)) {
        job_free(c->job);
    }
    free(c);
}

/* --- requests --- */

static void set_connection(struct job *j, const struct schemas_conf *conf)
{
    SET(j, CURLOPT_NOSIGNAL, 1L);
    SET(j, CURLOPT_QUICK_EXIT, 1L);
    SET(j, CURLOPT_ERRORBUFFER, j->why);
    SET(j, CURLOPT_PROTOCOLS_STR, "http,https");
    SET(j, CURLOPT_FOLLOWLOCATION, 0L);
    SET(j, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
    SET(j, CURLOPT_CONNECTTIMEOUT_MS, (long)(conf->connect_timeout_us / US_PER_MS));
    SET(j, CURLOPT_TIMEOUT_MS, (long)(conf->timeout_us / US_PER_MS));
    SET(j, CURLOPT_WRITEFUNCTION, take);
    SET(j, CURLOPT_WRITEDATA, j);
    SET(j, CURLOPT_HTTPHEADER, j->headers);
    if (conf->ca_file[0]) {
        SET(j, CURLOPT_CAINFO, conf->ca_file);
    }
    if (conf->username[0]) {
        SET(j, CURLOPT_HTTPAUTH, (long)CURLAUTH_BASIC);
        SET(j, CURLOPT_USERNAME, conf->username);
        SET(j, CURLOPT_PASSWORD, conf->password);
    }
}

/* The list of all subjects. */
static void begin_url(struct job *j, const struct schemas_conf *conf)
{
    size_t len = strlen(conf->url);
    len -= len > 0 && conf->url[len - 1] == '/';
    buf_clear(&j->url);
    buf_printf(&j->url, "%.*s/subjects", (int)len, conf->url);
}

/* A subject may hold any character that a topic or a table has. */
static void set_url(const struct schemas_client *c, const struct schema_subject *s)
{
    struct job *j = c->job;
    CLEANUP(buf_release) struct buf name = {0};
    schema_subject_name(s, &name);
    char *escaped = memory_need(curl_easy_escape(j->easy, buf_str(&name), (int)name.len));
    begin_url(j, &c->conf);
    buf_printf(&j->url, "/%s/versions%s", escaped, schema_subject_text(s) ? "" : "/latest");
    curl_free(escaped);
    SET(j, CURLOPT_URL, buf_str(&j->url));
}

static void ask(struct schemas_client *c, struct schema_book *book, struct schema_subject *s)
{
    struct job *j = c->job;
    const char *text = schema_subject_text(s);
    curl_easy_reset(j->easy);
    j->why[0] = '\0';
    j->status = 0;
    buf_clear(&j->answer);
    set_connection(j, &c->conf);
    set_url(c, s);
    if (text) {
        buf_clear(&j->body);
        answer_request(&j->body, slice_from(text), schema_book_is_json(book));
        SET(j, CURLOPT_POSTFIELDSIZE, (long)j->body.len);
        SET(j, CURLOPT_POSTFIELDS, buf_str(&j->body));
    }
    c->asked = s;
    worker_submit(c->worker, run, j);
}

/* --- answers --- */

static int unreached(const struct job *j, const struct schemas_conf *conf, struct error *err)
{
    const char *why = j->why[0] ? j->why : curl_easy_strerror(j->code);
    switch (j->code) {
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CACERT_BADFILE:
        return error_set(
            err, ERROR_CONFIG, "registry",
            "the certificate of the schema registry %s is not trusted: let encode.registry.ca_file name the authority that issued it (%s)",
            conf->url, why);
    case CURLE_UNSUPPORTED_PROTOCOL:
    case CURLE_URL_MALFORMAT:
        return error_set(err, ERROR_CONFIG, "registry",
                         "encode.registry.url %s is no URL with http or https (%s)", conf->url,
                         why);
    default:
        return error_set(err, ERROR_BUSY, "registry",
                         "the schema registry %s cannot be reached; events wait for it (%s)",
                         conf->url, why);
    }
}

static int take_answer(struct schemas_client *c, struct schema_book *book, struct error *err)
{
    const struct job *j = c->job;
    CLEANUP(buf_release) struct buf name = {0}, text = {0};
    uint32_t id;
    if (j->code != CURLE_OK) {
        return unreached(j, &c->conf, err);
    }
    schema_subject_name(c->asked, &name);
    bool looked_up = !schema_subject_text(c->asked);
    const struct answer a = {.url = c->conf.url,
                             .subject = buf_str(&name),
                             .status = j->status,
                             .body = buf_slice(&j->answer)};
    if (answer_read(&a, &id, looked_up ? &text : NULL, err)) {
        return RESULT_ERROR;
    }
    return schema_subject_known(book, c->asked, id, looked_up ? buf_slice(&text) : SLICE_NULL, err);
}

bool schemas_client_step(struct schemas_client *c, struct schema_book *book)
{
    bool more = false;
    if (worker_take_end(c->worker)) {
        c->failed = take_answer(c, book, &c->failure) < 0;
        more = !c->failed;
        c->asked = NULL;
    }
    struct schema_subject *next = schema_book_wanted(book);
    if (next && !c->failed && !worker_busy(c->worker)) {
        ask(c, book, next);
    }
    return more;
}

bool schemas_client_failure(struct schemas_client *c, struct schema_book *book, struct error *ret)
{
    if (!c->failed) {
        return false;
    }
    *ret = c->failure;
    c->failed = false;
    schema_book_forget_wanted(book);
    return true;
}

void schemas_client_poll_fds(const struct schemas_client *c, struct poll_set *set)
{
    poll_set_add(set, worker_fd(c->worker), POLLIN);
}

int schemas_look(const struct schemas_conf *conf, struct error *err)
{
    struct job *j = job_new();
    set_connection(j, conf);
    begin_url(j, conf);
    SET(j, CURLOPT_URL, buf_str(&j->url));
    run(j);
    const struct answer a = {.url = conf->url,
                             .subject = "its list of subjects",
                             .status = j->status,
                             .body = buf_slice(&j->answer)};
    int rc = j->code == CURLE_OK ? answer_judge(&a, err) : unreached(j, conf, err);
    job_free(j);
    return rc;
}
