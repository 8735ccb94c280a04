/* Writes the findings of a check as lines of text and counts the faults. The command's exit code is
 * that of the first fault. */
#include "cli/kit/findings.h"

#include "base/shown.h"

void findings_release(struct findings *f)
{
    buf_release(&f->out);
}

static void count_fault(struct findings *f, int exit_code)
{
    f->faults++;
    if (f->exit_code == 0) {
        f->exit_code = exit_code;
    }
}

static const char *noun(const struct findings *f)
{
    return f->noun ? f->noun : "pipeline";
}

void findings_report(void *ctx, int exit_code, const char *text, const char *remedy)
{
    struct findings *f = ctx;
    if (exit_code == 0 && f->strict) {
        exit_code = EXIT_CODE_CONFIG;
    }
    buf_printf(&f->out, "%s %s %s: ", exit_code ? "FAULT" : "NOTE ", noun(f), f->pipeline);
    shown_add(&f->out, slice_from(text), SHOWN_AS_LINES);
    buf_add_char(&f->out, '\n');
    if (remedy && remedy[0]) {
        buf_add_str(&f->out, "  mend: ");
        shown_add(&f->out, slice_from(remedy), SHOWN_AS_LINES);
        buf_add_char(&f->out, '\n');
    }
    if (exit_code) {
        count_fault(f, exit_code);
    }
}

void findings_error(struct findings *f, const char *what, const struct error *err)
{
    buf_printf(&f->out, "FAULT %s %s: %s: %s\n", noun(f), f->pipeline, what, err->text);
    count_fault(f, err->exit_code ? err->exit_code : EXIT_CODE_BUG);
}

void findings_ok(struct findings *f, const char *what)
{
    buf_printf(&f->out, "OK    %s %s: %s\n", noun(f), f->pipeline, what);
}
