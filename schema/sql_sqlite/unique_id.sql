-- Whether a column alone identifies a row: one row if it does, by a unique index or as the primary
-- key. ?1: the table, ?2: the column.
--
-- A primary key of one integer column has no index of its own, so it is looked for separately.
SELECT 1
  FROM pragma_index_list(?1) l
 WHERE l."unique"
   AND NOT l.partial
   AND (SELECT lower(group_concat(name)) FROM pragma_index_info(l.name)) = lower(?2)
UNION ALL
SELECT 1
  FROM pragma_table_info(?1)
 WHERE lower(name) = lower(?2)
   AND pk = 1
   AND (SELECT max(pk) FROM pragma_table_info(?1)) = 1;
