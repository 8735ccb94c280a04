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

/* Before each message in a file. */
struct spool_record {
    uint32_t len, xid;
    uint64_t lsn;
};

struct spool_txn {
    uint32_t xid;
    bool old;          /* has changes from before the stream's start */
    uint32_t *aborted; /* subtransactions that were rolled back; sorted when it is given out */
    size_t aborted_count, aborted_cap;
    struct spool_file file;
};

/* The Relation message of a table that came last, on its own or in a part, while transactions were
 * in progress: as it is given out, without an xid. */
struct spool_relation {
    uint32_t oid;
    char *bytes;
    size_t len;
    bool outdone; /* the transaction that is given out brought another one */
};

enum spool_step { STEP_NONE, STEP_BEGIN, STEP_BODY, STEP_COMMIT, STEP_RELATIONS };

struct spool {
    char dir[PATH_MAX];
    uint64_t start; /* of the stream */
    bool doubt;     /* the next stream is to bring transactions whole */
    struct spool_txn **txns;
    size_t txns_count, txns_cap;
    struct spool_relation *relations;
    size_t relations_count, relations_cap;
    struct spool_txn *block; /* between STREAM_START and STREAM_STOP: whose messages come */
    struct buf out;          /* of `block`, not written yet */

    /* The transaction that is given out. */
    enum spool_step step;
    struct spool_txn *replayed;
    char begin[SPOOL_BEGIN_SIZE], commit[SPOOL_COMMIT_SIZE];
    struct stream_message committed; /* the envelope of its STREAM_COMMIT */
    size_t next_relation;
    char *in; /* what was read from its file: in_pos to in_len is not given out yet */
    size_t in_pos, in_len, in_cap;
    uint64_t in_offset;     /* of the file, behind what was read */
    uint32_t known_xid;     /* the verdict on the last record's subtransaction, */
    bool known, known_dead; /* as they come in runs */
};

void spool_txn_free(struct spool_txn *t); /* and its file; it must not be in the list any more */

/* Gives the transaction up, and its file. */
void spool_forget(struct spool *s, struct spool_txn *t);

struct spool_relation *spool_find_relation(const struct spool *s, uint32_t oid);

/* The transaction whose commit, as STREAM_COMMIT told it, `m` is goes out from now on. */
void spool_replay_start(struct spool *s, struct spool_txn *t, const struct stream_message *m);
void spool_replay_end(struct spool *s);

int spool_compare_xids(const void *a, const void *b); /* for qsort and bsearch */
