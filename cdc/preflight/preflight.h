/*
 * The checks before the stream starts: do server, role, publication, slot and stored cursor fit
 * together? A publication or slot that is missing is created where the configuration says so. If
 * something does not fit, the error tells the cause, what may have been lost, and the command for
 * each way out.
 *
 * What says "waits" is bounded by the connections' timeouts. All calls on one thread; what the
 * structs point to is the caller's.
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
    int64_t money_unit; /* how many units of its last digit make 1 as money; set by the checks */
    bool reads_bodies;  /* logical messages are read as JSON texts */
    bool observe;       /* only look: nothing is created, slot and cursor are not judged */
    const struct source_env *env; /* is told what was made and dropped; NULL: nobody is */
};

/* For the doctor: the stored cursor, if it could be loaded. */
struct preflight_stored {
    bool known;
    const struct cdc_cursor *cursor; /* NULL: nothing is stored */
};

/* How the source goes on. */
struct preflight_result {
    struct stream_identity identity;
    bool slot_created;          /* by this call: `created` tells where it begins */
    struct stream_slot created; /* with an exported snapshot if one was wanted */
    bool resnapshot;            /* the slot was lost and on_lost_slot allows to start over */
    uint64_t slot_confirmed;    /* confirmed_flush_lsn */
    int64_t money_unit;         /* as in struct preflight */
    char note[512];             /* for the log: what was created, or a warning; "" nothing */
};

/* Checks all, and creates what is missing. `cursor` NULL: nothing is stored. `want_snapshot`:
 * export a snapshot if the slot is created now. Waits. RETRY: waiting helps; CONFIG: an operator
 * must act; FATAL/69: data may be lost. The faults 13 to 23 and 30 of tests/integration/faults.tsv
 * are cases. */
int preflight_run(const struct preflight *p, const struct cdc_cursor *cursor, bool want_snapshot,
                  struct preflight_result *ret, struct error *err) MUST_CHECK;

/* `check --connect`: calls `report` with `ctx` once for each finding; a fault comes with the
 * statement that mends it. Creates nothing. p->stream may be NULL if it could not be connected:
 * then the checks show why. Waits. ERROR: something could not be looked at. */
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

/* The slot as it is now, for lag and metrics. */
struct slot_state {
    int64_t retained_bytes; /* WAL the slot keeps */
    int64_t limit_bytes;    /* max_slot_wal_keep_size, -1 unlimited */
    enum wal_status wal_status;
    char invalidation[32];       /* 17+: why it was invalidated; "" */
    uint64_t confirmed, current; /* confirmed_flush_lsn; the end of the server's flushed WAL */
    bool publication_there;
    uint32_t timeline; /* 0: a standby */
};
/* Sends the query on `sql`, which has to be idle. Does not wait for the answer. */
int slot_state_send(struct pg *sql, const char *slot, const char *publication,
                    struct error *err) MUST_CHECK;
/* Takes the answer. AGAIN: it has not come yet. ERROR as db/pg.h says; then *ret stays. */
int slot_state_take(struct pg *sql, struct slot_state *ret, struct error *err) MUST_CHECK;

/* Does the publication still have all that is wanted? Sent and taken in the same way. The query
 * needs no lock on a table, so somebody who alters one does not hold it up. */
bool publication_is_watched(const struct cdc_conf *conf); /* false: all it has is wanted */
int publication_watch_send(struct pg *sql, const struct cdc_conf *conf, const char *publication,
                           struct error *err) MUST_CHECK;
/* AGAIN: no answer yet. CONFIG: something is missing, in the words of preflight_run. */
int publication_watch_take(struct pg *sql, const struct cdc_conf *conf, const char *publication,
                           struct error *err) MUST_CHECK;
