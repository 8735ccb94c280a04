/* On a terminal the cursor goes home and each line is written over the one before, so nothing
 * flickers. The texts come from another process and were made fit to be shown (standing_read). */
#include "cli/status_watch.h"

#include "base/clock.h"
#include "base/memory.h"
#include "base/poll_set.h"
#include "base/utf8.h"
#include "cli/kit/admin_client.h"
#include "cli/kit/interrupt.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

static const int64_t EVERY_US = 2 * US_PER_SECOND;

enum { WIDTH = 80, HEIGHT = 24 };

/* --- what is printed --- */

static void add_real(struct buf *out, double value)
{
    if (value < 0) {
        buf_printf(out, " %9s", "-");
    } else {
        buf_printf(out, " %9.1f", value);
    }
}

static void add_count(struct buf *out, int64_t value)
{
    if (value < 0) {
        buf_printf(out, " %9s", "-");
    } else {
        buf_printf(out, " %9lld", (long long)value);
    }
}

struct screen {
    struct buf *out;
    size_t width, left; /* columns; lines that fit */
};

/* As much of the line as the screen has room for. The line is empty afterwards. */
static void add_cut(struct screen *screen, struct buf *line)
{
    const char *s = buf_str(line), *end = s + line->len;
    if (screen->left > 0) {
        screen->left--;
        for (size_t i = 0; s < end && i < screen->width; i++) {
            size_t n = utf8_sequence(s, end);
            buf_add(screen->out, s, n ? n : 1);
            s += n ? n : 1;
        }
        buf_add_str(screen->out, "\x1b[K\n");
    }
    buf_clear(line);
}

static const char *why(const struct standing *s)
{
    return s->detail[0] ? s->detail : s->held_up[0] ? s->held_up : s->warning;
}

static void add_row(struct buf *out, const struct standing *s)
{
    char name[64];
    snprintf(name, sizeof name, "%s%s%s", s->name, s->part[0] ? " " : "", s->part);
    buf_printf(out, "%-20s %-9s", name, s->state);
    add_real(out, s->lag_seconds);
    add_count(out, s->pending_events);
    add_real(out, s->events_per_second);
    add_count(out, s->dead_letters);
    buf_printf(out, "  %s", why(s));
}

void status_watch_screen(struct buf *out, const struct status_row *rows, size_t n, const char *time,
                         size_t width, size_t height)
{
    CLEANUP(buf_release) struct buf line = {0};
    /* the last line of the terminal is the cursor's */
    struct screen screen = {out, width, height > 1 ? height - 1 : 1};
    buf_add_str(out, "\x1b[H");
    buf_printf(&line, "commitrelay, %zu %s, %s; Ctrl-C ends", n, n == 1 ? "pipeline" : "pipelines",
               time);
    add_cut(&screen, &line);
    buf_printf(&line, "%-20s %-9s %9s %9s %9s %9s  %s", "PIPELINE", "STATE", "LAG s", "PENDING",
               "A SECOND", "DEAD", "WHY");
    add_cut(&screen, &line);
    size_t shown = n <= screen.left ? n : screen.left - (screen.left > 1);
    for (size_t i = 0; i < shown; i++) {
        add_row(&line, &rows[i].at);
        add_cut(&screen, &line);
    }
    if (shown < n) {
        buf_printf(&line, "and %zu more; a higher terminal shows them", n - shown);
        add_cut(&screen, &line);
    }
    buf_add_str(out, "\x1b[J");
}

static void add_named(struct buf *out, const char *name, double value, int digits)
{
    if (value >= 0) {
        buf_printf(out, " %s=%.*f", name, digits, value);
    }
}

void status_watch_lines(struct buf *out, const struct status_row *rows, size_t n, const char *time)
{
    for (size_t i = 0; i < n; i++) {
        const struct standing *s = &rows[i].at;
        buf_printf(out, "%s %s%s%s state=%s", time, s->name, s->part[0] ? " part=" : "", s->part,
                   s->state);
        add_named(out, "lag_seconds", s->lag_seconds, 1);
        add_named(out, "pending", (double)s->pending_events, 0);
        add_named(out, "events_per_second", s->events_per_second, 1);
        add_named(out, "dead_letters", (double)s->dead_letters, 0);
        buf_printf(out, "%s%s\n", why(s)[0] ? " " : "", why(s));
    }
}

/* --- the rounds --- */

/* Asks the daemon again where it was found. One that does not answer says nothing. */
static void ask_again(struct found_relay *f)
{
    struct admin_reply reply = {0};
    struct error err = {0};
    json_decref(f->status);
    f->status = NULL;
    if (admin_client_ask(buf_str(&f->address), "GET /status", &reply, &err) == RESULT_DONE &&
        reply.status == 200) {
        f->status = json_loadb(buf_str(&reply.body), reply.body.len, 0, NULL);
    }
    buf_release(&reply.body);
}

/* Also finds a relay that was started meanwhile. */
static int find_again(const struct config *c, struct found_relay *f)
{
    if (f->address.len > 0) {
        ask_again(f);
        return 0;
    }
    find_relay_release(f);
    return find_relay(f, c);
}

static void look(struct status_row *rows, const struct config *c, const struct status_of *of,
                 size_t n, struct found_relay *f)
{
    for (size_t i = 0; i < n; i++) {
        const char *name = of[i].conf->name;
        if (f->address.len > 0) {
            status_row_told(&rows[i], name, of[i].part, found_part(f, name, of[i].part));
            if (!f->status) {
                rows[i].at.detail = "the relay does not answer any more";
            }
        } else {
            status_row_look(&rows[i], c, &of[i], f);
        }
    }
}

static bool on_terminal(void)
{
    const char *term = getenv("TERM");
    return isatty(STDOUT_FILENO) && term && strcmp(term, "dumb") != 0;
}

static int show(const struct status_row *rows, size_t n, bool terminal)
{
    CLEANUP(buf_release) struct buf out = {0};
    struct winsize size = {.ws_col = WIDTH, .ws_row = HEIGHT};
    char time[CLOCK_RFC3339_SIZE];
    clock_format_rfc3339(clock_wall_us(), time);
    if (!terminal) {
        status_watch_lines(&out, rows, n, time);
        return cli_show(buf_slice(&out));
    }
    if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) || size.ws_col == 0 || size.ws_row == 0) {
        size = (struct winsize){.ws_col = WIDTH, .ws_row = HEIGHT};
    }
    status_watch_screen(&out, rows, n, time, size.ws_col, size.ws_row);
    return cli_print(buf_slice(&out));
}

static void wait_for_next(int stop_fd)
{
    struct poll_set set;
    poll_set_clear(&set);
    poll_set_add(&set, stop_fd, POLLIN);
    poll_set_deadline(&set, clock_mono_us() + EVERY_US);
    poll_set_wait(&set);
}

int status_watch(const struct config *c, struct found_relay *f)
{
    struct status_of *of;
    size_t n = status_rows_of(c, &of);
    struct status_row *rows = memory_need(calloc(n + 1, sizeof *rows));
    int stop_fd = interrupt_open(), rc = 0;
    bool terminal = on_terminal();
    if (terminal) {
        rc = cli_print(SLICE_LITERAL("\x1b[2J"));
    }
    while (rc == 0 && !interrupted(stop_fd) && (rc = find_again(c, f)) == 0) {
        look(rows, c, of, n, f);
        rc = show(rows, n, terminal);
        for (size_t i = 0; i < n; i++) {
            status_row_release(&rows[i]);
        }
        if (rc == 0) {
            wait_for_next(stop_fd);
        }
    }
    if (stop_fd >= 0) {
        close(stop_fd);
    }
    free(rows);
    free(of);
    return rc;
}
