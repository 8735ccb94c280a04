/*
 * The intent: what a commit is about to make true, written down durably before it does. If the
 * relay dies, the next one finishes from it, and knows how far the data really got.
 *
 * `.commitrelay/<pipeline>.intent`: lines `name length:bytes`, so that any bytes may be in a cursor
 * or a key; the last one is the SHA-256 of all before it. Once its batch is in place, the intent is
 * renamed to `<pipeline>.done`. It stays until the next batch is in place: its cursor may not be
 * saved yet. All of this is called by the owner of the directory, who has entered.
 */
#pragma once

#include "base/arena.h"
#include "sink/file/batch.h"

struct file_intent {
    struct file_batch batch;
    struct buf cursor, last_id;
    struct slice *keys; /* in arena */
    size_t keys_count;
    struct arena arena;
};

void file_intent_release(struct file_intent *i);

enum file_intent_stage { FILE_INTENT_OPEN, FILE_INTENT_DONE };

/* *ret_in_place (set on failure too): the intent has its name, though perhaps not durably. */
int file_intent_write(const struct file_intent *i, const struct file_dir *d, bool *ret_in_place,
                      struct error *err) MUST_CHECK;

/* Takes the open intent back, durably. */
int file_intent_undo(const struct file_dir *d, struct error *err) MUST_CHECK;

/* The batch of the open intent is in place. */
int file_intent_finish(const struct file_dir *d, struct error *err) MUST_CHECK;

/* AGAIN: there is none. FATAL/69 when it is damaged. Removes what an interrupted write left behind.
 */
int file_intent_read(const struct file_dir *d, enum file_intent_stage stage,
                     struct file_intent *ret, struct error *err) MUST_CHECK;

/* No longer needed, because the cursor is saved. Not durable in a hurry: a stale one does no harm.
 */
void file_intent_remove(const struct file_dir *d);
