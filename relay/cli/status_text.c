/* An operator reads from top to bottom: how it stands, why, what to type, then the numbers. */
#include "cli/status_text.h"

#include "base/clock.h"
#include "cli/columns.h"

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

static void add_slot(const struct status_row *r, struct buf *out)
{
    CLEANUP(buf_release) struct buf text = {0};
    if (r->slot_lost) {
        add_value(out, "slot", "is lost, and with it changes that were not delivered");
        return;
    }
    if (r->slot_retained_bytes < 0) {
        return;
    }
    add_bytes(&text, r->slot_retained_bytes);
    if (r->slot_limit_bytes >= 0) {
        buf_add_str(&text, " of WAL, and is lost at ");
        add_bytes(&text, r->slot_limit_bytes);
    } else {
        buf_add_str(&text, " of WAL, without a limit");
    }
    if (r->slot_limit_s >= 0) {
        buf_add_str(&text, ": in about ");
        add_duration(&text, r->slot_limit_s);
        buf_add_str(&text, " as it grows now");
    }
    add_value(out, "slot keeps", buf_str(&text));
}

static void add_stream(const struct status_row *r, struct buf *out)
{
    if (r->lag_bytes >= 0) {
        buf_add_str(out, "  wal lag       ");
        add_bytes(out, r->lag_bytes);
        buf_add_char(out, '\n');
    }
    add_slot(r, out);
    if (r->progress.len) {
        add_value(out, "progress", buf_str(&r->progress));
    }
}

static void add_command(struct buf *out, const char *words, const char *file, const char *pipeline)
{
    CLEANUP(buf_release) struct buf text = {0};
    buf_printf(&text, "commitrelay %s -c %s", words, file);
    if (pipeline) {
        buf_printf(&text, " --pipeline %s", pipeline);
    }
    columns_command(out, COMMAND, buf_slice(&text));
}

/* What helps in this state whatever the reason says. */
static void add_way_on(const struct status_row *r, const char *file, struct buf *out)
{
    bool waits = strcmp(r->state, "blocked") == 0 || strcmp(r->state, "retrying") == 0;
    if (waits) {
        buf_add_str(out, "    once that is mended, to try again at once:\n");
        add_command(out, "resume", file, r->name);
    } else if (r->paused) {
        buf_add_str(out, "    paused by an operator; to go on:\n");
        add_command(out, "resume", file, r->name);
    } else if (!r->locked && strcmp(r->state, "stopped") == 0) {
        buf_add_str(out, "    no relay runs it; to see whether one would start:\n");
        add_command(out, "check --connect", file, NULL);
    }
}

static void add_numbers(const struct status_row *r, struct buf *out)
{
    char saved[CLOCK_RFC3339_SIZE];
    buf_printf(out, "  delivered     %llu", (unsigned long long)r->delivered);
    if (r->rate >= 0) {
        buf_printf(out, ", now %.1f a second", r->rate);
    }
    if (r->saved_at_us != TIME_NONE) {
        clock_format_rfc3339(r->saved_at_us, saved);
        buf_printf(out, ", last saved %s", saved);
    }
    buf_add_char(out, '\n');
    if (r->pending >= 0) {
        buf_printf(out, "  pending       %lld\n", (long long)r->pending);
    } else if (r->lag_bytes < 0) {
        buf_add_str(out, "  pending       unknown\n"); /* a stream is measured in bytes */
    }
    if (r->lag_seconds >= 0) {
        buf_printf(out, "  lag           %.1f s\n", r->lag_seconds);
    }
}

void status_row_text(const struct status_row *r, const char *file, struct buf *out)
{
    buf_printf(out, "%s: %s%s%s\n", r->name, r->state, r->has_since ? " since " : "",
               r->has_since ? r->since : "");
    if (r->detail.len) {
        columns_reason(out, REASON, buf_str(&r->detail), file);
    }
    add_way_on(r, file, out);
    if (r->source.len) {
        add_value(out, "source", buf_str(&r->source));
        add_value(out, "sink", buf_str(&r->sink));
    }
    if (r->store.len) {
        add_value(out, "store", buf_str(&r->store));
    }
    add_value(out, "position", r->position.len ? buf_str(&r->position) : "-");
    add_numbers(r, out);
    if (r->dead_letters >= 0) {
        buf_printf(out, "  dead letters  %lld\n", (long long)r->dead_letters);
    }
    if (r->dead_letters > 0) {
        add_command(out, "dead-letters list", file, r->name);
    }
    add_stream(r, out);
    if (r->held_up.len) {
        add_value(out, "held up", buf_str(&r->held_up));
    }
    if (r->problem.len) {
        buf_add_str(out, "  this command could not see everything:\n");
        columns_reason(out, REASON, buf_str(&r->problem), file);
    }
}
