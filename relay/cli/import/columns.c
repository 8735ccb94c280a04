/* Columns that are left out or masked. A mask that cannot be taken over would show values, so its
 * note says that. */
#include "cli/import/internal.h"

static void add_rule(struct import *im, const char *column, const char *with,
                     const struct import_option *o)
{
    CLEANUP(buf_release) struct buf field = {0};
    bool hash = strcmp(with, "hmac") == 0;
    buf_add_str(&field, "{field: ");
    import_text(im, &field, hash ? "column.mask.hash" : o->name, column); /* without the salt */
    buf_add_char(&field, ',');
    if (strstr(buf_str(&im->mask), buf_str(&field))) {
        return; /* a column has one rule: it is left out, or masked once */
    }
    buf_printf(&im->mask, "      - %s with: %s", buf_str(&field), with);
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
    import_split(im->memory, o->value, &plain, &patterns);
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

static void take_columns(struct import *im, bool masked)
{
    for (size_t i = 0; i < im->options->count; i++) {
        struct import_option *o = &im->options->items[i];
        const struct debezium_option *row =
            debezium_option_find(DEBEZIUM_CONNECTOR, slice_from(o->name));
        if (o->taken || !row || strcmp(row->ours, "mask") != 0 ||
            masked != (strstr(o->name, ".mask.") != NULL)) {
            continue;
        }
        if (!masked) {
            mask_columns(im, o, "drop", NULL);
        } else if (strstr(o->name, ".hash")) {
            mask_columns(im, o, "hmac", "the digest is another one than Debezium's");
        } else {
            mask_columns(im, o, "redact",
                         "the text is *** whatever its length, and a null stays null");
        }
    }
}

void import_columns(struct import *im)
{
    take_columns(im, false);
    take_columns(im, true);
}
