-- An example of roles with no more rights than they need. Adapt the names, then run it once as an owner, after outbox.sql
-- and relay.sql. It may be run again. Passwords: give the login role one with \password, and the relay a PGPASSFILE.

do $commitrelay$
begin
    if not exists (select from pg_catalog.pg_roles where rolname = 'commitrelay') then
        create role commitrelay nologin;
    end if;
end
$commitrelay$;
comment on role commitrelay is 'what a polling relay may do; grant it to the role it logs in with';

-- The login role, by hand:
--     create role relay login connection limit 8 in role commitrelay;
--     alter role relay bypassrls;      -- where the table has row level security
-- A pipeline takes three connections (four in status and delete mode), a command one or two more. To have `status` name
-- who holds a pipeline up (pid, application), let it see other sessions:
--     grant pg_read_all_stats to relay;

-- The outbox: position mode reads only.
grant usage on schema public to commitrelay;
grant select on public.outbox to commitrelay;
--     mode: status
-- grant update (status, attempts, last_error, next_attempt_at, published_at) on public.outbox to commitrelay;
--     mode: delete
-- grant delete on public.outbox to commitrelay;

--     source.prune, or the command prune
-- grant delete on public.outbox to commitrelay;
--     of a table that is partitioned by day: only its owner makes and drops partitions
-- grant shop_owner to commitrelay;

-- The relay's own tables. `position forget` deletes, `dead_letters.keep` removes dead letters, and
-- `poison: park_key` what waited behind one and was sent.
grant usage on schema commitrelay to commitrelay;
grant select, insert, update, delete on commitrelay.positions, commitrelay.history, commitrelay.control, commitrelay.dead_letters
    to commitrelay;
grant select, insert, update, delete on commitrelay.replays to commitrelay;
grant select, insert, update on commitrelay.pruned to commitrelay;

-- Writers need no more than this; the identity column needs no right on its sequence:
-- grant insert on public.outbox to application;
