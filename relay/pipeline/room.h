/*
 * What a pipeline holds in memory, and how much more it may read: max_in_flight,
 * max_in_flight_bytes. Back-pressure is simply not reading. Private to relay/pipeline, used by the
 * pipeline's thread only.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct pipeline;
struct batch;

/* Reading makes sense now: nothing forbids it and there is enough room. */
bool room_may_read(const struct pipeline *p);

/* How much `read` may give now. Only while room_may_read. */
size_t room_events(const struct pipeline *p);
size_t room_bytes(const struct pipeline *p);

/* How many events were read since the start and not dropped: settled ones and those in hand. */
uint64_t room_read_count(const struct pipeline *p);

/* Forgets what is not put; it can be read again. */
void room_drop_waiting(struct pipeline *p);

/* What was put and is not settled waits again, to be put under new tokens. */
void room_rewind(struct pipeline *p);

/* An empty batch for the next read; one is kept for reuse when it is given back. */
struct batch *room_empty_batch(struct pipeline *p);
void room_give_back(struct pipeline *p, struct batch *take_batch);
