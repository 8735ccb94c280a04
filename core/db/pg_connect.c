/*
 * Connects to PostgreSQL, and gives the session the settings that our statements rely on. Two kinds
 * of session: ordinary ones, and a walsender's for the replication stream. libpq's own
 * connect_timeout does not apply to non-blocking connects, so the wait is limited here (drive).
 */
#include "db/internal.h"

#include "base/memory.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <sys/socket.h>

enum { OPTIONS_MAX = 64, OLDEST_SERVER = 140000 };

/* The settings of a walsender's session, as startup options. The first ones decide how the output
 * plugin writes values as text. The timeouts are off, because the stream lives for weeks and may be
 * silent for long. Messages below warning are of no use. */
#define REPLICATION_SETTINGS                                                                  \
    "-c TimeZone=UTC -c DateStyle=ISO -c IntervalStyle=postgres -c extra_float_digits=3"      \
    " -c bytea_output=hex -c row_security=off -c search_path= -c client_min_messages=warning" \
    " -c statement_timeout=0 -c lock_timeout=0 -c idle_in_transaction_session_timeout=0"      \
    " -c idle_session_timeout=0"

struct option_list {
    const char *names[OPTIONS_MAX + 1], *values[OPTIONS_MAX + 1];
    size_t count;
    char application_name[64]; /* the server keeps 63 bytes of it */
    char user_timeout_ms[24];
};

static void add_option(struct option_list *list, const char *name, const char *value)
{
    if (list->count < OPTIONS_MAX) {
        list->names[list->count] = name;
        list->values[list->count++] = value;
    }
}

static const char *option_value(const PQconninfoOption *options, const char *name)
{
    for (const PQconninfoOption *o = options; o->keyword; o++) {
        if (strcmp(o->keyword, name) == 0) {
            return o->val;
        }
    }
    return NULL;
}

/* The last option of a name counts. Ours come before the URL's, which override them;
 * client_encoding comes last, because all our code expects UTF-8. */
static void fill_options(struct option_list *list, const PQconninfoOption *given,
                         const struct pg_options *opt)
{
    snprintf(list->application_name, sizeof list->application_name, "commitrelay %s",
             opt->pipeline ? opt->pipeline : "");
    snprintf(list->user_timeout_ms, sizeof list->user_timeout_ms, "%lld",
             (long long)(opt->connect_timeout_us / US_PER_MS));
    add_option(list, "application_name", list->application_name);
    add_option(list, "keepalives", "1");
    add_option(list, "keepalives_idle", "10");
    add_option(list, "keepalives_interval", "5");
    add_option(list, "keepalives_count", "3");
    add_option(list, "tcp_user_timeout", list->user_timeout_ms);
    for (const PQconninfoOption *o = given; o->keyword; o++) {
        if (o->val) {
            add_option(list, o->keyword, o->val);
        }
    }
    add_option(list, "client_encoding", "UTF8");
}

/* The time for connecting is connect_timeout for each host, as in libpq. */
static int64_t count_hosts(const PQconninfoOption *options)
{
    const char *hosts = option_value(options, "hostaddr");
    hosts = hosts ? hosts : option_value(options, "host");
    int64_t n = 1;
    for (; hosts && *hosts; hosts++) {
        n += *hosts == ',';
    }
    return n;
}

static int fail_connect(PGconn *conn, struct error *err)
{
    char state[6], text[800];
    const char *message = PQerrorMessage(conn);
    enum error_class class;
    int exit_code;
    pg_find_sqlstate(message, state);
    pg_flatten(message, text, sizeof text);
    if (!state[0] && PQconnectionNeedsPassword(conn)) {
        memcpy(state, "28P01", sizeof state);
    }
    pg_class(state, &class, &exit_code);
    const char *remedy = pg_remedy(state);
    error_exit(err, class, exit_code, "postgres", "cannot connect to PostgreSQL: %s%s%s", text,
               remedy[0] ? "; " : "", remedy);
    error_code(err, state[0] ? state : PG_UNABLE_TO_CONNECT);
    return RESULT_ERROR;
}

/* As fail_connect, with better texts for the three usual reasons why a replication connection is
 * refused: a missing right, a pooler, and no free WAL sender. */
static int fail_replication(PGconn *conn, struct error *err)
{
    (void)fail_connect(conn, err);
    const char *user = PQuser(conn);
    if (error_is(err, PG_INSUFFICIENT_PRIVILEGE)) {
        error_exit(
            err, ERROR_CONFIG, EXIT_CODE_PERMISSION, "postgres",
            "role %s may not open a replication connection: ALTER ROLE \"%s\" REPLICATION; (Amazon RDS: GRANT rds_replication TO \"%s\";)",
            user, user, user);
        error_code(err, PG_INSUFFICIENT_PRIVILEGE);
    } else if (strstr(PQerrorMessage(conn), "unsupported startup parameter")) {
        const char *host = PQhost(conn), *port = PQport(conn);
        error_set(
            err, ERROR_CONFIG, "postgres",
            "a connection pooler (PgBouncer) answers at %s:%s and refuses replication: name PostgreSQL's own host and port in the URL",
            host && host[0] ? host : "the default socket", port ? port : "");
        error_code(err, PG_POOLER);
    } else if (strstr(err->text, "max_wal_senders")) {
        error_set(
            err, ERROR_RETRY, "postgres",
            "all WAL senders are in use (max_wal_senders): end one that nobody needs (SELECT pid, application_name FROM pg_stat_replication), or raise it (ALTER SYSTEM SET max_wal_senders = ..., then restart the server)");
        error_code(err, PG_TOO_MANY_CONNECTIONS);
    }
    return RESULT_ERROR;
}

static const char *host_of(const struct pg *c)
{
    const char *host = PQhost(c->conn);
    return host && host[0] ? host : "the default socket";
}

static int fail_stopped(const struct pg *c, struct error *err)
{
    error_set(err, ERROR_RETRY, "postgres",
              "cannot connect to PostgreSQL at %s: the process is asked to stop", host_of(c));
    return error_code(err, PG_STOPPED);
}

static int fail_timeout(const struct pg *c, struct error *err)
{
    error_set(
        err, ERROR_RETRY, "postgres",
        "cannot connect to PostgreSQL at %s: no answer within connect_timeout (%lld ms); check host, port and firewall",
        host_of(c), (long long)(c->connect_timeout_us / US_PER_MS));
    return error_code(err, PG_TIMEOUT);
}

/* Waits for the socket, the stop descriptor or the deadline. */
static int wait_connect(const struct pg *c, short events, int64_t deadline_us, struct error *err)
{
    for (;;) {
        struct poll_set set;
        poll_set_clear(&set);
        poll_set_add(&set, PQsocket(c->conn), events);
        poll_set_add(&set, c->stop_fd, POLLIN);
        poll_set_deadline(&set, deadline_us);
        int n = poll_set_wait(&set);
        bool stopped = n > 0 && set.count > 1 && set.fds[1].revents;
        if (n > 0 && !stopped) {
            return RESULT_DONE;
        }
        if (stopped || clock_mono_us() >= deadline_us) {
            return stopped ? fail_stopped(c, err) : fail_timeout(c, err);
        }
    }
}

/* Something answers that is no PostgreSQL: it sends and sends, and the login never ends. */
static int fail_greeting(const struct pg *c, struct error *err)
{
    error_set(
        err, ERROR_RETRY, "postgres",
        "cannot connect to PostgreSQL at %s: what answers there lets nobody in within connect_timeout and sends without end; check host and port",
        host_of(c));
    return error_code(err, PG_TIMEOUT);
}

/* Moves the connection forward until the login is over. */
static int drive(struct pg *c, int64_t deadline_us, int (*refused)(PGconn *conn, struct error *err),
                 struct error *err)
{
    PostgresPollingStatusType status =
        PGRES_POLLING_WRITING; /* as libpq asks before the first PQconnectPoll */
    if (PQstatus(c->conn) == CONNECTION_BAD) {
        return refused(c->conn, err);
    }
    while (status != PGRES_POLLING_OK) {
        short events = status == PGRES_POLLING_READING ? POLLIN : POLLOUT;
        if (wait_connect(c, events, deadline_us, err)) {
            return RESULT_ERROR;
        }
        if (pg_bytes_come(c) > PG_GREETING_MOST || clock_mono_us() >= deadline_us) {
            return fail_greeting(c, err);
        }
        status = PQconnectPoll(c->conn);
        if (status == PGRES_POLLING_FAILED) {
            return refused(c->conn, err);
        }
    }
    return RESULT_DONE;
}

static int check_version(struct pg *c, struct error *err)
{
    int version = PQserverVersion(c->conn);
    if (version > 0 && version < OLDEST_SERVER) {
        return error_set(err, ERROR_CONFIG, "postgres",
                         "PostgreSQL %d.%d at %s is too old: commitrelay needs version 14 or later",
                         version / 10000, version % 10000, PQhost(c->conn));
    }
    return RESULT_DONE;
}

/* The settings of an ordinary session, whatever the role, the database or the server sets. With
 * row_security = off a policy that hides rows is an error; otherwise the relay would skip those
 * events silently. The idle timeouts would end a session that waits for a NOTIFY or has the lock.
 * default_transaction_read_only is left as it is: an operator may have set it to keep the database
 * from being changed. */
#define SESSION_SETTINGS                                                                   \
    "set timezone = 'UTC'; set datestyle = 'ISO, YMD'; set intervalstyle = 'postgres';"    \
    " set bytea_output = 'hex'; set extra_float_digits = 3;"                               \
    " set standard_conforming_strings = on; set search_path = ''; set row_security = off;" \
    " set default_transaction_isolation = 'read committed';"                               \
    " set default_transaction_deferrable = off; set client_min_messages = 'warning';"      \
    " set lock_timeout = 0; set idle_in_transaction_session_timeout = 0;"                  \
    " set idle_session_timeout = 0;"

/* Sends the settings, by SET, because PgBouncer refuses startup options. statement_timeout becomes
 * read_timeout, unless it is shorter already. It also ends a statement whose connection we gave up,
 * which the server may not notice by itself. transaction_timeout exists from version 17 on. */
static int settle(struct pg *c, struct error *err)
{
    CLEANUP(buf_release) struct buf sql = {0};
    buf_printf(&sql,
               SESSION_SETTINGS " select pg_catalog.set_config('transaction_timeout', '0', false)"
                                " from pg_catalog.pg_settings where name = 'transaction_timeout';"
                                " select pg_catalog.set_config('statement_timeout',"
                                " least(nullif(setting::bigint, 0), %lld)::text, false)"
                                " from pg_catalog.pg_settings where name = 'statement_timeout'",
               (long long)(c->read_timeout_us / US_PER_MS));
    if (pg_query(c, buf_str(&sql), 0, NULL, NULL, err)) {
        return error_prefix(err, "cannot prepare the session");
    }
    return check_version(c, err);
}

/* libpq calls this for each notice. Nobody asked for it, so its bytes are no sign of life
 * (internal.h: life_bytes). FIELDS_BYTES: about what a notice has beside its text. */
static void no_notice(void *ctx, const char *message)
{
    enum { FIELDS_BYTES = 256 };
    struct pg *c = ctx;
    c->life_bytes += strlen(message) + FIELDS_BYTES;
}

/* While connecting, tcp_user_timeout (connect_timeout) limits the handshake with each host. After
 * that the network link may be slow for as long as read_timeout. */
static void relax_user_timeout(const struct pg *c)
{
    int fd = PQsocket(c->conn);
    unsigned ms = (unsigned)(c->read_timeout_us / US_PER_MS);
    /* Fails on a Unix socket, where nothing is needed. */
    (void)setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &ms, sizeof ms);
}

/* Connects with the options of `list`. The settings of the session are not made yet. */
static int open_connection(struct pg *c, const struct pg_options *opt,
                           const PQconninfoOption *given, const struct option_list *list,
                           int (*refused)(PGconn *conn, struct error *err), struct error *err)
{
    int64_t deadline = clock_mono_us() + opt->connect_timeout_us * count_hosts(given);
    c->conn = memory_need(PQconnectStartParams(list->names, list->values, 0));
    PQsetNoticeProcessor(c->conn, no_notice, c);
    PQsetErrorVerbosity(c->conn,
                        PQERRORS_VERBOSE); /* the only way to a SQLSTATE before there is a result */
    if (drive(c, deadline, refused, err)) {
        return RESULT_ERROR;
    }
    PQsetErrorVerbosity(c->conn, PQERRORS_DEFAULT);
    if (!option_value(given, "tcp_user_timeout")) {
        relax_user_timeout(c);
    }
    if (PQsetnonblocking(c->conn, 1) != 0) {
        return error_set(err, ERROR_FATAL, "postgres", "libpq refused non-blocking mode");
    }
    return RESULT_DONE;
}

static int open_ordinary(struct pg *c, const struct pg_options *opt, const PQconninfoOption *given,
                         struct error *err)
{
    struct option_list list = {.count = 0};
    fill_options(&list, given, opt);
    if (open_connection(c, opt, given, &list, fail_connect, err)) {
        return RESULT_ERROR;
    }
    return settle(c, err);
}

/* Lets the walsender end when it has heard nothing from us for so long; then its slot is free for
 * another relay. A shorter time that the server has stays. */
static int shorten_sender_timeout(struct pg *c, int64_t timeout_us, struct error *err)
{
    char sql[256];
    snprintf(sql, sizeof sql,
             "select pg_catalog.set_config('wal_sender_timeout',"
             " least(nullif(setting::bigint, 0), %lld)::text, false)"
             " from pg_catalog.pg_settings where name = 'wal_sender_timeout'",
             (long long)(timeout_us / US_PER_MS));
    return pg_query(c, sql, 0, NULL, NULL, err);
}

static int open_replication(struct pg *c, const struct pg_options *opt,
                            const PQconninfoOption *given, struct error *err)
{
    CLEANUP(buf_release) struct buf settings = {0};
    struct option_list list = {.count = 0};
    fill_options(&list, given, opt);
    const char *theirs = option_value(given, "options");
    theirs = theirs ? theirs : getenv("PGOPTIONS"); /* else our `options` would replace it */
    buf_printf(&settings, "%s %s", theirs ? theirs : "", REPLICATION_SETTINGS);
    add_option(&list, "options", buf_str(&settings));
    add_option(&list, "replication", "database");
    if (open_connection(c, opt, given, &list, fail_replication, err) || check_version(c, err)) {
        return RESULT_ERROR;
    }
    return opt->sender_timeout_us ? shorten_sender_timeout(c, opt->sender_timeout_us, err)
                                  : RESULT_DONE;
}

static int open_as(int (*open)(struct pg *c, const struct pg_options *opt,
                               const PQconninfoOption *given, struct error *err),
                   const struct pg_options *opt, struct pg **ret, struct error *err)
{
    PQconninfoOption *given;
    if (pg_parse_conninfo(opt->url, &given, err)) {
        return RESULT_ERROR;
    }
    struct pg *c = memory_need(calloc(1, sizeof *c));
    c->connect_timeout_us = opt->connect_timeout_us;
    c->read_timeout_us = opt->read_timeout_us;
    c->stop_fd = opt->stop_fd;
    c->answer_most = PG_GREETING_MOST;
    int rc = open(c, opt, given, err);
    c->answer_most = PG_ANSWER_MOST;
    PQconninfoFree(given);
    if (rc) {
        pg_close(c);
        return RESULT_ERROR;
    }
    *ret = c;
    return RESULT_DONE;
}

int pg_connect(const struct pg_options *opt, struct pg **ret, struct error *err)
{
    return open_as(open_ordinary, opt, ret, err);
}

int pg_connect_replication(const struct pg_options *opt, struct pg **ret, struct error *err)
{
    return open_as(open_replication, opt, ret, err);
}
