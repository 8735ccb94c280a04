/* A stuck or failed pipeline is named, never averaged away. */
#include "daemon/report.h"
#include "base/log.h"
#include "base/shown.h"
#include "pipeline/breaker.h"
#include <jansson.h>
#include <stdlib.h>
#include <unistd.h>

enum { HTTP_OK = 200, HTTP_UNAVAILABLE = 503 };

#define RELOAD_FAILURES "commitrelay_config_reload_failures_total"
#define RELOAD_FAILURES_HELP "Reloads refused because of a mistake in the file"
#define LOG_DROPPED "commitrelay_log_lines_dropped_total"
#define LOG_DROPPED_HELP "Log lines that nobody read in time"

bool report_alive(const struct report *r, const struct report_row *row)
{
    int64_t last = row->status.alive_us > row->started_us ? row->status.alive_us : row->started_us;
    bool connecting = row->status.state != PIPELINE_RUNNING &&
                      row->status.state != PIPELINE_PAUSED &&
                      row->status.state != PIPELINE_DRAINING;
    int64_t within = (connecting ? REPORT_CONNECT_WITHIN_S : REPORT_ALIVE_WITHIN_S) * US_PER_SECOND;
    return !row->running || r->now_us - last < within;
}

bool report_all_alive(const struct report *r)
{
    for (size_t i = 0; i < r->count; i++) {
        if (!report_alive(r, &r->rows[i])) {
            return false;
        }
    }
    return true;
}

int report_health(struct buf *out, const struct report *r)
{
    int http = HTTP_OK;
    for (size_t i = 0; i < r->count; i++) {
        if (!report_alive(r, &r->rows[i])) {
            buf_printf(out, "%s: stuck, its loop does not come round\n", r->rows[i].name);
            http = HTTP_UNAVAILABLE;
        }
    }
    if (http == HTTP_OK) {
        buf_add_str(out, "ok\n");
    }
    return http;
}

static bool is_ready(const struct report *r, const struct report_row *row)
{
    switch (row->status.state) {
    case PIPELINE_RUNNING:
    case PIPELINE_PAUSED:
    case PIPELINE_WAITING:
        return report_alive(r, row);
    case PIPELINE_STARTING:
    case PIPELINE_RETRYING:
    case PIPELINE_BLOCKED:
    case PIPELINE_DRAINING:
    case PIPELINE_STOPPED:
    case PIPELINE_FAILED:
        break;
    }
    return false;
}

int report_ready(struct buf *out, const struct report *r)
{
    int http = HTTP_OK;
    for (size_t i = 0; i < r->count; i++) {
        const struct report_row *row = &r->rows[i];
        buf_printf(out, "%s: %s%s%s\n", row->name, pipeline_state_name(row->status.state),
                   row->status.detail[0] ? ": " : "", row->status.detail);
        if (!is_ready(r, row)) {
            http = HTTP_UNAVAILABLE;
        }
    }
    return http;
}

static void process_metric(struct buf *out, const char *name, const char *help, uint64_t v)
{
    buf_printf(out, "# HELP %s %s\n# TYPE %s counter\n%s %llu\n", name, help, name, name,
               (unsigned long long)v);
}

int report_metrics(struct buf *out, const struct report *r)
{
    struct metrics **metrics = calloc(r->count + 1, sizeof(struct metrics *));
    const char **names = calloc(r->count + 1, sizeof *names);
    if (metrics && names) {
        for (size_t i = 0; i < r->count; i++) {
            metrics[i] = r->rows[i].metrics;
            names[i] = r->rows[i].name;
        }
        metrics_render(out, metrics, names, r->count);
        process_metric(out, RELOAD_FAILURES, RELOAD_FAILURES_HELP, r->reload_failures);
        process_metric(out, LOG_DROPPED, LOG_DROPPED_HELP, log_dropped());
    }
    bool made = metrics && names;
    free(metrics);
    free(names);
    return made ? HTTP_OK : HTTP_UNAVAILABLE;
}

void report_metrics_reference(struct buf *out)
{
    metrics_reference(out);
    buf_add_str(out, "| `" RELOAD_FAILURES "` | counter | " RELOAD_FAILURES_HELP " |\n"
                     "| `" LOG_DROPPED "` | counter | " LOG_DROPPED_HELP " |\n");
}

/* Texts come from servers and files: what is no UTF-8 must not cost the whole answer. */
static json_t *text(const char *s)
{
    json_t *j = json_string(s);
    return j ? j : json_string("(not UTF-8)");
}

static json_t *text_or_null(const char *s)
{
    return s && s[0] ? text(s) : json_null();
}

static json_t *known(int64_t n)
{
    return n < 0 ? json_null() : json_integer(n);
}

static json_t *status_of(const struct report_row *row)
{
    const struct pipeline_status *s = &row->status;
    char since[CLOCK_RFC3339_SIZE];
    clock_format_rfc3339(s->since_us, since);
    json_t *j = json_object();
    json_object_set_new(j, "name", text(row->name));
    json_object_set_new(j, "state", json_string(pipeline_state_name(s->state)));
    json_object_set_new(j, "detail", text(s->detail));
    json_object_set_new(j, "since", json_string(since));
    json_object_set_new(j, "position", text_or_null(s->position));
    json_object_set_new(j, "delivered", json_integer((json_int_t)s->delivered));
    json_object_set_new(j, "pending_events", known(s->pending_events));
    json_object_set_new(j, "lag_seconds",
                        json_real((double)metrics_get(&row->metrics->lag_us) / 1e6));
    json_object_set_new(j, "in_flight_events",
                        json_integer(metrics_get(&row->metrics->in_flight_events)));
    json_object_set_new(j, "in_flight_bytes",
                        json_integer(metrics_get(&row->metrics->in_flight_bytes)));
    json_object_set_new(j, "dead_letters", json_integer(metrics_get(&row->metrics->dead_letters)));
    enum breaker_state breaker = (enum breaker_state)metrics_get(&row->metrics->breaker_state);
    json_object_set_new(j, "breaker", json_string(breaker_state_name(breaker)));
    json_object_set_new(j, "held_up", text_or_null(s->held_up));
    json_object_set_new(j, "lag_bytes", known(s->lag_bytes));
    json_object_set_new(j, "slot_retained_bytes", known(s->retained_bytes));
    json_object_set_new(j, "slot_limit_bytes", known(s->limit_bytes));
    json_object_set_new(j, "slot_limit_seconds", known(s->limit_s));
    json_object_set_new(j, "slot_lost", json_boolean(s->slot_lost));
    json_object_set_new(j, "progress", text_or_null(s->progress));
    json_object_set_new(j, "events_per_second", json_real(s->rate > 0 ? s->rate : 0));
    json_object_set_new(j, "paused", json_boolean(s->paused));
    json_object_set_new(j, "store", text_or_null(row->store));
    json_object_set_new(j, "order", json_integer(s->order_id));
    json_object_set_new(j, "order_answer", text_or_null(s->order_answer));
    return j;
}

static void add_place(json_t *all, const struct report_place *p)
{
    json_object_set_new(all, "pid", json_integer(getpid()));
    json_object_set_new(all, "config", text_or_null(p->config));
    json_object_set_new(all, "directory", text_or_null(p->directory));
    json_object_set_new(all, "state_directory", text_or_null(p->state_directory));
    json_object_set_new(all, "socket", text_or_null(p->socket));
}

int report_status(struct buf *out, const struct report *r)
{
    json_t *all = json_object(), *list = json_array();
    for (size_t i = 0; i < r->count; i++) {
        json_array_append_new(list, status_of(&r->rows[i]));
    }
    json_object_set_new(all, "version", json_string(COMMITRELAY_VERSION));
    json_object_set_new(all, "uptime", json_integer((r->now_us - r->started_us) / US_PER_SECOND));
    add_place(all, &r->place);
    json_object_set_new(all, "pipelines", list);
    char *line = json_dumps(all, JSON_COMPACT | JSON_REAL_PRECISION(9));
    json_decref(all);
    if (!line) {
        return HTTP_UNAVAILABLE;
    }
    shown_escape(out, slice_from(line), SHOWN_AS_LINES); /* its escapes are JSON's */
    buf_add_char(out, '\n');
    free(line);
    return HTTP_OK;
}

void report_summary(struct buf *out, const struct report *r)
{
    size_t counts[PIPELINE_FAILED + 1] = {0};
    for (size_t i = 0; i < r->count; i++) {
        counts[r->rows[i].status.state]++;
    }
    const char *comma = "";
    for (enum pipeline_state s = PIPELINE_STARTING; s <= PIPELINE_FAILED; s++) {
        if (counts[s] > 0) {
            buf_printf(out, "%s%zu %s", comma, counts[s], pipeline_state_name(s));
            comma = ", ";
        }
    }
}
