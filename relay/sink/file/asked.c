/* What commands and `status` ask of a sink beside its events: how its targets stand, what was
 * written, and whether it could be written. */
#include "sink/file/internal.h"
#include "sink/file/upload/resend.h"

#include <errno.h>

size_t file_targets(void *sink, struct sink_target out[SINK_TARGETS_MAX])
{
    struct file_sink *s = sink;
    return file_uploads_targets(s->uploads, out);
}

int file_resend(void *sink, const struct sink_resend *what, size_t *ret_files, struct error *err)
{
    struct file_sink *s = sink;
    return upload_resend(s->conf, &s->dir, what, ret_files, err);
}

int file_healthy(void *sink, struct error *err)
{
    struct file_sink *s = sink;
    bool gone = s->dir.fd >= 0 && file_dir_gone(&s->dir);
    return gone ? file_dir_error(&s->dir, err, ENOENT, "write batch files") : RESULT_DONE;
}

int file_read(void *sink, const struct sink_reading *r, struct error *err)
{
    return file_read_back(&((struct file_sink *)sink)->back, r, err);
}

int file_payload(void *sink, const struct event *e, struct buf *out, struct error *err)
{
    return file_payload_of(&((struct file_sink *)sink)->format, e, out, err);
}

int file_check(void *sink, finding_report *report, void *ctx, struct error *err UNUSED)
{
    struct file_sink *s = sink;
    struct error fault;
    if (file_dir_look(&s->dir, &fault)) {
        CLEANUP(buf_release) struct buf remedy = {0};
        buf_printf(&remedy, "install -d -m 0750 -o <the relay's user> '%s'", s->dir.path);
        report(ctx, fault.exit_code, fault.text, buf_str(&remedy));
    }
    file_uploads_check(s->conf, report, ctx);
    return RESULT_DONE;
}
