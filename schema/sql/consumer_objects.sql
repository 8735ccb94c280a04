-- What a consumer finds in its database: one row. Read by column number in
-- consume/apply/inbox_postgres.c. No parameters.
--
-- First: the inbox with its function is there. Second: so are the consumer's own tables, with what
-- this version keeps (consumer_waiting came last). Third: the server is a standby, which takes no
-- claim.
select to_regprocedure('public.inbox_claim(text, text)') is not null,
       to_regclass('commitrelay.consumer_waiting') is not null,
       pg_is_in_recovery();
