/* Says how each pipeline stands, with or without a daemon to ask. */
#include "cli/args.h"
#include "cli/find_relay.h"
#include "cli/json_text.h"
#include "cli/status_row.h"

static int run(int argc, char **argv)
{
    const char *file = NULL;
    bool json = false;
    const struct args_option options[] = {
        {"config", 'c', ARGS_TEXT, &file, "FILE", "the configuration", 0, 0},
        {"json", 0, ARGS_FLAG, &json, NULL, "for programs", 0, 0},
        ARGS_END};
    CLEANUP(cli_config_free) struct config *c = NULL;
    CLEANUP(find_relay_release) struct found_relay f = {0};
    CLEANUP(buf_release) struct buf out = {0};
    int rc, worst = 0;
    if (!args_parse(&cli_status, options, argc, argv, NULL, &rc) ||
        (rc = cli_load(file, &c)) != 0 || (rc = find_relay(&f, c)) != 0) {
        return rc;
    }
    json_t *list = json_array();
    for (size_t i = 0; i < c->pipelines_count; i++) {
        struct status_row row = {0};
        status_row_look(&row, c, &c->pipelines[i], &f);
        status_row_merge(&row, found_pipeline(&f, c->pipelines[i].name), f.sure);
        json_array_append_new(list, status_row_json(&row));
        status_row_text(&row, &out);
        worst = worst ? worst : row.exit_code;
        status_row_release(&row);
    }
    if (json) {
        json_t *all = json_object();
        json_object_set(all, "pipelines", list);
        rc = json_print(all);
    } else {
        rc = cli_print(buf_slice(&out));
    }
    json_decref(list);
    return rc ? rc : worst;
}

const struct cli_command cli_status = {
    .name = "status",
    .summary = "state, position, lag, pending events and dead letters of each pipeline",
    .usage = "-c FILE [--json]",
    .about = "A daemon that runs this file is found by its socket, wherever it runs, and is "
             "believed first; store\nand source are looked at too. Without a daemon, a relay that "
             "does not hold its pipeline's lock is\nshown as stopped, whatever it last said of "
             "itself. No store is made.\n\n"
             "Exit codes: 0 ok, whatever the states are; else that of the first problem: 75 a "
             "database cannot\nbe reached, 77 permission, 78 configuration, 69 what is stored does "
             "not fit the database; 64 usage.\n\n"
             "example: commitrelay status -c relay.yaml --json",
    .run = run,
};
