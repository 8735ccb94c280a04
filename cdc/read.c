/* Reads messages of the stream into a batch. Each message is taken exactly once, in order. A
 * message that cannot be taken yet (the batch is full, or the catalogs are asked about its table)
 * waits in s->message. A batch ends when the socket is empty: an event that is here does not wait
 * for the next one. */
#include "cdc/internal.h"

#include <stdio.h>

/* One read looks at no more than this, so that timers and acknowledgements get their turn. A batch
 * also stays small because its memory is freed as a whole: one open event of a large batch would
 * keep all of it. */
enum { MESSAGES_MAX = 20000, BYTES_MAX = 8 * 1024 * 1024, EVENTS_MAX = 1000 };

/* --- what must not happen --- */

static int senseless(struct cdc_source *s, const char *what, struct error *err)
{
    error_set(err, ERROR_RETRY, "pgoutput", "%s", what);
    return cdc_senseless(s, err);
}

static int decode(struct cdc_source *s, struct slice bytes, struct pgoutput_message *ret,
                  struct error *err)
{
    return pgoutput_decode(bytes, false, &s->scratch, ret, err) ? cdc_senseless(s, err)
                                                                : RESULT_DONE;
}

/* --- relations --- */

/* Makes sure that the catalogs' answer for the waiting Relation message is here. AGAIN: not yet. */
static int look_up(struct cdc_source *s, struct pgoutput_message *ret, struct error *err)
{
    if (decode(s, s->message.payload, ret, err)) {
        return RESULT_ERROR;
    }
    int rc = catalog_has(s->catalog, ret) ? RESULT_DONE
                                          : side_ask_catalog(&s->side, s->catalog, ret, err);
    s->asking = rc == RESULT_AGAIN;
    return rc;
}

int cdc_ask(struct cdc_source *s, struct error *err)
{
    struct pgoutput_message m;
    return look_up(s, &m, err);
}

static int take_relation(struct cdc_source *s, struct error *err)
{
    struct pgoutput_message m;
    int rc = look_up(s, &m, err);
    if (rc) {
        return rc;
    }
    const struct change_table *table = relations_put(s->relations, s->catalog, &m);
    struct intake_table *mark = NULL;
    s->last_table = table; /* a row of it comes next; fault.c names the table if that fails */
    s->last_oid = 0;
    if (intake_table_new(&s->intake, table, &mark, err)) {
        return RESULT_ERROR;
    }
    relations_set_user(s->relations, table->oid, mark, intake_table_free);
    return RESULT_DONE;
}

static int find_table(struct cdc_source *s, uint32_t oid, struct error *err)
{
    if (oid != 0 && oid == s->last_oid) {
        return RESULT_DONE;
    }
    const struct change_table *table = relations_get(s->relations, oid);
    if (!table || !relations_user(s->relations, oid)) {
        char text[80];
        snprintf(text, sizeof text, "a change of table %u, which was never described", oid);
        return senseless(s, text, err);
    }
    s->last_table = table;
    s->last_mark = relations_user(s->relations, oid);
    s->last_oid = oid;
    return RESULT_DONE;
}

/* --- changes --- */

/* Is the message certainly too large for an event? A bytea column comes as hex text, twice as long
 * as its bytes, so a message of up to twice the limit may still become an event that fits. The
 * exact size is checked when the event is made. */
static bool is_too_large(const struct cdc_source *s)
{
    size_t max = s->env->max_event_bytes;
    return max > 0 && s->message.payload.len / 2 > max;
}

/* Gives a poison event that has the place of the message but nothing of its content: copying a
 * message of, say, a gigabyte several times would use up the memory. The message itself is freed,
 * because the pipeline may wait at this place for hours. */
static void give_place(struct cdc_source *s, struct batch *batch)
{
    enum { TEXT_MAX = 160 };
    struct event *e = batch_add(batch);
    char *text = arena_bytes(&batch->arena, TEXT_MAX);
    snprintf(text, TEXT_MAX,
             "%zu bytes of the stream, far more than the %zu of delivery.max_event_bytes",
             s->message.payload.len, s->env->max_event_bytes);
    e->poison = text;
    e->partial = true;
    e->bytes = sizeof *e + TEXT_MAX;
    batch->bytes += e->bytes;
    intake_place(&s->intake, batch, e, 0, true);
    s->message.payload = SLICE_NULL;
    stream_forget(s->stream);
}

/* An empty batch has room for any change, even if it becomes more than max_events events: otherwise
 * such a change could never be read. */
static bool has_room(struct cdc_source *s, const struct batch *batch, size_t max_events,
                     size_t events)
{
    bool room = batch->count == 0 || max_events - batch->count >= events;
    s->more = s->more || !room;
    return room;
}

static int check_tuple(struct cdc_source *s, const struct pgoutput_tuple *t, struct error *err)
{
    if (!t->cells || t->count == s->last_table->columns_count) {
        return RESULT_DONE;
    }
    char text[120];
    snprintf(text, sizeof text, "a row of %zu columns for table %u, which has %zu", t->count,
             s->last_oid, s->last_table->columns_count);
    return senseless(s, text, err);
}

static int take_outbox_row(struct cdc_source *s, struct batch *batch, struct error *err)
{
    struct pgoutput_message m;
    struct event *e;
    arena_reset(&s->scratch); /* the event of the row before lies in the batch's memory */
    size_t bytes = s->message.payload.len + s->last_mark->bytes;
    if (decode(s, arena_copy(&batch->arena, s->message.payload), &m, err) ||
        check_tuple(s, &m.row.after, err) ||
        intake_outbox_row(&s->intake, s->last_mark->map, m.row.after.cells, bytes, batch, &e,
                          err)) {
        return RESULT_ERROR;
    }
    intake_place(&s->intake, batch, e, 0, true);
    return RESULT_DONE;
}

static int take_change(struct cdc_source *s, struct batch *batch, struct error *err)
{
    struct pgoutput_message m;
    if (decode(s, arena_copy(&s->scratch, s->message.payload), &m, err) ||
        check_tuple(s, &m.row.before, err) || check_tuple(s, &m.row.after, err)) {
        return RESULT_ERROR;
    }
    if (s->snapshot && !snapshot_row_changed(s->snapshot, s->last_table, m.row.before.cells,
                                             m.row.after.cells, &s->scratch)) {
        return RESULT_DONE;
    }
    intake_row_change(&s->intake, s->last_mark, s->last_table, &m, s->message.start_lsn, batch);
    return RESULT_DONE;
}

/* A signal is taken also where its transaction was delivered in part: what it asks for is not in
 * the cursor yet (ad_hoc.c). */
static int take_signal(struct cdc_source *s, struct error *err)
{
    struct pgoutput_message m;
    if (decode(s, s->message.payload, &m, err) || check_tuple(s, &m.row.after, err)) {
        return RESULT_ERROR;
    }
    cdc_signal_row(s, m.row.after.cells);
    return RESULT_DONE;
}

static int take_row(struct cdc_source *s, enum pgoutput_type type, struct batch *batch,
                    size_t max_events, struct error *err)
{
    if (!has_room(s, batch, max_events, intake_change_parts(&s->intake, type))) {
        return RESULT_AGAIN;
    }
    if (find_table(s, pgoutput_peek_relation(s->message.payload, false), err)) {
        return RESULT_ERROR;
    }
    if (!txn_count(&s->txn)) {
        return senseless(s, "a change outside a transaction", err);
    }
    if (s->last_mark->signal && type == PGOUTPUT_INSERT) {
        return take_signal(s, err);
    }
    bool delivered = txn_was_delivered(&s->txn, UINT32_MAX);
    if (!s->last_mark->wanted || (delivered && !s->env->shape.transactions)) {
        return RESULT_DONE;
    }
    bool changes = s->conf->as == CDC_AS_CHANGES;
    /* Only an insert is an event of an outbox. A delete there is a clean-up: it does not take the
     * event back. */
    if (!changes && (type != PGOUTPUT_INSERT || txn_was_delivered(&s->txn, 0))) {
        return RESULT_DONE;
    }
    if (is_too_large(s)) {
        if (!delivered) {
            give_place(s, batch);
        }
        return RESULT_DONE;
    }
    return changes ? take_change(s, batch, err) : take_outbox_row(s, batch, err);
}

static int take_truncate(struct cdc_source *s, struct batch *batch, size_t max_events,
                         struct error *err)
{
    struct pgoutput_message m;
    if (decode(s, s->message.payload, &m, err)) {
        return RESULT_ERROR;
    }
    bool wanted = s->conf->as == CDC_AS_CHANGES;
    size_t events = m.truncate.count + s->env->shape.transactions;
    if (wanted && !has_room(s, batch, max_events, events)) {
        return RESULT_AGAIN;
    }
    if (!txn_count(&s->txn)) {
        return senseless(s, "a TRUNCATE outside a transaction", err);
    }
    for (size_t i = 0; wanted && i < m.truncate.count; i++) {
        if (find_table(s, m.truncate.relations[i], err)) {
            return RESULT_ERROR;
        }
        if (s->last_mark->wanted &&
            !(s->snapshot && !snapshot_truncated(s->snapshot, s->last_table))) {
            intake_truncate(&s->intake, s->last_mark, &m, s->message.start_lsn, (uint32_t)i,
                            i + 1 == m.truncate.count, batch);
        }
    }
    return RESULT_DONE;
}

/* A message that is not transactional is sent even if its transaction rolls back, so it is not
 * counted and never an event. With `streaming: true` no message is counted: PostgreSQL (14 to 18)
 * sends the messages of subtransactions under the xid of the whole transaction, so it is not known
 * which of them were rolled back. */
static int take_message(struct cdc_source *s, struct batch *batch, size_t max_events,
                        struct error *err)
{
    struct pgoutput_message m;
    if (decode(s, s->message.payload, &m, err)) {
        return RESULT_ERROR;
    }
    if (!m.message.transactional) {
        return RESULT_DONE;
    }
    if (!has_room(s, batch, max_events, 1 + s->env->shape.transactions)) {
        return RESULT_AGAIN;
    }
    if (!(s->spool ? s->txn.open : txn_count(&s->txn))) {
        return senseless(s, "a transactional message outside a transaction", err);
    }
    if (s->snapshot && slice_equal_str(m.message.prefix, SNAPSHOT_WATERMARK_PREFIX)) {
        snapshot_watermark(s->snapshot, m.message.content);
    }
    if (s->env->shape.heartbeats && slice_equal_str(m.message.prefix, HEARTBEAT_PREFIX) &&
        slice_equal_str(m.message.content, s->slot)) {
        intake_heartbeat(&s->intake, s->message.start_lsn, batch);
        return RESULT_DONE;
    }
    if (!intake_message_wanted(&s->intake, m.message.prefix)) {
        return RESULT_DONE;
    }
    if (is_too_large(s)) {
        if (!txn_was_delivered(&s->txn, 0)) {
            give_place(s, batch);
        }
    } else {
        intake_message(&s->intake, &m, s->message.start_lsn, batch);
    }
    return RESULT_DONE;
}

/* --- transactions --- */

static int take_begin(struct cdc_source *s, struct error *err)
{
    struct pgoutput_message m;
    if (decode(s, s->message.payload, &m, err)) {
        return RESULT_ERROR;
    }
    s->txn_gave = false;
    cdc_signals_clear(s);
    if (!txn_begin(&s->txn, m.begin.final_lsn, m.begin.commit_us, m.xid)) {
        return senseless(s, "a transaction begins inside another", err);
    }
    if (s->env->shape.transactions) {
        (void)txn_count(&s->txn);
        intake_begin(&s->intake, s->message.start_lsn);
    }
    if (s->snapshot) {
        snapshot_begin(s->snapshot, m.xid, m.begin.final_lsn);
    }
    return RESULT_DONE;
}

/* The last event of the transaction, or the batch behind the one that it was handed out with. */
static void mark_end(const struct cdc_source *s, struct batch *batch)
{
    if (batch->count == 0) {
        batch->after_end = true;
        return;
    }
    struct event *last = &batch->events[batch->count - 1];
    const struct mark *m = last->origin;
    if (m && s->txn_gave && m->behind.commit == s->txn.commit) {
        last->ends_transaction = true;
    }
}

static int take_commit(struct cdc_source *s, struct batch *batch, struct error *err)
{
    struct pgoutput_message m;
    if (decode(s, s->message.payload, &m, err)) {
        return RESULT_ERROR;
    }
    size_t before = batch->count;
    if (s->env->shape.transactions && txn_count(&s->txn)) {
        intake_end(&s->intake, s->message.start_lsn, batch);
        s->txn_gave = s->txn_gave || batch->count > before;
    }
    mark_end(s, batch);
    s->gave = s->gave || s->txn_gave;
    if (!txn_commit(&s->txn, m.commit.commit_lsn, m.commit.end_lsn)) {
        return senseless(s, "the end of a transaction that did not begin", err);
    }
    s->settle = cdc_signals_obey(s);
    return RESULT_DONE;
}

static void take_keepalive(struct cdc_source *s)
{
    cdc_claim_idle(s, s->message.wal_end);
    if (s->env->observe) {
        s->saved = s->txn.start; /* a temporary slot: nothing is delivered or saved, only shown */
        stream_confirm(s->stream, s->saved, s->message.reply_wanted);
    } else if (s->message.reply_wanted) {
        s->reply_wanted = true;
        stream_confirm(s->stream, s->saved, true);
    }
}

static int take(struct cdc_source *s, struct batch *batch, size_t max_events, struct error *err)
{
    struct slice bytes = s->message.payload;
    if (s->message.kind == STREAM_KEEPALIVE) {
        take_keepalive(s);
        return RESULT_DONE;
    }
    enum pgoutput_type type = bytes.len > 0 ? (enum pgoutput_type)(unsigned char)bytes.ptr[0] : 0;
    switch (type) {
    case PGOUTPUT_INSERT:
    case PGOUTPUT_UPDATE:
    case PGOUTPUT_DELETE:
        return take_row(s, type, batch, max_events, err);
    case PGOUTPUT_BEGIN:
        return take_begin(s, err);
    case PGOUTPUT_COMMIT:
        return take_commit(s, batch, err);
    case PGOUTPUT_RELATION:
        return take_relation(s, err);
    case PGOUTPUT_TRUNCATE:
        return take_truncate(s, batch, max_events, err);
    case PGOUTPUT_MESSAGE:
        return take_message(s, batch, max_events, err);
    default:
        break;
    }
    struct pgoutput_message m;
    if (decode(s, bytes, &m, err)) {
        return RESULT_ERROR;
    }
    /* PostgreSQL 18.0 sends a STREAM_ABORT, which was not asked for, for a subtransaction that was
     * rolled back while its changes lay on the server's disk. Nothing of it was sent: ignore it. */
    return type == PGOUTPUT_TYPE || type == PGOUTPUT_ORIGIN || type == PGOUTPUT_STREAM_ABORT
               ? RESULT_DONE
               : senseless(s, "a part of a transaction in progress, which was not asked for", err);
}

/* --- reading --- */

/* A message larger than max_bytes still fits into an empty batch: it comes alone. */
static bool fits(const struct cdc_source *s, const struct batch *batch, size_t max_bytes)
{
    return batch->count == 0 || s->message.kind != STREAM_DATA ||
           batch->bytes + s->message.payload.len <= max_bytes;
}

static int read_stream(struct cdc_source *s, struct batch *batch, size_t max_events,
                       size_t max_bytes, struct error *err)
{
    size_t looked = 0;
    for (size_t n = 0; n < MESSAGES_MAX && looked < BYTES_MAX; n++) {
        if (batch->count >= max_events || batch->bytes >= max_bytes || s->settle ||
            (s->snapshot && snapshot_holds(s->snapshot))) {
            break;
        }
        if (!s->holding) {
            int rc = s->spool ? spool_next(s->spool, s->stream, &s->message, err)
                              : stream_next(s->stream, &s->message, err);
            if (rc) {
                return rc < 0 ? cdc_refused(s, err) : rc;
            }
            s->holding = true;
        }
        if (!fits(s, batch, max_bytes)) {
            break;
        }
        size_t before = batch->count, bytes = s->message.payload.len;
        int rc = take(s, batch, max_events, err);
        if (rc) {
            return rc;
        }
        s->holding = s->asking = false;
        looked += bytes;
        s->txn_gave = s->txn_gave || batch->count > before;
    }
    s->more = true;
    return RESULT_DONE;
}

/* A resumed snapshot gives its rows at certain places of the stream. snapshot_holds: the stream
 * must not be read on before those rows are given. */
static int read_both(struct cdc_source *s, struct batch *batch, size_t max_events, size_t max_bytes,
                     struct error *err)
{
    int rc = cdc_snapshot_read(s, batch, max_events, max_bytes, err);
    if (rc != RESULT_AGAIN || batch->count > 0 || snapshot_holds(s->snapshot)) {
        return rc;
    }
    cdc_snapshot_note(s); /* the state may have changed although no row was given */
    s->intake.snapshot = arena_copy(&batch->arena, buf_slice(&s->snapshot_text));
    return read_stream(s, batch, max_events, max_bytes, err);
}

/* Events that were read before the failure are good and are handed out first. The next read returns
 * the error. */
static int fail(struct cdc_source *s, const struct batch *batch, struct error *err)
{
    if (batch->count > 0) {
        s->failed = true;
        s->deferred = *err;
        return RESULT_DONE;
    }
    cdc_drop(s);
    return RESULT_ERROR;
}

int cdc_read(void *source, struct batch *batch, size_t max_events, size_t max_bytes,
             struct error *err)
{
    struct cdc_source *s = source;
    max_events = max_events < EVENTS_MAX ? max_events : EVENTS_MAX;
    relations_sweep(s->relations);
    cdc_free_old_marks(s);
    arena_reset(&s->scratch);
    s->more = false;
    if (s->failed) {
        *err = s->deferred;
        cdc_drop(s);
        return RESULT_ERROR;
    }
    if (s->snapshot_ended) {
        cdc_snapshot_close(s);
    }
    if (cdc_reads_tables(s) && s->snapshot_taken) {
        return RESULT_DONE; /* all rows were given */
    }
    if (!s->stream) {
        return RESULT_AGAIN; /* not connected: the pipeline has to call start first */
    }
    s->settle = false;
    int settled = cdc_ad_hoc_settle(s, err);
    if (settled) {
        return settled < 0 ? fail(s, batch, err) : RESULT_AGAIN;
    }
    s->intake.snapshot = s->snapshot_text.len > 0
                             ? arena_copy(&batch->arena, buf_slice(&s->snapshot_text))
                             : SLICE_NULL;
    int rc = s->snapshot ? read_both(s, batch, max_events, max_bytes, err)
                         : read_stream(s, batch, max_events, max_bytes, err);
    if (rc < 0) {
        return fail(s, batch, err);
    }
    if (batch->count > 0) {
        return RESULT_DONE;
    }
    bool on_its_way =
        rc == RESULT_DONE || s->snapshot || s->holding || s->txn.open || stream_behind(s->stream);
    return on_its_way ? RESULT_AGAIN : RESULT_DONE;
}
