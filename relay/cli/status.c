/* `status`: prints the state, position and lag of each pipeline. If a daemon runs the file it is
 * asked; otherwise the command looks into the store and the source itself. */
#include "cli/kit/args.h"
#include "cli/kit/find_relay.h"
#include "cli/kit/json_text.h"
#include "cli/status_consumer.h"
#include "cli/status_text.h"
#include "cli/status_watch.h"
#include "config/conf_value.h"
#include <stdlib.h>

static int take_max_lag(const char *text, bool exit_code, int64_t *ret_us)
{
    if (text && !exit_code) {
        return args_mistake(&cli_status, "--max-lag goes with --exit-code");
    }
    if (text && (conf_parse_number(CONF_DURATION, text, ret_us) != CONF_PARSE_OK || *ret_us <= 0)) {
        return args_mistake(&cli_status, "--max-lag needs a time with a unit, such as 30s or 5m");
    }
    return 0;
}

static int run(int argc, char **argv)
{
    const char *file = NULL;
    const char *max_lag = NULL;
    bool json = false, exit_code = false, watch = false;
    const struct args_option options[] = {
        {"config", 'c', ARGS_TEXT, &file, "FILE", ARGS_CONFIG_HELP, 0, 0},
        {"json", 0, ARGS_FLAG, &json, NULL, "for programs", 0, 0},
        {"watch", 0, ARGS_FLAG, &watch, NULL, "again every two seconds, until Ctrl-C", 0, 0},
        {"exit-code", 0, ARGS_FLAG, &exit_code, NULL, "0 well, 1 degraded, 2 down: for monitors", 0,
         0},
        {"max-lag", 0, ARGS_TEXT, &max_lag, "TIME",
         "with --exit-code: a longer lag is degraded; 30s, 5m", 0, 0},
        ARGS_END};
    CLEANUP(cli_config_free) struct config *c = NULL;
    CLEANUP(find_relay_release) struct found_relay f = {0};
    CLEANUP(buf_release) struct buf out = {0};
    int rc, worst = 0;
    int64_t max_lag_us = 0;
    enum status_level level = STATUS_WELL;
    if (!args_parse(&cli_status, options, argc, argv, NULL, &rc) ||
        (rc = take_max_lag(max_lag, exit_code, &max_lag_us)) != 0 ||
        (rc = cli_load(file, &c)) != 0 || (rc = find_relay(&f, c)) != 0) {
        return rc;
    }
    if (watch) {
        return json || exit_code
                   ? args_mistake(&cli_status, "--watch goes with neither --json nor --exit-code")
                   : status_watch(c, &f);
    }
    json_t *list = json_array(), *consumers = json_array();
    struct status_of *of;
    size_t n = status_rows_of(c, &of);
    for (size_t i = 0; i < n; i++) {
        struct status_row row;
        status_row_look(&row, c, &of[i], &f);
        status_row_merge(&row, found_part(&f, of[i].conf->name, of[i].part), f.sure);
        json_array_append_new(list, status_row_json(&row));
        status_row_text(&row, c->file, &out);
        worst = worst ? worst : row.exit_code;
        enum status_level one = status_row_level(&row, max_lag_us);
        level = one > level ? one : level;
        status_row_release(&row);
    }
    free(of);
    for (size_t i = 0; i < c->consumers_count; i++) {
        const char *name = c->consumers[i].name;
        const json_t *told = f.sure ? found_consumer(&f, name) : NULL;
        json_array_append_new(consumers, status_consumer_json(name, told));
        status_consumer_text(name, told, c->file, &out);
        enum status_level one = status_consumer_level(told);
        level = one > level ? one : level;
    }
    if (json) {
        json_t *all = json_object();
        json_object_set(all, "pipelines", list);
        if (c->consumers_count > 0) {
            json_object_set(all, "consumers", consumers);
        }
        rc = json_print(all);
    } else {
        rc = cli_show(buf_slice(&out));
    }
    json_decref(list);
    json_decref(consumers);
    return rc ? rc : exit_code ? (int)level : worst;
}

const struct cli_command cli_status = {
    .name = "status",
    .summary =
        "state, position, lag, pending events and dead letters of each pipeline; of consumers",
    .usage = "[-c FILE] [--json | --watch] [--exit-code [--max-lag TIME]]",
    .about =
        "A daemon that runs this file is found by its socket, wherever it runs, and is "
        "believed first; store\nand source are looked at too. Without a daemon, a relay that "
        "does not hold its pipeline's lock is\nshown as stopped, whatever it last said of "
        "itself. No store is made.\n\n"
        "--watch asks the daemon alone, if there is one, and draws again in place on a terminal; "
        "elsewhere it\nprints a line for each pipeline and round.\n\n"
        "What a consumer does only its daemon knows: without one, or if `consume` runs it, its state "
        "is unknown.\n\n"
        "With --exit-code: 0 well; 1 degraded: retrying, starting or stopping, held up, "
        "lag above --max-lag,\nor something could not be seen; 2 down: blocked, failed, slot "
        "lost, no relay.\n\n"
        "Exit codes without it: 0 ok, whatever the states are; else that of the first "
        "problem: 75 a "
        "database cannot\nbe reached, 77 permission, 78 configuration, 69 what is stored does "
        "not fit the database; 64 usage.\n\n"
        "example: commitrelay status -c relay.yaml --json",
    .run = run,
};
