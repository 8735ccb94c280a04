/* Checks the server's version and settings, and whether a pooler is in between. Each fault has the
 * statement that mends it. */
#include "cdc/preflight/internal.h"

#include "schema/schema.h"
#include <strings.h>

enum { OLDEST = 140000, STANDBY_FROM = 160000, WAL_LEVEL_ON_DEMAND_FROM = 190000 };

int server_look(struct pg *sql, struct server_facts *ret, struct error *err)
{
    CLEANUP(pg_result_cleanup) struct pg_result *r = NULL, *again = NULL;
    if (pg_query(sql, schema_sql_server, 0, NULL, &r, err) ||
        pg_query(sql, "select pg_backend_pid()", 0, NULL, &again, err)) {
        return error_prefix(err, "cannot look at the server's settings");
    }
    struct server_facts s = {.version = (int)pg_int(r, 0, 0, 0),
                             .standby = pg_true(r, 0, 1),
                             .slots_max = pg_int(r, 0, 8, 0),
                             .slots_used = pg_int(r, 0, 9, 0),
                             .senders_max = pg_int(r, 0, 10, 0),
                             .senders_used = pg_int(r, 0, 11, 0),
                             .keep_bytes = pg_int(r, 0, 12, -1),
                             .idle_timeout_s = pg_int(r, 0, 13, 0),
                             .hot_standby_feedback = pg_true(r, 0, 14),
                             .money_unit = pg_int(r, 0, 17, MONEY_UNIT),
                             .backend_pid = (int)pg_int(r, 0, 15, 0),
                             .backend_pid_again = (int)pg_int(again, 0, 0, 0)};
    copy_value(r, 0, 2, s.user, sizeof s.user);
    copy_value(r, 0, 3, s.database, sizeof s.database);
    copy_value(r, 0, 4, s.wal_level, sizeof s.wal_level);
    copy_value(r, 0, 5, s.managed, sizeof s.managed);
    copy_value(r, 0, 6, s.plugins, sizeof s.plugins);
    copy_value(r, 0, 7, s.sync_names, sizeof s.sync_names);
    copy_value(r, 0, 16, s.encoding, sizeof s.encoding);
    *ret = s;
    return RESULT_DONE;
}

int server_judge_version(const struct server_facts *s, struct fault *f)
{
    if (s->version >= OLDEST) {
        return RESULT_DONE;
    }
    fault_set(f, ERROR_CONFIG, EXIT_CODE_CONFIG, "PostgreSQL %d.%d is too old for cdc_postgres",
              s->version / 10000, s->version % 10000);
    return fault_mend(f, "upgrade the server to version 14 or later");
}

/* PgBouncer in transaction mode may run each statement in another server process. Session settings
 * and an exported snapshot would then belong to another session. */
int server_judge_pooler(const struct server_facts *s, struct fault *f)
{
    if (s->backend_pid == s->backend_pid_again) {
        return RESULT_DONE;
    }
    fault_set(
        f, ERROR_CONFIG, EXIT_CODE_CONFIG,
        "a connection pooler is between the relay and PostgreSQL: two statements of one session ran in server processes %d and %d",
        s->backend_pid, s->backend_pid_again);
    return fault_mend(f, "give the server's own host and port in source.url");
}

int server_judge_wal(const struct server_facts *s, struct fault *f)
{
    if (strcmp(s->wal_level, "logical") == 0 ||
        (s->version >= WAL_LEVEL_ON_DEMAND_FROM && strcmp(s->wal_level, "replica") == 0)) {
        return RESULT_DONE;
    }
    fault_set(f, ERROR_CONFIG, EXIT_CODE_CONFIG,
              "wal_level is %s: the server does not write what logical decoding needs",
              s->wal_level);
    if (strcmp(s->managed, "rds") == 0) {
        return fault_mend(f, "set rds.logical_replication = 1 in the parameter group and reboot");
    }
    if (strcmp(s->managed, "cloudsql") == 0) {
        return fault_mend(f, "set the flag cloudsql.logical_decoding = on, which restarts the"
                             " instance");
    }
    return fault_mend(f, "ALTER SYSTEM SET wal_level = logical%s, then restart the server",
                      s->standby ? " (here and on the primary)" : "");
}

/* A list of names, separated by commas and blanks. */
static bool list_has(const char *list, const char *name)
{
    size_t len = strlen(name);
    for (const char *p = list; *p;) {
        p += strspn(p, ", \t\"");
        size_t n = strcspn(p, ", \t\"");
        if (n == len && strncasecmp(p, name, n) == 0) {
            return true;
        }
        p += n;
    }
    return false;
}

int server_judge_plugin(const struct server_facts *s, struct fault *f)
{
    if (!s->plugins[0] || list_has(s->plugins, "pgoutput") || list_has(s->plugins, "*")) {
        return RESULT_DONE;
    }
    fault_set(
        f, ERROR_CONFIG, EXIT_CODE_CONFIG,
        "the server does not allow the output plugin pgoutput: output_plugin_libraries is \"%s\"",
        s->plugins);
    return fault_mend(f,
                      "ALTER SYSTEM SET output_plugin_libraries = %s, pgoutput; SELECT"
                      " pg_reload_conf()",
                      s->plugins);
}

int server_judge_standby(const struct server_facts *s, struct fault *f)
{
    if (!s->standby || s->version >= STANDBY_FROM) {
        return RESULT_DONE;
    }
    fault_set(f, ERROR_CONFIG, EXIT_CODE_CONFIG,
              "this server is a standby, and PostgreSQL %d cannot decode on one",
              s->version / 10000);
    return fault_mend(f, "name the primary in source.url, or use version 16 or later");
}

/* The server converts the text of rows to UTF-8. It sends the content of a logical message
 * unchanged, in the database's encoding, and JSON needs UTF-8. SQL_ASCII is allowed: such a
 * database says of no text which encoding it has. */
int server_judge_encoding(const struct server_facts *s, const struct preflight *p, struct fault *f)
{
    if (!p->reads_bodies || strcmp(s->encoding, "UTF8") == 0 ||
        strcmp(s->encoding, "SQL_ASCII") == 0) {
        return RESULT_DONE;
    }
    fault_set(
        f, ERROR_CONFIG, EXIT_CODE_CONFIG,
        "source.messages cannot be had from database %s: its encoding is %s, and PostgreSQL sends the content of logical messages without converting it to UTF-8, which JSON needs",
        s->database, s->encoding);
    return fault_mend(
        f,
        "write the events to an outbox table (`as: outbox`), whose text is converted, or use a database with ENCODING 'UTF8'");
}

/* Grammar: [FIRST|ANY] [n] ( name, ... ), names bare or in double quotes, * for everybody
 * (pgdoc: runtime-config-replication). */
bool server_waits_for(const char *names, const char *application_name)
{
    for (const char *p = names; *p;) {
        size_t n;
        if (*p == '"') {
            n = strcspn(++p, "\"");
        } else {
            n = strcspn(p, ",() \t");
        }
        if ((n == 1 && *p == '*') ||
            (n == strlen(application_name) && strncasecmp(p, application_name, n) == 0)) {
            return true;
        }
        p += n;
        p += *p ? 1 : 0;
    }
    return false;
}

/* The minor release that mended each loss, from the release notes of 2024-08 (14.13, 15.8, 16.4),
 * 2025-05 (14.18, 15.13, 16.9, 17.5) and 2025-08 (14.19, 15.14, 16.10, 17.6). */
const char *server_known_loss(int version)
{
    static const struct {
        int major, whole, ddl, storm;
    } fixed[] = {{14, 13, 18, 19}, {15, 8, 13, 14}, {16, 4, 9, 10}, {17, 0, 5, 6}};
    for (size_t i = 0; i < sizeof fixed / sizeof *fixed; i++) {
        int minor = version % 10000;
        if (version / 10000 != fixed[i].major) {
            continue;
        }
        if (minor < fixed[i].whole) {
            return "logical decoding can leave out the first changes of a transaction that ran"
                   " while a slot was created or restarted";
        }
        if (minor < fixed[i].ddl) {
            return "changes of transactions that are open during ALTER PUBLICATION or ALTER TYPE"
                   " can be lost";
        }
        if (minor < fixed[i].storm) {
            return "many catalog changes during open transactions can stop decoding with a memory"
                   " allocation failure";
        }
    }
    return NULL;
}
