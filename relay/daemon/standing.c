/* Prints and reads struct standing. All functions go through the table `fields`, which is made from
 * STANDING in standing.h. */
#include "daemon/standing.h"

#include "base/shown.h"
#include "daemon/json_value.h"
#include <string.h>

enum type { TEXT, FLAG, WHOLE, REAL };
enum unknown { SHOWN, NULL_ABSENT, NULL_ZERO };

#define NONE NULL
#define GAUGE "gauge"
#define COUNTER "counter"

static const struct field {
    const char *name;
    size_t offset;
    enum type type;
    enum unknown unknown;
    const char *metric; /* its type; NULL: it is no metric */
    const char *help;
} fields[STANDING_FIELDS] = {
#define ROW(name, type, unknown, metric, help) \
    {#name, offsetof(struct standing, name), type, unknown, metric, help},
    STANDING(ROW)
#undef ROW
};

/* The address of a field in a record. Its type is f->type. */
static const void *at(const struct standing *s, const struct field *f)
{
    return (const char *)s + f->offset;
}

static void *to(struct standing *s, const struct field *f)
{
    return (char *)s + f->offset;
}

/* The value of a WHOLE or REAL field. */
static double number(const struct standing *s, const struct field *f)
{
    return f->type == REAL ? *(const standing_REAL *)at(s, f)
                           : (double)*(const standing_WHOLE *)at(s, f);
}

void standing_init(struct standing *s)
{
    memset(s, 0, sizeof *s);
    for (const struct field *f = fields; f < fields + STANDING_FIELDS; f++) {
        if (f->type == TEXT) {
            *(standing_TEXT *)to(s, f) = "";
        } else if (f->type == WHOLE && f->unknown != SHOWN) {
            *(standing_WHOLE *)to(s, f) = -1;
        } else if (f->type == REAL && f->unknown != SHOWN) {
            *(standing_REAL *)to(s, f) = -1;
        }
    }
}

void standing_take_lag(struct standing *s, const struct source_lag *lag)
{
    s->pending_events = lag->pending_events;
    s->held_up = lag->held_up;
    s->progress = lag->progress;
    s->warning = lag->warning;
    s->lag_bytes = lag->lag_bytes;
    s->slot_retained_bytes = lag->slot_retained_bytes;
    s->slot_limit_bytes = lag->slot_limit_bytes;
    s->slot_lost = lag->slot_lost;
}

static json_t *value(const struct standing *s, const struct field *f)
{
    switch (f->type) {
    case TEXT: {
        const char *text = *(const standing_TEXT *)at(s, f);
        return f->unknown == SHOWN ? json_text(slice_from(text)) : json_text_or_null(text);
    }
    case FLAG:
        return json_boolean(*(const standing_FLAG *)at(s, f));
    case WHOLE:
    case REAL:
        break;
    }
    if (f->unknown != SHOWN && number(s, f) < 0) {
        return json_null();
    }
    return f->type == REAL ? json_real(number(s, f))
                           : json_integer(*(const standing_WHOLE *)at(s, f));
}

json_t *standing_json(const struct standing *s, const enum standing_field *which, size_t n)
{
    json_t *j = json_object();
    for (size_t i = 0; i < n; i++) {
        json_object_set_new(j, fields[which[i]].name, value(s, &fields[which[i]]));
    }
    return j;
}

static const char *shown(const json_t *text, struct arena *texts)
{
    CLEANUP(buf_release) struct buf b = {0};
    const char *given = json_string_value(text);
    shown_add(&b, slice_from(given ? given : ""), SHOWN_IN_LINE);
    return arena_copy(texts, buf_slice(&b)).ptr;
}

static void read_one(struct standing *s, const struct field *f, const json_t *value,
                     struct arena *texts)
{
    switch (f->type) {
    case TEXT:
        *(standing_TEXT *)to(s, f) = shown(value, texts);
        break;
    case FLAG:
        *(standing_FLAG *)to(s, f) = json_is_true(value);
        break;
    case WHOLE:
        if (json_is_integer(value)) {
            *(standing_WHOLE *)to(s, f) = json_integer_value(value);
        }
        break;
    case REAL:
        if (json_is_number(value)) {
            *(standing_REAL *)to(s, f) = json_number_value(value);
        }
        break;
    }
}

void standing_read(struct standing *s, const json_t *object, const enum standing_field *which,
                   size_t n, struct arena *texts)
{
    for (size_t i = 0; i < n; i++) {
        const struct field *f = &fields[which[i]];
        read_one(s, f, json_object_get(object, f->name), texts);
    }
}

/* Metrics that have several values for each pipeline, and so are no field of the record. Each is
 * printed behind the field `behind`. */
static const struct {
    enum standing_field behind;
    const char *name, *metric, *help;
    void (*add)(struct buf *out, struct metrics *m, const char *labels);
} series[] = {
    {STANDING_pipeline_state, "failures_total", COUNTER, "Failures by class", metrics_add_failures},
    {STANDING_events_delivered_total, "topic_events_delivered_total", COUNTER,
     "Events acknowledged by the sink, by topic; the empty one stands for all past the first 100",
     metrics_add_topics},
    {STANDING_last_save_timestamp_seconds, "delivery_seconds", "histogram",
     "From the event's created_at to its acknowledgement", metrics_add_deliveries},
    {STANDING_last_save_timestamp_seconds, "transactions_total", COUNTER,
     "Kafka transactions of sink.exactly_once, by outcome (committed, failed)",
     metrics_add_transactions},
    {STANDING_last_save_timestamp_seconds, "transaction_seconds", "summary",
     "How long the commits of sink.exactly_once took", metrics_add_transaction_seconds},
    {STANDING_last_save_timestamp_seconds, "split_transactions_total", COUNTER,
     "Kafka transactions of sink.whole_transactions that end within a database transaction",
     metrics_add_split_transactions},
};
enum { SERIES = sizeof series / sizeof *series };

#define BUILD_INFO "build_info", GAUGE, "Version of the running binary"

static void add_header(struct buf *out, const char *name, const char *metric, const char *help)
{
    buf_printf(out, "# HELP commitrelay_%s %s\n# TYPE commitrelay_%s %s\n", name, help, name,
               metric);
}

void standing_labels(struct buf *out, const char *name, const char *part)
{
    buf_printf(out, "pipeline=\"%s\"", name);
    if (part[0]) {
        buf_printf(out, ",part=\"%s\"", part);
    }
}

static void add_samples(struct buf *out, const struct field *f, const struct standing *pipelines,
                        size_t n)
{
    for (size_t i = 0; i < n; i++) {
        double v = number(&pipelines[i], f);
        bool unknown = f->unknown != SHOWN && v < 0;
        if (!unknown || f->unknown == NULL_ZERO) {
            buf_printf(out, "commitrelay_%s{", f->name);
            standing_labels(out, pipelines[i].name, pipelines[i].part);
            buf_printf(out, "} %.16g\n", unknown ? 0 : v);
        }
    }
}

static void add_series(struct buf *out, size_t which, const struct standing *pipelines,
                       struct metrics *const *metrics, size_t n)
{
    CLEANUP(buf_release) struct buf labels = {0};
    for (size_t i = 0; i < n; i++) {
        buf_clear(&labels);
        standing_labels(&labels, pipelines[i].name, pipelines[i].part);
        series[which].add(out, metrics[i], buf_str(&labels));
    }
}

void standing_metrics(struct buf *out, const struct standing *pipelines,
                      struct metrics *const *metrics, size_t n)
{
    add_header(out, BUILD_INFO);
    buf_add_str(out, "commitrelay_build_info{version=\"" COMMITRELAY_VERSION "\"} 1\n");
    for (size_t f = 0; f < STANDING_FIELDS; f++) {
        if (fields[f].metric) {
            add_header(out, fields[f].name, fields[f].metric, fields[f].help);
            add_samples(out, &fields[f], pipelines, n);
        }
        for (size_t i = 0; i < SERIES; i++) {
            if (series[i].behind == f) {
                add_header(out, series[i].name, series[i].metric, series[i].help);
                add_series(out, i, pipelines, metrics, n);
            }
        }
    }
}

static void add_reference(struct buf *out, const char *name, const char *metric, const char *help)
{
    buf_printf(out, "| `commitrelay_%s` | %s | %s |\n", name, metric, help);
}

void standing_metrics_reference(struct buf *out)
{
    buf_add_str(out, "| metric | type | meaning |\n|---|---|---|\n");
    add_reference(out, BUILD_INFO);
    for (size_t f = 0; f < STANDING_FIELDS; f++) {
        if (fields[f].metric) {
            add_reference(out, fields[f].name, fields[f].metric, fields[f].help);
        }
        for (size_t i = 0; i < SERIES; i++) {
            if (series[i].behind == f) {
                add_reference(out, series[i].name, series[i].metric, series[i].help);
            }
        }
    }
}
