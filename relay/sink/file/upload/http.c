/* HTTPS and S3: one request a file, with its digest in a header, which the server can check. */
#include "base/clock.h"
#include "sink/file/upload/curl.h"
#include "value/base64.h"
#include "value/digest.h"

enum { DIGEST_BYTES = 32 };
static const int64_t RETRY_AFTER_MAX_US = 300 * US_PER_SECOND;

static int nibble(char c)
{
    return c <= '9' ? c - '0' : c - 'a' + 10;
}

/* The digest as base64, of its lower-case hex. */
static void add_base64(struct buf *out, const char *hex)
{
    char raw[DIGEST_BYTES];
    for (size_t i = 0; i < sizeof raw; i++) {
        raw[i] = (char)(nibble(hex[2 * i]) << 4 | nibble(hex[2 * i + 1]));
    }
    base64_add(out, (struct slice){raw, sizeof raw});
}

static void add_headers(struct upload_transfer *t, const struct upload_file *f)
{
    CLEANUP(buf_release) struct buf digest = {0};
    add_base64(&digest, f->sha256);
    upload_curl_add(t, "Content-Type: %s", f->type);
    if (t->at->kind == UPLOAD_S3) {
        /* Without this header libcurl 7.88 signs the digest of an empty text. */
        upload_curl_add(t, "x-amz-content-sha256: %s", f->sha256);
        upload_curl_add(t, "x-amz-checksum-sha256: %s", buf_str(&digest));
    } else {
        upload_curl_add(t, "Content-Digest: sha-256=:%s:", buf_str(&digest)); /* RFC 9530 */
        upload_curl_add(t, "Digest: SHA-256=%s", buf_str(&digest));           /* RFC 3230 */
    }
    if (t->conf->method == UPLOAD_POST) {
        upload_curl_add(t, "Content-Disposition: attachment; filename=\"%s\"", f->name);
    }
    upload_curl_set(t, CURLOPT_HTTPHEADER, t->list);
}

/* CONFIG for what stays wrong until somebody changes something. */
static enum error_class class_of(long status)
{
    bool passes = status == 408 || status == 425 || status == 429 || status >= 500;
    return passes ? ERROR_RETRY : ERROR_CONFIG;
}

static const char *remedy_of(long status)
{
    return status == 401 || status == 403 ? "check auth"
           : status == 404 || status == 405 || status == 410 || (status >= 300 && status < 400)
               ? "check url and method"
           : status == 413                  ? "the file is too large for it"
           : status == 507                  ? "its disk is full or a quota used up"
           : status == 429 || status >= 500 ? "it is tried again"
                                            : "ask who runs it what it expects";
}

static int refused(struct upload_transfer *t, const char *name, long status, struct error *err)
{
    curl_off_t after = 0;
    error_set(err, class_of(status), "upload", "%s: %s answered %ld to %s: %s%s%s", t->conf->name,
              buf_str(&t->at->base), status, name, remedy_of(status),
              t->answer.len ? "; it says: " : "", buf_str(&t->answer));
    if (curl_easy_getinfo(t->easy, CURLINFO_RETRY_AFTER, &after) == CURLE_OK && after > 0) {
        int64_t most = RETRY_AFTER_MAX_US / US_PER_SECOND;
        err->retry_after_us = (after < most ? after : most) * US_PER_SECOND;
    }
    return RESULT_ERROR;
}

int upload_transfer_http(struct upload_transfer *t, const struct upload_file *f, struct error *err)
{
    bool post = t->conf->method == UPLOAD_POST;
    long status = 0;
    upload_curl_begin(t, post ? "" : f->name);
    upload_curl_body(t, f);
    if (post) {
        upload_curl_set(t, CURLOPT_POST, 1L);
        upload_curl_set(t, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)f->bytes);
    } else {
        upload_curl_set(t, CURLOPT_UPLOAD, 1L);
        upload_curl_set(t, CURLOPT_INFILESIZE_LARGE, (curl_off_t)f->bytes);
    }
    add_headers(t, f);
    CURLcode rc = upload_curl_run(t);
    if (rc != CURLE_OK) {
        return upload_curl_error(t, rc, err);
    }
    upload_curl_must(curl_easy_getinfo(t->easy, CURLINFO_RESPONSE_CODE, &status));
    return status >= 200 && status < 300 ? RESULT_DONE : refused(t, f->name, status, err);
}

int upload_transfer_http_has(struct upload_transfer *t, const char *name, bool *ret,
                             struct error *err)
{
    char empty[DIGEST_HEX_SIZE];
    long status = 0;
    digest_sha256(SLICE_LITERAL(""), empty);
    upload_curl_begin(t, name);
    upload_curl_set(t, CURLOPT_NOBODY, 1L); /* HEAD */
    if (t->at->kind == UPLOAD_S3) {
        upload_curl_add(t, "x-amz-content-sha256: %s", empty);
        upload_curl_set(t, CURLOPT_HTTPHEADER, t->list);
    }
    CURLcode rc = upload_curl_run(t);
    if (rc != CURLE_OK) {
        return upload_curl_error(t, rc, err);
    }
    upload_curl_must(curl_easy_getinfo(t->easy, CURLINFO_RESPONSE_CODE, &status));
    *ret = status >= 200 && status < 300;
    return *ret || status == 404 ? RESULT_DONE : refused(t, name, status, err);
}
