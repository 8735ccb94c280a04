-- The consumer's side: which events were taken already. Run it with: sqlite3 shop.db < inbox.sql
-- It may be run again. In the consumer's own transaction (begin immediate):
--   insert into inbox (consumer, event_id) values (?, ?) on conflict (consumer, event_id) do nothing;
-- and go on only if changes() is 1: it is 0 for an event that was taken before.
create table if not exists inbox (
    consumer text not null,
    event_id text not null,
    received_at text not null default (strftime('%Y-%m-%dT%H:%M:%fZ', 'now')),
    primary key (consumer, event_id)
) without rowid;

-- Inserts nothing. It fails where another table inbox was there before, without whose key no claim would be refused.
insert into inbox (consumer, event_id, received_at)
select '', '', '' where false
    on conflict (consumer, event_id) do nothing;
