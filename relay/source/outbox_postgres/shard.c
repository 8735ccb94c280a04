/*
 * Which rows belong to a shard of the pipeline. The server decides it with one expression, which
 * every statement that reads, counts or prunes rows is made with.
 *
 * I5: for N shards the expression gives each row one number of 0 to N-1, whatever its key is, a
 * null too. So the shards together are the whole table, and no row is in two of them.
 */
#include "source/outbox_postgres/internal.h"

/* Keeps the hash positive: % of a negative number is negative in SQL. */
#define POSITIVE "2147483647"

void outbox_pg_add_hash(const char *quoted, struct buf *out)
{
    buf_printf(out, "(hashtextextended(coalesce(t.%s::text, ''), 0) & " POSITIVE ")", quoted);
}

void outbox_pg_divide(const void *conf, int *ret_shards, const char **ret_by)
{
    const struct outbox_pg_conf *c = conf;
    *ret_shards = (int)c->shards;
    *ret_by = c->shard_by;
}

const char *outbox_pg_shard_by(const struct outbox_pg_conf *conf)
{
    return strcmp(conf->shard_by, "aggregateid") == 0 ? conf->columns.name[OUTBOX_PG_AGGREGATEID]
                                                      : conf->shard_by;
}

const struct outbox_pg_found *outbox_pg_shard_column(const struct outbox_pg_conf *conf,
                                                     const struct outbox_pg_table *t)
{
    const char *name = outbox_pg_shard_by(conf);
    for (size_t i = 0; i < OUTBOX_PG_COLUMNS; i++) {
        if (t->column[i].name && strcmp(t->column[i].name, name) == 0) {
            return &t->column[i];
        }
    }
    for (size_t i = 0; i < t->further_count; i++) {
        if (t->further[i].name && strcmp(t->further[i].name, name) == 0) {
            return &t->further[i];
        }
    }
    return NULL;
}

int outbox_pg_find_shard(const struct outbox_pg_conf *conf, const struct source_env *env,
                         struct outbox_pg_table *t, struct error *err)
{
    CLEANUP(buf_release) struct buf text = {0};
    struct part part;
    if (!part_parse(env->store.part, &part)) {
        return error_set(err, ERROR_FATAL, "postgres", "pipeline %s: \"%s\" is no shard",
                         env->pipeline, env->store.part);
    }
    if (part.of == 1) {
        return RESULT_DONE;
    }
    const struct outbox_pg_found *column = outbox_pg_shard_column(conf, t);
    if (!column) {
        return error_set(
            err, ERROR_CONFIG, "postgres",
            "source.shard_by \"%s\": neither source.columns nor the route names a column of %s so; give aggregateid, or the column that route.key uses",
            outbox_pg_shard_by(conf), t->quoted);
    }
    buf_add_str(&text, " and ");
    outbox_pg_add_hash(column->quoted, &text);
    buf_printf(&text, " %% %d = %d", part.of, part.number);
    t->shard = arena_copy(&t->arena, buf_slice(&text)).ptr;
    t->shards = part.of;
    return RESULT_DONE;
}
