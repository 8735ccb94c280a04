/*
 * One connection to NATS, on a thread of its own: libnats may block there (name resolution, TLS)
 * and does not block the pipeline. Messages go in through a queue, answers come out through
 * another; both are under one lock, and so are the few things that libnats' own threads tell
 * (answers, refused permissions). Nothing of the pipeline is touched by any other thread.
 *
 *   pipeline's thread     link_send ──▶ queue ──▶ the link's thread ──▶ server
 *                         link_answers ◀── queue ◀── libnats' delivery thread ◀──┘
 *
 * A link never connects again: once it is down, a new one is made. It is freed when its owner has
 * released it and libnats has let go of it, whichever comes last; so a thread that hangs in a TLS
 * handshake costs memory, and nobody waits for it.
 *
 * All functions are called by the owner's thread and do not wait.
 */
#pragma once

#include "sink/nats/dial.h"

struct nats_link;

enum link_state { LINK_CONNECTING, LINK_UP, LINK_DOWN };

/* An answer to the message of this token. */
struct nats_answer {
    uint64_t token;
    natsMsg *refusal; /* NULL: the stream has stored the message. The receiver destroys it. */
    bool known;       /* it was not sent apart, and the stream has dropped it for one of that id */
};

/* Answers in the order in which they came; at..count are to be read. */
struct nats_answers {
    struct nats_answer *items;
    size_t count, cap, at;
};

/* Begins to connect; link_fd is readable once that has ended. The caller releases *ret. RETRY if
 * threads or descriptors are short, CONFIG as nats_dial_options. */
int link_new(const struct nats_conf *c, const struct nats_servers *servers, const char *pipeline,
             struct nats_link **ret, struct error *err) MUST_CHECK;

/* Readable when there is something new: a state, an answer. link_clear makes it wait again; call it
 * before looking. */
int link_fd(const struct nats_link *l);
void link_clear(struct nats_link *l);

/* The state. LINK_DOWN, and LINK_UP after the server refused a permission: *err is filled, else its
 * class is ERROR_NONE. */
enum link_state link_state(struct nats_link *l, struct error *err);

/* Of a link that is or was up: the address of its server, the largest message that it takes, and
 * the subject for the answer to a message, sent apart or not (message.h; out: LINK_REPLY_SIZE
 * bytes). */
enum { LINK_REPLY_SIZE = 96 };
const char *link_url(const struct nats_link *l);
int64_t link_max_payload(const struct nats_link *l);
void link_reply(const struct nats_link *l, uint64_t token, bool apart, char out[LINK_REPLY_SIZE]);

/* Stages a message, and sends all that are staged. In order. */
void link_stage(struct nats_link *l, natsMsg *take_msg);
void link_send(struct nats_link *l);

/* Drops what was staged or queued and is not with libnats yet. */
void link_forget(struct nats_link *l);

/* Takes the answers that have come; `into` is emptied first. Its memory goes around: free it with
 * link_answers_release at the end. */
void link_answers(struct nats_link *l, struct nats_answers *into);
void link_answers_release(struct nats_answers *a);

/* Ends the connection without a goodbye: what was not sent is dropped. link_gone: its thread has
 * ended. link_release: the owner does not use it any more; NULL is fine. */
void link_end(struct nats_link *l);
bool link_gone(struct nats_link *l);
void link_release(struct nats_link *l);
