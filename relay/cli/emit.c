/* `emit`: writes sample events into an outbox, at a given rate, and prints how many. Only events of
 * committed transactions are counted. */
#include "cli/emit_write.h"
#include "cli/kit/args.h"
#include "cli/kit/interrupt.h"

#include "base/clock.h"
#include "base/memory.h"
#include "base/poll_set.h"
#include <stdlib.h>

enum { BATCH_MAX = 100000, KEYS_MAX = 100 * 1000 * 1000 };

struct emit {
    int64_t count, rate, batch, done, transactions; /* rate 0: as fast as it goes */
    int stop_fd;
    struct emit_generator generator;
    struct emit_writer *writer;
    struct emit_event *events; /* of one transaction */
};

static void release(struct emit *e)
{
    emit_writer_close(e->writer);
    for (int64_t i = 0; e->events && i < e->batch; i++) {
        emit_event_release(&e->events[i]);
    }
    free(e->events);
    emit_generator_release(&e->generator);
}

/* Sleeps until `mono_us` or an interruption. */
static void wait_until(const struct emit *e, int64_t mono_us)
{
    while (clock_mono_us() < mono_us && !interrupted(e->stop_fd)) {
        struct poll_set set;
        poll_set_clear(&set);
        poll_set_deadline(&set, mono_us);
        poll_set_add(&set, e->stop_fd, POLLIN);
        poll_set_wait(&set);
    }
}

static int write_all(struct emit *e, struct error *err)
{
    struct cli_progress progress = {.next_us = clock_mono_us() + US_PER_SECOND};
    int64_t began = clock_mono_us();
    int rc = RESULT_DONE;
    while (rc == RESULT_DONE && e->done < e->count) {
        if (e->rate > 0) {
            wait_until(e, began + (int64_t)((double)e->done / (double)e->rate * 1e6));
        }
        if (interrupted(e->stop_fd)) {
            break;
        }
        int64_t n = e->count - e->done < e->batch ? e->count - e->done : e->batch;
        for (int64_t i = 0; i < n; i++) {
            emit_generate(&e->generator, &e->events[i]);
        }
        rc = emit_writer_put(e->writer, e->events, (size_t)n, err);
        if (rc == RESULT_DONE) {
            e->done += n;
            e->transactions++;
            cli_progress(&progress, "%lld of %lld events", (long long)e->done, (long long)e->count);
        }
    }
    cli_progress_end(&progress);
    return rc;
}

static int emit(struct emit *e, const struct source_url *url, const char *table, int64_t keys)
{
    CLEANUP(buf_release) struct buf out = {0};
    struct error err = {0};
    emit_generator_init(&e->generator, (uint64_t)keys);
    e->events = memory_need(calloc((size_t)e->batch, sizeof *e->events));
    e->stop_fd = interrupt_open();
    if (emit_writer_open(url, table, e->stop_fd, &e->writer, &err)) {
        return cli_fail(&err);
    }
    int rc = write_all(e, &err);
    buf_printf(&out, "emitted %lld %s in %lld %s\n", (long long)e->done,
               e->done == 1 ? "event" : "events", (long long)e->transactions,
               e->transactions == 1 ? "transaction" : "transactions");
    int printed = cli_print(buf_slice(&out));
    return rc ? cli_fail(&err) : printed;
}

static int run(int argc, char **argv)
{
    const char *source = NULL, *table = "outbox", *given = NULL;
    int64_t keys = 100;
    CLEANUP(release) struct emit e = {.count = 10, .batch = 1, .stop_fd = -1};
    const struct args_option options[] = {
        {"source", 0, ARGS_TEXT, &source, "URL",
         "postgresql://..., a libpq conninfo string or sqlite:PATH; default COMMITRELAY_SOURCE", 0,
         0},
        {"table", 0, ARGS_TEXT, &given, "T", "the outbox table (default outbox)", 0, 0},
        {"count", 0, ARGS_INT, &e.count, "N", "how many events (default 10)", 0, INT64_MAX},
        {"rate", 0, ARGS_INT, &e.rate, "R", "events a second (default: as fast as it goes)", 1,
         10 * 1000 * 1000},
        {"key-space", 0, ARGS_INT, &keys, "K", "over so many keys (default 100)", 1, KEYS_MAX},
        {"batch", 0, ARGS_INT, &e.batch, "B", "events a transaction (default 1)", 1, BATCH_MAX},
        ARGS_END};
    struct source_url url;
    int rc;
    if (!args_parse(&cli_emit, options, argc, argv, NULL, &rc) ||
        (rc = source_url_take(&cli_emit, source, &url)) != 0) {
        return rc;
    }
    return emit(&e, &url, given ? given : table, keys);
}

const struct cli_command cli_emit = {
    .name = "emit",
    .summary = "insert sample events, for trying and load",
    .usage = "--source URL [--table T] [--count N] [--rate R] [--key-space K] [--batch B]",
    .about = "Inserts events of orders into a table made by `commitrelay init`. A payload's \"n\" "
             "counts the\nevents of its key in this run. Interrupted, it says how many are "
             "committed.\n\n"
             "Exit codes: 0 ok, also when interrupted; 64 usage; 75 the database cannot be reached "
             "or is locked;\n77 permission; 78 no such table or file.\n\n"
             "example: commitrelay emit --source sqlite:shop.db --count 1000 --rate 100",
    .run = run,
};
