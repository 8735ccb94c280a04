/*
 * The main loop: one poll for signals, ends of threads, the admin port and the socket for commands.
 * Nothing here waits for a pipeline, so signals and the admin port are answered at once even while
 * all pipelines hang. The process ends when all pipelines have ended.
 */
#include "daemon/supervisor.h"

#include "base/log.h"
#include "daemon/admin_port.h"
#include "daemon/control_socket.h"
#include "daemon/crew.h"
#include "daemon/descriptors.h"
#include "daemon/fleet.h"
#include "daemon/json_value.h"
#include "daemon/notify.h"
#include "daemon/orders.h"
#include "daemon/paths.h"
#include "daemon/registry.h"
#include "daemon/trail.h"
#include "daemon/versions.h"
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <unistd.h>

static const int64_t READY_PATIENCE_US = US_PER_SECOND, READY_LOOK_US = 20 * US_PER_MS,
                     STATUS_EVERY_US = 10 * US_PER_SECOND, FORMER_ANSWERS_US = 2 * US_PER_SECOND;

struct supervisor {
    const struct supervisor_options *options;
    struct generation *generation; /* the configuration that was loaded last without a mistake */
    struct fleet *fleet;
    struct crew *crew;
    struct admin_port port;
    struct control_socket control;
    struct control_socket former; /* the one before the last reload: it still answers who asked */
    struct audit *audit;
    char stopped_by[AUDIT_WHO_SIZE]; /* who sent the signal; "": nobody did */
    bool audited;                    /* the start is in the audit log */
    struct buf config_path, directory;
    int signal_fd, end_fd, notify_fd;
    int64_t started_us, started_wall_us;
    int64_t watchdog_us; /* as of notify_watchdog_us */
    int64_t tick_at_us;  /* when `tick` is due; monotonic */
    uint64_t reload_failures;
    bool ready, stopping, stuck;
};

static struct report look(struct supervisor *s)
{
    struct report r = {.started_us = s->started_us,
                       .started_wall_us = s->started_wall_us,
                       .now_us = clock_mono_us(),
                       .reload_failures = s->reload_failures,
                       .place = {.config = buf_str(&s->config_path),
                                 .directory = buf_str(&s->directory),
                                 .state_directory = getenv("STATE_DIRECTORY"),
                                 .socket = s->control.admin ? buf_str(&s->control.path) : ""}};
    r.rows = fleet_rows(s->fleet, &r.count);
    return r;
}

static int answer(void *ctx, enum admin_page page, struct buf *body)
{
    struct report r = look(ctx);
    switch (page) {
    case ADMIN_HEALTH:
        return report_health(body, &r);
    case ADMIN_READY:
        return report_ready(body, &r);
    case ADMIN_METRICS:
        crew_metrics(((struct supervisor *)ctx)->crew, body);
        return report_metrics(body, &r);
    case ADMIN_STATUS:
        break;
    }
    r.consumers = crew_json(((struct supervisor *)ctx)->crew);
    int rc = report_status(body, &r);
    json_decref(r.consumers);
    return rc;
}

static struct console_view view(void *ctx, struct report *report)
{
    struct supervisor *s = ctx;
    *report = look(s);
    return (struct console_view){report, s->generation, s->fleet, s->audit};
}

static admin_obey obey;
static const struct admin_port_ops port_ops = {.answer = answer, .view = view};
static const struct admin_ops orders_too = {.answer = answer, .obey = obey};

static void adopt_log(const struct config *c)
{
    log_configure((enum log_level)c->log.level, (enum log_format)c->log.format);
    for (size_t i = 0; i < c->warnings_count; i++) {
        log_write(LOG_WARN, NULL, "%s", c->warnings[i]);
    }
}

/* --- reload --- */

/* Pipelines and consumers, all or nothing. With --pipeline there are no consumers. */
static int apply_both(struct supervisor *s, struct generation *g, struct error *err)
{
    bool consumers = s->options->only_count == 0;
    if (consumers && crew_stage(s->crew, g, err)) {
        return RESULT_ERROR;
    }
    if (fleet_apply(s->fleet, g, err)) {
        crew_unstage(s->crew);
        return RESULT_ERROR;
    }
    if (consumers) {
        crew_adopt(s->crew, g);
    }
    return RESULT_DONE;
}

/* The pipelines of the new configuration write to its audit log from their first act on. */
static int apply(struct supervisor *s, struct generation *g, struct error *err)
{
    const struct config *was = generation_config(s->generation), *is = generation_config(g);
    bool same = strcmp(was->audit.path, is->audit.path) == 0;
    struct error ignored;
    if (!same && trail_adopt(s->audit, is, err)) {
        return RESULT_ERROR;
    }
    if (apply_both(s, g, err)) {
        if (!same && trail_adopt(s->audit, was, &ignored)) {
            log_error(LOG_ERROR, NULL, "the audit log of before cannot be opened again", &ignored);
        }
        return RESULT_ERROR;
    }
    return RESULT_DONE;
}

static int reload_into(struct supervisor *s, struct generation *g, struct error *err)
{
    const struct config *c = generation_config(g);
    bool same_admin = strcmp(c->admin.listen, generation_config(s->generation)->admin.listen) == 0;
    bool same_control = control_socket_fits(&s->control, c);
    struct admin *admin = s->port.admin;
    struct control_socket control = {.ops = &orders_too, .ctx = s};
    if (!same_admin && admin_port_open(&s->port, c->admin.listen, &admin, err)) {
        return RESULT_ERROR;
    }
    if ((!same_control && control_socket_open(&control, c, err)) || apply(s, g, err)) {
        if (!same_admin) {
            admin_free(admin);
        }
        control_socket_close(&control);
        return RESULT_ERROR;
    }
    if (!same_admin) {
        admin_free(s->port.admin);
        s->port.admin = admin;
    }
    admin_allow(s->port.admin, &generation_config(g)->admin.hosts);
    if (!same_control) {
        control_socket_close(&s->former);
        s->former = s->control;
        s->control = control;
        s->tick_at_us = clock_mono_us() + FORMER_ANSWERS_US;
    }
    return RESULT_DONE;
}

static int try_reload(struct supervisor *s, const char *who, struct error *err)
{
    struct config *config;
    if (config_load(s->options->file, registry_conf_plugins(), &config, err)) {
        return RESULT_ERROR;
    }
    struct generation *g = generation_new(config);
    if (reload_into(s, g, err)) {
        generation_unref(g);
        return RESULT_ERROR;
    }
    trail_reloaded(s->audit, generation_config(s->generation), config, who);
    generation_unref(s->generation);
    s->generation = g;
    adopt_log(config);
    return RESULT_DONE;
}

static int refuse_reload(const struct supervisor *s, struct error *err)
{
    if (s->stopping) {
        return error_exit(err, ERROR_CONFIG, EXIT_CODE_CONFIG, "daemon", "this relay is stopping");
    }
    return s->options->file ? RESULT_DONE
                            : error_exit(err, ERROR_CONFIG, EXIT_CODE_CONFIG, "daemon",
                                         "there is no configuration file to read again");
}

/* ERROR: the reason was logged, and everything goes on as before. */
static int reload(struct supervisor *s, const char *who, struct error *err)
{
    char text[64];
    if (refuse_reload(s, err)) {
        log_error(LOG_WARN, NULL, "no reload", err);
        return RESULT_ERROR;
    }
    snprintf(text, sizeof text, "RELOADING=1\nMONOTONIC_USEC=%lld", (long long)clock_mono_us());
    notify_send(s->notify_fd, text);
    int rc = try_reload(s, who, err);
    if (rc) {
        s->reload_failures++;
        log_error(LOG_ERROR, NULL, "reload refused, everything goes on as before", err);
    } else {
        log_write(LOG_INFO, NULL, "reloaded %s", s->options->file);
    }
    notify_send(s->notify_fd, "READY=1");
    return rc;
}

/* Asked by `commitrelay reload`; everything else is for a pipeline. */
static int obey(void *ctx, const struct admin_order *o, struct buf *body)
{
    enum { DONE = 200, REFUSED = 422 };
    struct supervisor *s = ctx;
    struct error err = {0};
    if (strcmp(o->command, "reload") != 0) {
        return orders_give(s->fleet, o, body);
    }
    int rc = reload(s, o->who, &err);
    json_t *answer = json_pack("{s:o}", rc ? "error" : "reloaded",
                               json_text_or_null(rc ? err.text : s->options->file));
    char *line = json_dumps(answer, JSON_COMPACT);
    buf_add_str(body, line ? line : "{}");
    free(line);
    json_decref(answer);
    return rc ? REFUSED : DONE;
}

/* --- signals and the service manager --- */

static void stop(struct supervisor *s, int signal_number, const char *who)
{
    if (s->stopping) {
        log_write(LOG_WARN, NULL, "second signal: ending at once");
        trail_stopped(s->audit, EXIT_CODE_SECOND_SIGNAL, who);
        _exit(EXIT_CODE_SECOND_SIGNAL);
    }
    s->stopping = true;
    snprintf(s->stopped_by, sizeof s->stopped_by, "%s", who ? who : "");
    log_write(LOG_INFO, NULL, "%s: stopping", signal_number == SIGINT ? "SIGINT" : "SIGTERM");
    notify_send(s->notify_fd, "STOPPING=1");
    fleet_stop(s->fleet);
    crew_stop(s->crew);
}

static void take_signals(struct supervisor *s)
{
    struct signalfd_siginfo info;
    char who[AUDIT_WHO_SIZE];
    while (read(s->signal_fd, &info, sizeof info) == (ssize_t)sizeof info) {
        if (info.ssi_signo == SIGUSR1) {
            audit_rotate(s->audit);
        } else if (info.ssi_signo == SIGHUP) {
            (void)reload(s, trail_sender(&info, who), &(struct error){0});
        } else {
            stop(s, (int)info.ssi_signo, trail_sender(&info, who));
        }
    }
}

static bool all_begun(const struct report *r)
{
    for (size_t i = 0; i < r->count; i++) {
        if (r->rows[i].running && r->rows[i].status.state == PIPELINE_STARTING) {
            return false;
        }
    }
    return true;
}

static void tell_status(struct supervisor *s, const struct report *r)
{
    CLEANUP(buf_release) struct buf text = {0};
    bool alive = report_all_alive(r);
    buf_add_str(&text, "STATUS=");
    report_summary(&text, r);
    if (s->watchdog_us > 0 && alive) {
        buf_add_str(&text, "\nWATCHDOG=1");
    }
    notify_send(s->notify_fd, buf_str(&text));
    if (!alive && !s->stuck) {
        log_write(LOG_ERROR, NULL, "a pipeline is stuck: its loop does not come round%s",
                  s->watchdog_us > 0 ? "; the watchdog is not told that all is well" : "");
    } else if (alive && s->stuck) {
        log_write(LOG_INFO, NULL, "no pipeline is stuck any more");
    }
    s->stuck = !alive;
}

/* What is done on time. First READY=1, once every pipeline has left its starting state, or after
 * READY_PATIENCE_US: a service manager should not wait for a database that is down. Then the status
 * and WATCHDOG=1, at least twice within the watchdog's timeout. */
static void tick(struct supervisor *s)
{
    int64_t now = clock_mono_us();
    if (now < s->tick_at_us) {
        return;
    }
    struct report r = look(s);
    if (!s->ready && !all_begun(&r) && now - s->started_us < READY_PATIENCE_US) {
        s->tick_at_us = now + READY_LOOK_US;
        return;
    }
    if (!s->ready) {
        s->ready = true;
        notify_send(s->notify_fd, "READY=1");
    }
    tell_status(s, &r);
    control_socket_tend(&s->control);
    control_socket_close(&s->former);
    int64_t half = s->watchdog_us / 2;
    s->tick_at_us = now + (half > 0 && half < STATUS_EVERY_US ? half : STATUS_EVERY_US);
}

/* --- the loop --- */

static void wait_and_serve(struct supervisor *s)
{
    struct poll_set set;
    uint64_t ends;
    poll_set_clear(&set);
    poll_set_add(&set, s->signal_fd, POLLIN);
    poll_set_add(&set, s->end_fd, POLLIN);
    poll_set_deadline(&set, s->tick_at_us);
    admin_port_poll(&s->port, &set);
    control_socket_poll(&s->control, &set);
    control_socket_poll(&s->former, &set);
    poll_set_wait(&set);
    if (read(s->end_fd, &ends, sizeof ends) == (ssize_t)sizeof ends) {
        fleet_reap(s->fleet);
        crew_reap(s->crew);
    }
    take_signals(s);
    admin_port_run(&s->port);
    control_socket_run(&s->control);
    control_socket_run(&s->former);
    tick(s);
}

/* Called before any thread exists: threads inherit the blocked signals. Otherwise the kernel could
 * deliver SIGTERM to a thread of a library, which would end the process without a drain. */
static int open_descriptors(struct supervisor *s, struct error *err)
{
    sigset_t ours;
    sigemptyset(&ours);
    sigaddset(&ours, SIGTERM);
    sigaddset(&ours, SIGINT);
    sigaddset(&ours, SIGHUP);
    sigaddset(&ours, SIGUSR1);
    sigprocmask(SIG_BLOCK, &ours, NULL);
    (void)signal(SIGUSR2, SIG_IGN);
    s->signal_fd = signalfd(-1, &ours, SFD_NONBLOCK | SFD_CLOEXEC);
    s->end_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (s->signal_fd < 0 || s->end_fd < 0) {
        return error_exit(
            err, ERROR_FATAL, EXIT_CODE_BUG, "daemon",
            "cannot make the descriptors of the main loop: %s; raise the limit of open files (LimitNOFILE, ulimit -n)",
            strerror(errno));
    }
    return RESULT_DONE;
}

static bool in_use(const struct config *c, const struct sink_ops *sink)
{
    for (size_t i = 0; i < c->pipelines_count; i++) {
        if (strcmp(c->pipelines[i].sink->name, sink->name) == 0) {
            return true;
        }
    }
    return false;
}

static void log_start(const struct config *c)
{
    CLEANUP(buf_release) struct buf libraries = {0}, warning = {0};
    versions_add(&libraries, ", ");
    log_write(LOG_INFO, NULL, "commitrelay %s with %s", COMMITRELAY_VERSION, buf_str(&libraries));
    for (size_t i = 0; i < c->pipelines_count; i++) {
        const struct conf_pipeline *p = &c->pipelines[i];
        log_write(LOG_INFO, p->name, "%s -> %s", p->source->name, p->sink->name);
    }
    for (const struct sink_ops *const *s = registry_sinks(); *s; s++) {
        buf_clear(&warning);
        if (in_use(c, *s) && (*s)->library_outdated && (*s)->library_outdated(&warning)) {
            log_write(LOG_WARN, NULL, "%s", buf_str(&warning));
        }
    }
}

/* Remembers where the process runs, for /status: relative paths of the configuration begin here,
 * and commands must begin at the same place. */
static void note_place(struct supervisor *s)
{
    paths_absolute(&s->directory, "");
    if (s->options->file) {
        paths_absolute(&s->config_path, s->options->file);
    }
}

static int start(struct supervisor *s, struct error *err)
{
    const struct supervisor_options *o = s->options;
    const struct config *c = generation_config(s->generation);
    adopt_log(c);
    log_start(c);
    if (descriptors_prepare(c, o->only, o->only_count, err) || open_descriptors(s, err) ||
        trail_open(c, &s->audit, err)) {
        return RESULT_ERROR;
    }
    s->fleet = fleet_new(&(struct fleet_conf){.end_fd = s->end_fd,
                                              .only = o->only,
                                              .only_count = o->only_count,
                                              .until_idle = o->until_idle,
                                              .audit = s->audit});
    s->crew = crew_new(s->end_fd);
    if (admin_port_open(&s->port, c->admin.listen, &s->port.admin, err) ||
        control_socket_open(&s->control, c, err)) {
        return RESULT_ERROR;
    }
    admin_allow(s->port.admin, &c->admin.hosts);
    trail_started(s->audit, c);
    s->audited = true;
    return apply_both(s, s->generation, err);
}

static void release(struct supervisor *s)
{
    admin_port_release(&s->port);
    control_socket_close(&s->control);
    control_socket_close(&s->former);
    buf_release(&s->config_path);
    buf_release(&s->directory);
    fleet_free(s->fleet);
    crew_free(s->crew);
    audit_close(s->audit);
    generation_unref(s->generation);
    if (s->signal_fd >= 0) {
        close(s->signal_fd);
    }
    if (s->end_fd >= 0) {
        close(s->end_fd);
    }
    if (s->notify_fd >= 0) {
        close(s->notify_fd);
    }
}

static void note_end(struct supervisor *s, int exit_code)
{
    if (s->audited) {
        trail_stopped(s->audit, exit_code, s->stopped_by[0] ? s->stopped_by : NULL);
    }
}

int supervisor_run(const struct supervisor_options *options, struct config *take_config)
{
    struct error err = {0};
    CLEANUP(release)
    struct supervisor s = {.options = options,
                           .generation = generation_new(take_config),
                           .signal_fd = -1,
                           .end_fd = -1,
                           .notify_fd = notify_open(),
                           .port = {.ops = &port_ops},
                           .control = {.ops = &orders_too},
                           .started_us = clock_mono_us(),
                           .started_wall_us = clock_wall_us(),
                           .watchdog_us = notify_watchdog_us()};
    s.control.ctx = s.port.ctx = &s;
    note_place(&s);
    if (start(&s, &err)) {
        log_error(LOG_ERROR, NULL, "not started", &err);
        note_end(&s, err.exit_code);
        return err.exit_code;
    }
    while (!fleet_ended(s.fleet) || !crew_ended(s.crew)) {
        if (options->until_idle && fleet_ended(s.fleet)) {
            crew_finish(s.crew); /* no pipeline makes anything for them any more */
        }
        wait_and_serve(&s);
    }
    int code = fleet_exit_code(s.fleet);
    code = code ? code : crew_exit_code(s.crew);
    if (!s.stopping) {
        notify_send(s.notify_fd, "STOPPING=1");
    }
    log_write(LOG_INFO, NULL, "all pipelines have ended, exit code %d", code);
    note_end(&s, code);
    return code;
}
