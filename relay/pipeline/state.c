/* The names of a pipeline's states, their sentences, and which state may follow which. */
#include "pipeline/state.h"

#define BIT(id) (1u << PIPELINE_##id)

static const struct {
    const char *name, *text;
} states[] = {
#define STATE_ROW(id, name, text) {name, text},
    PIPELINE_STATES(STATE_ROW)
#undef STATE_ROW
};

/* The states that may follow `from`, one bit for each. */
static unsigned followers(enum pipeline_state from)
{
    const unsigned ends = BIT(DRAINING) | BIT(STOPPED) | BIT(FAILED);
    switch (from) {
    case PIPELINE_STARTING:
        return ends | BIT(WAITING) | BIT(RUNNING) | BIT(RETRYING) | BIT(PAUSED) | BIT(BLOCKED);
    case PIPELINE_WAITING:
        return ends | BIT(STARTING) | BIT(RUNNING) | BIT(RETRYING) | BIT(PAUSED) | BIT(BLOCKED);
    case PIPELINE_RUNNING: /* WAITING: after a refused `position set` the lock is taken again */
        return ends | BIT(WAITING) | BIT(RETRYING) | BIT(PAUSED) | BIT(BLOCKED);
    case PIPELINE_RETRYING:
    case PIPELINE_BLOCKED:
        return ends | BIT(RUNNING) | BIT(WAITING) | BIT(PAUSED) | BIT(BLOCKED) | BIT(RETRYING);
    case PIPELINE_PAUSED:
        return ends | BIT(RUNNING) | BIT(RETRYING) | BIT(BLOCKED) | BIT(WAITING);
    case PIPELINE_DRAINING:
        return BIT(STOPPED) | BIT(FAILED);
    case PIPELINE_STOPPED:
    case PIPELINE_FAILED:
        break;
    }
    return 0;
}

const char *pipeline_state_name(enum pipeline_state state)
{
    return states[state].name;
}

bool pipeline_state_may_follow(enum pipeline_state from, enum pipeline_state to)
{
    return from == to || (followers(from) & (1u << to)) != 0;
}

void pipeline_state_reference(struct buf *out)
{
    buf_add_str(out, "| number | state | meaning |\n|---|---|---|\n");
    for (size_t i = 0; i < sizeof states / sizeof *states; i++) {
        buf_printf(out, "| %zu | `%s` | %s |\n", i, states[i].name, states[i].text);
    }
}
