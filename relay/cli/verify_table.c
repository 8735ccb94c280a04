/* Ids are compared as texts, in the end: a database takes other texts for the same value, and no
 * consumer does. */
#include "cli/verify_table.h"

#include "base/clock.h"
#include <string.h>

struct question {
    const char *const *ids;
    size_t n;
    bool *there;
};

static int mark(void *ctx, struct slice id)
{
    const struct question *q = ctx;
    size_t from = 0, to = q->n;
    while (from < to) {
        size_t middle = from + (to - from) / 2;
        int order = strncmp(id.ptr, q->ids[middle], id.len);
        order = order ? order : q->ids[middle][id.len] ? -1 : 0;
        if (order == 0) {
            q->there[middle] = true;
            return RESULT_DONE;
        }
        from = order > 0 ? middle + 1 : from;
        to = order > 0 ? to : middle;
    }
    return RESULT_DONE;
}

int verify_table_find(const struct verify_table *t, const char *const *ids, size_t n,
                      bool *ret_there, struct error *err)
{
    struct question q = {ids, n, ret_there};
    if (t->reads->ops->holds(t->reads->source, ids, n, mark, &q, err) == RESULT_DONE) {
        return RESULT_DONE;
    }
    if (err->exit_code != EXIT_CODE_USAGE) {
        return RESULT_ERROR;
    }
    /* One of them is no value of the column's type, and so in no row. */
    if (n == 1) {
        return RESULT_DONE;
    }
    size_t half = n / 2;
    return verify_table_find(t, ids, half, ret_there, err)
               ? RESULT_ERROR
               : verify_table_find(t, ids + half, n - half, ret_there + half, err);
}

/* Rows go in the order of their age, so the oldest one that is left tells it, unless it was kept
 * for a reason of its own; a prune notes how far it went. */
int verify_table_removed(const struct verify_table *t, struct verify_removed *ret,
                         struct error *err)
{
    struct source_range none = SOURCE_RANGE_ALL;
    struct source_survey found;
    int64_t pruned_us;
    none.frontier = t->frontier;
    none.from = none.to = INT64_MAX; /* only the lowest is asked for */
    if (t->reads->ops->survey(t->reads->source, &none, &found, err) ||
        t->store->ops->pruned(t->store->store, t->name, &pruned_us, err)) {
        return RESULT_ERROR;
    }
    bool younger = found.lowest_us == TIME_NONE || pruned_us > found.lowest_us;
    bool empty = found.lowest == INT64_MAX && !t->never_ran;
    ret->before_us = empty ? INT64_MAX : younger ? pruned_us : found.lowest_us;
    ret->pruned = pruned_us != TIME_NONE;
    return RESULT_DONE;
}
