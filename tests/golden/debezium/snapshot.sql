-- The initial snapshot: rows that were there before.
-- sets: snapshot
CREATE EXTENSION hstore; CREATE EXTENSION ltree;
CREATE TYPE mood AS ENUM ('sad', 'ok');
CREATE DOMAIN d_pos AS numeric(8,3);
CREATE TABLE a_one (id int PRIMARY KEY, v text);
INSERT INTO a_one VALUES (1, 'only');
CREATE TABLE b_kinds (id int PRIMARY KEY, b bool, i2 smallint, i8 bigint, f4 real, f8 float8, n numeric, n2 numeric(10,2), m money, t text, c char(5), ch "char", nm name, by bytea, d date, ti time, t3 time(3), tz timetz, ts timestamp, ts3 timestamp(3), tstz timestamptz, tstz3 timestamptz(3), iv interval, j json, jb jsonb, x xml, u uuid, ip inet, ci cidr, ma macaddr, bi bit, b5 bit(5), vb varbit(5), vbu varbit, pt point, bo box, r int4range, mr int4multirange, tv tsvector, o oid, ls pg_lsn, e mood, dp d_pos, h hstore, lt ltree, ia int[], ta text[], na numeric[], da date[], tsa timestamp[], ua uuid[], ja jsonb[], baa bytea[], bla bool[], ea mood[], fa float8[], tstza timestamptz[], ta2 time[], ipa inet[]);
INSERT INTO b_kinds VALUES (1, true, 1, 2, 1.5, 0.1, 1.10, 1.1, 12.34, 't', 'c', 'x', 'nm', '\x01ff', '2026-11-21', '12:34:56.789123', '12:34:56.789', '12:34:56.789+02', '2026-11-21 10:20:30.123456', '2026-11-21 10:20:30.123', '2026-11-21 10:20:30.123456+02', '2026-11-21 10:20:30.1+02', '1 year 2 mons 3 days 04:05:06.789', '{"a": 1}', '{"a":1}', '<a/>', '76019d1a-ad2e-4b22-96e9-1a6d6543c818', '10.0.0.1/8', '10.0.0.0/8', '08:00:2b:01:02:03', '1', '10101', '101', '1', '(1,2)', '(1,1),(0,0)', '[1,5)', '{[1,3)}', 'a b', 5, '0/16B3748', 'ok', 2.5, 'a=>1, b=>NULL', 'a.b', '{1,NULL}', '{a,"b c",NULL}', '{1.50,NULL}', '{2026-11-21}', '{"2026-11-21 10:20:30.123456"}', '{76019d1a-ad2e-4b22-96e9-1a6d6543c818}', '{"{\"a\": 1}"}', '{"\\xdead"}', '{t,f}', '{ok}', '{1.5,NULL}', '{"2026-11-21 10:20:30.123456+02"}', '{12:34:56.789}', '{10.0.0.1}');
INSERT INTO b_kinds VALUES (2);
INSERT INTO b_kinds (id, f4, f8, d, ts, ts3, tstz, n) VALUES (3, 'NaN', 'Infinity', 'infinity', 'infinity', 'infinity', 'infinity', 1e20), (4, '-Infinity', 'NaN', '0044-03-15 BC', '-infinity', '-infinity', '-infinity', 0), (5, 1e10, 1e-5, '0001-01-01', '0044-03-15 12:00:00 BC', '1500-01-01 00:00', '0044-03-15 12:00:00Z BC', -1);
CREATE TABLE c_empty (id int PRIMARY KEY);
CREATE TABLE d_nokey (v text);
INSERT INTO d_nokey VALUES ('a'), ('b'), ('c');
CREATE TABLE e_last (id int PRIMARY KEY, v text DEFAULT 'dv');
INSERT INTO e_last VALUES (1, 'first'), (2, NULL), (3, 'last');
-- changes
INSERT INTO a_one VALUES (2, 'streamed');
