/* The one query for what a publication sends. The checks, the catalog and the snapshot all use it,
 * so that they cannot differ. */
#include "cdc/decode/published.h"

enum { LISTS_FROM = 150000, GENERATED_FROM = 180000 };

void published_members(struct buf *sql, int version, int param)
{
    bool lists = version >= LISTS_FROM; /* column lists, row filters and whole schemas */
    buf_printf(sql,
               "with recursive pub as (select * from pg_publication where pubname = $%d),"
               " member(oid, attrs, qual) as (select r.prrelid, %s from pub"
               " join pg_publication_rel r on r.prpubid = pub.oid%s)",
               param, lists ? "r.prattrs::int2[], r.prqual" : "null::int2[], null::pg_node_tree",
               lists ? " union all select c.oid, null, null from pub"
                       " join pg_publication_namespace n on n.pnpubid = pub.oid"
                       " join pg_class c on c.relnamespace = n.pnnspid"
                     : "");
}

void published_tables(struct buf *sql, int version, int param)
{
    published_members(sql, version, param);
    buf_printf(
        sql,
        ", published(oid, attrs, qual, gencols) as (select c.oid,"
        " (select m.attrs from member m where m.oid = c.oid and m.attrs is not null limit 1),"
        " (select m.qual from member m where m.oid = c.oid and m.qual is not null limit 1), %s"
        " from pub join pg_class c on c.relpersistence = 'p' and c.oid >= 16384"
        " and c.relkind in ('r', 'p') cross join lateral"
        " (select pub.puballtables or c.oid in (select oid from member) as own,"
        " c.relispartition and exists (select from pg_partition_ancestors(c.oid) a"
        " where a.relid <> c.oid and (pub.puballtables or a.relid in (select oid from member)))"
        " as above) o where case when pub.pubviaroot then o.own and not o.above"
        " else c.relkind = 'r' and (o.own or o.above) end)",
        version >= GENERATED_FROM ? "pub.pubgencols = 's'" : "false");
}
