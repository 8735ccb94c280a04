-- What a server and its role are, before a change stream starts: one row, read by column number in
-- cdc/preflight/server.c. No parameters.
--
-- effective_wal_level, output_plugin_libraries and idle_replication_slot_timeout are not on every
-- server; the second is shown to the privileged only, so it is looked up where it is just absent.
select
    current_setting('server_version_num'),
    pg_is_in_recovery(),
    quote_ident(current_user),
    current_database(),
    coalesce(current_setting('effective_wal_level', true), current_setting('wal_level')),
    case
        when exists (select from pg_roles where rolname = 'rds_superuser') then 'rds'
        when exists (select from pg_roles where rolname = 'cloudsqlsuperuser') then 'cloudsql'
        else ''
    end as managed,
    coalesce((select setting from pg_settings where name = 'output_plugin_libraries'), ''),
    current_setting('synchronous_standby_names'),
    current_setting('max_replication_slots'),
    (select count(*) from pg_replication_slots) as slots_used,
    current_setting('max_wal_senders'),
    (select count(*) from pg_stat_replication) as senders_used,
    (select case when setting::bigint < 0 then -1 else setting::bigint * 1048576 end
       from pg_settings where name = 'max_slot_wal_keep_size') as keep_bytes,
    coalesce((select extract(epoch from (setting || unit)::interval)::bigint
                from pg_settings where name = 'idle_replication_slot_timeout'), 0) as idle_timeout_s,
    current_setting('hot_standby_feedback') = 'on',
    pg_backend_pid(),
    current_setting('server_encoding'),
    ('x' || encode(cash_send(1::bigint::money), 'hex'))::bit(64)::bigint as money_unit;
