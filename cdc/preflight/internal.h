/*
 * What the files of the start-up checks share beside the judgements (judge.h): looking at the
 * server, and making what is missing. Private to this folder.
 */
#pragma once

#include "cdc/preflight/judge.h"
#include "cdc/stream/lsn.h"

#include <stdarg.h>
#include <stdio.h>

int server_look(struct pg *sql, struct server_facts *ret, struct error *err) MUST_CHECK;

struct publication_facts {
    bool there, inserts, updates, deletes, truncates, via_root;
};
int publication_look(struct pg *sql, const char *name, struct publication_facts *ret,
                     struct error *err) MUST_CHECK;
/* There (made if the configuration says so; *ret_made) and with all that is wanted; else *f. -1
 * with f->class == ERROR_NONE: err says why it could not be looked at. */
int publication_prepare(const struct preflight *p, bool may_make, struct publication_facts *ret,
                        bool *ret_made, struct fault *f, struct error *err) MUST_CHECK;

/* How many tables the configuration names; 0: all of the publication are wanted. */
size_t wanted_count(const struct cdc_conf *conf);
/* The wanted tables as an array's text; "{}": all. */
int wanted_names(const struct cdc_conf *conf, struct buf *out, struct error *err) MUST_CHECK;
/* Published columns of wanted tables that the format cannot have. As publication_prepare. */
int columns_judge(const struct preflight *p, struct fault *f, struct error *err) MUST_CHECK;

/* Before a slot is made: did this pipeline poll the outbox until now? As publication_prepare. */
int polling_judge(const struct preflight *p, struct fault *f, struct error *err) MUST_CHECK;
int slot_look(struct pg *sql, const char *slot, struct slot_facts *ret,
              struct error *err) MUST_CHECK;

/* Creates it; names what it waits for. */
int slot_make(const struct preflight *p, bool export_snapshot, struct stream_slot *ret,
              struct error *err) MUST_CHECK;

/* Where the cursor's timeline was left; 0: nowhere. */
int slot_find_switch(const struct preflight *p, const struct stream_identity *identity,
                     const struct cdc_cursor *cursor, uint64_t *ret, struct error *err) MUST_CHECK;

/* --- the doctor's parts --- */

struct doctor {
    const struct preflight *p;
    const struct preflight_stored *stored;
    const struct server_facts *server;
    finding_report *report;
    void *ctx;
};
void doctor_tell(const struct doctor *d, int exit_code, const char *remedy, const char *fmt, ...)
    PRINTF_LIKE(4, 5);
void doctor_fault(const struct doctor *d, const struct fault *f);
int doctor_tables(const struct doctor *d, const struct publication_facts *publication,
                  struct error *err) MUST_CHECK;

/* --- small readers of results --- */

/* The end of a statement whose only result was taken; waits, shortly. */
int answer_end(struct pg *sql, struct error *err) MUST_CHECK;

static inline void copy_value(const struct pg_result *r, size_t row, size_t col, char *out,
                              size_t size)
{
    snprintf(out, size, "%.*s", SLICE_FMT(pg_value(r, row, col)));
}

static inline uint64_t value_lsn(const struct pg_result *r, size_t row, size_t col)
{
    uint64_t lsn = 0; /* for null */
    return lsn_parse(pg_value(r, row, col), &lsn) ? lsn : 0;
}
