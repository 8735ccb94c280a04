/* Columns that are left out or masked. A mask that cannot be taken over would show values, so its
 * note says that. */
#include "cli/import/internal.h"

static void add_rule(struct import *im, const char *column, const char *with,
                     const struct import_option *o)
{
    bool hash = strcmp(with, "hmac") == 0;
    buf_add_str(&im->mask, "      - {field: ");
    import_text(im, &im->mask, hash ? "column.mask.hash" : o->name, column); /* no salt */
    buf_printf(&im->mask, ", with: %s", with);
    if (hash) {
        buf_add_str(&im->mask, ", key: ");
        import_variable(
            im, &im->mask, "MASK_KEY",
            "a key of your own for the masks `hmac`, as `head -c 32 /dev/urandom | base64` "
            "makes one");
    }
    buf_add_str(&im->mask, "}\n");
}

/* Whether all are schema.table.column, as a rule of a mask names them. */
static bool are_columns(const struct import_names *names)
{
    for (size_t i = 0; i < names->count; i++) {
        const char *dot = strchr(names->items[i], '.');
        if (!dot || !strchr(dot + 1, '.')) {
            return false;
        }
    }
    return true;
}

static void mask_columns(struct import *im, struct import_option *o, const char *with,
                         const char *differs)
{
    struct import_names plain = {0}, patterns = {0};
    import_split(im, o->value, &plain, &patterns);
    if (im->outbox) {
        import_note(im, DEBEZIUM_MESSAGES, o, "%s",
                    "an outbox has members of its payload masked: mask: [{field: payload.a.b, "
                    "with: redact}]; VALUES ARE SHOWN without it");
        return;
    }
    if (patterns.count || !are_columns(&plain)) {
        import_note(im, DEBEZIUM_MESSAGES, o,
                    "the pattern %s is not supported yet: write a rule of `mask` for each column; "
                    "VALUES ARE SHOWN without it",
                    patterns.count ? patterns.items[0] : o->value);
        return;
    }
    for (size_t i = 0; i < plain.count; i++) {
        add_rule(im, plain.items[i], with, o);
    }
    if (differs) {
        import_note(im, DEBEZIUM_MESSAGES, o, "is masked; %s", differs);
    }
    o->taken = true;
}

void import_columns(struct import *im)
{
    for (size_t i = 0; i < im->options->count; i++) {
        struct import_option *o = &im->options->items[i];
        const struct debezium_option *row =
            debezium_option_find(DEBEZIUM_CONNECTOR, slice_from(o->name));
        if (o->taken || !row || strcmp(row->ours, "mask") != 0) {
            continue;
        }
        if (strstr(o->name, ".hash")) {
            mask_columns(im, o, "hmac", "the digest is another one than Debezium's");
        } else if (strstr(o->name, ".mask.")) {
            mask_columns(im, o, "redact",
                         "the text is *** whatever its length, and a null stays null");
        } else {
            mask_columns(im, o, "drop", NULL);
        }
    }
}
