/* Prints a pipeline's state for people, in the order an operator needs it: the state, the reason,
 * the commands that help, then the numbers. */
#include "cli/status_text.h"

#include "base/shown.h"
#include "cli/columns.h"
#include "cli/kit/shell_text.h"

enum { LABEL = 16, REASON = 4, COMMAND = 8 };

static void add_value(struct buf *out, const char *label, const char *text)
{
    buf_printf(out, "  %-*s", LABEL - 2, label);
    columns_wrap(out, LABEL, LABEL, slice_from(text));
}

static void add_bytes(struct buf *out, int64_t bytes)
{
    static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB"};
    double n = (double)bytes;
    size_t unit = 0;
    for (; n >= 1024 && unit + 1 < sizeof units / sizeof *units; unit++) {
        n /= 1024;
    }
    buf_printf(out, unit ? "%.1f %s" : "%.0f %s", n, units[unit]);
}

static void add_duration(struct buf *out, int64_t s)
{
    if (s >= 2 * 86400) {
        buf_printf(out, "%lld days", (long long)(s / 86400));
    } else if (s >= 2 * 3600) {
        buf_printf(out, "%lld h", (long long)(s / 3600));
    } else if (s >= 2 * 60) {
        buf_printf(out, "%lld min", (long long)(s / 60));
    } else {
        buf_printf(out, "%lld s", (long long)s);
    }
}

static void add_slot(const struct standing *s, struct buf *out)
{
    CLEANUP(buf_release) struct buf text = {0};
    if (s->slot_lost) {
        add_value(out, "slot", "is lost, and with it changes that were not delivered");
        return;
    }
    if (s->slot_retained_bytes < 0) {
        return;
    }
    add_bytes(&text, s->slot_retained_bytes);
    if (s->slot_limit_bytes >= 0) {
        buf_add_str(&text, " of WAL, and is lost at ");
        add_bytes(&text, s->slot_limit_bytes);
    } else {
        buf_add_str(&text, " of WAL, without a limit");
    }
    if (s->slot_limit_seconds >= 0) {
        buf_add_str(&text, ": in about ");
        add_duration(&text, s->slot_limit_seconds);
        buf_add_str(&text, " as it grows now");
    }
    add_value(out, "slot keeps", buf_str(&text));
}

static void add_stream(const struct standing *s, struct buf *out)
{
    if (s->lag_bytes >= 0) {
        buf_add_str(out, "  wal lag       ");
        add_bytes(out, s->lag_bytes);
        buf_add_char(out, '\n');
    }
    add_slot(s, out);
    if (s->progress[0]) {
        add_value(out, "progress", s->progress);
    }
}

static void add_command(struct buf *out, const char *words, const char *file, const char *pipeline)
{
    CLEANUP(buf_release) struct buf text = {0};
    shell_add_command(&text, words, file, pipeline);
    columns_command(out, COMMAND, buf_slice(&text));
}

/* What helps in this state whatever the reason says. */
static void add_way_on(const struct standing *s, const char *file, struct buf *out)
{
    bool waits = strcmp(s->state, "blocked") == 0 || strcmp(s->state, "retrying") == 0;
    if (waits) {
        buf_add_str(out, "    once that is mended, to try again at once:\n");
        add_command(out, "resume", file, s->name);
    } else if (s->paused) {
        buf_add_str(out, "    paused by an operator; to go on:\n");
        add_command(out, "resume", file, s->name);
    } else if (!s->locked && strcmp(s->state, "stopped") == 0) {
        buf_add_str(out, "    no relay runs it; to see whether one would start:\n");
        add_command(out, "check --connect", file, NULL);
    }
}

static void add_numbers(const struct standing *s, struct buf *out)
{
    buf_printf(out, "  delivered     %lld", (long long)s->delivered);
    if (s->events_per_second >= 0) {
        buf_printf(out, ", now %.1f a second", s->events_per_second);
    }
    if (s->saved_at[0]) {
        buf_printf(out, ", last saved %s", s->saved_at);
    }
    buf_add_char(out, '\n');
    if (s->pending_events >= 0) {
        buf_printf(out, "  pending       %lld\n", (long long)s->pending_events);
    } else if (s->lag_bytes < 0) {
        buf_add_str(out, "  pending       unknown\n"); /* a stream is measured in bytes */
    }
    if (s->lag_seconds >= 0) {
        buf_printf(out, "  lag           %.1f s\n", s->lag_seconds);
    }
}

/* Texts come from another process, so they are made fit to be shown. */
static void add_target(const json_t *t, struct buf *out)
{
    CLEANUP(buf_release) struct buf text = {0};
    const char *name = json_string_value(json_object_get(t, "name"));
    const char *error = json_string_value(json_object_get(t, "error"));
    shown_add(&text, slice_from(name ? name : "?"), SHOWN_IN_LINE);
    buf_printf(&text, " has all up to number %lld; %lld files wait",
               (long long)json_integer_value(json_object_get(t, "accepted")),
               (long long)json_integer_value(json_object_get(t, "waiting")));
    if (json_integer_value(json_object_get(t, "unconfirmed")) > 0) {
        buf_printf(&text, ", %lld are not confirmed",
                   (long long)json_integer_value(json_object_get(t, "unconfirmed")));
    }
    if (error) {
        buf_add_str(&text, "; the last try failed: ");
        shown_add(&text, slice_from(error), SHOWN_IN_LINE);
    }
    add_value(out, "upload", buf_str(&text));
}

void status_row_text(const struct status_row *r, const char *file, struct buf *out)
{
    const struct standing *s = &r->at;
    buf_printf(out, "%s%s%s: %s%s%s\n", s->name, s->part[0] ? " " : "", s->part, s->state,
               s->since[0] ? " since " : "", s->since);
    if (s->detail[0]) {
        columns_reason(out, REASON, s->detail, file);
    }
    add_way_on(s, file, out);
    if (s->source[0]) {
        add_value(out, "source", s->source);
        add_value(out, "sink", s->sink);
    }
    if (s->store[0]) {
        add_value(out, "store", s->store);
    }
    if (s->part[0]) {
        add_value(out, "holder", s->holder[0] ? s->holder : "none");
    }
    add_value(out, "position", s->position[0] ? s->position : "-");
    add_numbers(s, out);
    if (s->dead_letters >= 0) {
        buf_printf(out, "  dead letters  %lld\n", (long long)s->dead_letters);
    }
    if (s->parked_keys > 0) {
        buf_printf(out, "  parked keys   %lld, behind which %lld events wait\n",
                   (long long)s->parked_keys, (long long)s->parked_events);
    }
    if (s->dead_letters > 0) {
        add_command(out, "dead-letters list", file, s->name);
    }
    add_stream(s, out);
    for (size_t i = 0; i < json_array_size(r->targets); i++) {
        add_target(json_array_get(r->targets, i), out);
    }
    if (s->held_up[0]) {
        add_value(out, "held up", s->held_up);
    }
    if (s->warning[0]) {
        add_value(out, "warning", s->warning);
    }
    if (s->problem[0]) {
        buf_add_str(out, "  this command could not see everything:\n");
        columns_reason(out, REASON, s->problem, file);
    }
}
