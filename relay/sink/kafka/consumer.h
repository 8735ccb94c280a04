/*
 * A simple consumer that reaches the brokers as the producers do: it needs no group, so no rights
 * to one. One thread.
 */
#pragma once

#include "base/result.h"
#include <librdkafka/rdkafka.h>
#include <stddef.h>

/* Made of the properties of the template, of `more` (pairs, ended by a NULL name), and of those
 * that every reader wants: it sees what is committed, is told of the end of a partition, and keeps
 * no offsets. What only a producer has is ignored. NULL: `text` says why. */
rd_kafka_t *kafka_consumer_new(const rd_kafka_conf_t *template, const char *const (*more)[2],
                               char *text, size_t size);
