/*
 * The audit log of a configuration, and what the daemon as a whole notes there: its start and end,
 * and the digest of its configuration.
 */
#pragma once

#include "audit/audit.h"
#include "config/config.h"
#include <sys/signalfd.h>

/* Opens `audit.path` of the configuration, and logs what goes wrong with it later. ERROR as
 * audit_open. */
int trail_open(const struct config *c, struct audit **ret, struct error *err) MUST_CHECK;

/* Goes on with the path of another configuration. ERROR as audit_reopen. */
int trail_adopt(struct audit *a, const struct config *c, struct error *err) MUST_CHECK;

/* Who sent a signal, for the functions below, which may be `out`; NULL: the kernel (Ctrl-C). */
const char *trail_sender(const struct signalfd_siginfo *info, char out[AUDIT_WHO_SIZE]);

/* The daemon has started, with this configuration. */
void trail_started(struct audit *a, const struct config *c);
/* It has taken over `after`. */
void trail_reloaded(struct audit *a, const struct config *before, const struct config *after,
                    const char *who);
/* It ends. who: as of audit_line. */
void trail_stopped(struct audit *a, int exit_code, const char *who);
