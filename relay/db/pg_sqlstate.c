/* What an SQLSTATE means for the relay: every class of PostgreSQL's appendix A has a decision here.
 *
 * What our statements cannot cause by themselves comes from what the database makes of them:
 * triggers, rules, domains, policies, values. So any code, those of a user's own included, is for
 * the operator (CONFIG), but where waiting helps (RETRY) or only our own text can be wrong (FATAL).
 * A row that cannot be read (class 22 and others) is found by the source, which asks for it alone.
 */
#include "db/pg_private.h"

#define GO_ON ERROR_RETRY, EXIT_CODE_GAVE_UP
#define OPERATOR ERROR_CONFIG, EXIT_CODE_CONFIG
#define NOT_ALLOWED ERROR_CONFIG, EXIT_CODE_PERMISSION
#define OURS ERROR_FATAL, EXIT_CODE_BUG

/* Longer codes stand before their class. */
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
