/* Wraps prose and finds the commands inside of it. A command is broken only where pasting it still
 * gives the same command. */
#include "cli/columns.h"

#include "cli/kit/shell_text.h"
#include <ctype.h>
#include <stdbool.h>
#include <string.h>

static void blanks(struct buf *out, size_t n)
{
    while (n-- > 0) {
        buf_add_char(out, ' ');
    }
}

/* The number of UTF-8 characters: continuation bytes do not count. */
static size_t width(struct slice s)
{
    size_t n = 0;
    for (size_t i = 0; i < s.len; i++) {
        n += ((unsigned char)s.ptr[i] & 0xC0) != 0x80;
    }
    return n;
}

/* The bytes of the first `max` characters. */
static size_t bytes_of(struct slice s, size_t max)
{
    size_t i = 0, n = 0;
    for (; i < s.len; i++) {
        n += ((unsigned char)s.ptr[i] & 0xC0) != 0x80;
        if (n > max) {
            break;
        }
    }
    return i;
}

static struct slice rest_of(struct slice s, size_t from)
{
    return (struct slice){s.ptr + from, s.len - from};
}

static struct slice trimmed(struct slice s)
{
    while (s.len > 0 && isspace((unsigned char)s.ptr[0])) {
        s = rest_of(s, 1);
    }
    while (s.len > 0 && isspace((unsigned char)s.ptr[s.len - 1])) {
        s.len--;
    }
    return s;
}

void columns_wrap(struct buf *out, size_t used, size_t indent, struct slice text)
{
    size_t column = used;
    bool begun = false; /* a word stands on this line */
    for (text = trimmed(text); text.len > 0; text = trimmed(text)) {
        size_t n = 0;
        while (n < text.len && !isspace((unsigned char)text.ptr[n])) {
            n++;
        }
        struct slice word = {text.ptr, n};
        if (begun && column + 1 + width(word) > COLUMNS_MAX) {
            buf_add_char(out, '\n');
            blanks(out, indent);
            column = indent;
            begun = false;
        }
        if (begun) {
            buf_add_char(out, ' ');
            column++;
        }
        word.len = bytes_of(word, COLUMNS_MAX - column);
        buf_add_slice(out, word);
        column += width(word);
        begun = true;
        text = rest_of(text, word.len);
        if (word.len < n) { /* the rest of a word that is longer than a line */
            buf_add_char(out, '\n');
            blanks(out, indent);
            column = indent;
            begun = false;
        }
    }
    buf_add_char(out, '\n');
}

/* --- commands --- */

static bool starts(struct slice s, const char *prefix)
{
    size_t n = strlen(prefix);
    return s.len >= n && memcmp(s.ptr, prefix, n) == 0;
}

static bool is_shell(struct slice command)
{
    return starts(command, "commitrelay ") || starts(command, "sudo ");
}

/* The last blank outside of quotes that leaves at most `max` characters before it; 0: none. */
static size_t break_at(struct slice s, size_t max)
{
    size_t best = 0, limit = bytes_of(s, max);
    char quote = 0;
    for (size_t i = 0; i < limit; i++) {
        char c = s.ptr[i];
        if (quote) {
            quote = c == quote ? 0 : quote;
        } else if (c == '\'' || c == '"') {
            quote = c;
        } else if (c == ' ' && i > 0) {
            best = i;
        }
    }
    return best;
}

void columns_command(struct buf *out, size_t indent, struct slice command)
{
    command = trimmed(command);
    bool shell = is_shell(command);
    size_t more = shell ? 2 : 1; /* " \" where it goes on, ";" at the end */
    size_t now = indent;
    while (now + width(command) + more > COLUMNS_MAX) {
        size_t at = break_at(command, COLUMNS_MAX - now - more);
        if (at == 0) {
            break;
        }
        blanks(out, now);
        buf_add(out, command.ptr, at);
        buf_add_str(out, shell ? " \\\n" : "\n");
        command = trimmed(rest_of(command, at));
        now = indent + 4;
    }
    blanks(out, now);
    buf_add_slice(out, command);
    bool ended = command.len > 0 && command.ptr[command.len - 1] == ';';
    buf_add_str(out, shell || ended ? "\n" : ";\n");
}

/* --- commands inside of prose --- */

static bool at_sql(struct slice s)
{
    static const char *const verbs[] = {
        "ALTER ROLE ",         "ALTER SYSTEM ", "ALTER TABLE ",  "ALTER PUBLICATION ",
        "ALTER DATABASE ",     "GRANT ",        "CREATE INDEX ", "CREATE UNIQUE INDEX ",
        "CREATE PUBLICATION ", "DROP INDEX ",   "SELECT pg_",    "UPDATE ",
        "alter role ",         "alter table ",  "create index ", "create unique index ",
        "grant select",        "grant update",  "grant delete"};
    for (size_t i = 0; i < sizeof verbs / sizeof *verbs; i++) {
        if (starts(s, verbs[i])) {
            return true;
        }
    }
    return false;
}

/* The length of a statement or command that stands in prose without backquotes. It ends before
 * words that prose puts behind a command (`stops`), at a parenthesis that was opened before it, or
 * at the text's final full stop. */
static size_t bare_end(struct slice s)
{
    static const char *const stops[] = {"; ", ", then ", ", or ",     " or ",   " and ",
                                        ": ", " (and ",  ", SELECT ", " first", " on the standby"};
    int depth = 0;
    char quote = 0;
    for (size_t i = 0; i < s.len; i++) {
        char c = s.ptr[i];
        if (quote) {
            quote = c == quote ? 0 : quote;
            continue;
        }
        quote = c == '\'' || c == '"' ? c : 0;
        if ((c == ')' && depth == 0) || (c == '.' && i + 1 == s.len)) {
            return i;
        }
        depth += c == '(' ? 1 : c == ')' ? -1 : 0;
        for (size_t k = 0; depth == 0 && k < sizeof stops / sizeof *stops; k++) {
            if (starts(rest_of(s, i), stops[k])) {
                return i;
            }
        }
    }
    return s.len;
}

/* Whether the text begins with a command: *ret is the command, *ret_taken its bytes with
 * backquotes. A command with "..." has to be filled in, so it cannot be pasted and counts as prose.
 */
static bool command_at(struct slice s, struct slice *ret, size_t *ret_taken)
{
    bool quoted = s.ptr[0] == '`';
    struct slice from = quoted ? rest_of(s, 1) : s;
    if (!at_sql(from) && !starts(from, "commitrelay ")) {
        return false;
    }
    const char *end = quoted ? memchr(from.ptr, '`', from.len) : from.ptr + bare_end(from);
    if (!end) {
        return false;
    }
    *ret = (struct slice){from.ptr, (size_t)(end - from.ptr)};
    *ret_taken = (size_t)(end - s.ptr) + (quoted ? 1 : 0);
    return strcspn(ret->ptr, " ") < ret->len && !memmem(ret->ptr, ret->len, "...", 3) &&
           !memmem(ret->ptr, ret->len, "commitrelay needs", 17);
}

static void replace(struct buf *text, const char *old, const char *fresh)
{
    const char *at = strstr(buf_str(text), old);
    if (at) {
        CLEANUP(buf_release) struct buf out = {0};
        buf_add(&out, text->data, (size_t)(at - text->data));
        buf_printf(&out, "%s%s", fresh, at + strlen(old));
        buf_clear(text);
        buf_add_slice(text, buf_slice(&out));
    }
}

static void add_prose(struct buf *out, size_t indent, struct slice prose)
{
    prose = trimmed(prose);
    while (prose.len > 0 &&
           strchr("),;:", prose.ptr[0])) { /* punctuation left over behind a command */
        prose = trimmed(rest_of(prose, 1));
    }
    if (prose.len > 0 && prose.ptr[prose.len - 1] == '(') {
        prose.len--;
    }
    if (prose.len > 0) {
        blanks(out, indent);
        columns_wrap(out, indent, indent, prose);
    }
}

void columns_reason(struct buf *out, size_t indent, const char *text, const char *file)
{
    CLEANUP(buf_release) struct buf known = {0}, option = {0};
    buf_add_str(&known, text);
    buf_add_str(&option, "-c ");
    shell_add_word(&option, file);
    replace(&known, "-c FILE", buf_str(&option));
    struct slice left = buf_slice(&known);
    size_t at = 0;
    while (at < left.len) {
        struct slice command;
        size_t taken;
        bool word = at == 0 || strchr(" (`", left.ptr[at - 1]) || left.ptr[at] == '`';
        if (!word || !command_at(rest_of(left, at), &command, &taken)) {
            at++;
            continue;
        }
        add_prose(out, indent, (struct slice){left.ptr, at});
        columns_command(out, indent + 4, command);
        left = rest_of(left, at + taken);
        at = 0;
    }
    add_prose(out, indent, left);
}
