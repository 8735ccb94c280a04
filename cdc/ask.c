/* What `commitrelay snapshot` asks for: the command judges it and writes it as an order; the relay
 * takes the order into the cursor, from which it then starts again. */
#include "cdc/internal.h"
#include "cdc/signal.h"
#include "contract/source_signal.h"

/* A snapshot that could not be read is refused now, not when the relay comes to it. */
static int check(struct cdc_source *s, const struct source_signal *what, struct error *err)
{
    struct snapshot_requests list = {0};
    struct snapshot_options opt = cdc_snapshot_options(s);
    if (!snapshot_requests_add(&list, slice_from(what->tables), slice_from(what->id),
                               slice_from(what->where), 0, 0)) {
        return error_set(err, ERROR_CONFIG, "cdc",
                         "the condition is longer than the %d bytes that a request may have",
                         SNAPSHOT_REQUESTS_BYTES / 3);
    }
    opt.request = &list.items[0];
    int rc = snapshot_check(&opt, err);
    snapshot_requests_release(&list);
    return rc;
}

static enum signal_type type_of(const struct source_signal *what)
{
    static const enum signal_type types[] = {[SOURCE_SNAPSHOT_EXECUTE] = SIGNAL_EXECUTE,
                                             [SOURCE_SNAPSHOT_STOP] = SIGNAL_STOP,
                                             [SOURCE_SNAPSHOT_PAUSE] = SIGNAL_PAUSE,
                                             [SOURCE_SNAPSHOT_RESUME] = SIGNAL_RESUME};
    return types[what->act];
}

int cdc_signal(void *source, const struct source_signal *what, struct buf *ret_order,
               struct error *err)
{
    struct cdc_source *s = source;
    if (s->conf->as != CDC_AS_CHANGES) {
        return error_set(
            err, ERROR_CONFIG, "cdc",
            "pipeline %s sends the rows of an outbox (as: outbox), of which no snapshot "
            "can be asked for: `commitrelay replay` sends them again",
            s->env->pipeline);
    }
    if (what->act == SOURCE_SNAPSHOT_EXECUTE && check(s, what, err)) {
        return RESULT_ERROR;
    }
    signal_write(what->id, type_of(what), what->tables, what->where, what->asked_us, ret_order);
    return RESULT_DONE;
}

/* --- the relay --- */

struct obeyed {
    struct buf *said;
    bool wrong;
};

static void say(void *ctx, bool wrong, const char *text)
{
    struct obeyed *o = ctx;
    buf_printf(o->said, "%s%s", o->said->len ? "; " : "", text);
    o->wrong = o->wrong || wrong;
}

/* An order may be given twice: its relay was killed before it answered. */
static bool is_known(const struct snapshot_requests *q, const struct signal *signal)
{
    for (size_t i = 0; i < q->count; i++) {
        if (slice_equal_str(buf_slice(&signal->id), q->items[i].id)) {
            return true;
        }
    }
    return false;
}

/* Obeys, and writes the cursor's new text for snapshots. The time of the order tells its rows from
 * those of other requests, as the place of its commit does for a signal of the stream. */
static int obey(const struct signal *signal, int64_t asked_us, struct slice before,
                struct buf *after, struct buf *said, struct error *err)
{
    struct snapshot_requests list = {0};
    struct obeyed o = {.said = said};
    struct slice initial;
    uint64_t number = (uint64_t)asked_us;
    if (snapshot_requests_parse(before, &list, &initial, err)) {
        return RESULT_ERROR;
    }
    if (is_known(&list, signal)) {
        buf_printf(said, "was asked for already (signal %s)", buf_str(&signal->id));
    } else {
        signal_obey(signal, &list, &number, asked_us, say, &o);
    }
    buf_add_slice(after, initial);
    snapshot_requests_format(&list, after);
    snapshot_requests_release(&list);
    return o.wrong ? error_set(err, ERROR_CONFIG, "cdc", "%s", buf_str(said)) : RESULT_DONE;
}

int cdc_obey(void *source, struct slice cursor, const char *order, struct buf *ret_cursor,
             struct buf *ret_said, struct error *err)
{
    struct cdc_source *s = source;
    CLEANUP(signal_release) struct signal signal = {0};
    CLEANUP(buf_release) struct buf text = {0};
    struct cdc_cursor c;
    int64_t asked_us;
    if (s->conf->as != CDC_AS_CHANGES) {
        return error_set(err, ERROR_CONFIG, "cdc",
                         "the pipeline sends the rows of an outbox, of which there is no snapshot");
    }
    if (cdc_cursor_parse(cursor, &c, err) || signal_read_order(order, &signal, &asked_us, err) ||
        obey(&signal, asked_us, c.snapshot, &text, ret_said, err)) {
        return RESULT_ERROR;
    }
    c.snapshot = text.len > 0 ? buf_slice(&text) : SLICE_NULL;
    cdc_cursor_format(&c, ret_cursor);
    s->given_up[0] = '\0';
    return RESULT_DONE;
}
