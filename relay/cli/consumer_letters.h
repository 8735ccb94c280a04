/*
 * `dead-letters --consumer`: what its files share. The dead letters of a consumer lie in its
 * inbox's database. consumer_letters.c shows, retries and drops them; consumer_letters_edit.c
 * edits. Main thread.
 */
#pragma once

#include "cli/dead_letters.h"
#include "cli/kit/cli_audit.h"
#include "consume/apply/letters.h"

struct consumer_letters {
    struct letters *c;
    const struct conf_consumer *conf;
    struct apply_counts counts;
    struct apply *apply;
    struct cli_audit audit;
    struct buf out;
};

static inline bool consumer_letter_is_open(const struct kept_letter *l)
{
    return slice_equal_str(l->state, STORE_LETTER_OPEN);
}

/* `edit` of the one that was named. Returns the exit code. */
int consumer_letters_edit(struct consumer_letters *w);
