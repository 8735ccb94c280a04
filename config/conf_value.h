/*
 * Words of a configuration as values: numbers with and without units, and back. Pure functions.
 */
#pragma once

#include "base/buf.h"
#include "config/conf_key.h"

enum conf_parse {
    CONF_PARSE_OK,
    CONF_PARSE_SYNTAX,  /* no number of this kind */
    CONF_PARSE_NO_UNIT, /* a number that needs a unit */
    CONF_PARSE_UNIT,    /* a number with an unknown unit */
    CONF_PARSE_ZERO,    /* a zero before other digits: octal for some, decimal for others */
    CONF_PARSE_RANGE,   /* larger than any value can be */
};

/* INT, DURATION (microseconds) and SIZE (bytes). *ret is set only with CONF_PARSE_OK. */
enum conf_parse conf_parse_number(enum conf_type type, const char *text, int64_t *ret);

/* A plain decimal fraction: "0.5", "1". */
enum conf_parse conf_parse_ratio(const char *text, double *ret);

/* Is the value one that the key may have? */
bool conf_number_allowed(const struct conf_key *key, int64_t value);
bool conf_ratio_allowed(const struct conf_key *key, double value);

/* "1ms to 1h", "0 or more". */
void conf_add_range(struct buf *out, const struct conf_key *key);

/* As a user would write it: 250ms, 64MiB. */
void conf_add_number(struct buf *out, enum conf_type type, int64_t value);

/* "us, ms, s, m, h, d" and an example, for messages. */
const char *conf_units(enum conf_type type);
const char *conf_unit_example(enum conf_type type);
