/*
 * Signals: what the relay is to do about snapshots, in the words of Debezium.
 *
 * A signal is a row inserted into source.signal_table (id, type, data), or the order that
 * `commitrelay snapshot` gives to the relay:
 *   {"id":"a1","type":"execute-snapshot","asked_us":1764504792000000,
 *    "data":{"data-collections":["public.orders"],
 *            "additional-conditions":[{"data-collection":"public.orders","filter":"total > 9"}]}}
 * Both have grants: the relay's role evaluates the filter. A logical message is no signal, because
 * whoever may connect to the database may write one.
 *
 * Types: execute-snapshot, stop-snapshot (without data-collections: all), pause-snapshot and
 * resume-snapshot. No I/O; the pipeline's thread, and the command that writes one.
 */
#pragma once

#include "base/buf.h"
#include "base/error.h"
#include "base/slice.h"
#include "cdc/snapshot/requests.h"

enum signal_type { SIGNAL_EXECUTE, SIGNAL_STOP, SIGNAL_PAUSE, SIGNAL_RESUME };

/* One signal, for as long as its transaction is being received. */
struct signal {
    enum signal_type type;
    struct buf id;
    /* tables, where, tables, where, ... each ended by a NUL: one pair for each data-collection. */
    struct buf wanted;
    size_t wanted_count;
};
void signal_release(struct signal *s);

/* Reads the three columns of a row into *ret, which starts from {0} and is released by the caller
 * in any case. AGAIN: a type that means nothing here (Debezium's own watermarks and others).
 * CONFIG: what is wrong with it, for the log; it names the id and no data. */
int signal_read(struct slice id, struct slice type, struct slice data, struct signal *ret,
                struct error *err) MUST_CHECK;

/* Appends an order. `tables` NULL: no data-collection; `where` "": no condition; `asked_us`: when
 * it was given, in microseconds of the wall clock. */
void signal_write(const char *id, enum signal_type type, const char *tables, const char *where,
                  int64_t asked_us, struct buf *out);
/* Reads it back, as signal_read does. CONFIG also for a type that is not known here. */
int signal_read_order(const char *order, struct signal *ret, int64_t *ret_asked_us,
                      struct error *err) MUST_CHECK;

/* Does what the signal says to the list. *lsn: place of the commit record of its transaction, or a
 * number that no such place has, moved on by one for each request, since the rows of each are told
 * apart by it; `asked_us`: when that was committed, or the order given. `say` gets a line for the
 * log for each thing that was done or refused; `wrong`: it was refused. */
void signal_obey(const struct signal *s, struct snapshot_requests *q, uint64_t *lsn,
                 int64_t asked_us, void (*say)(void *ctx, bool wrong, const char *text), void *ctx);
