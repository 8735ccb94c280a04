/*
 * One change of a table as logical replication tells it, before a format makes a message of it.
 *
 * Plain values. All of it is borrowed from the source: a change, its cells and its table are valid
 * until the source's next `read`; by then route and encode have made bytes of it in the batch's
 * arena. One thread.
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
    CHANGE_TOMBSTONE = '0', /* key with a null value, behind a delete: only if change_shape asks */
};

enum cell_kind {
    CELL_NULL,
    CELL_TEXT, /* the type's output function, under the session settings of cdc/stream/stream.h */
    CELL_UNCHANGED, /* TOAST value that the update did not touch and the server did not send */
    CELL_ABSENT,    /* not part of this tuple: a non-key column of a key-only old tuple */
};

struct cell {
    enum cell_kind kind;
    struct slice text;
};

/* What kind of values a type has, domains already resolved to what they are made of. */
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
    int32_t base_typmod;       /* the modifier the domain gives, -1 none */
    enum type_kind kind;       /* of the base type */
    struct slice schema, name; /* as declared */
    struct slice base_name;    /* pg_type.typname of the base type: "hstore", "ltree", "int4" */
    const struct column_type *element; /* ARRAY: of what; else NULL */
    char delimiter;                    /* ARRAY: typdelim of the element */
};

struct change_column {
    struct slice name;
    int32_t typmod; /* of the column; for a domain see type->base_typmod */
    bool identity;  /* part of the replica identity */
    bool not_null;
    const struct column_type
        *type;                 /* never NULL; kind TYPE_UNKNOWN when the catalog has it no more */
    struct slice default_text; /* pg_get_expr of its default; null without one */
};

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
    /* The row identity in the key's own order, as indexes into columns: the primary key, or the
     * identity index under IDENTITY_INDEX, or (FULL without a primary key) the first unique index
     * on not-null columns; none: no key. */
    const uint16_t *key;
    size_t key_count;
};

enum snapshot_mark {
    SNAPSHOT_NO,
    SNAPSHOT_FIRST,
    SNAPSHOT_FIRST_IN_TABLE,
    SNAPSHOT_TRUE,
    SNAPSHOT_LAST_IN_TABLE,
    SNAPSHOT_LAST
};

struct change {
    enum change_op op;
    const struct change_table *table; /* NULL for a message */
    /* columns_count cells each, or NULL. `before` holds the whole old row only under
     * IDENTITY_FULL; else the identity's columns and CELL_ABSENT. For CREATE and READ only after;
     * DELETE and its TOMBSTONE only before. UPDATE: before is NULL when the key did not change and
     * the identity is not FULL. Unchanged TOAST cells of `after` are already filled from `before`
     * where it has them. */
    const struct cell *before, *after;
    /* The other half of a key change: a DELETE has the row's new cells here, the CREATE behind it
     * the old ones (identity columns at least); else NULL. */
    const struct cell *other_key;
    struct slice database;
    uint64_t lsn;             /* of this change's record */
    uint64_t commit_lsn;      /* of its transaction (0 in a snapshot) */
    uint64_t last_commit_lsn; /* end of the transaction before it; 0 unknown */
    uint32_t xid;             /* 0: none (non-transactional) */
    int64_t commit_us; /* wall clock: when the transaction was committed; the snapshot's time */
    enum snapshot_mark snapshot;
    struct slice prefix, content;   /* MESSAGE */
    bool transactional;             /* MESSAGE */
    bool cascade, restart_identity; /* TRUNCATE */
    bool omit_unchanged; /* unchanged_toast: omit; else the placeholder stands for such a cell */
};

/* Our own members of a flat row, behind the prefix. */
#define CHANGE_OWN_NAMES "op", "table", "lsn", "ts", "deleted", "unchanged", "old_key"

/* Which events a format wants made from one change. Filled by encode_shape, obeyed by the source.
 */
struct change_shape {
    bool tombstones; /* a TOMBSTONE behind each DELETE of a table with a key */
    bool
        split_key_change; /* an UPDATE that changes the key becomes DELETE (+ TOMBSTONE) + CREATE */
    bool messages; /* logical messages of the wanted prefixes are changes (op m), not outbox events
                    */
    const char *own_prefix; /* our own members stand beside the columns under names that begin so
                               (encode_name_is_ours); NULL: they are apart */
    bool placeholder;       /* the default of unchanged_toast is `placeholder`, else `omit` */
    bool plain_money; /* money is read, and has to be written as in the C locale, with two digits */
    bool skip[128];   /* by enum change_op: these are not wanted at all */
};
