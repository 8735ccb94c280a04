/*
 * `check --connect` of the NATS sink.
 */
#pragma once

#include "contract/sink.h"
#include "sink/nats/conf.h"

/* Connects, asks for the streams, and reports one finding per fault. subject: that of all events,
 * or NULL if it depends on the event. Waits up to about three times connect_timeout. */
int nats_check(const struct nats_conf *c, const struct nats_servers *servers, const char *subject,
               const struct sink_env *env, finding_report *report, void *ctx,
               struct error *err) MUST_CHECK;
