/* The snapshot that the source holds, the initial one or one that was asked for: how it is opened,
 * what the cursors say of it, and its end. */
#include "cdc/internal.h"

void cdc_free_old_marks(struct cdc_source *s)
{
    for (struct intake_table *t = s->old_marks, *next; t; t = next) {
        next = t->next;
        intake_table_free(t);
    }
    s->old_marks = NULL;
}

void cdc_snapshot_close(struct cdc_source *s)
{
    snapshot_close(s->snapshot);
    cdc_free_old_marks(s);
    intake_table_free(s->row_mark);
    s->snapshot = NULL;
    s->row_mark = NULL;
    s->row_table = NULL;
    s->snapshot_ended = s->requested = s->disowned = false;
}

struct snapshot_options cdc_snapshot_options(const struct cdc_source *s)
{
    return (struct snapshot_options){.conf = s->conf,
                                     .pipeline = s->env->pipeline,
                                     .slot = s->slot,
                                     .publication = s->publication,
                                     .database = s->intake.database,
                                     .system_id = s->identity.system_id,
                                     .lsn = s->txn.start,
                                     .connect_timeout_us = s->conf->connect_timeout_us,
                                     .read_timeout_us = s->conf->read_timeout_us,
                                     .stop_fd = s->env->stop_fd,
                                     .plain_money = s->env->shape.plain_money,
                                     .as_outbox = s->conf->as == CDC_AS_OUTBOX};
}

void cdc_snapshot_note(struct cdc_source *s)
{
    struct buf *text = &s->snapshot_text;
    buf_clear(text);
    if (s->snapshot && !s->snapshot_ended && !s->disowned) {
        snapshot_state(s->snapshot, text);
    }
    if (s->requested && text->len > 0) {
        snapshot_requests_reached(&s->requests, 0, buf_slice(text));
        buf_clear(text);
    }
    snapshot_requests_format(&s->requests, text);
}
