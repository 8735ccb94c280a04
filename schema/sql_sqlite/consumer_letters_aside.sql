-- Puts the dead letters of an earlier build aside, before schema/sqlite/consumer.sql makes the table anew. Used in
-- consume/apply/inbox_sqlite.c, in one transaction with consumer_letters_back.sql or consumer_letters_numbered.sql. No parameters.
alter table commitrelay_consumer_dead_letters rename to commitrelay_consumer_dead_letters_before;
