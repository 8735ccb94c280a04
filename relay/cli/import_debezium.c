/* `import-debezium`: translates the configuration of a Debezium connector or Server into one of
 * ours, and says what it could not translate. */
#include "cli/import/import.h"
#include "cli/kit/args.h"
#include "config/conf_text.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

enum { FILE_MAX = 4 << 20 };

static void close_fd(const int *fd)
{
    if (*fd >= 0) {
        close(*fd);
    }
}

static int read_options(struct import_options *options, const char *file, struct error *err)
{
    struct slice text;
    CLEANUP(close_fd) int fd = open(file, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    if (fd < 0) {
        return error_errno(err, "import", errno, "%s cannot be read", file);
    }
    if (conf_read_file(fd, file, FILE_MAX, options->memory, &text, err)) {
        err->exit_code = EXIT_CODE_IO;
        return RESULT_ERROR;
    }
    if (text.len > FILE_MAX) {
        return error_set(err, ERROR_CONFIG, "import", "%s: has more than 4 MiB", file);
    }
    size_t blanks = 0;
    while (blanks < text.len && strchr(" \t\r\n", text.ptr[blanks])) {
        blanks++;
    }
    import_next_file(options);
    bool json = blanks < text.len && (text.ptr[blanks] == '{' || text.ptr[blanks] == '[');
    return json ? import_read_json(options, file, text, err)
                : import_read_properties(options, file, text, err);
}

static int translate(char **files, size_t count)
{
    CLEANUP(arena_release) struct arena memory = {0};
    CLEANUP(import_result_release) struct import_result result = {0};
    struct import_options options = {.memory = &memory};
    struct error err = {0};
    for (size_t i = 0; i < count; i++) {
        if (read_options(&options, files[i], &err)) {
            return cli_fail(&err);
        }
    }
    if (import_debezium(&options, files[0], &result, &err)) {
        return cli_fail(&err);
    }
    int rc = cli_print(buf_slice(&result.yaml));
    fputs(buf_str(&result.report), stderr);
    return rc ? rc : result.changes;
}

static int run(int argc, char **argv)
{
    const struct args_option options[] = {ARGS_END};
    struct args_rest rest;
    int exit_code;
    if (!args_parse(&cli_import_debezium, options, argc, argv, &rest, &exit_code)) {
        return exit_code;
    }
    return rest.count ? translate(rest.items, rest.count)
                      : args_mistake(&cli_import_debezium, "the file is missing");
}

const struct cli_command cli_import_debezium = {
    .name = "import-debezium",
    .summary = "translate a configuration of Debezium into one of the relay",
    .usage = "FILE [WORKER-FILE]",
    .about =
        "FILE is the JSON that Kafka Connect got for a Debezium connector of PostgreSQL, or properties:\n"
        "those of Debezium Server, or of a connector. WORKER-FILE: that of Kafka Connect's worker, for "
        "brokers\nand converters that the connector does not name.\n"
        "The configuration goes to stdout; an option without a counterpart is a comment that says why. "
        "To stderr\ngoes what changes messages, what is only operation, what is not needed, and what is "
        "left to do.\nSecrets are not copied.\n\n"
        "Exit codes: 0 messages stay as they are; 1 something that changes messages is left out; 64 "
        "usage;\n74 a file cannot be read; 78 it is no configuration of Debezium for PostgreSQL.\n\n"
        "example: commitrelay import-debezium orders-connector.json > relay.yaml",
    .run = run,
};
