/*
 * Subjects that no stream takes. The server says so of a subject for which there is no stream, and
 * also while a stream has no leader, or the server has just started. So such an event is tried
 * again for a while. What is then to blame depends on where the subject comes from: the
 * configuration alone, or the event.
 *
 * Example, sink.subject "{topic}": one row's topic is "oders". Its message has no stream for five
 * seconds, while those of other subjects are stored: that row is to blame. If nothing at all was
 * stored meanwhile, the stream is gone, and no row is to blame for it.
 *
 * Plain memory; the pipeline's thread.
 */
#pragma once

#include "base/clock.h"
#include "base/error.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { NATS_MISSING_MAX = 32 };

struct nats_missing {
    struct {
        uint64_t subject; /* a hash of it */
        int64_t since_us, seen_us;
    } items[NATS_MISSING_MAX];
    size_t count;
    int64_t stored_us; /* when a stream has stored a message last */
};

/* No stream takes a message with this subject. patience_us: for so long nobody is to blame.
 * of_event: the subject is made of the event. Times are monotonic. Sets the class of *err: RETRY,
 * CONFIG, or POISON if it is the event's fault. */
void nats_missing_seen(struct nats_missing *m, const char *subject, bool of_event,
                       int64_t patience_us, int64_t now_us, struct error *err);

/* A stream has stored a message. subject: of it; any text while none is missing (count 0). */
void nats_missing_stored(struct nats_missing *m, const char *subject, int64_t now_us);
