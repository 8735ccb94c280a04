/* Rewriting of topics by a regular expression that no template can say (topic.c). */
#include "cli/import/internal.h"
#include "value/pattern.h"

/* Without the backslash or the second $ that keep Debezium Server from replacing ${...}; no topic
 * has a $ of its own. */
static void add_plain_groups(struct buf *out, const char *replacement)
{
    for (const char *p = replacement; *p; p++) {
        bool escape = p[0] == '\\' && (p[1] == '$' || p[1] == '{');
        if (!escape && !(p[0] == '$' && p[1] == '$')) {
            buf_add_char(out, *p);
        }
    }
}

bool import_topic_rewrite(struct import *im, const char *regex, const char *written,
                          const char *key_field, const char *from)
{
    CLEANUP(buf_release) struct buf yaml = {0}, to = {0};
    add_plain_groups(&to, written);
    const char *replacement = buf_str(&to);
    struct pattern *p = NULL;
    struct error ignored;
    bool fits = !im->rewritten && !pattern_new(regex, false, &p, &ignored) &&
                !pattern_check_replacement(p, replacement, &ignored);
    pattern_free(p);
    if (!fits || !*replacement) {
        return false;
    }
    im->rewritten = true;
    buf_add_str(&yaml, "{match: ");
    import_literal(&yaml, regex);
    buf_add_str(&yaml, ", to: ");
    import_literal(&yaml, replacement);
    if (key_field) {
        buf_add_str(&yaml, ", key_field: ");
        import_literal(&yaml, key_field);
    }
    buf_add_char(&yaml, '}');
    import_put(im, IMPORT_ROUTE, "topic_rewrite", buf_str(&yaml), from);
    return true;
}
