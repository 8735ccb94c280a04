/* The functions of libpq that core/db uses, but for those of results and of connection strings. One
 * thread sends at a time. */
#include "fake_libpq.h"

#include <assert.h>
#include <libpq-fe.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { ANSWERS_MAX = 32, STATEMENTS_MAX = 16, SENT_MAX = 256, TEXT_MAX = 4096, RESULTS_MAX = 8 };
enum { PARAMS_MAX = 256 };

struct pg_conn {
    struct pg_conn *next; /* in the list of those that are open */
    int fd, peer; /* only pieces come over it, as bytes without a meaning; other results are there
                     at once */
    ConnStatusType status;
    bool single_row;
    const struct fake_answer *answer; /* to what was sent; NULL: the default, or nothing was sent */
    bool busy;
    unsigned pieces; /* that the answer still lacks */
    size_t row;      /* the next one in single-row mode */
    bool rows_given;
    char names[STATEMENTS_MAX][64], texts[STATEMENTS_MAX][TEXT_MAX];
    size_t prepared;
    char message[128];
};

/* What libpq keeps inside a result, where nothing of ours can be put. */
struct note {
    const PGresult *result;
    char sqlstate[6];
    const char *affected;
};

static struct {
    const struct fake_answer *answers;
    size_t n;
    unsigned fitting[ANSWERS_MAX]; /* statements that this answer's `when` fitted */
    char sent[SENT_MAX][TEXT_MAX], params[SENT_MAX][PARAMS_MAX];
    size_t sent_count;
    struct pg_conn *connections;
    unsigned open, made;
    const char *refusal;
    struct note notes[RESULTS_MAX];
    size_t next_note;
} server;

void fake_libpq_script(const struct fake_answer *answers, size_t n)
{
    assert(n <= ANSWERS_MAX);
    server.answers = answers;
    server.n = n;
    memset(server.fitting, 0, sizeof server.fitting);
    server.sent_count = 0;
}

unsigned fake_libpq_sent(const char *part)
{
    unsigned n = 0;
    for (size_t i = 0; i < server.sent_count; i++) {
        n += strstr(server.sent[i], part) != NULL;
    }
    return n;
}

void fake_libpq_piece(size_t bytes)
{
    static const char piece[16384];
    assert(bytes <= sizeof piece);
    for (struct pg_conn *c = server.connections; c; c = c->next) {
        if (c->busy && c->pieces > 0 && write(c->peer, piece, bytes) != (ssize_t)bytes) {
            abort();
        }
    }
}

const char *fake_libpq_params(const char *part)
{
    for (size_t i = server.sent_count; i-- > 0;) {
        if (strstr(server.sent[i], part)) {
            return server.params[i];
        }
    }
    return "";
}

unsigned fake_libpq_open(void)
{
    return server.open;
}

unsigned fake_libpq_made(void)
{
    return server.made;
}

void fake_libpq_refuse(const char *message)
{
    server.refusal = message;
}

/* --- results --- */

static PGresult *noted(PGresult *r, const char *sqlstate, const char *affected)
{
    struct note *note = &server.notes[server.next_note++ % RESULTS_MAX];
    *note = (struct note){.result = r, .affected = affected};
    snprintf(note->sqlstate, sizeof note->sqlstate, "%s", sqlstate ? sqlstate : "");
    return r;
}

/* The newest note: an address is used again when its result was freed. */
static const struct note *note_of(const PGresult *r)
{
    for (size_t back = 1; back <= RESULTS_MAX && back <= server.next_note; back++) {
        const struct note *note = &server.notes[(server.next_note - back) % RESULTS_MAX];
        if (note->result == r) {
            return note;
        }
    }
    return NULL;
}

static PGresult *make_rows(const struct fake_answer *a, ExecStatusType status, size_t from,
                           size_t to)
{
    PGresult *r = PQmakeEmptyPGresult(NULL, status);
    PGresAttDesc columns[16];
    char name[] = "column";
    assert(a->columns <= sizeof columns / sizeof *columns);
    for (size_t c = 0; c < a->columns; c++) {
        columns[c] = (PGresAttDesc){.name = name, .typid = 25, .typlen = -1, .atttypmod = -1};
    }
    PQsetResultAttrs(r, (int)a->columns, columns);
    for (size_t row = from; row < to; row++) {
        for (size_t c = 0; c < a->columns; c++) {
            const char *v = a->values[row * a->columns + c];
            PQsetvalue(r, (int)(row - from), (int)c, (char *)(size_t)v, v ? (int)strlen(v) : -1);
        }
    }
    return noted(r, NULL, "0");
}

char *PQresultErrorField(const PGresult *r, int field)
{
    const struct note *note = note_of(r);
    bool told = field == PG_DIAG_SQLSTATE && note && note->sqlstate[0];
    return told ? (char *)(size_t)note->sqlstate : NULL;
}

char *PQcmdTuples(PGresult *r)
{
    const struct note *note = note_of(r);
    return (char *)(size_t)(note && note->affected ? note->affected : "");
}

/* --- a connection --- */

PGconn *PQconnectStartParams(const char *const *keywords, const char *const *values, int expand)
{
    (void)keywords, (void)values, (void)expand;
    PGconn *c = calloc(1, sizeof *c);
    int fds[2];
    if (!c || socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds)) {
        abort();
    }
    c->fd = fds[0];
    c->peer = fds[1];
    c->status = server.refusal ? CONNECTION_BAD : CONNECTION_OK;
    c->next = server.connections;
    server.connections = c;
    server.open++;
    server.made++;
    return c;
}

PostgresPollingStatusType PQconnectPoll(PGconn *c)
{
    return c->status == CONNECTION_OK ? PGRES_POLLING_OK : PGRES_POLLING_FAILED;
}

void PQfinish(PGconn *c)
{
    struct pg_conn **at = &server.connections;
    while (*at != c) {
        at = &(*at)->next;
    }
    *at = c->next;
    close(c->fd);
    close(c->peer);
    free(c);
    server.open--;
}

ConnStatusType PQstatus(const PGconn *c)
{
    return c->status;
}

int PQsocket(const PGconn *c)
{
    return c->fd;
}

char *PQerrorMessage(const PGconn *c)
{
    return (char *)(size_t)(server.refusal ? server.refusal : c->message);
}

static int take(PGconn *c, const char *text)
{
    if (c->status != CONNECTION_OK) {
        return 0;
    }
    assert(server.sent_count < SENT_MAX);
    server.params[server.sent_count][0] = '\0';
    snprintf(server.sent[server.sent_count++], TEXT_MAX, "%s", text);
    c->answer = NULL;
    c->busy = true;
    c->row = 0;
    c->rows_given = c->single_row = false;
    for (size_t i = 0; i < server.n; i++) {
        const struct fake_answer *a = &server.answers[i];
        bool fits = strstr(text, a->when) && (++server.fitting[i] == a->nth || a->nth == 0);
        if (fits && !c->answer) {
            c->answer = a;
        }
    }
    if (c->answer && c->answer->unsent) {
        server.sent_count--;
        c->busy = false;
        c->status = CONNECTION_BAD;
        snprintf(c->message, sizeof c->message, "the script says so");
        return 0;
    }
    c->pieces = c->answer ? c->answer->pieces : 0;
    return 1;
}

/* Notes the parameters of the statement that was taken last. */
static int with_params(int taken, int n, const char *const *values)
{
    for (int i = 0; taken && i < n; i++) {
        char *text = server.params[server.sent_count - 1];
        size_t used = strlen(text);
        snprintf(text + used, PARAMS_MAX - used, "%s%s", i ? " " : "",
                 values[i] ? values[i] : "null");
    }
    return taken;
}

int PQsendQuery(PGconn *c, const char *text)
{
    return take(c, text);
}

int PQsendQueryParams(PGconn *c, const char *text, int n, const Oid *types,
                      const char *const *values, const int *lengths, const int *formats, int format)
{
    (void)types, (void)lengths, (void)formats, (void)format;
    return with_params(take(c, text), n, values);
}

int PQsendPrepare(PGconn *c, const char *name, const char *text, int n, const Oid *types)
{
    (void)n, (void)types;
    assert(c->prepared < STATEMENTS_MAX);
    snprintf(c->names[c->prepared], sizeof c->names[0], "%s", name);
    snprintf(c->texts[c->prepared++], TEXT_MAX, "%s", text);
    char sent[TEXT_MAX + 16];
    snprintf(sent, sizeof sent, "prepare: %s", text);
    return take(c, sent);
}

int PQsendQueryPrepared(PGconn *c, const char *name, int n, const char *const *values,
                        const int *lengths, const int *formats, int format)
{
    (void)lengths, (void)formats, (void)format;
    for (size_t i = c->prepared; i-- > 0;) {
        if (strcmp(c->names[i], name) == 0) {
            char sent[TEXT_MAX + 16];
            snprintf(sent, sizeof sent, "execute: %s", c->texts[i]);
            return with_params(take(c, sent), n, values);
        }
    }
    snprintf(c->message, sizeof c->message, "statement %s was never prepared", name);
    return 0;
}

static PGresult *end_of(PGconn *c)
{
    const struct fake_answer *a = c->answer;
    c->busy = false;
    if (a && (a->lost || a->sqlstate)) {
        c->status = a->lost ? CONNECTION_BAD : c->status;
        snprintf(c->message, sizeof c->message, "the script says so");
        return noted(PQmakeEmptyPGresult(NULL, PGRES_FATAL_ERROR), a->lost ? NULL : a->sqlstate,
                     NULL);
    }
    if (a && a->columns > 0) {
        size_t from = c->single_row ? a->rows : 0; /* the rows were given before */
        return make_rows(a, PGRES_TUPLES_OK, from, a->rows);
    }
    return noted(PQmakeEmptyPGresult(NULL, PGRES_COMMAND_OK), NULL,
                 a && a->affected ? a->affected : "1");
}

PGresult *PQgetResult(PGconn *c)
{
    if (!c->busy) {
        return NULL;
    }
    if (c->single_row && c->answer && c->row < c->answer->rows) {
        size_t row = c->row++;
        return make_rows(c->answer, PGRES_SINGLE_TUPLE, row, row + 1);
    }
    return end_of(c);
}

int PQsetSingleRowMode(PGconn *c)
{
    c->single_row = true;
    return 1;
}

int PQconsumeInput(PGconn *c)
{
    char piece[16384];
    if (c->pieces > 0 && recv(c->fd, piece, sizeof piece, MSG_DONTWAIT) > 0) {
        c->pieces--;
    }
    return c->status == CONNECTION_OK;
}

int PQisBusy(PGconn *c)
{
    return c->busy && c->pieces > 0;
}

int PQflush(PGconn *c)
{
    (void)c;
    return 0;
}

PGnotify *PQnotifies(PGconn *c)
{
    (void)c;
    return NULL;
}

/* --- what is the same for each connection --- */

int PQserverVersion(const PGconn *c)
{
    (void)c;
    return 150000;
}

int PQbackendPID(const PGconn *c)
{
    (void)c;
    return 77;
}

char *PQhost(const PGconn *c)
{
    (void)c;
    return (char *)(size_t) "script";
}

const char *PQparameterStatus(const PGconn *c, const char *name)
{
    (void)c, (void)name;
    return NULL;
}

int PQconnectionNeedsPassword(const PGconn *c)
{
    (void)c;
    return 0;
}

int PQsslInUse(PGconn *c)
{
    (void)c;
    return 0;
}

int PQgssEncInUse(PGconn *c)
{
    (void)c;
    return 0;
}

int PQsetnonblocking(PGconn *c, int on)
{
    (void)c, (void)on;
    return 0;
}

PGVerbosity PQsetErrorVerbosity(PGconn *c, PGVerbosity verbosity)
{
    (void)c;
    return verbosity;
}

PQnoticeProcessor PQsetNoticeProcessor(PGconn *c, PQnoticeProcessor processor, void *arg)
{
    (void)c, (void)processor, (void)arg;
    return NULL;
}

PGcancel *PQgetCancel(PGconn *c)
{
    (void)c;
    return NULL;
}
