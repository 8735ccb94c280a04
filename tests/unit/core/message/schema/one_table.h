/*
 * A table with a column of each kind of type, and a change of it. Included by the tests of schemas.
 */
#pragma once

#include "formats.h"
#include "unit.h"

#include "message/encode.h"

static const struct column_type int4 = {
    .oid = 23, .base_oid = 23, .kind = TYPE_BASE, .base_name = SLICE_LITERAL("int4")};
static const struct column_type int2 = {
    .oid = 21, .base_oid = 21, .kind = TYPE_BASE, .base_name = SLICE_LITERAL("int2")};
static const struct column_type text = {
    .oid = 25, .base_oid = 25, .kind = TYPE_BASE, .base_name = SLICE_LITERAL("text")};
static const struct column_type numeric = {
    .oid = 1700, .base_oid = 1700, .kind = TYPE_BASE, .base_name = SLICE_LITERAL("numeric")};
static const struct column_type timestamp = {
    .oid = 1114, .base_oid = 1114, .kind = TYPE_BASE, .base_name = SLICE_LITERAL("timestamp")};
static const struct column_type mood = {.oid = 20000,
                                        .base_oid = 20000,
                                        .kind = TYPE_ENUM,
                                        .base_name = SLICE_LITERAL("mood"),
                                        .labels = SLICE_LITERAL("sad,ok")};
static const struct column_type int4s = {.oid = 1007,
                                         .base_oid = 1007,
                                         .kind = TYPE_ARRAY,
                                         .base_name = SLICE_LITERAL("_int4"),
                                         .element = &int4,
                                         .delimiter = ','};

/* A type modifier as PostgreSQL has it: numeric(10,2) is (10 << 16 | 2) + 4. */
enum { NUMERIC_10_2 = (10 << 16 | 2) + 4, MILLIS = 3 };

static const struct change_column columns[] = {
    {.name = SLICE_LITERAL("id"),
     .typmod = -1,
     .not_null = true,
     .type = &int4,
     .default_text = SLICE_LITERAL("nextval('orders_id_seq'::regclass)")},
    {.name = SLICE_LITERAL("note"), .typmod = -1, .type = &text},
    {.name = SLICE_LITERAL("small"), .typmod = -1, .not_null = true, .type = &int2},
    {.name = SLICE_LITERAL("price"),
     .typmod = NUMERIC_10_2,
     .not_null = true,
     .type = &numeric,
     .default_text = SLICE_LITERAL("1.28")},
    {.name = SLICE_LITERAL("any"), .typmod = -1, .type = &numeric},
    {.name = SLICE_LITERAL("at"), .typmod = MILLIS, .type = &timestamp},
    {.name = SLICE_LITERAL("state"),
     .typmod = -1,
     .type = &mood,
     .default_text = SLICE_LITERAL("'ok'::mood")},
    {.name = SLICE_LITERAL("codes"), .typmod = -1, .type = &int4s},
};
enum { COLUMNS = sizeof columns / sizeof *columns };
static const uint16_t key[] = {0};
static const struct change_table orders = {.oid = 16400,
                                           .schema = SLICE_LITERAL("public"),
                                           .name = SLICE_LITERAL("orders"),
                                           .identity = IDENTITY_DEFAULT,
                                           .columns = columns,
                                           .columns_count = COLUMNS,
                                           .key = key,
                                           .key_count = 1};

#define TEXT(s)                        \
    {                                  \
        CELL_TEXT, SLICE_LITERAL("" s) \
    }
#define NO_VALUE    \
    {               \
        CELL_NULL,  \
        {           \
            NULL, 0 \
        }           \
    }

static const struct cell row[COLUMNS] = {TEXT("7"),     NO_VALUE,
                                         TEXT("-2"),    TEXT("3.50"),
                                         TEXT("0.125"), TEXT("1970-01-01 00:00:01.5"),
                                         TEXT("sad"),   TEXT("{1,NULL,2}")};

static inline struct change created(void)
{
    return (struct change){.op = CHANGE_CREATE,
                           .table = &orders,
                           .after = row,
                           .database = SLICE_LITERAL("shop"),
                           .lsn = 3,
                           .xid = 5,
                           .commit_us = INT64_C(1000000)};
}

static const struct encode_conf debezium = {.format = &format_debezium,
                                            .name = "shop",
                                            .value = VALUE_AVRO,
                                            .unavailable_placeholder =
                                                "__debezium_unavailable_value",
                                            .flat_prefix = "__"};
