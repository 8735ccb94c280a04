/* A stream cannot be read twice, but its outbox table can. */
#include "cli/replay_source.h"

#include "base/poll_set.h"
#include "cli/kit/interrupt.h"
#include "config/conf_quote.h"
#include "daemon/registry.h"
#include "db/pg.h"

/* How long a stream has to pass what was committed; an idle one moves with its heartbeat. */
static const int64_t CATCH_UP_US = 120 * US_PER_SECOND, LOOK_EVERY_US = US_PER_SECOND / 5;

static int load_polled(struct replay_source *s, const struct source_polled *t, struct error *err)
{
    CLEANUP(buf_release) struct buf yaml = {0};
    const char *value = NULL;
    const struct source_ops *ops = registry_source_of_url(t->url, false, &value);
    if (!ops) {
        return error_set(err, ERROR_CONFIG, "replay",
                         "this program was built without the source that reads the table again");
    }
    buf_printf(&yaml,
               "pipelines: [{name: replay, sink: {type: none}, source: {type: %s, %s: ", ops->name,
               ops->url.key);
    conf_quote(&yaml, t->url);
    buf_add_str(&yaml, ", table: ");
    conf_quote(&yaml, t->table);
    buf_add_str(&yaml, ", columns: {");
    for (size_t i = 0; i < t->count; i++) {
        buf_printf(&yaml, "%s%s: ", i ? ", " : "", t->columns[i].key);
        conf_quote(&yaml, t->columns[i].name);
    }
    buf_add_str(&yaml, "}}}]\n");
    return config_parse("replay", buf_slice(&yaml), registry_conf_sources(), &s->polled, err);
}

int replay_source_open(struct replay_source *ret, const struct conf_pipeline *p, int stop_fd,
                       struct error *err)
{
    const struct source_ops *ops = registry_source(p->source->name);
    ret->p = p;
    ret->reads = *p;
    if (ops->polled) {
        struct source_polled table;
        ops->polled(p->source_conf, &table);
        if (load_polled(ret, &table, err)) {
            return RESULT_ERROR;
        }
        ret->reads.source = ret->polled->pipelines[0].source;
        ret->reads.source_conf = ret->polled->pipelines[0].source_conf;
    }
    return cli_source_open(&ret->source, &ret->reads, 0, stop_fd, err);
}

void replay_source_release(struct replay_source *s)
{
    cli_source_release(&s->source);
    cli_config_free(&s->polled);
}

static void wait_a_moment(int stop_fd)
{
    struct poll_set set;
    poll_set_clear(&set);
    poll_set_add(&set, stop_fd, POLLIN);
    poll_set_deadline(&set, clock_mono_us() + LOOK_EVERY_US);
    poll_set_wait(&set);
}

/* What the pipeline's own source says of its stored cursor. */
static int ask(const struct cli_source *source, struct cli_store *store, int stop_fd,
               struct buf *out, bool *ret_nothing, struct error *err)
{
    struct cli_progress progress = {.next_us = clock_mono_us() + US_PER_SECOND};
    int64_t until = clock_mono_us() + CATCH_UP_US;
    struct store_position at = {0};
    int rc;
    do {
        rc = store->ops->observe(store->store, &at, err);
        *ret_nothing = at.cursor.len == 0;
        struct slice cursor = *ret_nothing ? SLICE_NULL : buf_slice(&at.cursor);
        rc = rc ? rc : source->ops->frontier(source->source, cursor, out, err);
        if (rc == RESULT_AGAIN) {
            cli_progress(&progress, "replay: %s", err->text);
            wait_a_moment(stop_fd);
        }
    } while (rc == RESULT_AGAIN && !interrupted(stop_fd) && clock_mono_us() < until);
    cli_progress_end(&progress);
    buf_release(&at.cursor);
    return rc ? RESULT_ERROR : RESULT_DONE;
}

int replay_source_frontier(struct replay_source *s, struct cli_store *store, int stop_fd,
                           struct buf *out, bool *ret_nothing, struct error *err)
{
    if (!s->polled) {
        return ask(&s->source, store, stop_fd, out, ret_nothing, err);
    }
    CLEANUP(cli_source_release) struct cli_source stream = {0};
    CLEANUP(buf_release) struct buf moment = {0};
    if (cli_source_open(&stream, s->p, 0, stop_fd, err) ||
        ask(&stream, store, stop_fd, &moment, ret_nothing, err)) {
        return RESULT_ERROR;
    }
    return s->source.ops->frontier(s->source.source, buf_slice(&moment), out, err);
}
