-- What Debezium's outbox router sends with columns in the envelope; our encode.envelope has to send the same.
-- sets: router_envelope
CREATE TABLE enveloped (id uuid NOT NULL PRIMARY KEY, aggregatetype varchar(255) NOT NULL, aggregateid varchar(255) NOT NULL, type varchar(255) NOT NULL, payload jsonb,
  n bigint, price numeric(10,2), at timestamp, tags jsonb, ok boolean DEFAULT true, note text);
-- changes
INSERT INTO enveloped VALUES ('00000000-0000-0000-0000-000000000021', 'order', '42', 'created', '{"b": 1.50, "a": "ü \" \\ x"}', 9007199254740993, 12.50, '2026-01-02 03:04:05.678901', '["x"]', false, 'é "q"');
INSERT INTO enveloped VALUES ('00000000-0000-0000-0000-000000000022', 'order', '43', 'gone', NULL, NULL, NULL, NULL, NULL, NULL, NULL);
INSERT INTO enveloped VALUES ('00000000-0000-0000-0000-000000000023', 'order', '44', 'x', '"text"', -1, 0, '1969-12-31 23:59:59.9', '{}', true, '');
