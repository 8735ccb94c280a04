/*
 * Makes a record of what a source received: the event's id, the line that `call` and `exec` get,
 * and, for `into`, what the event does to a row. No I/O; any thread.
 *
 * An event that does not make sense is no error here: the record has a `fault`, and is poison when
 * its turn comes.
 */
#pragma once

#include "consume/record.h"

/* In the sequence of CONF_CONSUME_*. */
enum decode_format { DECODE_JSON, DECODE_FLAT, DECODE_DEBEZIUM, DECODE_PAYLOAD };

struct decode_conf {
    enum decode_format format;
    const char *flat_prefix;
    bool rows; /* the event is to change a table: look for its row */
};

struct conf_consumer;
/* The settings of a consumer; flat_prefix is borrowed from it. */
struct decode_conf decode_conf_of(const struct conf_consumer *conf);

/* Never NULL; the caller frees it with record_free. Copies what it needs of *in. */
struct record *decode(const struct decode_conf *conf, const struct incoming *in);

/* --- for the files here --- */

/* What `value` does to a row, by format. `value` lies in the record's memory. Null: a tombstone. */
void decode_plain(struct record *r, struct slice value);
void decode_flat(struct record *r, struct slice value, const char *prefix);
void decode_debezium(struct record *r, struct slice value);
