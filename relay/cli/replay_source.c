/* Asks the pipeline's own source what is delivered, for the source that reads it again. */
#include "cli/replay_source.h"

#include "base/poll_set.h"
#include "cli/kit/interrupt.h"

/* How long a stream has to pass what was committed; an idle one moves with its heartbeat. */
static const int64_t CATCH_UP_US = 120 * US_PER_SECOND, LOOK_EVERY_US = US_PER_SECOND / 5;

int replay_source_open(struct replay_source *ret, const struct conf_pipeline *p, int stop_fd,
                       struct error *err)
{
    ret->p = p;
    return source_again(&ret->again, p, "replay", err)
               ? RESULT_ERROR
               : cli_source_open(&ret->source, &ret->again.reads, 0, stop_fd, err);
}

void replay_source_release(struct replay_source *s)
{
    cli_source_release(&s->source);
    source_again_release(&s->again);
}

static void wait_a_moment(int stop_fd)
{
    struct poll_set set;
    poll_set_clear(&set);
    poll_set_add(&set, stop_fd, POLLIN);
    poll_set_deadline(&set, clock_mono_us() + LOOK_EVERY_US);
    poll_set_wait(&set);
}

int replay_source_wait(const struct cli_source *source, struct cli_store *store,
                       const char *command, int stop_fd, struct buf *out, bool *ret_nothing,
                       struct error *err)
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
            cli_progress(&progress, "%s: %s", command, err->text);
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
    if (!s->again.polled) {
        return replay_source_wait(&s->source, store, "replay", stop_fd, out, ret_nothing, err);
    }
    CLEANUP(cli_source_release) struct cli_source stream = {0};
    CLEANUP(buf_release) struct buf moment = {0};
    if (cli_source_open(&stream, s->p, 0, stop_fd, err) ||
        replay_source_wait(&stream, store, "replay", stop_fd, &moment, ret_nothing, err)) {
        return RESULT_ERROR;
    }
    return s->source.ops->frontier(s->source.source, buf_slice(&moment), out, err);
}
