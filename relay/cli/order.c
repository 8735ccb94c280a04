/* What is asked is written down first, so that a daemon that starts, stops or dies meanwhile can
 * neither miss it nor do it twice. */
#include "cli/order.h"

#include "base/clock.h"
#include "base/poll_set.h"
#include <stdio.h>
#include <string.h>

static const int64_t ANSWER_WITHIN_US = 15 * US_PER_SECOND, LOOK_EVERY_US = US_PER_SECOND / 5;

static const char refused[] = "refused: ";

static int answered(const struct store_control *c, struct buf *ret_answer)
{
    if (strncmp(c->answer, refused, sizeof refused - 1) == 0) {
        return cli_error(EXIT_CODE_CONFIG, "the daemon %s", c->answer);
    }
    buf_add_str(ret_answer, c->answer);
    return 0;
}

/* No daemon: ours is the lock until the store is closed. What fails is withdrawn, so that the next
 * daemon does not do it behind the operator's back. AGAIN: somebody else has the lock. */
static int do_it(const struct order *o, struct cli_store *s, int64_t id, struct error *err)
{
    struct store_position at = {0};
    struct error ignored;
    int rc = s->ops->start(s->store, &at, err);
    if (rc == RESULT_DONE) {
        rc = o->apply(o->ctx, s, &at, err);
    }
    buf_release(&at.cursor);
    if (rc == RESULT_ERROR) {
        CLEANUP(buf_release) struct buf why = {0};
        buf_printf(&why, "%s%.400s", refused, err->text);
        (void)!s->ops->control_answer(s->store, id, buf_str(&why), &ignored);
    } else if (rc == RESULT_DONE) {
        rc = s->ops->control_answer(s->store, id, o->done, err);
    }
    return rc;
}

/* DONE, AGAIN (nobody has done it yet) or -1. */
static int look(const struct order *o, struct cli_store *s, int64_t id, struct store_control *ret,
                struct error *err)
{
    struct store_position at = {0};
    if (s->ops->control_look(s->store, id, ret, err) || ret->acknowledged) {
        return ret->acknowledged ? RESULT_DONE : RESULT_ERROR;
    }
    int rc = s->ops->observe(s->store, &at, err);
    buf_release(&at.cursor);
    if (rc || at.locked) {
        return rc ? rc : RESULT_AGAIN;
    }
    rc = do_it(o, s, id, err);
    if (rc == RESULT_DONE) {
        *ret = (struct store_control){.acknowledged = true};
        snprintf(ret->answer, sizeof ret->answer, "%s", o->done);
    }
    return rc;
}

static void wait_a_moment(void)
{
    struct poll_set set;
    poll_set_clear(&set);
    poll_set_deadline(&set, clock_mono_us() + LOOK_EVERY_US);
    poll_set_wait(&set);
}

int order_give(const struct order *o, struct cli_store *s, struct buf *ret_answer)
{
    struct error err = {0};
    struct store_control c = {0};
    struct cli_progress progress = {0};
    int64_t id, began = clock_mono_us();
    if (s->ops->control_put(s->store, o->command, o->argument, &id, &err)) {
        return cli_fail(&err);
    }
    progress.next_us = began + US_PER_SECOND; /* most answers come sooner */
    for (;;) {
        int rc = look(o, s, id, &c, &err);
        int64_t passed = clock_mono_us() - began;
        if (rc != RESULT_AGAIN || passed >= ANSWER_WITHIN_US) {
            cli_progress_end(&progress);
            if (rc == RESULT_AGAIN) {
                break;
            }
            return rc ? cli_fail(&err) : answered(&c, ret_answer);
        }
        cli_progress(&progress, "waiting for the daemon, %lld s",
                     (long long)(passed / US_PER_SECOND));
        wait_a_moment();
    }
    return cli_error(
        EXIT_CODE_GAVE_UP,
        "the daemon that runs pipeline %s has not answered within %lld s; it will obey "
        "when it is back (`commitrelay status` shows its state)",
        s->env.pipeline, (long long)(ANSWER_WITHIN_US / US_PER_SECOND));
}
