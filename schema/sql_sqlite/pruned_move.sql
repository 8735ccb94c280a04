-- Takes the marks of prunes from the pipelines, where an earlier build kept them. Used in relay/store/sqlite/connection.c where
-- the column is there. No parameters.
INSERT OR IGNORE INTO commitrelay_pruned (source_table, pruned_before)
SELECT source_table, max(pruned_before)
  FROM commitrelay_positions
 WHERE pruned_before IS NOT NULL
   AND source_table <> ''
 GROUP BY source_table COLLATE NOCASE;
UPDATE commitrelay_positions SET pruned_before = NULL WHERE pruned_before IS NOT NULL;
