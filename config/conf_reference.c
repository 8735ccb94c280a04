/* Prints the reference of all keys from the key tables. The loader reads the same tables, so the
 * reference cannot differ from what is accepted. */
#include "config/conf_consumer.h"
#include "config/conf_core.h"
#include "config/conf_mask.h"
#include "config/conf_value.h"
#include "config/config.h"

static const char *type_name(const struct conf_key *key)
{
    switch (key->type) {
    case CONF_STRING:
        return "text";
    case CONF_SECRET:
        return "secret text";
    case CONF_BOOL:
        return "true or false";
    case CONF_INT:
        return "number";
    case CONF_RATIO:
        return "ratio";
    case CONF_DURATION:
        return "duration";
    case CONF_SIZE:
        return "size";
    case CONF_ENUM:
        return "word";
    case CONF_LIST:
    case CONF_NAMED:
        return "list";
    case CONF_MAP:
        return "map";
    case CONF_LISTS:
        return "map of lists";
    case CONF_GROUPS:
        return "list of maps";
    case CONF_GROUP:
        break;
    }
    return "group";
}

/* Text of a cell of a Markdown table. A bar would end the cell, so it gets a backslash. */
static void add_cell(struct buf *out, const char *text)
{
    for (; *text; text++) {
        if (*text == '|') {
            buf_add_char(out, '\\');
        }
        buf_add_char(out, *text);
    }
}

static bool is_number(enum conf_type type)
{
    return type == CONF_INT || type == CONF_RATIO || type == CONF_DURATION || type == CONF_SIZE;
}

static void add_type(struct buf *out, const struct conf_key *key)
{
    buf_add_str(out, type_name(key));
    if (is_number(key->type) && (key->min || key->max)) {
        buf_add_str(out, ", ");
        conf_add_range(out, key);
    }
    for (size_t i = 0; key->choices && key->choices[i]; i++) {
        buf_printf(out, "%s`%s`", i ? ", " : ": ", key->choices[i]);
    }
}

static void add_default(struct buf *out, const struct conf_key *key)
{
    if (key->fallback && *key->fallback) {
        buf_add_char(out, '`');
        add_cell(out, key->fallback);
        buf_add_char(out, '`');
    } else {
        buf_add_str(out, key->required ? "required" : "none");
    }
}

static void add_help(struct buf *out, const struct conf_key *key)
{
    add_cell(out, key->help ? key->help : "");
    for (size_t i = 0; key->choices_help && key->choices_help[i]; i++) {
        buf_printf(out, "%s`%s`: ", i ? "; " : ". ", key->choices[i]);
        add_cell(out, key->choices_help[i]);
    }
}

/* One row for each key; keys of a group have the names of their groups before them. */
static void add_rows(struct buf *out, const char *prefix, const struct conf_key *keys)
{
    for (; keys && keys->name; keys++) {
        CLEANUP(buf_release) struct buf name = {0};
        buf_printf(&name, "%s%s", prefix, keys->name);
        if (keys->type == CONF_GROUP) {
            buf_add_char(&name, '.');
            add_rows(out, buf_str(&name), keys->group);
            continue;
        }
        buf_printf(out, "| `%s`", buf_str(&name));
        if (keys->type == CONF_SECRET) {
            buf_printf(out, " or `%s_file`", buf_str(&name));
        } else if (keys->type == CONF_MAP && !keys->shown) {
            buf_printf(out, " and `%s_file`", buf_str(&name));
        }
        buf_add_str(out, " | ");
        add_type(out, keys);
        buf_add_str(out, " | ");
        add_default(out, keys);
        buf_add_str(out, " | ");
        add_help(out, keys);
        buf_add_str(out, " |\n");
        if (keys->type == CONF_GROUPS) {
            buf_add_str(&name, "[].");
            add_rows(out, buf_str(&name), keys->group);
        }
    }
}

static void add_table(struct buf *out, const struct conf_key *keys)
{
    if (!keys || !keys->name) {
        buf_add_str(out, "No keys of its own.\n\n");
        return;
    }
    buf_add_str(out, "| key | type | default | meaning |\n|---|---|---|---|\n");
    add_rows(out, "", keys);
    buf_add_char(out, '\n');
}

static void add_plugins(struct buf *out, const char *part, const struct conf_plugin *plugins)
{
    for (; plugins && plugins->name; plugins++) {
        buf_printf(out, "### %s `type: %s`\n\n%s.\n\n", part, plugins->name,
                   plugins->help ? plugins->help : "");
        add_table(out, plugins->keys);
    }
}

void config_reference(struct buf *out, const struct conf_plugins *plugins)
{
    buf_add_str(
        out,
        "# Configuration reference\n\n"
        "Printed by `commitrelay reference config`.\n\n"
        "One YAML document. An unknown key, a wrong type, a value out of range and a missing unit "
        "are errors that "
        "name file, line and key. Durations need a unit (us, ms, s, m, h, d), sizes too (B, KB, "
        "MB, GB, KiB, MiB, "
        "GiB). `${VAR}` in a value is replaced by the environment variable, `$${` is a literal "
        "`${`. The `_file` "
        "variant of a secret key names a file with the value, that of a map has a file's name for "
        "each key "
        "(`properties_file: {sasl.password: /run/secrets/kafka}`); such a file must not be "
        "world-writable.\n\n"
        "## Top level\n\n");
    add_table(out, conf_top_keys);
    buf_add_str(out, "`pipelines` is a list of maps with the keys below.\n\n"
                     "## Pipeline\n\n");
    add_table(out, conf_pipeline_keys);
    buf_add_str(out, "`source` and `sink` are maps with a `type` and the keys of that type.\n\n"
                     "### `mask`\n\n"
                     "A list of maps with the keys below: values that are taken out of events, or "
                     "made unreadable, before anything else sees them (docs/MASKING.md).\n\n");
    add_table(out, conf_mask_keys);
    buf_add_str(out, "## Sources\n\n");
    add_plugins(out, "source", plugins->sources);
    buf_add_str(out, "## Sinks\n\n");
    add_plugins(out, "sink", plugins->sinks);
    buf_add_str(out, "## Consumers\n\n`consumers` is a list of maps with the keys below, for "
                     "`commitrelay consume` and `run` (docs/CONSUME.md).\n\n");
    add_table(out, conf_consumer_keys);
    buf_add_str(out, "`from` is a map with a `type` and the keys of that type.\n\n");
    add_plugins(out, "from", plugins->origins);
}
