/*
 * The state of a connection, shared by the files that make it up:
 *   link.c        what its owner calls
 *   link_run.c    its thread, and what libnats calls on its own threads
 *   link_parts.c  the queues, and who holds it
 *
 * Private to these files. link.h says which thread does what.
 */
#pragma once

#include "sink/nats/link.h"

#include <pthread.h>

/* Behind the token in the subject of an answer: the message was sent apart. */
#define LINK_APART "-apart"

/* Messages, oldest first; at..count are there. */
struct nats_queue {
    natsMsg **items;
    size_t count, cap, at;
};

struct nats_link {
    /* Set before the thread starts, or by it before the link is up. */
    char where[512], inbox[64], url[NATS_SERVER_SIZE];
    natsOptions *options; /* the thread's */
    int64_t max_payload;
    int wake_fd; /* for the thread */
    int news_fd; /* for the owner */
    /* The owner's. */
    struct nats_queue staged;

    pthread_mutex_t lock;
    int refs; /* all below: under the lock */
    enum link_state state;
    struct error error; /* class NONE: none yet */
    bool ending, gone;
    int fd; /* libnats' socket; -1: there is none */
    bool want_write;
    struct nats_queue queue;
    struct nats_answers answers;
};

/* Descriptors by which threads wake each other (eventfd). */
void link_ring(int fd);
void link_unring(int fd);

/* The queue's from now on. Clearing destroys what is in it. */
void link_queue_add(struct nats_queue *q, natsMsg *take_msg);
void link_queue_clear(struct nats_queue *q);
void link_answers_add(struct nats_answers *a, struct nats_answer answer);
void link_answers_clear(struct nats_answers *a);

/* Whoever holds a link lets go of it with link_release, on whatever thread; the last one frees it.
 */
void link_retain(struct nats_link *l);

/* Hands the link to libnats for its callbacks. RETRY. */
int link_callbacks(struct nats_link *l, struct error *err) MUST_CHECK;

/* The thread, from the connection to its end; it holds the link, and lets go of it. */
void *link_run(void *link);
