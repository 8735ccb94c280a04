/*
 * A pipeline: one source, one sink, one store and one ledger. One thread runs it with pipeline_run
 * and sleeps in one poll(2).
 *
 * While it runs, other threads may use pipeline_request_stop, pipeline_status, pipeline_order and
 * the metrics, and nothing else of it.
 */
#pragma once

#include "base/error.h"
#include "base/metrics.h"
#include "config/config.h"
#include "contract/sink.h"
#include "contract/source.h"
#include "contract/store.h"
#include "pipeline/state.h"

struct audit;
struct pipeline;

/* `replay`: the pipeline sends a piece of its table again. It takes no lock and no orders, and its
 * progress is the row of the replay in the store, not the pipeline's position. */
struct pipeline_replay {
    const char *id; /* of the row (store_ops.replay_add) */
    struct source_range range;
    int64_t rate; /* events per second, at most; 0: no limit */
};

/* What a pipeline is made of. The struct is copied; all its pointers must outlive the pipeline. */
struct pipeline_parts {
    const struct conf_pipeline *conf;
    const struct source_ops *source;
    const struct sink_ops *sink;
    const struct store_ops *store;
    struct store_env store_env; /* its stop_fd is the pipeline's to set */
    struct metrics *metrics;
    bool changes;    /* the source is configured to give table changes */
    bool until_idle; /* end once all is delivered, or when nothing succeeds for half a minute */
    bool one_order;  /* nothing is read: it takes the lock, obeys one order (pipeline_order, given
                        before pipeline_run) and ends. For commands where no daemon runs */
    int64_t keep_letters_us; /* how long a dead letter is kept that was retried or dropped */
    const struct pipeline_replay *replay; /* NULL: it relays what is new */
    struct audit *audit;                  /* where its acts are noted; may be NULL */
};

/* What other threads see of a pipeline: a copy that is theirs. */
struct pipeline_status {
    enum pipeline_state state;
    char detail[1024];          /* why, or "" */
    char position[128];         /* event position of the frontier, "" before the first */
    uint64_t delivered;         /* running delivery number of the last delivered event */
    int64_t since_us;           /* wall clock of the last change of state */
    int64_t alive_us;           /* monotonic: when its loop last ended a round */
    struct source_lag lag;      /* of source and sink together: what was read and is not settled
                                   counts too, and held_up may come from the sink */
    int64_t slot_limit_seconds; /* until slot_retained_bytes reaches slot_limit_bytes as it grows
                                   now; -1 never or unknown */
    struct sink_target targets[SINK_TARGETS_MAX];
    size_t targets_count;
    int exit_code; /* once STOPPED or FAILED */
    bool paused;
    double rate; /* events delivered per second: a mean in which older times count less and less
                    (growth.h) */
    int64_t order_id;       /* the last order that was obeyed or refused; 0: none */
    char order_answer[512]; /* what became of it, for the operator */
    bool order_gave_up;     /* of a retry: the sink is down, so the rest was not tried */
};

/* Makes a pipeline and checks everything that can be checked without I/O: templates, the plugins'
 * configuration, and pairs of source and sink that cannot work. DONE: *ret is the caller's, freed
 * with pipeline_free. ERROR: CONFIG for a fault in the configuration; FATAL/70 if no descriptor is
 * left; or what a plugin's `open` says. Memory running out aborts the process. */
int pipeline_new(const struct pipeline_parts *parts, struct pipeline **ret,
                 struct error *err) MUST_CHECK;

/* Runs until stopped, idle (until_idle) or failed; its thread is the pipeline's thread. Once only.
 * Returns the exit code for the process: 0 if it ended in good order, else as in base/error.h. */
int pipeline_run(struct pipeline *p) MUST_CHECK;

/* From any thread: asks the pipeline to settle what is in flight, for at most drain_timeout, and to
 * end. Returns at once. */
void pipeline_request_stop(struct pipeline *p);

/* From any thread: copies the status. The lock it takes is never held during I/O. */
void pipeline_status(struct pipeline *p, struct pipeline_status *ret);

/* How an order is answered while another relay has the lock. */
#define PIPELINE_ELSEWHERE "refused: another relay runs the pipeline"

/* From any thread: gives the pipeline an operator's order and returns at once. `argument` and `who`
 * (of audit_who) are copied. It is obeyed like a command in the control row; pause and resume are
 * obeyed even while the store cannot be reached. The answer is in pipeline_status once its order_id
 * is *ret_id. False: an earlier order was not taken yet; ask again later. */
bool pipeline_order(struct pipeline *p, enum store_command command, const char *argument,
                    const char *who, int64_t *ret_id) MUST_CHECK;

/* Closes sink, source and store and frees the pipeline. After pipeline_run has returned, or without
 * it. NULL is fine. */
void pipeline_free(struct pipeline *p);
