/*
 * The HTTP server of the daemon. It is used twice: as the admin port (`admin.listen`), which shows
 * pages and the console, and as the socket for commands (control_socket.h), which takes orders. It
 * has no thread of its own: the main loop polls its descriptors and calls admin_run. Main thread
 * only.
 */
#pragma once

#include "base/buf.h"
#include "base/error.h"
#include "base/poll_set.h"
#include "config/conf_key.h"
#include "daemon/admin_request.h"

struct admin;

enum admin_page { ADMIN_HEALTH, ADMIN_READY, ADMIN_METRICS, ADMIN_STATUS };

/* Called by admin_run for a GET: appends the text of the page and returns the HTTP status. */
typedef int admin_answer(void *ctx, enum admin_page page, struct buf *body);

/* What POST /orders?pipeline=&command=&argument= asks for; what is not given is "". Borrowed during
 * the call. */
struct admin_order {
    const char *pipeline, *command, *argument;
    const char *who; /* the peer of the socket, as audit_who writes it; "": unknown */
};
/* Called by admin_run for an order: appends the answer and returns the HTTP status. */
typedef int admin_obey(void *ctx, const struct admin_order *order, struct buf *body);

struct admin_ops {
    admin_answer *answer;
    admin_obey *obey;              /* NULL: it takes no orders */
    const struct admin_site *site; /* gets all other requests; NULL: there are none */
};

/* Starts to listen. `listen`: HOST:PORT, [IPV6]:PORT (port 0: any free one) or unix:PATH. *ret is
 * freed with admin_free. `ops` and `ctx` outlive it. CONFIG/78 if the address is wrong or in use,
 * FATAL/70 without descriptors or memory. */
int admin_new(const char *listen, const struct admin_ops *ops, void *ctx, struct admin **ret,
              struct error *err) MUST_CHECK;
void admin_free(struct admin *a); /* NULL is fine */

/* Sets further names that the Host header may have (`admin.hosts`). Always allowed are
 * localhost, and over TCP the address that the client reached and the host of `listen`. Other names
 * are refused: otherwise a web page could let its own name point to this address and read the
 * answers in a browser. `hosts` must live until the next call. `a` may be NULL. */
void admin_allow(struct admin *a, const struct conf_list *hosts);

/* True if the socket file at its path is still the one it made. False for TCP. */
bool admin_in_place(const struct admin *a);

/* Where it listens, with the port that the system chose: "127.0.0.1:9480" or "unix:PATH". Lives as
 * long as `a`. */
const char *admin_address(const struct admin *a);
bool admin_is_local(const struct admin *a); /* loopback or Unix socket */

void admin_poll(struct admin *a, struct poll_set *set); /* adds what it waits for */
void admin_run(struct admin *a);                        /* answers what has come; never waits */
