/*
 * The sink file: writes events to batch files in a directory, each event to exactly one complete
 * file. It is a committing sink: each file is put in place together with a durable record of the
 * cursor behind it (intent.h), so that after a crash the relay knows how far the files got.
 */
#include "base/memory.h"
#include "base/worker.h"
#include "sink/file/internal.h"
#include "sink/file/verify.h"

#include <poll.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

/* After so many files that failed in a row the disk itself is taken to be broken, and the pipeline
 * ends. A full disk does not count. */
enum { DISK_FAILURES_MAX = 3 };

/* In bytes: the memory of a larger record is freed once the record is written. */
enum { RECORD_KEPT = 1024 * 1024 };

static int file_open(const void *conf, const struct sink_env *env, void **ret_sink,
                     size_t *ret_max_event, struct error *err)
{
    const struct file_conf *c = conf;
    struct file_schedule schedule = {0};
    if (file_conf_check(c, err) || file_schedule_open(&schedule, c->schedule, c->timezone, err)) {
        file_schedule_release(&schedule);
        return RESULT_ERROR;
    }
    struct file_sink *s = memory_need(calloc(1, sizeof *s));
    s->conf = c;
    s->schedule = schedule;
    s->space.reserve = c->reserve;
    s->back = (struct file_read_back){c->dir, env->pipeline, &s->format, env->stop_fd};
    file_conf_format(c, &s->format);
    s->seal = (struct file_seal){.key = c->hmac_key[0] ? slice_from(c->hmac_key) : SLICE_NULL,
                                 .id = c->key_id};
    file_dir_init(&s->dir, c->dir, env->pipeline);
    file_writer_init(&s->writer, &s->dir, (enum file_compression)c->compression, (int)c->level,
                     s->seal.key);
    s->uploads = file_uploads_new(c, env);
    *ret_sink = s;
    *ret_max_event = 0;
    return RESULT_DONE;
}

static void file_close(void *sink)
{
    struct file_sink *s = sink;
    if (!s) {
        return;
    }
    file_uploads_free(s->uploads);
    worker_free(s->worker); /* a commit under way is finished first */
    if (s->state == STATE_FILLING) {
        file_writer_discard(&s->writer);
    }
    file_writer_release(&s->writer);
    file_intent_release(&s->intent);
    file_quiet_release(&s->quiet);
    file_schedule_release(&s->schedule);
    file_dir_release(&s->dir);
    buf_release(&s->record);
    file_tokens_release(&s->tokens);
    free(s->format.columns);
    free(s);
}

static int64_t wall_seconds(void)
{
    return clock_wall_us() / US_PER_SECOND;
}

static int file_recover_sink(void *sink, const struct sink_stored *stored,
                             struct sink_recovery *ret, struct error *err)
{
    struct file_sink *s = sink;
    worker_wait(s->worker);        /* a commit must not be interrupted halfway */
    file_uploads_stop(s->uploads); /* they use the directory that is claimed anew */
    if (s->state == STATE_FILLING) {
        file_writer_discard(&s->writer);
    }
    file_writer_leave(&s->writer);
    s->state = STATE_DOWN;
    if (file_dir_claim(&s->dir, stored->origin, err)) {
        return RESULT_ERROR;
    }
    int rc = file_recover(&s->dir, s->conf->manifest, stored->delivered, ret, &s->chain, err);
    int64_t quiet = file_quiet_served(&s->dir);
    file_dir_leave(&s->dir);
    if (rc == RESULT_DONE) {
        s->placed_last = ret->delivered;
        file_schedule_begin(&s->schedule, quiet > s->chain.served ? quiet : s->chain.served,
                            wall_seconds());
        bool further = ret->delivered > stored->delivered;
        rc = file_uploads_start(s->uploads, &s->dir, further ? ret->delivered : stored->delivered,
                                err);
    }
    return rc;
}

static void file_recovered(void *sink)
{
    struct file_sink *s = sink;
    /* If another relay has taken over, the intent is that relay's; an old one of ours does no harm.
     */
    struct error overtaken;
    if (file_dir_enter(&s->dir, &overtaken) == RESULT_DONE) {
        file_intent_retire(&s->dir);
        file_dir_leave(&s->dir);
    }
}

/* AGAIN while the commit runs. DONE once it has ended, with success or not: s->state says which. */
static int end_commit(struct file_sink *s)
{
    if (!worker_take_end(s->worker)) {
        return RESULT_AGAIN;
    }
    if (s->job.rc == RESULT_DONE) {
        s->placed_last = s->intent.batch.last;
        s->next_number = s->placed_last + 1;
        file_chain_follow(&s->chain, &s->intent);
        file_uploads_placed(s->uploads, &s->intent.batch);
        file_schedule_serve(&s->schedule, s->intent.served);
        s->disk_failures = 0;
    }
    s->state = s->job.rc == RESULT_DONE ? STATE_REPORTING : STATE_DOWN;
    return RESULT_DONE;
}

static int file_start(void *sink, uint64_t next_number, struct error *err)
{
    struct file_sink *s = sink;
    if ((s->state == STATE_COMMITTING && end_commit(s) == RESULT_AGAIN) ||
        (s->state == STATE_QUIET && !worker_take_end(s->worker))) {
        return RESULT_AGAIN;
    }
    if (s->dir.fd < 0) {
        return error_set(err, ERROR_FATAL, "file", "bug: started before recover; please report it");
    }
    if (next_number <= s->placed_last) {
        return error_set(
            err, ERROR_FATAL, "file",
            "event %llu of pipeline %s is to be sent again although a complete batch file in %s holds it; start the relay again, which recovers the position",
            (unsigned long long)next_number, s->dir.pipeline, s->dir.path);
    }
    if (!s->worker && worker_new(&s->worker, err)) {
        return RESULT_ERROR;
    }
    if (s->state == STATE_FILLING) {
        file_writer_discard(&s->writer);
    }
    s->state = STATE_FILLING;
    s->next_number = next_number;
    file_tokens_clear(&s->tokens);
    s->full = false;
    file_schedule_rewind(&s->schedule);
    return RESULT_DONE;
}

/* When the file is to be completed, not counting the schedule (monotonic). */
static int64_t due_us(const struct file_sink *s)
{
    bool by_interval = !s->schedule.on || s->conf->rotate.interval_given;
    return s->full ? 0 : by_interval ? s->begun_us + s->conf->rotate.interval_us : DEADLINE_NEVER;
}

/* When to look at the schedule again. The wall clock may be set, so not much later than now. */
static int64_t look_us(const struct file_sink *s)
{
    int64_t left = s->schedule.next - wall_seconds(), most = 30;
    return clock_mono_us() + (left < 1 ? 1 : left > most ? most : left) * US_PER_SECOND;
}

static void file_poll_fds(void *sink, struct poll_set *set)
{
    struct file_sink *s = sink;
    if (s->worker) {
        poll_set_add(set, worker_fd(s->worker), POLLIN);
    }
    if (s->state == STATE_REPORTING) {
        poll_set_deadline(set, 0);
    } else if (s->state == STATE_FILLING && s->tokens.count > 0) {
        poll_set_deadline(set, due_us(s));
    }
    if (s->schedule.on) {
        poll_set_deadline(set, look_us(s));
    }
}

/* The file failed. Its events will be put again, into a new file. */
static int failed(struct file_sink *s, struct error *err)
{
    s->state = STATE_DOWN;
    if (err->class != ERROR_RETRY || file_dir_full(err) || error_is(err, SINK_OVERTAKEN)) {
        return RESULT_ERROR;
    }
    if (++s->disk_failures >= DISK_FAILURES_MAX) {
        err->class = ERROR_FATAL;
        err->exit_code = EXIT_CODE_IO;
        error_prefix(err, "gave up after %u files in a row", s->disk_failures);
    }
    return RESULT_ERROR;
}

static int begin_file(struct file_sink *s, const struct event *first, struct error *err)
{
    if (file_space_low(&s->space, &s->dir, 0, clock_mono_us())) {
        return file_space_error(&s->space, &s->dir, err);
    }
    if (file_writer_create(&s->writer, s->next_number, err)) {
        return RESULT_ERROR;
    }
    struct file_batch *b = &s->intent.batch;
    file_intent_release(&s->intent);
    b->kind = s->format.kind;
    b->compression = (enum file_compression)s->conf->compression;
    b->first = s->next_number;
    memcpy(b->owner, s->dir.owner, sizeof b->owner);
    buf_add_slice(&b->first_position, first->position);
    s->begun_us = clock_mono_us();
    CLEANUP(buf_release) struct buf header = {0};
    file_format_header(&s->format, &header);
    return file_writer_add(&s->writer, buf_slice(&header), err);
}

/* Adds one event to the file. AGAIN: the file is full, and the event is not in it. A refused event
 * (*ret_refused) leaves the file as it was. */
static int put_event(struct file_sink *s, const struct event *e, uint64_t token, bool *ret_refused,
                     struct error *err)
{
    buf_clear(&s->record);
    *ret_refused = file_format_event(&s->format, e, &s->record, err);
    if (*ret_refused) {
        return RESULT_ERROR;
    }
    uint64_t limit = (uint64_t)s->conf->rotate.bytes;
    if (s->tokens.count > 0 && s->writer.bytes + s->record.len > limit) {
        s->full = true;
        return RESULT_AGAIN;
    }
    if ((s->tokens.count == 0 && begin_file(s, e, err)) ||
        file_writer_add(&s->writer, buf_slice(&s->record), err)) {
        return RESULT_ERROR;
    }
    size_t bytes = s->record.len;
    buf_trim(&s->record, RECORD_KEPT);
    file_tokens_add(&s->tokens, token);
    s->full = s->tokens.count >= (size_t)s->conf->rotate.events || s->writer.bytes >= limit ||
              file_space_low(&s->space, &s->dir, bytes, s->put_us);
    return RESULT_DONE;
}

static int file_put(void *sink, const struct batch *batch, size_t from, size_t to,
                    uint64_t first_token, size_t *ret_taken, struct error *err)
{
    struct file_sink *s = sink;
    *ret_taken = 0;
    if (s->state == STATE_DOWN) {
        return error_set(err, ERROR_FATAL, "file", "bug: put before start; please report it");
    }
    s->put_us = clock_mono_us();
    for (size_t i = from; i < to && s->state == STATE_FILLING && !s->full; i++) {
        bool refused = false;
        int rc = put_event(s, &batch->events[i], first_token + (i - from), &refused, err);
        if (rc == RESULT_ERROR && !refused) {
            file_writer_discard(&s->writer);
            return failed(s, err);
        }
        if (rc) {
            return refused ? RESULT_ERROR : RESULT_DONE;
        }
        (*ret_taken)++;
    }
    return RESULT_DONE;
}

static void file_caught_up(void *sink)
{
    struct file_sink *s = sink;
    file_schedule_caught_up(&s->schedule, wall_seconds());
}

static bool schedule_ready(struct file_sink *s)
{
    return file_schedule_ready(&s->schedule, wall_seconds(),
                               s->conf->rotate.interval_us / US_PER_SECOND);
}

static bool file_commit_due(void *sink, int64_t now_us)
{
    struct file_sink *s = sink;
    return s->state == STATE_FILLING && s->tokens.count > 0 &&
           (now_us >= due_us(s) || schedule_ready(s));
}

/* The digest of the manifest before the batch; if numbers were set back, a new chain begins. */
static void set_previous(const struct file_sink *s, struct file_batch *b)
{
    if (s->chain.last + 1 == b->first) {
        memcpy(b->previous_sha256, s->chain.sha256, sizeof b->previous_sha256);
    }
}

static int file_begin_commit(void *sink, const struct sink_commit *c, struct error *err UNUSED)
{
    struct file_sink *s = sink;
    struct file_intent *i = &s->intent;
    if (s->state != STATE_FILLING || s->tokens.count == 0) {
        return RESULT_DONE;
    }
    i->batch.last = i->batch.first + s->tokens.count - 1;
    buf_add_slice(&i->batch.last_position, c->last_position);
    buf_add_slice(&i->last_id, c->last_id);
    buf_add_slice(&i->cursor, c->cursor);
    i->keys = arena_array(&i->arena, c->keys_count ? c->keys_count : 1, sizeof *i->keys);
    i->keys_count = c->keys_count;
    i->dead_letter = (uint64_t)c->dead_letter;
    for (size_t n = 0; n < c->keys_count; n++) {
        i->keys[n] = arena_copy(&i->arena, c->keys[n]);
    }
    s->state = STATE_COMMITTING;
    set_previous(s, &i->batch);
    i->served = schedule_ready(s) ? s->schedule.due : s->schedule.served;
    s->job = (struct file_commit){.dir = &s->dir,
                                  .writer = &s->writer,
                                  .intent = i,
                                  .seal = s->conf->manifest ? &s->seal : NULL};
    worker_submit(s->worker, file_commit_run, &s->job);
    return RESULT_DONE;
}

static void report_some(struct file_sink *s, struct sink_report *report)
{
    if (file_tokens_report(&s->tokens, report)) {
        s->state = STATE_FILLING;
        file_tokens_clear(&s->tokens);
        s->full = false;
    }
}

/* A time of the schedule has come, and there was nothing to send. */
static void begin_quiet(struct file_sink *s)
{
    struct file_quiet *q = &s->quiet;
    file_quiet_release(q);
    *q = (struct file_quiet){.dir = &s->dir,
                             .writer = &s->writer,
                             .seal = s->conf->manifest ? &s->seal : NULL,
                             .empty_file = s->conf->emit_empty,
                             .served = s->schedule.due,
                             .batch = {.kind = s->format.kind,
                                       .compression = (enum file_compression)s->conf->compression,
                                       .first = s->next_number,
                                       .last = s->next_number - 1}};
    memcpy(q->batch.owner, s->dir.owner, sizeof q->batch.owner);
    set_previous(s, &q->batch);
    file_format_header(&s->format, &q->header);
    s->state = STATE_QUIET;
    worker_submit(s->worker, file_quiet_run, q);
}

/* What the schedule has to do while there are no events. */
static int tend_schedule(struct file_sink *s, struct error *err)
{
    if (s->state == STATE_FILLING && s->tokens.count == 0 &&
        file_schedule_quiet(&s->schedule, wall_seconds())) {
        begin_quiet(s);
    }
    if (s->state == STATE_QUIET && worker_take_end(s->worker)) {
        s->state = STATE_FILLING;
        if (s->quiet.rc) {
            *err = s->quiet.error;
            return failed(s, err);
        }
        file_schedule_serve(&s->schedule, s->quiet.served);
        if (s->quiet.empty_file) {
            file_uploads_placed(s->uploads, &s->quiet.batch);
        }
        s->disk_failures = 0;
    }
    return RESULT_DONE;
}

static int file_collect(void *sink, struct sink_report *report, struct error *err)
{
    struct file_sink *s = sink;
    if (s->state == STATE_COMMITTING && end_commit(s) == RESULT_DONE && s->state == STATE_DOWN) {
        *err = s->job.error;
        return failed(s, err);
    }
    if (s->state == STATE_REPORTING) {
        report_some(s, report);
    }
    return tend_schedule(s, err);
}

const struct sink_ops sink_file = {
    .name = "file",
    .help = "Batch files in a directory, each event in exactly one",
    .keys = file_conf_keys,
    .conf_size = sizeof(struct file_conf),
    .url = {.shown = "file:DIR", .value = file_conf_url, .key = "dir"},
    .caps = SINK_COMMITS | SINK_SINGLE_FAULT,
    .open = file_open,
    .start = file_start,
    .poll_fds = file_poll_fds,
    .put = file_put,
    .collect = file_collect,
    .close = file_close,
    .caught_up = file_caught_up,
    .commit_due = file_commit_due,
    .commit = file_begin_commit,
    .recover = file_recover_sink,
    .recovered = file_recovered,
    .same_place = file_conf_same_place,
    .targets = file_targets,
    .healthy = file_healthy,
    .verify = file_verify,
    .read_back = file_read,
    .payload_of = file_payload,
    .resend = file_resend,
    .check = file_check,
};
