/*
 * Before the stream starts: does everything fit together? Server, role, publication, slot and
 * stored cursor are looked at, created where the configuration says so, and refused with the cause,
 * what may have been lost, and the command for each way out.
 *
 * Waits, bounded by the connections' timeouts. One thread.
 */
#pragma once

#include "cdc/conf.h"
#include "cdc/cursor.h"
#include "cdc/stream/stream.h"
#include "contract/source.h"
#include "db/pg.h"

struct preflight {
    const struct cdc_conf *conf;
    const char *pipeline;
    const char *slot, *publication; /* defaults filled in */
    struct stream *stream;          /* connected, not started */
    struct pg *sql;                 /* an ordinary connection to the same database */
    bool resumes;                   /* it has read before: what is not published now was missed */
    const struct change_shape *shape;
    const char *const *further; /* columns that the route names */
    size_t further_count;
    int64_t money_unit; /* of server_facts, once the server was looked at */
    bool reads_bodies;  /* logical messages are read as JSON texts */
    bool observe;       /* only looking: nothing is created, slot and cursor are not judged */
};

/* For the doctor: what is stored, or that it is not known. */
struct preflight_stored {
    bool known;
    const struct cdc_cursor *cursor; /* NULL: nothing is stored */
};

/* How the source goes on. */
struct preflight_result {
    struct stream_identity identity;
    bool slot_created;          /* by us, now: `created` tells where it begins */
    struct stream_slot created; /* with an exported snapshot if one was wanted */
    bool resnapshot;            /* the slot was lost and on_lost_slot allows to start over */
    uint64_t slot_confirmed;    /* confirmed_flush_lsn */
    int64_t money_unit;         /* of server_facts */
    char note[512];             /* for the log: what was created, or a warning; "" nothing */
};

/* Checks and prepares. `cursor` NULL: nothing is stored. `want_snapshot`: export one if the slot is
 * created now. Waits. ERROR: what does not fit, what may be lost by it, and each way out; the
 * faults 13 to 23 and 30 of tests/integration/faults.tsv are the cases. */
int preflight_run(const struct preflight *p, const struct cdc_cursor *cursor, bool want_snapshot,
                  struct preflight_result *ret, struct error *err) MUST_CHECK;

/* `check --connect`: one report per finding, faults with the statement that mends them. Nothing is
 * created. `stream` may be NULL, when it could not be connected: the reason is looked for. Waits.
 */
int preflight_doctor(const struct preflight *p, const struct preflight_stored *stored,
                     finding_report *report, void *ctx, struct error *err) MUST_CHECK;

/* How safe the WAL is that a slot needs: pg_replication_slots.wal_status. */
enum wal_status {
    WAL_UNKNOWN, /* not reserved yet, or a word of a later version */
    WAL_RESERVED,
    WAL_EXTENDED,     /* more than max_wal_size, kept for the slot */
    WAL_UNRESERVED,   /* beyond max_slot_wal_keep_size: removed at the next checkpoint */
    WAL_LOST,         /* some of it is removed */
    WAL_SLOT_MISSING, /* slot_state only: there is no such slot */
};

/* The slot now, for lag and metrics: sent without waiting on an idle `sql`, taken when it is there.
 */
struct slot_state {
    int64_t retained_bytes; /* WAL the slot keeps */
    int64_t limit_bytes;    /* max_slot_wal_keep_size, -1 unlimited */
    enum wal_status wal_status;
    char invalidation[32];       /* 17+: why it was invalidated; "" */
    uint64_t confirmed, current; /* confirmed_flush_lsn; pg_current_wal_flush_lsn() */
    bool publication_there;
    uint32_t timeline; /* 0: a standby */
};
int slot_state_send(struct pg *sql, const char *slot, const char *publication,
                    struct error *err) MUST_CHECK;
int slot_state_take(struct pg *sql, struct slot_state *ret,
                    struct error *err) MUST_CHECK; /* AGAIN */

/* Whether the publication still has all that is wanted, asked in the same way; it waits for no
 * lock. */
bool publication_is_watched(const struct cdc_conf *conf); /* false: all it has is wanted */
int publication_watch_send(struct pg *sql, const struct cdc_conf *conf, const char *publication,
                           struct error *err) MUST_CHECK;
/* AGAIN; CONFIG: what is missing, in preflight_run's words. */
int publication_watch_take(struct pg *sql, const struct cdc_conf *conf, const char *publication,
                           struct error *err) MUST_CHECK;
