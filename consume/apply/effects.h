/*
 * What events do to the table of `into`, as few statements as possible: neighbours that do the same
 * to rows of the same columns go together. Within the caller's transaction; one thread.
 */
#pragma once

#include "consume/apply/inbox.h"

/* Applies records whose claim was fresh, in order. POISON: one of them cannot be applied; with more
 * than one it is not said which. RETRY, CONFIG: as of inbox_ops.change. */
int effects_apply(const struct inbox_ops *ops, struct inbox *inbox, struct record *const *records,
                  size_t n, struct error *err) MUST_CHECK;
