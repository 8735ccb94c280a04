/*
 * What a configuration may say to a Kafka client, as far as texts alone tell. Pure; any thread.
 */
#pragma once

#include "base/error.h"

/* Checks a list of brokers, host:port[,host:port]: librdkafka only warns about a list that it
 * cannot use, and then waits for ever. CONFIG. */
int kafka_text_brokers(const char *brokers, struct error *err) MUST_CHECK;

/* Whether the property of this name loads a library or runs a command. It would take effect with
 * our rights, even when a file is only checked, so whoever may write the file could run anything.
 */
bool kafka_text_loads_code(const char *property);
