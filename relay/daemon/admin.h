/*
 * The admin port: read-only HTTP on a loopback address or a Unix socket; and the socket that the
 * commands ask, which takes orders too. It has no thread; the main loop polls its descriptor and
 * lets it run. Main thread only.
 */
#pragma once

#include "base/buf.h"
#include "base/error.h"
#include "base/poll_set.h"
#include "config/conf_key.h"

struct admin;

enum admin_page { ADMIN_HEALTH, ADMIN_READY, ADMIN_METRICS, ADMIN_STATUS };

/* Appends a page's text and returns its HTTP status. */
typedef int admin_answer(void *ctx, enum admin_page page, struct buf *body);

/* POST /orders?pipeline=&command=&argument=; what is not given is "". Appends the answer and
 * returns its HTTP status. */
struct admin_order {
    const char *pipeline, *command, *argument;
};
typedef int admin_obey(void *ctx, const struct admin_order *order, struct buf *body);

struct admin_ops {
    admin_answer *answer;
    admin_obey *obey; /* NULL: it takes no orders */
};

/* `listen`: HOST:PORT, [IPV6]:PORT (port 0: any free one) or unix:PATH. CONFIG/78 naming the
 * address when it is in use. `ops` outlives it. */
int admin_new(const char *listen, const struct admin_ops *ops, void *ctx, struct admin **ret,
              struct error *err) MUST_CHECK;
void admin_free(struct admin *a); /* NULL is fine */

/* Names that the Host header may have beside the address that a client reached, the one in `listen`
 * and localhost. They outlive the next call. Any other name is refused: a web page that makes its
 * own name point here must not read the answers. `a` may be NULL. */
void admin_allow(struct admin *a, const struct conf_list *hosts);

bool admin_in_place(const struct admin *a); /* its socket file still is the one it made */

/* Where it really listens: "127.0.0.1:9480" or "unix:PATH". */
const char *admin_address(const struct admin *a);
bool admin_is_local(const struct admin *a); /* loopback or Unix socket */

void admin_poll(struct admin *a, struct poll_set *set);
void admin_run(struct admin *a); /* what can be done without waiting */
