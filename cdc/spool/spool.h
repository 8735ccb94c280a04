/*
 * Transactions in progress (streaming: true). The server sends parts of a large transaction before
 * it commits. The spool keeps them in a file, one for each transaction.
 *
 * At the commit the transaction is given out as if it had been sent whole: a BEGIN, the messages of
 * the subtransactions that were not rolled back, without their xids, and a COMMIT. So the reader of
 * a spool sees protocol version 1, and a change has the same number whether its transaction was
 * streamed or not. (Logical messages are an exception: they all carry the xid of the whole
 * transaction, so those of subtransactions that were rolled back are given out too. Therefore the
 * source neither counts nor sends logical messages when it streams.)
 *
 * The files lie in the state folder and have no name, so nothing is left of them whatever ends the
 * process. Memory: one buffer for writing, one for reading, and four bytes for each subtransaction
 * that was rolled back.
 *
 * Nothing here has to survive. The server keeps the WAL of a transaction that has not committed,
 * and after a reconnect it sends the transaction again from its beginning.
 *
 * All calls on the pipeline's thread.
 */
#pragma once

#include "base/error.h"
#include "cdc/stream/stream.h"

struct spool;

/* dir: where the files are made; NULL: $STATE_DIRECTORY, or else the working directory. No I/O;
 * never NULL. The caller frees it with spool_free. */
struct spool *spool_new(const char *dir);
void spool_free(struct spool *s);  /* NULL is fine */
void spool_clear(struct spool *s); /* for a reconnect: forgets all transactions */

/* A stream that begins at LSN `start` is about to be asked for. False: it must be asked for without
 * streaming.
 *
 * Why: a transaction may have been in progress at `start`. Of such a one PostgreSQL 14 to 17 may
 * send rows of a subtransaction and never tell that it was rolled back. (If it had to write the
 * subtransaction to disk before `start`, it does not know that it streamed it:
 * ReorderBufferTruncateTXN marks only what is in memory.) So the first row of a subtransaction in
 * such a transaction is an error, RETRY. The next stream is then asked for without streaming, and
 * brings the transaction whole at its commit. */
bool spool_begin(struct spool *s, uint64_t start);

/* Can files be made in the folder? RETRY/74 or CONFIG/77 if not. To be called at the start; without
 * it the mistake would show only at the first large transaction. */
int spool_check(const struct spool *s, struct error *err) MUST_CHECK;

/* The next message to decode, as stream_next gives it (which it calls); valid until the next call.
 * AGAIN may also mean that many messages were taken in: the caller looks after other things and
 * calls again at once (the stream's poll_fds say so). RETRY/74: the disk is full; the text names
 * the folder. RETRY: what the server sent makes no sense. Else as stream_next. */
int spool_next(struct spool *s, struct stream *stream, struct stream_message *ret,
               struct error *err) MUST_CHECK;

/* The two halves of spool_next. spool_take: DONE with *ret_pass true: the message is to be given
 * out as it is; false: the spool has taken it in. spool_replay: the next message of a transaction
 * that has committed, valid until the next call; AGAIN: there is none. While there is one,
 * spool_take must not be called. */
int spool_take(struct spool *s, const struct stream_message *m, bool *ret_pass,
               struct error *err) MUST_CHECK;
int spool_replay(struct spool *s, struct stream_message *ret, struct error *err) MUST_CHECK;

uint64_t spool_bytes(const struct spool *s); /* taken in and not given up yet: files and buffer */
