/* Loads what most commands need first: the configuration, one of its pipelines and its store. */
#include "cli/cli.h"

#include "config/conf_suggest.h"
#include "daemon/assembly.h"
#include "daemon/membership.h"
#include "daemon/registry.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char default_file[] = "/etc/commitrelay/relay.yaml";

const char *cli_default_file(void)
{
    const char *named = getenv("COMMITRELAY_CONFIG");
    if (named && named[0]) {
        return named;
    }
    /* A file that may exist is named, so that loading it reports why it cannot be read. */
    return access(default_file, F_OK) == 0 || errno != ENOENT ? default_file : NULL;
}

static int no_file(void)
{
    return cli_error(
        EXIT_CODE_USAGE,
        "no configuration given; name it with -c FILE or $COMMITRELAY_CONFIG (there is no %s)",
        default_file);
}

static void warn(const struct config *c)
{
    for (size_t i = 0; i < c->warnings_count; i++) {
        cli_warning("%s", c->warnings[i]);
    }
}

int cli_load(const char *file, struct config **ret)
{
    struct error err = {0};
    file = file ? file : cli_default_file();
    if (!file) {
        return no_file();
    }
    if (config_load(file, registry_conf_plugins(), ret, &err)) {
        return cli_fail(&err);
    }
    warn(*ret);
    return 0;
}

int cli_load_all(const char *file, struct config **ret)
{
    CLEANUP(buf_release) struct buf faults = {0};
    struct error err = {0};
    file = file ? file : cli_default_file();
    if (!file) {
        return no_file();
    }
    if (config_load_all(file, registry_conf_plugins(), &faults, ret, &err)) {
        if (faults.len == 0) {
            return cli_fail(&err);
        }
        const char *end;
        for (const char *line = buf_str(&faults); (end = strchr(line, '\n')); line = end + 1) {
            (void)cli_error(err.exit_code, "%.*s", (int)(end - line), line);
        }
        return err.exit_code;
    }
    warn(*ret);
    return 0;
}

void cli_config_free(struct config **c)
{
    config_free(*c);
    *c = NULL;
}

int cli_pick(const struct config *c, const char *name, const struct conf_pipeline **ret)
{
    if (c->pipelines_count == 0) {
        return cli_error(EXIT_CODE_USAGE, "%s has no pipelines, only consumers", c->file);
    }
    if (!name && c->pipelines_count == 1) {
        *ret = &c->pipelines[0];
        return 0;
    }
    for (size_t i = 0; name && i < c->pipelines_count; i++) {
        if (strcmp(c->pipelines[i].name, name) == 0) {
            *ret = &c->pipelines[i];
            return 0;
        }
    }
    CLEANUP(buf_release) struct buf hint = {0};
    const char **names = calloc(c->pipelines_count + 1, sizeof *names);
    for (size_t i = 0; names && i < c->pipelines_count; i++) {
        names[i] = c->pipelines[i].name;
    }
    suggest_add(&hint, slice_from(name), "the pipelines are", names,
                names ? c->pipelines_count : 0);
    free(names);
    if (!name) {
        return cli_error(EXIT_CODE_USAGE, "%s has several pipelines, name one with --pipeline%s",
                         c->file, buf_str(&hint));
    }
    return cli_error(EXIT_CODE_USAGE, "%s has no pipeline \"%s\"%s", c->file, name, buf_str(&hint));
}

int cli_pick_consumer(const struct config *c, const char *name, const struct conf_consumer **ret)
{
    if (c->consumers_count == 0) {
        return cli_error(EXIT_CODE_CONFIG, "%s has no consumers; add the key `consumers`", c->file);
    }
    if (!name && c->consumers_count == 1) {
        *ret = &c->consumers[0];
        return 0;
    }
    for (size_t i = 0; name && i < c->consumers_count; i++) {
        if (strcmp(c->consumers[i].name, name) == 0) {
            *ret = &c->consumers[i];
            return 0;
        }
    }
    CLEANUP(buf_release) struct buf hint = {0};
    const char **names = calloc(c->consumers_count + 1, sizeof *names);
    for (size_t i = 0; names && i < c->consumers_count; i++) {
        names[i] = c->consumers[i].name;
    }
    suggest_add(&hint, slice_from(name), "the consumers are", names,
                names ? c->consumers_count : 0);
    free(names);
    return name ? cli_error(EXIT_CODE_USAGE, "%s has no consumer \"%s\"%s", c->file, name,
                            buf_str(&hint))
                : cli_error(EXIT_CODE_USAGE, "%s has several consumers, name one%s", c->file,
                            buf_str(&hint));
}

int cli_store_open(struct cli_store *ret, const struct config *c, const struct conf_pipeline *p)
{
    return cli_store_open_as(ret, c, p, p->name);
}

static int open_store(struct cli_store *ret, const struct config *c, const struct conf_pipeline *p,
                      const char *name, const char *part)
{
    struct error err = {0};
    ret->ops = assembly_store(&ret->env, &ret->url, c, p);
    ret->env.pipeline = name;
    ret->env.part = part;
    assembly_store_shown(&ret->shown, buf_str(&ret->url));
    ret->env.observe = true;
    if (ret->ops->open(&ret->env, &ret->store, &err)) {
        return cli_fail(&err);
    }
    return 0;
}

int cli_store_open_as(struct cli_store *ret, const struct config *c, const struct conf_pipeline *p,
                      const char *name)
{
    return open_store(ret, c, p, name, STORE_WHOLE);
}

int cli_store_open_part(struct cli_store *ret, const struct config *c,
                        const struct conf_pipeline *p, const char *part)
{
    return open_store(ret, c, p, p->name, part);
}

void cli_store_release(struct cli_store *s)
{
    if (s->store) {
        s->ops->close(s->store);
    }
    buf_release(&s->url);
    buf_release(&s->shown);
    *s = (struct cli_store){0};
}

int cli_refuse_shards(const struct conf_pipeline *p, const char *command, const char *remedy)
{
    return membership_shards(p) < 2
               ? 0
               : cli_error(
                     EXIT_CODE_CONFIG,
                     "pipeline %s is divided into shards (source.shards), which `%s` does not know in this version; %s",
                     p->name, command, remedy);
}
