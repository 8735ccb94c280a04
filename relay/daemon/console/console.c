/* Which request is answered by whom. What is known in memory is answered at once, what is in a
 * store by a job. */
#include "daemon/console/console.h"

#include "base/digits.h"
#include "base/log_recent.h"
#include "base/memory.h"
#include "config/conf_show.h"
#include "daemon/console/acts.h"
#include "daemon/console/answer.h"
#include "daemon/console/guard.h"
#include "daemon/console/history.h"
#include "daemon/console/jobs.h"
#include "daemon/console/page.h"
#include "daemon/json_value.h"
#include <stdlib.h>
#include <string.h>

enum { OK = 200, UNAUTHORIZED = 401, FORBIDDEN = 403, NOT_FOUND = 404, NOT_ALLOWED = 405 };
enum { STREAMS_MAX = 64, LETTERS_SHOWN = 100, LETTERS_SHOWN_MAX = 500 };

static const int64_t PUSH_EVERY_US = 2 * US_PER_SECOND;

struct console {
    struct history *history;
    struct jobs *jobs;
    struct buf policy;
    struct admin_request *streams[STREAMS_MAX];
    size_t streams_count;
    int64_t push_at_us; /* monotonic */
};

struct console *console_new(void)
{
    struct console *c = memory_need(calloc(1, sizeof *c));
    c->history = history_new();
    c->jobs = jobs_new();
    page_policy(&c->policy, page_text());
    return c;
}

void console_free(struct console *c)
{
    if (c) {
        history_free(c->history);
        jobs_free(c->jobs);
        buf_release(&c->policy);
        free(c);
    }
}

static void reply(struct admin_request *r, int status, struct slice body)
{
    admin_request_answer(
        r, &(struct admin_reply_text){(unsigned)status, "application/json", NULL, body});
}

static void refuse(struct admin_request *r, int status, const char *why)
{
    CLEANUP(buf_release) struct buf body = {0};
    status = answer_error(&body, status, why);
    reply(r, status, buf_slice(&body));
}

static struct guard guard_of(const struct console_view *v)
{
    const struct config *conf = generation_config(v->generation);
    return (struct guard){conf->admin.actions, conf->admin.token};
}

static const struct conf_pipeline *find(const struct console_view *v, const char *name)
{
    const struct config *conf = generation_config(v->generation);
    for (size_t i = 0; i < conf->pipelines_count; i++) {
        if (strcmp(conf->pipelines[i].name, name) == 0) {
            return &conf->pipelines[i];
        }
    }
    return NULL;
}

/* --- what is in memory --- */

static void set_rate(json_t *row, const char *name, double rate)
{
    json_object_set_new(row, name, rate < 0 ? json_null() : json_real(rate));
}

/* The record of /status, and beside it what only the console has. */
static json_t *pipelines(const struct console *c, const struct console_view *v)
{
    const struct guard g = guard_of(v);
    CLEANUP(buf_release) struct buf name = {0};
    json_t *all = report_json(v->report), *row;
    size_t i;
    json_array_foreach(json_object_get(all, "pipelines"), i, row)
    {
        const struct report_row *of = &v->report->rows[i];
        const struct conf_pipeline *p = find(v, of->name);
        double in, out;
        buf_clear(&name);
        report_row_name(&name, of);
        history_rates(c->history, buf_str(&name), &in, &out);
        set_rate(row, "read_per_second", in);
        set_rate(row, "delivered_per_second", out);
        json_object_set_new(row, "source", json_text_or_null(p ? p->source->name : ""));
        json_object_set_new(row, "sink", json_text_or_null(p ? p->sink->name : ""));
    }
    json_object_set_new(all, "log_newest", json_integer((json_int_t)log_recent_newest()));
    json_object_set_new(all, "actions", json_boolean(g.actions));
    json_object_set_new(all, "token", json_boolean(*g.token));
    return all;
}

static void add_line(void *ctx, const struct log_line *line)
{
    static const char *const levels[] = {"error", "warn", "info", "debug"};
    json_t *one = json_object();
    json_object_set_new(one, "number", json_integer((json_int_t)line->number));
    json_object_set_new(one, "time", json_time(line->at_us));
    json_object_set_new(one, "level", json_string(levels[line->level]));
    json_object_set_new(one, "pipeline", json_text_or_null(line->pipeline));
    json_object_set_new(one, "text", json_text(slice_from(line->text)));
    json_array_append_new(ctx, one);
}

static json_t *log_lines(const struct admin_request *r)
{
    uint64_t after = 0;
    json_t *all = json_object(), *list = json_array();
    (void)digits_parse(slice_from(admin_request_argument(r, "after")), &after);
    log_recent_each(after, add_line, list);
    json_object_set_new(all, "lines", list);
    return all;
}

static void add_setting(void *ctx, const char *key, const char *value)
{
    json_t *one = json_object();
    json_object_set_new(one, "key", json_text(slice_from(key)));
    json_object_set_new(one, "value", json_text(slice_from(value)));
    json_array_append_new(ctx, one);
}

static json_t *settings(const struct console_view *v)
{
    const struct config *conf = generation_config(v->generation);
    json_t *all = json_object(), *list = json_array();
    conf_show(conf, add_setting, list);
    json_object_set_new(all, "config", json_text_or_null(v->report->place.config));
    json_object_set_new(all, "sha256", json_string(conf->digest));
    json_object_set_new(all, "settings", list);
    return all;
}

/* --- streams --- */

static struct admin_text *event(const struct console *c, const struct console_view *v)
{
    CLEANUP(buf_release) struct buf text = {0};
    buf_add_str(&text, "event: pipelines\ndata: ");
    (void)answer_json(&text, OK, pipelines(c, v)); /* one line */
    buf_add_char(&text, '\n');
    return admin_text_new(&text);
}

/* There are as many places as the admin port has connections. */
static void open_stream(struct console *c, const struct console_view *v, struct admin_request *r)
{
    if (c->streams_count == STREAMS_MAX) {
        refuse(r, 503, "too many listen already; ask /api/v1/pipelines from time to time");
        return;
    }
    struct admin_text *text = event(c, v);
    c->streams[c->streams_count++] = r;
    admin_request_stream(r);
    (void)admin_request_push(r, text);
    admin_text_drop(text);
}

void console_gone(struct console *c, struct admin_request *r)
{
    jobs_forget(c->jobs, r);
    for (size_t i = 0; i < c->streams_count; i++) {
        if (c->streams[i] == r) {
            c->streams[i] = c->streams[--c->streams_count];
            return;
        }
    }
}

/* --- what is in a store --- */

static const char *who_of(const struct admin_request *r)
{
    return r->local ? r->who : AUDIT_WHO_TOKEN;
}

static int64_t number(const struct admin_request *r, const char *name, int64_t absent, int64_t most)
{
    uint64_t n;
    bool given = digits_parse(slice_from(admin_request_argument(r, name)), &n);
    return !given ? absent : n < (uint64_t)most ? (int64_t)n : most;
}

static void ask_store(struct console *c, const struct console_view *v,
                      const struct console_route *route, struct admin_request *r)
{
    const struct guard g = guard_of(v);
    const struct stored_ask ask = {.config = generation_config(v->generation),
                                   .pipeline = find(v, route->pipeline),
                                   .route = *route,
                                   .after = number(r, "after", 0, INT64_MAX),
                                   .limit = number(r, "limit", LETTERS_SHOWN, LETTERS_SHOWN_MAX),
                                   .all = strcmp(admin_request_argument(r, "all"), "yes") == 0,
                                   .edits = number(r, "edits", -1, INT64_MAX),
                                   .sees = guard_sees(&g, r),
                                   .body = r->body,
                                   .who = who_of(r),
                                   .audit = v->audit};
    if (route->what == ROUTE_LETTER && !ask.sees) {
        refuse(r, UNAUTHORIZED,
               "what an event holds is shown over a Unix socket, or with Authorization: Bearer and "
               "the token of admin.token_file");
        return;
    }
    jobs_add(c->jobs, r, v->generation, &ask);
}

static void ask_check(struct console *c, const struct console_view *v, struct admin_request *r)
{
    const struct guard g = guard_of(v);
    if (!guard_sees(&g, r)) {
        refuse(r, UNAUTHORIZED,
               "a check asks all servers; it is begun over a Unix socket, or with Authorization: "
               "Bearer and the token of admin.token_file");
    } else if (!v->report->place.config[0]) {
        refuse(r, NOT_FOUND, "this relay was started without a configuration file");
    } else {
        jobs_add_check(c->jobs, r, v->report->place.config);
    }
}

/* --- all --- */

static void answer_at_once(struct console *c, const struct console_view *v,
                           const struct console_route *route, struct admin_request *r)
{
    CLEANUP(buf_release) struct buf body = {0};
    const struct guard g = guard_of(v);
    json_t *j = NULL;
    switch ((int)route->what) {
    case ROUTE_PIPELINES:
        j = pipelines(c, v);
        json_object_set_new(j, "sees", json_boolean(guard_sees(&g, r)));
        break;
    case ROUTE_LOG:
        j = log_lines(r);
        break;
    case ROUTE_CONFIG:
        j = settings(v);
        break;
    case ROUTE_GRAPH:
        j = history_json(c->history, route->pipeline);
        break;
    }
    int status = answer_json(&body, OK, j);
    reply(r, status, buf_slice(&body));
}

static void act(struct console *c, const struct console_view *v, const struct console_route *route,
                struct admin_request *r)
{
    CLEANUP(buf_release) struct buf body = {0};
    if (route->what == ROUTE_EDIT) {
        ask_store(c, v, route, r);
        return;
    }
    int status = acts_order(v->fleet, route, r->body, who_of(r), &body);
    reply(r, status, buf_slice(&body));
}

/* False after an answer: there is no such path, or the request may not act. */
static bool may_go_on(const struct console_view *v, const struct console_route *route,
                      struct admin_request *r)
{
    const struct guard g = guard_of(v);
    const char *why;
    if (route->wrong_method) {
        refuse(r, NOT_ALLOWED, "this path is asked with GET, or an act is sent with POST");
        return false;
    }
    if (route->what == ROUTE_NONE) {
        refuse(r, NOT_FOUND,
               "there are / /events /api/v1/pipelines /api/v1/log /api/v1/config, and /healthz "
               "/readyz /metrics /status");
        return false;
    }
    if (route->what != ROUTE_PAGE && !guard_from_here(r)) {
        refuse(r, FORBIDDEN, GUARD_ELSEWHERE);
        return false;
    }
    int status = console_route_acts(route) ? guard_acts(&g, r, &why) : 0;
    if (status) {
        refuse(r, status, why);
        return false;
    }
    if (route->pipeline[0] && !find(v, route->pipeline)) {
        refuse(r, NOT_FOUND, "there is no such pipeline");
        return false;
    }
    return true;
}

/* A body belongs to an act; of one that is refused it is not read. */
bool console_wants(const struct console_view *v, const struct admin_request *r)
{
    const struct guard g = guard_of(v);
    const char *why;
    return guard_acts(&g, r, &why) == 0;
}

void console_take(struct console *c, const struct console_view *v, struct admin_request *r)
{
    const struct console_route route = console_route_of(r->method, r->path);
    if (!may_go_on(v, &route, r)) {
        return;
    }
    switch (route.what) {
    case ROUTE_PAGE:
        admin_request_answer(r, &(struct admin_reply_text){OK, "text/html; charset=utf-8",
                                                           buf_str(&c->policy), page_text()});
        break;
    case ROUTE_EVENTS:
        open_stream(c, v, r);
        break;
    case ROUTE_CHECK:
        ask_check(c, v, r);
        break;
    case ROUTE_POSITIONS:
    case ROUTE_PARKED:
    case ROUTE_LETTERS:
    case ROUTE_LETTER:
        ask_store(c, v, &route, r);
        break;
    case ROUTE_PAUSE:
    case ROUTE_RESUME:
    case ROUTE_POSITION:
    case ROUTE_RETRY:
    case ROUTE_DROP:
    case ROUTE_EDIT:
        act(c, v, &route, r);
        break;
    case ROUTE_NONE:
    case ROUTE_PIPELINES:
    case ROUTE_LOG:
    case ROUTE_CONFIG:
    case ROUTE_GRAPH:
        answer_at_once(c, v, &route, r);
        break;
    }
}

static int64_t due_us(const struct console *c)
{
    int64_t sample = history_due_us(c->history);
    return c->streams_count > 0 && c->push_at_us < sample ? c->push_at_us : sample;
}

void console_poll(const struct console *c, struct poll_set *set)
{
    jobs_poll(c->jobs, set);
    poll_set_deadline(set, due_us(c));
}

void console_run(struct console *c)
{
    jobs_run(c->jobs);
}

bool console_due(const struct console *c)
{
    return clock_mono_us() >= due_us(c);
}

void console_tick(struct console *c, const struct console_view *v)
{
    (void)history_take(c->history, v->report);
    if (c->streams_count == 0 || v->report->now_us < c->push_at_us) {
        return;
    }
    struct admin_text *text = event(c, v);
    for (size_t i = 0; i < c->streams_count; i++) {
        (void)admin_request_push(c->streams[i], text);
    }
    admin_text_drop(text);
    c->push_at_us = v->report->now_us + PUSH_EVERY_US;
}
