/*
 * Decides for every SQLSTATE what the relay does: which class, which exit code, which advice. The
 * table covers all classes of appendix A of PostgreSQL's manual.
 *
 * Three rules are behind the table:
 *   - Waiting may help (the server restarts, a lock is taken): RETRY.
 *   - Only the relay's own SQL text can be wrong (a syntax error): FATAL, a bug.
 *   - All else is CONFIG, for the operator, codes that a user's trigger invents included: something
 *     in the database (a trigger, a rule, a domain, a policy, a value) makes a correct statement
 *     fail. FATAL would end the pipeline for a mistake that the operator can mend.
 * An error caused by a single row (class 22 and others) is narrowed down by the source, which asks
 * for rows one by one.
 */
#include "db/internal.h"

#define GO_ON ERROR_RETRY, EXIT_CODE_GAVE_UP
#define OPERATOR ERROR_CONFIG, EXIT_CODE_CONFIG
#define NOT_ALLOWED ERROR_CONFIG, EXIT_CODE_PERMISSION
#define OURS ERROR_FATAL, EXIT_CODE_BUG

/* The first prefix that fits counts, so a full code must be above its two-letter class. */
static const struct decision {
    const char *prefix;
    enum error_class class;
    int exit_code;
    const char *remedy; /* "" if the server's text says it all */
} decisions[] = {
    {"03", OURS, ""}, /* SQL statement not yet complete */
    {"08", GO_ON, ""},
    {"09", OPERATOR, "a trigger of the table failed"},
    {"0A", OPERATOR, "this server cannot do what the relay asks for"},
    {"0B", OURS, ""}, /* invalid transaction initiation */
    {"0L", NOT_ALLOWED, ""},
    {"0P", NOT_ALLOWED, ""},
    {"22", OPERATOR, "a value of the table does not fit: mend the row or the column"},
    {"23", OPERATOR, "a constraint of the table forbids what the relay must write there"},
    {"24", OURS, ""}, /* invalid cursor state */
    {"25006", GO_ON,
     "the server is read-only: name the primary, or several hosts with"
     " target_session_attrs=read-write"},
    {"25P03", GO_ON, "idle_in_transaction_session_timeout ended the session"},
    {"25P04", GO_ON, "transaction_timeout ended the session"},
    {"25", OURS, ""},  /* invalid transaction state */
    {"26", GO_ON, ""}, /* a prepared statement is gone: a new session prepares anew */
    {"27", OPERATOR,
     "a trigger changes the row that the relay marks: let it run after, not before"},
    {"28", NOT_ALLOWED,
     "check the user, its password (PGPASSFILE or a service file) and pg_hba.conf"},
    {"2B", NOT_ALLOWED, ""},
    {"34", OURS, ""}, /* invalid cursor name */
    {"3B", OURS, ""}, /* savepoint exception */
    {"3D000", NOT_ALLOWED, "check the database name in the URL"},
    {"3F", OPERATOR, "the schema is missing: put it back, or correct the configuration"},
    {"40", GO_ON, ""},
    {"42501", NOT_ALLOWED, "grant the role what it needs (schema/postgres/roles.sql)"},
    {"42601", OURS, ""}, /* our own text does not parse */
    {"42P01", OPERATOR, "the table is missing: put it back, or correct the configuration"},
    {"42", OPERATOR, "tables or columns were changed: compare them with the configuration"},
    {"53300", GO_ON, "raise max_connections or the role's CONNECTION LIMIT"},
    {"53", GO_ON, ""},
    {"55006", GO_ON, ""}, /* object in use */
    {"55P03", GO_ON, ""}, /* lock not available */
    {"57014", GO_ON, "the statement was cancelled (statement_timeout, or by hand)"},
    {"57", GO_ON, ""},
    {"58", GO_ON, "the server's disk or files are at fault: see its log"},
    {"72", GO_ON, ""}, /* snapshot too old */
    {"F0", GO_ON, "the server's configuration is at fault: see its log"},
    {"HV", GO_ON, "a foreign table of the server is at fault"},
    {"P0", OPERATOR, "a trigger forbids what the relay must do"},
    {"XX001", GO_ON, "data of the server are damaged: see its log, and restore the table"},
    {"XX002", GO_ON, "an index of the server is damaged: reindex it"},
    {"XX", GO_ON, ""},
};

static const struct decision *decide(const char *sqlstate)
{
    for (size_t i = 0; i < sizeof decisions / sizeof *decisions; i++) {
        if (strncmp(sqlstate, decisions[i].prefix, strlen(decisions[i].prefix)) == 0) {
            return &decisions[i];
        }
    }
    static const struct decision none = {"", GO_ON, ""}, other = {"", OPERATOR, ""};
    return sqlstate[0] ? &other : &none;
}

void pg_class(const char *sqlstate, enum error_class *ret_class, int *ret_exit_code)
{
    const struct decision *d = decide(sqlstate);
    *ret_class = d->class;
    *ret_exit_code = d->exit_code;
}

const char *pg_remedy(const char *sqlstate)
{
    return decide(sqlstate)->remedy;
}

/* Finds the trigger or function that raised the error: the first line of the context that a
 * procedural language wrote ("PL/pgSQL function ..."); "" if there is none. Other lines are not
 * shown, because they may contain values of rows. */
static void find_function(const char *context, char *out, size_t size)
{
    out[0] = '\0';
    for (const char *line = context; line && *line;) {
        size_t len = strcspn(line, "\n");
        const char *language = memmem(line, len, "PL/", 3);
        if (language) {
            snprintf(out, size, "%.*s", (int)len, line);
            return;
        }
        line += len + (line[len] == '\n');
    }
}

/* "Read-only" has two causes with different remedies: the server is a standby, or the role or the
 * database has default_transaction_read_only. Servers from version 14 on report both settings. */
static const char *remedy_of(const struct pg *c, const char *state)
{
    const char *standby = PQparameterStatus(c->conn, "in_hot_standby");
    const char *read_only = PQparameterStatus(c->conn, "default_transaction_read_only");
    if (strcmp(state, PG_READ_ONLY_SQL_TRANSACTION) == 0 && standby &&
        strcmp(standby, "off") == 0 && read_only && strcmp(read_only, "on") == 0) {
        return "default_transaction_read_only is on for the role, the database or the server: alter"
               " role (or database) ... reset default_transaction_read_only";
    }
    return pg_remedy(state);
}

int pg_fail_result(struct pg *c, const PGresult *r, struct error *err)
{
    const char *state = PQresultErrorField(r, PG_DIAG_SQLSTATE);
    const char *message = PQresultErrorField(r, PG_DIAG_MESSAGE_PRIMARY);
    const char *detail = PQresultErrorField(r, PG_DIAG_MESSAGE_HINT);
    enum error_class class;
    int exit_code;
    state = state ? state : "";
    message = message ? message : PQresultErrorMessage(r);
    pg_class(state, &class, &exit_code);
    if (c->prepared && strcmp(state, PG_FEATURE_NOT_SUPPORTED) == 0) {
        /* "cached plan must not change result type": the table was altered after the statement was
         * prepared. A new connection prepares it again, so RETRY helps. */
        class = ERROR_RETRY;
        exit_code = EXIT_CODE_GAVE_UP;
    }
    char text[600], hint[200], where[160];
    pg_flatten(message, text, sizeof text);
    pg_flatten(detail ? detail : "", hint, sizeof hint);
    find_function(PQresultErrorField(r, PG_DIAG_CONTEXT), where, sizeof where);
    const char *remedy = where[0] ? "mend the trigger or function" : remedy_of(c, state);
    error_exit(err, class, exit_code, "postgres", "PostgreSQL: %s%s%s%s%s%s%s", text,
               where[0] ? "; raised in a trigger or function of the database: " : "", where,
               hint[0] ? "; hint: " : "", hint, remedy[0] ? "; " : "", remedy);
    return error_code(err, state[0] ? state : PG_CONNECTION_FAILURE);
}
