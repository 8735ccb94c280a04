/* Snapshots: when one is read, and which rows it has. On the way over Debezium has sent the rows,
 * so only a mode that reads them again leaves anything to be read. */
#include "cli/import/internal.h"
#include <ctype.h>

#define BASED "snapshot.mode.configuration.based."

/* What a mode comes to. */
enum mode { MODE_ONCE, MODE_NONE, MODE_ALWAYS, MODE_NEEDED, MODE_ALONE };

/* snapshot.mode=configuration_based is put together from five options, all false if absent. */
static enum mode configured(struct import *im)
{
    bool data = import_is(import_take(im, BASED "snapshot.data"), "true");
    bool stream = import_is(import_take(im, BASED "start.stream"), "true");
    bool again = import_is(import_take(im, BASED "snapshot.on.data.error"), "true");
    (void)import_take(im, BASED "snapshot.schema");
    (void)import_take(im, BASED "snapshot.on.schema.error");
    return !stream ? MODE_ALONE : again ? MODE_NEEDED : data ? MODE_ONCE : MODE_NONE;
}

static enum mode mode_of(struct import *im, const char *mode)
{
    static const struct {
        const char *word;
        enum mode is;
    } words[] = {{"never", MODE_NONE},         {"no_data", MODE_NONE},
                 {"schema_only", MODE_NONE},   {"always", MODE_ALWAYS},
                 {"when_needed", MODE_NEEDED}, {"initial_only", MODE_ALONE}};
    if (import_is(mode, "configuration_based")) {
        return configured(im);
    }
    for (size_t i = 0; mode && i < sizeof words / sizeof *words; i++) {
        if (import_is(mode, words[i].word)) {
            return words[i].is;
        }
    }
    return MODE_ONCE;
}

/* Whether the pipeline reads rows, at once or when the slot is lost. */
static bool put_mode(struct import *im)
{
    struct import_option *o = import_find(im, "snapshot.mode");
    const char *word = import_take(im, "snapshot.mode");
    enum mode mode = mode_of(im, word);
    CLEANUP(buf_release) struct buf from = {0};
    buf_printf(&from, "snapshot.mode=%s: ", word ? word : "initial");
    if (mode == MODE_ALWAYS && !im->outbox) {
        import_put(im, IMPORT_SOURCE, "snapshot", "always", "snapshot.mode");
        return true;
    }
    if (mode == MODE_NEEDED) {
        buf_add_str(&from, "not at a slot that is there");
        import_put(im, IMPORT_SOURCE, "snapshot", "initial", buf_str(&from));
        import_put(im, IMPORT_SOURCE, "on_lost_slot", "resnapshot", "snapshot.mode");
        return true;
    }
    buf_add_str(&from, mode == MODE_NONE ? "no rows" : "Debezium has sent the rows");
    import_put(im, IMPORT_SOURCE, "snapshot", "never", buf_str(&from));
    if (mode == MODE_ALWAYS) {
        import_note(im, DEBEZIUM_MESSAGES, o, "%s", "rows of an outbox are not read again");
    } else if (mode == MODE_ALONE) {
        import_note(
            im, DEBEZIUM_MESSAGES, o, "%s",
            "the relay goes on with changes; to send the rows alone, set snapshot: initial, "
            "create_slot: true and no start_from, and run it once with --until-idle");
    }
    return false;
}

/* --- which rows --- */

static const char *skip_blanks(const char *p)
{
    while (isspace((unsigned char)*p)) {
        p++;
    }
    return p;
}

/* Moves *at behind the word, in any case of letters. False: another one stands there. */
static bool take_word(const char **at, const char *word)
{
    const char *p = skip_blanks(*at);
    size_t n = strlen(word);
    if (strncasecmp(p, word, n) != 0) {
        return false;
    }
    *at = p + n;
    return true;
}

/* What would not be a condition alone. */
static bool is_more(const char *condition)
{
    static const char *const words[] = {" order by ", " limit ", " group by ", " union ", ";"};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        if (strcasestr(condition, words[i])) {
            return true;
        }
    }
    return false;
}

/* The condition of `SELECT * FROM table WHERE condition`; NULL: the statement is another one. */
static const char *condition_of(struct import *im, const char *statement, const char *table)
{
    const char *p = statement;
    CLEANUP(buf_release) struct buf text = {0};
    if (!take_word(&p, "select") || !take_word(&p, "*") || !take_word(&p, "from") ||
        !take_word(&p, table) || !isspace((unsigned char)*p) || !take_word(&p, "where") ||
        !isspace((unsigned char)*p)) {
        return NULL;
    }
    buf_add_str(&text, skip_blanks(p));
    while (text.len &&
           (isspace((unsigned char)text.data[text.len - 1]) || text.data[text.len - 1] == ';')) {
        buf_truncate(&text, text.len - 1);
    }
    return text.len && !is_more(buf_str(&text)) ? import_copy(im, &text) : NULL;
}

static void take_overrides(struct import *im, bool reads)
{
    static const char prefix[] = "snapshot.select.statement.overrides.";
    const char *fault = im->outbox ? "an outbox is read whole"
                        : !reads   ? "no snapshot is read; for a later one: source.snapshot_where"
                                   : NULL;
    struct import_option *list = import_find(im, "snapshot.select.statement.overrides");
    CLEANUP(buf_release) struct buf yaml = {0};
    for (size_t i = 0; i < im->options->count; i++) {
        struct import_option *o = &im->options->items[i];
        if (strncmp(o->name, prefix, sizeof prefix - 1) != 0) {
            continue;
        }
        const char *table = o->name + sizeof prefix - 1;
        const char *condition = fault ? NULL : condition_of(im, o->value, table);
        if (!condition) {
            import_note(im, fault ? DEBEZIUM_OPERATION : DEBEZIUM_MESSAGES, o, "%s",
                        fault ? fault
                              : "only `SELECT * FROM table WHERE condition` becomes a condition of "
                                "source.snapshot_where");
            continue;
        }
        buf_add_str(&yaml, yaml.len ? ", " : "{");
        import_literal(&yaml, table);
        buf_add_str(&yaml, ": ");
        import_literal(&yaml, condition);
        o->taken = true;
    }
    if (list) {
        (void)import_take(im, list->name);
    }
    if (yaml.len) {
        buf_add_char(&yaml, '}');
        import_put(im, IMPORT_SOURCE, "snapshot_where", buf_str(&yaml),
                   "snapshot.select.statement.overrides");
    }
}

void import_snapshot(struct import *im)
{
    take_overrides(im, put_mode(im));
}
