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

/* What the store is to keep of the event. Its slices point into the event or to static texts; the
 * time may lie in created[]. Reason and code are set for an event that is poison. The times and the
 * number of failures are the caller's to set. */
struct store_dead_letter letter_of(const struct event *e, char created[CLOCK_RFC3339_SIZE]);

/* Makes the event again, as it was edited, and adds it to the end of the batch with copies of all
 * texts. It still has to be prepared (feed_prepare_again). */
struct event *letter_event(const struct pipeline *p, struct batch *b,
                           const struct store_dead_letter *stored);

/* False: without a payload of its own, what would be sent is not the event. */
bool letter_holds_event(const struct store_dead_letter *d);

/* Counts the open dead letters again, for the metric. ERROR: the store failed. */
int letter_count(struct pipeline *p, struct error *err) MUST_CHECK;
