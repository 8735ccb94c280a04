/*
 * The ordinary SQL connection beside the stream: one question at a time, never waiting.
 *
 * It tells how the slot stands, sends heartbeats, asks the catalogs for what turns up, and is the
 * signal that the server is going down: a fast shutdown ends ordinary sessions at once (57P01),
 * while the walsender waits for its client. One thread.
 */
#pragma once

#include "cdc/decode/catalog.h"
#include "cdc/heartbeat.h"
#include "cdc/preflight/preflight.h"

enum side_question { SIDE_NOTHING, SIDE_STATE, SIDE_WATCH, SIDE_HEARTBEAT, SIDE_CATALOG };

struct side {
    struct pg *sql; /* owned */
    const struct cdc_conf *conf;
    const char *slot, *publication;
    enum side_question asked;
    int64_t state_at_us;      /* monotonic; when to ask for the state next */
    int64_t watch_at_us;      /* and for what the publication has */
    uint64_t asked_n, told_n; /* states asked for and told, to know a fresh one */
    uint64_t wanted_n;        /* the one that somebody waits for */
    struct slot_state state;  /* the last one told */
    struct heartbeat heartbeat;
};

/* `sql` is idle. The first state is asked for at once. */
void side_start(struct side *s, struct pg *sql, const struct cdc_conf *conf, const char *slot,
                const char *publication);
void side_close(struct side *s);

/* Takes what has come and asks what is due. RETRY: the connection is gone. CONFIG: so is the
 * publication, or a table of it that is wanted. */
int side_tend(struct side *s, struct error *err) MUST_CHECK;
void side_poll_fds(struct side *s, struct poll_set *set);

/* The next state is asked for now; it is there when told_n reaches the number given back. */
uint64_t side_want_state(struct side *s);

/* catalog_ask over this connection. */
int side_ask_catalog(struct side *s, struct catalog *catalog,
                     const struct pgoutput_message *relation, struct error *err) MUST_CHECK;
