/* Takes in the parts of transactions in progress: a part is everything between STREAM_START and
 * STREAM_STOP. Its messages go to the end of the transaction's file, in the order in which they
 * came. */
#include "cdc/spool/internal.h"

#include "base/memory.h"
#include "base/reader.h"
#include "cdc/decode/pgoutput.h"

#include <stdio.h>
#include <stdlib.h>

enum {
    WRITE_BUFFER = 64 * 1024,
    TAKE_MAX = 5000, /* messages taken in before timers and acknowledgements have their turn */
    STREAM_COMMIT_SIZE = 30,
};

/* --- life --- */

struct spool *spool_new(const char *dir)
{
    struct spool *s = memory_need(calloc(1, sizeof *s));
    const char *state = getenv("STATE_DIRECTORY"); /* systemd may name several: the first */
    dir = dir ? dir : state && state[0] ? state : ".";
    snprintf(s->dir, sizeof s->dir, "%.*s", dir == state ? (int)strcspn(dir, ":") : PATH_MAX - 1,
             dir);
    return s;
}

void spool_clear(struct spool *s)
{
    while (s->txns_count > 0) {
        spool_txn_free(s->txns[--s->txns_count]);
    }
    while (s->relations_count > 0) {
        free(s->relations[--s->relations_count].bytes);
    }
    spool_replay_end(s);
    s->block = NULL;
    buf_release(&s->out);
}

void spool_free(struct spool *s)
{
    if (s) {
        spool_clear(s);
        free(s->txns);
        free(s->relations);
        free(s);
    }
}

int spool_check(const struct spool *s, struct error *err)
{
    struct spool_file file;
    int rc = spool_file_open(s->dir, &file, err);
    if (rc == RESULT_DONE) {
        spool_file_close(&file);
    }
    return rc;
}

bool spool_begin(struct spool *s, uint64_t start)
{
    bool whole = s->doubt;
    s->doubt = false;
    s->start = start;
    return !whole;
}

uint64_t spool_bytes(const struct spool *s)
{
    uint64_t n = s->out.len;
    for (size_t i = 0; i < s->txns_count; i++) {
        n += s->txns[i]->file.size;
    }
    return n;
}

/* --- taking in --- */

static int senseless(const char *what, struct error *err)
{
    return error_set(err, ERROR_RETRY, "pgoutput",
                     "the stream makes no sense: %s; the connection is opened anew", what);
}

static struct spool_txn *find(const struct spool *s, uint32_t xid)
{
    for (size_t i = 0; i < s->txns_count; i++) {
        if (s->txns[i]->xid == xid) {
            return s->txns[i];
        }
    }
    return NULL;
}

static int add_txn(struct spool *s, uint32_t xid, uint64_t first_lsn, struct error *err)
{
    struct spool_file file;
    if (spool_file_open(s->dir, &file, err)) {
        return RESULT_ERROR;
    }
    if (s->txns_count == s->txns_cap) {
        s->txns_cap = s->txns_cap ? s->txns_cap * 2 : 8;
        s->txns = memory_need(reallocarray(s->txns, s->txns_cap, sizeof(struct spool_txn *)));
    }
    struct spool_txn *t = memory_need(calloc(1, sizeof *t));
    t->xid = xid;
    t->old = first_lsn < s->start;
    t->file = file;
    s->txns[s->txns_count++] = t;
    s->block = t;
    return RESULT_DONE;
}

static int take_start(struct spool *s, uint32_t xid, bool first, uint64_t lsn, struct error *err)
{
    struct spool_txn *t = find(s, xid);
    if (s->block) {
        return senseless("a part of a transaction in progress begins inside another", err);
    }
    if (first == (t != NULL)) {
        return senseless(first ? "a transaction in progress begins twice"
                               : "a later part of a transaction whose first part never came",
                         err);
    }
    s->block = t;
    return t ? RESULT_DONE : add_txn(s, xid, lsn, err);
}

static int append(struct spool *s, struct slice bytes, struct error *err)
{
    return spool_file_append(&s->block->file, bytes, err)
               ? error_prefix(err, "state folder \"%s\"", s->dir)
               : RESULT_DONE;
}

static int write_out(struct spool *s, struct error *err)
{
    int rc = append(s, buf_slice(&s->out), err);
    buf_clear(&s->out);
    return rc;
}

static int take_stop(struct spool *s, struct error *err)
{
    if (!s->block) {
        return senseless("the end of a part of a transaction that did not begin", err);
    }
    int rc = write_out(s, err);
    s->block = NULL;
    return rc;
}

/* A rollback of the whole transaction (xid == subxid), or of one of its subtransactions. If the
 * transaction is not known, none of its changes came, and there is nothing to do. */
static int take_abort(struct spool *s, uint32_t xid, uint32_t subxid, struct error *err)
{
    struct spool_txn *t = find(s, xid);
    if (s->block) {
        return senseless("a rollback inside a part of a transaction in progress", err);
    }
    if (t && xid == subxid) {
        spool_forget(s, t);
    } else if (t) {
        if (t->aborted_count == t->aborted_cap) {
            t->aborted_cap = t->aborted_cap ? t->aborted_cap * 2 : 16;
            t->aborted = memory_need(reallocarray(t->aborted, t->aborted_cap, sizeof *t->aborted));
        }
        t->aborted[t->aborted_count++] = subxid;
    }
    return RESULT_DONE;
}

static int take_commit(struct spool *s, const struct stream_message *m, uint32_t xid,
                       struct error *err)
{
    struct spool_txn *t = find(s, xid);
    if (s->block || !t || m->payload.len != STREAM_COMMIT_SIZE) {
        return senseless("the commit of a transaction in progress of which nothing came", err);
    }
    spool_replay_start(s, t, m);
    return RESULT_DONE;
}

/* Keeps the newest description (Relation message) of a table. `body`: the message from the OID on.
 *
 * Example: a transaction in progress brings description A of a table. Then the table is altered,
 * and a later transaction brings B. Now the first one commits and is given out, with A. The server
 * sends no description again, as it has sent B already; the reader would use A for rows that have
 * the shape of B. So B is given out again behind the first transaction. */
static void note_relation(struct spool *s, struct slice body)
{
    struct reader in = reader_from(body);
    uint32_t oid = reader_u32(&in);
    struct spool_relation *r = spool_find_relation(s, oid);
    if (!r) {
        if (s->relations_count == s->relations_cap) {
            s->relations_cap = s->relations_cap ? s->relations_cap * 2 : 8;
            s->relations =
                memory_need(reallocarray(s->relations, s->relations_cap, sizeof *s->relations));
        }
        r = &s->relations[s->relations_count++];
        *r = (struct spool_relation){.oid = oid};
    }
    free(r->bytes);
    r->len = 1 + body.len;
    r->bytes = memory_need(malloc(r->len));
    r->bytes[0] = PGOUTPUT_RELATION;
    if (body.len > 0) {
        memcpy(r->bytes + 1, body.ptr, body.len);
    }
}

/* The types of message that may come within a part. All but the origin ('O') begin with an xid. */
static bool is_part(uint8_t type)
{
    return type != '\0' && strchr("RYIUDTMO", type) != NULL;
}

static int take_part(struct spool *s, const struct stream_message *m, struct error *err)
{
    struct reader r = reader_from(m->payload);
    uint8_t type = reader_u8(&r);
    uint32_t xid = type == PGOUTPUT_ORIGIN ? s->block->xid : reader_u32(&r);
    if (r.failed || !is_part(type)) {
        char what[100];
        snprintf(what, sizeof what,
                 "a message of type 0x%02x and %zu bytes in a part of a transaction in progress",
                 (unsigned)type, m->payload.len);
        return senseless(what, err);
    }
    if (s->block->old && xid != s->block->xid) {
        s->doubt = true;
        return error_set(
            err, ERROR_RETRY, "pgoutput",
            "transaction %u, which has savepoints, was in progress where the stream begins, and PostgreSQL may not tell which of them were rolled back: it is asked for again, whole",
            s->block->xid);
    }
    struct slice rest = reader_bytes(&r, reader_left(&r));
    if (type == PGOUTPUT_RELATION) {
        note_relation(s, rest);
    }
    struct spool_record head = {.len = (uint32_t)(1 + rest.len), .xid = xid, .lsn = m->start_lsn};
    buf_add(&s->out, &head, sizeof head);
    buf_add_char(&s->out, (char)type);
    if (rest.len >= WRITE_BUFFER) { /* not worth a copy */
        return write_out(s, err) ? RESULT_ERROR : append(s, rest, err);
    }
    buf_add_slice(&s->out, rest);
    return s->out.len >= WRITE_BUFFER ? write_out(s, err) : RESULT_DONE;
}

int spool_take(struct spool *s, const struct stream_message *m, bool *ret_pass, struct error *err)
{
    struct reader r = reader_from(m->payload);
    uint8_t type = m->kind == STREAM_DATA ? reader_u8(&r) : '\0';
    *ret_pass = false;
    uint32_t xid;
    switch (type) {
    case PGOUTPUT_STREAM_START:
        xid = reader_u32(&r);
        uint8_t first = reader_u8(&r);
        return r.failed ? senseless("a STREAM START that is cut off", err)
                        : take_start(s, xid, first != 0, m->start_lsn, err);
    case PGOUTPUT_STREAM_STOP:
        return take_stop(s, err);
    case PGOUTPUT_STREAM_ABORT:
        xid = reader_u32(&r);
        uint32_t subxid = reader_u32(&r);
        return r.failed ? senseless("a STREAM ABORT that is cut off", err)
                        : take_abort(s, xid, subxid, err);
    case PGOUTPUT_STREAM_COMMIT:
        return take_commit(s, m, reader_u32(&r), err);
    default:
        break;
    }
    if (s->block && m->kind == STREAM_DATA) {
        return take_part(s, m, err);
    }
    if (type == PGOUTPUT_RELATION && s->txns_count > 0) {
        note_relation(s, reader_bytes(&r, reader_left(&r)));
    }
    *ret_pass = true;
    return RESULT_DONE;
}

int spool_next(struct spool *s, struct stream *stream, struct stream_message *ret,
               struct error *err)
{
    for (size_t n = 0; n < TAKE_MAX; n++) {
        struct stream_message m;
        bool pass;
        int rc = spool_replay(s, ret, err);
        if (rc != RESULT_AGAIN) {
            return rc;
        }
        rc = stream_next(stream, &m, err);
        if (rc) {
            return rc;
        }
        if (spool_take(s, &m, &pass, err)) {
            return RESULT_ERROR;
        }
        if (pass) {
            *ret = m;
            return RESULT_DONE;
        }
    }
    return RESULT_AGAIN;
}
