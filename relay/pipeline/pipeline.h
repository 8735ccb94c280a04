/*
 * A pipeline: one source, one sink, one store, one ledger, one thread, one poll(2).
 *
 * Only pipeline_request_stop, pipeline_status, pipeline_order and the metrics may be touched by
 * other threads while pipeline_run runs.
 */
#pragma once

#include "base/error.h"
#include "base/metrics.h"
#include "config/config.h"
#include "contract/sink.h"
#include "contract/source.h"
#include "contract/store.h"
#include "pipeline/state.h"

struct pipeline;

/* `replay`: the pipeline sends a piece of its table again. It takes no lock and no orders, and its
 * progress is the row of the replay in the store, not the pipeline's position. */
struct pipeline_replay {
    const char *id; /* of the row (store_ops.replay_add) */
    struct source_range range;
    int64_t rate; /* events per second, at most; 0: no limit */
};

/* What a pipeline is made of. All pointers outlive it. */
struct pipeline_parts {
    const struct conf_pipeline *conf;
    const struct source_ops *source;
    const struct sink_ops *sink;
    const struct store_ops *store;
    struct store_env store_env; /* its stop_fd is the pipeline's to set */
    struct metrics *metrics;
    bool changes; /* the source is configured to give table changes */
    bool until_idle;
    bool one_order; /* nothing is read: it takes the lock, obeys one order (pipeline_order, given
                       before pipeline_run) and ends. For commands where no daemon runs */
    int64_t keep_letters_us; /* how long a dead letter is kept that was retried or dropped */
    const struct pipeline_replay *replay; /* NULL: it relays what is new */
};

/* What other threads may know of it: a copy, taken under a lock that is held for a memcpy only. */
struct pipeline_status {
    enum pipeline_state state;
    char detail[1024];          /* why, or "" */
    char position[128];         /* event position of the frontier, "" before the first */
    uint64_t delivered;         /* running delivery number */
    int64_t since_us;           /* wall clock of the last change of state */
    int64_t alive_us;           /* monotonic: when its loop last came round */
    struct source_lag lag;      /* with what is in hand, and what holds the sink up */
    int64_t slot_limit_seconds; /* until slot_retained_bytes reaches slot_limit_bytes as it grows
                                   now; -1 never or unknown */
    int exit_code;              /* once STOPPED or FAILED */
    bool paused;
    double rate; /* events delivered per second, on the whole of the last minute */
    /* The last order that was obeyed or refused, and what became of it; 0: none. */
    int64_t order_id;
    char order_answer[512];
};

/* Checks everything that can be checked without I/O: templates, plugin configuration, impossible
 * pairs. CONFIG. */
int pipeline_new(const struct pipeline_parts *parts, struct pipeline **ret,
                 struct error *err) MUST_CHECK;

/* Runs until stopped, idle (until_idle) or failed. Returns the exit code it would end the process
 * with. */
int pipeline_run(struct pipeline *p);

/* From any thread: drain for at most drain_timeout and end. */
void pipeline_request_stop(struct pipeline *p);

void pipeline_status(struct pipeline *p, struct pipeline_status *ret);

/* How an order is answered while another relay has the lock. */
#define PIPELINE_ELSEWHERE "refused: another relay runs the pipeline"

/* From any thread: an operator's order, obeyed as one of the control row is, and where it can be
 * even while the store cannot be reached. The answer comes with pipeline_status under *ret_id.
 * False: the order before it was not taken yet. */
bool pipeline_order(struct pipeline *p, enum store_command command, const char *argument,
                    int64_t *ret_id);

/* After pipeline_run has returned. NULL is fine. */
void pipeline_free(struct pipeline *p);
