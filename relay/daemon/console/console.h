/*
 * The console: answers the requests of the admin port that are for none of its plain pages. See
 * "The console" in docs/ARCHITECTURE.md, and route.h for what can be asked. Main thread only.
 */
#pragma once

#include "base/poll_set.h"
#include "daemon/admin_request.h"
#include "daemon/fleet.h"
#include "daemon/report.h"

struct console;

/* What is so at this moment; borrowed for the call, `generation` and `audit` as jobs.h says. */
struct console_view {
    const struct report *report;
    struct generation *generation; /* the configuration */
    struct fleet *fleet;
    struct audit *audit; /* may be NULL */
};

/* The admin port is freed before the console: it tells which requests are gone. */
struct console *console_new(void);
void console_free(struct console *c); /* NULL is fine */

/* As of admin_site. */
bool console_wants(const struct console_view *v, const struct admin_request *r);
void console_take(struct console *c, const struct console_view *v, struct admin_request *r);
void console_gone(struct console *c, struct admin_request *r);

void console_poll(const struct console *c, struct poll_set *set);
/* Answers held requests whose answer has come. Never waits. */
void console_run(struct console *c);
/* A sample of the history, or the next event of a stream, is due: console_tick takes it. */
bool console_due(const struct console *c);
void console_tick(struct console *c, const struct console_view *v);
