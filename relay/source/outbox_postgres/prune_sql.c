/*
 * The statement that looks at the next rows of an outbox table and removes those that every
 * pipeline of the table has delivered. It is one statement, and so one snapshot: how far each
 * pipeline is, and the rows, belong together.
 *
 * Position mode: a row is delivered if the cursor's s1 shows it, or if s2 shows it and its seq is
 * not above `last` (cursor.h). "seq <= last" alone would remove rows of transactions that committed
 * late, which are yet to be delivered. Status mode: a row is delivered if it is done, and was
 * marked before the pipeline's last save: a relay that was killed between mark and save looks the
 * row up.
 *
 * Each shard of a pipeline has a position of its own, which says nothing about the rows of the
 * others: a shard holds its own rows only. One that is divided by another column than ours holds
 * all.
 */
#include "source/outbox_postgres/prune.h"

#define LOWEST "(-9223372036854775808)::bigint"

/* All tables that share rows with this one: its partitions, those it is a partition of, and so on.
 */
static void add_family(const struct prune_sql *p, struct buf *out)
{
    buf_printf(
        out,
        "with recursive family(oid) as (select %s::oid union"
        " select case when i.inhrelid = f.oid then i.inhparent else i.inhrelid end"
        " from family f join pg_catalog.pg_inherits i on f.oid in (i.inhrelid, i.inhparent))",
        p->table->oid);
}

/* The pipelines that read any of these tables. One whose table is not known or not there any more
 * counts too, until it is started again or forgotten. An empty source_table needs no rows. */
static void add_stored(const struct prune_sql *p, struct buf *out)
{
    buf_printf(
        out,
        ", stored as (select p.pipeline, p.saved_at, p.cursor, p.source_table,"
        " string_to_array(p.cursor, ' ') as f,"
        " to_regclass(p.source_table) as found, coalesce(p.source_mode,"
        " case when p.cursor like 'p1 %%' then 'position' else p.cursor end) as mode,"
        " p.cursor ~ '^p1 [0-9]+:[0-9]+:[0-9,]* (-|[0-9]+:[0-9]+:[0-9,]*) -?[0-9]+ -?[0-9]+ -?[0-9]+$'"
        " and coalesce(p.system_identifier = $2::bigint, true) as readable, coalesce(p.seq_column = ");
    pg_quote_literal(out, slice_from(p->conf->columns.name[OUTBOX_PG_SEQ]));
    buf_add_str(out, " and p.xid_column = ");
    pg_quote_literal(out, slice_from(p->conf->columns.name[OUTBOX_PG_XID]));
    buf_add_str(out, ", true) as same_columns, p.shard_column = ");
    pg_quote_literal(out, slice_from(outbox_pg_shard_by(p->conf)));
    buf_printf(out,
               " as same_shards, nullif(split_part(p.part, '/', 1), '')::int as shard,"
               " nullif(split_part(p.part, '/', 2), '')::int as shards"
               " from %s p where p.source_table is distinct from '' and"
               " not (p.part = '' and p.shards > 1) and"
               " coalesce(to_regclass(p.source_table)::oid in (select oid from family), true))",
               p->store->positions);
}

/* What their cursors say. A cursor that is ahead of the server came from another one, and shows
 * nothing. `tables` are those whose rows the pipeline needs; null: of all, for its own is not
 * known.
 */
static const char readers[] =
    ", place as (select s.*, case when readable and same_columns then f[2]::pg_snapshot end as p1,"
    " case when readable and same_columns and f[3] <> '-' then f[3]::pg_snapshot end as p2,"
    " case when readable then f[6]::bigint end as last, case when readable then"
    " greatest(f[4]::bigint, f[5]::bigint, f[6]::bigint) else " LOWEST " end as frontier,"
    " case when found is not null then array(with recursive below(oid) as (select s.found::oid"
    " union select i.inhrelid from below b join pg_catalog.pg_inherits i on i.inhparent = b.oid)"
    " select oid from below) end as tables from stored s),"
    " reader as materialized (select pipeline, mode, saved_at, p2 as s2, last, frontier, tables,"
    " case when same_shards then shard end as shard, case when same_shards then shards end as shards,"
    " case when pg_snapshot_xmax(coalesce(p2, p1)) <= pg_snapshot_xmax(pg_current_snapshot())"
    " then p1 end as s1, case"
    " when source_table is null then 'its table is not known: start it once with this version'"
    " when found is null then 'its table ' || source_table || ' is not there'"
    " when mode = 'delete' then 'it removes its rows itself (mode: delete)'"
    " when mode = 'position' and cursor = '' then 'it has not run yet'"
    " when mode = 'position' and not same_columns then 'it reads other columns of the table'"
    " when mode = 'position' and not readable then 'its position means nothing here'"
    " else '' end as why from place)";

/* `none`: what stands there instead of a column that the table has not. */
static void add_column(struct buf *out, const char *quoted, const char *none, const char *as)
{
    buf_printf(out, ", %s%s as %s", quoted ? "t." : "", quoted ? quoted : none, as);
}

static const char *column(const struct prune_sql *p, enum outbox_pg_column which, const char *type)
{
    const struct outbox_pg_found *found = &p->table->column[which];
    return found->name && strcmp(found->type, type) == 0 ? found->quoted : NULL;
}

static bool is_whole_number(const struct outbox_pg_found *found)
{
    return found->name && (strcmp(found->type, "int8") == 0 || strcmp(found->type, "int4") == 0 ||
                           strcmp(found->type, "int2") == 0);
}

/* What DELIVERED looks at. */
static void add_judged_columns(const struct prune_sql *p, struct buf *out)
{
    const struct outbox_pg_found *seq = &p->table->column[OUTBOX_PG_SEQ];
    add_column(out, is_whole_number(seq) ? seq->quoted : NULL, "null::bigint", "s");
    add_column(out, column(p, OUTBOX_PG_XID, "xid8"), "null::xid8", "x");
    add_column(out, p->has_status ? "status::text" : NULL, "null::text", "status");
    add_column(out, p->has_published_at ? "published_at" : NULL, "null::timestamptz", "published");
    const struct outbox_pg_found *by = outbox_pg_shard_column(p->conf, p->table);
    buf_add_str(out, ", ");
    if (by) {
        outbox_pg_add_hash(by->quoted, out);
    } else {
        buf_add_str(out, "null::bigint");
    }
    buf_add_str(out, " as h");
}

static void add_chunk(const struct prune_sql *p, struct buf *out)
{
    const struct outbox_pg_table *t = p->table;
    buf_printf(out, ", chunk as materialized (select t.%s as k, t.tableoid as part, coalesce(",
               t->key->quoted);
    outbox_pg_add_created_at(t, out);
    buf_printf(out, " < %snow() - $5::bigint * interval '1 microsecond'%s, false) as aged",
               p->daily ? "date_trunc('day', " : "", p->daily ? ", 'UTC')" : "");
    add_column(out, p->daily ? t->column[OUTBOX_PG_CREATED_AT].quoted : NULL, "null::int", "born");
    add_judged_columns(p, out);
    buf_printf(out,
               " from %s t where $3::%s is null or t.%s > $3::%s order by t.%s limit $4::bigint)",
               t->quoted, t->key->format, t->key->quoted, t->key->format, t->key->quoted);
}

/* The row is of that reader's shard, or may be. */
#define ITS_SHARD "coalesce(c.h % r.shards = r.shard, true)"

#define DELIVERED                                                                                  \
    "case r.mode when 'position' then r.s1 is not null and (pg_visible_in_snapshot(c.x, r.s1)"     \
    " or (r.s2 is not null and c.s <= r.last and pg_visible_in_snapshot(c.x, r.s2)))"              \
    " when 'status' then c.status = 'done' and (c.published is null or c.published <= r.saved_at)" \
    " else false end"

/* A dead letter holds the whole event, so its row may go; but not the row of one that does not
 * (SOURCE_ROW_KEPT). */
static void add_kept(const struct prune_sql *p, struct buf *out)
{
    buf_printf(out,
               ", kept as materialized (select position from %s where state in ('dead', 'waiting')"
               " and code = '" SOURCE_ROW_KEPT "' and pipeline in (select pipeline from reader))",
               p->store->dead_letters);
}

static void add_judged(const struct prune_sql *p, struct buf *out)
{
    add_kept(p, out);
    buf_add_str(
        out,
        ", judged as materialized (select c.k, c.born, case when c.aged and c.part <> all($6::oid[]) then array(select distinct r.pipeline"
        " from reader r where (r.tables is null or c.part = any(r.tables)) and " ITS_SHARD
        " and not coalesce(" DELIVERED ", false)) end as held from chunk c),"
        " ready as materialized (select k, born from judged where held = '{}'"
        " and not exists (select from kept where position = k::text)"
        " and exists (select from reader where pipeline = $1))");
}

/* A row whose status was changed meanwhile is looked at again by the delete itself. With created_at
 * the server looks for a row in one partition only. */
static void add_delete(const struct prune_sql *p, struct buf *out)
{
    const struct outbox_pg_table *t = p->table;
    if (p->dry_run) {
        buf_add_str(out, ", gone as (select k from ready)");
        return;
    }
    bool marks = p->has_status && outbox_pg_mode(p->conf)->has_status;
    buf_printf(out, ", gone as (delete from %s t using ready where t.%s = ready.k", t->quoted,
               t->key->quoted);
    if (p->daily) {
        buf_printf(out, " and t.%s = ready.born", t->column[OUTBOX_PG_CREATED_AT].quoted);
    }
    buf_printf(out, "%s returning 1)", marks ? " and t.status::text = 'done'" : "");
}

void outbox_pg_prune_sql(const struct prune_sql *p, struct buf *out)
{
    add_family(p, out);
    add_stored(p, out);
    buf_add_str(out, readers);
    add_chunk(p, out);
    add_judged(p, out);
    add_delete(p, out);
    buf_printf(
        out,
        " select (select count(*) from chunk), (select k::text from chunk order by chunk.k desc limit 1),"
        " (select count(*) from chunk where aged),"
        " (select count(*) from judged where held is not null), (select count(*) from ready),"
        " (select count(*) from gone),"
        " (select min(frontier) from reader where mode = 'position' and coalesce(%s = any(tables),"
        " true)), exists (select from reader where pipeline = $1), r.pipeline, coalesce(h.n, 0), r.why"
        " from (select 1) one left join"
        " (select distinct on (pipeline) pipeline, why from reader order by pipeline, why desc) r on true"
        " left join (select u.pipeline, count(*) as n from judged, unnest(held) u(pipeline)"
        " group by u.pipeline) h on h.pipeline = r.pipeline",
        p->table->oid);
}

/* A row of a transaction below the snapshot's xmin is visible in it, so the others are found
 * through the index on xid: a partition that is delivered is judged without reading it. */
static void add_suspects(const struct prune_sql *p, struct buf *out)
{
    if (column(p, OUTBOX_PG_XID, "xid8")) {
        buf_printf(out, "(c.x >= coalesce(pg_snapshot_xmin(r.s1), '0'::xid8)%s) and ",
                   p->table->column[OUTBOX_PG_XID].not_null ? "" : " or c.x is null");
    }
}

void outbox_pg_prune_whole_sql(const struct prune_sql *p, const char *oid, const char *quoted,
                               struct buf *out)
{
    const char *key = p->table->key->quoted;
    add_family(p, out);
    add_stored(p, out);
    buf_add_str(out, readers);
    add_kept(p, out);
    buf_printf(out, ", part as not materialized (select t.%s as k", key);
    add_judged_columns(p, out);
    buf_printf(out,
               " from %s t), verdict as materialized (select exists (select from reader where"
               " pipeline = $1) and not exists (select from reader r where (r.tables is null or"
               " %s::oid = any(r.tables)) and case r.mode when 'position' then exists (select from"
               " part c where ",
               quoted, oid);
    add_suspects(p, out);
    buf_add_str(
        out, ITS_SHARD
        " and not coalesce(" DELIVERED ", false)) else exists (select from part c where " ITS_SHARD
        " and not coalesce(" DELIVERED ", false)) end) and case when exists (select from kept) then"
        " not exists (select from part where k::text in (select position from kept))"
        " else true end as ready)"
        " select ready, case when ready then (select count(*) from part) end from verdict");
}
