/*
 * What the files of the spool share. Private to this folder.
 */
#pragma once

#include "base/buf.h"
#include "cdc/spool/file.h"
#include "cdc/spool/spool.h"
#include <limits.h>
#include <stddef.h>

enum {
    SPOOL_BEGIN_SIZE = 21,
    SPOOL_COMMIT_SIZE = 26,
};

/* Stands before each message in a file, in the machine's byte order. */
struct spool_record {
    uint32_t len, xid; /* bytes of the message without its xid; the (sub)transaction it is of */
    uint64_t lsn;      /* start_lsn of the message */
};

/* A transaction in progress. */

struct spool_txn {
    uint32_t xid;
    bool old;          /* has changes from before the stream's start */
    uint32_t *aborted; /* xids of subtransactions rolled back; sorted when it is given out */
    size_t aborted_count, aborted_cap;
    struct spool_file file;
};

/* The newest Relation message of a table, on its own or within a transaction in progress. Kept as
 * it is given out: without an xid. */
struct spool_relation {
    uint32_t oid;
    char *bytes;
    size_t len;
    bool outdone; /* the transaction that is given out brought an older one: give this one again */
};

/* What of the committed transaction is given out next. */
enum spool_step { STEP_NONE, STEP_BEGIN, STEP_BODY, STEP_COMMIT, STEP_RELATIONS };

struct spool {
    char dir[PATH_MAX];
    uint64_t start; /* of the stream */
    bool doubt;     /* the next stream must be asked for without streaming (see spool_begin) */
    struct spool_txn **txns;
    size_t txns_count, txns_cap;
    struct spool_relation *relations;
    size_t relations_count, relations_cap;
    struct spool_txn *block; /* between STREAM_START and STREAM_STOP: the one whose messages come */
    struct buf out;          /* messages of `block` that are not in its file yet */

    /* The transaction that is given out. */
    enum spool_step step;
    struct spool_txn *replayed;
    char begin[SPOOL_BEGIN_SIZE], commit[SPOOL_COMMIT_SIZE];
    struct stream_message committed; /* the envelope of its STREAM_COMMIT */
    size_t next_relation;
    char *in; /* read from its file; bytes in_pos to in_len are not given out yet */
    size_t in_pos, in_len, in_cap;
    uint64_t in_offset;     /* in the file: up to here it was read */
    uint32_t known_xid;     /* a cache: the xid that was looked up last in `aborted` */
    bool known, known_dead; /* known_xid is set; its subtransaction was rolled back */
};

/* Frees the transaction and its file. It must not be in s->txns any more. */
void spool_txn_free(struct spool_txn *t);

/* Takes the transaction out of the list and frees it. */
void spool_forget(struct spool *s, struct spool_txn *t);

/* NULL: none is kept of this table. Valid until the list changes. */
struct spool_relation *spool_find_relation(const struct spool *s, uint32_t oid);

/* Begins to give out transaction `t`. `m` is its STREAM_COMMIT message, of the right length. */
void spool_replay_start(struct spool *s, struct spool_txn *t, const struct stream_message *m);
/* Ends that, and frees the read buffer. */
void spool_replay_end(struct spool *s);

int spool_compare_xids(const void *a, const void *b); /* for qsort and bsearch */
