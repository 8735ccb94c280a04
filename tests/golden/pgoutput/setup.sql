-- What is there before the slot is made. tools/golden-streams runs it with psql.
CREATE SCHEMA app;
CREATE TYPE app.mood AS ENUM ('sad', 'ok', 'so "so", \ Zoë''s');
CREATE DOMAIN app.amount AS numeric(12,2) CHECK (VALUE >= 0);
CREATE DOMAIN app.dear AS app.amount CHECK (VALUE > 100);
CREATE TYPE app.point3 AS (x integer, y double precision, label text);
CREATE TYPE app.span AS RANGE (subtype = app.amount);

CREATE TABLE app.types (
    id bigint PRIMARY KEY,
    c_bool boolean, c_int2 smallint, c_int4 integer, c_float4 real, c_float8 double precision,
    c_numeric numeric, c_numeric_10_2 numeric(10,2), c_money money,
    c_text text, c_varchar varchar(20), c_char char(5), c_name name, c_internal "char",
    c_bytea bytea, c_date date, c_time time(3), c_timetz timetz, c_timestamp timestamp, c_timestamptz timestamptz(3),
    c_interval interval, c_uuid uuid, c_json json, c_jsonb jsonb, c_jsonpath jsonpath,
    c_bit bit(3), c_varbit varbit(9), c_inet inet, c_cidr cidr, c_macaddr macaddr, c_macaddr8 macaddr8,
    c_point point, c_line line, c_lseg lseg, c_box box, c_path path, c_polygon polygon, c_circle circle,
    c_tsvector tsvector, c_tsquery tsquery, c_oid oid, c_regtype regtype, c_lsn pg_lsn,
    c_int4range int4range, c_tstzrange tstzrange, c_nummultirange nummultirange,
    c_int4s integer[], c_texts text[], c_numerics numeric(10,2)[],
    c_mood app.mood, c_moods app.mood[], c_amount app.amount, c_dear app.dear, c_dears app.dear[],
    c_point3 app.point3, c_point3s app.point3[], c_span app.span,
    c_twice integer GENERATED ALWAYS AS (c_int2 * 2) STORED
);
CREATE TABLE app.full_ (id integer PRIMARY KEY, name text, big text);
ALTER TABLE app.full_ REPLICA IDENTITY FULL;
ALTER TABLE app.full_ ALTER big SET STORAGE EXTERNAL;
CREATE TABLE app.keyed (tenant integer, id integer, name text, big text, PRIMARY KEY (id, tenant));
ALTER TABLE app.keyed ALTER big SET STORAGE EXTERNAL;
CREATE TABLE app.indexed (id integer PRIMARY KEY, code text NOT NULL, name text);
CREATE UNIQUE INDEX indexed_code ON app.indexed (code);
ALTER TABLE app.indexed REPLICA IDENTITY USING INDEX indexed_code;
CREATE TABLE app.nothing (id integer PRIMARY KEY, name text);
ALTER TABLE app.nothing REPLICA IDENTITY NOTHING;
CREATE TABLE app.empty_ ();
CREATE TABLE app."We""ird Näme" ("Col umn" text PRIMARY KEY, "select" text);
CREATE TABLE app.altered (id integer PRIMARY KEY, a text, b text);
CREATE TABLE app.dropped (id integer PRIMARY KEY, a text);
CREATE TABLE app.events (id integer, day date, what text, PRIMARY KEY (id, day)) PARTITION BY RANGE (day);
-- other columns order: what is sent under the root's name has the root's
CREATE TABLE app.events_1 (what text, day date NOT NULL, id integer NOT NULL);
ALTER TABLE app.events ATTACH PARTITION app.events_1 FOR VALUES FROM ('2026-01-01') TO ('2026-02-01');
CREATE TABLE app.events_2 PARTITION OF app.events FOR VALUES FROM ('2026-02-01') TO ('2026-03-01');
CREATE TABLE app.parent (id serial PRIMARY KEY, a text);
CREATE TABLE app.child (parent integer REFERENCES app.parent);
CREATE TABLE app.bulk (id integer PRIMARY KEY, filler text);
CREATE UNLOGGED TABLE app.unlogged (id integer);
SELECT pg_replication_origin_create('elsewhere');
