/*
 * The admin port on libmicrohttpd. Clients are not trusted: one may open many connections, send
 * slowly, or send nonsense. It must not keep others from asking, must not make the main loop wait,
 * and must not use up the process's memory or descriptors. So connections, memory and time are
 * limited, and one descriptor is kept in reserve for the admin port.
 */
#include "daemon/admin.h"

#include "audit/audit.h"
#include "daemon/admin_exchange.h"
#include "daemon/descriptors.h"
#include "daemon/listen.h"
#include "daemon/openmetrics.h"
#include <microhttpd.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* With more than CONNECTIONS_KEPT open, each new connection ends the oldest one. If new ones were
 * refused instead, a client with many open connections could keep all others out. */
enum {
    CONNECTIONS_KEPT = 32,
    CONNECTIONS_MAX = 2 * CONNECTIONS_KEPT,
    CONNECTION_MEMORY = 16 * 1024,
    IDLE_SECONDS = 5
};

/* How long no connection is accepted after there was no descriptor for one. */
static const int64_t REST_US = 200 * US_PER_MS;

struct admin {
    struct listen_socket socket;
    char listen[128]; /* as configured */
    const struct conf_list *hosts;
    struct MHD_Connection *open[CONNECTIONS_MAX]; /* oldest first */
    size_t open_count, ended;                     /* the first `ended` of them were shut down */
    struct MHD_Daemon *http;
    int epoll_fd; /* libmicrohttpd's own */
    int spare_fd; /* closed to accept a connection when no other descriptor is left; -1: is closed
                   */
    bool tight;   /* no descriptor was left. libmicrohttpd then takes its listening socket out of
                     epoll; to take it back in, it must be run after a connection has ended */
    int64_t rest_until_us; /* libmicrohttpd is not run before; monotonic */
    const struct admin_ops *ops;
    void *ctx;
    struct exchanges exchanges;
};

static const struct {
    const char *path, *type;
    enum admin_page page;
} pages[] = {
    {"/healthz", "text/plain; charset=utf-8", ADMIN_HEALTH},
    {"/readyz", "text/plain; charset=utf-8", ADMIN_READY},
    {"/metrics", "text/plain; version=0.0.4; charset=utf-8", ADMIN_METRICS},
    {"/status", "application/json", ADMIN_STATUS},
};

static enum MHD_Result reply(struct MHD_Connection *c, unsigned status, const char *type,
                             struct slice body)
{
    struct MHD_Response *r = MHD_create_response_from_buffer(body.len, (void *)(uintptr_t)body.ptr,
                                                             MHD_RESPMEM_MUST_COPY);
    if (!r) {
        return MHD_NO;
    }
    MHD_add_response_header(r, MHD_HTTP_HEADER_CONTENT_TYPE, type);
    MHD_add_response_header(r, MHD_HTTP_HEADER_CACHE_CONTROL, "no-store");
    if (status == MHD_HTTP_METHOD_NOT_ALLOWED) {
        MHD_add_response_header(r, MHD_HTTP_HEADER_ALLOW, "GET, HEAD");
    }
    enum MHD_Result rc = MHD_queue_response(c, status, r);
    MHD_destroy_response(r);
    return rc;
}

static int descriptor_of(struct MHD_Connection *c)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(c, MHD_CONNECTION_INFO_CONNECTION_FD);
    return info ? info->connect_fd : -1;
}

static void on_connection(void *cls, struct MHD_Connection *c, void **state UNUSED,
                          enum MHD_ConnectionNotificationCode code)
{
    struct admin *a = cls;
    if (code == MHD_CONNECTION_NOTIFY_STARTED && a->open_count < CONNECTIONS_MAX) {
        a->open[a->open_count++] = c;
        if (a->open_count - a->ended > CONNECTIONS_KEPT) {
            struct MHD_Connection *oldest = a->open[a->ended++];
            (void)shutdown(descriptor_of(oldest), SHUT_RDWR);
            exchanges_cut(&a->exchanges, oldest);
        }
        return;
    }
    for (size_t i = 0; i < a->open_count; i++) {
        if (a->open[i] == c) {
            a->ended -= i < a->ended;
            memmove(&a->open[i], &a->open[i + 1], (--a->open_count - i) * sizeof *a->open);
            return;
        }
    }
}

/* The host of "host:port" or "[host]:port", without brackets. */
static struct slice host_of(const char *text)
{
    struct slice host = slice_from(text);
    const char *colon = strrchr(text, ':'), *bracket = strrchr(text, ']');
    if (colon && colon > bracket && (bracket || strchr(text, ':') == colon)) {
        host.len = (size_t)(colon - text);
    }
    if (host.len >= 2 && host.ptr[0] == '[' && host.ptr[host.len - 1] == ']') {
        host = (struct slice){host.ptr + 1, host.len - 2};
    }
    return host;
}

static bool same_host(struct slice a, struct slice b)
{
    return a.len == b.len && strncasecmp(a.ptr, b.ptr, a.len) == 0;
}

/* Is `host` the address that the client connected to? With `listen: 0.0.0.0:...` it can be any
 * address of this machine. */
static bool is_reached(struct MHD_Connection *c, struct slice host)
{
    struct sockaddr_storage a = {0};
    socklen_t n = sizeof a;
    char text[64];
    return getsockname(descriptor_of(c), (struct sockaddr *)&a, &n) == 0 &&
           getnameinfo((const struct sockaddr *)&a, n, text, sizeof text, NULL, 0,
                       NI_NUMERICHOST) == 0 &&
           same_host(host, slice_from(text));
}

/* See admin_allow. A request without a Host header is allowed: browsers always send one, but old
 * probes may not. A Unix socket may have a web server in front, which passes on what browsers send.
 */
static bool host_allowed(const struct admin *a, struct MHD_Connection *c)
{
    const char *header = MHD_lookup_connection_value(c, MHD_HEADER_KIND, MHD_HTTP_HEADER_HOST);
    if (!header) {
        return true;
    }
    struct slice host = host_of(header);
    bool found =
        same_host(host, SLICE_LITERAL("localhost")) ||
        (!a->socket.unix_path[0] && (same_host(host, host_of(a->listen)) || is_reached(c, host)));
    for (size_t i = 0; !found && a->hosts && i < a->hosts->count; i++) {
        found = same_host(host, slice_from(a->hosts->items[i]));
    }
    return found;
}

/* The page's text, or for metrics the other format, if the client asks for it. */
static enum MHD_Result reply_page(struct MHD_Connection *c, size_t page, unsigned status,
                                  struct slice body)
{
    const char *accept = MHD_lookup_connection_value(c, MHD_HEADER_KIND, MHD_HTTP_HEADER_ACCEPT);
    if (pages[page].page != ADMIN_METRICS || !openmetrics_wanted(accept)) {
        return reply(c, status, pages[page].type, body);
    }
    CLEANUP(buf_release) struct buf other = {0};
    openmetrics_add(&other, body);
    return reply(c, status, OPENMETRICS_TYPE, buf_slice(&other));
}

static const char *argument(struct MHD_Connection *c, const char *name)
{
    const char *value = MHD_lookup_connection_value(c, MHD_GET_ARGUMENT_KIND, name);
    return value ? value : "";
}

/* What the kernel says of the process that connected. */
static void peer(struct MHD_Connection *c, char out[AUDIT_WHO_SIZE])
{
    struct ucred who;
    socklen_t n = sizeof who;
    out[0] = '\0';
    if (getsockopt(descriptor_of(c), SOL_SOCKET, SO_PEERCRED, &who, &n) == 0 &&
        who.uid != (uid_t)-1) {
        audit_who(who.uid, out);
    }
}

/* libmicrohttpd calls this for the headers, for each piece of the body, and at the end. The answer
 * is given at the end only: with an earlier one, the client could find the connection closed while
 * it still sends. */
static enum MHD_Result on_order(struct admin *a, struct MHD_Connection *c, size_t *size,
                                void **state)
{
    if (!*state || *size > 0) {
        *state = a;
        *size = 0; /* an order has no body */
        return MHD_YES;
    }
    CLEANUP(buf_release) struct buf body = {0};
    char who[AUDIT_WHO_SIZE];
    struct admin_order order = {argument(c, "pipeline"), argument(c, "command"),
                                argument(c, "argument"), who};
    peer(c, who);
    int status = a->ops->obey(a->ctx, &order, &body);
    return reply(c, (unsigned)status, "application/json", buf_slice(&body));
}

/* For the site. The first call has the headers only. `*state` is the exchange from then on. */
static enum MHD_Result on_site(struct admin *a, struct MHD_Connection *c, const char *url,
                               const char *method, const char *data, size_t *size, void **state)
{
    if (!*state) {
        struct exchange *e = exchange_new(&a->exchanges, c, url, method);
        struct admin_request *r = exchange_request(e);
        r->local = a->socket.unix_path[0] != '\0';
        if (r->local) {
            peer(c, r->who);
        }
        *state = e;
        return MHD_YES;
    }
    return exchange_go_on(*state, data, size, a->ops->site, a->ctx);
}

/* An order has the admin port itself as its state. */
static void on_end(void *cls, struct MHD_Connection *c UNUSED, void **state,
                   enum MHD_RequestTerminationCode code UNUSED)
{
    struct admin *a = cls;
    if (*state && *state != a) {
        exchange_end(*state, a->ops->site, a->ctx);
    }
    *state = NULL;
}

static bool is_page(const char *url)
{
    for (size_t i = 0; i < sizeof pages / sizeof *pages; i++) {
        if (strcmp(url, pages[i].path) == 0) {
            return true;
        }
    }
    return false;
}

static enum MHD_Result on_request(void *cls, struct MHD_Connection *c, const char *url,
                                  const char *method, const char *version UNUSED, const char *data,
                                  size_t *size, void **state)
{
    struct admin *a = cls;
    if (!host_allowed(a, c)) {
        return reply(c, MHD_HTTP_FORBIDDEN, "text/plain",
                     SLICE_LITERAL("the Host header names another host: ask by the address (over a "
                                   "Unix socket: localhost), or list the name in admin.hosts\n"));
    }
    if (a->ops->obey && strcmp(url, "/orders") == 0 && strcmp(method, "POST") == 0) {
        return on_order(a, c, size, state);
    }
    if (a->ops->site && !is_page(url)) {
        return on_site(a, c, url, method, data, size, state);
    }
    if (strcmp(method, "GET") != 0 && strcmp(method, "HEAD") != 0) {
        return reply(c, MHD_HTTP_METHOD_NOT_ALLOWED, "text/plain",
                     SLICE_LITERAL("only GET: this port changes nothing\n"));
    }
    for (size_t i = 0; i < sizeof pages / sizeof *pages; i++) {
        if (strcmp(url, pages[i].path) == 0) {
            CLEANUP(buf_release) struct buf body = {0};
            int status = a->ops->answer(a->ctx, pages[i].page, &body);
            return reply_page(c, i, (unsigned)status, buf_slice(&body));
        }
    }
    return reply(c, MHD_HTTP_NOT_FOUND, "text/plain",
                 SLICE_LITERAL("there are /healthz /readyz /metrics /status\n"));
}

static int start_http(struct admin *a, struct error *err)
{
    a->http = MHD_start_daemon(
        MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME, 0, NULL, NULL, on_request, a,
        MHD_OPTION_LISTEN_SOCKET, a->socket.fd, MHD_OPTION_NOTIFY_COMPLETED, on_end, a,
        MHD_OPTION_CONNECTION_LIMIT, (unsigned)CONNECTIONS_MAX, MHD_OPTION_CONNECTION_TIMEOUT,
        (unsigned)IDLE_SECONDS, MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)CONNECTION_MEMORY,
        MHD_OPTION_NOTIFY_CONNECTION, on_connection, a, MHD_OPTION_END);
    const union MHD_DaemonInfo *info =
        a->http ? MHD_get_daemon_info(a->http, MHD_DAEMON_INFO_EPOLL_FD) : NULL;
    if (!info) {
        return error_exit(
            err, ERROR_FATAL, EXIT_CODE_BUG, "admin",
            "cannot start the admin port on %s: no descriptors or memory left; raise the limits of the process",
            a->socket.address);
    }
    a->epoll_fd = info->epoll_fd;
    a->spare_fd = descriptors_spare();
    return RESULT_DONE;
}

int admin_new(const char *listen, const struct admin_ops *ops, void *ctx, struct admin **ret,
              struct error *err)
{
    struct admin *a = calloc(1, sizeof *a);
    if (!a) {
        return error_exit(err, ERROR_FATAL, EXIT_CODE_BUG, "admin", "no memory for the admin port");
    }
    a->ops = ops;
    a->ctx = ctx;
    snprintf(a->listen, sizeof a->listen, "%s", listen);
    a->spare_fd = -1;
    if (listen_open(listen, ops->obey ? LISTEN_ORDERS : LISTEN_PAGES, &a->socket, err)) {
        free(a);
        return RESULT_ERROR;
    }
    if (start_http(a, err)) {
        if (!a->http) {
            close(a->socket.fd);
        }
        admin_free(a);
        return RESULT_ERROR;
    }
    *ret = a;
    return RESULT_DONE;
}

void admin_free(struct admin *a)
{
    if (!a) {
        return;
    }
    listen_close(&a->socket);
    if (a->http) {
        exchanges_wake(&a->exchanges);
        MHD_stop_daemon(a->http); /* closes the listening socket too */
    }
    if (a->spare_fd >= 0) {
        close(a->spare_fd);
    }
    free(a);
}

void admin_allow(struct admin *a, const struct conf_list *hosts)
{
    if (a) {
        a->hosts = hosts;
    }
}

const char *admin_address(const struct admin *a)
{
    return a->socket.address;
}

bool admin_is_local(const struct admin *a)
{
    return a->socket.local;
}

bool admin_in_place(const struct admin *a)
{
    return listen_is_ours(&a->socket);
}

void admin_poll(struct admin *a, struct poll_set *set)
{
    MHD_UNSIGNED_LONG_LONG ms;
    if (clock_mono_us() < a->rest_until_us) {
        poll_set_deadline(set, a->rest_until_us);
        return;
    }
    poll_set_add(set, a->epoll_fd, POLLIN);
    if (a->tight) {
        poll_set_deadline(set, clock_mono_us() + REST_US);
    }
    if (a->exchanges.look_at_us) {
        poll_set_deadline(set, a->exchanges.look_at_us);
    }
    if (a->exchanges.woken) {
        poll_set_deadline(set, clock_mono_us());
    } else if (MHD_get_timeout(a->http, &ms) == MHD_YES) {
        poll_set_deadline(set, clock_mono_us() + (int64_t)ms * US_PER_MS);
    }
}

static bool serves_somebody(const struct admin *a)
{
    const union MHD_DaemonInfo *info =
        MHD_get_daemon_info(a->http, MHD_DAEMON_INFO_CURRENT_CONNECTIONS);
    return info && info->num_connections > 0;
}

/* If no descriptor is left, the spare one is closed, so that the next connection can be accepted.
 * Another thread may take that descriptor first. Then the waiting connection would wake the poll
 * again and again, so nothing is done for REST_US. */
void admin_run(struct admin *a)
{
    if (clock_mono_us() < a->rest_until_us) {
        return;
    }
    a->tight = descriptors_used_up();
    if (a->tight && a->spare_fd >= 0) {
        close(a->spare_fd);
        a->spare_fd = -1;
    }
    exchanges_look(&a->exchanges);
    a->exchanges.woken = false;
    (void)MHD_run(a->http);
    if (a->spare_fd < 0) {
        a->spare_fd = descriptors_spare();
    }
    if (a->tight && a->spare_fd < 0 && !serves_somebody(a)) {
        a->rest_until_us = clock_mono_us() + REST_US;
    }
}
