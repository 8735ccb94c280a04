/* Regular expressions by PCRE2, and replacements in Java's notation, which PCRE2 reads otherwise.
 */
#include "value/pattern.h"

#include "base/memory.h"
#include <stdlib.h>
#include <string.h>

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

/* A name of at most 63 characters needs far fewer steps, whatever sensible pattern it meets. */
enum { STEPS_MAX = 1000000, HEAP_MAX_KIB = 16384, MESSAGE_SIZE = 256 };

struct pattern {
    pcre2_code *code;
    pcre2_match_data *match;
    pcre2_match_context *limits;
    uint32_t groups;
    char text[]; /* as configured, for messages */
};

static int refuse(const char *text, int code, size_t offset, struct error *err)
{
    char why[MESSAGE_SIZE];
    if (pcre2_get_error_message(code, (PCRE2_UCHAR *)why, sizeof why) < 0) {
        why[0] = '\0';
    }
    return error_set(err, ERROR_CONFIG, "config",
                     "`%s` is no regular expression: %s (at byte %zu); mend it", text, why, offset);
}

int pattern_new(const char *text, bool ignore_case, struct pattern **ret, struct error *err)
{
    uint32_t options = PCRE2_UTF | PCRE2_MATCH_INVALID_UTF | PCRE2_NEVER_BACKSLASH_C |
                       (ignore_case ? PCRE2_CASELESS : 0);
    int code = 0;
    PCRE2_SIZE offset = 0;
    size_t size = strlen(text) + 1;
    pcre2_code *compiled =
        pcre2_compile((PCRE2_SPTR)text, PCRE2_ZERO_TERMINATED, options, &code, &offset, NULL);
    if (!compiled) {
        return refuse(text, code, offset, err);
    }
    struct pattern *p = memory_need(calloc(1, sizeof *p + size));
    memcpy(p->text, text, size);
    p->code = compiled;
    p->match = memory_need(pcre2_match_data_create_from_pattern(compiled, NULL));
    p->limits = memory_need(pcre2_match_context_create(NULL));
    (void)pcre2_set_match_limit(p->limits, STEPS_MAX);
    (void)pcre2_set_heap_limit(p->limits, HEAP_MAX_KIB);
    (void)pcre2_pattern_info(compiled, PCRE2_INFO_CAPTURECOUNT, &p->groups);
    *ret = p;
    return RESULT_DONE;
}

void pattern_free(struct pattern *p)
{
    if (p) {
        pcre2_match_context_free(p->limits);
        pcre2_match_data_free(p->match);
        pcre2_code_free(p->code);
        free(p);
    }
}

const char *pattern_text(const struct pattern *p)
{
    return p->text;
}

/* One attempt, with the options of pcre2_match. */
static int attempt(struct pattern *p, struct slice text, uint32_t options, bool *ret,
                   struct error *err)
{
    int rc = pcre2_match(p->code, (PCRE2_SPTR)text.ptr, text.len, 0, options, p->match, p->limits);
    *ret = rc >= 0;
    if (rc >= 0 || rc == PCRE2_ERROR_NOMATCH) {
        return RESULT_DONE;
    }
    return error_set(
        err, ERROR_CONFIG, "config",
        "the regular expression `%s` takes too many steps on \"%.*s\"; write it with fewer repetitions inside repetitions",
        p->text, SLICE_FMT(text));
}

int pattern_matches(struct pattern *p, struct slice text, bool *ret, struct error *err)
{
    return attempt(p, text, PCRE2_ANCHORED | PCRE2_ENDANCHORED, ret, err);
}

/* --- replacements --- */

/* What stands next in a replacement: a character, or a group. */
struct piece {
    bool is_group;
    uint32_t group;
    char character;
};

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* "$12" is group 12 if there is one, else group 1 and a "2". */
static bool read_number(const struct pattern *p, const char **at, uint32_t *ret)
{
    uint32_t group = (uint32_t)(*(*at)++ - '0');
    while (is_digit(**at) && group * 10 + (uint32_t)(**at - '0') <= p->groups) {
        group = group * 10 + (uint32_t)(*(*at)++ - '0');
    }
    *ret = group;
    return group <= p->groups;
}

/* The name between braces. */
static bool read_name(const struct pattern *p, const char **at, uint32_t *ret)
{
    char name[64];
    size_t n = strcspn(*at + 1, "}");
    if ((*at)[n + 1] != '}' || n == 0 || n >= sizeof name) {
        return false;
    }
    memcpy(name, *at + 1, n);
    name[n] = '\0';
    *at += n + 2;
    int group = pcre2_substring_number_from_name(p->code, (PCRE2_SPTR)name);
    *ret = group > 0 ? (uint32_t)group : 0;
    return group > 0;
}

/* Reads the next piece; *at is not at the end. False: it is malformed, or there is no such group.
 */
static bool read_piece(const struct pattern *p, const char **at, struct piece *ret)
{
    *ret = (struct piece){.is_group = **at == '$'};
    if (ret->is_group) {
        (*at)++;
        return is_digit(**at) ? read_number(p, at, &ret->group)
                              : **at == '{' && read_name(p, at, &ret->group);
    }
    *at += **at == '\\';
    ret->character = **at;
    *at += **at != '\0';
    return ret->character != '\0';
}

int pattern_check_replacement(const struct pattern *p, const char *replacement, struct error *err)
{
    struct piece piece;
    for (const char *at = replacement; *at;) {
        if (!read_piece(p, &at, &piece)) {
            return error_set(
                err, ERROR_CONFIG, "config",
                "`%s` does not fit the regular expression `%s`, which has %u groups: write $1 or ${name} for a group that it has, and \\$ or \\\\ for the character itself",
                replacement, p->text, (unsigned)p->groups);
        }
    }
    return RESULT_DONE;
}

/* A group that took no part in the match adds nothing. */
static void add_group(const struct pattern *p, struct slice text, uint32_t group, struct buf *out)
{
    const PCRE2_SIZE *ends = pcre2_get_ovector_pointer(p->match);
    PCRE2_SIZE from = ends[2 * group], to = ends[2 * group + 1];
    if (from != PCRE2_UNSET && from < to) {
        buf_add(out, text.ptr + from, to - from);
    }
}

int pattern_replace(struct pattern *p, struct slice text, const char *replacement, struct buf *out,
                    bool *ret, struct error *err)
{
    if (pattern_matches(p, text, ret, err)) {
        return RESULT_ERROR;
    }
    if (!*ret) {
        return RESULT_DONE;
    }
    if (attempt(p, text, 0, ret, err)) {
        return RESULT_ERROR;
    }
    const PCRE2_SIZE *ends = pcre2_get_ovector_pointer(p->match);
    struct piece piece;
    buf_add(out, text.ptr, ends[0]);
    for (const char *at = replacement; *at && read_piece(p, &at, &piece);) {
        if (piece.is_group) {
            add_group(p, text, piece.group, out);
        } else {
            buf_add_char(out, piece.character);
        }
    }
    buf_add(out, text.ptr + ends[1], text.len - ends[1]);
    return RESULT_DONE;
}
