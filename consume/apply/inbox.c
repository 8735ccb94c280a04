/* Which database a URL means, and what its statements answer. */
#include "consume/apply/inbox.h"

#include "schema/schema.h"

const struct inbox_ops *inbox_of_url(const char *url)
{
    static const struct inbox_ops *const all[] = {&inbox_postgres, &inbox_sqlite};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        if (all[i]->is_url(url)) {
            return all[i];
        }
    }
    return NULL;
}

size_t inbox_columns(enum inbox_sql which)
{
    static const size_t counts[INBOX_SQLS] = {[INBOX_ANY_PARKED] = 1,
                                              [INBOX_PARKED] = 1,
                                              [INBOX_PARK_ROOM] = 3,
                                              [INBOX_LETTERS] = INBOX_COLUMNS_MAX,
                                              [INBOX_WAITING_PAGE] = 7};
    return counts[which];
}

#define PG_LETTERS "commitrelay.consumer_dead_letters"
#define PG_OPEN " where consumer = $1 and id = $2::bigint and state = 'dead'"
static const char *const of_postgres[INBOX_SQLS] = {
    [INBOX_ANY_PARKED] = "select exists (select from " PG_LETTERS
                         " where consumer = $1 and parked is not null)::int",
    [INBOX_PARKED] = schema_sql_consumer_parked,
    [INBOX_WAIT] = schema_sql_consumer_wait,
    [INBOX_PARK_ROOM] = schema_sql_consumer_park_room,
    [INBOX_LETTERS] = schema_sql_consumer_letters,
    [INBOX_LETTER_LOCK] =
        "select from " PG_LETTERS " where consumer = $1 and id = $2::bigint for update",
    [INBOX_LETTER_CLOSE] =
        "update " PG_LETTERS " set state = $3, closed_at = clock_timestamp()" PG_OPEN,
    [INBOX_LETTER_FAILED] = "update " PG_LETTERS " set reason = $3" PG_OPEN,
    [INBOX_LETTER_EDIT] = "update " PG_LETTERS " set edited = $3" PG_OPEN,
    [INBOX_LETTER_FREE] =
        "update " PG_LETTERS " set parked = null where consumer = $1 and id = $2::bigint",
    [INBOX_WAITING_PAGE] = schema_sql_consumer_waiting_page,
    [INBOX_WAITING_GONE] = "delete from commitrelay.consumer_waiting"
                           " where consumer = $1 and parked = $2::bigint and id <= $3::bigint",
};

#define SQLITE_LETTERS "commitrelay_consumer_dead_letters"
#define SQLITE_OPEN " where consumer = ?1 and id = ?2 and state = 'dead'"
static const char *const of_sqlite[INBOX_SQLS] = {
    [INBOX_ANY_PARKED] = "select exists (select 1 from " SQLITE_LETTERS
                         " where consumer = ?1 and parked is not null)",
    [INBOX_PARKED] = schema_sql_sqlite_consumer_parked,
    [INBOX_WAIT] = schema_sql_sqlite_consumer_wait,
    [INBOX_PARK_ROOM] = schema_sql_sqlite_consumer_park_room,
    [INBOX_LETTERS] = schema_sql_sqlite_consumer_letters,
    /* The transaction has the write lock. */
    [INBOX_LETTER_LOCK] = "select 1 from " SQLITE_LETTERS " where consumer = ?1 and id = ?2",
    [INBOX_LETTER_CLOSE] =
        "update " SQLITE_LETTERS
        " set state = ?3, closed_at = strftime('%Y-%m-%dT%H:%M:%fZ', 'now')" SQLITE_OPEN,
    [INBOX_LETTER_FAILED] = "update " SQLITE_LETTERS " set reason = ?3" SQLITE_OPEN,
    [INBOX_LETTER_EDIT] = "update " SQLITE_LETTERS " set edited = ?3" SQLITE_OPEN,
    [INBOX_LETTER_FREE] =
        "update " SQLITE_LETTERS " set parked = null where consumer = ?1 and id = ?2",
    [INBOX_WAITING_PAGE] = schema_sql_sqlite_consumer_waiting_page,
    [INBOX_WAITING_GONE] = "delete from commitrelay_consumer_waiting"
                           " where consumer = ?1 and parked = ?2 and id <= ?3",
};

const char *inbox_statement(enum inbox_sql which, bool sqlite)
{
    return sqlite ? of_sqlite[which] : of_postgres[which];
}
