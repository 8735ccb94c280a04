/* The targets are the places that the sink hands its data on to (sink_ops.targets). Example: the
 * sink `file` sends its files to an SFTP server. Here is how far each target is, and, with
 * --until-idle, whether all are done. */
#include "pipeline/internal.h"

#include "base/shown.h"
#include "pipeline/status.h"
#include <inttypes.h>
#include <stdio.h>

static size_t look(struct pipeline *p, struct sink_target out[SINK_TARGETS_MAX])
{
    return p->parts.sink->targets ? p->parts.sink->targets(p->sink, out) : 0;
}

void targets_update(struct pipeline *p)
{
    struct sink_target targets[SINK_TARGETS_MAX];
    size_t n = look(p, targets);
    for (size_t i = 0; i < n; i++) {
        shown_mend(targets[i].error, sizeof targets[i].error, SHOWN_IN_LINE);
    }
    pthread_mutex_lock(&p->status_lock);
    memcpy(p->status.targets, targets, n * sizeof *targets);
    p->status.targets_count = n;
    pthread_mutex_unlock(&p->status_lock);
}

bool targets_done(struct pipeline *p)
{
    struct sink_target targets[SINK_TARGETS_MAX];
    const struct sink_target *failing = NULL;
    bool working = false;
    if (!p->parts.until_idle || p->draining) {
        return true; /* what is not sent yet is sent after the next start */
    }
    size_t n = look(p, targets);
    for (size_t i = 0; i < n; i++) {
        bool waits = targets[i].waiting > 0;
        failing = waits && targets[i].error[0] && !failing ? &targets[i] : failing;
        working = working || (waits && !targets[i].error[0]);
    }
    if (working) {
        p->success_at_us = clock_mono_us();
    } else if (failing && out_of_patience(p, 0)) {
        char why[640];
        snprintf(why, sizeof why, "%" PRIu64 " files still wait to be sent; %s", failing->waiting,
                 failing->error);
        pipeline_end(p, PIPELINE_FAILED, EXIT_CODE_GAVE_UP, why);
    }
    return !working && !failing;
}
