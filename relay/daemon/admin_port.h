/*
 * The admin port (`admin.listen`) with the console behind it, as the main loop uses them. Main
 * thread only.
 */
#pragma once

#include "daemon/admin.h"
#include "daemon/console/console.h"

struct admin_port_ops {
    admin_answer *answer; /* as of admin_ops */
    /* What is so now. The view borrows *report. */
    struct console_view (*view)(void *ctx, struct report *report);
};

/* Ended with admin_port_release. It must not be moved. */
struct admin_port {
    const struct admin_port_ops *ops; /* this and ctx are set by the owner */
    void *ctx;
    struct admin *admin; /* NULL: off */
    struct console *console;
};

/* Opens it and logs where; *ret is NULL if `listen` is "". It is freed with admin_free, or becomes
 * p->admin: so a reload can go back to the one before. Errors as of admin_new. */
int admin_port_open(struct admin_port *p, const char *listen, struct admin **ret,
                    struct error *err) MUST_CHECK;
void admin_port_release(struct admin_port *p);

void admin_port_poll(const struct admin_port *p, struct poll_set *set);
void admin_port_run(struct admin_port *p); /* never waits */
