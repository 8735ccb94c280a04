/* The thread of a target, and what it shares with the pipeline's: the queue of batches that wait,
 * and how it stands. */
#include "sink/file/upload/target.h"

#include "base/backoff.h"
#include "base/clock.h"
#include "base/fault.h"
#include "base/log.h"
#include "base/memory.h"
#include "sink/file/upload/record.h"
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>

/* After so many failures in a row the breaker opens. */
enum { FAILURES_MAX = 5 };
/* It looks for confirmations ten times in resend_after, and at least so often. */
static const int64_t LOOK_MAX_US = 60 * US_PER_SECOND;
static const int64_t COMMAND_INITIAL_US = US_PER_SECOND, COMMAND_MAX_US = 60 * US_PER_SECOND;

/* A target has two kinds of work, and one that fails neither holds up the other nor is mended by
 * it: a server may tell what was confirmed, and refuse every file. */
enum work { SENDING, LOOKING, WORKS };

struct trouble {
    struct backoff backoff;
    int64_t until_us;                           /* monotonic: not before */
    char said[sizeof((struct error *)0)->text]; /* the failure that was logged last */
    /* Under the target's lock. */
    unsigned failures; /* in a row */
    char error[512];
};

struct upload_target {
    const char *name;
    struct upload_to to;
    const struct sink_env *env;
    void (*tell)(void *ctx);
    void *ctx;
    struct upload_wait wait;
    pthread_t thread;
    bool running; /* there is a thread; of the pipeline's thread */

    /* Of the target's thread. */
    const struct file_dir *dir;
    struct upload_sender *sender;
    struct upload_record record;
    int64_t look_at_us; /* monotonic: when to look next what was confirmed */
    int64_t looked_us;  /* wall clock: when the last look began that came to its end; 0: none did */
    int64_t max_us;
    struct trouble trouble[WORKS];

    pthread_mutex_t lock; /* for all below */
    struct buf queue;     /* of struct upload_batch; those before `head` are done */
    size_t head;
    struct upload_mark accepted;
    struct upload_mark settled; /* up to here all is confirmed, too, where that is wanted */
    size_t unconfirmed;
};

struct upload_target *upload_target_new(const char *name, struct upload_to to,
                                        const struct sink_env *env, void (*tell)(void *ctx),
                                        void *ctx)
{
    struct upload_target *t = memory_need(calloc(1, sizeof *t));
    const struct upload_conf *c = to.upload;
    *t = (struct upload_target){.name = name,
                                .to = to,
                                .env = env,
                                .tell = tell,
                                .ctx = ctx,
                                .wait = {.fd = -1},
                                .max_us = c ? c->retry.max_us : COMMAND_MAX_US};
    for (enum work w = SENDING; w < WORKS; w++) {
        backoff_init(&t->trouble[w].backoff, c ? c->retry.initial_us : COMMAND_INITIAL_US,
                     t->max_us);
    }
    pthread_mutex_init(&t->lock, NULL);
    return t;
}

void upload_target_free(struct upload_target *t)
{
    if (t) {
        upload_target_stop(t);
        upload_target_join(t);
        pthread_mutex_destroy(&t->lock);
        buf_release(&t->queue);
        upload_record_release(&t->record);
        free(t);
    }
}

static void note(const struct upload_target *t, enum log_level level, const char *text)
{
    if (t->env->note) {
        t->env->note(t->env->note_ctx, (int)level, text);
    }
}

static size_t waiting(const struct upload_target *t)
{
    return t->queue.len / sizeof(struct upload_batch) - t->head;
}

/* Frees the room of what is done, once that is the greater part: a queue that never empties must
 * not grow for ever. */
static void forget_done(struct upload_target *t)
{
    size_t left = waiting(t), size = sizeof(struct upload_batch);
    if (t->head > left) {
        memmove(t->queue.data, t->queue.data + t->head * size, left * size);
        buf_truncate(&t->queue, left * size);
        t->head = 0;
    }
}

/* The next batch that was not accepted; false: none waits. */
static bool next(struct upload_target *t, struct upload_batch *ret)
{
    bool found = false;
    pthread_mutex_lock(&t->lock);
    while (!found && waiting(t) > 0) {
        memcpy(ret, t->queue.data + t->head * sizeof *ret, sizeof *ret);
        found = upload_mark_before(t->accepted, ret->at);
        t->head += !found;
    }
    forget_done(t);
    pthread_mutex_unlock(&t->lock);
    return found;
}

/* Numbers have no gap, so one in what lies there is a file that was removed before it was sent. */
static int check_gap(const struct upload_target *t, const struct upload_batch *b, struct error *err)
{
    uint64_t expected = t->record.accepted.last + 1;
    if (t->record.accepted.first == 0 || b->at.first <= expected) {
        return RESULT_DONE;
    }
    return error_set(
        err, ERROR_CONFIG, "upload",
        "%s: the batch files of pipeline %s with the numbers %" PRIu64 " to %" PRIu64
        " were removed from %s before they were sent; put them back and start the relay again, or remove .commitrelay/%s.upload.%s there: then all files that lie there are sent, under the same names",
        t->name, t->dir->pipeline, expected, b->at.first - 1, t->dir->path, t->dir->pipeline,
        t->name);
}

static int keep_record(void *target, struct error *err)
{
    struct upload_target *t = target;
    return upload_record_write(t->dir, t->name, &t->record, err);
}

static int send_batch(struct upload_target *t, const struct upload_batch *b, struct error *err)
{
    struct upload_temp temp = {.name = t->record.temp, .keep = keep_record, .ctx = t};
    if (!file_dir_owned(t->dir)) {
        return error_set(err, ERROR_RETRY, "upload",
                         "%s: another relay has taken over pipeline %s in %s, and sends its files",
                         t->name, t->dir->pipeline, t->dir->path);
    }
    return upload_sender_send(t->sender, b, &temp, err);
}

static bool confirms(const struct upload_target *t)
{
    return t->to.upload && t->to.upload->acknowledge.suffix[0];
}

static size_t open_count(const struct upload_target *t)
{
    return t->record.open.len / sizeof(struct upload_open);
}

static int deliver(struct upload_target *t, const struct upload_batch *b, struct error *err)
{
    if (check_gap(t, b, err) || send_batch(t, b, err)) {
        return RESULT_ERROR;
    }
    fault_point("upload_after_send");
    struct upload_mark before = t->record.accepted;
    size_t open = t->record.open.len;
    t->record.accepted = b->at;
    if (confirms(t)) {
        struct upload_open o = {.batch = *b, .sent_us = clock_wall_us()};
        buf_add(&t->record.open, &o, sizeof o);
    }
    if (keep_record(t, err)) {
        t->record.accepted = before;
        buf_truncate(&t->record.open, open);
        return RESULT_ERROR;
    }
    fault_point("upload_after_record");
    return RESULT_DONE;
}

/* Behind which batch something is not confirmed yet: just before the oldest open one. */
static struct upload_mark settled(const struct upload_target *t)
{
    struct upload_open o;
    if (open_count(t) == 0) {
        return t->record.accepted;
    }
    memcpy(&o, t->record.open.data, sizeof o);
    return o.batch.at.last > 0 ? (struct upload_mark){o.batch.at.first, o.batch.at.last - 1}
                               : (struct upload_mark){0, 0};
}

/* It worked: others may see how far it is, and its failures are over. */
static void works(struct upload_target *t, enum work work)
{
    struct trouble *trouble = &t->trouble[work];
    char text[256];
    pthread_mutex_lock(&t->lock);
    unsigned failures = trouble->failures;
    trouble->failures = 0;
    trouble->error[0] = '\0';
    t->accepted = t->record.accepted;
    t->settled = settled(t);
    t->unconfirmed = open_count(t);
    pthread_mutex_unlock(&t->lock);
    if (failures > 0) {
        snprintf(text, sizeof text, "upload %s %s again after %u failed %s", t->name,
                 work == SENDING ? "works" : "tells what is confirmed", failures,
                 failures == 1 ? "try" : "tries");
        note(t, LOG_INFO, text);
    }
    trouble->said[0] = '\0';
    trouble->until_us = 0;
    backoff_reset(&trouble->backoff);
    t->tell(t->ctx);
}

/* Says what is wrong, once for each new text, and when it is tried again. */
static void failed(struct upload_target *t, enum work work, const struct error *err)
{
    struct trouble *trouble = &t->trouble[work];
    pthread_mutex_lock(&t->lock);
    bool open = ++trouble->failures >= FAILURES_MAX;
    snprintf(trouble->error, sizeof trouble->error, "%.511s", err->text);
    pthread_mutex_unlock(&t->lock);
    if (strcmp(trouble->said, err->text) != 0) {
        char text[sizeof err->text + 32];
        snprintf(text, sizeof text, "upload %s", err->text);
        note(t, err->class == ERROR_RETRY ? LOG_WARN : LOG_ERROR, text);
        snprintf(trouble->said, sizeof trouble->said, "%s", err->text);
    }
    int64_t wait = open ? t->max_us : backoff_next(&trouble->backoff);
    trouble->until_us = clock_mono_us() + (wait > err->retry_after_us ? wait : err->retry_after_us);
}

static struct upload_open open_at(const struct upload_target *t, size_t i)
{
    struct upload_open o;
    memcpy(&o, t->record.open.data + i * sizeof o, sizeof o);
    return o;
}

/* Whether the file at place i was confirmed; then it leaves the list. */
static int look_at(struct upload_target *t, size_t i, bool *ret, struct error *err)
{
    struct buf *open = &t->record.open;
    struct upload_open o = open_at(t, i);
    size_t at = i * sizeof o;
    if (upload_sender_acknowledged(t->sender, &o.batch, ret, err)) {
        return RESULT_ERROR;
    }
    if (!*ret) {
        return RESULT_DONE;
    }
    memmove(open->data + at, open->data + at + sizeof o, open->len - at - sizeof o);
    buf_truncate(open, open->len - sizeof o);
    return keep_record(t, err);
}

/* Looks what was confirmed since it looked last. */
static int look(struct upload_target *t, struct error *err)
{
    int64_t began_us = clock_wall_us();
    for (size_t i = 0; i < open_count(t) && !upload_wait_stopped(&t->wait);) {
        bool confirmed = false;
        if (look_at(t, i, &confirmed, err)) {
            return RESULT_ERROR;
        }
        i += !confirmed;
    }
    int64_t every_us = t->to.upload->acknowledge.resend_after_us / 10;
    t->look_at_us = clock_mono_us() + (every_us < LOOK_MAX_US ? every_us : LOOK_MAX_US);
    t->looked_us = began_us;
    return RESULT_DONE;
}

static int64_t look_due_us(const struct upload_target *t)
{
    int64_t until_us = t->trouble[LOOKING].until_us;
    if (!confirms(t) || open_count(t) == 0) {
        return DEADLINE_NEVER;
    }
    return t->look_at_us > until_us ? t->look_at_us : until_us;
}

/* A file that was not confirmed for too long; it must have been looked for after that time. */
static bool is_overdue(const struct upload_target *t, size_t *ret)
{
    for (size_t i = 0; confirms(t) && i < open_count(t); i++) {
        if (t->looked_us - open_at(t, i).sent_us >= t->to.upload->acknowledge.resend_after_us) {
            *ret = i;
            return true;
        }
    }
    return false;
}

/* Sends it again. The target has accepted it once, so if it is not here any more, this holds up
 * nothing that is new: it stays unconfirmed, and is told of. */
static int send_again(struct upload_target *t, size_t i, struct error *err)
{
    struct upload_open o = open_at(t, i);
    char text[sizeof err->text + 256];
    int rc = send_batch(t, &o.batch, err);
    bool not_here = rc && error_is(err, UPLOAD_NOT_HERE);
    if (rc && !not_here) {
        return RESULT_ERROR;
    }
    snprintf(text, sizeof text,
             "upload %s: nobody has confirmed the numbers %" PRIu64 " to %" PRIu64
             " for %.0f s; %s%s",
             t->name, o.batch.at.first, o.batch.at.last,
             (double)(clock_wall_us() - o.sent_us) / US_PER_SECOND,
             not_here ? "the file cannot be sent again: " : "the file was sent again",
             not_here ? err->text : "");
    note(t, LOG_WARN, text);
    o.sent_us = clock_wall_us();
    memcpy(t->record.open.data + i * sizeof o, &o, sizeof o);
    return keep_record(t, err);
}

/* One step of the work *ret. AGAIN: there was nothing to do at the time `now`, until due_us. */
static int step(struct upload_target *t, int64_t now, enum work *ret, struct error *err)
{
    struct upload_batch b;
    size_t i;
    *ret = LOOKING;
    if (now >= look_due_us(t)) {
        return look(t, err);
    }
    *ret = SENDING;
    if (now < t->trouble[SENDING].until_us) {
        return RESULT_AGAIN;
    }
    if (is_overdue(t, &i)) {
        return send_again(t, i, err);
    }
    if (open_count(t) >= UPLOAD_OPEN_MAX || !next(t, &b)) {
        return RESULT_AGAIN;
    }
    return deliver(t, &b, err);
}

/* When there may be something to do, if nothing is added to the queue. `now`: that of the step that
 * found nothing: what has become due since then is to be done, not to be slept through. */
static int64_t due_us(const struct upload_target *t, int64_t now)
{
    int64_t look_us = look_due_us(t), send_us = t->trouble[SENDING].until_us;
    return send_us > now && send_us < look_us ? send_us : look_us;
}

static void *run(void *target)
{
    struct upload_target *t = target;
    struct error err;
    enum work work;
    while (!upload_wait_stopped(&t->wait)) {
        int64_t now = clock_mono_us();
        int rc = step(t, now, &work, &err);
        if (rc == RESULT_DONE) {
            works(t, work);
        } else if (rc == RESULT_AGAIN) {
            int64_t until_us = due_us(t, now);
            upload_wait_for(&t->wait, -1,
                            until_us == DEADLINE_NEVER ? until_us : until_us - clock_mono_us());
        } else if (!upload_wait_stopped(&t->wait)) {
            failed(t, work, &err);
        }
    }
    return NULL;
}

/* With all signals blocked, as core/base/worker.c does it. */
static int start_thread(struct upload_target *t)
{
    sigset_t all, old;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    int failed = pthread_create(&t->thread, NULL, run, t);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    return failed;
}

/* Files with numbers that were given before, to other events, would be taken for accepted. */
static int check_known(const struct upload_target *t, uint64_t known, struct error *err)
{
    if (t->record.accepted.last <= known) {
        return RESULT_DONE;
    }
    return error_exit(
        err, ERROR_FATAL, EXIT_CODE_UNAVAILABLE, "upload",
        "the target %s has accepted files of pipeline %s up to number %" PRIu64
        ", but the stored position knows of %" PRIu64
        " deliveries: its database was restored, or its store is another one. Put the right store back; or give the pipeline another name, so that its files get other names; or remove %s/.commitrelay/%s.upload.%s, and the target gets other files under names that it has seen",
        t->name, t->dir->pipeline, t->record.accepted.last, known, t->dir->path, t->dir->pipeline,
        t->name);
}

int upload_target_start(struct upload_target *t, const struct file_dir *d, uint64_t known,
                        struct error *err)
{
    t->dir = d;
    upload_record_release(&t->record);
    if (upload_record_read(d, t->name, &t->record, err) || check_known(t, known, err) ||
        upload_wait_init(&t->wait, err)) {
        return RESULT_ERROR;
    }
    if (upload_sender_new(t->to, d, &t->wait, &t->sender, err)) {
        upload_wait_release(&t->wait);
        return RESULT_ERROR;
    }
    if (!confirms(t)) {
        buf_clear(&t->record.open); /* of a configuration that wanted it */
    }
    t->accepted = t->record.accepted;
    t->settled = settled(t);
    t->unconfirmed = open_count(t);
    t->look_at_us = t->looked_us = 0;
    int failed = start_thread(t);
    if (failed) {
        upload_sender_free(t->sender);
        upload_wait_release(&t->wait);
        return error_errno(err, "upload", failed, "cannot start the thread of upload %s", t->name);
    }
    t->running = true;
    return RESULT_DONE;
}

void upload_target_stop(struct upload_target *t)
{
    if (t->running) {
        upload_wait_stop(&t->wait);
    }
}

void upload_target_join(struct upload_target *t)
{
    if (t->running) {
        pthread_join(t->thread, NULL);
        upload_sender_free(t->sender);
        upload_wait_release(&t->wait);
        buf_clear(&t->queue);
        t->head = 0;
        t->running = false;
    }
}

void upload_target_add(struct upload_target *t, const struct upload_batch *b)
{
    pthread_mutex_lock(&t->lock);
    buf_add(&t->queue, b, sizeof *b);
    pthread_mutex_unlock(&t->lock);
    if (t->running) {
        upload_wait_wake(&t->wait);
    }
}

struct upload_mark upload_target_settled(struct upload_target *t)
{
    pthread_mutex_lock(&t->lock);
    struct upload_mark at = t->settled;
    pthread_mutex_unlock(&t->lock);
    return at;
}

void upload_target_standing(struct upload_target *t, struct sink_target *ret)
{
    pthread_mutex_lock(&t->lock);
    snprintf(ret->name, sizeof ret->name, "%s", t->name);
    ret->accepted = t->accepted.last;
    ret->waiting = waiting(t);
    ret->unconfirmed = t->unconfirmed;
    const struct trouble *sending = &t->trouble[SENDING], *looking = &t->trouble[LOOKING];
    ret->open = sending->failures >= FAILURES_MAX || looking->failures >= FAILURES_MAX;
    snprintf(ret->error, sizeof ret->error, "%s",
             sending->error[0] ? sending->error : looking->error);
    pthread_mutex_unlock(&t->lock);
}
