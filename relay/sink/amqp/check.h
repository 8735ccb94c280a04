/*
 * What `check --connect` looks at: see sink_ops.check.
 */
#pragma once

#include "sink/amqp/link.h"

/* Reports one finding for each server that does not let the relay send: it cannot be reached, it
 * refuses the login, or the address is not there or may not be sent to. fixed: the address that is
 * the same for every event; NULL: no address is looked at. Sends nothing. May wait, at most
 * connect_timeout for each server, and for a name that is still being resolved. Ends early once
 * env->stop_fd is readable. */
void amqp_check(const struct amqp_conf *c, const struct amqp_servers *servers, const char *fixed,
                const struct sink_env *env, finding_report *report, void *ctx);
