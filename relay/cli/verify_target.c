/* Finds out what `verify` compares with, and opens the sink that reads it. */
#include "cli/verify_target.h"

#include "cli/kit/args.h"
#include "cli/kit/quick.h"
#include "config/conf_quote.h"
#include "daemon/registry.h"
#include "db/pg.h"
#include "db/sqlite.h"
#include "pipeline/formats.h"
#include "pipeline/plugin_env.h"
#include <string.h>
#include <sys/stat.h>

void verify_target_release(struct verify_target *t)
{
    if (t->sink.sink) {
        t->sink.ops->close(t->sink.sink);
    }
    cli_config_free(&t->other);
    buf_release(&t->inbox_url);
    buf_release(&t->shown);
}

/* The inbox is in the outbox's database, unless --inbox names another. */
static int choose_inbox(struct verify_target *t)
{
    struct error err = {0};
    bool password = false;
    const struct source_ops *source = registry_source(t->p->source->name);
    if (!t->consumer) {
        return args_mistake(t->command, "--against inbox needs --consumer NAME");
    }
    if (t->inbox) {
        buf_add_str(&t->inbox_url, t->inbox);
    } else if (source->store_url) {
        source->store_url(t->p->source_conf, &t->inbox_url);
    }
    const char *url = buf_str(&t->inbox_url);
    if (!sqlite_url_path(url) && !pg_url(url)) {
        return args_mistake(t->command, "--inbox needs postgresql://..., a libpq conninfo string "
                                        "or sqlite:PATH");
    }
    if (t->inbox && pg_url(url) && pg_has_password(url, &password, &err)) {
        return args_mistake(t->command, "--inbox: %s", err.text);
    }
    if (password) {
        return args_mistake(t->command,
                            "--inbox holds a password, which other users could read; put it into "
                            "a password file (PGPASSFILE) or a service file (service=NAME)");
    }
    buf_printf(&t->shown, "in the inbox of %s", t->consumer);
    return 0;
}

/* The sink of this binary that leaves files. */
static const struct sink_ops *sink_of_files(void)
{
    for (const struct sink_ops *const *s = registry_sinks(); *s; s++) {
        if ((*s)->verify && (*s)->read_back) {
            return *s;
        }
    }
    return NULL;
}

/* Files are read as the pipeline writes them, or, if it writes none, as `replay` would have. */
static int choose_folder(struct verify_target *t)
{
    CLEANUP(buf_release) struct buf yaml = {0};
    struct error err = {0};
    struct stat st;
    const struct sink_ops *ops = sink_of_files();
    if (!ops) {
        return cli_error(EXIT_CODE_USAGE,
                         "this commitrelay was built without the sink that writes batch files");
    }
    if (stat(t->against, &st) || !S_ISDIR(st.st_mode)) {
        return args_mistake(t->command, "--against \"%s\" is neither sink, inbox nor a folder",
                            t->against);
    }
    buf_printf(&t->shown, "in %s", t->against);
    t->folder = t->against;
    if (ops == registry_sink(t->p->sink->name)) {
        return 0;
    }
    buf_printf(&yaml, "sink: {type: %s, %s: ", ops->name, ops->url.key);
    conf_quote(&yaml, t->folder);
    buf_add_str(&yaml, "}\n");
    if (config_parse_sink("command line", buf_slice(&yaml), registry_conf_plugins(), &t->other,
                          &err)) {
        return cli_fail(&err);
    }
    return 0;
}

bool verify_target_is_inbox(const struct verify_target *t)
{
    return t->against && strcmp(t->against, "inbox") == 0;
}

int verify_target_choose(struct verify_target *t, const struct conf_pipeline *p)
{
    bool sink = !t->against || strcmp(t->against, "sink") == 0;
    t->p = p;
    if (!verify_target_is_inbox(t) && (t->inbox || t->consumer)) {
        return args_mistake(t->command, "--inbox and --consumer need --against inbox");
    }
    return verify_target_is_inbox(t) ? choose_inbox(t) : sink ? 0 : choose_folder(t);
}

int verify_target_open(struct verify_target *t, const struct route *route, int stop_fd)
{
    struct error err = {0};
    const struct conf_pipeline *p = t->other ? &t->other->pipelines[0] : t->p;
    const struct sink_ops *ops = registry_sink(p->sink->name);
    size_t ignored;
    if (verify_target_is_inbox(t)) {
        return 0;
    }
    if (!ops->read_back) {
        return cli_error(
            EXIT_CODE_CONFIG,
            "what pipeline %s has sent cannot be read again: the sink %s has no "
            "way to do that in this version. Compare with --against inbox, or with a folder of batch files",
            t->p->name, ops->name);
    }
    if (t->shown.len == 0) {
        buf_printf(&t->shown, "in its sink (%s)", ops->name);
    }
    plugin_env_sink(&t->env, t->p, route);
    t->env.stop_fd = stop_fd;
    if (ops->open(p->sink_conf, &t->env, &t->sink.sink, &ignored, &err)) {
        return cli_fail(&err);
    }
    t->sink.ops = ops;
    t->sink.format = formats_encode(t->p).format;
    return 0;
}
