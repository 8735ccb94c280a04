/*
 * What the files of the start-up checks share beside the judgements (judge.h): looking at the
 * server, and making what is missing. Private to this folder.
 *
 * A *_look function asks the server for facts; it waits. A *_judge function decides about facts:
 * DONE if they are fine, else RESULT_ERROR with what is wrong in *f. Judging does no I/O, except in
 * the functions that also take an `err`.
 *
 * All calls on one thread; the caller owns every struct.
 */
#pragma once

#include "cdc/preflight/judge.h"
#include "cdc/stream/lsn.h"

#include <stdarg.h>
#include <stdio.h>

int server_look(struct pg *sql, struct server_facts *ret, struct error *err) MUST_CHECK;

/* Whether it exists, the kinds of change it publishes, and publish_via_partition_root. */
struct publication_facts {
    bool there, inserts, updates, deletes, truncates, via_root;
};
int publication_look(struct pg *sql, const char *name, struct publication_facts *ret,
                     struct error *err) MUST_CHECK;
/* Checks that the publication exists and has all that the source wants. Creates it first if it is
 * missing, may_make is true and the configuration says so (*ret_made). Waits.
 * RESULT_ERROR has two meanings. f->class != ERROR_NONE: *f says what is wrong. f->class ==
 * ERROR_NONE: *err says why it could not be looked at. */
int publication_prepare(const struct preflight *p, bool may_make, struct publication_facts *ret,
                        bool *ret_made, struct fault *f, struct error *err) MUST_CHECK;

/* How many tables the configuration names, those of its patterns not counted. */
size_t wanted_count(const struct cdc_conf *conf);
/* Appends the quoted names of those tables to `out`, as the text of an array. CONFIG: a name cannot
 * be quoted. No I/O. */
int wanted_names(const struct cdc_conf *conf, struct buf *out, struct error *err) MUST_CHECK;
/* Looks for a published column that the format cannot write: one with a name of the format's own,
 * or of type money where the server's lc_monetary has another unit; for a column that `mask` names
 * and that is not there, or that it would spoil as a key; and for a column of encode.key_columns
 * that is not there, or that a delete would not tell. Waits. Answers as publication_prepare. */
int columns_judge(const struct preflight *p, struct fault *f, struct error *err) MUST_CHECK;

/* To be asked before a slot is made: did this pipeline poll the outbox until now? Then rows between
 * its last read and the new slot would be lost (FATAL/69 in *f). Waits. Answers as
 * publication_prepare. */
int polling_judge(const struct preflight *p, struct fault *f, struct error *err) MUST_CHECK;
int slot_look(struct pg *sql, const char *slot, struct slot_facts *ret,
              struct error *err) MUST_CHECK;

/* Creates the slot. Waits for the transactions that write now. If one does not end within
 * read_timeout: RETRY, and the text names the oldest one; the server's work on the slot is ended.
 * Other errors as stream_create_slot. */
int slot_make(const struct preflight *p, bool export_snapshot, struct stream_slot *ret,
              struct error *err) MUST_CHECK;

/* The LSN where the server left the cursor's timeline; 0: it did not, or that timeline is not in
 * its history. Waits. */
int slot_find_switch(const struct preflight *p, const struct stream_identity *identity,
                     const struct cdc_cursor *cursor, uint64_t *ret, struct error *err) MUST_CHECK;

/* --- the doctor's parts --- */

/* What the parts of `check --connect` share; all borrowed. */
struct doctor {
    const struct preflight *p;
    const struct preflight_stored *stored;
    const struct server_facts *server;
    finding_report *report;
    void *ctx;
};
/* Reports one finding; exit_code 0: a note. `remedy` "" for none. */
void doctor_tell(const struct doctor *d, int exit_code, const char *remedy, const char *fmt, ...)
    PRINTF_LIKE(4, 5);
/* The same for a fault. RETRY counts as a note: waiting is enough. */
void doctor_fault(const struct doctor *d, const struct fault *f);
/* Reports about every published table. Waits. ERROR: they could not be looked at. */
int doctor_tables(const struct doctor *d, const struct publication_facts *publication,
                  struct error *err) MUST_CHECK;

/* --- small readers of results --- */

/* Takes the end of a statement whose only result was taken already. Waits at most 0.5 s. RETRY: the
 * end did not come. */
int answer_end(struct pg *sql, struct error *err) MUST_CHECK;

/* A value as a C string, cut at `size`; null becomes "". */
static inline void copy_value(const struct pg_result *r, size_t row, size_t col, char *out,
                              size_t size)
{
    snprintf(out, size, "%.*s", SLICE_FMT(pg_value(r, row, col)));
}

static inline uint64_t value_lsn(const struct pg_result *r, size_t row, size_t col)
{
    uint64_t lsn = 0; /* for null, and for a text that is no LSN */
    return lsn_parse(pg_value(r, row, col), &lsn) ? lsn : 0;
}
