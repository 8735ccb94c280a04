/* Keeps the times of a schedule. */
#include "sink/file/schedule.h"

int file_schedule_open(struct file_schedule *s, const char *text, const char *zone,
                       struct error *err)
{
    *s = (struct file_schedule){.on = text[0] != '\0'};
    if (!s->on) {
        return RESULT_DONE;
    }
    if (cron_read(text, &s->cron, err)) {
        return error_prefix(err, "sink.schedule");
    }
    return zone_open(zone, &s->zone, err) ? error_prefix(err, "sink.timezone") : RESULT_DONE;
}

void file_schedule_release(struct file_schedule *s)
{
    zone_free(s->zone);
    *s = (struct file_schedule){0};
}

/* Takes note of times that have come, however many: served are they all together, now. */
static void look(struct file_schedule *s, int64_t now)
{
    if (now >= s->next) {
        s->due = now;
        s->read_on = false;
        s->next = cron_next(&s->cron, s->zone, now);
    }
}

void file_schedule_begin(struct file_schedule *s, int64_t served, int64_t now)
{
    if (s->on) {
        s->served = served;
        s->due = 0;
        s->next = cron_next(&s->cron, s->zone, served ? served : now);
        look(s, now);
    }
}

void file_schedule_caught_up(struct file_schedule *s, int64_t now)
{
    if (s->on) {
        look(s, now);
        s->read_on = s->due != 0;
    }
}

bool file_schedule_ready(struct file_schedule *s, int64_t now, int64_t patience)
{
    if (!s->on) {
        return false;
    }
    look(s, now);
    return s->due && (s->read_on || now - s->due >= patience);
}

bool file_schedule_quiet(struct file_schedule *s, int64_t now)
{
    if (!s->on) {
        return false;
    }
    look(s, now);
    return s->due && s->read_on;
}

void file_schedule_rewind(struct file_schedule *s)
{
    s->read_on = false;
}

void file_schedule_serve(struct file_schedule *s, int64_t time)
{
    s->served = time;
    if (s->due <= time) {
        s->due = 0;
    }
}
