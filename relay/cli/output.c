/* What commands print: results on stdout, everything else on stderr. */
#include "cli/cli.h"

#include "base/clock.h"
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static const int64_t TERMINAL_EVERY_US = 100 * US_PER_MS, PLAIN_EVERY_US = 5 * US_PER_SECOND;

int cli_error(int exit_code, const char *fmt, ...)
{
    char text[1536];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    fprintf(stderr, "commitrelay: %s\n", text);
    return exit_code;
}

int cli_fail(const struct error *err)
{
    return cli_error(err->exit_code ? err->exit_code : EXIT_CODE_BUG, "%s", err->text);
}

void cli_warning(const char *fmt, ...)
{
    char text[1024];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    fprintf(stderr, "commitrelay: warning: %s\n", text);
}

int cli_print(struct slice text)
{
    if (fwrite(text.ptr, 1, text.len, stdout) == text.len && fflush(stdout) == 0) {
        return 0;
    }
    return cli_error(EXIT_CODE_IO, "cannot write to stdout: %s", strerror(errno));
}

void cli_progress(struct cli_progress *p, const char *fmt, ...)
{
    bool terminal = isatty(STDERR_FILENO);
    int64_t now = clock_mono_us();
    if (now < p->next_us) {
        return;
    }
    p->next_us = now + (terminal ? TERMINAL_EVERY_US : PLAIN_EVERY_US);
    va_list ap;
    va_start(ap, fmt);
    if (terminal) {
        fputs("\r", stderr);
    }
    vfprintf(stderr, fmt, ap);
    fputs(terminal ? "\033[K" : "\n", stderr);
    va_end(ap);
    p->line_open = terminal;
}

void cli_progress_end(struct cli_progress *p)
{
    if (p->line_open) {
        fputs("\n", stderr);
    }
    *p = (struct cli_progress){0};
}
