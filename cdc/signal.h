/*
 * Signals: what the stream tells the relay to do about snapshots, in the words of Debezium.
 *
 * A signal is a row inserted into source.signal_table (id, type, data), or a transactional logical
 * message with the prefix below, which is how `commitrelay snapshot` speaks to the relay:
 *   {"slot":"commitrelay_orders","id":"a1","type":"execute-snapshot",
 *    "data":{"data-collections":["public.orders"],
 *            "additional-conditions":[{"data-collection":"public.orders","filter":"total > 9"}]}}
 * The slot says which pipeline is meant, because all that read the database see the message.
 * Whoever may connect to the database may write one, while a table has grants. So a message must
 * not have a filter, which the relay's role would evaluate.
 *
 * Types: execute-snapshot, stop-snapshot (without data-collections: all), pause-snapshot and
 * resume-snapshot. No I/O; the pipeline's thread, and the command that writes one.
 */
#pragma once

#include "base/buf.h"
#include "base/error.h"
#include "base/slice.h"
#include "cdc/snapshot/requests.h"

#define SIGNAL_PREFIX "commitrelay_signal"

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

/* The same for the content of a message. AGAIN also if it is for another slot. CONFIG also for a
 * filter. */
int signal_read_message(struct slice content, const char *slot, struct signal *ret,
                        struct error *err) MUST_CHECK;

/* The name of a type, and the text of the column `data`, appended. `tables`, `where` as below. */
const char *signal_type_name(enum signal_type type);
void signal_write_data(const char *tables, const char *where, struct buf *out);

/* Appends the content of a message. `tables` NULL: no data-collection; `where` of the above NULL or
 * "": no condition. */
void signal_write(const char *slot, const char *id, enum signal_type type, const char *tables,
                  struct buf *out);

/* Does what the signal says to the list. *lsn: place of the commit record of its transaction, moved
 * on by one for each request, since the rows of each are told apart by it; `asked_us`: when that
 * was committed. `say` gets a line for the log for each thing that was done or refused; `wrong`: it
 * was refused. */
void signal_obey(const struct signal *s, struct snapshot_requests *q, uint64_t *lsn,
                 int64_t asked_us, void (*say)(void *ctx, bool wrong, const char *text), void *ctx);
