/*
 * One message of a key at a time, for receivers that acknowledge message by message (RabbitMQ,
 * JetStream, AMQP 1.0). Such a receiver may refuse a message (it is full, it has no leader) and
 * take the next one. If both were of one key, the second message would arrive before the first. So
 * the next message of a key is sent when the one before it is acknowledged. Messages of different
 * keys are under way together.
 *
 * Example: events 1 (key a), 2 (key b), 3 (key a). 1 and 2 are sent at once. 3 waits in its lane
 * until lanes_done says that 1 is done.
 *
 * Keys are told apart by a hash, so two keys may share a lane: they then wait for each other, which
 * costs time and nothing else. An event without a key waits for nobody.
 *
 * Plain memory; the pipeline's thread only. Memory running out ends the process.
 */
#pragma once

#include "base/clock.h"
#include "base/slice.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct lane_entry;

struct lanes {
    struct lane_entry *ring; /* by token; a power of 2 long */
    size_t cap;
    uint64_t head, end; /* tokens head to end - 1 are in the ring */
    size_t open;        /* of those, not done */
    uint64_t *last;     /* by lane: the newest token in it, or one that is done */
    size_t lanes;
    uint64_t oldest, newest; /* of what was sent and is not done, by the time; 0: none */
    void (*drop)(void *load);
};

/* max: how many messages may be in it at a time, about. drop: frees a load that was not taken, and
 * an answer of lanes_refuse. */
void lanes_init(struct lanes *l, size_t max, void (*drop)(void *load));
void lanes_release(struct lanes *l);

/* Forgets all messages. */
void lanes_clear(struct lanes *l);

/* Adds a message. Tokens only rise, and may leave gaps. take_load is the lanes' from now on; about
 * is borrowed until the message is done or forgotten. True: it may be sent now. */
bool lanes_add(struct lanes *l, uint64_t token, struct slice key, void *take_load,
               const void *about);

/* The load of a message that was added and not taken; borrowed. */
void *lanes_load(const struct lanes *l, uint64_t token);

/* The message is being sent now: its load, which is the caller's from now on. */
void *lanes_take(struct lanes *l, uint64_t token, int64_t now_us);

/* A message that was taken is acknowledged, or it was refused and is passed over. False: there is
 * no message of this token. *ret_next: the message that may be sent now, 0 if none. */
bool lanes_done(struct lanes *l, uint64_t token, uint64_t *ret_next);

/* A message that was taken is refused: its lane stands still until it is done. take_answer says
 * why, and is the lanes' from now on. False, and take_answer stays the caller's: there is no such
 * message under way. */
bool lanes_refuse(struct lanes *l, uint64_t token, void *take_answer);

/* The answer to the first message that is not done, if it was refused; else NULL. Borrowed. */
void *lanes_first_refused(const struct lanes *l);

/* The `about` of a message that was taken and is not done; NULL: there is none of this token. */
const void *lanes_about(const struct lanes *l, uint64_t token);

/* The first message that is not done; 0: there is none. */
uint64_t lanes_first(const struct lanes *l);

/* When the message was taken that waits longest; DEADLINE_NEVER if none does. Monotonic. */
int64_t lanes_oldest_us(const struct lanes *l);
