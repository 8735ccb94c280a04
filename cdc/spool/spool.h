/*
 * Transactions in progress (streaming: true): what the server sends of them before they commit is
 * kept in a file each and given out at their commit, as if they had been sent whole: a BEGIN, the
 * messages of the subtransactions that were not rolled back, without their xids, a COMMIT. So the
 * reader of a spool sees protocol 1, and a change has the same number whether its transaction was
 * streamed or not. (All logical messages of a transaction come with its own xid: those of
 * subtransactions that were rolled back go out too, so that the source counts and sends none.)
 *
 * Files lie in the state folder and have no name: nothing is left of them whatever ends the
 * process. Memory: one buffer each for writing and reading, and four bytes for each subtransaction
 * that was rolled back. Nothing here has to survive: after a reconnect the server sends it again.
 *
 * Confirming is as safe as without: a transaction that has not committed lies behind every position
 * the server has told of, so it is sent again from its beginning. One thread.
 */
#pragma once

#include "base/error.h"
#include "cdc/stream/stream.h"

struct spool;

/* dir: where the files are made; NULL: $STATE_DIRECTORY, or else the working directory. */
struct spool *spool_new(const char *dir);
void spool_free(struct spool *s);  /* NULL is fine */
void spool_clear(struct spool *s); /* reconnect: forgets everything */

/* A stream that begins at `start` is about to come. False: it must be asked for without streaming.
 *
 * Of a transaction that was in progress at `start`, PostgreSQL 14 to 17 may send rows of a
 * subtransaction and never tell that it was rolled back: those that it had to write to disk before
 * `start` it does not take for streamed (ReorderBufferTruncateTXN marks only what is in memory). So
 * the first row of a subtransaction in such a transaction is an error, RETRY, and the stream that
 * follows has it whole at its commit. */
bool spool_begin(struct spool *s, uint64_t start);

/* Can files be made in its folder? For the start: the first large transaction may come at night. */
int spool_check(const struct spool *s, struct error *err) MUST_CHECK;

/* As stream_next, which it calls. AGAIN may also mean: much was taken in, look after other things
 * first (the stream's poll_fds then say "at once"). RETRY/74 names the file's folder when the disk
 * is full; RETRY when what comes makes no sense. */
int spool_next(struct spool *s, struct stream *stream, struct stream_message *ret,
               struct error *err) MUST_CHECK;

/* The two halves of it. spool_take: DONE with *ret_pass if the message is to be given out as it is,
 * else it was taken in. spool_replay: the next message of a transaction that has committed, valid
 * until the next call; AGAIN when there is none. While there is one, nothing may be taken. */
int spool_take(struct spool *s, const struct stream_message *m, bool *ret_pass,
               struct error *err) MUST_CHECK;
int spool_replay(struct spool *s, struct stream_message *ret, struct error *err) MUST_CHECK;

uint64_t spool_bytes(const struct spool *s); /* on disk now */
