/*
 * Asks a schema registry for the numbers of schemas, by Confluent's HTTP API.
 *
 * Design. Encoding must not wait: the pipeline's thread also serves the source, the store and the
 * sink. So the encoder (message/schema/book.h) only notes which numbers it wants, and events
 * without them wait in the ledger. This client takes one wish after the other and asks on a worker
 * thread (base/worker.h), as fsync is called elsewhere; the pipeline polls the worker's descriptor.
 * A worker and not libcurl's multi interface, because there is one request per schema and start:
 * a few in a relay's life, which need neither parallel requests nor connections that are kept warm.
 *
 *     prepare:  change -> JSON -> number known? -> framed
 *                                  no: wanted, the event is `unframed`
 *     put:      stops before an unframed event
 *     here:     POST /subjects/<subject>/versions {"schema": ...} -> {"id": 7} -> known
 *
 * What is known is kept as long as the pipeline: a registry never changes what a number means. A
 * registry that is away, or answers 408, 429 or 5xx, is BUSY: nothing is put, nothing is counted as
 * a failure, and events wait in the source. One that refuses (an incompatible schema, no right, a
 * wrong path) is CONFIG, with its own text: the pipeline blocks, and asks again after retry.max.
 *
 * The pipeline's thread calls all functions, but schemas_look. None of them waits, but
 * schemas_client_free for at most two seconds.
 */
#pragma once

#include "base/poll_set.h"
#include "message/schema/book.h"

/* All texts are borrowed and never NULL. */
struct schemas_conf {
    const char *url; /* "https://registry:8081"; Apicurio: "http://host/apis/ccompat/v7" */
    const char *username, *password; /* basic authentication; "": none */
    const char *ca_file;             /* PEM; "": the system's certificate authorities */
    int64_t connect_timeout_us, timeout_us;
};

struct schemas_client;

/* Starts the worker. DONE: *ret is the caller's. ERROR: RETRY, no thread or descriptor is left. */
int schemas_client_new(const struct schemas_conf *conf, struct schemas_client **ret,
                       struct error *err) MUST_CHECK;
void schemas_client_free(struct schemas_client *c); /* NULL is fine */

/* Takes an answer, if there is one, and puts it into the book; then asks for what is wanted next,
 * unless a failure waits to be taken. True: the book knows more than before. */
bool schemas_client_step(struct schemas_client *c, struct schema_book *book);

/* Takes the failure of the last request: false if it did not fail. *ret is BUSY or CONFIG.
 * Afterwards nothing is wanted: who still needs a number asks for it again. */
bool schemas_client_failure(struct schemas_client *c, struct schema_book *book, struct error *ret);

/* For `check`: whether the registry answers and lets us in. Waits for it, for at most the two
 * timeouts. ERROR: BUSY or CONFIG. */
int schemas_look(const struct schemas_conf *conf, struct error *err) MUST_CHECK;

/* Adds the descriptor that tells of an answer. */
void schemas_client_poll_fds(const struct schemas_client *c, struct poll_set *set);
