/*
 * Reads the ids that a consumer has noted in its inbox (schema/postgres/inbox.sql,
 * schema/sqlite/inbox.sql). Main thread.
 */
#pragma once

#include "contract/sink.h"

struct verify_inbox {
    const char *url; /* sqlite:PATH, postgresql://... or a conninfo string */
    const char *consumer;
    int64_t connect_timeout_us, read_timeout_us;
    int stop_fd;
};

/* Gives each of them to r->take: copies without a payload. */
int verify_inbox_read(const struct verify_inbox *from, const struct sink_reading *r,
                      struct error *err) MUST_CHECK;
