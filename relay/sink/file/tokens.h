/*
 * The tokens of the events in the open file, in the order in which they were put. One thread.
 */
#pragma once

#include "contract/sink.h"

struct file_tokens {
    uint64_t *items;
    size_t count, cap, reported;
};

void file_tokens_release(struct file_tokens *t);
void file_tokens_clear(struct file_tokens *t); /* keeps the memory */
void file_tokens_add(struct file_tokens *t, uint64_t token);

/* Reports as many of them as delivered as there is room for. True: that were the last ones. */
bool file_tokens_report(struct file_tokens *t, struct sink_report *report);
