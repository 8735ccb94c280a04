/*
 * Debezium's values as texts that PostgreSQL casts: its numbers of days and microseconds, its bytes
 * and its decimals mean something only together with the column's type. Pure; any thread.
 */
#pragma once

#include "consume/apply/target.h"

/* How a column's values come from Debezium. */
enum column_kind {
    COLUMN_PLAIN, /* as the text that the database takes */
    COLUMN_DATE,
    COLUMN_TIME,
    COLUMN_TIMESTAMP,
    COLUMN_INTERVAL,
    COLUMN_NUMERIC,
    COLUMN_BYTEA,
    COLUMN_BIT,
    COLUMN_POINT,
    COLUMN_HSTORE,
    COLUMN_JSON
};

/* The kind of a type of PostgreSQL, by the name of its base type ("_date": an array of dates).
 * *ret_array: it is an array of such. */
enum column_kind debezium_kind(struct slice type, bool *ret_array);

/* Appends the row with its values as texts. decimal_text: decimals came as texts
 * (`decimal.handling.mode` string). POISON: a value is none that Debezium writes for the column's
 * type. */
int debezium_row(const struct target *t, struct slice row, bool decimal_text, struct buf *out,
                 struct error *err) MUST_CHECK;
