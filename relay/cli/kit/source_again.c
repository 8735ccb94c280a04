/* A stream cannot be read twice, but its outbox table can. */
#include "cli/kit/source_again.h"

#include "config/conf_quote.h"
#include "contract/source.h"
#include "daemon/registry.h"

static int load_polled(struct source_again *a, const struct source_polled *t, const char *command,
                       struct error *err)
{
    CLEANUP(buf_release) struct buf yaml = {0};
    const char *value = NULL;
    const struct source_ops *ops = registry_source_of_url(t->url, false, &value);
    if (!ops) {
        return error_set(err, ERROR_CONFIG, command,
                         "this program was built without the source that reads the table again");
    }
    buf_printf(&yaml, "pipelines: [{name: %s, sink: {type: none}, source: {type: %s, %s: ", command,
               ops->name, ops->url.key);
    conf_quote(&yaml, t->url);
    buf_add_str(&yaml, ", table: ");
    conf_quote(&yaml, t->table);
    buf_add_str(&yaml, ", columns: {");
    for (size_t i = 0; i < t->count; i++) {
        buf_printf(&yaml, "%s%s: ", i ? ", " : "", t->columns[i].key);
        conf_quote(&yaml, t->columns[i].name);
    }
    buf_add_str(&yaml, "}}}]\n");
    return config_parse(command, buf_slice(&yaml), registry_conf_sources(), &a->polled, err);
}

int source_again(struct source_again *ret, const struct conf_pipeline *p, const char *command,
                 struct error *err)
{
    const struct source_ops *ops = registry_source(p->source->name);
    *ret = (struct source_again){.reads = *p};
    if (!ops->polled) {
        return RESULT_DONE;
    }
    struct source_polled table;
    ops->polled(p->source_conf, &table);
    if (load_polled(ret, &table, command, err)) {
        return RESULT_ERROR;
    }
    ret->reads.source = ret->polled->pipelines[0].source;
    ret->reads.source_conf = ret->polled->pipelines[0].source_conf;
    return RESULT_DONE;
}

void source_again_release(struct source_again *a)
{
    cli_config_free(&a->polled);
}
