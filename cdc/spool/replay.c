/* Gives out a transaction that was kept in a file, at its commit: a BEGIN, its messages without
 * those of subtransactions that were rolled back, a COMMIT. Then come the descriptions of tables
 * that are newer than those in the transaction. */
#include "cdc/spool/internal.h"

#include "base/memory.h"
#include "base/reader.h"
#include "cdc/decode/pgoutput.h"

#include <stdlib.h>

enum { READ_BUFFER = 256 * 1024 };

int spool_compare_xids(const void *a, const void *b)
{
    const uint32_t *x = a, *y = b;
    return (*x > *y) - (*x < *y);
}

/* Makes the BEGIN (commit LSN, time, xid) and the COMMIT (flags, LSNs, time) by copying bytes of
 * the STREAM_COMMIT message, which has all of them in the same format. */
void spool_replay_start(struct spool *s, struct spool_txn *t, const struct stream_message *m)
{
    const char *p = m->payload.ptr;
    s->begin[0] = PGOUTPUT_BEGIN;
    memcpy(s->begin + 1, p + 6, 8);
    memcpy(s->begin + 9, p + 22, 8);
    memcpy(s->begin + 17, p + 1, 4);
    s->commit[0] = PGOUTPUT_COMMIT;
    memcpy(s->commit + 1, p + 5, SPOOL_COMMIT_SIZE - 1);
    if (t->aborted_count > 0) {
        qsort(t->aborted, t->aborted_count, sizeof *t->aborted, spool_compare_xids);
    }
    s->committed = *m;
    s->committed.payload = SLICE_NULL;
    s->replayed = t;
    s->step = STEP_BEGIN;
    s->in_offset = s->in_pos = s->in_len = 0;
    s->known = false;
    s->next_relation = 0;
    for (size_t i = 0; i < s->relations_count; i++) {
        s->relations[i].outdone = false;
    }
}

void spool_replay_end(struct spool *s)
{
    free(s->in);
    s->in = NULL;
    s->in_cap = s->in_pos = s->in_len = 0;
    s->replayed = NULL;
    s->step = STEP_NONE;
}

/* Reads on until s->in holds at least `n` bytes that were not given out. *ret_there false: the file
 * ends before that. */
static int load(struct spool *s, size_t n, bool *ret_there, struct error *err)
{
    const struct spool_file *f = &s->replayed->file;
    *ret_there = true;
    if (s->in_len - s->in_pos >= n) {
        return RESULT_DONE;
    }
    if (s->in_pos < s->in_len) {
        memmove(s->in, s->in + s->in_pos, s->in_len - s->in_pos);
    }
    s->in_len -= s->in_pos;
    s->in_pos = 0;
    if (n > s->in_cap || !s->in) {
        s->in_cap = n > READ_BUFFER ? n : READ_BUFFER;
        s->in = memory_need(realloc(s->in, s->in_cap));
    }
    while (s->in_len < n) {
        size_t got;
        if (s->in_offset == f->size) {
            *ret_there = false;
            return RESULT_DONE;
        }
        if (spool_file_read(f, s->in_offset, s->in + s->in_len, s->in_cap - s->in_len, &got, err)) {
            return RESULT_ERROR;
        }
        s->in_len += got;
        s->in_offset += got;
    }
    return RESULT_DONE;
}

static bool is_dead(struct spool *s, uint32_t xid)
{
    const struct spool_txn *t = s->replayed;
    if (t->aborted_count == 0) {
        return false;
    }
    if (!s->known || xid != s->known_xid) {
        s->known = true;
        s->known_xid = xid;
        s->known_dead = bsearch(&xid, t->aborted, t->aborted_count, sizeof *t->aborted,
                                spool_compare_xids) != NULL;
    }
    return s->known_dead;
}

/* `message` is a Relation message that is given out. If a newer one of its table is kept, that one
 * must be given out again behind the transaction. */
static void compare_relation(struct spool *s, struct slice message)
{
    struct reader r = reader_from(message);
    (void)reader_u8(&r);
    struct spool_relation *last = spool_find_relation(s, reader_u32(&r));
    if (last) {
        last->outdone = !slice_equal((struct slice){last->bytes, last->len}, message);
    }
}

/* The next message of the file that was not rolled back; AGAIN: there is none. */
static int next_part(struct spool *s, struct stream_message *ret, struct error *err)
{
    for (;;) {
        struct spool_record head;
        bool there;
        if (load(s, sizeof head, &there, err)) {
            return RESULT_ERROR;
        }
        if (!there) {
            return RESULT_AGAIN;
        }
        memcpy(&head, s->in + s->in_pos, sizeof head);
        if (load(s, sizeof head + head.len, &there, err)) {
            return RESULT_ERROR;
        }
        if (!there) {
            return error_exit(
                err, ERROR_RETRY, EXIT_CODE_IO, "spool",
                "the file of a transaction in progress ends in the middle of a message; the server is asked for it again");
        }
        struct slice payload = {s->in + s->in_pos + sizeof head, head.len};
        s->in_pos += sizeof head + head.len;
        if (!is_dead(s, head.xid)) {
            if (payload.ptr[0] == PGOUTPUT_RELATION) {
                compare_relation(s, payload);
            }
            *ret = s->committed;
            ret->start_lsn = head.lsn;
            ret->payload = payload;
            return RESULT_DONE;
        }
    }
}

static void give(const struct spool *s, const char *bytes, size_t len, uint64_t lsn,
                 struct stream_message *ret)
{
    *ret = s->committed;
    ret->start_lsn = lsn;
    ret->payload = (struct slice){bytes, len};
}

static int next_relation(struct spool *s, struct stream_message *ret)
{
    while (s->next_relation < s->relations_count) {
        const struct spool_relation *r = &s->relations[s->next_relation++];
        if (r->outdone) {
            give(s, r->bytes, r->len, 0, ret);
            return RESULT_DONE;
        }
    }
    spool_replay_end(s);
    return RESULT_AGAIN;
}

int spool_replay(struct spool *s, struct stream_message *ret, struct error *err)
{
    int rc;
    switch (s->step) {
    case STEP_NONE:
        break;
    case STEP_BEGIN:
        s->step = STEP_BODY;
        give(s, s->begin, SPOOL_BEGIN_SIZE, s->committed.start_lsn, ret);
        return RESULT_DONE;
    case STEP_BODY:
        rc = next_part(s, ret, err);
        if (rc != RESULT_AGAIN) {
            return rc;
        }
        s->step = STEP_COMMIT;
        __attribute__((fallthrough));
    case STEP_COMMIT:
        spool_forget(s, s->replayed);
        s->replayed = NULL;
        s->step = STEP_RELATIONS;
        give(s, s->commit, SPOOL_COMMIT_SIZE, s->committed.start_lsn, ret);
        return RESULT_DONE;
    case STEP_RELATIONS:
        return next_relation(s, ret);
    }
    return RESULT_AGAIN;
}
