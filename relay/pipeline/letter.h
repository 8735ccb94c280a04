/*
 * Between events and what the store keeps of them: dead letters, and events that wait behind one.
 *
 * Private to relay/pipeline, used by the pipeline's thread only.
 */
#pragma once

#include "base/clock.h"
#include "contract/store.h"
#include "model/event.h"

struct pipeline;

/* What the store is to keep of the event. Its slices are the event's, but for the time, which may
 * be in created[]. Reason and code are set for one that is poison; all about failures is not. */
struct store_dead_letter letter_of(const struct event *e, char created[CLOCK_RFC3339_SIZE]);

/* Makes the event again, as it was edited, at the end of the batch, which gets copies. It still has
 * to be prepared (feed_prepare_again). */
struct event *letter_event(const struct pipeline *p, struct batch *b,
                           const struct store_dead_letter *stored);

/* False: without a payload of its own, what would be sent is not the event. */
bool letter_holds_event(const struct store_dead_letter *d);

/* Counts the open dead letters again, for the metric. ERROR: the store failed. */
int letter_count(struct pipeline *p, struct error *err) MUST_CHECK;
