/*
 * One libcurl handle of a target: what all its requests have in common, how one is run, and what
 * its failure means. Private to this folder; one thread at a time.
 */
#pragma once

#include "sink/file/upload/transfer.h"
#include <curl/curl.h>

struct upload_transfer {
    const struct upload_conf *conf;
    const struct upload_address *at;
    struct upload_wait *wait;
    CURL *easy;
    struct curl_slist *list;      /* headers or commands of the request under way */
    const struct upload_file *up; /* what is being sent; NULL: nothing */
    uint64_t read;                /* how much of it was handed to libcurl */
    curl_off_t moved;             /* bytes that had gone either way at moved_us (monotonic) */
    int64_t moved_us;
    bool stalled;      /* nothing moved for conf->timeout_us */
    struct buf answer; /* the beginning of what the server said, or *digest gets all of it */
    struct file_digest *digest;
    char why[CURL_ERROR_SIZE];
};

/* Forgets the last request and sets what is common to all; `name` completes the URL. The connection
 * stays. */
void upload_curl_begin(struct upload_transfer *t, const char *name);
/* Adds a header or command; the list is set and freed with the request. */
void upload_curl_add(struct upload_transfer *t, const char *fmt, ...) PRINTF_LIKE(2, 3);
/* The body is this file. */
void upload_curl_body(struct upload_transfer *t, const struct upload_file *f);
/* Runs the request. */
CURLcode upload_curl_run(struct upload_transfer *t);

/* An option that cannot be set is a bug, or memory has run out: the process ends. Otherwise a
 * request could go out without its check of the certificate, for example. */
void upload_curl_must(CURLcode rc);
#define upload_curl_set(t, option, value) \
    upload_curl_must(curl_easy_setopt((t)->easy, (option), (value)))

/* Fills *err for a request that failed in libcurl. */
int upload_curl_error(const struct upload_transfer *t, CURLcode rc, struct error *err);
