/* Opens the audit log for a command and writes its acts there (cli_audit.h). */
#include "cli/kit/cli_audit.h"

#include "cli/cli.h"
#include "daemon/paths.h"
#include <unistd.h>

static void tell(const struct error *err, uint64_t missing UNUSED)
{
    if (err) {
        (void)cli_error(err->exit_code, "it is done, but the audit log does not say so: %s",
                        err->text);
    }
}

int cli_audit_open(struct cli_audit *ret, const struct config *c, struct error *err)
{
    CLEANUP(buf_release) struct buf path = {0};
    paths_audit(&path, c);
    audit_who(getuid(), ret->who);
    return audit_open(buf_str(&path), tell, &ret->log, err)
               ? error_prefix(err, "nothing was done, because it could not be noted")
               : RESULT_DONE;
}

void cli_audit_release(struct cli_audit *a)
{
    audit_close(a->log);
    *a = (struct cli_audit){0};
}

void cli_audit_write(struct cli_audit *a, const char *event, const char *pipeline,
                     const struct buf *before, const struct buf *after)
{
    const struct audit_line line = {
        .event = event, .pipeline = pipeline, .who = a->who, .before = before, .after = after};
    audit_write(a->log, &line);
}

int cli_audit_end(struct cli_audit *a, int exit_code)
{
    return exit_code == 0 && audit_incomplete(a->log) ? EXIT_CODE_IO : exit_code;
}
