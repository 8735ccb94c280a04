/*
 * Decodes the messages of the output plugin pgoutput: functions from bytes to values, no I/O. The
 * layouts are in the PostgreSQL documentation, "Logical Replication Message Formats"
 * (protocol-logicalrep-message-formats): protocol versions 1 to 4, without two-phase.
 *
 * Every length is compared with what remains. Slices point into the message, arrays into the arena.
 * A message that is not understood is an error that names its type and the offset. Any thread may
 * call, each with its own arena.
 */
#pragma once

#include "base/arena.h"
#include "base/error.h"
#include "model/change.h"

enum pgoutput_type {
    PGOUTPUT_BEGIN = 'B',
    PGOUTPUT_COMMIT = 'C',
    PGOUTPUT_ORIGIN = 'O',
    PGOUTPUT_RELATION = 'R',
    PGOUTPUT_TYPE = 'Y',
    PGOUTPUT_INSERT = 'I',
    PGOUTPUT_UPDATE = 'U',
    PGOUTPUT_DELETE = 'D',
    PGOUTPUT_TRUNCATE = 'T',
    PGOUTPUT_MESSAGE = 'M',
    PGOUTPUT_STREAM_START = 'S',
    PGOUTPUT_STREAM_STOP = 'E',
    PGOUTPUT_STREAM_COMMIT = 'c',
    PGOUTPUT_STREAM_ABORT = 'A',
};

struct pgoutput_column {
    bool identity; /* belongs to the replica identity (flag 1) */
    struct slice name;
    uint32_t type;
    int32_t typmod;
};

struct pgoutput_tuple {
    struct cell *cells; /* NULL: the message has no such tuple. None is CELL_ABSENT */
    size_t count;
};

struct pgoutput_message {
    enum pgoutput_type type;
    uint32_t xid; /* of BEGIN and STREAM_*; of any other message inside a stream block, the xid of
                     its subtransaction; else 0 */
    union {
        struct {
            uint64_t final_lsn; /* LSN where the commit record starts */
            int64_t commit_us;  /* Unix epoch; the server counts from 2000 */
        } begin;
        struct {
            uint64_t commit_lsn, end_lsn;
            int64_t commit_us;
        } commit; /* COMMIT and STREAM_COMMIT */
        struct {
            uint64_t commit_lsn;
            struct slice name;
        } origin;
        struct {
            uint32_t oid;
            struct slice schema, name; /* the server sends pg_catalog as "": here it is spelt out */
            enum replica_identity identity;
            struct pgoutput_column *columns;
            size_t columns_count;
        } relation;
        struct {
            uint32_t oid;
            struct slice schema, name;
        } data_type;
        struct {
            uint32_t relation;
            bool old_is_key; /* `before` has values in the identity's columns only; null in the
                                others means nothing */
            struct pgoutput_tuple before, after;
        } row; /* INSERT, UPDATE, DELETE */
        struct {
            bool cascade, restart_identity;
            uint32_t *relations;
            size_t count;
        } truncate;
        struct {
            bool transactional;
            uint64_t lsn;
            struct slice prefix, content;
        } message;
        struct {
            bool first;
        } stream_start;
        struct {
            uint32_t subxid; /* what is rolled back; equal to xid: the whole transaction */
        } stream_abort;
    };
};

/* Decodes one message. `in_stream`: it came between STREAM_START and STREAM_STOP, where every
 * message but ORIGIN and STREAM_STOP carries an xid. STREAM_ABORT is expected with two fields: the
 * option that adds two (streaming=parallel) is never asked for. The TYPE message of a domain has
 * the domain's oid and the name of its base type. RETRY, origin "pgoutput": not understood. The
 * source closes the connection, so that the transaction is sent again; it also decides when another
 * try makes no sense. */
int pgoutput_decode(struct slice bytes, bool in_stream, struct arena *arena,
                    struct pgoutput_message *ret, struct error *err) MUST_CHECK;

/* The oid of the table that an INSERT, UPDATE or DELETE is for, without decoding the rest; 0 for
 * any other message, or one that is too short. For skipping tables that are not wanted. */
uint32_t pgoutput_peek_relation(struct slice bytes, bool in_stream);
