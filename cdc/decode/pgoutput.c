/* Decodes pgoutput messages. A message is decoded to its last byte, or refused with the offset of
 * the first byte that makes no sense: a wrong value in an event is worse than an error. */
#include "cdc/decode/pgoutput.h"

#include "base/reader.h"
#include <stdio.h>

/* Microseconds from 1970-01-01 to 2000-01-01, where PostgreSQL's clock starts. */
#define POSTGRES_EPOCH_US INT64_C(946684800000000)

enum { COLUMN_MIN_SIZE = 1 + 1 + 4 + 4 }; /* flags, an empty name, type, modifier */

struct decoder {
    struct reader in;
    struct arena *arena;
    const char *cause; /* the first thing that was wrong; static */
    size_t offset;     /* where */
};

/* Notes what is wrong. Only the first cause counts, later ones follow from it. `back`: how many
 * bytes of the wrong field were read already. */
static void wrong(struct decoder *d, const char *cause, size_t back)
{
    if (!d->in.failed) {
        d->cause = cause;
        d->offset = reader_offset(&d->in) - back;
        d->in.failed = true;
    }
}

static int64_t read_time(struct decoder *d)
{
    int64_t us = (int64_t)reader_u64(&d->in);
    int64_t unix_us = 0;
    if (__builtin_add_overflow(us, POSTGRES_EPOCH_US, &unix_us)) {
        wrong(d, "a time out of range", sizeof us);
    }
    return unix_us;
}

/* Reads a byte of flags. Only those in `known` may be set. */
static uint8_t read_flags(struct decoder *d, uint8_t known)
{
    uint8_t flags = reader_u8(&d->in);
    if (flags & ~known) {
        wrong(d, "unknown flags", 1);
    }
    return flags;
}

/* Checks a count that was read from `size` bytes, of items of at least `item` bytes each. A damaged
 * count could otherwise ask for gigabytes of memory. */
static size_t checked_count(struct decoder *d, uint32_t count, size_t size, size_t item)
{
    uint32_t most = size == sizeof(uint16_t) ? INT16_MAX : INT32_MAX;
    if (count > most || count > reader_left(&d->in) / item) {
        wrong(d, "a count larger than the message", size);
        return 0;
    }
    return count;
}

static uint32_t load_u32(const char *p)
{
    uint32_t v;
    memcpy(&v, p, sizeof v);
    return __builtin_bswap32(v);
}

/* Reads one cell at p. Returns where the next one starts, or NULL and the cause. */
static inline const char *read_cell(const char *p, const char *end, struct cell *cell,
                                    const char **cause)
{
    *cause = "a tuple that ends too early";
    if (p == end) {
        return NULL;
    }
    size_t left = (size_t)(end - p) - 1;
    switch (*p) {
    case 'n':
        *cell = (struct cell){.kind = CELL_NULL};
        return p + 1;
    case 'u':
        *cell = (struct cell){.kind = CELL_UNCHANGED};
        return p + 1;
    case 't':
        break;
    case 'b':
        *cause = "a binary value, which was not asked for";
        return NULL;
    default:
        *cause = "an unknown kind of value";
        return NULL;
    }
    if (left < sizeof(uint32_t)) {
        return NULL;
    }
    uint32_t len = load_u32(p + 1);
    if (len > INT32_MAX || len > left - sizeof len) {
        *cause = "a value longer than the message";
        return NULL;
    }
    p += 1 + sizeof len;
    *cell = (struct cell){CELL_TEXT, {p, len}};
    return p + len;
}

/* Most of the time of decoding is spent here, so this reads by pointer and not by the reader. */
static struct pgoutput_tuple read_tuple(struct decoder *d)
{
    size_t count = checked_count(d, reader_u16(&d->in), sizeof(uint16_t), 1);
    if (d->in.failed) {
        return (struct pgoutput_tuple){0};
    }
    struct cell *cells = arena_alloc(d->arena, count * sizeof *cells);
    const char *p = d->in.pos;
    for (size_t i = 0; i < count; i++) {
        const char *cause;
        d->in.pos = p;
        p = read_cell(p, d->in.end, &cells[i], &cause);
        if (!p) {
            wrong(d, cause, 0);
            return (struct pgoutput_tuple){0};
        }
    }
    d->in.pos = p;
    return (struct pgoutput_tuple){cells, count};
}

static void decode_begin(struct decoder *d, struct pgoutput_message *m)
{
    m->begin.final_lsn = reader_u64(&d->in);
    m->begin.commit_us = read_time(d);
    m->xid = reader_u32(&d->in);
}

static void decode_commit(struct decoder *d, struct pgoutput_message *m)
{
    if (m->type == PGOUTPUT_STREAM_COMMIT) {
        m->xid = reader_u32(&d->in);
    }
    read_flags(d, 0);
    m->commit.commit_lsn = reader_u64(&d->in);
    m->commit.end_lsn = reader_u64(&d->in);
    m->commit.commit_us = read_time(d);
}

static void decode_origin(struct decoder *d, struct pgoutput_message *m)
{
    m->origin.commit_lsn = reader_u64(&d->in);
    m->origin.name = reader_cstring(&d->in);
}

static struct slice read_schema(struct decoder *d)
{
    struct slice schema = reader_cstring(&d->in);
    return !slice_is_null(schema) && schema.len == 0 ? SLICE_LITERAL("pg_catalog") : schema;
}

static void decode_relation(struct decoder *d, struct pgoutput_message *m)
{
    m->relation.oid = reader_u32(&d->in);
    m->relation.schema = read_schema(d);
    m->relation.name = reader_cstring(&d->in);
    uint8_t identity = reader_u8(&d->in);
    if (identity == '\0' || !strchr("dnfi", identity)) {
        wrong(d, "an unknown replica identity", 1);
    }
    m->relation.identity = (enum replica_identity)identity;
    size_t count = checked_count(d, reader_u16(&d->in), sizeof(uint16_t), (size_t)COLUMN_MIN_SIZE);
    struct pgoutput_column *columns = arena_array(d->arena, count, sizeof *columns);
    for (size_t i = 0; i < count && !d->in.failed; i++) {
        columns[i].identity = read_flags(d, 1) & 1;
        columns[i].name = reader_cstring(&d->in);
        columns[i].type = reader_u32(&d->in);
        columns[i].typmod = (int32_t)reader_u32(&d->in);
    }
    m->relation.columns = columns;
    m->relation.columns_count = count;
}

static void decode_data_type(struct decoder *d, struct pgoutput_message *m)
{
    m->data_type.oid = reader_u32(&d->in);
    m->data_type.schema = read_schema(d);
    m->data_type.name = reader_cstring(&d->in);
}

/* INSERT has the new row, DELETE the old row or its key. UPDATE has the new row, and before it
 * perhaps the old row or its key. */
static void decode_row(struct decoder *d, struct pgoutput_message *m)
{
    m->row.relation = reader_u32(&d->in);
    uint8_t part = reader_u8(&d->in);
    if ((part == 'K' || part == 'O') && m->type != PGOUTPUT_INSERT) {
        m->row.old_is_key = part == 'K';
        m->row.before = read_tuple(d);
        if (m->type == PGOUTPUT_DELETE) {
            return;
        }
        part = reader_u8(&d->in);
    }
    if (part != 'N' || m->type == PGOUTPUT_DELETE) {
        wrong(d, "an unexpected kind of tuple", 1);
        return;
    }
    m->row.after = read_tuple(d);
}

static void decode_truncate(struct decoder *d, struct pgoutput_message *m)
{
    uint32_t announced = reader_u32(&d->in);
    uint8_t flags = read_flags(d, 1 | 2);
    m->truncate.cascade = flags & 1;
    m->truncate.restart_identity = flags & 2;
    size_t count = checked_count(d, announced, sizeof announced, sizeof(uint32_t));
    m->truncate.relations = arena_array(d->arena, count, sizeof *m->truncate.relations);
    m->truncate.count = count;
    for (size_t i = 0; i < count; i++) {
        m->truncate.relations[i] = reader_u32(&d->in);
    }
}

static void decode_message(struct decoder *d, struct pgoutput_message *m)
{
    m->message.transactional = read_flags(d, 1) & 1;
    m->message.lsn = reader_u64(&d->in);
    m->message.prefix = reader_cstring(&d->in);
    uint32_t announced = reader_u32(&d->in);
    size_t len = checked_count(d, announced, sizeof announced, 1);
    m->message.content = reader_bytes(&d->in, len);
}

static void decode_stream_start(struct decoder *d, struct pgoutput_message *m)
{
    m->xid = reader_u32(&d->in);
    m->stream_start.first = read_flags(d, 1) & 1;
}

static void decode_stream_abort(struct decoder *d, struct pgoutput_message *m)
{
    m->xid = reader_u32(&d->in);
    m->stream_abort.subxid = reader_u32(&d->in);
}

/* Does a message of this type have an xid in front inside a stream block? The other types have an
 * xid as a field of their own, or none. */
static bool has_stream_xid(uint8_t type)
{
    switch (type) {
    case PGOUTPUT_RELATION:
    case PGOUTPUT_TYPE:
    case PGOUTPUT_INSERT:
    case PGOUTPUT_UPDATE:
    case PGOUTPUT_DELETE:
    case PGOUTPUT_TRUNCATE:
    case PGOUTPUT_MESSAGE:
        return true;
    default:
        return false;
    }
}

static void decode_body(struct decoder *d, struct pgoutput_message *m)
{
    switch (m->type) {
    case PGOUTPUT_INSERT:
    case PGOUTPUT_UPDATE:
    case PGOUTPUT_DELETE:
        decode_row(d, m);
        return;
    case PGOUTPUT_BEGIN:
        decode_begin(d, m);
        return;
    case PGOUTPUT_COMMIT:
    case PGOUTPUT_STREAM_COMMIT:
        decode_commit(d, m);
        return;
    case PGOUTPUT_ORIGIN:
        decode_origin(d, m);
        return;
    case PGOUTPUT_RELATION:
        decode_relation(d, m);
        return;
    case PGOUTPUT_TYPE:
        decode_data_type(d, m);
        return;
    case PGOUTPUT_TRUNCATE:
        decode_truncate(d, m);
        return;
    case PGOUTPUT_MESSAGE:
        decode_message(d, m);
        return;
    case PGOUTPUT_STREAM_START:
        decode_stream_start(d, m);
        return;
    case PGOUTPUT_STREAM_STOP:
        return;
    case PGOUTPUT_STREAM_ABORT:
        decode_stream_abort(d, m);
        return;
    }
    wrong(d, "an unknown type of message", 1);
}

/* Writes "'U' (0x55)". A byte that is no letter appears only as its number, because a control
 * character would garble a log. */
static void type_text(struct slice bytes, char out[24])
{
    uint8_t type = bytes.len > 0 ? (uint8_t)bytes.ptr[0] : 0;
    bool letter = (type >= 'A' && type <= 'Z') || (type >= 'a' && type <= 'z');
    if (letter) {
        snprintf(out, 24, "'%c' (0x%02x)", type, type);
    } else {
        snprintf(out, 24, "0x%02x", type);
    }
}

static int refuse(const struct decoder *d, struct slice bytes, struct error *err)
{
    char type[24];
    type_text(bytes, type);
    return error_set(
        err, ERROR_RETRY, "pgoutput",
        "a replication message of type %s and %zu bytes is not understood: %s at byte %zu. The connection is closed and the transaction asked for again; if this comes back, the server speaks something newer than PostgreSQL 18 or the bytes were damaged on the way",
        type, bytes.len, d->cause ? d->cause : "it ends too early",
        d->cause ? d->offset : reader_offset(&d->in));
}

int pgoutput_decode(struct slice bytes, bool in_stream, struct arena *arena,
                    struct pgoutput_message *ret, struct error *err)
{
    struct decoder d = {.in = reader_from(bytes), .arena = arena};
    uint8_t type = reader_u8(&d.in);
    struct pgoutput_message m = {.type = (enum pgoutput_type)type};
    if (in_stream && has_stream_xid(type)) {
        m.xid = reader_u32(&d.in);
    }
    if (!d.in.failed) {
        decode_body(&d, &m);
    }
    if (reader_left(&d.in) > 0) {
        wrong(&d, "bytes that belong to nothing", 0);
    }
    if (d.in.failed) {
        return refuse(&d, bytes, err);
    }
    *ret = m;
    return RESULT_DONE;
}

uint32_t pgoutput_peek_relation(struct slice bytes, bool in_stream)
{
    size_t at = in_stream ? 1 + sizeof(uint32_t) : 1;
    if (bytes.len < at + sizeof(uint32_t) ||
        (bytes.ptr[0] != PGOUTPUT_INSERT && bytes.ptr[0] != PGOUTPUT_UPDATE &&
         bytes.ptr[0] != PGOUTPUT_DELETE)) {
        return 0;
    }
    return load_u32(bytes.ptr + at);
}
