/*
 * Writes sample events into an outbox table with the default columns. One thread per writer.
 */
#pragma once

#include "base/error.h"
#include "cli/emit_event.h"
#include "cli/kit/source_url.h"

struct emit_writer;

/* Connects to the database. `table` is not quoted yet; stop_fd: -1 or a descriptor that ends
 * waiting. DONE: *ret is the caller's. ERROR: CONFIG for a table or file that cannot be, else what
 * the database says. */
int emit_writer_open(const struct source_url *url, const char *table, int stop_fd,
                     struct emit_writer **ret, struct error *err) MUST_CHECK;
void emit_writer_close(struct emit_writer *w); /* NULL is fine */

/* Writes n events in one transaction. DONE: it is committed. ERROR: none of them was written,
 * unless the connection broke during the commit; close the writer then. */
int emit_writer_put(struct emit_writer *w, const struct emit_event *events, size_t n,
                    struct error *err) MUST_CHECK;
