/* The relay's own pipeline runs a replay, with a configuration that is changed here. */
#include "cli/replay_sink.h"

#include "base/memory.h"
#include "cli/kit/args.h"
#include "cli/kit/quick.h"
#include "contract/sink.h"
#include "daemon/registry.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void replay_sink_release(struct replay_sink *s)
{
    cli_config_free(&s->config);
    free(s->headers);
}

static int load(struct replay_sink *s, const struct replay_words *w)
{
    CLEANUP(buf_release) struct buf yaml = {0};
    struct error err = {0};
    int rc = 0;
    if (w->sink) {
        rc = quick_sink(w->command, w->sink, &yaml);
        if (rc == 0 && config_parse_sink("command line", buf_slice(&yaml), registry_conf_plugins(),
                                         &s->config, &err)) {
            rc = cli_fail(&err);
        }
    } else if (config_load_sink(w->sink_config, registry_conf_plugins(), &s->config, &err)) {
        rc = cli_fail(&err);
    }
    for (size_t i = 0; rc == 0 && i < s->config->warnings_count; i++) {
        cli_warning("%s", s->config->warnings[i]);
    }
    return rc;
}

/* What an event of another sink's replay leaves behind must not be sent to the pipeline's own by a
 * later `dead-letters retry`: there it stops. */
int replay_sink_choose(struct replay_sink *s, const struct conf_pipeline *p,
                       const struct replay_words *w)
{
    const struct conf_pipeline *sink = p;
    s->p = p;
    s->changed = *p;
    if (w->sink || w->sink_config) {
        int rc = load(s, w);
        if (rc) {
            return rc;
        }
        sink = &s->config->pipelines[0];
        s->changed.delivery.poison = CONF_POISON_STOP;
        s->changed.delivery.dead_letter_topic = s->no_topic;
    }
    s->changed.sink = sink->sink;
    s->changed.sink_conf = sink->sink_conf;
    const struct sink_ops *ops = registry_sink(sink->sink->name);
    bool same =
        sink->sink == p->sink && ops->same_place && ops->same_place(sink->sink_conf, p->sink_conf);
    return same ? cli_error(
                      EXIT_CODE_USAGE,
                      "replay: the folder of pipeline %s holds each event in exactly one file, "
                      "and a replay would put it into a second one; name another folder: "
                      "--sink %s",
                      p->name, ops->url.shown)
                : 0;
}

/* Logs, files and the producer get a name of their own; what is in the messages keeps the
 * pipeline's. */
struct conf_pipeline *replay_sink_pipeline(struct replay_sink *s, char *id)
{
    struct conf_pipeline *p = &s->changed;
    const struct conf_named_list *before = &s->p->encode.headers;
    snprintf(s->header, sizeof s->header, "replayed");
    snprintf(s->name, sizeof s->name, "%s-replay-%s", s->p->name, id);
    if (!p->encode.name || !p->encode.name[0]) {
        p->encode.name = s->p->name;
    }
    p->name = s->name;
    s->headers = memory_need(calloc(before->count + 1, sizeof *s->headers));
    size_t n = 0;
    for (size_t i = 0; i < before->count; i++) {
        if (strcmp(before->items[i].as, s->header) != 0) {
            s->headers[n++] = before->items[i];
        }
    }
    s->headers[n++] = (struct conf_named){.as = s->header, .value = id};
    p->encode.headers.items = s->headers;
    p->encode.headers.count = n;
    return p;
}
