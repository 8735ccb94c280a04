-- The outbox table of commitrelay for SQLite. Run it with: sqlite3 shop.db < outbox.sql
-- It may be run again. Another table name: replace the word outbox.
-- AUTOINCREMENT is what makes "seq greater than the last one" safe: without it SQLite gives a deleted row's number again.
create table if not exists "outbox" (
    seq integer primary key autoincrement,
    id text not null unique,
    aggregatetype text not null,
    aggregateid text not null,
    type text not null,
    payload text not null,
    headers text,
    created_at text not null default (strftime('%Y-%m-%dT%H:%M:%fZ', 'now'))
);
