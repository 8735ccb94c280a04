/* Timers of the stream. The server hears from us well before its own timeout, because it would
 * close the connection. We give the server up only after it was asked for a reply and sent none: a
 * server with nothing to say is silent, too. */
#include "cdc/stream/timer.h"

#include "base/clock.h"

#define INTERVAL_MAX_US (10 * US_PER_SECOND)
#define SILENCE_MIN_US US_PER_SECOND
#define SILENCE_UNKNOWN_US (30 * US_PER_SECOND)

/* A reply that the server asked for is sent this much later, unless the source has something new to
 * confirm before. Without the delay, a server that shuts down would ask again after every reply,
 * and both sides would be busy with that until the last event is saved. */
#define REPLY_WAIT_US (50 * US_PER_MS)

static int64_t least(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

void stream_timer_init(struct stream_timer *t, int64_t wal_sender_timeout_us,
                       int64_t read_timeout_us, int64_t now_us)
{
    int64_t w = wal_sender_timeout_us;
    int64_t silence = w > 0 ? w / 2 : SILENCE_UNKNOWN_US;
    *t = (struct stream_timer){.interval_us =
                                   w > 0 ? least(INTERVAL_MAX_US, w / 3) : INTERVAL_MAX_US,
                               .silence_us = silence > SILENCE_MIN_US ? silence : SILENCE_MIN_US,
                               .read_timeout_us = read_timeout_us,
                               .status_at_us = now_us,
                               .heard_us = now_us};
}

void stream_timer_heard(struct stream_timer *t, int64_t now_us)
{
    t->heard_us = now_us;
    t->asked_us = 0;
}

void stream_timer_reply_wanted(struct stream_timer *t, int64_t now_us)
{
    t->status_at_us = least(t->status_at_us, now_us + least(REPLY_WAIT_US, t->interval_us));
}

void stream_timer_sent(struct stream_timer *t, bool asked, int64_t now_us)
{
    t->status_at_us = now_us + t->interval_us;
    if (asked && t->asked_us == 0) {
        t->asked_us = now_us;
    }
}

enum stream_due stream_timer_due(const struct stream_timer *t, int64_t now_us)
{
    if (t->asked_us != 0 && now_us - t->asked_us >= t->read_timeout_us) {
        return STREAM_DUE_DEAD;
    }
    if (t->asked_us == 0 && now_us - t->heard_us >= t->silence_us) {
        return STREAM_DUE_ASK;
    }
    return now_us >= t->status_at_us ? STREAM_DUE_STATUS : STREAM_DUE_NOTHING;
}

int64_t stream_timer_deadline(const struct stream_timer *t)
{
    int64_t life =
        t->asked_us != 0 ? t->asked_us + t->read_timeout_us : t->heard_us + t->silence_us;
    return least(life, t->status_at_us);
}
