/*
 * The CDC source's own state, shared by the files that together are the source:
 *   source.c       opening, closing, timers, what the server is told
 *   connections.c  the connections to the server
 *   start.c        where to begin
 *   read.c         messages of the stream into batches
 *   claim.c        what keepalives claim
 *   initial.c      rows of the snapshot into batches
 *   held.c         the snapshot itself: opening, closing, its state for cursors
 *   ad_hoc.c       snapshots that are asked for while the stream goes on
 *   ask.c          asking for one by command
 *   place.c        cursors, positions
 *   lag.c          how far it is behind
 *   fault.c        errors that come back at the same place
 *   frontier.c     what is delivered, for `replay` and `verify`
 * Nobody else includes this. The functions without a comment here are those of source_ops, as
 * relay/contract/source.h describes them. The pipeline's thread only.
 */
#pragma once

#include "cdc/decode/relation.h"
#include "cdc/intake/intake.h"
#include "cdc/side.h"
#include "cdc/snapshot/snapshot.h"
#include "cdc/spool/spool.h"
#include "cdc/stream/stream.h"

enum { CDC_NAME_SIZE = 64 };

struct opening;
struct signal;

/* Where the stream failed last, with what text, and how often in a row. */
struct cdc_fault {
    unsigned times;
    uint64_t lsn, ordinal;
    char text[200];
};

struct cdc_source {
    const struct cdc_conf *conf;
    const struct source_env *env;
    char slot[CDC_NAME_SIZE], publication[CDC_NAME_SIZE]; /* defaults filled in */
    uint64_t options; /* hash for the cursor: what decides how changes are counted */

    /* The connections, owned; NULL while not started. */
    struct stream *stream;
    struct spool *spool; /* streaming: true; lives as long as the source */
    struct side side;
    struct catalog *catalog;
    struct relations *relations;
    struct stream_identity identity;

    /* Reading. */
    struct intake intake;
    struct txn txn;
    struct arena scratch; /* what the changes handed out last borrow */
    struct stream_message message;
    bool holding;         /* `message` waits: the batch has no room, or the catalogs are asked */
    bool asking;          /* a catalog query for `message` is under way */
    uint64_t claim_lsn;   /* the LSN of a keepalive that is being checked (cdc_judge_claim) */
    uint64_t claim_state; /* number of the slot state that decides about it; 0: none is checked */
    uint64_t claim_next;  /* LSN of the newest keepalive since then; 0 none */
    bool more;            /* the last read stopped although there may be more: read again at once */
    bool failed;          /* the next read has to return `deferred` */
    struct error deferred;
    struct cdc_fault fault;
    uint32_t last_oid; /* table of the last row, a cache for the two below; 0 none */
    const struct change_table *last_table;
    const struct intake_table *last_mark;

    /* The initial snapshot, or one that was asked for; NULL when there is none, or it is over. */
    struct snapshot *snapshot;
    bool snapshot_ended;      /* to be closed by the next read */
    bool snapshot_taken;      /* this process has completed one, or must not take one */
    int64_t progress_at_us;   /* monotonic; when to log the progress next */
    struct buf snapshot_text; /* its state behind the row given last, for cursors */
    struct buf row_id;
    const struct change_table *row_table; /* of the row given last */
    struct intake_table *row_mark;
    struct intake_table *old_marks; /* of tables before it in the same read, whose events may point
                                       into them; linked by `next` */

    /* Snapshots that were asked for while the stream goes on (ad_hoc.c). */
    struct snapshot_requests requests;
    bool requested; /* `snapshot` is of the first of them, not the initial one */
    bool settle;    /* signals were obeyed: the stream waits for the next read */
    bool disowned;  /* it was stopped or paused: the next read closes `snapshot` */
    struct opening
        *opening;           /* of the first of them; NULL: none. The stream is not read meanwhile */
    struct signal *signals; /* of the transaction that is being received */
    size_t signals_count;
    char given_up[256]; /* why the last one could not be read; "" */

    /* For cdc_lag while there is no connection: what was known when the last one was closed. */
    struct slot_state slot_state;
    bool slot_told;     /* slot_state is set */
    int64_t waiting_us; /* commit time of the transaction that was being received; 0 none */

    /* What the server may be told. */
    uint64_t saved;   /* `start` of the cursor that was saved last: this may be confirmed */
    uint64_t offered; /* `start` when source_moved last asked for a save */
    bool unsaved;     /* the cursor changed although `start` did not: the snapshot is over, or the
                         server was promoted */
    bool gave, txn_gave; /* since `offered`, a transaction with events has ended; the open one has
                            given events */
    bool reply_wanted;   /* the server waits for our confirmation */
    int64_t moved_at_us; /* monotonic; when source_moved last asked for a save */

    /* --until-idle: the end of the server's WAL when the source first had nothing to read. */
    uint64_t idle_state; /* number of the slot state that tells it; 0: not asked for yet */
    uint64_t idle_lsn;   /* 0: not known yet */
};

/* connections.c */
/* Connects, and waits for it (connect_timeout); the result is the caller's to close. RETRY or
 * CONFIG, as db/pg.h and cdc/stream/stream.h say. */
int cdc_connect_sql(const struct cdc_source *s, struct pg **ret, struct error *err) MUST_CHECK;
int cdc_connect_stream(const struct cdc_source *s, struct stream **ret,
                       struct error *err) MUST_CHECK;
/* Asks for the state of the slot on `sql`, which has to be idle, and waits for the answer, at most
 * read_timeout. RETRY: no answer. */
int cdc_ask_state(const struct cdc_source *s, struct pg *sql, struct slot_state *ret,
                  struct error *err) MUST_CHECK;
/* Closes the connections and forgets what was under way. Handed out changes stay valid. May be
 * called twice. */
void cdc_drop(struct cdc_source *s);

/* start.c */
int cdc_start(void *source, struct slice cursor, int64_t epoch, struct error *err) MUST_CHECK;

/* read.c */
int cdc_read(void *source, struct batch *batch, size_t max_events, size_t max_bytes,
             struct error *err) MUST_CHECK;

/* Goes on asking the catalogs for the Relation message that waits. AGAIN until the answer is there.
 * Also called while the pipeline may not read: nobody else takes the answers of the side
 * connection, and its other queries would wait behind this one. */
int cdc_ask(struct cdc_source *s, struct error *err) MUST_CHECK;

/* claim.c */
/* Takes note that the server claims to have sent everything before `lsn`. */
void cdc_claim_idle(struct cdc_source *s, uint64_t lsn);
/* Checks the keepalive that cdc_claim_idle noted, once the slot's state has come. DONE also while
 * it has not. RETRY: the server's WAL does not reach that far, so the keepalive was damaged. */
int cdc_judge_claim(struct cdc_source *s, struct error *err) MUST_CHECK;

/* fault.c: both rewrite *err with the place in the stream, and always return RESULT_ERROR.
 * cdc_senseless: the message makes no sense, as err->text says. RETRY, FATAL the second time.
 * cdc_refused: the server has sent the error in *err. If it is about the data: RETRY, CONFIG the
 * third time; else *err stays. */
int cdc_senseless(struct cdc_source *s, struct error *err);
int cdc_refused(struct cdc_source *s, struct error *err);

/* initial.c */
/* As cdc_read, for rows of the snapshot. At its end sets snapshot_ended. */
int cdc_snapshot_read(struct cdc_source *s, struct batch *batch, size_t max_events,
                      size_t max_bytes, struct error *err) MUST_CHECK;

/* held.c */
void cdc_snapshot_close(struct cdc_source *s); /* may be called twice */
/* Frees what the events of the read before pointed to. */
void cdc_free_old_marks(struct cdc_source *s);
/* What the options of every snapshot have in common. */
struct snapshot_options cdc_snapshot_options(const struct cdc_source *s);
/* Writes the state of the snapshot and of what was asked for to snapshot_text, for the cursors. */
void cdc_snapshot_note(struct cdc_source *s);

/* ad_hoc.c */
/* Takes note of a signal, a row of source.signal_table (of last_table; CELLS as it has columns). It
 * is obeyed when the transaction's end comes. */
void cdc_signal_row(struct cdc_source *s, const struct cell *cells);
/* A transaction begins: forgets what was noted. */
void cdc_signals_clear(struct cdc_source *s);
/* Its end came: obeys what was noted, in that order. True: there was something, and the stream must
 * not be read on before the next cdc_ad_hoc_settle. */
bool cdc_signals_obey(struct cdc_source *s);
/* Closes a snapshot that was stopped, and opens the next one that was asked for. AGAIN: it is being
 * opened, and the stream has to wait. RETRY: it cannot be opened now. */
int cdc_ad_hoc_settle(struct cdc_source *s, struct error *err) MUST_CHECK;
/* The snapshot of the first request is over, with all its rows given. */
void cdc_ad_hoc_ended(struct cdc_source *s);
/* It failed with *err. DONE: the request is dropped, and the log says so. ERROR: it is to be tried
 * again (RETRY), or it is a bug. */
int cdc_ad_hoc_failed(struct cdc_source *s, struct error *err) MUST_CHECK;
/* ask.c: see contract/source_signal.h. */
int cdc_signal(void *source, const struct source_signal *what, struct buf *ret_order,
               struct error *err) MUST_CHECK;
int cdc_obey(void *source, struct slice cursor, const char *order, struct buf *ret_cursor,
             struct buf *ret_said, struct error *err) MUST_CHECK;

/* Opened for `verify`: gives the rows of its tables, and nothing of the stream. */
static inline bool cdc_reads_tables(const struct cdc_source *s)
{
    return s->env->observe && s->env->range && s->conf->as == CDC_AS_CHANGES;
}

/* frontier.c: see source_ops. */
int cdc_frontier(void *source, struct slice cursor, struct buf *out, struct error *err);
void cdc_polled(const void *conf, struct source_polled *ret);
enum source_when cdc_when(void *source, struct slice id, char out[SOURCE_WHEN_SIZE]);

/* place.c */
void cdc_cursor(void *source, const struct batch *batch, size_t index, struct buf *out);
int cdc_position(void *source, const char *text, struct buf *ret_cursor,
                 struct error *err) MUST_CHECK;
int cdc_resumes(void *source, struct slice cursor, struct error *err) MUST_CHECK;
void cdc_describe(struct slice cursor, struct buf *out);
int cdc_look(void *source, struct slice cursor, struct source_lag *ret,
             struct error *err) MUST_CHECK;

/* lag.c */
void cdc_lag(void *source, struct source_lag *ret);
/* What the slot's state says of the lag behind `delivered` (0: nothing yet). Fills *ret. */
void cdc_lag_of_state(const struct slot_state *state, const char *slot, uint64_t delivered,
                      struct source_lag *ret);
/* Keeps for cdc_lag what is known now. To be called before the connections are closed. */
void cdc_keep_lag(struct cdc_source *s);
