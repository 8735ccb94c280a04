-- The fixed scenario of the golden streams, run with psql behind setup.sql and the slot.
\echo types
INSERT INTO app.types (id) VALUES (1);
INSERT INTO app.types VALUES (2,
    true, -32768, -2147483648, 'NaN', '-Infinity',
    'NaN', -12345678.90, -12.34,
    E'tab\t, newline\n, quote " \\ ''; Grüße, 日本語', 'varchar', 'ab', 'a name', 'x',
    '\x00ff41', '4713-01-01 BC', '23:59:59.999', '00:00+15:59', 'infinity', '-infinity',
    '-1 year 2 mons -3 days 04:05:06.789', 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11', '{"a" : [1, null]}', '{"b": {"c": 1e3}}', '$.a[*] ? (@ > 1)',
    '101', '110011001', '192.168.1.5/24', '10.0.0.0/8', '08:00:2b:01:02:03', '08:00:2b:01:02:03:04:05',
    '(1.5,-2)', '{1,2,3}', '((0,0),(1,1))', '((1,1),(0,0))', '[(0,0),(1,1),(2,0)]', '((0,0),(1,1),(2,0))', '<(1,2),3>',
    'a:1A fat:2B,4C cat', 'fat & (rat | cat:a*)', 4294967295, 'integer', '16/B374D848',
    '[3,7)', '(2026-01-01 00:00+02,)', '{[1,2),(3.5,]}',
    '{{1,2},{3,NULL}}', '{"a,b",NULL,"","NULL","\"q\\\"","ü"}', '{1.10,-0.01}',
    'so "so", \ Zoë''s', '{ok,NULL}', 12.3, 1000.05, '{100.5,NULL}',
    '(1,2.5,"l, ""x""")', ARRAY[(1, 2, NULL)::app.point3, NULL], '[1.00,2.00)');
INSERT INTO app.types (id, c_float8, c_date, c_timestamp, c_interval, c_numeric, c_text, c_bytea, c_int4s, c_int4range) VALUES
    (3, 0.1, 'infinity', '294276-12-31 23:59:59.999999', '0', '-0.00000000000000000001', '', '', '{}', 'empty'),
    (4, 1e-307, '5874897-12-31', '4713-01-01 00:00:00 BC', '178000000 years', 'Infinity', NULL, NULL, '[0:1]={7,8}', '(,)');
UPDATE app.types SET c_int4 = 7, c_mood = 'sad' WHERE id = 1;
UPDATE app.types SET id = 5 WHERE id = 4;
DELETE FROM app.types WHERE id IN (1, 5);

\echo identities and TOAST
BEGIN;
INSERT INTO app.full_ VALUES (1, 'one', repeat('long', 700)), (2, NULL, NULL);
INSERT INTO app.keyed VALUES (1, 1, 'one', repeat('long', 700)), (1, 2, 'two', NULL);
INSERT INTO app.indexed VALUES (1, 'a', 'one'), (2, 'b', NULL);
INSERT INTO app.nothing VALUES (1, 'one');
INSERT INTO app.empty_ DEFAULT VALUES;
INSERT INTO app."We""ird Näme" VALUES ('kéy', '');
COMMIT;
UPDATE app.full_ SET name = 'uno' WHERE id = 1;
UPDATE app.full_ SET big = repeat('wide', 700);
UPDATE app.full_ SET id = 3 WHERE id = 2;
UPDATE app.keyed SET name = 'uno' WHERE id = 1;
UPDATE app.keyed SET id = 3, name = 'three' WHERE id = 1;
UPDATE app.keyed SET big = repeat('wide', 700) WHERE id = 3;
UPDATE app.indexed SET name = 'uno' WHERE id = 1;
UPDATE app.indexed SET id = 7 WHERE id = 1;
UPDATE app.indexed SET code = 'c' WHERE id = 7;
UPDATE app."We""ird Näme" SET "Col umn" = 'key', "select" = NULL;
DELETE FROM app.full_;
DELETE FROM app.keyed;
DELETE FROM app.indexed;
DELETE FROM app."We""ird Näme";

\echo several rows with one LSN
INSERT INTO app.parent (a) VALUES ('x'), ('y'), ('z');
COPY app.keyed FROM STDIN;
1	10	ten	\N
1	11	\N	eleven
1	12		\\N
\.
INSERT INTO app.keyed VALUES (1, 10, 'ten', 'again'), (1, 13, 'new', NULL) ON CONFLICT (id, tenant) DO UPDATE SET name = 'met';

\echo transactions that end otherwise
BEGIN;
INSERT INTO app.parent VALUES (100, 'kept');
SAVEPOINT a;
INSERT INTO app.parent VALUES (101, 'undone');
SAVEPOINT b;
INSERT INTO app.parent VALUES (102, 'undone too');
ROLLBACK TO a;
INSERT INTO app.parent VALUES (103, 'kept too');
SAVEPOINT c;
UPDATE app.parent SET a = 'last' WHERE id = 103;
RELEASE c;
COMMIT;
BEGIN;
INSERT INTO app.parent VALUES (104, 'never');
SELECT pg_logical_emit_message(true, 'golden', 'never either');
SELECT pg_logical_emit_message(false, 'golden', 'at once, although it is rolled back');
ROLLBACK;
INSERT INTO app.unlogged VALUES (1);

\echo messages
BEGIN;
SELECT pg_logical_emit_message(true, 'golden', '{"id": 1, "text": "Grüße"}');
INSERT INTO app.nothing VALUES (2, 'between');
SELECT pg_logical_emit_message(true, '', ''::bytea);
COMMIT;
SELECT pg_logical_emit_message(true, 'bytes', '\x00ff00'::bytea);
SELECT pg_logical_emit_message(false, 'golden', 'alone');

\echo truncate
INSERT INTO app.child VALUES (1);
TRUNCATE app.nothing, app.full_;
TRUNCATE app.parent RESTART IDENTITY CASCADE;
TRUNCATE app.events;

\echo a table that changes
INSERT INTO app.altered VALUES (1, 'a1', 'b1');
ALTER TABLE app.altered ADD c integer NOT NULL DEFAULT 5;
INSERT INTO app.altered VALUES (2, 'a2', 'b2', 2);
UPDATE app.altered SET a = 'a1 again' WHERE id = 1;
ALTER TABLE app.altered DROP b;
INSERT INTO app.altered VALUES (3, 'a3', 3);
ALTER TABLE app.altered RENAME a TO z;
BEGIN;
INSERT INTO app.altered VALUES (4, 'z4', 4);
ALTER TABLE app.altered ADD d app.mood DEFAULT 'ok';
UPDATE app.altered SET c = 44 WHERE id = 4;
ALTER TABLE app.altered ALTER c TYPE bigint;
ALTER TABLE app.altered RENAME TO renamed;
INSERT INTO app.renamed VALUES (5, 'z5', 5000000000, 'sad');
COMMIT;
ALTER TABLE app.renamed REPLICA IDENTITY FULL;
DELETE FROM app.renamed WHERE id = 1;
INSERT INTO app.dropped VALUES (1, 'first');
DROP TABLE app.dropped;
CREATE TABLE app.dropped (a text, id bigint PRIMARY KEY);
INSERT INTO app.dropped VALUES ('second', 2);

\echo partitions
INSERT INTO app.events VALUES (1, '2026-01-05', 'january'), (2, '2026-02-05', 'february');
UPDATE app.events SET what = 'moved', day = '2026-02-06' WHERE id = 1;
UPDATE app.events SET what = 'stays' WHERE id = 2;
DELETE FROM app.events;
TRUNCATE app.events_1;

\echo origin
SELECT pg_replication_origin_session_setup('elsewhere');
BEGIN;
SELECT pg_replication_origin_xact_setup('0/1234', '2026-01-02 03:04:05+00');
INSERT INTO app.nothing VALUES (3, 'from elsewhere');
COMMIT;
SELECT pg_replication_origin_session_reset();

\echo large transactions
BEGIN;
INSERT INTO app.bulk SELECT n, repeat('a', 600) FROM generate_series(1, 100) n;
SAVEPOINT a;
INSERT INTO app.bulk SELECT n, repeat('b', 600) FROM generate_series(101, 200) n;
ROLLBACK TO a;
SELECT pg_logical_emit_message(true, 'golden', 'inside');
SAVEPOINT c;
INSERT INTO app.bulk SELECT n, repeat('c', 600) FROM generate_series(201, 300) n;
RELEASE c;
ALTER TABLE app.bulk ADD mood app.mood;
UPDATE app.bulk SET id = -id, mood = 'ok' WHERE id % 10 = 0;
DELETE FROM app.bulk WHERE id % 10 = 1;
COMMIT;
BEGIN;
INSERT INTO app.bulk SELECT n, repeat('d', 600) FROM generate_series(301, 450) n;
ROLLBACK;
BEGIN;
SELECT pg_replication_origin_session_setup('elsewhere');
INSERT INTO app.bulk SELECT n, repeat('e', 600) FROM generate_series(501, 600) n;
TRUNCATE app.bulk, app.nothing;
COMMIT;
SELECT pg_replication_origin_session_reset();
SELECT pg_logical_emit_message(true, 'golden', 'end');
