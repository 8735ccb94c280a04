/*
 * The libraries this process runs with, as they say of themselves.
 */
#pragma once

#include <stdbool.h>

struct versions {
    const char *own, *libpq, *librdkafka, *sqlite; /* static texts */
};

struct versions versions_get(void);

/* librdkafka before 2.3.0 lacks fixes of the idempotent producer: worth a warning in the log. */
bool versions_old_librdkafka(void);
