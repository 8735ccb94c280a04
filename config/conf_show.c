/* Walks the key tables like conf_fingerprint.c. What is shown is chosen by what cannot be a secret,
 * not by what looks like one. */
#include "config/conf_show.h"

#include "base/shown.h"
#include "config/conf_consumer.h"
#include "config/conf_core.h"
#include "config/conf_mask.h"
#include <inttypes.h>
#include <string.h>

struct show {
    conf_show_each *each;
    void *ctx;
};

static const char hidden[] = "***";

/* "postgresql://app:pw@db:5432/shop?sslmode=require" becomes "postgresql://db:5432/" and ***. A
 * text without an authority is shown if it has neither user nor parameters: "sqlite:relay.db". */
static void add_url(struct buf *out, const char *url)
{
    const char *gap = strstr(url, "://");
    if (!gap) {
        buf_add_str(out, !*url || !strpbrk(url, "=@?& ") ? url : hidden);
        return;
    }
    const char *host = gap + 3, *end = host + strcspn(host, "/?#");
    const char *at = memrchr(host, '@', (size_t)(end - host));
    if (strchr(end, '@')) { /* a password with a slash in it, perhaps */
        buf_add_str(out, hidden);
        return;
    }
    buf_add(out, url, (size_t)(gap + 3 - url));
    host = at ? at + 1 : host;
    buf_add(out, host, (size_t)(end - host));
    if (*end) {
        buf_printf(out, "/%s", hidden);
    }
}

static void add_secret(struct buf *out, const char *key, const char *text)
{
    if (strstr(key, "url")) {
        add_url(out, text);
    } else if (*text) {
        buf_add_str(out, hidden);
    }
}

static void add_units(struct buf *out, int64_t n, const char *const *units, const int64_t *sizes)
{
    size_t i = 0;
    while (sizes[i] > 1 && (n == 0 || n % sizes[i] != 0)) {
        i++;
    }
    buf_printf(out, "%" PRId64 "%s", n / sizes[i], units[i]);
}

static void add_duration(struct buf *out, int64_t us)
{
    static const char *const units[] = {"d", "h", "m", "s", "ms", "us"};
    static const int64_t sizes[] = {
        86400 * INT64_C(1000000), 3600 * INT64_C(1000000), 60 * INT64_C(1000000), 1000000, 1000, 1};
    if (us == 0) {
        buf_add_str(out, "0s");
    } else {
        add_units(out, us, units, sizes);
    }
}

static void add_size(struct buf *out, int64_t bytes)
{
    static const char *const units[] = {"GiB", "MiB", "KiB", "B"};
    static const int64_t sizes[] = {INT64_C(1) << 30, 1 << 20, 1 << 10, 1};
    add_units(out, bytes, units, sizes);
}

static void add_list(struct buf *out, const struct conf_key *key, const struct conf_list *list)
{
    buf_add_char(out, '[');
    for (size_t i = 0; i < list->count; i++) {
        buf_add_str(out, i > 0 ? ", " : "");
        if (key->repeats && i > 0) { /* the words of a command */
            buf_add_str(out, hidden);
        } else if (strstr(key->name, "url")) {
            add_url(out, list->items[i]);
        } else {
            shown_redact(out, slice_from(list->items[i]));
        }
    }
    buf_add_char(out, ']');
}

static void add_named(struct buf *out, const struct conf_named_list *list)
{
    buf_add_char(out, '[');
    for (size_t i = 0; i < list->words.count; i++) {
        buf_printf(out, "%s%s", i > 0 ? ", " : "", list->words.items[i]);
    }
    for (size_t i = 0; i < list->count; i++) {
        const struct conf_named *n = &list->items[i];
        buf_printf(out, "%s{%s: %s, as: %s}", i + list->words.count > 0 ? ", " : "",
                   n->column ? "column" : "value", n->column ? n->column : hidden, n->as);
    }
    buf_add_char(out, ']');
}

static void add_map(struct buf *out, const struct conf_key *key, const struct conf_map *map)
{
    buf_add_char(out, '{');
    for (size_t i = 0; i < map->count; i++) {
        buf_printf(out, "%s%s: %s", i > 0 ? ", " : "", map->pairs[i].name,
                   key->shown ? map->pairs[i].value : hidden);
    }
    buf_add_char(out, '}');
}

static void add_lists(struct buf *out, const struct conf_key *key, const struct conf_lists *lists)
{
    buf_add_char(out, '{');
    for (size_t i = 0; i < lists->count; i++) {
        buf_printf(out, "%s%s: ", i > 0 ? ", " : "", lists->items[i].name);
        add_list(out, key, &lists->items[i].texts);
    }
    buf_add_char(out, '}');
}

static void add_value(struct buf *out, const struct conf_key *key, const void *field)
{
    switch (key->type) {
    case CONF_STRING:
        if (strstr(key->name, "url")) {
            add_url(out, *(char *const *)field);
        } else {
            shown_redact(out, slice_from(*(char *const *)field));
        }
        break;
    case CONF_SECRET:
        add_secret(out, key->name, *(char *const *)field);
        break;
    case CONF_BOOL:
        buf_add_str(out, *(const bool *)field ? "true" : "false");
        break;
    case CONF_INT:
        buf_printf(out, "%" PRId64, *(const int64_t *)field);
        break;
    case CONF_RATIO:
        buf_printf(out, "%g", *(const double *)field);
        break;
    case CONF_DURATION:
        add_duration(out, *(const int64_t *)field);
        break;
    case CONF_SIZE:
        add_size(out, *(const int64_t *)field);
        break;
    case CONF_ENUM:
        buf_add_str(out, key->choices[*(const int *)field]);
        break;
    case CONF_LIST:
        add_list(out, key, field);
        break;
    case CONF_NAMED:
        add_named(out, field);
        break;
    case CONF_MAP:
        add_map(out, key, field);
        break;
    case CONF_LISTS:
        add_lists(out, key, field);
        break;
    case CONF_GROUP:
    case CONF_GROUPS:
        break;
    }
}

static void show_table(const struct show *s, const char *prefix, const struct conf_key *keys,
                       const void *base)
{
    for (; keys && keys->name; keys++) {
        CLEANUP(buf_release) struct buf path = {0}, value = {0};
        const char *field = (const char *)base + keys->offset;
        buf_printf(&path, "%s%s", prefix, keys->name);
        if (keys->type == CONF_GROUP) {
            buf_add_char(&path, '.');
            show_table(s, buf_str(&path), keys->group, field);
        } else if (keys->type == CONF_GROUPS) {
            const struct conf_groups *groups = (const struct conf_groups *)(const void *)field;
            for (size_t i = 0; i < groups->count; i++) {
                CLEANUP(buf_release) struct buf inner = {0};
                buf_printf(&inner, "%s[%zu].", buf_str(&path), i);
                show_table(s, buf_str(&inner), keys->group,
                           (const char *)groups->items + i * keys->group_size);
            }
        } else {
            add_value(&value, keys, field);
            s->each(s->ctx, buf_str(&path), buf_str(&value));
        }
    }
}

static void show_plugin(const struct show *s, const char *prefix, const char *name,
                        const struct conf_plugin *plugin, const void *conf)
{
    CLEANUP(buf_release) struct buf path = {0}, type = {0};
    buf_printf(&path, "%s%s.", prefix, name);
    buf_printf(&type, "%stype", buf_str(&path));
    s->each(s->ctx, buf_str(&type), plugin->name);
    show_table(s, buf_str(&path), plugin->keys, conf);
}

static void show_pipeline(const struct show *s, const struct conf_pipeline *p)
{
    CLEANUP(buf_release) struct buf prefix = {0};
    buf_printf(&prefix, "pipelines.%s.", p->name);
    show_plugin(s, buf_str(&prefix), "source", p->source, p->source_conf);
    show_plugin(s, buf_str(&prefix), "sink", p->sink, p->sink_conf);
    show_table(s, buf_str(&prefix), conf_pipeline_keys, p);
    for (size_t i = 0; i < p->mask.count; i++) {
        CLEANUP(buf_release) struct buf rule = {0};
        buf_printf(&rule, "%smask[%zu].", buf_str(&prefix), i);
        show_table(s, buf_str(&rule), conf_mask_keys, &p->mask.items[i]);
    }
}

static void show_consumer(const struct show *s, const struct conf_consumer *c)
{
    CLEANUP(buf_release) struct buf prefix = {0};
    buf_printf(&prefix, "consumers.%s.", c->name);
    show_plugin(s, buf_str(&prefix), "from", c->from, c->from_conf);
    show_table(s, buf_str(&prefix), conf_consumer_keys, c);
}

void conf_show(const struct config *c, conf_show_each *each, void *ctx)
{
    const struct show s = {each, ctx};
    show_table(&s, "", conf_top_keys, c);
    for (size_t i = 0; i < c->pipelines_count; i++) {
        show_pipeline(&s, &c->pipelines[i]);
    }
    for (size_t i = 0; i < c->consumers_count; i++) {
        show_consumer(&s, &c->consumers[i]);
    }
}
