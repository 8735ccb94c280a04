/* An order that goes through the store is written to the control row before anything else. A daemon
 * that starts, stops or is killed meanwhile finds it there, and its answer there shows that it was
 * carried out. */
#include "cli/kit/order.h"

#include "base/clock.h"
#include "base/poll_set.h"
#include "cli/kit/admin_client.h"
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static const int64_t ANSWER_WITHIN_US = 15 * US_PER_SECOND, LOOK_EVERY_US = US_PER_SECOND / 5;

static const char refused[] = "refused: ";

static int answered(const char *pipeline, const char *store, const char *answer)
{
    CLEANUP(buf_release) struct buf out = {0};
    if (strncmp(answer, refused, sizeof refused - 1) == 0) {
        return cli_error(EXIT_CODE_CONFIG, "the daemon %s", answer);
    }
    buf_printf(&out, "%s: %s\nstore: %s\n", pipeline, answer, store);
    return cli_show(buf_slice(&out));
}

/* The order could not be carried out, and is answered as refused: otherwise the next daemon would
 * carry it out although the operator was told that it failed. If it cannot be answered either, the
 * operator is told of that, too. */
static void refuse(struct cli_store *s, int64_t id, const struct error *why)
{
    struct error err = {0};
    CLEANUP(buf_release) struct buf answer = {0};
    buf_printf(&answer, "%s%.400s", refused, why->text);
    if (s->ops->control_answer(s->store, id, buf_str(&answer), &err)) {
        cli_warning(
            "the order stays in %s and the next relay of pipeline %s will obey it, for it cannot be withdrawn: %s",
            buf_str(&s->shown), s->env.pipeline, err.text);
    }
}

static int apply(const struct order *o, struct cli_store *s, struct cli_audit *audit,
                 struct store_control *c, struct error *err)
{
    struct store_position at = {0};
    int rc = s->ops->start(s->store, &at, err);
    if (rc == RESULT_DONE) {
        rc = o->apply(o->ctx, s, &at, audit, err);
    }
    buf_release(&at.cursor);
    snprintf(c->answer, sizeof c->answer, "%s", o->done ? o->done : "");
    return rc;
}

/* No daemon runs: takes the lock (held until the store is closed) and carries the order out. AGAIN:
 * somebody else has the lock. */
static int do_it(const struct order *o, struct cli_store *s, struct cli_audit *audit,
                 struct store_control *c, struct error *err)
{
    int rc = audit->log ? RESULT_DONE : cli_audit_open(audit, o->config, err);
    if (rc == RESULT_DONE) {
        rc = o->run ? o->run(o->ctx, audit, c->answer, sizeof c->answer, err)
                    : apply(o, s, audit, c, err);
    }
    if (rc == RESULT_ERROR) {
        refuse(s, c->id, err);
    } else if (rc == RESULT_DONE) {
        rc = s->ops->control_answer(s->store, c->id, c->answer, err);
    }
    return rc;
}

/* DONE, AGAIN (nobody has done it yet) or -1. */
static int look(const struct order *o, struct cli_store *s, struct cli_audit *audit, int64_t id,
                struct store_control *ret, struct error *err)
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
    if (!o->apply && !o->run) {
        snprintf(ret->answer, sizeof ret->answer, "%s", o->done);
        return RESULT_DONE;
    }
    return do_it(o, s, audit, ret, err);
}

static void wait_a_moment(void)
{
    struct poll_set set;
    poll_set_clear(&set);
    poll_set_deadline(&set, clock_mono_us() + LOOK_EVERY_US);
    poll_set_wait(&set);
}

static int not_answered(const struct cli_store *s)
{
    return cli_error(
        EXIT_CODE_GAVE_UP,
        "the daemon that runs pipeline %s has not answered within %lld s; it will obey when it is back (`commitrelay status` shows its state)",
        s->env.pipeline, (long long)(ANSWER_WITHIN_US / US_PER_SECOND));
}

/* --- over the daemon's socket --- */

/* The answer (lives as long as f->status), or NULL while there is none. *ret_gone: the pipeline has
 * ended, so no answer will come. */
static const char *look_at_status(const struct found_relay *f, const char *name, json_int_t id,
                                  bool *ret_gone)
{
    const json_t *row = found_pipeline(f, name);
    const char *state = json_string_value(json_object_get(row, "state"));
    const char *answer = json_string_value(json_object_get(row, "order_answer"));
    bool ours = json_integer_value(json_object_get(row, "order")) == id;
    *ret_gone = !ours && (!state || strcmp(state, "stopped") == 0 || strcmp(state, "failed") == 0);
    return ours ? answer : NULL;
}

/* Replaces f->status by what the relay says now; keeps the old one if it does not answer. */
static void ask_again(struct found_relay *f)
{
    struct admin_reply reply = {0};
    struct error ignored;
    if (!admin_client_ask(buf_str(&f->address), "GET /status", &reply, &ignored)) {
        json_t *fresh = json_loadb(buf_str(&reply.body), reply.body.len, 0, NULL);
        if (fresh) {
            json_decref(f->status);
            f->status = fresh;
        }
    }
    buf_release(&reply.body);
}

static int wait_for_answer(const struct cli_store *s, const struct found_relay *found,
                           json_int_t id)
{
    struct found_relay f = {.status = json_incref(found->status), .address = found->address};
    struct cli_progress progress = {.next_us = clock_mono_us() + US_PER_SECOND};
    int64_t began = clock_mono_us(), passed = 0;
    const char *answer = NULL;
    bool gone = false;
    do {
        ask_again(&f);
        answer = look_at_status(&f, s->env.pipeline, id, &gone);
        passed = clock_mono_us() - began;
        if (!answer && !gone) {
            cli_progress(&progress, "waiting for the daemon, %lld s",
                         (long long)(passed / US_PER_SECOND));
            wait_a_moment();
        }
    } while (!answer && !gone && passed < ANSWER_WITHIN_US);
    cli_progress_end(&progress);
    const json_t *row = found_pipeline(&f, s->env.pipeline);
    const char *store = json_string_value(json_object_get(row, "store"));
    int rc = answer ? answered(s->env.pipeline, store ? store : buf_str(&s->shown), answer)
             : gone ? cli_error(EXIT_CODE_GAVE_UP,
                                "pipeline %s ended before it obeyed; `commitrelay status` says why",
                                s->env.pipeline)
                    : not_answered(s);
    json_decref(f.status);
    return rc;
}

/* Does the daemon that was found run the pipeline itself? One that waits for another relay's lock,
 * or whose pipeline has ended, cannot do what is asked. */
static bool runs(const struct found_relay *f, const char *name)
{
    const char *state = json_string_value(json_object_get(found_pipeline(f, name), "state"));
    return f->sure && state && strcmp(state, "waiting") != 0 && strcmp(state, "stopped") != 0 &&
           strcmp(state, "failed") != 0;
}

/* The exit code, or AGAIN: the daemon did not take the order, so it has to go through the store. */
static int order_by_socket(const struct order *o, struct cli_store *s, const struct found_relay *f)
{
    static const char *const words[] = {
        [STORE_PAUSE] = "pause", [STORE_RESUME] = "resume", [STORE_SET_POSITION] = "set_position",
        [STORE_RETRY] = "retry", [STORE_DROP] = "drop",     [STORE_SNAPSHOT] = "snapshot"};
    enum { TAKEN = 202 };
    CLEANUP(buf_release) struct buf line = {0};
    struct admin_reply reply = {0};
    struct error err = {0};
    buf_printf(&line, "POST /orders?pipeline=%s&command=%s&argument=", s->env.pipeline,
               words[o->command]);
    admin_client_escape(&line, o->argument);
    int rc = admin_client_ask(buf_str(&f->address), buf_str(&line), &reply, &err);
    json_t *taken = rc == RESULT_DONE && reply.status == TAKEN
                        ? json_loadb(buf_str(&reply.body), reply.body.len, 0, NULL)
                        : NULL;
    buf_release(&reply.body);
    if (!taken) {
        return RESULT_AGAIN;
    }
    rc = wait_for_answer(s, f, json_integer_value(json_object_get(taken, "id")));
    json_decref(taken);
    return rc;
}

/* --- through the store --- */

static int refuse_absent(const struct cli_store *s)
{
    return cli_error(
        EXIT_CODE_CONFIG,
        "there is nothing of pipeline %s in %s, and no relay of this configuration was found: its first start makes what is missing there; if one runs, give this command its working directory, or its $STATE_DIRECTORY",
        s->env.pipeline, buf_str(&s->shown));
}

static int order_by_store(const struct order *o, struct cli_store *s)
{
    struct error err = {0};
    struct store_control c = {0};
    CLEANUP(cli_audit_release) struct cli_audit audit = {0};
    CLEANUP(buf_release) struct buf name = {0};
    char who[AUDIT_WHO_SIZE];
    int64_t id, began = clock_mono_us();
    /* Most answers come within a second; then no progress is printed. */
    struct cli_progress progress = {.next_us = began + US_PER_SECOND};
    audit_who(getuid(), who);
    if (s->ops->control_put(s->store, o->command, o->argument, who, &id, &err)) {
        return cli_fail(&err);
    }
    for (;;) {
        int rc = look(o, s, &audit, id, &c, &err);
        int64_t passed = clock_mono_us() - began;
        if (rc != RESULT_AGAIN || passed >= ANSWER_WITHIN_US) {
            cli_progress_end(&progress);
            if (rc) {
                return rc == RESULT_AGAIN ? not_answered(s) : cli_fail(&err);
            }
            buf_printf(&name, "%s%s%s", s->env.pipeline, *s->env.part ? " " : "", s->env.part);
            rc = answered(buf_str(&name), buf_str(&s->shown), c.answer);
            return cli_audit_end(&audit, rc);
        }
        cli_progress(&progress, "waiting for the daemon, %lld s",
                     (long long)(passed / US_PER_SECOND));
        wait_a_moment();
    }
}

int order_give(const struct order *o, struct cli_store *s, const struct found_relay *f)
{
    if (runs(f, s->env.pipeline)) {
        int rc = order_by_socket(o, s, f);
        if (rc != RESULT_AGAIN) {
            return rc;
        }
    }
    struct store_position at = {0};
    struct error err = {0};
    if (found_observe(f, s, &at, &err)) {
        return cli_fail(&err);
    }
    buf_release(&at.cursor);
    return at.absent ? refuse_absent(s) : order_by_store(o, s);
}
