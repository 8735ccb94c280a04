/*
 * What the files of the start-up checks share: facts as the server tells them, and judgements on
 * facts that touch nothing. Private to this folder and its unit tests.
 */
#pragma once

#include "cdc/preflight/preflight.h"
#include "cdc/stream/lsn.h"

#include <stdarg.h>
#include <stdio.h>

/* A thing that is wrong and what mends it: an error text for a start, a line for the doctor. */
struct fault {
    enum error_class class;
    int exit_code;
    char code[48];
    char text[560], remedy[640];
};
/* -1 always. */
int fault_set(struct fault *f, enum error_class class, int exit_code, const char *fmt, ...)
    PRINTF_LIKE(4, 5);
/* What the operator can do; -1 always. */
int fault_mend(struct fault *f, const char *fmt, ...) PRINTF_LIKE(2, 3);
int fault_error(const struct fault *f, struct error *err); /* -1 always */

enum { NAME_SIZE = 64 * 4 };

struct server_facts {
    int version; /* 150020 */
    bool standby;
    char user[NAME_SIZE], database[NAME_SIZE]; /* user is quoted */
    char wal_level[16];                        /* the one in effect */
    char managed[16];                          /* "rds", "cloudsql" or "" */
    char plugins[256];    /* output_plugin_libraries; "": no such setting, or not shown */
    char sync_names[512]; /* synchronous_standby_names */
    int64_t slots_max, slots_used, senders_max, senders_used;
    int64_t keep_bytes;     /* max_slot_wal_keep_size, -1 without a limit */
    int64_t idle_timeout_s; /* idle_replication_slot_timeout, 0 off or no such setting */
    bool hot_standby_feedback;
    char encoding[32];  /* server_encoding */
    int64_t money_unit; /* what 1 is as money: 100 where that has two digits behind the point */
    int backend_pid, backend_pid_again;
};
int server_look(struct pg *sql, struct server_facts *ret, struct error *err) MUST_CHECK;

int server_judge_version(const struct server_facts *s, struct fault *f) MUST_CHECK;
int server_judge_pooler(const struct server_facts *s, struct fault *f) MUST_CHECK;
int server_judge_wal(const struct server_facts *s, struct fault *f) MUST_CHECK;
int server_judge_plugin(const struct server_facts *s, struct fault *f) MUST_CHECK;
int server_judge_standby(const struct server_facts *s, struct fault *f) MUST_CHECK;
int server_judge_encoding(const struct server_facts *s, const struct preflight *p,
                          struct fault *f) MUST_CHECK;
/* True if commits wait for a client of this application_name. */
bool server_waits_for(const char *synchronous_standby_names, const char *application_name);
/* What logical decoding loses or dies of in this minor version; NULL: nothing known. */
const char *server_known_loss(int version);

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

struct slot_facts {
    bool there, logical, active, two_phase, synced;
    bool being_made; /* no consistent point yet */
    char plugin[NAME_SIZE], database[NAME_SIZE];
    int pid;                     /* of who reads it; 0 nobody */
    char application[NAME_SIZE]; /* of the same */
    enum wal_status wal_status;
    char reason[32]; /* 16+: why it was invalidated */
    uint64_t confirmed;
    int64_t retained_bytes; /* -1 unknown */
};
const char *wal_status_name(enum wal_status status); /* "" when unknown */
int slot_look(struct pg *sql, const char *slot, struct slot_facts *ret,
              struct error *err) MUST_CHECK;
bool slot_is_lost(const struct slot_facts *s);

/* All that decides whether the stream may go on. */
struct slot_case {
    const struct cdc_conf *conf;
    const char *pipeline, *slot;
    const struct stream_identity *identity;
    bool standby;
    const struct slot_facts *found;
    const struct cdc_cursor *cursor; /* NULL: nothing is stored */
    uint64_t switch_lsn;             /* where the cursor's timeline was left; 0: never */
};
enum slot_way { SLOT_USE, SLOT_MAKE, SLOT_MAKE_AGAIN /* resnapshot */ };
int slot_judge(const struct slot_case *c, enum slot_way *ret, struct fault *f) MUST_CHECK;
/* What is wrong with the slot whatever is stored. */
int slot_judge_kind(const struct slot_facts *s, const char *slot, const char *database,
                    struct fault *f) MUST_CHECK;
/* The way that both preflight_run and the doctor show for a slot that is in use. */
int slot_judge_reader(const struct slot_facts *s, const char *slot, struct fault *f) MUST_CHECK;
bool slot_snapshot_possible(const struct cdc_conf *conf);
/* How to get the rows that a slot which was there already does not bring. */
const char *snapshot_remedy(const struct cdc_conf *conf);

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
