/*
 * What is said to a schema registry, and what its answers mean. Private to relay/schemas.
 *
 * No I/O; any thread.
 */
#pragma once

#include "base/buf.h"
#include "base/error.h"

/* Appends the body of a request that registers the schema. json_schema: it is one of JSON; Avro
 * needs no word, as it is what registries take by default. */
void answer_request(struct buf *out, struct slice schema, bool json_schema);

/* An answer. Texts are borrowed. */
struct answer {
    const char *url, *subject; /* for error texts */
    long status;
    struct slice body;
};

/* Whether it is one of a registry that has done what it was asked for (2xx). ERROR as below. */
int answer_judge(const struct answer *a, struct error *err) MUST_CHECK;

/* DONE: *ret_id is the schema's number, and *ret_schema, if it is not NULL, gets its text (of a
 * lookup). ERROR: BUSY for an answer that another try may mend (408, 429, 5xx), CONFIG for any
 * other one, with the registry's own text. */
int answer_read(const struct answer *a, uint32_t *ret_id, struct buf *ret_schema,
                struct error *err) MUST_CHECK;
