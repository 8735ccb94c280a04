/*
 * The SQL of schema/, built into the binary. Each file can be run by hand with psql or sqlite3 as
 * it stands; where a name can be chosen, the file uses the default and says so at its top.
 *
 * schema/sql/ holds single statements that the relay asks with, one a file, so that each can be
 * tried and explained in psql. Their parameters and who reads the answer stand at the top of each.
 */
#pragma once

extern const char schema_postgres_outbox[];
extern const char schema_postgres_status[];
extern const char schema_postgres_delete[]; /* after outbox: vacuum settings of mode delete */
extern const char schema_postgres_relay[];
extern const char schema_postgres_inbox[];
extern const char schema_sqlite_outbox[];
extern const char schema_sqlite_relay[];
extern const char schema_sqlite_inbox[];

extern const char schema_sql_lock_holder[];
extern const char schema_sql_server[];
extern const char schema_sql_slot_blocker[];
extern const char schema_sql_types[];
