/*
 * Numbers of the configuration, with and without units, as values and back to text. No state; any
 * thread.
 */
#pragma once

#include "base/buf.h"
#include "config/conf_key.h"

/* What was wrong with a number, so that the error text can name the remedy. */
enum conf_parse {
    CONF_PARSE_OK,
    CONF_PARSE_SYNTAX,  /* no number of this kind */
    CONF_PARSE_NO_UNIT, /* a number that needs a unit */
    CONF_PARSE_UNIT,    /* a number with an unknown unit */
    CONF_PARSE_ZERO,    /* a zero before other digits: some would read it as octal */
    CONF_PARSE_RANGE,   /* larger than any value can be */
};

/* Reads a number of type INT, DURATION (into microseconds) or SIZE (into bytes). *ret is set only
 * with CONF_PARSE_OK. The range of the key is not checked here. */
enum conf_parse conf_parse_number(enum conf_type type, const char *text, int64_t *ret);

/* Reads a plain decimal number with at most 15 digits: "0.5", "1". */
enum conf_parse conf_parse_ratio(const char *text, double *ret);

/* Whether the value is in the range of the key. */
bool conf_number_allowed(const struct conf_key *key, int64_t value);
bool conf_ratio_allowed(const struct conf_key *key, double value);

/* Appends the range of a key: "1ms to 1h", "0 or more". */
void conf_add_range(struct buf *out, const struct conf_key *key);

/* Appends a value as a user would write it: 250ms, 64MiB. It is exact, in the largest unit that
 * fits. */
void conf_add_number(struct buf *out, enum conf_type type, int64_t value);

/* The units of a DURATION or SIZE, "us, ms, s, m, h, d", and an example, for messages. Static. */
const char *conf_units(enum conf_type type);
const char *conf_unit_example(enum conf_type type);
