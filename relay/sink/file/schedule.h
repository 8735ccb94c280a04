/*
 * When files are complete by the clock: at the times of a cron expression. A time that has come is
 * `due` until it is served, by a file or because there was nothing to send. It is ready to be
 * served once the source was read to its end after it: then all that was committed before the time
 * is in the file.
 *
 * Times that pass while nobody looks (the relay is down) count as one, which is due at the next
 * start. Wall clock, in seconds since 1970; the caller says what time it is. One thread.
 */
#pragma once

#include "value/cron.h"

struct file_schedule {
    bool on; /* there is one; else the rest is not used */
    struct cron cron;
    struct zone *zone;
    int64_t served; /* the last time that was; 0: none is known */
    int64_t due;    /* when it was seen that one or more have come; 0: none */
    bool read_on;   /* the source was read to its end since `due` */
    int64_t next;   /* the next time */
};

/* `text` "" leaves it off. CONFIG for a wrong expression or zone. */
int file_schedule_open(struct file_schedule *s, const char *text, const char *zone,
                       struct error *err) MUST_CHECK;
void file_schedule_release(struct file_schedule *s);

/* A start: the last time served, as it was kept (0: unknown, then the schedule begins now). */
void file_schedule_begin(struct file_schedule *s, int64_t served, int64_t now);

/* The source was read to its end. */
void file_schedule_caught_up(struct file_schedule *s, int64_t now);

/* Whether a file that has events is to be completed. After `patience` seconds also if the source
 * was never read to its end, because it always had more. */
bool file_schedule_ready(struct file_schedule *s, int64_t now, int64_t patience);

/* Whether a time is due and there was nothing to send. Only for a caller that has no event. */
bool file_schedule_quiet(struct file_schedule *s, int64_t now);

/* All that was put is put again: the source has to be read to its end once more. */
void file_schedule_rewind(struct file_schedule *s);

/* Times up to this one are served, durably. */
void file_schedule_serve(struct file_schedule *s, int64_t time);
