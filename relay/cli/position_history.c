/* The history is read from the store, where each save of a running relay adds to it. */
#include "cli/position_history.h"

#include "base/clock.h"
#include "cli/kit/json_text.h"
#include "cli/kit/source_open.h"

struct list {
    const struct source_ops *source;
    json_t *json; /* NULL: for people */
    struct buf out;
    size_t count;
};

static int add_line(void *ctx, int64_t at_us, struct slice cursor)
{
    struct list *l = ctx;
    CLEANUP(buf_release) struct buf where = {0};
    char time[CLOCK_RFC3339_SIZE];
    cli_source_describe(l->source, cursor, &where);
    l->count++;
    if (l->json) {
        json_t *line = json_object();
        json_object_set_new(line, "time", json_time(at_us));
        json_object_set_new(line, "position", json_text(buf_slice(&where)));
        json_object_set_new(line, "cursor", json_text(cursor));
        json_array_append_new(l->json, line);
        return 0;
    }
    clock_format_rfc3339(at_us, time);
    buf_printf(&l->out, "%s  %s\n", time, buf_str(&where));
    return 0;
}

static int print_list(struct list *l)
{
    if (l->json) {
        return json_print(json_incref(l->json));
    }
    if (l->count == 0) {
        buf_add_str(&l->out, "no position is stored from that time on; a running relay adds one a "
                             "minute, while it delivers\n");
    }
    return cli_show(buf_slice(&l->out));
}

int position_history(const struct cli_store *s, const struct source_ops *source, int64_t since_us,
                     bool json)
{
    struct list l = {.source = source, .json = json ? json_array() : NULL};
    struct error err = {0};
    int rc = s->ops->history_list(s->store, since_us, add_line, &l, &err) ? cli_fail(&err)
                                                                          : print_list(&l);
    json_decref(l.json);
    buf_release(&l.out);
    return rc;
}

static int take_first(void *ctx, int64_t at_us, struct slice cursor)
{
    (void)cursor;
    *(int64_t *)ctx = at_us;
    return 1; /* one is enough */
}

static int nothing_stored(const struct cli_store *s, const char *pipeline, int64_t at_us)
{
    struct error err = {0};
    int64_t first_us = TIME_NONE;
    char asked[CLOCK_RFC3339_SIZE], first[CLOCK_RFC3339_SIZE];
    clock_format_rfc3339(at_us, asked);
    if (s->ops->history_list(s->store, at_us, take_first, &first_us, &err) < 0) {
        return cli_fail(&err);
    }
    if (first_us == TIME_NONE) {
        return cli_error(
            EXIT_CODE_UNAVAILABLE,
            "no position of pipeline %s was stored at or before %s, and none after it: a running relay stores one a minute. Give a position instead (`position show` has the present one)",
            pipeline, asked);
    }
    clock_format_rfc3339(first_us, first);
    return cli_error(
        EXIT_CODE_UNAVAILABLE,
        "no position of pipeline %s was stored at or before %s; the first one stored is of %s. Give that time, or a position (`position history` lists them)",
        pipeline, asked, first);
}

int position_history_find(const struct cli_store *s, const char *pipeline, int64_t at_us,
                          struct buf *ret_cursor, int64_t *ret_at_us)
{
    struct error err = {0};
    if (s->ops->history_at(s->store, at_us, ret_cursor, ret_at_us, &err)) {
        return cli_fail(&err);
    }
    return ret_cursor->len > 0 ? 0 : nothing_stored(s, pipeline, at_us);
}
