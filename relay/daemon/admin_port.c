/* Hands the requests of the admin port to the console, and gives the console its turn. */
#include "daemon/admin_port.h"

#include "base/log.h"

static int answer(void *ctx, enum admin_page page, struct buf *body)
{
    const struct admin_port *p = ctx;
    return p->ops->answer(p->ctx, page, body);
}

static bool wants(void *ctx, const struct admin_request *r)
{
    const struct admin_port *p = ctx;
    struct report report;
    struct console_view v = p->ops->view(p->ctx, &report);
    return console_wants(&v, r);
}

static void take(void *ctx, struct admin_request *r)
{
    const struct admin_port *p = ctx;
    struct report report;
    struct console_view v = p->ops->view(p->ctx, &report);
    console_take(p->console, &v, r);
}

static void gone(void *ctx, struct admin_request *r)
{
    console_gone(((struct admin_port *)ctx)->console, r);
}

static const struct admin_site site = {wants, take, gone};
static const struct admin_ops ops = {.answer = answer, .site = &site};

int admin_port_open(struct admin_port *p, const char *listen, struct admin **ret, struct error *err)
{
    *ret = NULL;
    if (!listen[0]) {
        return RESULT_DONE;
    }
    p->console = p->console ? p->console : console_new();
    if (admin_new(listen, &ops, p, ret, err)) {
        return RESULT_ERROR;
    }
    log_write(LOG_INFO, NULL, "admin port on %s", admin_address(*ret));
    if (!admin_is_local(*ret)) {
        log_write(
            LOG_WARN, NULL,
            "the admin port %s can be reached from other machines and asks nobody for a password; prefer 127.0.0.1 or unix:PATH",
            admin_address(*ret));
    }
    return RESULT_DONE;
}

void admin_port_release(struct admin_port *p)
{
    admin_free(p->admin);
    console_free(p->console);
}

void admin_port_poll(const struct admin_port *p, struct poll_set *set)
{
    if (p->admin) {
        admin_poll(p->admin, set);
        console_poll(p->console, set);
    }
}

/* The console first: requests that it has answered go on in the same round. */
void admin_port_run(struct admin_port *p)
{
    if (!p->admin) {
        return;
    }
    console_run(p->console);
    if (console_due(p->console)) {
        struct report report;
        struct console_view v = p->ops->view(p->ctx, &report);
        console_tick(p->console, &v);
    }
    admin_run(p->admin);
}
