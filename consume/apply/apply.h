/*
 * Applies events once each: claims them in the inbox and does what they ask for, in one transaction
 * of the inbox's database; or, for a program, runs it and claims the event after its success.
 *
 * A struct apply is used by one thread at a time, and its functions wait.
 */
#pragma once

#include "config/config.h"
#include "consume/record.h"
#include <stdatomic.h>

struct apply;

struct apply_counts {
    _Atomic int64_t applied, seen; /* seen: had been applied before */
    _Atomic int64_t waiting;       /* were put behind the dead letters of their keys */
};

/* `conf` and `counts` outlive it. stop_fd: readable when what is under way shall be given up. No
 * I/O. CONFIG: the settings do not fit each other. */
int apply_new(const struct conf_consumer *conf, struct apply_counts *counts, int stop_fd,
              struct apply **ret, struct error *err) MUST_CHECK;
void apply_free(struct apply *a); /* NULL is fine */

/* For `check --connect`: can the inbox's database be reached, and is the table or function of
 * `apply` there? Changes nothing. *ret_missing: the inbox or the consumer's own tables have to be
 * made. Waits. */
int apply_check(const struct conf_consumer *conf, bool *ret_missing, struct error *err) MUST_CHECK;

/* Applies the records in order. *ret_done is how many of them are applied, or were before. It is
 * set after an error too. Then err is about the next record. POISON: it cannot be applied; RETRY:
 * try it again later; CONFIG: the operator must act. */
int apply_batch(struct apply *a, struct record *const *records, size_t n, size_t *ret_done,
                struct error *err) MUST_CHECK;

/* Keeps the record as a dead letter. */
int apply_bury(struct apply *a, const struct record *r, const char *reason,
               struct error *err) MUST_CHECK;

typedef void apply_position(void *ctx, struct slice stream, int64_t number);
/* Gives the saved position of each stream; save keeps one. load also connects, and so finds what
 * does not fit. */
int apply_load(struct apply *a, apply_position *give, void *ctx, struct error *err) MUST_CHECK;
int apply_save(struct apply *a, const char *stream, int64_t number, struct error *err) MUST_CHECK;
