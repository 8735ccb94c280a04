/*
 * The CDC cursor: how far the stream was delivered, in a text that only the store, `position show`
 * and recovery see.
 *
 * start is the end LSN of the last transaction that was wholly delivered: START_REPLICATION begins
 * there and nothing above it is ever confirmed. Of the transaction whose commit record is at
 * `commit` the first `ordinal` changes are delivered, of the next one the first `part` messages.
 * `last` goes into what Debezium's format says of a transaction (source.sequence), which has to be
 * the same after a restart. Ordinals count every change and transactional message received, before
 * any filter, from 1.
 */
#pragma once

#include "base/buf.h"
#include "base/error.h"

struct cdc_cursor {
    uint64_t system_id;
    uint32_t timeline;
    uint64_t start, commit;
    uint64_t ordinal;
    uint32_t part;
    uint64_t options;      /* hash of what decides the ordinals: the publication */
    uint64_t last;         /* end of the last transaction before `start`; 0 unknown */
    struct slice snapshot; /* the snapshot's own state (cdc/snapshot/snapshot.h), null when it is
                              over or never was */
};

void cdc_cursor_format(const struct cdc_cursor *c, struct buf *out);
/* Slices point into `text`. FATAL/69 for a text that is none of ours or of a newer version. */
int cdc_cursor_parse(struct slice text, struct cdc_cursor *ret, struct error *err) MUST_CHECK;

/* "<commit lsn>:<ordinal>" with ".<part>" behind it for a part above 0: the event position. */
void cdc_position_format(uint64_t commit, uint64_t ordinal, uint32_t part, struct buf *out);
bool cdc_position_parse(const char *text, uint64_t *ret_commit, uint64_t *ret_ordinal,
                        uint32_t *ret_part);
