/*
 * The queues of a connection, and who holds it: the owner, its thread, and libnats, which lets go
 * of it last, after the connection was destroyed.
 */
#include "sink/nats/internal.h"

#include "base/memory.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void link_ring(int fd)
{
    uint64_t one = 1;
    ssize_t n UNUSED = write(fd, &one, sizeof one);
}

void link_unring(int fd)
{
    uint64_t all;
    ssize_t n UNUSED = read(fd, &all, sizeof all);
}

/* --- queues --- */

void link_queue_add(struct nats_queue *q, natsMsg *take_msg)
{
    if (q->count == q->cap && q->at > q->cap / 2) {
        memmove(q->items, q->items + q->at, (q->count - q->at) * sizeof *q->items);
        q->count -= q->at;
        q->at = 0;
    }
    if (q->count == q->cap) {
        q->cap = q->cap ? 2 * q->cap : 256;
        q->items = memory_need(realloc(q->items, q->cap * sizeof(natsMsg *)));
    }
    q->items[q->count++] = take_msg;
}

void link_queue_clear(struct nats_queue *q)
{
    for (; q->at < q->count; q->at++) {
        natsMsg_Destroy(q->items[q->at]);
    }
    q->at = q->count = 0;
}

void link_answers_add(struct nats_answers *a, struct nats_answer answer)
{
    if (a->count == a->cap) {
        a->cap = a->cap ? 2 * a->cap : 256;
        a->items = memory_need(realloc(a->items, a->cap * sizeof *a->items));
    }
    a->items[a->count++] = answer;
}

void link_answers_clear(struct nats_answers *a)
{
    for (; a->at < a->count; a->at++) {
        natsMsg_Destroy(a->items[a->at].refusal);
    }
    a->at = a->count = 0;
}

void link_answers_release(struct nats_answers *a)
{
    link_answers_clear(a);
    free(a->items);
    memset(a, 0, sizeof *a);
}

/* --- who holds it --- */

void link_retain(struct nats_link *l)
{
    pthread_mutex_lock(&l->lock);
    l->refs++;
    pthread_mutex_unlock(&l->lock);
}

void link_release(struct nats_link *l)
{
    if (!l) {
        return;
    }
    pthread_mutex_lock(&l->lock);
    bool last = --l->refs == 0;
    pthread_mutex_unlock(&l->lock);
    if (!last) {
        return;
    }
    link_queue_clear(&l->staged);
    link_queue_clear(&l->queue);
    free(l->staged.items);
    free(l->queue.items);
    link_answers_release(&l->answers);
    natsOptions_Destroy(l->options);
    pthread_mutex_destroy(&l->lock);
    close(l->wake_fd);
    close(l->news_fd);
    free(l);
}
