-- What Debezium's outbox router sends for the standard table; our format `payload` with headers [id] has to send the same.
-- sets: router router_mapped
CREATE TABLE outbox (id uuid NOT NULL PRIMARY KEY, aggregatetype varchar(255) NOT NULL, aggregateid varchar(255) NOT NULL, type varchar(255) NOT NULL, payload jsonb);
CREATE TABLE outgoing (event_id uuid NOT NULL PRIMARY KEY, kind varchar(255) NOT NULL, entity varchar(255), what varchar(255) NOT NULL, body text);
-- changes
INSERT INTO outbox VALUES ('76019d1a-ad2e-4b22-96e9-1a6d6543c818', 'order', '42', 'created', '{"b": 1.50, "a": "ü \" \\ x"}');
INSERT INTO outbox VALUES ('00000000-0000-0000-0000-000000000001', 'Order.Item', 'a b', 'x', '"text"');
INSERT INTO outbox VALUES ('00000000-0000-0000-0000-000000000002', 'order', '', 'x', '[]');
INSERT INTO outbox VALUES ('00000000-0000-0000-0000-000000000003', 'order', '43', 'x', 'null');
INSERT INTO outbox VALUES ('00000000-0000-0000-0000-000000000004', 'order', '44', 'x', NULL);
INSERT INTO outgoing VALUES ('00000000-0000-0000-0000-000000000011', 'order', '42', 'created', '{"b": 1.50}'), ('00000000-0000-0000-0000-000000000012', 'Item_1.x', 'ü k', 'ä "b"', 'no JSON'), ('00000000-0000-0000-0000-000000000013', 'order', '43', 'c', ''), ('00000000-0000-0000-0000-000000000014', 'order', '44', 'c', NULL), ('00000000-0000-0000-0000-000000000015', 'order', NULL, 'c', 'keyless');
UPDATE outgoing SET body = 'again' WHERE entity = '42';
DELETE FROM outbox;
