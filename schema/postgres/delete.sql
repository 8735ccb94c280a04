-- What `mode: delete` adds to the outbox table: vacuum settings only. Run it after outbox.sql, in the same way; the
-- table's name (outbox in double quotes) is replaced by `commitrelay init`. It may be run again.

-- Each delete leaves a dead entry at the head of the very index the relay scans: vacuum by count, early and unthrottled.
alter table "outbox" set (
    autovacuum_vacuum_scale_factor = 0,
    autovacuum_vacuum_threshold = 1000,
    autovacuum_vacuum_cost_delay = 0
);
