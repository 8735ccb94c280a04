/*
 * The intent: a small file that says what a commit is about to do, written durably before it does
 * it. If the relay dies in between, the next start finishes the commit from it, and knows how far
 * delivery got.
 *
 * `.commitrelay/<pipeline>.intent` holds lines `name length:bytes`; with the length, a cursor or a
 * key may have any bytes. The last line is the SHA-256 of all before it. Once the batch is in
 * place, the intent is renamed to `<pipeline>.done`. That file stays until the next batch is in
 * place, because the cursor may not be saved yet. When a start has saved it, it becomes
 * `<pipeline>.last`: the next manifest names the digest of the manifest in it.
 *
 * All functions are called by the owner of the directory between file_dir_enter and file_dir_leave.
 * They return RESULT_DONE, or RESULT_ERROR as file_dir_error says; AGAIN where it is named. They
 * may wait for the disk.
 */
#pragma once

#include "base/arena.h"
#include "sink/file/batch.h"

struct file_intent {
    struct file_batch batch;
    /* The cursor behind the batch and the id of its last event, as in struct sink_commit. */
    struct buf cursor, last_id;
    struct slice *keys; /* row keys to mark behind it, in arena */
    size_t keys_count;
    int64_t served; /* the last time of the schedule that was served with it or before; 0: none */
    uint64_t dead_letter; /* sink_commit.dead_letter */
    struct arena arena;
};

/* Frees all it holds and sets it to zero. */
void file_intent_release(struct file_intent *i);

enum file_intent_stage { FILE_INTENT_OPEN, FILE_INTENT_DONE, FILE_INTENT_LAST };

/* Writes the open intent. *ret_in_place (set also on failure): it has its name, though perhaps not
 * durably. */
int file_intent_write(const struct file_intent *i, const struct file_dir *d, bool *ret_in_place,
                      struct error *err) MUST_CHECK;

/* Removes the open intent, durably: the commit did not happen. */
int file_intent_undo(const struct file_dir *d, struct error *err) MUST_CHECK;

/* The batch is in place: renames the open intent to the done one. */
int file_intent_finish(const struct file_dir *d, struct error *err) MUST_CHECK;

/* Reads the intent of a stage; the caller releases *ret. AGAIN: there is none. FATAL/69: it
 * is damaged. Also removes what an interrupted write left behind. */
int file_intent_read(const struct file_dir *d, enum file_intent_stage stage,
                     struct file_intent *ret, struct error *err) MUST_CHECK;

/* Makes the done intent the last one after the cursor is saved. This need not be durable: a done
 * intent that is old does no harm. */
void file_intent_retire(const struct file_dir *d);
