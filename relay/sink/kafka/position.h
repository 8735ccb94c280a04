/*
 * The position records of exactly_once: what they look like, and how they are read back.
 *
 * Each transaction ends with one record in the position topic. Its key is "<pipeline>/<part>" (the
 * part is empty), its value one line of JSON, for people to read:
 *   {"v":1,"pipeline":"orders","part":"","delivered":120,"epoch":3,"cursor":"...",
 *    "last_position":"...","last_id":"...","store":"...","keys":1,"at":"2026-01-31T12:00:00Z"}
 * `keys` is the number of records before it, in the same transaction, that hold the rows to mark
 * (status and delete mode). Their keys are "<pipeline>/<part>/keys/<i>", and a value is the line
 * "1 <delivered>" followed by a line "<length>:<row key>" for each row.
 *
 * Rendering and parsing: any thread. kafka_position_read waits: a worker's thread.
 */
#pragma once

#include "contract/sink.h"
#include <librdkafka/rdkafka.h>
#include <stdatomic.h>

/* What a record says, and where it lies. The caller zeroes it before and releases it. */
struct kafka_position {
    int64_t offset; /* in the position topic; -1: there is no record */
    uint64_t delivered;
    int64_t dead_letter; /* as in sink_commit */
    struct buf cursor, last_position, last_id, store;
    uint64_t parts;     /* records with row keys */
    struct slice *keys; /* in `arena` */
    size_t keys_count, keys_cap;
    struct arena arena;
};

void kafka_position_release(struct kafka_position *p);

/* What goes into a record beside a commit. `store`: sink_stored.origin. */
struct kafka_position_by {
    const char *pipeline, *store;
    uint64_t delivered;
    int64_t epoch;
};

/* Appends the value of a position record with `parts` records of row keys. */
void kafka_position_render(const struct kafka_position_by *by, const struct sink_commit *c,
                           uint64_t parts, struct buf *out);

/* Appends the value of one record of row keys, with as many of the `n` keys as it takes. Returns
 * how many these are, at least one. */
size_t kafka_position_render_keys(uint64_t delivered, const struct slice *keys, size_t n,
                                  struct buf *out);

/* Reads a value. *ret gets all but offset and keys. FATAL with exit code 69 if it is not what this
 * version writes. */
int kafka_position_parse(struct slice value, struct kafka_position *ret,
                         struct error *err) MUST_CHECK;

/* Adds the keys of a value to ret->keys; those of another number of deliveries take the place of
 * what was there. False if the value is damaged. */
bool kafka_position_parse_keys(struct slice value, struct kafka_position *ret);

/* Reads the last record of the pipeline that a read_committed consumer sees, with its keys. `conf`
 * is the producers' template. Waits until the end of the topic is reached, at most until
 * `until_us` (monotonic) or until *stop. ret->offset is -1 if there is no record. RETRY: no answer
 * in time. FATAL with exit code 69: the records are damaged. */
int kafka_position_read(const rd_kafka_conf_t *conf, const char *topic, const char *pipeline,
                        int64_t until_us, const _Atomic bool *stop, struct kafka_position *ret,
                        struct error *err) MUST_CHECK;
