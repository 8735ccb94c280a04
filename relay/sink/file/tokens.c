/* Remembers tokens and reports them. */
#include "sink/file/tokens.h"

#include "base/memory.h"

void file_tokens_release(struct file_tokens *t)
{
    free(t->items);
    *t = (struct file_tokens){0};
}

void file_tokens_clear(struct file_tokens *t)
{
    t->count = t->reported = 0;
}

void file_tokens_add(struct file_tokens *t, uint64_t token)
{
    if (t->count == t->cap) {
        t->cap = t->cap ? t->cap * 2 : 1024;
        t->items = memory_need(reallocarray(t->items, t->cap, sizeof *t->items));
    }
    t->items[t->count++] = token;
}

bool file_tokens_report(struct file_tokens *t, struct sink_report *report)
{
    while (t->reported < t->count && report->count < SINK_REPORT_MAX) {
        report->results[report->count++] =
            (struct sink_result){t->items[t->reported++], SINK_DELIVERED};
    }
    return t->reported == t->count;
}
