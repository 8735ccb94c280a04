/*
 * The CDC source's own state, shared by the files that together are the source:
 *   source.c  the contract, life       start.c    connecting, where to begin
 *   read.c    messages into batches    initial.c  the rows that were there before
 *   place.c   positions, lag, looking from outside
 * Nobody else includes this.
 */
#pragma once

#include "cdc/decode/relation.h"
#include "cdc/intake/intake.h"
#include "cdc/side.h"
#include "cdc/snapshot/snapshot.h"
#include "cdc/spool/spool.h"
#include "cdc/stream/stream.h"

enum { CDC_NAME_SIZE = 64 };

/* Where the stream failed last, and how often one after the other. */
struct cdc_fault {
    unsigned times;
    uint64_t lsn, ordinal;
    char text[200];
};

struct cdc_source {
    const struct cdc_conf *conf;
    const struct source_env *env;
    char slot[CDC_NAME_SIZE], publication[CDC_NAME_SIZE]; /* defaults filled in */
    uint64_t options;                                     /* of the cursor */

    /* Connections and what was learned on them; NULL while not started. */
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
    bool holding;         /* message is not taken yet: no room, or the catalogs are being asked */
    bool asking;          /* the catalogs are being asked */
    uint64_t claim_lsn;   /* what a keepalive says */
    uint64_t claim_state; /* the state that judges it, or 0 */
    uint64_t claim_next;  /* the newest one since; 0 none */
    bool more;            /* reading ended for other reasons than an empty socket */
    bool failed;          /* deferred is to be told by the next read */
    struct error deferred;
    struct cdc_fault fault;
    uint32_t last_oid; /* the table of the last row, and what is kept for it; 0 none */
    const struct change_table *last_table;
    const struct intake_table *last_mark;

    /* The initial snapshot; NULL when there is none, or it is over. */
    struct snapshot *snapshot;
    bool snapshot_ended;      /* to be closed by the next read */
    bool snapshot_taken;      /* this process has completed one, or is to have none */
    int64_t progress_at_us;   /* monotonic; when to tell how far it is */
    struct buf snapshot_text; /* its state behind the row given last */
    struct buf row_id;
    const struct change_table *row_table; /* of the row given last */
    struct intake_table *row_mark;

    /* What was last known of the slot, over every failure; told: there is something. */
    struct slot_state slot_state;
    bool slot_told;
    int64_t waiting_us; /* when what it broke off at was committed; 0 nothing */

    /* What the server may be told. */
    uint64_t saved;   /* start of the cursor that was saved last */
    uint64_t offered; /* start that was last said to be worth saving */
    bool unsaved; /* the place moved in another way: the snapshot is over, the server promoted */
    bool gave, txn_gave; /* a transaction with events has ended; the open one had events */
    bool reply_wanted;   /* the server waits for our confirmation */
    int64_t moved_at_us;

    /* --until-idle: the server's position when it first caught up. */
    uint64_t idle_state; /* the number of the state that tells it; 0: not asked */
    uint64_t idle_lsn;   /* 0: not known */
};

/* source.c */
void cdc_drop(struct cdc_source *s); /* connections and all that was under way */

/* start.c */
int cdc_start(void *source, struct slice cursor, int64_t epoch, struct error *err);
int cdc_connect_sql(const struct cdc_source *s, struct pg **ret, struct error *err);
int cdc_connect_stream(const struct cdc_source *s, struct stream **ret, struct error *err);

/* read.c */
int cdc_read(void *source, struct batch *batch, size_t max_events, size_t max_bytes,
             struct error *err);
/* Whether the server has the position that a keepalive told, once it was asked. RETRY: it has not.
 */
int cdc_judge_claim(struct cdc_source *s, struct error *err) MUST_CHECK;

/* Goes on asking the catalogs for the held relation, also while nothing may be read: nobody else
 * takes what that connection says. AGAIN until it is known. */
int cdc_ask(struct cdc_source *s, struct error *err);
/* fault.c: err->text says what makes no sense, or what the server has said instead of going
 * on; now with the place, and for an operator when it was so before. Always -1. */
int cdc_senseless(struct cdc_source *s, struct error *err);
int cdc_refused(struct cdc_source *s, struct error *err);

/* initial.c */
int cdc_snapshot_read(struct cdc_source *s, struct batch *batch, size_t max_events,
                      size_t max_bytes, struct error *err);
void cdc_snapshot_close(struct cdc_source *s);

/* place.c */
void cdc_cursor(void *source, const struct batch *batch, size_t index, struct buf *out);
int cdc_position(void *source, const char *text, struct buf *ret_cursor, struct error *err);
void cdc_describe(struct slice cursor, struct buf *out);
void cdc_lag(void *source, struct source_lag *ret);
int cdc_look(void *source, struct slice cursor, struct source_lag *ret, struct error *err);
/* How the slot stands, on an idle connection. Waits. */
int cdc_ask_state(const struct cdc_source *s, struct pg *sql, struct slot_state *ret,
                  struct error *err);
/* Keeps for cdc_lag what the connections, which are about to be closed, told. */
void cdc_keep_lag(struct cdc_source *s);
/* What start_from or `position set` says, as far as no server is needed: false for no position. */
bool cdc_place_parse(const char *text, struct cdc_cursor *ret);
