/*
 * The state of the HTTP sink, shared by the files that make it up:
 *   http.c     the operations
 *   request.c  a request is made of events, and sent
 *   answer.c   what an answer, or none, means
 *   check.c    `check --connect`
 *
 * Private to these files. The pipeline's thread only.
 */
#pragma once

#include "base/backoff.h"
#include "contract/sink.h"
#include "sink/http/conf.h"
#include "sink/http/queue.h"
#include "sink/http/wire.h"

enum { HTTP_ANSWER_KEPT = 512 }; /* bytes of an answer's body that an error shows */

/* One request at a time. */
struct http_call {
    struct http *sink;
    CURL *easy;
    struct curl_slist *headers;
    uint32_t *entries; /* of the queue; room for batch.events */
    size_t count;
    size_t bytes; /* of the body, as http_body_bytes counts */
    bool active;  /* libcurl has it */
    bool refused; /* an address of its host is private */
    int64_t since_us;
    size_t target; /* whose URL it takes */
    struct buf url, body, answer;
    char retry_after[64], location[256]; /* of the answer; "" without one */
    char why[CURL_ERROR_SIZE], address[64];
};

struct http {
    const struct http_conf *conf;
    const struct sink_env *env;
    struct http_plan plan;
    struct http_wire wire;
    struct http_queue queue;
    struct http_call *calls; /* conf->concurrency */
    size_t active;
    size_t target; /* the URL in use; the next one after a failure */
    /* So many URLs in turn had a fault of the configuration; 0 again once one worked. And the same
     * for one event, by the hash of its id: others may be delivered meanwhile. */
    size_t faulty, event_faulty;
    uint64_t faulty_event;
    struct buf scratch, scratch_url;

    uint64_t *done; /* tokens that are delivered and not yet reported */
    size_t done_count;

    /* The receiver asked to wait. */
    struct backoff slow;
    int64_t slow_until_us; /* 0: it did not */
    struct error slow_error;
    bool slowed; /* and has taken nothing since */

    /* Class not NONE: the sink has failed. Nothing more is sent, and what is open comes to its
     * end; then the pipeline is told. */
    struct error failure;
    bool told;
    struct error poison; /* of the event whose token is queue.limit */
    int64_t answered_us; /* the last answer */
};

/* --- request.c --- */

/* Sets what is the same for all requests. */
void http_call_init(struct http_call *c, struct http *h);
void http_call_release(struct http_call *c);

/* Of several URLs the one that the event goes to: the one in use, or the next that can be made of
 * the event. POISON if none can. */
int http_target_of(struct http *h, const struct event *e, size_t *ret,
                   struct error *err) MUST_CHECK;

/* Makes requests of what waits, as far as there may be more. Returns when it should be called
 * again because a batch waits for more events; DEADLINE_NEVER. */
int64_t http_launch(struct http *h);

/* --- answer.c --- */

/* A transfer has ended: what becomes of its events. */
void http_answered(struct http *h, struct http_call *c, CURLcode code);

/* Fills *err: why there was no answer, and what to do about it. */
void http_no_answer(const struct http_call *c, CURLcode code, struct error *err);

/* --- check.c --- */

int http_check(void *sink, finding_report *report, void *ctx, struct error *err);
