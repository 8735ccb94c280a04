/*
 * The ordinary SQL connection beside the stream. It has one query under way at a time, and no
 * function here waits for the answer.
 *
 * It asks for the state of the slot, watches the publication, sends heartbeats, and reads the
 * catalogs when the stream describes a table. It also shows that the server is going down: a fast
 * shutdown ends ordinary sessions at once (57P01), while a walsender waits for its client to take
 * all that is left. The pipeline's thread only.
 */
#pragma once

#include "cdc/decode/catalog.h"
#include "cdc/heartbeat.h"
#include "cdc/preflight/preflight.h"

/* The query that is under way. SIDE_FAILED: one that has failed, and whose end has not come yet. */
enum side_question {
    SIDE_NOTHING,
    SIDE_STATE,
    SIDE_WATCH,
    SIDE_HEARTBEAT,
    SIDE_CATALOG,
    SIDE_FAILED
};

struct side {
    struct pg *sql; /* owned */
    const struct cdc_conf *conf;
    const char *slot, *publication;
    enum side_question asked;
    int64_t state_at_us;      /* monotonic; when to ask for the slot's state next */
    int64_t watch_at_us;      /* monotonic; when to look at the publication next */
    uint64_t asked_n, told_n; /* number of the last state asked for, and of the last one received */
    uint64_t wanted_n;        /* the number that side_want_state gave last */
    struct slot_state state;  /* the last one received; valid if told_n > 0 */
    struct heartbeat heartbeat;
};

/* Takes over `sql`, on which the end of a failed query may still be to come, and borrows the rest
 * until side_close. The first state is asked for by the first side_tend. Close may be called twice.
 */
void side_start(struct side *s, struct pg *sql, const struct cdc_conf *conf, const char *slot,
                const char *publication);
void side_close(struct side *s);

/* Takes the answer if it is there, and sends the next query if one is due. Never waits. RETRY: the
 * connection is lost. CONFIG: the publication, or a wanted table of it, is not there any more. */
int side_tend(struct side *s, struct error *err) MUST_CHECK;
/* Adds what side_tend has to be called for: the socket, and the time of the next query. */
void side_poll_fds(struct side *s, struct poll_set *set);

/* Asks for a state that is newer than this call. It is in `state` once told_n has reached the
 * number that is returned. A query already under way does not count: the server may have answered
 * it before. */
uint64_t side_want_state(struct side *s);

/* catalog_ask over this connection. AGAIN: the answer, or the one to an earlier query, is not there
 * yet; call again with the same relation. RETRY: the connection is lost. */
int side_ask_catalog(struct side *s, struct catalog *catalog,
                     const struct pgoutput_message *relation, struct error *err) MUST_CHECK;
