/*
 * What `check --connect` looks at: see sink_ops.check.
 */
#pragma once

#include "contract/sink.h"
#include "sink/rabbitmq/conf.h"

/* Reports one finding for each server that cannot be reached or refuses the login, for an exchange
 * or (with the default exchange) a queue that is not there, and for a missing permission. exchange,
 * queue: the names that are the same for every event, or NULL. Publishes nothing and changes
 * nothing. May wait, at most connect_timeout for each step. */
void rabbit_check(const struct rabbit_conf *c, const struct rabbit_hosts *hosts,
                  const char *pipeline, const char *exchange, const char *queue,
                  finding_report *report, void *ctx);
