-- A backlog to fill any outbox table of `commitrelay init` from: rows of about 300 bytes, made once, copied as often as needed.
-- synchronous_commit is off in the filler's session only: the WAL it leaves is the same, it is only written faster.
CREATE OR REPLACE FUNCTION order_json(seq bigint) RETURNS jsonb LANGUAGE sql VOLATILE AS $$
    SELECT format('{"seq": %s, "ts_us": %s, "order_id": %s, "customer": {"id": %s, "tier": "gold"}, "currency": "EUR", "total": "%s.%s", "items": [{"sku": "SKU-%s", "qty": %s, "price": "19.90"}, {"sku": "SKU-%s", "qty": 1, "price": "5.49"}], "status": "created"}',
        seq, (extract(epoch FROM clock_timestamp()) * 1e6)::bigint, seq % 50000, seq % 9973, 20 + seq % 400, 10 + seq % 90,
        lpad((seq % 99991)::text, 5, '0'), 1 + seq % 5, lpad((seq * 7 % 99991)::text, 5, '0'))::jsonb
$$;
CREATE UNLOGGED TABLE backlog (n bigint PRIMARY KEY, payload jsonb NOT NULL);
CREATE PROCEDURE backlog_make(rows bigint) LANGUAGE sql AS $$
    INSERT INTO backlog SELECT s, order_json(s) FROM generate_series(0, rows - 1) s ON CONFLICT DO NOTHING
$$;
-- The table empty again, then rows in transactions of per_tx.
CREATE PROCEDURE backlog_fill(target regclass, rows bigint, per_tx int) LANGUAGE plpgsql AS $$
DECLARE i bigint := 0;
BEGIN
    EXECUTE format('TRUNCATE %s RESTART IDENTITY', target);
    COMMIT;
    WHILE i < rows LOOP
        EXECUTE format($q$INSERT INTO %s (aggregatetype, aggregateid, type, payload, headers)
            SELECT 'order', 'order-' || (n %% 50000), 'OrderCreated', payload, '{"trace": "abc"}'
            FROM backlog WHERE n >= $1 AND n < $2 ORDER BY n$q$, target) USING i, least(i + per_tx, rows);
        COMMIT;
        i := i + per_tx;
    END LOOP;
END $$;
