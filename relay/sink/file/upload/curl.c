/* Runs requests through libcurl, and tells from its codes what went wrong. */
#include "sink/file/upload/curl.h"

#include "base/clock.h"
#include "base/memory.h"
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { ANSWER_MAX = 240 }; /* bytes of a server's answer that an error text shows */

void upload_curl_must(CURLcode rc)
{
    if (rc != CURLE_OK) {
        fprintf(stderr, "commitrelay: libcurl refuses an option: %s\n", curl_easy_strerror(rc));
        abort();
    }
}

struct upload_transfer *upload_transfer_new(const struct upload_conf *c,
                                            const struct upload_address *at,
                                            struct upload_wait *wait)
{
    struct upload_transfer *t = memory_need(calloc(1, sizeof *t));
    upload_curl_must(curl_global_init(CURL_GLOBAL_DEFAULT));
    t->conf = c;
    t->at = at;
    t->wait = wait;
    t->easy = memory_need(curl_easy_init());
    return t;
}

void upload_transfer_free(struct upload_transfer *t)
{
    if (!t) {
        return;
    }
    curl_easy_cleanup(t->easy);
    curl_slist_free_all(t->list);
    buf_release(&t->answer);
    free(t);
    curl_global_cleanup();
}

static size_t give(char *out, size_t size, size_t n, void *transfer)
{
    struct upload_transfer *t = transfer;
    uint64_t left = t->up->bytes - t->read, most = size * n;
    ssize_t got = pread(t->up->fd, out, left < most ? left : most, (off_t)t->read);
    if (got < 0 || (got == 0 && left > 0)) {
        return CURL_READFUNC_ABORT;
    }
    t->read += (uint64_t)got;
    return (size_t)got;
}

/* libcurl begins anew, for example because a kept connection was closed by the server. */
static int rewind_body(void *transfer, curl_off_t offset, int origin)
{
    struct upload_transfer *t = transfer;
    if (origin != SEEK_SET || offset < 0) {
        return CURL_SEEKFUNC_FAIL;
    }
    t->read = (uint64_t)offset;
    return CURL_SEEKFUNC_OK;
}

static size_t take(char *bytes, size_t size, size_t n, void *transfer)
{
    struct upload_transfer *t = transfer;
    size_t len = size * n;
    if (t->digest) {
        file_digest_add(t->digest, (struct slice){bytes, len});
    } else if (t->answer.len < ANSWER_MAX) {
        size_t room = ANSWER_MAX - t->answer.len;
        buf_add(&t->answer, bytes, len < room ? len : room);
    }
    return len;
}

/* Called about once a second at least. Other than 0 ends the transfer. */
static int watch(void *transfer, curl_off_t down_all UNUSED, curl_off_t down,
                 curl_off_t up_all UNUSED, curl_off_t up)
{
    struct upload_transfer *t = transfer;
    int64_t now = clock_mono_us();
    if (down + up != t->moved) {
        t->moved = down + up;
        t->moved_us = now;
    }
    t->stalled = now - t->moved_us > t->conf->timeout_us;
    return t->stalled || upload_wait_stopped(t->wait);
}

static void common(struct upload_transfer *t)
{
    upload_curl_set(t, CURLOPT_NOSIGNAL, 1L);
    upload_curl_set(t, CURLOPT_QUICK_EXIT, 1L); /* a stop does not wait for a resolver */
    upload_curl_set(t, CURLOPT_ERRORBUFFER, t->why);
    upload_curl_set(t, CURLOPT_CONNECTTIMEOUT_MS, (long)(t->conf->connect_timeout_us / US_PER_MS));
    upload_curl_set(t, CURLOPT_NOPROGRESS, 0L);
    upload_curl_set(t, CURLOPT_XFERINFOFUNCTION, watch);
    upload_curl_set(t, CURLOPT_XFERINFODATA, t);
    upload_curl_set(t, CURLOPT_WRITEFUNCTION, take);
    upload_curl_set(t, CURLOPT_WRITEDATA, t);
    upload_curl_set(t, CURLOPT_TCP_KEEPALIVE, 1L);
}

static void log_in_sftp(struct upload_transfer *t)
{
    const struct upload_conf *c = t->conf;
    upload_curl_set(t, CURLOPT_PROTOCOLS_STR, "sftp");
    upload_curl_set(t, CURLOPT_SSH_KNOWNHOSTS, c->known_hosts);
    upload_curl_set(t, CURLOPT_USERNAME, buf_str(&t->at->user));
    if (c->key_file[0]) {
        upload_curl_set(t, CURLOPT_SSH_AUTH_TYPES, (long)CURLSSH_AUTH_PUBLICKEY);
        upload_curl_set(t, CURLOPT_SSH_PRIVATE_KEYFILE, c->key_file);
    } else {
        upload_curl_set(t, CURLOPT_SSH_AUTH_TYPES,
                        (long)(CURLSSH_AUTH_PASSWORD | CURLSSH_AUTH_KEYBOARD));
        upload_curl_set(t, CURLOPT_PASSWORD, c->auth.password);
    }
}

static void log_in_http(struct upload_transfer *t)
{
    const struct upload_conf *c = t->conf;
    upload_curl_set(t, CURLOPT_PROTOCOLS_STR, "https");
    upload_curl_set(t, CURLOPT_FOLLOWLOCATION, 0L);
    upload_curl_set(t, CURLOPT_SSL_VERIFYPEER, 1L);
    upload_curl_set(t, CURLOPT_SSL_VERIFYHOST, 2L);
    upload_curl_set(t, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
    if (c->ca_file[0]) {
        upload_curl_set(t, CURLOPT_CAINFO, c->ca_file);
        upload_curl_set(t, CURLOPT_CAPATH, NULL);
    }
    if (c->auth.bearer[0]) {
        upload_curl_set(t, CURLOPT_HTTPAUTH, CURLAUTH_BEARER);
        upload_curl_set(t, CURLOPT_XOAUTH2_BEARER, c->auth.bearer);
    } else if (c->auth.user[0]) {
        upload_curl_set(t, CURLOPT_USERNAME, c->auth.user);
        upload_curl_set(t, CURLOPT_PASSWORD, c->auth.password);
    }
    if (t->at->kind == UPLOAD_S3) {
        CLEANUP(buf_release) struct buf how = {0};
        buf_printf(&how, "aws:amz:%s:s3", c->region);
        upload_curl_set(t, CURLOPT_AWS_SIGV4, buf_str(&how));
    } else {
        upload_curl_set(t, CURLOPT_HTTPAUTH, c->auth.bearer[0] ? CURLAUTH_BEARER : CURLAUTH_BASIC);
    }
}

void upload_curl_begin(struct upload_transfer *t, const char *name)
{
    CLEANUP(buf_release) struct buf url = {0};
    curl_easy_reset(t->easy);
    curl_slist_free_all(t->list);
    t->list = NULL;
    t->up = NULL;
    t->digest = NULL;
    t->why[0] = '\0';
    buf_clear(&t->answer);
    common(t);
    if (t->at->kind == UPLOAD_SFTP) {
        log_in_sftp(t);
    } else {
        log_in_http(t);
    }
    buf_printf(&url, "%s%s", buf_str(&t->at->base), name);
    upload_curl_set(t, CURLOPT_URL, buf_str(&url));
}

void upload_curl_add(struct upload_transfer *t, const char *fmt, ...)
{
    char text[512];
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    upload_curl_must(n < 0 || (size_t)n >= sizeof text ? CURLE_OUT_OF_MEMORY : CURLE_OK);
    t->list = memory_need(curl_slist_append(t->list, text));
}

void upload_curl_body(struct upload_transfer *t, const struct upload_file *f)
{
    t->up = f;
    upload_curl_set(t, CURLOPT_READFUNCTION, give);
    upload_curl_set(t, CURLOPT_READDATA, t);
    upload_curl_set(t, CURLOPT_SEEKFUNCTION, rewind_body);
    upload_curl_set(t, CURLOPT_SEEKDATA, t);
}

CURLcode upload_curl_run(struct upload_transfer *t)
{
    t->read = 0;
    t->moved = 0;
    t->moved_us = clock_mono_us();
    t->stalled = false;
    return curl_easy_perform(t->easy);
}

int upload_transfer_greet(struct upload_transfer *t, struct error *err)
{
    bool sftp = t->at->kind == UPLOAD_SFTP;
    upload_curl_begin(t, "");
    upload_curl_set(t, sftp ? CURLOPT_NOBODY : CURLOPT_CONNECT_ONLY, 1L);
    CURLcode rc = upload_curl_run(t);
    return rc == CURLE_OK ? RESULT_DONE : upload_curl_error(t, rc, err);
}

/* What libcurl says of it; its buffer may be empty. */
static const char *words(const struct upload_transfer *t, CURLcode rc)
{
    return t->why[0] ? t->why : curl_easy_strerror(rc);
}

static int unverified(const struct upload_transfer *t, CURLcode rc, struct error *err)
{
    const char *base = buf_str(&t->at->base);
    if (t->at->kind == UPLOAD_SFTP) {
        return error_set(
            err, ERROR_CONFIG, "upload",
            "%s: the host key of %s is not the one in %s: find out whether the server got a new key or somebody stands between; then put its key there (%s)",
            t->conf->name, base, t->conf->known_hosts, words(t, rc));
    }
    return error_set(
        err, ERROR_CONFIG, "upload",
        "%s: the certificate of %s is not trusted: let ca_file name the authority that issued it (%s)",
        t->conf->name, base, words(t, rc));
}

int upload_curl_error(const struct upload_transfer *t, CURLcode rc, struct error *err)
{
    const char *name = t->conf->name, *base = buf_str(&t->at->base);
    bool sending = t->up && t->read > 0;
    switch (rc) {
    case CURLE_PEER_FAILED_VERIFICATION:
        return unverified(t, rc, err);
    case CURLE_SSL_CACERT_BADFILE:
        return error_set(err, ERROR_CONFIG, "upload",
                         "%s: ca_file %s cannot be used: give a file of PEM certificates (%s)",
                         name, t->conf->ca_file, words(t, rc));
    case CURLE_LOGIN_DENIED:
        return error_set(err, ERROR_CONFIG, "upload",
                         "%s: %s does not let us in: check the user, and %s (%s)", name, base,
                         t->conf->key_file[0] ? "that its key is allowed there" : "the password",
                         words(t, rc));
    case CURLE_REMOTE_FILE_NOT_FOUND:
    case CURLE_REMOTE_ACCESS_DENIED:
        return error_set(
            err, ERROR_CONFIG, "upload",
            "%s: %s is no directory that we may write to: make it, or give the user the right (%s)",
            name, base, words(t, rc));
    case CURLE_REMOTE_DISK_FULL:
        return error_set(err, ERROR_RETRY, "upload",
                         "%s: the disk of %s is full; free space there (%s)", name, base,
                         words(t, rc));
    case CURLE_ABORTED_BY_CALLBACK:
        return t->stalled
                   ? error_set(err, ERROR_RETRY, "upload", "%s: nothing moved to %s for %.0f s",
                               name, base, (double)t->conf->timeout_us / US_PER_SECOND)
                   : error_set(err, ERROR_RETRY, "upload", "%s: the relay stops", name);
    case CURLE_SSH:
        if (t->at->kind == UPLOAD_SFTP && sending) {
            return error_set(
                err, ERROR_RETRY, "upload",
                "%s: %s took only a part of the file: its disk may be full or a quota used up (%s)",
                name, base, words(t, rc));
        }
        break;
    default:
        break;
    }
    return error_set(err, ERROR_RETRY, "upload", "%s: cannot send to %s: %s", name, base,
                     words(t, rc));
}
