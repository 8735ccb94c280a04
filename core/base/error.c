/* Fills struct error: class, exit code, the origin's code, and a text that is safe to show. */
#include "base/error.h"

#include "base/shown.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static int default_exit_code(enum error_class class)
{
    switch (class) {
    case ERROR_NONE:
        return EXIT_CODE_OK;
    case ERROR_RETRY:
    case ERROR_POISON:
    case ERROR_BUSY:
        return EXIT_CODE_GAVE_UP;
    case ERROR_CONFIG:
        return EXIT_CODE_CONFIG;
    case ERROR_FATAL:
        break;
    }
    return EXIT_CODE_BUG;
}

static PRINTF_LIKE(5, 0) void fill(struct error *err, enum error_class class, int exit_code,
                                   const char *origin, const char *fmt, va_list ap)
{
    err->class = class;
    err->exit_code = exit_code;
    err->retry_after_us = 0;
    err->origin = origin;
    err->code[0] = '\0';
    vsnprintf(err->text, sizeof err->text, fmt, ap);
    /* The text may quote a server or a file, and it is shown to people and stored. So passwords and
     * control characters are taken out here, once for all errors. */
    shown_mend(err->text, sizeof err->text, SHOWN_IN_LINE);
}

void error_set_text(struct error *err, enum error_class class, const char *origin, const char *fmt,
                    ...)
{
    va_list ap;
    va_start(ap, fmt);
    fill(err, class, default_exit_code(class), origin, fmt, ap);
    va_end(ap);
}

void error_exit_text(struct error *err, enum error_class class, int exit_code, const char *origin,
                     const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    fill(err, class, exit_code, origin, fmt, ap);
    va_end(ap);
}

void error_errno_text(struct error *err, const char *origin, int errnum, const char *fmt, ...)
{
    bool denied = errnum == EACCES || errnum == EPERM || errnum == EROFS;
    va_list ap;
    va_start(ap, fmt);
    fill(err, denied ? ERROR_CONFIG : ERROR_RETRY, denied ? EXIT_CODE_PERMISSION : EXIT_CODE_IO,
         origin, fmt, ap);
    va_end(ap);
    size_t used = strlen(err->text);
    snprintf(err->text + used, sizeof err->text - used, ": %s", strerror(errnum));
    snprintf(err->code, sizeof err->code, "%s",
             strerrorname_np(errnum) ? strerrorname_np(errnum) : "errno");
}

void error_prefix_text(struct error *err, const char *fmt, ...)
{
    char text[sizeof err->text];
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    size_t used = n < 0 ? 0 : (size_t)n;
    /* The old text is cut where both do not fit; 3 is ": " and the NUL. */
    if (used + 3 < sizeof text) {
        size_t len = strnlen(err->text, sizeof text - used - 3);
        memcpy(text + used, ": ", 2);
        memcpy(text + used + 2, err->text, len);
        text[used + 2 + len] = '\0';
    }
    memcpy(err->text, text, sizeof text);
    shown_mend(err->text, sizeof err->text, SHOWN_IN_LINE);
}

void error_code_text(struct error *err, const char *code)
{
    snprintf(err->code, sizeof err->code, "%s", code);
}

bool error_is(const struct error *err, const char *code)
{
    return strcmp(err->code, code) == 0;
}

void error_clear(struct error *err)
{
    *err = (struct error){0};
}

const char *error_class_name(enum error_class class)
{
    static const char *const names[] = {"none", "retry", "poison", "config", "fatal", "busy"};
    return names[class];
}
