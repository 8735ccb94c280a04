/*
 * The CDC cursor: how far the stream was delivered, as a text. The store keeps it, `position show`
 * explains it, and a restart goes on from it.
 *
 * Example: transaction A is delivered whole and ended at 0/100. Transaction B has its commit record
 * at 0/200; two of its changes are delivered, and of the third change one message of two. Then
 * start is 0/100, commit 0/200, ordinal 2 and part 1.
 *
 * START_REPLICATION begins at `start`, and the server is never told to forget anything behind it.
 * An ordinal counts every change and every transactional message that was received, from 1, before
 * any filter: so a resend has the same ordinals whatever is configured. With
 * encode.transaction_metadata its beginning and its end are counted, too. `part` counts the
 * messages that one change becomes, from 0 (a changed key can become a delete, a tombstone and a
 * create). `last` is needed for Debezium's source.sequence, which has to be the same after a
 * restart.
 *
 * Plain values, no I/O: any thread may use its own.
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
    uint64_t options;      /* hash of what decides the ordinals: the publication, ... */
    uint64_t last;         /* end of the last transaction before `start`; 0 unknown */
    struct slice snapshot; /* the snapshot's own state (cdc/snapshot/snapshot.h), null when it is
                              over or never was */
};

/* Appends the text to `out`. */
void cdc_cursor_format(const struct cdc_cursor *c, struct buf *out);

/* ret->snapshot points into `text`. ERROR_FATAL, exit code 69, for a text that is not a CDC cursor
 * or that a newer version wrote: guessing a position could skip events. */
int cdc_cursor_parse(struct slice text, struct cdc_cursor *ret, struct error *err) MUST_CHECK;

/* The event position "<commit lsn>:<ordinal>", followed by ".<part>" if part is above 0. Format
 * appends to `out`. Parse returns false, and sets nothing, unless all of `text` is one. */
void cdc_position_format(uint64_t commit, uint64_t ordinal, uint32_t part, struct buf *out);
bool cdc_position_parse(const char *text, uint64_t *ret_commit, uint64_t *ret_ordinal,
                        uint32_t *ret_part);

/* Reads an LSN or an event position, as start_from and `position set` take them; the cursor is the
 * place behind that event. False: `text` is neither. No I/O; whether the server has that WAL is not
 * checked here. */
bool cdc_place_parse(const char *text, struct cdc_cursor *ret);
