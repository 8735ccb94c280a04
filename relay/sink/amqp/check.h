/*
 * What `check --connect` looks at: see sink_ops.check.
 */
#pragma once

#include "sink/amqp/link.h"

/* Reports one finding for each server that cannot be reached or refuses the login, for an address
 * that is not there or may not be sent to, and for a queue that cannot be looked at. fixed: the
 * address that is the same for every event, or NULL. Sends nothing. May wait, at most
 * connect_timeout for each server; ends early once env->stop_fd is readable. */
void amqp_check(const struct amqp_conf *c, const struct amqp_servers *servers, const char *fixed,
                const struct sink_env *env, finding_report *report, void *ctx);
