/*
 * One connection to one of the servers by AMQP 1.0, with a sender for each address. Proton only
 * knows the protocol; bytes go by a wire that does not block (wire.h). Example:
 *
 *     rc = amqp_link_open(&l, &err);              RESULT_AGAIN: poll, and call it again
 *     s = amqp_link_sender(&l, address);          attaches it, if need be
 *     if (amqp_sender_ready(&l, s)) amqp_link_send(&l, s, 17, bytes);
 *     rc = amqp_link_run(&l, &err);               writes and reads; calls l.answer for the token 17
 *
 * A message that is accepted is not always stored. Artemis accepts a message for a topic that
 * nobody is subscribed to, and drops it. An address that Artemis makes by itself is a topic, unless
 * a queue was asked for. So a sender asks for a queue (the target capability "queue"). Then Artemis
 * refuses an address that has no queue and may not get one. It looks when the sender attaches, and
 * again at each message.
 *
 * The pipeline's thread only; nothing waits.
 */
#pragma once

#include "contract/sink.h"
#include "sink/amqp/conf.h"
#include "sink/amqp/wire.h"
#include <proton/connection_driver.h>

/* Senders at a time; beyond it, one that has nothing to do makes room. */
enum { AMQP_SENDERS_MAX = 256 };

/* ATTACHING: asked for. REFUSED: there is no such address. */
enum amqp_sender_state { SENDER_ATTACHING, SENDER_UP, SENDER_REFUSED };

struct amqp_sender {
    char *address;
    enum amqp_sender_state state;
    struct error refusal; /* POISON; of REFUSED */
    pn_link_t *link;
    int64_t since_us; /* when it was asked for */
    uint64_t used;    /* larger: used later */
    size_t pending;   /* the owner's: messages for it that are not done. Not 0: it stays */
};

enum amqp_link_state { AMQP_DOWN, AMQP_DIALLING, AMQP_GREETING, AMQP_UP };

struct amqp_link {
    /* Set before the first use. */
    const struct amqp_conf *conf;
    const struct amqp_servers *servers;
    const struct sink_env *env;
    const char *fixed; /* the address of all events: there before the link is open; NULL: none */
    /* Called by amqp_link_run for each message that has an answer. refusal: NULL if it is
     * delivered. */
    void (*answer)(void *ctx, uint64_t token, const struct error *refusal);
    void *ctx;

    struct amqp_wire wire;
    enum amqp_link_state state;
    size_t current, left; /* the server's number; servers that were not tried yet */
    int64_t deadline_us;  /* of what leads to AMQP_UP */
    struct error tried;   /* why the servers tried so far have failed; class NONE: none has */
    pn_connection_driver_t driver; /* there while state is AMQP_GREETING or AMQP_UP */
    pn_session_t *session;
    bool opened;          /* the server has opened the connection, too */
    bool unsent;          /* bytes are to be written */
    bool more;            /* there may be something to read */
    struct error failure; /* class not NONE: the connection is of no use */
    int64_t tick_us;      /* when Proton wants to be called again */
    struct amqp_sender *senders[AMQP_SENDERS_MAX];
    size_t senders_count;
    uint64_t uses;  /* a counter */
    uint64_t names; /* one that begins anywhere: nobody else's links have these names */
    size_t queued;  /* bytes of messages that wait for the socket, about */
    /* Messages that were sent here and are not answered; those of a sender that made room stay. */
    size_t unanswered;
};

/* No I/O. */
void amqp_link_init(struct amqp_link *l);
/* Frees everything; see amqp_wire_release. */
void amqp_link_release(struct amqp_link *l);

/* Connects to the servers in turn, beginning with the one of the last connection. AGAIN: not yet;
 * amqp_link_poll_fds says what to wait for. When no server is left: RETRY (or BUSY) if one of them
 * may come back, else CONFIG; the text names each. */
int amqp_link_open(struct amqp_link *l, struct error *err) MUST_CHECK;

/* Writes and reads what there is. ERROR: the connection is of no use any more. */
int amqp_link_run(struct amqp_link *l, struct error *err) MUST_CHECK;

/* Ends the connection; senders are gone then. If it works and nothing is under way, with a goodbye.
 * Else what was not sent is thrown away, by the kernel too: once there is another connection, it
 * would come behind newer events of its key. */
void amqp_link_close(struct amqp_link *l);

void amqp_link_poll_fds(const struct amqp_link *l, struct poll_set *set);

/* The server that is connected, for people. */
static inline const char *amqp_link_server(const struct amqp_link *l)
{
    return l->servers->items[l->current].shown;
}

/* --- senders.c --- */

/* The sender for an address, attached now if there is none. NULL: all places are in use. */
struct amqp_sender *amqp_link_sender(struct amqp_link *l, struct slice address);

/* Whether the server takes a message now. */
bool amqp_sender_ready(const struct amqp_link *l, const struct amqp_sender *s);
/* Whether it only takes none because it has given no credit. */
bool amqp_sender_starves(const struct amqp_sender *s);
/* The largest message that the server takes, in bytes; 0: it has named none. */
uint64_t amqp_sender_max(const struct amqp_sender *s);

/* Sends a message to a sender that is ready. */
void amqp_link_send(struct amqp_link *l, struct amqp_sender *s, uint64_t token, struct slice bytes);

/* For link.c. */
void amqp_senders_event(struct amqp_link *l, pn_event_t *e);
void amqp_senders_clear(struct amqp_link *l);
/* Fills l->failure if a sender was asked for too long ago. */
void amqp_senders_watch(struct amqp_link *l);
int64_t amqp_senders_deadline(const struct amqp_link *l);
