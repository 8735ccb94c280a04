/* `dead-letters retry` and `drop`. The letters are resolved to numbers here and given to the daemon
 * a few at a time, so that it answers each time soon; without one this process does the same work,
 * as a pipeline that reads nothing. */
#include "base/clock.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/shown.h"
#include "cli/columns.h"
#include "cli/dead_letters.h"
#include "cli/kit/order.h"
#include "cli/kit/shell_text.h"
#include "cli/kit/source_open.h"
#include "daemon/assembly.h"
#include "pipeline/pipeline.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { AT_A_TIME = 20 };

struct work {
    struct letters *c;
    bool retry;
    int64_t *open; /* the letters to be dealt with */
    size_t count, cap;
    size_t still_open;
    bool gave_up;                       /* the sink is down: the rest is not tried */
    char argument[STORE_ARGUMENT_SIZE]; /* of the order under way */
    char done[64];
    struct buf out;
};

static void release(struct work *w)
{
    free(w->open);
    buf_release(&w->out);
}

/* Notes an open letter; says of another that nothing is to be done. */
static int sort(void *ctx, const struct store_dead_letter *d)
{
    struct work *w = ctx;
    if (!store_letter_is_open(d)) {
        buf_printf(&w->out, "%lld was ", (long long)d->id);
        letters_add_end(&w->out, d);
        buf_add_str(&w->out, ": nothing to do\n");
        return RESULT_DONE;
    }
    if (w->count == w->cap) {
        w->cap = w->cap ? w->cap * 2 : 64;
        w->open = memory_need(reallocarray(w->open, w->cap, sizeof *w->open));
    }
    w->open[w->count++] = d->id;
    return RESULT_DONE;
}

int letters_say_order(const struct letters *c, size_t count, struct buf *out)
{
    CLEANUP(buf_release) struct buf verb = {0}, command = {0};
    buf_printf(out, "%s: would %s %zu dead %s. Nothing was changed. To do it:\n",
               c->consumer ? c->consumer : c->shown, c->verb, count,
               count == 1 ? "letter" : "letters");
    buf_printf(&verb, "dead-letters %s", c->verb);
    shell_add_command(&command, buf_str(&verb), c->config->file, c->consumer ? NULL : c->p->name);
    shell_add_option(&command, "consumer", c->consumer);
    for (size_t i = 0; i < c->ids_count; i++) {
        buf_printf(&command, " %lld", (long long)c->ids[i]);
    }
    buf_add_str(&command, c->all ? " --all" : "");
    shell_add_option(&command, "key", c->key);
    shell_add_option(&command, "type", c->type);
    shell_add_option(&command, "reason", c->reason);
    if (c->since_us != TIME_NONE) {
        char since[CLOCK_RFC3339_SIZE];
        clock_format_rfc3339(c->since_us, since);
        shell_add_option(&command, "since", since);
    }
    buf_add_str(&command, " --yes");
    columns_command(out, 4, buf_slice(&command));
    return cli_show(buf_slice(out));
}

/* --- without a daemon --- */

static void note_drop(const struct cli_store *s, int64_t letter, struct cli_audit *audit)
{
    CLEANUP(buf_release) struct buf before = {0}, after = {0};
    audit_letter(&before, letter, STORE_LETTER_OPEN);
    audit_letter(&after, letter, STORE_LETTER_DROPPED);
    cli_audit_write(audit, "dead_letter_drop", s->env.pipeline, &before, &after);
}

struct telling {
    const struct cli_source *source;
    struct error *err;
};

static int tell_row(void *ctx, const struct store_dead_letter *d)
{
    const struct telling *to = ctx;
    return store_letter_is_open(d) && to->source->ops->note_closed
               ? to->source->ops->note_closed(to->source->source, d->position, false, to->err)
               : RESULT_DONE;
}

/* In this order: see letter_tell_source. */
static int drop_here(void *ctx, struct cli_store *s, struct store_position *at UNUSED,
                     struct cli_audit *audit, struct error *err)
{
    struct work *w = ctx;
    CLEANUP(cli_source_release) struct cli_source source = {0};
    struct telling to = {&source, err};
    size_t dropped = 0;
    char *rest = w->argument;
    if (cli_source_open(&source, w->c->p, 0, -1, err)) {
        return RESULT_ERROR;
    }
    for (char *text; (text = strsep(&rest, ","));) {
        int64_t id = strtoll(text, NULL, 10);
        struct store_letter_pick which = store_letter_number(id);
        bool done;
        which.bare = true;
        if (s->ops->dead_letter_list(s->store, which, tell_row, &to, err) ||
            s->ops->dead_letter_close(s->store, id, STORE_LETTER_DROPPED, -1, clock_wall_us(),
                                      &done, err)) {
            return RESULT_ERROR;
        }
        dropped += done;
        if (done) {
            note_drop(s, id, audit);
        }
    }
    snprintf(w->done, sizeof w->done, "dropped: %zu (no daemon runs it now)", dropped);
    return RESULT_DONE;
}

static const char refused[] = "refused: ";

static int run_pipeline(const struct pipeline_parts *parts, struct work *w, const char *who,
                        char *answer, size_t size, struct error *err)
{
    struct pipeline *p;
    struct pipeline_status status;
    int64_t id;
    if (pipeline_new(parts, &p, err)) {
        return RESULT_ERROR;
    }
    (void)!pipeline_order(p, STORE_RETRY, w->argument, who, &id); /* the first: it is taken */
    int rc = pipeline_run(p);
    pipeline_status(p, &status);
    pipeline_free(p);
    if (status.order_id != id) {
        return error_exit(err, ERROR_FATAL, rc, "pipeline", "%s", status.detail);
    }
    if (strcmp(status.order_answer, PIPELINE_ELSEWHERE) == 0) {
        return RESULT_AGAIN;
    }
    if (strncmp(status.order_answer, refused, sizeof refused - 1) == 0) {
        return error_set(err, ERROR_RETRY, "pipeline", "%s",
                         status.order_answer + sizeof refused - 1);
    }
    w->gave_up = status.order_gave_up;
    snprintf(answer, size, "%s", status.order_answer);
    return RESULT_DONE;
}

/* The answer says all that the log would. */
static int retry_here(void *ctx, struct cli_audit *audit, char *answer, size_t size,
                      struct error *err)
{
    struct work *w = ctx;
    CLEANUP(buf_release) struct buf url = {0};
    struct pipeline_parts parts;
    struct metrics metrics;
    metrics_init(&metrics);
    log_configure(LOG_ERROR, LOG_LOGFMT);
    assembly_parts(&parts, &url, w->c->config, w->c->p);
    parts.metrics = &metrics;
    parts.audit = audit->log;
    parts.one_order = true;
    parts.store_env.part = w->c->part;
    return run_pipeline(&parts, w, audit->who, answer, size, err);
}

/* --- both --- */

/* Puts as many of the letters from `from` on into the order's argument as it takes; how many. */
static size_t fill_argument(struct work *w, size_t from)
{
    size_t len = 0, n = 0;
    while (from + n < w->count && n < AT_A_TIME && len + 24 < sizeof w->argument) {
        len += (size_t)snprintf(w->argument + len, sizeof w->argument - len, "%s%lld", n ? "," : "",
                                (long long)w->open[from + n]);
        n++;
    }
    return n;
}

static int give_orders(struct work *w)
{
    struct order o = {.config = w->c->config,
                      .command = w->retry ? STORE_RETRY : STORE_DROP,
                      .argument = w->argument,
                      .apply = w->retry ? NULL : drop_here,
                      .run = w->retry ? retry_here : NULL,
                      .ctx = w,
                      .done = w->done};
    for (size_t i = 0; i < w->count && !w->gave_up;) {
        i += fill_argument(w, i);
        int rc = order_give(&o, &w->c->store, &w->c->relay);
        if (rc) {
            return rc;
        }
    }
    return 0;
}

static int tell(void *ctx, const struct store_dead_letter *d)
{
    struct work *w = ctx;
    buf_printf(&w->out, "%lld ", (long long)d->id);
    if (store_letter_is_open(d)) {
        w->still_open++;
        buf_add_str(&w->out, "stays open: ");
        shown_add(&w->out, d->reason, SHOWN_IN_LINE);
    } else {
        letters_add_end(&w->out, d);
    }
    buf_add_char(&w->out, '\n');
    return RESULT_DONE;
}

/* What became of each, from the store. */
static int tell_all(struct work *w)
{
    const struct cli_store *s = &w->c->store;
    struct error err = {0};
    buf_clear(&w->out);
    for (size_t i = 0; i < w->count; i++) {
        if (s->ops->dead_letter_list(s->store, store_letter_number(w->open[i]), tell, w, &err)) {
            return cli_fail(&err);
        }
    }
    int rc = cli_show(buf_slice(&w->out));
    return rc || w->still_open == 0 ? rc : EXIT_CODE_GAVE_UP;
}

static int order(struct letters *c, bool retry)
{
    CLEANUP(release) struct work w = {.c = c, .retry = retry};
    int rc = letters_each(c, (struct store_letter_pick){.open = true, .bare = true}, sort, &w);
    if (rc) {
        return rc;
    }
    if (w.count == 0) {
        if (w.out.len == 0) {
            buf_printf(&w.out, "pipeline %s has no open dead letters of this kind: nothing to do\n",
                       c->shown);
        }
        return cli_show(buf_slice(&w.out));
    }
    if (!c->yes) {
        return letters_say_order(c, w.count, &w.out);
    }
    rc = cli_show(buf_slice(&w.out));
    rc = rc ? rc : give_orders(&w);
    return rc ? rc : tell_all(&w);
}

int letters_retry(struct letters *c)
{
    return order(c, true);
}

int letters_drop(struct letters *c)
{
    return order(c, false);
}
