/*
 * The logical replication output plugin's messages, decoded: pure functions from bytes to values,
 * no I/O. Layouts: PostgreSQL documentation, "Logical Replication Message Formats"
 * (protocol-logicalrep-message-formats), protocol versions 1 to 4 without two-phase.
 *
 * Every length is compared with what remains. Slices point into the message; arrays come from the
 * arena. What is not understood is an error that names the type byte and the offset, never a guess.
 * One thread.
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
    bool identity; /* flag 1 */
    struct slice name;
    uint32_t type;
    int32_t typmod;
};

struct pgoutput_tuple {
    struct cell *cells; /* NULL: no such tuple. CELL_ABSENT never comes from here */
    size_t count;
};

struct pgoutput_message {
    enum pgoutput_type type;
    uint32_t xid; /* of BEGIN, STREAM_*; and of any other message inside a stream block (the
                     subtransaction's), else 0 */
    union {
        struct {
            uint64_t final_lsn; /* start of the commit record */
            int64_t commit_us;  /* Unix epoch, converted */
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
            struct slice schema, name; /* schema "" is pg_catalog: given as that */
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
            bool old_is_key; /* 'K': old has the identity's columns only, the others read as null */
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
            uint32_t subxid; /* == xid: the whole transaction */
        } stream_abort;
    };
};

/* `in_stream`: between STREAM_START and STREAM_STOP, where every message but ORIGIN and STREAM_STOP
 * carries an xid. STREAM_ABORT has two fields: streaming=parallel, which adds two, is never asked
 * for. The TYPE message of a domain has the domain's oid and the name of its base type.
 * Error: RETRY, origin "pgoutput" (the connection is dropped and the transaction sent again; the
 * source decides when it is not worth another try). */
int pgoutput_decode(struct slice bytes, bool in_stream, struct arena *arena,
                    struct pgoutput_message *ret, struct error *err) MUST_CHECK;

/* The relation an INSERT, UPDATE or DELETE is for, without decoding the rest; 0 for any other
 * message or a short one. Lets the source pass over tables it does not want. */
uint32_t pgoutput_peek_relation(struct slice bytes, bool in_stream);
