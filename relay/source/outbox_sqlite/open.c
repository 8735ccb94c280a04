/*
 * Opens and closes the source, without I/O; settings that cannot work are refused. A prune opens it
 * too, to look at the table on a connection of its own.
 */
#include "source/outbox_sqlite/internal.h"

#include "base/memory.h"

#include <stdlib.h>
#include <string.h>

int outbox_sqlite_open(const void *conf, const struct source_env *env, void **ret_source,
                       unsigned *ret_caps, struct error *err)
{
    const struct outbox_sqlite_conf *c = conf;
    const struct outbox_sqlite_mode *mode =
        env->range ? &outbox_sqlite_range_mode : outbox_sqlite_mode(c);
    bool ordered =
        c->order_by[0] != '\0' && (strcmp(c->order_by, "seq") != 0 || c->columns.seq[0] != '\0');
    if (!ordered && (env->ordered || mode->has_positions)) {
        return error_set(
            err, ERROR_CONFIG, "sqlite",
            "pipeline \"%s\": without order_by the outbox \"%s\" has no order; name a column, or use mode: delete with delivery.ordered: false",
            env->pipeline, c->table);
    }
    if (outbox_sqlite_check_position(c, outbox_sqlite_mode(c), c->start_from, err)) {
        return error_prefix(err, "source.start_from");
    }
    if (c->prune.given && outbox_sqlite_prune_needless(c)) {
        return error_set(err, ERROR_CONFIG, "config", "source.prune: %s; remove it",
                         outbox_sqlite_prune_needless(c));
    }
    struct outbox_sqlite *s = memory_need(calloc(1, sizeof *s));
    s->conf = c;
    s->mode = mode;
    s->env = env;
    s->pending = -1;
    s->oldest_us = TIME_NONE;
    arena_init(&s->table.arena);
    arena_init(&s->ack_arena);
    outbox_sqlite_watch_init(&s->watch);
    *ret_caps = mode->caps | (unsigned)SOURCE_ROWS_STAY | (ordered ? SOURCE_ORDERED : 0u);
    *ret_source = s;
    return RESULT_DONE;
}

void outbox_sqlite_close(void *source)
{
    struct outbox_sqlite *s = source;
    if (!s) {
        return;
    }
    outbox_sqlite_disconnect(s);
    outbox_sqlite_held_release(&s->held);
    arena_release(&s->table.arena);
    arena_release(&s->ack_arena);
    free(s);
}
