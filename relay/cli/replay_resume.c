/* The range must be given the same way as before, or not at all: the store knows what it meant. */
#include "cli/replay_resume.h"

#include "base/clock.h"
#include <string.h>

struct choice {
    const struct replay_words *words;
    const char *id; /* that was asked for; NULL: any */
    const struct replay_plan *given;
    struct replay_plan *plan; /* the last that fits */
    struct error *err;
    size_t fitting;
    struct buf ids; /* of all that fit */
};

static int consider(void *ctx, const struct store_replay *row)
{
    struct choice *choice = ctx;
    CLEANUP(replay_plan_release) struct replay_plan one = {0};
    if (choice->id && strcmp(choice->id, row->id) != 0) {
        return 0;
    }
    if (replay_plan_parse(&one, row, choice->err)) {
        return RESULT_ERROR;
    }
    bool fits = !replay_words_any(choice->words) ||
                strcmp(buf_str(&one.words), buf_str(&choice->given->words)) == 0;
    if (fits) {
        char since[CLOCK_RFC3339_SIZE];
        clock_format_rfc3339(row->started_us, since);
        buf_printf(&choice->ids, "%s%s (%s%s, begun %s, %llu of %lld sent)",
                   choice->fitting ? ", " : "", row->id, buf_str(&one.words) + 1,
                   buf_str(&one.sink), since, (unsigned long long)row->delivered,
                   (long long)one.total);
        choice->fitting++;
        replay_plan_move(choice->plan, &one);
    }
    return 0;
}

static int check_choice(const struct choice *choice, const char *pipeline)
{
    if (choice->fitting == 0) {
        return cli_error(
            EXIT_CODE_USAGE,
            "pipeline %s has no interrupted replay%s%s; leave --resume out to begin one", pipeline,
            choice->id                        ? " of the id "
            : replay_words_any(choice->words) ? " of this range"
                                              : "",
            choice->id ? choice->id : "");
    }
    if (choice->fitting > 1) {
        return cli_error(
            EXIT_CODE_USAGE,
            "pipeline %s has several interrupted replays, choose one with --replay-id: "
            "%s",
            pipeline, buf_str(&choice->ids));
    }
    if (strcmp(buf_str(&choice->plan->sink), buf_str(&choice->given->sink)) != 0) {
        return cli_error(EXIT_CODE_USAGE, "replay %s was begun %s%s; give the same sink",
                         choice->plan->id, choice->plan->sink.len ? "with" : "without --sink",
                         buf_str(&choice->plan->sink));
    }
    return 0;
}

int replay_resume_find(struct cli_store *store, const struct replay_words *w, const char *id,
                       struct replay_plan *plan)
{
    CLEANUP(replay_plan_release) struct replay_plan found = {0};
    struct error err = {0};
    struct choice choice = {.words = w, .id = id, .given = plan, .plan = &found, .err = &err};
    int rc = store->ops->replay_list(store->store, consider, &choice, &err)
                 ? cli_fail(&err)
                 : check_choice(&choice, store->env.pipeline);
    buf_release(&choice.ids);
    if (rc == 0) {
        replay_plan_move(plan, &found);
    }
    return rc;
}
