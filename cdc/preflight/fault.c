/* Fills a fault (what is wrong, and what mends it) and makes an error of it. */
#include "cdc/preflight/internal.h"

#include <stdarg.h>
#include <stdio.h>

int fault_set(struct fault *f, enum error_class class, int exit_code, const char *fmt, ...)
{
    va_list args;
    f->class = class;
    f->exit_code = exit_code;
    f->code[0] = '\0';
    f->remedy[0] = '\0';
    va_start(args, fmt);
    vsnprintf(f->text, sizeof f->text, fmt, args);
    va_end(args);
    return RESULT_ERROR;
}

int fault_mend(struct fault *f, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    vsnprintf(f->remedy, sizeof f->remedy, fmt, args);
    va_end(args);
    return RESULT_ERROR;
}

int fault_error(const struct fault *f, struct error *err)
{
    error_exit(err, f->class, f->exit_code, "postgres", "%s%s%s", f->text, f->remedy[0] ? ": " : "",
               f->remedy);
    return error_code(err, f->code);
}

void doctor_tell(const struct doctor *d, int exit_code, const char *remedy, const char *fmt, ...)
{
    char text[700];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    d->report(d->ctx, exit_code, text, remedy);
}

void doctor_fault(const struct doctor *d, const struct fault *f)
{
    d->report(d->ctx, f->class == ERROR_RETRY ? 0 : f->exit_code, f->text, f->remedy);
}
