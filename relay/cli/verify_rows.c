/* Every row goes the way of the relay: masked, routed and encoded, as it was sent. */
#include "cli/verify_rows.h"

#include "cli/cli.h"
#include "cli/kit/interrupt.h"
#include "cli/kit/source_open.h"
#include "value/digest.h"
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { READ_EVENTS = 1000, READ_BYTES = 4 * 1024 * 1024 };

void verify_digest(const struct verify_sink *sink, struct slice payload,
                   char out[VERIFY_DIGEST + 1])
{
    char hex[DIGEST_HEX_SIZE];
    struct slice text =
        sink->ops->caps & SINK_MESSAGES ? encode_payload_in(sink->format, payload) : payload;
    digest_sha256(text, hex);
    memcpy(out, hex, VERIFY_DIGEST);
    out[VERIFY_DIGEST] = '\0';
    if (slice_is_null(text)) {
        memset(out, '0', VERIFY_DIGEST); /* not that of the empty text */
    }
}

struct rows {
    struct cli_source source;
    struct batch *batch;
    struct buf payload;
    const struct verify_sink *sink;
    struct verify_sort *to;
    const struct verify_topics *read;
    struct buf *unread;
};

static void release(struct rows *r)
{
    cli_source_release(&r->source);
    batch_free(r->batch);
    buf_release(&r->payload);
}

/* False: no message can be made of it, so nothing of it is at the destination. */
static bool expect(struct rows *r, struct event *e, char digest[VERIFY_DIGEST + 1])
{
    struct error ignored;
    const struct verify_sink *to = r->sink;
    if (e->poison || cli_source_prepare(&r->source, r->batch, e, &ignored)) {
        return false;
    }
    if (to->ops->caps & SINK_MESSAGES) {
        if (encode_message(&r->source.encode, e, &r->batch->arena, &ignored)) {
            return false;
        }
        if (e->topic.len > 0 && r->unread->len == 0 && !verify_topics_have(r->read, e->topic)) {
            buf_add_slice(r->unread, e->topic);
        }
        verify_digest(to, e->value, digest);
        return true;
    }
    buf_clear(&r->payload);
    if (to->ops->payload_of(to->sink, e, &r->payload, &ignored)) {
        return false;
    }
    verify_digest(to, buf_slice(&r->payload), digest);
    return true;
}

static int add(struct rows *r, struct event *e, struct error *err)
{
    char digest[VERIFY_DIGEST + 1];
    bool known = r->sink->ops && expect(r, e, digest);
    const struct verify_item item = {.id = e->id.len ? e->id : SLICE_NULL,
                                     .side = VERIFY_ROW,
                                     .digest = known ? slice_from(digest) : SLICE_NULL,
                                     .created_us = e->created_at_us,
                                     .number = strtoll(e->position.ptr, NULL, 10)};
    return verify_sort_add(r->to, &item, NULL, err);
}

/* Reads until the range is given. */
static int read_all(struct rows *r, int64_t total, int stop_fd, struct cli_progress *progress,
                    struct error *err)
{
    struct cli_source *s = &r->source;
    int64_t count = 0;
    for (bool idle = false; !idle;) {
        batch_reset(r->batch);
        int rc = cli_source_read(s, r->batch, READ_EVENTS, READ_BYTES, DEADLINE_NEVER, err);
        if (rc == RESULT_AGAIN || interrupted(stop_fd)) {
            return error_set(err, ERROR_RETRY, "verify", "it was interrupted");
        }
        if (rc || (r->batch->count == 0 && s->ops->idle(s->source, &idle, err))) {
            return RESULT_ERROR;
        }
        for (size_t i = 0; i < r->batch->count; i++) {
            if (add(r, &r->batch->events[i], err)) {
                return RESULT_ERROR;
            }
        }
        count += (int64_t)r->batch->count;
        cli_progress(progress, "verify: %" PRId64 " of %" PRId64 " rows", count, total);
    }
    return RESULT_DONE;
}

int verify_rows(const struct conf_pipeline *p, const struct source_range *range,
                const struct verify_sink *sink, int64_t total, int stop_fd, struct verify_sort *to,
                const struct verify_topics *read, struct buf *ret_unread, struct error *err)
{
    CLEANUP(release)
    struct rows r = {
        .batch = batch_new(), .sink = sink, .to = to, .read = read, .unread = ret_unread};
    struct cli_progress progress = {.next_us = clock_mono_us() + US_PER_SECOND};
    struct cli_source *s = &r.source;
    if (cli_source_open_range(s, p, range, (size_t)p->delivery.max_event_bytes, stop_fd, err) ||
        s->ops->start(s->source, SLICE_NULL, 0, err)) {
        return RESULT_ERROR;
    }
    int rc = read_all(&r, total, stop_fd, &progress, err);
    cli_progress_end(&progress);
    return rc;
}
