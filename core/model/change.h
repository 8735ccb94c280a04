/*
 * One change of a table, as logical replication or a snapshot gives it, before a format makes a
 * message of it. An update of one row is one struct change: the operation, the table with its
 * columns, and the row's cells before and after.
 *
 * Structs only, no functions. Everything is borrowed from the source: a change, its cells and its
 * table are valid until the source's next `read`. Before that, route and encode have made bytes of
 * it in the batch's arena. Only the pipeline's thread uses it.
 */
#pragma once

#include "base/slice.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum change_op {
    CHANGE_READ = 'r', /* a row of the initial snapshot */
    CHANGE_CREATE = 'c',
    CHANGE_UPDATE = 'u',
    CHANGE_DELETE = 'd',
    CHANGE_TRUNCATE = 't',
    CHANGE_MESSAGE = 'm',   /* pg_logical_emit_message */
    CHANGE_BEGIN = 'B',     /* a transaction begins; only if change_shape asks, as the next two */
    CHANGE_END = 'E',       /* it has ended */
    CHANGE_HEARTBEAT = 'H', /* a heartbeat of our own has come through the stream */
    CHANGE_TOMBSTONE = '0', /* a key without a value, after a delete; only if change_shape asks */
};

enum cell_kind {
    CELL_NULL,
    CELL_TEXT,      /* from the type's output function, under the settings in cdc/stream/stream.h */
    CELL_UNCHANGED, /* TOAST value that the update did not touch and the server did not send */
    CELL_ABSENT,    /* the server did not send it: an old row that has its key columns only */
};

/* One value of a row. */
struct cell {
    enum cell_kind kind;
    struct slice text; /* CELL_TEXT */
};

/* What kind of values a type has. For a domain: the kind of the type it is made of. */
enum type_kind {
    TYPE_BASE,
    TYPE_ENUM,
    TYPE_COMPOSITE,
    TYPE_RANGE,
    TYPE_MULTIRANGE,
    TYPE_ARRAY,
    TYPE_UNKNOWN
};

/* A data type. Owned by the source's type cache; lives as long as the source. */
struct column_type {
    uint32_t oid;              /* as declared (a domain's own oid) */
    uint32_t base_oid;         /* behind all domains; equal to oid for anything else */
    int32_t base_typmod;       /* the modifier (such as a length) that a domain gives, -1 none */
    enum type_kind kind;       /* of the base type */
    struct slice schema, name; /* as declared */
    struct slice base_name;    /* pg_type.typname of the base type: "hstore", "ltree", "int4" */
    const struct column_type *element; /* ARRAY: of what; else NULL */
    char delimiter;                    /* ARRAY: typdelim of the element */
    struct slice labels; /* ENUM: its labels in their order, "sad,ok,happy"; else null */
};

struct change_column {
    struct slice name;
    int32_t typmod; /* of the column; for a domain see type->base_typmod */
    bool identity;  /* it belongs to the replica identity */
    bool not_null;
    bool hidden; /* it is left out of rows, but may be part of the key (message/column_rules.h) */
    const struct column_type
        *type;                 /* never NULL; kind TYPE_UNKNOWN when the catalog has it no more */
    struct slice default_text; /* pg_get_expr of its default; null without one */
};

/* pg_class.relreplident: which columns the server sends of an old row. */
enum replica_identity {
    IDENTITY_DEFAULT = 'd',
    IDENTITY_NOTHING = 'n',
    IDENTITY_FULL = 'f',
    IDENTITY_INDEX = 'i'
};

struct change_table {
    uint32_t oid;
    struct slice schema, name;
    enum replica_identity identity;
    const struct change_column *columns;
    size_t columns_count;
    /* The columns that name a row, as indexes into columns, in the order of the index they come
     * from: the primary key, or the identity index under IDENTITY_INDEX, or (FULL without a primary
     * key) the first unique index on not-null columns. key_count 0: the table has no key. In the
     * table of an event the columns of encode.key_columns, if it names the table. */
    const uint16_t *key;
    size_t key_count;
};

/* Where a row stands in the initial snapshot. Debezium's format writes it as source.snapshot. */
enum snapshot_mark {
    SNAPSHOT_NO, /* not in the snapshot: a change of the stream */
    SNAPSHOT_FIRST,
    SNAPSHOT_FIRST_IN_TABLE,
    SNAPSHOT_TRUE, /* a row of the snapshot that is none of the others */
    SNAPSHOT_LAST_IN_TABLE,
    SNAPSHOT_LAST,
    SNAPSHOT_INCREMENTAL /* a row of a snapshot that was asked for while the stream goes on */
};

/* How many events of a transaction are of one table, "schema.table", or are logical messages,
 * "message". */
struct change_count {
    struct slice name;
    uint64_t events;
};

struct change {
    enum change_op op;
    const struct change_table *table; /* NULL for a message, BEGIN, END and HEARTBEAT */
    /* The row before and after the change: columns_count cells each, or NULL. `before` is the whole
     * old row only under IDENTITY_FULL; else it has the columns of the identity, and CELL_ABSENT
     * for all others. CREATE and READ have only `after`, DELETE and its TOMBSTONE only `before`. An
     * UPDATE has no `before` when the key did not change and the identity is not FULL. Unchanged
     * TOAST cells of `after` were already filled from `before` where it has them. */
    const struct cell *before, *after;
    /* An update that changed the key and became a DELETE and a CREATE: the DELETE has the row's new
     * cells here, the CREATE the old ones (identity columns at least). Else NULL. */
    const struct cell *other_key;
    struct slice database;
    uint64_t lsn;             /* of this change's record */
    uint64_t commit_lsn;      /* of its transaction (0 in a snapshot) */
    uint64_t last_commit_lsn; /* end of the transaction before it; 0 unknown */
    uint32_t xid;             /* 0: none (non-transactional) */
    int64_t commit_us; /* wall clock: when the transaction committed or the snapshot was taken */
    enum snapshot_mark snapshot;
    struct slice prefix, content;   /* MESSAGE: as given to pg_logical_emit_message */
    bool transactional;             /* MESSAGE */
    bool cascade, restart_identity; /* TRUNCATE */
    /* With change_shape.transactions, else 0: the number of the event in its transaction, among all
     * and among those of the same table, from 1. END: `total_order` is how many there were,
     * `counts` of which tables, in the order in which they came. */
    uint64_t total_order, table_order;
    const struct change_count *counts;
    size_t counts_count;
    bool omit_unchanged; /* CELL_UNCHANGED is left out of the message; else a placeholder is put */
};

struct mask;         /* message/mask/mask.h */
struct column_rules; /* message/column_rules.h */

/* The names of the members that the flat format adds to a row; change_shape.own_prefix stands
 * before each. */
#define CHANGE_OWN_NAMES "op", "table", "lsn", "ts", "deleted", "unchanged", "old_key"

/* Which events a format wants made from one change. encode_shape fills it, and the source does as
 * it says. */
struct change_shape {
    const struct mask *mask;      /* whose columns must be there (mask_check_table); NULL: none */
    struct column_rules *columns; /* what a table shows of itself (column_rules_apply); NULL: all */
    bool tombstones;              /* a TOMBSTONE behind each DELETE of a table with a key */
    bool split_key_change;        /* an UPDATE of the key becomes DELETE (+ TOMBSTONE) + CREATE */
    bool transactions; /* BEGIN before the first event of a transaction, END behind its last one,
                          and changes are numbered */
    bool heartbeats;   /* a HEARTBEAT every heartbeat_interval */
    bool messages; /* wanted logical messages become changes (CHANGE_MESSAGE), not outbox events */
    const char *own_prefix; /* CHANGE_OWN_NAMES stand beside the columns, with this in front, so a
                               column may have the same name (encode_name_is_ours). NULL: the
                               format keeps them apart from the columns. */
    bool placeholder;       /* unless configured: unchanged_toast is `placeholder`, else `omit` */
    bool plain_money; /* the format reads money: it must come as in the C locale, with two digits */
    bool skip[128];   /* by enum change_op: true, and no event is made of such a change */
};
