/* `version`: prints the program's version and those of the libraries that it runs with. */
#include "cli/kit/args.h"
#include "daemon/versions.h"

static int run(int argc, char **argv)
{
    const struct args_option options[] = {ARGS_END};
    int exit_code;
    if (!args_parse(&cli_version, options, argc, argv, NULL, &exit_code)) {
        return exit_code;
    }
    CLEANUP(buf_release) struct buf out = {0};
    buf_add_str(&out, "commitrelay " COMMITRELAY_VERSION "\n");
    versions_add(&out, "\n");
    buf_add_char(&out, '\n');
    return cli_print(buf_slice(&out));
}

const struct cli_command cli_version = {
    .name = "version",
    .summary = "own version, and those of libpq, librdkafka and SQLite",
    .usage = "",
    .run = run,
};
