/* Connecting to PostgreSQL: bounded, with the session settings every statement of ours relies on.
 */
#include "db/pg_private.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <sys/socket.h>

enum { OPTIONS_MAX = 64, OLDEST_SERVER = 140000 };

struct option_list {
    const char *names[OPTIONS_MAX + 1], *values[OPTIONS_MAX + 1];
    size_t count;
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

/* Ours come first: what the URL says overrides them. client_encoding is not for the URL to choose.
 */
static void fill_options(struct option_list *list, const PQconninfoOption *given,
                         const char *application_name, const char *user_timeout_ms)
{
    add_option(list, "application_name", application_name);
    add_option(list, "keepalives", "1");
    add_option(list, "keepalives_idle", "10");
    add_option(list, "keepalives_interval", "5");
    add_option(list, "keepalives_count", "3");
    add_option(list, "tcp_user_timeout", user_timeout_ms);
    for (const PQconninfoOption *o = given; o->keyword; o++) {
        if (o->val) {
            add_option(list, o->keyword, o->val);
        }
    }
    add_option(list, "client_encoding", "UTF8");
}

/* connect_timeout is meant per host, as in libpq. */
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
    snprintf(err->code, sizeof err->code, "%s", state[0] ? state : "08001");
    return RESULT_ERROR;
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
            const char *host = PQhost(c->conn);
            error_set(err, ERROR_RETRY, "postgres", "cannot connect to PostgreSQL at %s: %s",
                      host && host[0] ? host : "the default socket",
                      stopped ? "the process is asked to stop"
                              : "no answer within connect_timeout; check host, port and firewall");
            snprintf(err->code, sizeof err->code, "%s", stopped ? "stopped" : "timeout");
            return RESULT_ERROR;
        }
    }
}

static int drive(struct pg *c, int64_t deadline_us, struct error *err)
{
    PostgresPollingStatusType status =
        PGRES_POLLING_WRITING; /* as libpq asks before the first PQconnectPoll */
    if (PQstatus(c->conn) == CONNECTION_BAD) {
        return fail_connect(c->conn, err);
    }
    while (status != PGRES_POLLING_OK) {
        short events = status == PGRES_POLLING_READING ? POLLIN : POLLOUT;
        if (wait_connect(c, events, deadline_us, err) != RESULT_DONE) {
            return RESULT_ERROR;
        }
        status = PQconnectPoll(c->conn);
        if (status == PGRES_POLLING_FAILED) {
            return fail_connect(c->conn, err);
        }
    }
    return RESULT_DONE;
}

/* By SET and not by startup options, which PgBouncer refuses. A shorter statement_timeout of the
 * role stays. It is also what ends a statement whose connection we gave up: the server may not
 * notice that by itself. */
static int settle(struct pg *c, struct error *err)
{
    char sql[640];
    snprintf(
        sql, sizeof sql,
        "set timezone = 'UTC'; set datestyle = 'ISO, YMD'; set intervalstyle = 'postgres';"
        " set bytea_output = 'hex'; set standard_conforming_strings = on; set search_path = '';"
        " select pg_catalog.set_config('statement_timeout',"
        " least(nullif(setting::bigint, 0), %lld)::text, false)"
        " from pg_catalog.pg_settings where name = 'statement_timeout'",
        (long long)(c->read_timeout_us / US_PER_MS));
    if (pg_query(c, sql, 0, NULL, NULL, err) != RESULT_DONE) {
        return error_prefix(err, "cannot prepare the session");
    }
    int version = PQserverVersion(c->conn);
    if (version > 0 && version < OLDEST_SERVER) {
        return error_set(err, ERROR_CONFIG, "postgres",
                         "PostgreSQL %d.%d at %s is too old: commitrelay needs version 14 or later",
                         version / 10000, version % 10000, PQhost(c->conn));
    }
    return RESULT_DONE;
}

static void no_notice(void *ctx UNUSED, const char *message UNUSED)
{
}

/* While connecting, tcp_user_timeout bounds the handshake with each host; afterwards the link may
 * be slow for longer. */
static void relax_user_timeout(const struct pg *c)
{
    int fd = PQsocket(c->conn);
    unsigned ms = (unsigned)(c->read_timeout_us / US_PER_MS);
    /* Fails on a Unix socket, where nothing is needed. */
    (void)setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &ms, sizeof ms);
}

static int open_connection(struct pg *c, const struct pg_options *opt,
                           const PQconninfoOption *given, struct error *err)
{
    char name[64], ms[24]; /* the server keeps 63 bytes of the name */
    struct option_list list = {.count = 0};
    snprintf(name, sizeof name, "commitrelay %s", opt->pipeline ? opt->pipeline : "");
    snprintf(ms, sizeof ms, "%lld", (long long)(opt->connect_timeout_us / US_PER_MS));
    fill_options(&list, given, name, ms);
    int64_t deadline = clock_mono_us() + opt->connect_timeout_us * count_hosts(given);
    c->conn = PQconnectStartParams(list.names, list.values, 0);
    if (!c->conn) {
        abort(); /* no memory: as base/buf.h */
    }
    PQsetNoticeProcessor(c->conn, no_notice, NULL);
    PQsetErrorVerbosity(c->conn,
                        PQERRORS_VERBOSE); /* the only way to a SQLSTATE before there is a result */
    if (drive(c, deadline, err) != RESULT_DONE) {
        return RESULT_ERROR;
    }
    PQsetErrorVerbosity(c->conn, PQERRORS_DEFAULT);
    if (!option_value(given, "tcp_user_timeout")) {
        relax_user_timeout(c);
    }
    if (PQsetnonblocking(c->conn, 1) != 0) {
        return error_set(err, ERROR_FATAL, "postgres", "libpq refused non-blocking mode");
    }
    return settle(c, err);
}

int pg_connect(const struct pg_options *opt, struct pg **ret, struct error *err)
{
    PQconninfoOption *given;
    if (pg_parse_conninfo(opt->url, &given, err) != RESULT_DONE) {
        return RESULT_ERROR;
    }
    struct pg *c = calloc(1, sizeof *c);
    if (!c) {
        abort();
    }
    c->read_timeout_us = opt->read_timeout_us;
    c->stop_fd = opt->stop_fd;
    int rc = open_connection(c, opt, given, err);
    PQconninfoFree(given);
    if (rc != RESULT_DONE) {
        pg_close(c);
        return RESULT_ERROR;
    }
    *ret = c;
    return RESULT_DONE;
}
