/* What stands on the command line means itself: no character of it is YAML, no ${...} is expanded.
 */
#include "cli/kit/quick.h"

#include <string.h>

void quick_quote(struct buf *out, const char *text)
{
    buf_add_char(out, '"');
    for (const char *p = text; *p; p++) {
        unsigned char c = (unsigned char)*p;
        if (c == '"' || c == '\\') {
            buf_add_char(out, '\\');
            buf_add_char(out, *p);
        } else if (c == '$' && p[1] == '{') {
            buf_add_str(out, "$$");
        } else if (c < 0x20 || c == 0x7f) {
            buf_printf(out, "\\x%02x", c);
        } else {
            buf_add_char(out, *p);
        }
    }
    buf_add_char(out, '"');
}

static void add_key(struct buf *out, const char *key, const char *text)
{
    buf_printf(out, ", %s: ", key);
    quick_quote(out, text);
}

static const char *after(const char *text, const char *prefix)
{
    size_t n = strlen(prefix);
    return strncmp(text, prefix, n) == 0 ? text + n : NULL;
}

static void add_source(struct buf *out, const struct source_url *source, const struct quick *quick)
{
    if (source->kind == SOURCE_KIND_SQLITE) {
        buf_add_str(out, "    source: {type: outbox_sqlite");
        add_key(out, "path", source->text);
    } else {
        buf_printf(out, "    source: {type: %s", quick->cdc ? "cdc_postgres" : "outbox_postgres");
        if (source->from_environment) {
            buf_add_str(out, ", url: \"${COMMITRELAY_SOURCE}\""); /* a secret stays where it is */
        } else {
            add_key(out, "url", source->text);
        }
    }
    if (quick->cdc) {
        buf_printf(out, ", as: %s", quick->table ? "outbox" : "changes");
    }
    if (quick->table) {
        add_key(out, "table", quick->table);
    }
    buf_add_str(out, "}\n");
    if (quick->cdc && !quick->table) {
        buf_add_str(out, "    encode: {format: flat}\n");
    }
}

static int add_sink(const struct cli_command *command, const char *sink, struct buf *out)
{
    const char *brokers = after(sink, "kafka://"), *dir = after(sink, "file:");
    if (strcmp(sink, "stdout:") == 0) {
        buf_add_str(out, "    sink: {type: stdout}\n");
    } else if (dir && dir[0]) {
        buf_add_str(out, "    sink: {type: file");
        add_key(out, "dir", dir);
        buf_add_str(out, "}\n");
    } else if (brokers && brokers[0]) {
        if (strpbrk(brokers, "/@?")) {
            return args_mistake(command, "--sink kafka://HOST:PORT[,HOST:PORT] takes brokers only; "
                                         "users, passwords and options go into a file (-c)");
        }
        buf_add_str(out, "    sink: {type: kafka");
        add_key(out, "brokers", brokers);
        buf_add_str(out, "}\n");
    } else {
        return args_mistake(command,
                            "--sink \"%s\" is none of kafka://HOST:PORT[,HOST:PORT], "
                            "file:DIR and stdout:",
                            sink);
    }
    return 0;
}

int quick_config(const struct cli_command *command, const struct source_url *source,
                 const char *sink, const struct quick *quick, struct buf *ret_yaml)
{
    if (quick->cdc && source->kind == SOURCE_KIND_SQLITE) {
        return args_mistake(command, "--cdc reads PostgreSQL's replication stream, and SQLite has "
                                     "none; leave --cdc out");
    }
    buf_add_str(ret_yaml, "pipelines:\n  - name: default\n");
    add_source(ret_yaml, source, quick);
    return add_sink(command, sink, ret_yaml);
}
