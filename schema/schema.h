/*
 * The SQL of schema/, built into the binary. Each file can be run by hand with psql or sqlite3 as
 * it stands; where a name can be chosen, the file uses the default and says so at its top.
 *
 * schema/sql/ (PostgreSQL) and schema/sql_sqlite/ hold single statements of the relay, one a file,
 * so that each can be tried and explained in psql or sqlite3. Their parameters and who reads the
 * answer stand at the top of each.
 */
#pragma once

extern const char schema_postgres_outbox[];
extern const char schema_postgres_outbox_day[];
extern const char schema_postgres_partitions[]; /* after outbox_day */
extern const char schema_postgres_outbox_hash[];
extern const char schema_postgres_status[];
extern const char schema_postgres_delete[]; /* after outbox: vacuum settings of mode delete */
extern const char schema_postgres_relay[];
extern const char schema_postgres_inbox[];
extern const char schema_postgres_consumer[]; /* beside inbox */
extern const char schema_sqlite_outbox[];
extern const char schema_sqlite_relay[];
extern const char schema_sqlite_inbox[];
extern const char schema_sqlite_consumer[];

extern const char schema_sql_attached_partitions[];
extern const char schema_sql_blocking_session[];
extern const char schema_sql_column_sequences[];
extern const char schema_sql_consumer_bury[];
extern const char schema_sql_consumer_claim[];
extern const char schema_sql_consumer_columns[];
extern const char schema_sql_consumer_letters[];
extern const char schema_sql_consumer_objects[];
extern const char schema_sql_consumer_park_room[];
extern const char schema_sql_consumer_parked[];
extern const char schema_sql_consumer_save[];
extern const char schema_sql_consumer_wait[];
extern const char schema_sql_consumer_waiting_page[];
extern const char schema_sql_day_partitions[];
extern const char schema_sql_dead_letter_expire[];
extern const char schema_sql_dead_letter_list[];
extern const char schema_sql_dead_letter_put[];
extern const char schema_sql_inbox_count[];
extern const char schema_sql_inbox_pages[];
extern const char schema_sql_inbox_prune[];
extern const char schema_sql_lock_holder[];
extern const char schema_sql_other_cluster[];
extern const char schema_sql_outbox_columns[];
extern const char schema_sql_outbox_table[];
extern const char schema_sql_pipeline_lock[];
extern const char schema_sql_parked_list[];
extern const char schema_sql_pruned_before[];
extern const char schema_sql_pruned_note[];
extern const char schema_sql_server[];
extern const char schema_sql_shards_divide[];
extern const char schema_sql_shards_view[];
extern const char schema_sql_slot_blocker[];
extern const char schema_sql_store_tables[];
extern const char schema_sql_types[];
extern const char schema_sql_unsafe_commits[];
extern const char schema_sql_waiting_list[];
extern const char schema_sql_waiting_put[];
extern const char schema_sql_waiting_sent[];

extern const char schema_sql_sqlite_consumer_bury[];
extern const char schema_sql_sqlite_consumer_letters[];
extern const char schema_sql_sqlite_consumer_letters_aside[];
extern const char schema_sql_sqlite_consumer_letters_back[];
extern const char schema_sql_sqlite_consumer_letters_numbered[];
extern const char schema_sql_sqlite_consumer_park_room[];
extern const char schema_sql_sqlite_consumer_parked[];
extern const char schema_sql_sqlite_consumer_save[];
extern const char schema_sql_sqlite_consumer_wait[];
extern const char schema_sql_sqlite_consumer_waiting_page[];
extern const char schema_sql_sqlite_dead_letter_expire[];
extern const char schema_sql_sqlite_dead_letter_list[];
extern const char schema_sql_sqlite_dead_letter_put[];
extern const char schema_sql_sqlite_dead_letter_strip[];
extern const char schema_sql_sqlite_inbox_count[];
extern const char schema_sql_sqlite_inbox_next[];
extern const char schema_sql_sqlite_inbox_prune[];
extern const char schema_sql_sqlite_parked_list[];
extern const char schema_sql_sqlite_pruned_move[];
extern const char schema_sql_sqlite_unique_id[];
extern const char schema_sql_sqlite_waiting_list[];
extern const char schema_sql_sqlite_waiting_put[];
extern const char schema_sql_sqlite_waiting_sent[];
