/* Fakes of the three contracts; see fakes.h. */
#include "unit.h"

#include "contract/shards.h"
#include "fakes.h"
#include "formats.h"
#include "message/encode.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct fake *fake;

static unsigned random_below(unsigned n)
{
    fake->random = fake->random * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (unsigned)(fake->random >> 33) % n;
}

static bool fails(unsigned one_in)
{
    return one_in && random_below(one_in) == 0;
}

static bool sink_fails(void)
{
    bool failed = fails(fake->sink_fails_in);
    fake->sink_up = fake->sink_up && !failed;
    return failed;
}

static void broken(const char *what)
{
    fake->broken = fake->broken ? fake->broken : what;
}

/* The receiver asks for a time, during which it wants to get nothing. */
static int busy(unsigned one_in, struct error *err)
{
    size_t rounds = 1 + (fake->busy_each ? fake->sent_count / fake->busy_each : 0);
    bool enough = fake->busy_times && fake->asked_to_slow_down >= fake->busy_times * rounds;
    if (enough || !fails(one_in)) {
        return RESULT_DONE;
    }
    fake->asked_to_slow_down++;
    error_set(err, ERROR_BUSY, "fake", "too many requests");
    err->retry_after_us = fake->busy_us ? fake->busy_us : 2 * US_PER_MS;
    fake->busy_until_us = clock_mono_us() + err->retry_after_us;
    return RESULT_ERROR;
}

static unsigned parse(struct slice cursor)
{
    return cursor.len ? (unsigned)strtoul(cursor.ptr, NULL, 10) : 0;
}

/* The store has the event as a whole. */
static bool is_stored(unsigned number)
{
    return fake->dead[number] || fake->waits[number];
}

/* --- source --- */

static int source_open(const void *conf, const struct source_env *env, void **ret, unsigned *caps,
                       struct error *err)
{
    (void)conf, (void)env, (void)err;
    *ret = fake;
    *caps = SOURCE_ORDERED | (fake->ack_keys ? SOURCE_ACK_KEYS : 0u) |
            (fake->whole ? SOURCE_TRANSACTIONS : 0u) | (fake->registry ? SOURCE_CHANGES : 0u);
    return RESULT_DONE;
}

static int source_start(void *source, struct slice cursor, int64_t epoch, struct error *err)
{
    (void)source;
    if (fails(fake->source_fails_in)) {
        return error_set(err, ERROR_RETRY, "fake", "source cannot start");
    }
    fake->starts++;
    if (epoch != fake->epoch) {
        broken("the source got a stale epoch");
    }
    fake->next_event = parse(cursor) + 1;
    fake->marking_count = 0;
    return RESULT_DONE;
}

static void no_fds(void *part, struct poll_set *set)
{
    (void)part;
    poll_set_deadline(set, clock_mono_us()); /* nothing outside is waited for */
}

static size_t given_and_unmarked(void)
{
    size_t n = 0;
    for (unsigned number = 1; number < fake->next_event; number++) {
        n += !fake->marked[number];
    }
    return n;
}

static bool stuck(void)
{
    if (fake->fails_at == 0 || fake->next_event != fake->fails_at) {
        return false;
    }
    if (fake->fails_until_sent) {
        return fake->sent_count + 1 < fake->fails_at;
    }
    fake->fails_times -= fake->fails_times > 0;
    return fake->fails_times > 0;
}

/* The insert of a row whose only column is its key. */
static const struct change *insert_of(struct arena *arena, const char *id)
{
    static const struct column_type text_type = {
        .oid = 25, .base_oid = 25, .kind = TYPE_BASE, .base_name = SLICE_LITERAL("text")};
    static const struct change_column column = {
        .name = SLICE_LITERAL("id"), .typmod = -1, .not_null = true, .type = &text_type};
    static const uint16_t key[] = {0};
    static const struct change_table table = {.oid = 1,
                                              .schema = SLICE_LITERAL("public"),
                                              .name = SLICE_LITERAL("t"),
                                              .columns = &column,
                                              .columns_count = 1,
                                              .key = key,
                                              .key_count = 1};
    struct cell *row = arena_array(arena, 1, sizeof *row);
    struct change *c = arena_array(arena, 1, sizeof *c);
    *row = (struct cell){CELL_TEXT, arena_copy(arena, slice_from(id))};
    *c = (struct change){.op = CHANGE_CREATE, .table = &table, .after = row};
    return c;
}

static int source_read(void *source, struct batch *b, size_t max_events, size_t max_bytes,
                       struct error *err)
{
    (void)source, (void)max_bytes;
    if (fails(fake->source_fails_in) || clock_mono_us() < fake->unreadable_until_us) {
        return error_set(err, ERROR_RETRY, "fake", "source lost its connection");
    }
    if (stuck()) {
        return error_set(err, ERROR_RETRY, "fake", "cannot read what comes next");
    }
    if (fails(4) || fake->held_up_looks > 0) {
        return RESULT_AGAIN;
    }
    b->after_end = fake->whole && (fake->next_event - 1) % fake->whole == 0;
    for (size_t n = random_below(60) + 1; n > 0 && b->count < max_events; n--) {
        while (fake->ack_keys && fake->next_event <= fake->events &&
               fake->marked[fake->next_event]) {
            fake->next_event++;
        }
        if (fake->next_event > fake->events ||
            (fake->next_event == fake->fails_at && b->count > 0)) {
            break;
        }
        unsigned number = fake->next_event++;
        struct event *e = batch_add(b);
        char text[64], headers[96];
        snprintf(text, sizeof text, "id-%u", number);
        e->id = arena_copy(&b->arena, slice_from(text));
        snprintf(text, sizeof text, "%u", number);
        e->position = e->row_key = arena_copy(&b->arena, slice_from(text));
        snprintf(text, sizeof text, "key-%u", number % fake->keys);
        e->aggregateid = arena_copy(&b->arena, slice_from(text));
        e->change = fake->registry ? insert_of(&b->arena, text) : NULL;
        e->aggregatetype = e->type = SLICE_LITERAL("order");
        e->payload = SLICE_LITERAL("{}");
        snprintf(text, sizeof text, FAKE_TRACE, number);
        snprintf(headers, sizeof headers, "{\"traceparent\":\"%s\"}", text);
        e->headers = arena_copy(&b->arena, slice_from(headers));
        bool last = fake->whole && number % fake->whole == 0;
        bool late = last && fails(3); /* its end is known when the batch is handed out */
        e->ends_transaction = last && !late;
        e->poison = fake->spoilt && fake->poison[number] ? "spoilt" : NULL;
        e->created_at_us = clock_wall_us() - 60 * US_PER_SECOND;
        e->bytes = 100;
        b->bytes += e->bytes;
        n = late ? 1 : n;
    }
    if (fake->ack_keys && given_and_unmarked() > (size_t)fake->delivery.max_in_flight) {
        broken("more rows are unmarked than may be in flight");
    }
    return RESULT_DONE;
}

static unsigned number_of(const struct event *e)
{
    return (unsigned)strtoul(e->position.ptr, NULL, 10);
}

static void source_cursor(void *source, const struct batch *b, size_t index, struct buf *out)
{
    (void)source;
    buf_printf(out, "%u", b ? number_of(&b->events[index]) : fake->next_event - 1);
}

static int source_ack(void *source, const struct slice *keys, size_t n, struct error *err)
{
    (void)source;
    if (n > 0 && fails(fake->source_fails_in)) {
        return error_set(err, ERROR_RETRY, "fake", "marking failed");
    }
    for (size_t i = 0; i < n; i++) {
        fake->marking[fake->marking_count++] = parse(keys[i]);
    }
    if (!fails(6)) {
        return RESULT_AGAIN; /* slow, so that other work comes in between */
    }
    for (; fake->marking_count > 0; fake->marking_count--) {
        unsigned number = fake->marking[fake->marking_count - 1];
        if (!fake->delivered[number] && !is_stored(number)) {
            broken("a row was marked before its event was delivered");
        }
        fake->marked[number] = true;
    }
    return RESULT_DONE;
}

static void nothing_to_close(void *part)
{
    (void)part;
}

static void source_lag(void *source, struct source_lag *ret)
{
    (void)source;
    if (fake->ahead) {
        ret->oldest_us = clock_wall_us() + 3600 * US_PER_SECOND;
    }
    if (fake->held_up_looks > 0) {
        fake->held_up_looks--;
        snprintf(ret->held_up, sizeof ret->held_up, "waits for a lock");
    }
}

static void source_confirm(void *source, struct slice cursor)
{
    (void)source;
    unsigned number = parse(cursor);
    if (number > fake->saved_cursor) {
        broken("the server was told of a cursor that is not saved");
    }
    if (number < fake->confirmed) {
        broken("the server was told to go back");
    }
    fake->confirmed = number;
}

static bool source_moved(void *source)
{
    (void)source;
    for (unsigned n = 1; n < fake->next_event; n++) {
        if (!fake->delivered[n] && !is_stored(n)) {
            broken("the source was asked where it stands while an event was in hand");
        }
    }
    fake->asked_moved++;
    return fails(3);
}

static int source_position(void *source, const char *text, struct buf *ret, struct error *err)
{
    (void)source, (void)text, (void)ret;
    return error_set(err, ERROR_CONFIG, "fake", "no such position");
}

static int source_tend(void *source, struct error *err)
{
    (void)source;
    fake->tended++;
    fake->untended = 0;
    return fails(fake->source_fails_in)
               ? error_set(err, ERROR_RETRY, "fake", "source lost its connection")
               : RESULT_DONE;
}

/* A stream is readable for as long as nobody reads it. */
static void stream_fds(void *source, struct poll_set *set)
{
    if (!fake->sink_up) {
        broken("the source is polled although nothing may be read");
    }
    no_fds(source, set);
}

/* More comes as long as it has not been read. */
static bool source_behind(void *source)
{
    (void)source;
    return fake->next_event <= fake->events;
}

static int source_note_failure(void *source, struct slice row_key, int64_t attempts,
                               const char *reason, int64_t next_us, struct error *err)
{
    (void)source, (void)attempts, (void)next_us, (void)err;
    if (!reason) {
        broken("a row was told that its event failed, and not why");
    }
    fake->noted[parse(row_key)] = true;
    return RESULT_DONE;
}

const struct source_ops fake_slot_source = {.name = "fake",
                                            .open = source_open,
                                            .start = source_start,
                                            .poll_fds = stream_fds,
                                            .read = source_read,
                                            .cursor = source_cursor,
                                            .ack = source_ack,
                                            .ack_fds = no_fds,
                                            .close = nothing_to_close,
                                            .position = source_position,
                                            .lag = source_lag,
                                            .confirm = source_confirm,
                                            .moved = source_moved,
                                            .behind = source_behind,
                                            .tend = source_tend,
                                            .tend_fds = no_fds};

const struct source_ops fake_source = {.name = "fake",
                                       .note_failure = source_note_failure,
                                       .open = source_open,
                                       .start = source_start,
                                       .poll_fds = no_fds,
                                       .read = source_read,
                                       .cursor = source_cursor,
                                       .ack = source_ack,
                                       .ack_fds = no_fds,
                                       .position = source_position,
                                       .lag = source_lag,
                                       .close = nothing_to_close};

/* --- sink --- */

static int sink_open(const void *conf, const struct sink_env *env, void **ret, size_t *ret_max,
                     struct error *err)
{
    (void)conf, (void)env, (void)err;
    *ret = fake;
    *ret_max = 0;
    return RESULT_DONE;
}

static int sink_start(void *sink, uint64_t next_number, struct error *err)
{
    (void)sink;
    if (clock_mono_us() < fake->down_until_us) {
        broken("the sink is started before the time is over that it asked for");
    }
    if (busy(fake->sink_busy_in, err)) {
        fake->down_until_us = fake->busy_until_us;
        return RESULT_ERROR;
    }
    if (fake->sink_refusals > 0 || sink_fails()) {
        fake->sink_refusals -= fake->sink_refusals > 0;
        return error_set(err, ERROR_RETRY, "fake", "sink cannot start");
    }
    fake->sink_up = true;
    fake->queued = 0;
    fake->committing = false;
    fake->numbering = (unsigned)next_number;
    return RESULT_DONE;
}

/* From here on the sink is full until the command has come: so some events wait. */
static bool position_due(void)
{
    return fake->position_after && !fake->position_given &&
           fake->sent_count >= fake->position_after;
}

static bool retry_due(void)
{
    unsigned dead = 0;
    for (unsigned n = 1; fake->retry_after && n <= fake->events; n++) {
        dead += fake->dead[n] && !fake->retried[n];
    }
    return fake->retry_after && !fake->retry_given && dead >= fake->retry_after;
}

/* A dead letter may have been mended, its row never is: that stays poison. */
static bool refuses(unsigned number)
{
    return fake->poison[number] && !fake->mended[number];
}

/* It does not get out before an earlier one of its key (the gapless guarantee of a producer). */
static bool held_back(unsigned number)
{
    for (size_t i = 0; i < fake->queued; i++) {
        unsigned other = fake->queue[i].number;
        if (other % fake->keys == number % fake->keys && refuses(other)) {
            return true;
        }
    }
    return false;
}

static int sink_put(void *sink, const struct batch *b, size_t from, size_t to, uint64_t token,
                    size_t *taken, struct error *err)
{
    (void)sink;
    *taken = 0;
    if (!fake->sink_up) {
        broken("a sink that failed is given events before it was started again");
    }
    if (clock_mono_us() < fake->busy_until_us) {
        broken("the sink is given events before the time is over that it asked for");
    }
    if (busy(fake->put_busy_in, err)) {
        return RESULT_ERROR;
    }
    if (sink_fails()) {
        return error_set(err, ERROR_RETRY, "fake", "sink failed in put");
    }
    while (from + *taken < to && fake->queued < FAKE_QUEUE && (fake->whole || !fails(50)) &&
           !position_due() && !retry_due()) {
        const struct event *e = &b->events[from + *taken];
        unsigned number = number_of(e);
        if (fake->registry && (e->unframed || slice_is_null(e->wire_key) || e->value.ptr[0])) {
            broken("an event is sent without the number of its schema");
        }
        bool out = !fake->commits && !refuses(number) && !held_back(number);
        fake->queue[fake->queued++] = (struct fake_put){token + *taken, number};
        fake->held = fake->lingers;
        if (out) {
            fake->sent[fake->sent_count++] = number;
        }
        ++*taken;
    }
    if (fake->stop_after && fake->sent_count >= fake->stop_after) {
        pipeline_request_stop(fake->pipeline);
    }
    fake->max_in_hand = fake->queued > fake->max_in_hand ? fake->queued : fake->max_in_hand;
    return RESULT_DONE;
}

static void report(struct sink_report *r, size_t i, enum sink_outcome outcome)
{
    r->results[r->count++] = (struct sink_result){fake->queue[i].token, outcome};
    fake->queue[i] = fake->queue[--fake->queued];
}

/* The events are a minute old: whoever looks must be able to see that they wait. */
static bool keeps_silent(void)
{
    if (!fake->silent || metrics_get(&fake->metrics->lag_us) >= 60 * US_PER_SECOND) {
        return false;
    }
    int64_t now = clock_mono_us();
    fake->silent_until_us =
        fake->silent_until_us ? fake->silent_until_us : now + 180 * US_PER_SECOND;
    if (now >= fake->silent_until_us) {
        broken("events wait for the sink and no lag is shown");
        fake->silent = false;
    }
    return fake->silent;
}

static int sink_collect(void *sink, struct sink_report *r, struct error *err)
{
    (void)sink;
    if (sink_fails()) {
        return error_set(err, ERROR_RETRY, "fake", "sink failed in collect");
    }
    fake->mute -= fake->mute > 0;
    if (keeps_silent() || fake->held || fake->mute % 1000 > 0 || fake->sticks) {
        return RESULT_DONE;
    }
    fake->first_in_hand = fake->first_in_hand ? fake->first_in_hand : fake->queued;
    bool tainted = false;
    for (size_t i = 0; i < fake->queued; i++) {
        tainted |= refuses(fake->queue[i].number);
    }
    for (size_t n = fake->queued ? random_below((unsigned)fake->queued) + 1 : 0;
         n > 0 && r->count < SINK_REPORT_MAX; n--) {
        size_t i = random_below((unsigned)fake->queued);
        unsigned number = fake->queue[i].number;
        /* Else a producer's batch fails as a whole. */
        if (fake->names_guilty ? refuses(number) : tainted) {
            error_set(&r->error, ERROR_POISON, "fake", "refused");
            report(r, i, SINK_POISON);
            return RESULT_DONE;
        }
        if (held_back(number)) {
            continue;
        }
        if (sink_fails()) {
            error_set(&r->error, ERROR_RETRY, "fake", "not acknowledged");
            report(r, i, SINK_RETRY);
            return RESULT_DONE;
        }
        if (clock_mono_us() >= fake->busy_until_us && busy(fake->sink_busy_in, &r->error)) {
            fake->down_until_us = fake->busy_until_us;
            fake->sink_up = false;
            report(r, i, SINK_RETRY);
            return RESULT_DONE;
        }
        fake->delivered[number] = true;
        report(r, i, SINK_DELIVERED);
    }
    return RESULT_DONE;
}

static int sink_healthy(void *sink, struct error *err)
{
    (void)sink;
    return fake->sticks ? error_set(err, ERROR_BUSY, "fake", "replicas are missing") : RESULT_DONE;
}

static unsigned sink_flags(const void *sink)
{
    (void)sink;
    return (fake->names_guilty ? SINK_SINGLE_FAULT : 0u) |
           (fake->registry ? SINK_MESSAGES | SINK_FRAMES : 0u);
}

static void sink_flush(void *sink)
{
    (void)sink;
    fake->held = false;
    if (fake->lingers && fake->slot && fake->next_event <= fake->events) {
        broken("the sink was told to send although more was coming");
    }
}

const struct sink_ops fake_sink = {.name = "fake",
                                   .caps_now = sink_flags,
                                   .open = sink_open,
                                   .start = sink_start,
                                   .poll_fds = no_fds,
                                   .put = sink_put,
                                   .collect = sink_collect,
                                   .flush = sink_flush,
                                   .healthy = sink_healthy,
                                   .close = nothing_to_close};

/* A sink that commits: the queue is the open file; a commit makes its events sent, in one piece,
 * with the cursor. */
static bool commit_due(void *sink, int64_t now_us)
{
    (void)sink, (void)now_us;
    /* A file is also completed after a while: a half-open breaker lets one event in, and no more.
     */
    return fake->queued >= 100 || (fake->queued > 0 && fails(50));
}

static int commit(void *sink, const struct sink_commit *c, struct error *err)
{
    (void)sink;
    if (sink_fails()) {
        return error_set(err, ERROR_RETRY, "fake", "disk full");
    }
    fake->sink_lost |= ++fake->commits_tried == fake->sink_overtaken_after;
    if (fake->sink_lost) {
        error_set(err, ERROR_RETRY, "fake", "overtaken");
        strcpy(err->code, SINK_OVERTAKEN);
        return RESULT_ERROR;
    }
    size_t in_file = 0;
    for (size_t i = 0; fake->ack_keys && i < c->keys_count; i++) {
        unsigned number = parse(c->keys[i]);
        if (in_file < fake->queued && number == fake->queue[in_file].number) {
            in_file++;
        } else if (!is_stored(number)) {
            broken("the commit's keys are not those of the file, or of events in the store");
        }
    }
    for (unsigned n = 1; fake->ack_keys && n <= fake->events; n++) {
        if (fake->delivered[n] && !fake->marked[n]) {
            broken("a commit overwrites the intent of one whose rows are not marked yet");
        }
    }
    fake->split += fake->whole && fake->queue[fake->queued - 1].number % fake->whole != 0;
    fake->committing = true;
    fake->commit_cursor = parse(c->cursor);
    fake->commit_delivered = fake->numbering + fake->queued - 1;
    return RESULT_DONE;
}

static int file_collect(void *sink, struct sink_report *r, struct error *err)
{
    (void)sink, (void)err;
    if (!fake->committing || fails(2)) {
        return RESULT_DONE;
    }
    if (r->count == 0 && fake->intent_delivered != fake->commit_delivered) {
        for (size_t i = 0; i < fake->queued; i++) {
            fake->sent[fake->sent_count++] = fake->queue[i].number;
            fake->delivered[fake->queue[i].number] = true;
        }
        fake->intent_cursor = fake->commit_cursor;
        fake->intent_delivered = fake->commit_delivered;
    }
    fake->numbering += (unsigned)fake->queued;
    while (fake->queued > 0 && r->count < SINK_REPORT_MAX) {
        report(r, 0, SINK_DELIVERED);
    }
    fake->committing = fake->queued > 0;
    return RESULT_DONE;
}

static int recover(void *sink, const struct sink_stored *stored, struct sink_recovery *ret,
                   struct error *err)
{
    (void)sink, (void)stored, (void)err;
    if (fake->recover_locks && !fake->store_fails_in && fake->recover_locks != fake->locks_asked) {
        broken("the lock is taken again while the sink recovers");
    }
    fake->recover_locks = fails(2) ? fake->locks_asked : 0;
    if (fake->recover_locks) {
        return RESULT_AGAIN;
    }
    fake->sink_lost = false;
    ret->delivered = fake->intent_delivered;
    buf_printf(&ret->cursor, "%u", fake->intent_cursor);
    return RESULT_DONE;
}

static void recovered(void *sink)
{
    (void)sink;
    if (fake->intent_delivered > fake->saved_delivered) {
        broken("the intent of a commit may go before that commit is saved");
    }
}

static unsigned file_caps(const void *sink)
{
    (void)sink;
    return SINK_COMMITS | SINK_SINGLE_FAULT | (fake->whole ? SINK_WHOLE : 0u);
}

const struct sink_ops fake_file_sink = {.name = "fake_file",
                                        .caps_now = file_caps,
                                        .open = sink_open,
                                        .start = sink_start,
                                        .poll_fds = no_fds,
                                        .put = sink_put,
                                        .collect = file_collect,
                                        .close = nothing_to_close,
                                        .commit_due = commit_due,
                                        .commit = commit,
                                        .recover = recover,
                                        .recovered = recovered};

/* --- store --- */

static int store_open(const struct store_env *env, void **ret, struct error *err)
{
    (void)env, (void)err;
    *ret = fake;
    return RESULT_DONE;
}

static enum store_seat store_seat(void *store)
{
    (void)store;
    if (fake->away > 0) {
        fake->away--;
        return STORE_SEAT_AWAY;
    }
    if (fails(fake->lost_each)) {
        fake->away = 3;
        return STORE_SEAT_AWAY;
    }
    bool asked_back = fake->sent_count >= fake->sent_there + fake->asked_back_each &&
                      fake->sent_count < fake->events;
    return asked_back ? STORE_SEAT_ASKED_BACK : STORE_SEAT_OURS;
}

static int no_seat_fd(const void *store)
{
    (void)store;
    return -1;
}

/* Another relay goes on behind the saved cursor. */
static void store_leave(void *store)
{
    (void)store;
    if (fake->queued > 0) {
        broken("the shard was given away with events in flight");
    }
    for (unsigned n = 1; n < fake->next_event; n++) {
        bool settled = fake->delivered[n] || is_stored(n);
        if (settled && !(fake->ack_keys ? fake->marked[n] : n <= fake->saved_cursor)) {
            broken("the shard was given away before what was delivered was saved");
        }
    }
    fake->left++;
    fake->away = 3;
    fake->sent_there = fake->sent_count;
}

static int store_start(void *store, struct store_position *ret, struct error *err)
{
    (void)store;
    if (fake->away > 0) {
        error_set(err, ERROR_RETRY, "fake", "the shard is another relay's");
        return RESULT_AGAIN;
    }
    if (fails(fake->store_fails_in)) {
        return error_set(err, ERROR_RETRY, "fake", "store is away");
    }
    fake->saving = false;
    fake->locks_asked++;
    ret->epoch = ++fake->epoch;
    ret->delivered = fake->saved_delivered;
    if (fake->saved_cursor) {
        buf_printf(&ret->cursor, "%u", fake->saved_cursor);
    }
    return RESULT_DONE;
}

static int store_save(void *store, struct slice cursor, uint64_t delivered, struct error *err)
{
    (void)store;
    if (fails(fake->store_fails_in)) {
        return error_set(err, ERROR_RETRY, "fake", "store lost its connection");
    }
    if (fake->overtaken_after && ++fake->saves > fake->overtaken_after) {
        return error_exit(err, ERROR_FATAL, EXIT_CODE_UNAVAILABLE, "fake", "overtaken");
    }
    unsigned upto = parse(cursor);
    for (unsigned n = fake->saved_cursor + 1; n <= upto; n++) {
        if (!fake->delivered[n] && !is_stored(n)) {
            broken("a cursor was saved behind an event that was not delivered");
        }
    }
    fake->saving = true;
    fake->saving_cursor = upto;
    fake->saving_delivered = delivered;
    return RESULT_DONE;
}

static int store_saved(void *store, struct error *err)
{
    (void)store;
    if (fails(fake->store_fails_in)) {
        return error_set(err, ERROR_RETRY, "fake", "save failed");
    }
    if (fake->saving && fails(3)) {
        return RESULT_AGAIN;
    }
    if (fake->saving) {
        fake->saved_cursor = fake->saving_cursor;
        fake->saved_delivered = fake->saving_delivered;
        fake->saving = false;
    }
    return RESULT_DONE;
}

static int report_state(void *store, const char *state, const char *detail, struct error *err)
{
    (void)store, (void)state, (void)detail, (void)err;
    return RESULT_DONE;
}

static void order_retry(struct store_control *ret)
{
    size_t len = 0;
    ret->command = fake->drops ? STORE_DROP : STORE_RETRY;
    for (unsigned n = 1; n <= fake->events; n++) {
        if (fake->dead[n] && !fake->retried[n]) {
            len += (size_t)snprintf(ret->argument + len, sizeof ret->argument - len, "%s%u",
                                    len ? "," : "", n);
        }
    }
}

static int control_take(void *store, struct store_control *ret, struct error *err)
{
    (void)store, (void)err;
    ret->command = STORE_NO_COMMAND;
    if (position_due()) {
        fake->position_given = true;
        ret->command = STORE_SET_POSITION;
    } else if (retry_due()) {
        fake->retry_given = true;
        order_retry(ret);
    }
    return RESULT_DONE;
}

static int control_answer(void *store, int64_t id, const char *answer, struct error *err)
{
    (void)store, (void)id, (void)err;
    fake->refused = strncmp(answer, "refused", 7) == 0;
    snprintf(fake->answer, sizeof fake->answer, "%s", answer);
    return RESULT_DONE;
}

static int get_paused(void *store, bool *ret, struct error *err)
{
    (void)store, (void)err;
    *ret = false;
    return RESULT_DONE;
}

static int dead_letter_put(void *store, const struct store_dead_letter *d, int64_t *ret_id,
                           struct error *err)
{
    (void)store;
    unsigned n = parse(d->position);
    if (fails(fake->store_fails_in)) {
        return error_set(err, ERROR_RETRY, "fake", "store lost its connection");
    }
    if (fake->waits[n]) {
        broken("an event that waits became a dead letter");
    }
    fake->parks[n] = d->parks || (fake->parks[n] && fake->dead[n] && !fake->retried[n]);
    fake->dead[n] = true;
    fake->retried[n] = false;
    *ret_id = n;
    fake->untended++;
    fake->most_untended =
        fake->untended > fake->most_untended ? fake->untended : fake->most_untended;
    return RESULT_DONE;
}

static int dead_letter_count(void *store, int64_t *ret, struct error *err)
{
    (void)store, (void)err;
    *ret = 0;
    for (unsigned i = 1; i <= fake->events; i++) {
        *ret += fake->dead[i] && !fake->retried[i];
    }
    return RESULT_DONE;
}

static int give_letter(unsigned n, int (*each)(void *ctx, const struct store_dead_letter *d),
                       void *ctx)
{
    char number[24], name[32], key[32];
    snprintf(number, sizeof number, "%u", n);
    snprintf(name, sizeof name, "id-%u", n);
    snprintf(key, sizeof key, "key-%u", n % fake->keys);
    struct store_dead_letter d = {.id = n,
                                  .event_id = slice_from(name),
                                  .position = slice_from(number),
                                  .topic = SLICE_LITERAL("t"),
                                  .key = slice_from(key),
                                  .payload = SLICE_LITERAL("{}"),
                                  .reason = SLICE_LITERAL("poison"),
                                  .attempts = 1,
                                  .partition = -1,
                                  .state = STORE_LETTER_OPEN};
    strcpy(d.state, fake->waits[n]     ? STORE_LETTER_WAITING
                    : fake->retried[n] ? STORE_LETTER_RETRIED
                                       : STORE_LETTER_OPEN);
    return each(ctx, &d);
}

static int dead_letter_list(void *store, struct store_letter_pick which,
                            int (*each)(void *ctx, const struct store_dead_letter *d), void *ctx,
                            struct error *err)
{
    (void)store;
    int64_t id = which.until;
    if (fails(fake->store_fails_in)) {
        return error_set(err, ERROR_RETRY, "fake", "store lost its connection");
    }
    fake->mended[id] = id != fake->unmendable;
    return fake->dead[id] ? give_letter((unsigned)id, each, ctx) : RESULT_DONE;
}

static int dead_letter_close(void *store, int64_t id, const char *state, int64_t edits,
                             int64_t now_us, bool *ret_done, struct error *err)
{
    (void)store, (void)edits, (void)now_us;
    if (fails(fake->store_fails_in)) {
        return error_set(err, ERROR_RETRY, "fake", "store lost its connection");
    }
    if (strcmp(state, STORE_LETTER_RETRIED) == 0 && !fake->delivered[id]) {
        broken("a dead letter was noted as sent that the sink has not acknowledged");
    }
    *ret_done = fake->dead[id] && !fake->retried[id];
    fake->retried[id] = true;
    return RESULT_DONE;
}

static int dead_letter_failed(void *store, int64_t id, struct slice reason, int64_t now_us,
                              bool *ret_done, struct error *err)
{
    (void)store, (void)id, (void)reason, (void)now_us, (void)err;
    fake->letters_failed++;
    *ret_done = true;
    return RESULT_DONE;
}

/* --- parked keys --- */

static int waiting_put(void *store, const struct store_dead_letter *d, size_t n, int64_t *ret_added,
                       struct error *err)
{
    (void)store;
    int64_t added = 0;
    if (fails(fake->store_fails_in)) {
        return error_set(err, ERROR_RETRY, "fake", "store lost its connection");
    }
    fake->transactions++;
    for (size_t i = 0; i < n; i++) {
        unsigned number = parse(d[i].position);
        bool open = fake->dead[number] && !fake->retried[number];
        added += !open && !fake->waits[number];
        fake->waits[number] = !open;
    }
    *ret_added = added;
    return fails(fake->store_fails_in)
               ? error_set(err, ERROR_RETRY, "fake", "stored, and the answer got lost")
               : RESULT_DONE;
}

static int parked_list(void *store, int (*each)(void *ctx, const struct store_parked *k), void *ctx,
                       struct error *err)
{
    (void)store;
    if (fails(fake->store_fails_in)) {
        return error_set(err, ERROR_RETRY, "fake", "store lost its connection");
    }
    for (unsigned key = 0; key < fake->keys; key++) {
        struct store_parked k = {0};
        char text[32], id[32], position[32];
        for (unsigned n = 1; n <= fake->events; n++) {
            if (n % fake->keys == key) {
                bool open = fake->dead[n] && fake->parks[n] && !fake->retried[n];
                if (open && k.letter == 0) {
                    k.letter = n;
                    snprintf(id, sizeof id, "id-%u", n);
                    snprintf(position, sizeof position, "%u", n);
                    k.event_id = slice_from(id);
                    k.position = slice_from(position);
                }
                k.waiting += fake->waits[n];
            }
        }
        snprintf(text, sizeof text, "key-%u", key);
        k.key = slice_from(text);
        if (k.letter || k.waiting) {
            each(ctx, &k);
        }
    }
    return RESULT_DONE;
}

static int waiting_list(void *store, struct slice key, int64_t after, int64_t limit,
                        int64_t max_bytes,
                        int (*each)(void *ctx, const struct store_dead_letter *d), void *ctx,
                        struct error *err)
{
    (void)store, (void)max_bytes;
    if (fails(fake->store_fails_in)) {
        return error_set(err, ERROR_RETRY, "fake", "store lost its connection");
    }
    unsigned of = (unsigned)strtoul(key.ptr + strlen("key-"), NULL, 10);
    for (unsigned n = (unsigned)after + 1; limit > 0 && n <= fake->events; n++) {
        if (fake->waits[n] && n % fake->keys == of) {
            limit--;
            int rc = give_letter(n, each, ctx);
            if (rc) {
                return rc;
            }
        }
    }
    return RESULT_DONE;
}

static int waiting_sent(void *store, int64_t after, int64_t id, int64_t *ret_removed,
                        struct error *err)
{
    (void)store;
    int64_t removed = 0;
    if (fails(fake->store_fails_in)) {
        return error_set(err, ERROR_RETRY, "fake", "store lost its connection");
    }
    for (unsigned n = (unsigned)after + 1; fake->waits[id] && n <= id; n++) {
        if (fake->waits[n] && n % fake->keys == id % fake->keys) {
            if (!fake->delivered[n]) {
                broken("an event that waited was removed before the sink has acknowledged it");
            }
            removed++;
            fake->waits[n] = n == id;
        }
    }
    fake->waits[id] = false;
    *ret_removed = removed;
    return fails(fake->store_fails_in)
               ? error_set(err, ERROR_RETRY, "fake", "removed, and the answer got lost")
               : RESULT_DONE;
}

static int waiting_failed(void *store, int64_t id, const struct store_dead_letter *why,
                          bool *ret_done, struct error *err)
{
    (void)store, (void)why;
    if (fails(fake->store_fails_in)) {
        return error_set(err, ERROR_RETRY, "fake", "store lost its connection");
    }
    *ret_done = fake->waits[id];
    fake->waits[id] = false;
    fake->dead[id] = fake->parks[id] = true;
    return RESULT_DONE;
}

static const struct store_shards_ops fake_shards = {
    .seat = store_seat, .seat_fd = no_seat_fd, .leave = store_leave};

const struct store_ops fake_store = {.name = "fake",
                                     .open = store_open,
                                     .start = store_start,
                                     .poll_fds = no_fds,
                                     .save = store_save,
                                     .saved = store_saved,
                                     .report_state = report_state,
                                     .control_take = control_take,
                                     .control_answer = control_answer,
                                     .get_paused = get_paused,
                                     .dead_letter_put = dead_letter_put,
                                     .dead_letter_count = dead_letter_count,
                                     .dead_letter_list = dead_letter_list,
                                     .dead_letter_close = dead_letter_close,
                                     .dead_letter_failed = dead_letter_failed,
                                     .waiting_put = waiting_put,
                                     .parked_list = parked_list,
                                     .waiting_list = waiting_list,
                                     .waiting_sent = waiting_sent,
                                     .waiting_failed = waiting_failed,
                                     .shards = &fake_shards,
                                     .close = nothing_to_close};

/* --- running --- */

struct conf_delivery fake_delivery(void)
{
    return (struct conf_delivery){
        .max_in_flight = 200,
        .max_in_flight_bytes = 1 << 20,
        .max_event_bytes = 1 << 20,
        .save_interval_us = 100,
        .drain_timeout_us = US_PER_SECOND,
        .retry = {.initial_us = 10, .max_us = 100},
        .breaker = {.window = 20, .failure_ratio = 0.9, .open_for_us = 100},
        .poison = CONF_POISON_STOP,
        .park = {.max_keys = 1000, .max_events = 100000},
        .attempts = 3,
        .dead_letter_topic = (char *)"",
        .ordered = true};
}

int fake_run(struct fake *f, struct conf_delivery delivery, struct metrics *metrics)
{
    char *headers[] = {(char *)"id"};
    struct conf_pipeline conf = {
        .name = (char *)"test",
        .route = {.topic = (char *)"t", .key = (char *)"{aggregateid}", .partition = (char *)""},
        .encode = {.format = 0, .headers = {.words = {headers, 1, true}}},
        .delivery = delivery};
    struct pipeline_parts parts = {.conf = &conf,
                                   .source = f->slot ? &fake_slot_source : &fake_source,
                                   .sink = f->commits ? &fake_file_sink : &fake_sink,
                                   .store = &fake_store,
                                   .store_env = {.url = "fake:",
                                                 .pipeline = "test",
                                                 .part = f->asked_back_each ? "3/8" : "",
                                                 .member = f->asked_back_each ? (void *)f : NULL,
                                                 .connect_timeout_us = 5 * US_PER_SECOND,
                                                 .read_timeout_us = 30 * US_PER_SECOND},
                                   .metrics = metrics,
                                   .until_idle = !f->order,
                                   .one_order = f->order};
    if (f->registry) {
        conf.encode.format = format_index(&format_flat);
        conf.encode.value = VALUE_AVRO;
        conf.encode.registry = (struct conf_registry){.url = (char *)(uintptr_t)f->registry,
                                                      .username = (char *)"",
                                                      .password = (char *)"",
                                                      .ca_file = (char *)"",
                                                      .connect_timeout_us = 60 * US_PER_SECOND,
                                                      .timeout_us = 60 * US_PER_SECOND};
        conf.route.topic_given = true;
        parts.changes = true;
    }
    struct pipeline *p;
    struct pipeline_status status;
    struct error err;
    int64_t id;
    fake = f;
    f->delivery = delivery;
    f->random = f->random ? f->random : 42;
    f->keys = f->keys ? f->keys : 7;
    metrics_init(metrics);
    f->metrics = metrics;
    if (pipeline_new(&parts, &p, &err)) {
        fprintf(stderr, "%s\n", err.text);
        return -1;
    }
    f->pipeline = p;
    if (f->order && !pipeline_order(p, f->drops ? STORE_DROP : STORE_RETRY, f->order, "", &id)) {
        fprintf(stderr, "the order was not taken\n");
        return -1;
    }
    int code = pipeline_run(p);
    if (f->order) {
        pipeline_status(p, &status);
        snprintf(f->answer, sizeof f->answer, "%s", status.order_answer);
    }
    pipeline_free(p);
    return code;
}

bool *fake_assert_in_order(const struct fake *f)
{
    unsigned last[64] = {0};
    bool *seen = calloc(f->events + 1, 1);
    assert_non_null(seen);
    assert_null(f->broken);
    for (size_t i = 0; i < f->sent_count; i++) {
        unsigned n = f->sent[i];
        if (!seen[n]) {
            assert_true(n > last[n % f->keys]);
            last[n % f->keys] = n;
            seen[n] = true;
        }
    }
    return seen;
}
