/* The claim in PostgreSQL: one statement in the caller's transaction. */
#include "claim.h"
#include "commitrelay_inbox.h"

#include <libpq-fe.h>
#include <stdio.h>
#include <string.h>

enum { TEXT_OID = 25 }; /* of type text, the same in every database */

/* What a caller can do about it, by SQLSTATE. */
static const char *remedy_of(const char *state)
{
    static const struct {
        const char *state, *remedy;
    } remedies[] = {
        {"42883",
         "run `commitrelay init --source URL --inbox`, or put its schema into search_path"},
        {"42501", "grant the role select and insert on the inbox"},
        {"25P02", "roll back: the transaction has failed before"},
        {"25006", "connect to the primary, in a transaction that may write"},
        {"40001", "roll back and begin the transaction again"},
        {"40P01", "roll back and begin the transaction again; claim several events in one order"},
        {"55P03", "another transaction holds the claim: roll back and begin again"},
    };
    for (size_t i = 0; i < sizeof remedies / sizeof *remedies; i++) {
        if (strcmp(state, remedies[i].state) == 0) {
            return remedies[i].remedy;
        }
    }
    return "";
}

static const char connect_again[] = "connect, and begin the transaction again";

static int fail_result(PGconn *conn, const PGresult *r)
{
    const char *state = r ? PQresultErrorField(r, PG_DIAG_SQLSTATE) : NULL;
    const char *message = r ? PQresultErrorField(r, PG_DIAG_MESSAGE_PRIMARY) : NULL;
    char what[32] = "inbox claim";
    if (state) {
        snprintf(what, sizeof what, "inbox claim (%s)", state);
    }
    return cr_inbox_fail(what, message ? message : PQerrorMessage(conn),
                         PQstatus(conn) == CONNECTION_BAD ? connect_again
                         : state                          ? remedy_of(state)
                                                          : "");
}

static int answer(PGconn *conn, const PGresult *r)
{
    if (PQresultStatus(r) != PGRES_TUPLES_OK) {
        return fail_result(conn, r);
    }
    const char *value = PQntuples(r) == 1 && PQnfields(r) == 1 ? PQgetvalue(r, 0, 0) : "";
    if (strcmp(value, "t") != 0 && strcmp(value, "f") != 0) {
        return cr_inbox_fail("inbox claim", "inbox_claim does not give true or false",
                             "it is not the function of `commitrelay init --inbox`: look at "
                             "search_path");
    }
    return value[0] == 't';
}

int cr_inbox_claim_pg(PGconn *conn, const char *consumer, const char *event_id)
{
    static const Oid types[] = {TEXT_OID, TEXT_OID};
    const char *const values[] = {consumer, event_id};
    if (cr_inbox_begin(consumer, event_id)) {
        return -1;
    }
    switch (PQtransactionStatus(conn)) {
    case PQTRANS_INTRANS:
    case PQTRANS_INERROR:
        break;
    case PQTRANS_IDLE:
        return cr_inbox_outside();
    case PQTRANS_ACTIVE:
        return cr_inbox_fail("inbox claim", "a query is under way on this connection",
                             "read its results to the end first");
    default:
        return cr_inbox_fail("inbox claim", conn ? PQerrorMessage(conn) : "no connection",
                             connect_again);
    }
    PGresult *r = PQexecParams(conn, "select inbox_claim($1, $2)", 2, types, values, NULL, NULL, 0);
    int claimed = answer(conn, r);
    PQclear(r);
    return claimed;
}
