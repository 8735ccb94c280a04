-- The time modes that came with Debezium 3.1; only the rows are compared, its source block has other fields.
-- sets: default isostring microseconds nanoseconds
CREATE TABLE stamps (id int PRIMARY KEY, d date, t time, t3 time(3), tz timetz, ts timestamp, ts3 timestamp(3), tstz timestamptz, tstz3 timestamptz(3));
CREATE TABLE arrays (id int PRIMARY KEY, d date[], t time[], t3 time(3)[], tz timetz[], ts timestamp[], ts3 timestamp(3)[], tstz timestamptz[]);
CREATE TABLE keys (d date, ts timestamp, t time, PRIMARY KEY (ts, d, t));
CREATE TABLE defs (id int PRIMARY KEY, d date DEFAULT '2020-01-02', t time DEFAULT '01:02:03', ts timestamp DEFAULT '2020-01-02 03:04:05.678', n timestamp DEFAULT now(), dn date NOT NULL, tn time NOT NULL, tsn timestamp NOT NULL);
-- changes
INSERT INTO stamps VALUES (1, '2026-11-21', '12:34:56.789123', '12:34:56.789', '12:34:56.5+02', '2026-11-21 10:20:30.123456', '2026-11-21 10:20:30.123', '2026-11-21 10:20:30.123456Z', '2026-11-21 10:20:30.1Z');
INSERT INTO stamps VALUES (2, '1970-01-01', '00:00', '00:00', '00:00Z', '1970-01-01 00:00:00', '1970-01-01 00:00:00', '1970-01-01 00:00:00Z', '1970-01-01 00:00:00Z');
INSERT INTO stamps VALUES (3, '0044-03-15 BC', '23:59:59.9', '23:59:59.9', NULL, '0044-03-15 12:00:00.5 BC', '0001-01-01 00:00:00', NULL, NULL);
INSERT INTO stamps VALUES (4, '12000-01-01', '10:00', '10:00:05', NULL, '12000-01-01 10:00:00', '9999-12-31 23:59:59.999', NULL, NULL);
INSERT INTO stamps VALUES (5);
INSERT INTO stamps (id, d) VALUES (6, 'infinity');
INSERT INTO stamps (id, d) VALUES (7, '-infinity');
INSERT INTO stamps (id, t) VALUES (8, '24:00');
INSERT INTO stamps (id, ts) VALUES (9, 'infinity');
INSERT INTO stamps (id, ts) VALUES (10, '-infinity');
INSERT INTO stamps (id, ts) VALUES (11, '1969-12-31 23:59:59.999999');
INSERT INTO stamps (id, ts) VALUES (12, '2262-04-11 23:47:16.854775');
INSERT INTO stamps (id, ts) VALUES (13, '2262-04-12 00:00:00');
INSERT INTO stamps (id, ts) VALUES (14, '1677-09-20 00:00:00');
INSERT INTO arrays VALUES (1, '{2026-11-21,NULL}', '{12:34:56}', '{12:34:56}', '{12:34:56Z}', '{"2026-11-21 10:20:30.123456",NULL}', '{"2026-11-21 10:20:30.123"}', '{"2026-11-21 10:20:30.123456Z"}');
INSERT INTO arrays VALUES (2);
INSERT INTO arrays VALUES (3, '{}', '{}', '{}', '{}', '{}', '{}', '{}');
INSERT INTO keys VALUES ('2026-11-21', '2026-11-21 10:20:30.123456', '12:34:56');
DELETE FROM keys;
INSERT INTO defs VALUES (1, NULL, NULL, NULL, NULL, '2020-01-01', '10:00', '2020-01-01');
DELETE FROM defs;
