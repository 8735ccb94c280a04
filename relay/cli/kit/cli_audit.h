/*
 * The audit log, for what a command does itself. It is opened before the act, which is refused if
 * it cannot be: nothing is done that could not be noted. One thread.
 */
#pragma once

#include "audit/audit.h"
#include "config/config.h"

struct cli_audit {
    struct audit *log;
    char who[AUDIT_WHO_SIZE]; /* this process's user */
};

/* Opens `audit.path` of the configuration, if there is one. `ret` is released in both cases. After
 * a failure *err says why, and nothing may be done. */
int cli_audit_open(struct cli_audit *ret, const struct config *c, struct error *err) MUST_CHECK;
void cli_audit_release(struct cli_audit *a); /* for CLEANUP: start from {0} */

/* Notes an act of this user. What cannot be written is said on stderr, and 74 is what cli_audit_end
 * makes of a 0. `pipeline` may be NULL; before and after as in audit_line. */
void cli_audit_write(struct cli_audit *a, const char *event, const char *pipeline,
                     const struct buf *before, const struct buf *after);
int cli_audit_end(struct cli_audit *a, int exit_code) MUST_CHECK;
