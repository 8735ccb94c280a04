/* One transaction for a whole batch; if an event of it cannot be applied, one for each event, so
 * that the others are applied and the guilty one is known. */
#include "consume/apply/internal.h"

#include "base/fault.h"
#include "base/memory.h"
#include "consume/apply/command.h"
#include "consume/apply/effects.h"
#include <stdlib.h>

static enum placeholder placeholder_of(int format)
{
    return format == CONF_CONSUME_DEBEZIUM ? PLACEHOLDER_TYPED
           : format == CONF_CONSUME_FLAT   ? PLACEHOLDER_TEXT
                                           : PLACEHOLDER_NONE;
}

int apply_new(const struct conf_consumer *conf, struct apply_counts *counts, int stop_fd,
              struct apply **ret, struct error *err)
{
    const struct inbox_ops *ops = inbox_of_url(conf->inbox.url);
    if (!ops) {
        return error_set(err, ERROR_CONFIG, "config",
                         "consumer %s: inbox.url must be postgresql://..., a libpq conninfo string "
                         "or sqlite:PATH",
                         conf->name);
    }
    if (*conf->apply.call && !ops->call) {
        return error_set(err, ERROR_CONFIG, "config",
                         "consumer %s: apply.call needs PostgreSQL, since SQLite has no functions "
                         "of its own; use into, exec or exec_stream",
                         conf->name);
    }
    struct apply *a = memory_need(calloc(1, sizeof *a));
    a->conf = conf;
    a->ops = ops;
    a->counts = counts;
    a->inbox_conf = (struct inbox_conf){.url = conf->inbox.url,
                                        .consumer = conf->name,
                                        .into = conf->apply.into,
                                        .call = conf->apply.call,
                                        .placeholder = placeholder_of(conf->format),
                                        .debezium = conf->format == CONF_CONSUME_DEBEZIUM,
                                        .decimal_text = conf->decimal != CONF_DECIMAL_PRECISE,
                                        .stop_fd = stop_fd};
    a->fresh = memory_need(calloc((size_t)conf->batch_size, sizeof *a->fresh));
    a->going = memory_need(calloc((size_t)conf->batch_size, sizeof *a->going));
    a->chosen = memory_need(calloc((size_t)conf->batch_size, sizeof *a->chosen));
    if (conf->apply.exec_stream.count > 0) {
        a->stream = command_stream_new(&conf->apply.exec_stream, stop_fd);
    }
    *ret = a;
    return RESULT_DONE;
}

static void disconnect(struct apply *a)
{
    if (a->inbox) {
        a->ops->close(a->inbox);
        a->inbox = NULL;
    }
}

void apply_free(struct apply *a)
{
    if (a) {
        disconnect(a);
        command_stream_free(a->stream);
        free(a->fresh);
        free(a->going);
        free(a->chosen);
        free(a);
    }
}

int apply_connect(struct apply *a, struct error *err)
{
    if (a->inbox && !a->ops->alive(a->inbox)) {
        disconnect(a);
    }
    if (a->inbox) {
        return RESULT_DONE;
    }
    if (a->ops->open(&a->inbox_conf, &a->inbox, err)) {
        a->inbox = NULL;
        return RESULT_ERROR;
    }
    a->parking = a->conf->poison == CONF_POISON_PARK_KEY;
    if (!a->parking && parking_any(a, &a->parking, err)) {
        disconnect(a);
        return RESULT_ERROR;
    }
    return RESULT_DONE;
}

/* --- into and call --- */

/* Looks only at events that were applied now. An event that comes again is no step back. */
static void note_steps(struct apply *a, size_t fresh)
{
    for (size_t i = 0; i < fresh; i++) {
        a->chosen[i]->step_back = steps_note(&a->steps, a->chosen[i]);
    }
}

int apply_effects(struct apply *a, struct record *const *records, size_t n, size_t *ret_fresh,
                  struct error *err)
{
    size_t fresh = 0;
    if (a->ops->claim(a->inbox, records, n, a->fresh, err)) {
        return RESULT_ERROR;
    }
    for (size_t i = 0; i < n; i++) {
        if (a->fresh[i]) {
            a->chosen[fresh++] = records[i];
        }
    }
    fault_point("consume_claimed");
    *ret_fresh = fresh;
    if (fresh == 0) {
        return RESULT_DONE;
    }
    return *a->conf->apply.call ? a->ops->call(a->inbox, a->chosen, fresh, err)
                                : effects_apply(a->ops, a->inbox, a->chosen, fresh, err);
}

/* So many wait behind a dead letter, are one, or were applied before it. */
static void count_kept(struct apply *a, size_t n)
{
    if (n > 0) {
        atomic_fetch_add(&a->counts->waiting, (int64_t)a->put_behind);
        atomic_fetch_add(&a->counts->seen, (int64_t)(n - a->put_behind));
    }
}

/* *ret_going: how many of them do not wait behind a dead letter; *ret_fresh: how many of those were
 * not applied before. */
static int transaction(struct apply *a, struct record *const *records, size_t n, size_t *ret_going,
                       size_t *ret_fresh, struct error *err)
{
    struct record *const *going = a->parking ? a->going : records;
    *ret_going = n;
    if (a->ops->begin(a->inbox, err) ||
        (a->parking && parking_sift(a, records, n, ret_going, err)) ||
        (*ret_going > 0 && apply_effects(a, going, *ret_going, ret_fresh, err))) {
        return RESULT_ERROR;
    }
    fault_point("consume_before_commit");
    if (a->ops->commit(a->inbox, err)) {
        return RESULT_ERROR;
    }
    fault_point("consume_committed");
    note_steps(a, *ret_fresh);
    return RESULT_DONE;
}

static int in_transaction(struct apply *a, struct record *const *records, size_t n,
                          struct error *err)
{
    size_t going = 0, fresh = 0;
    if (transaction(a, records, n, &going, &fresh, err)) {
        a->ops->rollback(a->inbox);
        return RESULT_ERROR;
    }
    atomic_fetch_add(&a->counts->applied, (int64_t)fresh);
    atomic_fetch_add(&a->counts->seen, (int64_t)(going - fresh));
    count_kept(a, n - going);
    return RESULT_DONE;
}

/* --- exec and exec_stream --- */

/* The claim is committed after the program's success: a crash between the two runs it again. It is
 * not held open meanwhile, since a transaction that is open for long keeps the database from
 * cleaning up. */
int apply_program(struct apply *a, struct record *r, struct error *err)
{
    bool seen, fresh;
    if (a->ops->seen(a->inbox, r, &seen, err)) {
        return RESULT_ERROR;
    }
    if (!seen) {
        int rc = a->stream ? command_stream_run(a->stream, r->id, r->line, err)
                           : command_run(&a->conf->apply.exec, r->id, r->line,
                                         a->inbox_conf.stop_fd, err);
        if (rc) {
            return rc;
        }
        fault_point("consume_program_ended");
        if (a->ops->claim(a->inbox, &r, 1, &fresh, err)) {
            return RESULT_ERROR;
        }
    }
    r->step_back = !seen && steps_note(&a->steps, r);
    atomic_fetch_add(seen ? &a->counts->seen : &a->counts->applied, 1);
    return RESULT_DONE;
}

/* --- all of them --- */

int apply_check(const struct conf_consumer *conf, bool *ret_missing, struct error *err)
{
    struct apply *a;
    struct apply_counts unused = {0};
    *ret_missing = false;
    if (apply_new(conf, &unused, -1, &a, err)) {
        return RESULT_ERROR;
    }
    a->inbox_conf.look_only = true;
    a->inbox_conf.ret_missing = ret_missing;
    int rc = a->ops->open(&a->inbox_conf, &a->inbox, err);
    a->inbox = rc ? NULL : a->inbox;
    apply_free(a);
    return rc;
}

bool apply_runs_program(const struct apply *a)
{
    return a->stream || a->conf->apply.exec.count > 0;
}

/* In a transaction of its own. *ret_going: 0 if it waits behind a dead letter now. */
static int sift_one(struct apply *a, struct record *r, size_t *ret_going, struct error *err)
{
    *ret_going = 1;
    if (!a->parking) {
        return RESULT_DONE;
    }
    if (a->ops->begin(a->inbox, err) || parking_sift(a, &r, 1, ret_going, err) ||
        a->ops->commit(a->inbox, err)) {
        a->ops->rollback(a->inbox);
        return RESULT_ERROR;
    }
    count_kept(a, 1 - *ret_going);
    return RESULT_DONE;
}

static int apply_one(struct apply *a, struct record *r, struct error *err)
{
    size_t going;
    if (!r->fault[0] && !apply_runs_program(a)) {
        return in_transaction(a, &r, 1, err);
    }
    if (sift_one(a, r, &going, err)) {
        return RESULT_ERROR;
    }
    if (going == 0) {
        return RESULT_DONE;
    }
    return r->fault[0] ? error_set(err, ERROR_POISON, "consume", "%s", r->fault)
                       : apply_program(a, r, err);
}

static bool any_fault(struct record *const *records, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (records[i]->fault[0]) {
            return true;
        }
    }
    return false;
}

int apply_batch(struct apply *a, struct record *const *records, size_t n, size_t *ret_done,
                struct error *err)
{
    *ret_done = 0;
    if (apply_connect(a, err)) {
        return RESULT_ERROR;
    }
    if (n > 1 && !apply_runs_program(a) && !any_fault(records, n)) {
        if (in_transaction(a, records, n, err) == RESULT_DONE) {
            *ret_done = n;
            return RESULT_DONE;
        }
        if (err->class != ERROR_POISON) {
            return RESULT_ERROR;
        }
    }
    for (; *ret_done < n; ++*ret_done) {
        if (apply_one(a, records[*ret_done], err)) {
            return RESULT_ERROR;
        }
    }
    return RESULT_DONE;
}

int apply_bury(struct apply *a, const struct record *r, const char *reason, struct error *err)
{
    bool parks = parking_wanted(a, r);
    return apply_connect(a, err) || (parks && parking_room_for_key(a, err)) ||
                   a->ops->bury(a->inbox, r, reason, parks, err)
               ? RESULT_ERROR
               : RESULT_DONE;
}

int apply_load(struct apply *a, apply_position *give, void *ctx, struct error *err)
{
    return apply_connect(a, err) || a->ops->load(a->inbox, give, ctx, err) ? RESULT_ERROR
                                                                           : RESULT_DONE;
}

int apply_save(struct apply *a, const char *stream, int64_t number, struct error *err)
{
    return apply_connect(a, err) || a->ops->save(a->inbox, stream, number, err) ? RESULT_ERROR
                                                                                : RESULT_DONE;
}
