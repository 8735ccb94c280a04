/* Prints for commands: results go to stdout; errors, warnings and progress go to stderr, so that a
 * script that reads stdout gets the results only. */
#include "cli/cli.h"

#include "base/clock.h"
#include "base/shown.h"
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* How often progress is printed: on a terminal, and elsewhere (a log file, for example). */
static const int64_t TERMINAL_EVERY_US = 100 * US_PER_MS, PLAIN_EVERY_US = 5 * US_PER_SECOND;

static void say(const char *begin, enum shown_as how, const char *fmt, va_list ap)
    PRINTF_LIKE(3, 0);

static void say(const char *begin, enum shown_as how, const char *fmt, va_list ap)
{
    char text[1536];
    vsnprintf(text, sizeof text, fmt, ap);
    shown_mend(text, sizeof text, how);
    fprintf(stderr, "%s%s\n", begin, text);
}

int cli_error(int exit_code, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    say("commitrelay: ", SHOWN_AS_LINES, fmt, ap);
    va_end(ap);
    return exit_code;
}

int cli_fail(const struct error *err)
{
    return cli_error(err->exit_code ? err->exit_code : EXIT_CODE_BUG, "%s", err->text);
}

void cli_warning(const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    say("commitrelay: warning: ", SHOWN_IN_LINE, fmt, ap);
    va_end(ap);
}

int cli_print(struct slice text)
{
    if (fwrite(text.ptr, 1, text.len, stdout) == text.len && fflush(stdout) == 0) {
        return 0;
    }
    return cli_error(EXIT_CODE_IO, "cannot write to stdout: %s", strerror(errno));
}

int cli_show(struct slice text)
{
    CLEANUP(buf_release) struct buf shown = {0};
    shown_escape(&shown, text, SHOWN_AS_LINES);
    return cli_print(buf_slice(&shown));
}

void cli_progress(struct cli_progress *p, const char *fmt, ...)
{
    bool terminal = isatty(STDERR_FILENO);
    int64_t now = clock_mono_us();
    if (now < p->next_us) {
        return;
    }
    p->next_us = now + (terminal ? TERMINAL_EVERY_US : PLAIN_EVERY_US);
    char text[512];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    shown_mend(text, sizeof text, SHOWN_IN_LINE);
    fprintf(stderr, "%s%s%s", terminal ? "\r" : "", text, terminal ? "\033[K" : "\n");
    p->line_open = terminal;
}

void cli_progress_end(struct cli_progress *p)
{
    if (p->line_open) {
        fputs("\n", stderr);
    }
    *p = (struct cli_progress){0};
}
