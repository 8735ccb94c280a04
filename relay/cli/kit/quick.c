/* Makes YAML from URLs. */
#include "cli/kit/quick.h"

#include "config/conf_quote.h"
#include "daemon/registry.h"
#include <stdio.h>
#include <string.h>

static void add_key(struct buf *out, const char *key, const char *text)
{
    buf_printf(out, ", %s: ", key);
    conf_quote(out, text);
}

static int add_source(const struct cli_command *command, const struct source_url *source,
                      const struct quick *quick, struct buf *out)
{
    const char *value = NULL;
    const struct source_ops *ops = registry_source_of_url(source->url, quick->cdc, &value);
    if (!ops) {
        return args_mistake(command, "this program was built without a source for such a URL");
    }
    buf_printf(out, "    source: {type: %s", ops->name);
    if (source->from_environment && value == source->url) {
        /* The URL may hold a password, so the YAML has the variable's name and not its value. */
        buf_printf(out, ", %s: \"${COMMITRELAY_SOURCE}\"", ops->url.key);
    } else {
        add_key(out, ops->url.key, value);
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
    return 0;
}

const char *quick_sinks(const char *last)
{
    static _Thread_local char text[400];
    size_t used = 0;
    text[0] = '\0';
    for (const struct sink_ops *const *s = registry_sinks(); *s && used < sizeof text; s++) {
        const char *before = s == registry_sinks() ? "" : s[1] ? ", " : last;
        used += (size_t)snprintf(text + used, sizeof text - used, "%s%s", before, (*s)->url.shown);
    }
    return text;
}

int quick_sink(const struct cli_command *command, const char *sink, struct buf *out)
{
    const char *value = NULL;
    struct error err = {0};
    const struct sink_ops *ops = registry_sink_of_url(sink, &value);
    if (!ops) {
        return args_mistake(command, "--sink \"%s\" is none of %s", sink, quick_sinks(" and "));
    }
    if (ops->url.check && ops->url.check(value, &err)) {
        return args_mistake(command, "--sink %s", err.text);
    }
    buf_printf(out, "    sink: {type: %s", ops->name);
    if (ops->url.key) {
        add_key(out, ops->url.key, value);
    }
    buf_add_str(out, "}\n");
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
    int rc = add_source(command, source, quick, ret_yaml);
    if (rc || sink) {
        return rc ? rc : quick_sink(command, sink, ret_yaml);
    }
    buf_add_str(ret_yaml, "    sink: {type: none}\n");
    return 0;
}
