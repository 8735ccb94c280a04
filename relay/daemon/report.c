/* Makes the pages. Each pipeline is listed by name, so that one that is stuck or has failed can be
 * seen among many that work. */
#include "daemon/report.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/shown.h"
#include "daemon/json_value.h"
#include "daemon/process_metrics.h"
#include "daemon/standing.h"
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

static const char *part_of(const struct report_row *row)
{
    return row->part ? row->part : STORE_WHOLE;
}

void report_row_name(struct buf *out, const struct report_row *row)
{
    buf_printf(out, "%s%s%s", row->name, *part_of(row) ? " " : "", part_of(row));
}

int report_health(struct buf *out, const struct report *r)
{
    int http = HTTP_OK;
    for (size_t i = 0; i < r->count; i++) {
        if (!report_alive(r, &r->rows[i])) {
            report_row_name(out, &r->rows[i]);
            buf_add_str(out, ": stuck, its loop does not come round\n");
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
        report_row_name(out, row);
        buf_printf(out, ": %s%s%s\n", pipeline_state_name(row->status.state),
                   row->status.detail[0] ? ": " : "", row->status.detail);
        if (!is_ready(r, row)) {
            http = HTTP_UNAVAILABLE;
        }
    }
    return http;
}

static void counter(struct buf *out, const char *name, const char *help, uint64_t v)
{
    buf_printf(out, "# HELP %s %s\n# TYPE %s counter\n%s %llu\n", name, help, name, name,
               (unsigned long long)v);
}

static double seconds(int64_t us)
{
    return (double)us / 1e6;
}

static void take_counts(struct standing *s, struct metrics *m)
{
    s->breaker = breaker_state_name((enum breaker_state)metrics_get(&m->breaker_state));
    s->events_read_total = metrics_get(&m->events_read);
    s->events_delivered_total = metrics_get(&m->events_delivered);
    s->bytes_delivered_total = metrics_get(&m->bytes_delivered);
    s->retries_total = metrics_get(&m->retries);
    s->dead_letters = metrics_get(&m->dead_letters);
    s->parked_keys = metrics_get(&m->parked_keys);
    s->parked_events = metrics_get(&m->parked_events);
    s->in_flight_events = metrics_get(&m->in_flight_events);
    s->in_flight_bytes = metrics_get(&m->in_flight_bytes);
    s->breaker_state = metrics_get(&m->breaker_state);
    s->pipeline_state = metrics_get(&m->state);
    s->lag_seconds = seconds(metrics_get(&m->lag_us));
    s->last_event_timestamp_seconds = seconds(metrics_get(&m->last_event_us));
    s->last_save_timestamp_seconds = seconds(metrics_get(&m->last_save_us));
    s->pruned_rows_total = metrics_get(&m->pruned_rows);
    s->last_prune_timestamp_seconds = seconds(metrics_get(&m->last_prune_us));
}

/* Fills all fields but `since`. The texts point into the row. */
static void take_row(struct standing *s, const struct report_row *row)
{
    const struct pipeline_status *from = &row->status;
    standing_init(s);
    s->name = row->name;
    s->part = part_of(row);
    s->state = pipeline_state_name(from->state);
    s->detail = from->detail;
    s->store = row->store ? row->store : "";
    s->paused = from->paused;
    s->position = from->position;
    s->delivered = (int64_t)from->delivered;
    s->events_per_second = from->rate > 0 ? from->rate : 0;
    s->slot_limit_seconds = from->slot_limit_seconds;
    s->order = from->order_id;
    s->order_answer = from->order_answer;
    standing_take_lag(s, &from->lag);
    take_counts(s, row->metrics);
}

#define TARGET_ACCEPTED "commitrelay_target_accepted_number"
#define TARGET_ACCEPTED_HELP "Delivery number up to which an upload target has accepted the files"
#define TARGET_WAITING "commitrelay_target_waiting_files"
#define TARGET_WAITING_HELP "Batch files that an upload target has not accepted yet"
#define TARGET_FAILING "commitrelay_target_failing"
#define TARGET_FAILING_HELP "1: the last try to send to an upload target failed"

static uint64_t target_accepted(const struct sink_target *t)
{
    return t->accepted;
}

static uint64_t target_waiting(const struct sink_target *t)
{
    return t->waiting;
}

static uint64_t target_failing(const struct sink_target *t)
{
    return t->error[0] != '\0';
}

/* The names of pipelines and targets need no escaping. */
static void target_metric(struct buf *out, const struct report *r, const char *name,
                          const char *help, uint64_t (*value)(const struct sink_target *))
{
    buf_printf(out, "# HELP %s %s\n# TYPE %s gauge\n", name, help, name);
    for (size_t i = 0; i < r->count; i++) {
        const struct pipeline_status *s = &r->rows[i].status;
        for (size_t n = 0; n < s->targets_count; n++) {
            buf_printf(out, "%s{", name);
            standing_labels(out, r->rows[i].name, part_of(&r->rows[i]));
            buf_printf(out, ",target=\"%s\"} %llu\n", s->targets[n].name,
                       (unsigned long long)value(&s->targets[n]));
        }
    }
}

static void target_metrics(struct buf *out, const struct report *r)
{
    target_metric(out, r, TARGET_ACCEPTED, TARGET_ACCEPTED_HELP, target_accepted);
    target_metric(out, r, TARGET_WAITING, TARGET_WAITING_HELP, target_waiting);
    target_metric(out, r, TARGET_FAILING, TARGET_FAILING_HELP, target_failing);
}

int report_metrics(struct buf *out, const struct report *r)
{
    struct metrics **metrics = memory_need(calloc(r->count + 1, sizeof(struct metrics *)));
    struct standing *pipelines = memory_need(calloc(r->count + 1, sizeof *pipelines));
    for (size_t i = 0; i < r->count; i++) {
        metrics[i] = r->rows[i].metrics;
        take_row(&pipelines[i], &r->rows[i]);
    }
    standing_metrics(out, pipelines, metrics, r->count);
    target_metrics(out, r);
    counter(out, RELOAD_FAILURES, RELOAD_FAILURES_HELP, r->reload_failures);
    counter(out, LOG_DROPPED, LOG_DROPPED_HELP, log_dropped());
    process_metrics(out, seconds(r->started_wall_us));
    free(metrics);
    free(pipelines);
    return HTTP_OK;
}

void report_metrics_reference(struct buf *out)
{
    standing_metrics_reference(out);
    buf_add_str(out, "| `" TARGET_ACCEPTED "` | gauge | " TARGET_ACCEPTED_HELP " |\n"
                     "| `" TARGET_WAITING "` | gauge | " TARGET_WAITING_HELP " |\n"
                     "| `" TARGET_FAILING "` | gauge | " TARGET_FAILING_HELP " |\n");
    buf_add_str(out, "| `" RELOAD_FAILURES "` | counter | " RELOAD_FAILURES_HELP " |\n"
                     "| `" LOG_DROPPED "` | counter | " LOG_DROPPED_HELP " |\n");
    process_metrics_reference(out);
}

/* The fields of /status: what a daemon knows of a pipeline. The command `status` adds what it finds
 * in the store. */
static const enum standing_field told[] = {
    STANDING_name,
    STANDING_state,
    STANDING_detail,
    STANDING_since,
    STANDING_position,
    STANDING_delivered,
    STANDING_pending_events,
    STANDING_lag_seconds,
    STANDING_in_flight_events,
    STANDING_in_flight_bytes,
    STANDING_dead_letters,
    STANDING_parked_keys,
    STANDING_parked_events,
    STANDING_breaker,
    STANDING_held_up,
    STANDING_lag_bytes,
    STANDING_slot_retained_bytes,
    STANDING_slot_limit_bytes,
    STANDING_slot_limit_seconds,
    STANDING_slot_lost,
    STANDING_progress,
    STANDING_warning,
    STANDING_events_per_second,
    STANDING_events_read_total,
    STANDING_events_delivered_total,
    STANDING_bytes_delivered_total,
    STANDING_retries_total,
    STANDING_pruned_rows_total,
    STANDING_last_prune_timestamp_seconds,
    STANDING_paused,
    STANDING_store,
    STANDING_order,
    STANDING_order_answer,
};

static json_t *targets_of(const struct pipeline_status *s)
{
    json_t *list = json_array();
    for (size_t i = 0; i < s->targets_count; i++) {
        const struct sink_target *t = &s->targets[i];
        json_array_append_new(list, json_pack("{s:s, s:I, s:I, s:I, s:b, s:o}", "name", t->name,
                                              "accepted", (json_int_t)t->accepted, "waiting",
                                              (json_int_t)t->waiting, "unconfirmed",
                                              (json_int_t)t->unconfirmed, "open", (int)t->open,
                                              "error", json_text_or_null(t->error)));
    }
    return list;
}

static json_t *status_of(const struct report_row *row)
{
    struct standing s;
    char since[CLOCK_RFC3339_SIZE];
    clock_format_rfc3339(row->status.since_us, since);
    take_row(&s, row);
    s.since = since;
    json_t *all = standing_json(&s, told, sizeof told / sizeof *told);
    if (s.part[0]) {
        json_object_set_new(all, "part", json_string(s.part));
    }
    if (row->status.targets_count > 0) {
        json_object_set_new(all, "targets", targets_of(&row->status));
    }
    return all;
}

static void add_place(json_t *all, const struct report_place *p)
{
    json_object_set_new(all, "pid", json_integer(getpid()));
    json_object_set_new(all, "config", json_text_or_null(p->config));
    json_object_set_new(all, "directory", json_text_or_null(p->directory));
    json_object_set_new(all, "state_directory", json_text_or_null(p->state_directory));
    json_object_set_new(all, "socket", json_text_or_null(p->socket));
}

json_t *report_json(const struct report *r)
{
    json_t *all = json_object(), *list = json_array();
    for (size_t i = 0; i < r->count; i++) {
        json_array_append_new(list, status_of(&r->rows[i]));
    }
    json_object_set_new(all, "version", json_string(COMMITRELAY_VERSION));
    json_object_set_new(all, "uptime", json_integer((r->now_us - r->started_us) / US_PER_SECOND));
    add_place(all, &r->place);
    json_object_set_new(all, "pipelines", list);
    return all;
}

int report_status(struct buf *out, const struct report *r)
{
    json_t *all = report_json(r);
    json_object_set(all, "consumers", r->consumers); /* nothing for NULL */
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
