/*
 * What a pipeline holds in memory, and how much more it may read: at most delivery.max_in_flight
 * events and delivery.max_in_flight_bytes bytes, and for some sinks as many events as keep them
 * busy (flight.h). This is the back-pressure: a slow sink settles
 * nothing, the room fills up, and the pipeline stops reading.
 *
 * Private to relay/pipeline, used by the pipeline's thread only. Nothing here fails.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct pipeline;
struct batch;

/* Whether to read now: no pause, drain or block forbids it, and there is enough room. */
bool room_may_read(const struct pipeline *p);

/* How many events and bytes the next read may give. Only while room_may_read. */
size_t room_events(const struct pipeline *p);
size_t room_bytes(const struct pipeline *p);

/* How many events were read since the start and not dropped: settled, open and waiting ones. */
uint64_t room_read_count(const struct pipeline *p);

/* Forgets the events that are not put, those of a read under way too. They can be read again, but
 * only after the source was started again (`dropped`). */
void room_drop_waiting(struct pipeline *p);

/* All open events wait again, to be put under new tokens. */
void room_rewind(struct pipeline *p);

/* A batch was admitted: remembers how much is held, and when that was. */
void room_took(struct pipeline *p);

/* Once nothing was read for some seconds and nothing is in hand, gives the memory of a burst back
 * to the system. To be called now and then. */
void room_rest(struct pipeline *p);

/* An empty batch, which is the caller's. Give it back when it is not needed: one is kept for
 * reuse. */
struct batch *room_empty_batch(struct pipeline *p);
void room_give_back(struct pipeline *p, struct batch *take_batch);
