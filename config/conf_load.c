/* Loads a configuration: file, tree, structs, checks. It is loaded as a whole or not at all: a
 * daemon that started with half of its pipelines would look healthy. */
#include "config/conf_core.h"

#include "base/memory.h"
#include "config/conf_consumer.h"
#include "config/conf_fill.h"
#include "config/conf_fingerprint.h"
#include "config/conf_mask.h"
#include "config/conf_set.h"
#include "config/conf_suggest.h"
#include "config/conf_text.h"
#include "config/config.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* PLUGINS_MAX is how many names an error text can list. */
enum { PIPELINES_MAX = 1000, CONSUMERS_MAX = 1000, PLUGINS_MAX = 64 };

static char *keep(struct arena *memory, const char *text)
{
    size_t n = strlen(text) + 1;
    return memcpy(arena_bytes(memory, n), text, n);
}

static size_t plugin_names(const struct conf_plugin *plugins, const char *names[PLUGINS_MAX])
{
    size_t n = 0;
    for (; plugins && plugins->name && n < PLUGINS_MAX; plugins++) {
        names[n++] = plugins->name;
    }
    return n;
}

static int unknown_plugin(struct conf_load *load, struct conf_place at,
                          const struct tree_node *node, const char *type,
                          const struct conf_plugin *plugins, struct error *err)
{
    char shown[TREE_SHOWN_SIZE];
    const char *names[PLUGINS_MAX];
    tree_shown(slice_from(type), shown);
    if (conf_is_later(load, at.where, type)) {
        return conf_fail(load, node->line, err, "%s: `%s` is not in this version", at.path, shown);
    }
    CLEANUP(buf_release) struct buf hint = {0};
    suggest_add(&hint, slice_from(type), "one of", names, plugin_names(plugins, names));
    return conf_fail(load, node->line, err, "%s: `%s` is not a known type%s", at.path, shown,
                     buf_str(&hint));
}

/* Finds the plugin of a source or sink, whose place is `at`, by the value of `type`. Its key table
 * then reads the rest. */
static int find_plugin(struct conf_load *load, struct conf_place at, const struct tree_node *map,
                       const struct conf_plugin *plugins, const struct conf_plugin **ret,
                       struct error *err)
{
    const struct tree_pair *pair = tree_find(map, "type");
    struct conf_place place = conf_place_child(load, at, "type");
    char *type;
    if (!pair) {
        const char *names[PLUGINS_MAX];
        CLEANUP(buf_release) struct buf hint = {0};
        suggest_add(&hint, SLICE_NULL, "one of", names, plugin_names(plugins, names));
        return conf_fail(load, map->line, err, "required key `type` is missing in %s%s", at.path,
                         buf_str(&hint));
    }
    if (conf_scalar(load, place, pair->value, &type, NULL, err)) {
        return RESULT_ERROR;
    }
    for (const struct conf_plugin *p = plugins; p && p->name; p++) {
        if (strcmp(p->name, type) == 0) {
            *ret = p;
            return RESULT_DONE;
        }
    }
    return unknown_plugin(load, place, pair->value, type, plugins, err);
}

/* Loads the source or the sink of a pipeline, or the `from` of a consumer (`part` is the key). */
static int load_plugin(struct conf_load *load, struct conf_place outer, const char *part,
                       const struct tree_node *pipeline, const struct conf_plugin *plugins,
                       const struct conf_plugin **ret_plugin, void **ret_conf, struct error *err)
{
    const struct tree_pair *pair = tree_find(pipeline, part);
    struct conf_place at = conf_place_child(load, outer, part);
    const struct tree_node *map = NULL;
    if (!pair) {
        return conf_fail(load, pipeline->line, err, "required key `%s` is missing in %s", part,
                         outer.path);
    }
    if (conf_expect_map(load, at, pair->value, &map, err)) {
        return RESULT_ERROR;
    }
    if (!map) {
        return conf_fail(load, pair->line, err, "%s is empty; it needs a `type`", at.path);
    }
    const struct conf_plugin *plugin = NULL;
    if (find_plugin(load, at, map, plugins, &plugin, err) || !plugin) {
        return RESULT_ERROR;
    }
    void *conf = arena_array(load->memory, 1, plugin->conf_size + 1); /* + 1: conf_size may be 0 */
    if (conf_fill(load, at, map->line, map, plugin->keys, conf_plugin_extra, conf, err)) {
        return RESULT_ERROR;
    }
    *ret_plugin = plugin;
    *ret_conf = conf;
    return RESULT_DONE;
}

static char *fingerprint(struct conf_load *load, const struct config *c,
                         const struct conf_pipeline *p)
{
    CLEANUP(buf_release) struct buf text = {0};
    /* The store too: state is kept there, so a change of it must restart the pipeline. */
    conf_fingerprint(&text, "", &conf_top_keys[0].group[0], c);
    conf_fingerprint(&text, "", conf_pipeline_keys, p);
    conf_mask_fingerprint(&text, &p->mask);
    buf_printf(&text, "source.type=%s\n", p->source->name);
    conf_fingerprint(&text, "source", p->source->keys, p->source_conf);
    buf_printf(&text, "sink.type=%s\n", p->sink->name);
    conf_fingerprint(&text, "sink", p->sink->keys, p->sink_conf);
    return keep(load->memory, buf_str(&text));
}

static int load_pipeline(struct conf_load *load, const struct conf_plugins *plugins, size_t index,
                         const struct tree_node *node, struct conf_pipeline *p, struct error *err)
{
    char path[40];
    snprintf(path, sizeof path, "pipelines[%zu]", index);
    struct conf_place at = {path, ""};
    if (node->kind != TREE_MAP) {
        return conf_fail(load, node->line, err, "%s must be a map of keys", path);
    }
    size_t before = load->faults_count;
    if (conf_fill(load, at, node->line, node, conf_pipeline_keys, conf_pipeline_extra, p, err)) {
        return RESULT_ERROR;
    }
    const struct tree_pair *name = tree_find(node, "name");
    p->line = name ? name->line : node->line;
    /* If a key was wrong, it now holds a default, and a check against other keys would report
     * mistakes that are not there. */
    bool whole = load->faults_count == before;
    if ((conf_mask_load(load, at, node, &p->mask, err) && conf_go_on(load, err)) ||
        (whole && conf_check_pipeline(load, at, node, p, err) && conf_go_on(load, err)) ||
        (load_plugin(load, at, "source", node, plugins->sources, &p->source, &p->source_conf,
                     err) &&
         conf_go_on(load, err)) ||
        (load_plugin(load, at, "sink", node, plugins->sinks, &p->sink, &p->sink_conf, err) &&
         conf_go_on(load, err))) {
        return RESULT_ERROR;
    }
    return RESULT_DONE;
}

/* State is stored under the name, so two pipelines of one name would use one cursor. */
static int check_twins(struct conf_load *load, const struct conf_pipeline *pipelines, size_t index,
                       struct error *err)
{
    for (size_t i = 0; i < index; i++) {
        if (pipelines[i].name && strcmp(pipelines[i].name, pipelines[index].name) == 0) {
            return conf_fail(
                load, pipelines[index].line, err,
                "pipelines[%zu].name: a pipeline `%s` is already in line %d; each needs a name of its own",
                index, pipelines[index].name, pipelines[i].line);
        }
    }
    return RESULT_DONE;
}

static int load_pipelines(struct conf_load *load, const struct conf_plugins *plugins,
                          const struct tree_node *root, struct config *c, struct error *err)
{
    const struct tree_pair *pair = tree_find(root, "pipelines");
    if (!pair && tree_find(root, "consumers")) {
        return RESULT_DONE;
    }
    if (!pair) {
        return conf_fail(
            load, root ? root->line : 1, err,
            "required key `pipelines` is missing; it is a list with one entry a pipeline");
    }
    const struct tree_node *list = pair->value;
    if (list->kind != TREE_LIST || list->count == 0 || list->count > PIPELINES_MAX) {
        return conf_fail(load, pair->line, err,
                         "pipelines must be a list (- name: ...) of 1 to %d pipelines",
                         PIPELINES_MAX);
    }
    c->pipelines = arena_array(load->memory, list->count, sizeof *c->pipelines);
    for (size_t i = 0; i < list->count; i++) {
        struct conf_pipeline *p = &c->pipelines[i];
        size_t before = load->faults_count;
        if ((load_pipeline(load, plugins, i, list->items[i], p, err) && conf_go_on(load, err)) ||
            (load->faults_count == before && check_twins(load, c->pipelines, i, err) &&
             conf_go_on(load, err))) {
            return RESULT_ERROR;
        }
        p->fingerprint = load->faults_count == 0 ? fingerprint(load, c, p) : NULL;
        c->pipelines_count++;
    }
    return RESULT_DONE;
}

static int load_consumer(struct conf_load *load, const struct conf_plugins *plugins, size_t index,
                         const struct tree_node *node, struct conf_consumer *c, struct error *err)
{
    char path[40];
    snprintf(path, sizeof path, "consumers[%zu]", index);
    struct conf_place at = {path, ""};
    if (node->kind != TREE_MAP) {
        return conf_fail(load, node->line, err, "%s must be a map of keys", path);
    }
    size_t before = load->faults_count;
    if (conf_fill(load, at, node->line, node, conf_consumer_keys, conf_consumer_extra, c, err)) {
        return RESULT_ERROR;
    }
    const struct tree_pair *name = tree_find(node, "name");
    c->line = name ? name->line : node->line;
    bool whole = load->faults_count == before;
    if ((whole && conf_consumer_check(load, at, node, c, err) && conf_go_on(load, err)) ||
        (load_plugin(load, at, "from", node, plugins->origins, &c->from, &c->from_conf, err) &&
         conf_go_on(load, err))) {
        return RESULT_ERROR;
    }
    return RESULT_DONE;
}

/* What was applied is kept under the name, so two consumers of one name would share it. */
static int check_consumer_twins(struct conf_load *load, const struct conf_consumer *consumers,
                                size_t index, struct error *err)
{
    for (size_t i = 0; i < index; i++) {
        if (consumers[i].name && strcmp(consumers[i].name, consumers[index].name) == 0) {
            return conf_fail(
                load, consumers[index].line, err,
                "consumers[%zu].name: a consumer `%s` is already in line %d; each needs a name of its own",
                index, consumers[index].name, consumers[i].line);
        }
    }
    return RESULT_DONE;
}

static int load_consumers(struct conf_load *load, const struct conf_plugins *plugins,
                          const struct tree_node *root, struct config *c, struct error *err)
{
    const struct tree_pair *pair = tree_find(root, "consumers");
    if (!pair) {
        return RESULT_DONE;
    }
    const struct tree_node *list = pair->value;
    if (list->kind != TREE_LIST || list->count == 0 || list->count > CONSUMERS_MAX) {
        return conf_fail(load, pair->line, err,
                         "consumers must be a list (- name: ...) of 1 to %d consumers",
                         CONSUMERS_MAX);
    }
    c->consumers = arena_array(load->memory, list->count, sizeof *c->consumers);
    for (size_t i = 0; i < list->count; i++) {
        struct conf_consumer *one = &c->consumers[i];
        size_t before = load->faults_count;
        if ((load_consumer(load, plugins, i, list->items[i], one, err) && conf_go_on(load, err)) ||
            (load->faults_count == before && check_consumer_twins(load, c->consumers, i, err) &&
             conf_go_on(load, err))) {
            return RESULT_ERROR;
        }
        CLEANUP(buf_release) struct buf text = {0};
        if (load->faults_count == 0) {
            conf_consumer_fingerprint(&text, one);
            one->fingerprint = keep(load->memory, buf_str(&text));
        }
        c->consumers_count++;
    }
    return RESULT_DONE;
}

/* A file with a sink alone. */
static int load_sink(struct conf_load *load, const struct conf_plugins *plugins,
                     const struct tree_node *root, struct config *c, struct error *err)
{
    static const struct conf_key no_keys[] = {CONF_END};
    static const char *const extra[] = {"sink", NULL};
    const struct conf_place top = {"", ""};
    char nothing;
    if (!root || root->kind != TREE_MAP) {
        return conf_fail(load, root ? root->line : 1, err,
                         "a sink's file is a map with one key, `sink`");
    }
    c->pipelines = arena_array(load->memory, 1, sizeof *c->pipelines);
    c->pipelines_count = 1;
    return conf_fill(load, top, 1, root, no_keys, extra, &nothing, err)
               ? RESULT_ERROR
               : load_plugin(load, top, "sink", root, plugins->sinks, &c->pipelines[0].sink,
                             &c->pipelines[0].sink_conf, err);
}

static void take_warnings(const struct conf_load *load, struct config *c)
{
    c->warnings = arena_array(load->memory, load->warnings_count + 1, sizeof *c->warnings);
    for (const struct conf_warning *w = load->warnings; w; w = w->next) {
        c->warnings[c->warnings_count++] = w->text;
    }
}

static int load_whole(struct conf_load *load, const struct conf_plugins *plugins,
                      const struct tree_node *root, struct config *c, struct error *err)
{
    const struct conf_place top = {"", ""};
    if (root && root->kind != TREE_MAP) {
        return conf_fail(
            load, root->line, err,
            "a configuration is a map with the keys store, log, admin, pipelines and consumers");
    }
    return conf_fill(load, top, 1, root, conf_top_keys, conf_top_extra, c, err) ||
                   (c->store.url[0] && conf_check_top(load, plugins, root, c, err) &&
                    conf_go_on(load, err)) ||
                   load_pipelines(load, plugins, root, c, err) ||
                   load_consumers(load, plugins, root, c, err)
               ? RESULT_ERROR
               : RESULT_DONE;
}

/* What a file holds: load_whole or load_sink. */
typedef int load_part(struct conf_load *load, const struct conf_plugins *plugins,
                      const struct tree_node *root, struct config *c, struct error *err);

static int load_tree(struct conf_load *load, load_part *part, const struct conf_plugins *plugins,
                     const struct tree_node *root, struct config *c, struct error *err)
{
    if (part(load, plugins, root, c, err)) {
        return RESULT_ERROR;
    }
    take_warnings(load, c);
    if (load->faults_count > 0) {
        *err = *load->first;
        return RESULT_ERROR;
    }
    return RESULT_DONE;
}

/* Overwrites the memory before freeing it: passwords lie there, and a core dump or reused memory
 * would show them. */
static void forget(struct arena *a)
{
    arena_wipe(a);
    arena_release(a);
}

static struct config *config_new(const char *name)
{
    struct arena *memory = memory_need(malloc(sizeof *memory));
    arena_init(memory);
    struct config *c = arena_array(memory, 1, sizeof *c);
    c->memory = memory;
    c->file = keep(memory, name);
    return c;
}

static void free_memory(void *memory)
{
    if (memory) {
        forget(memory);
        free(memory);
    }
}

void config_free(struct config *c)
{
    if (c) {
        free_memory(c->memory); /* the struct lies in this memory too */
    }
}

static int parse(const char *name, struct slice yaml, load_part *part,
                 const struct conf_plugins *plugins, struct buf *faults, struct config **ret,
                 struct error *err)
{
    const struct tree_node *root = NULL;
    struct error first;
    CLEANUP(forget) struct arena scratch;
    arena_init(&scratch);
    struct config *c = config_new(name);
    struct conf_load load = {.file = c->file,
                             .memory = c->memory,
                             .scratch = &scratch,
                             .later = plugins->later,
                             .faults = faults,
                             .first = &first};
    load.warnings_end = &load.warnings;
    digest_sha256(yaml, c->digest);
    if (tree_parse(c->file, yaml, &scratch, &root, err) ||
        load_tree(&load, part, plugins, root, c, err)) {
        /* A mistake that ended the load at once has not been noted yet. */
        if (faults && load.faults_count == 0) {
            (void)!conf_go_on(&load, err); /* it ends all the same */
        }
        config_free(c);
        return RESULT_ERROR;
    }
    *ret = c;
    return RESULT_DONE;
}

int config_parse(const char *name, struct slice yaml, const struct conf_plugins *plugins,
                 struct config **ret, struct error *err)
{
    return parse(name, yaml, load_whole, plugins, NULL, ret, err);
}

int config_parse_sink(const char *name, struct slice yaml, const struct conf_plugins *plugins,
                      struct config **ret, struct error *err)
{
    return parse(name, yaml, load_sink, plugins, NULL, ret, err);
}

int config_parse_all(const char *name, struct slice yaml, const struct conf_plugins *plugins,
                     struct buf *faults, struct config **ret, struct error *err)
{
    return parse(name, yaml, load_whole, plugins, faults, ret, err);
}

/* O_NONBLOCK: without it, opening a FIFO would wait for a writer; conf_check_file refuses it. */
static int load_file(const char *path, load_part *part, const struct conf_plugins *plugins,
                     struct buf *faults, struct config **ret, struct error *err)
{
    struct slice text;
    CLEANUP(forget) struct arena scratch;
    arena_init(&scratch);
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0) {
        return error_set(err, ERROR_CONFIG, "config", "%s: cannot be opened: %s (%s)", path,
                         strerror(errno), strerrorname_np(errno));
    }
    mode_t mode;
    int result = conf_check_file(fd, "configuration file", path,
                                 "change what the relay does; chmod o-w it", &mode, err);
    result = result ? result : conf_read_file(fd, path, TREE_MAX_BYTES, &scratch, &text, err);
    close(fd);
    return result ? result : parse(path, text, part, plugins, faults, ret, err);
}

int config_load(const char *path, const struct conf_plugins *plugins, struct config **ret,
                struct error *err)
{
    return load_file(path, load_whole, plugins, NULL, ret, err);
}

int config_load_sink(const char *path, const struct conf_plugins *plugins, struct config **ret,
                     struct error *err)
{
    return load_file(path, load_sink, plugins, NULL, ret, err);
}

int config_load_all(const char *path, const struct conf_plugins *plugins, struct buf *faults,
                    struct config **ret, struct error *err)
{
    return load_file(path, load_whole, plugins, faults, ret, err);
}

int config_defaults(const struct conf_key *keys, void *conf, void **ret_memory, struct error *err)
{
    struct arena *memory = memory_need(malloc(sizeof *memory));
    CLEANUP(forget) struct arena scratch;
    arena_init(&scratch);
    arena_init(memory);
    struct conf_load load = {
        .file = "defaults", .memory = memory, .scratch = &scratch, .is_default = true};
    if (conf_fill(&load, (struct conf_place){"", ""}, 0, NULL, keys, NULL, conf, err)) {
        free_memory(memory);
        return RESULT_ERROR;
    }
    *ret_memory = memory;
    return RESULT_DONE;
}

void config_defaults_free(void *memory)
{
    free_memory(memory);
}
