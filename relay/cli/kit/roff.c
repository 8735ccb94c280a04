/* Turns plain text and the reference's Markdown into roff. */
#include "cli/kit/roff.h"

#include <ctype.h>

enum { CELLS_MAX = 8 };

/* What stands for a character that roff or a terminal's font would change; NULL: it stays. */
static const char *spelled(char c)
{
    switch (c) {
    case '\\':
        return "\\e";
    case '-':
        return "\\-";
    case '\'':
        return "\\(aq";
    case '`':
        return "\\(ga";
    case '^':
        return "\\(ha";
    case '~':
        return "\\(ti";
    default:
        return NULL;
    }
}

static bool at_line_start(const struct buf *out)
{
    return out->len == 0 || out->data[out->len - 1] == '\n';
}

static void add_plain(struct buf *out, char c)
{
    const char *other = spelled(c);
    if (c == '.' && at_line_start(out)) {
        buf_add_str(out, "\\&");
    }
    if (other) {
        buf_add_str(out, other);
    } else {
        buf_add_char(out, c);
    }
}

void roff_text(struct buf *out, struct slice text)
{
    bool bold = false;
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] != '`') {
            add_plain(out, text.ptr[i]);
        } else {
            bold = !bold;
            buf_add_str(out, bold ? "\\fB" : "\\fR");
        }
    }
    if (bold) {
        buf_add_str(out, "\\fR");
    }
}

void roff_heading(struct buf *out, const char *macro, struct slice text)
{
    bool section = strcmp(macro, "SH") == 0;
    buf_printf(out, ".%s \"", macro);
    for (size_t i = 0; i < text.len; i++) {
        char c = text.ptr[i];
        if (c == '"') {
            buf_add_str(out, "\\(dq");
        } else if (c != '`') {
            add_plain(out, section ? (char)toupper((unsigned char)c) : c);
        }
    }
    buf_add_str(out, "\"\n");
}

/* Takes the first line off `rest`. False: there is none left. */
static bool next_line(struct slice *rest, struct slice *ret)
{
    if (rest->len == 0) {
        return false;
    }
    const char *end = memchr(rest->ptr, '\n', rest->len);
    size_t n = end ? (size_t)(end - rest->ptr) : rest->len;
    *ret = (struct slice){rest->ptr, n};
    rest->ptr += n + (end ? 1 : 0);
    rest->len -= n + (end ? 1 : 0);
    return true;
}

/* A code span may go over the end of a line. */
void roff_paragraphs(struct buf *out, const char *text)
{
    CLEANUP(buf_release) struct buf paragraph = {0};
    struct slice rest = slice_from(text), line;
    buf_add_str(out, ".PP\n");
    while (next_line(&rest, &line)) {
        bool own = line.len > 0 && line.ptr[0] == ' ';
        if ((line.len == 0 || own) && paragraph.len > 0) {
            roff_text(out, buf_slice(&paragraph));
            buf_add_char(out, '\n');
            buf_clear(&paragraph);
        }
        if (line.len == 0) {
            buf_add_str(out, ".PP\n");
        } else {
            buf_add_str(&paragraph, paragraph.len > 0 ? "\n" : "");
            buf_add_slice(&paragraph, line);
        }
    }
    if (paragraph.len > 0) {
        roff_text(out, buf_slice(&paragraph));
        buf_add_char(out, '\n');
    }
}

/* --- tables --- */

/* A row's cells, the blanks around them taken off and `\|` left as it is. Returns how many. */
static size_t split_row(struct slice line, struct slice *cells)
{
    size_t n = 0, begin = 1;
    for (size_t i = 1; i < line.len && n < CELLS_MAX; i++) {
        if (line.ptr[i] == '\\') {
            i++;
        } else if (line.ptr[i] == '|') {
            size_t end = i;
            while (begin < end && line.ptr[begin] == ' ') {
                begin++;
            }
            while (end > begin && line.ptr[end - 1] == ' ') {
                end--;
            }
            cells[n++] = (struct slice){line.ptr + begin, end - begin};
            begin = i + 1;
        }
    }
    return n;
}

static void add_cell(struct buf *out, struct slice cell)
{
    CLEANUP(buf_release) struct buf text = {0};
    for (size_t i = 0; i < cell.len; i++) {
        if (cell.ptr[i] == '\\' && i + 1 < cell.len && cell.ptr[i + 1] == '|') {
            i++;
        }
        buf_add_char(&text, cell.ptr[i]);
    }
    roff_text(out, buf_slice(&text));
}

/* "type" and "duration" give "duration", "default" and "5s" give "default 5s". */
static void add_fact(struct buf *out, struct slice title, struct slice cell)
{
    if (slice_equal_str(title, "default") && !slice_equal_str(cell, "required")) {
        buf_add_str(out, "default ");
    }
    add_cell(out, cell);
}

struct table {
    struct slice titles[CELLS_MAX]; /* of the columns */
    size_t count;                   /* of them; 0: outside of a table */
};

static void add_row(struct buf *out, struct table *t, struct slice line)
{
    struct slice cells[CELLS_MAX];
    if (t->count == 0) {
        t->count = split_row(line, t->titles);
        return;
    }
    size_t n = split_row(line, cells);
    if (n < 2 || n != t->count || (cells[0].len > 0 && cells[0].ptr[0] == '-')) {
        return;
    }
    buf_add_str(out, ".TP\n");
    add_cell(out, cells[0]);
    buf_add_char(out, '\n');
    for (size_t i = 1; i + 1 < n; i++) {
        buf_add_str(out, i > 1 ? "; " : "");
        add_fact(out, t->titles[i], cells[i]);
    }
    buf_add_str(out, n > 2 && cells[n - 1].len > 0 ? "\n.br\n" : "");
    add_cell(out, cells[n - 1]);
    buf_add_char(out, '\n');
}

/* How many # the line begins with. */
static size_t heading_level(struct slice line)
{
    size_t n = 0;
    while (n < line.len && line.ptr[n] == '#') {
        n++;
    }
    return n;
}

static void add_heading(struct buf *out, struct slice line, size_t level)
{
    size_t skip = level;
    while (skip < line.len && line.ptr[skip] == ' ') {
        skip++;
    }
    if (level > 1) {
        roff_heading(out, level == 2 ? "SH" : "SS",
                     (struct slice){line.ptr + skip, line.len - skip});
    }
}

void roff_markdown(struct buf *out, struct slice markdown)
{
    struct table table = {.count = 0};
    struct slice line;
    bool gap = true; /* text that comes next begins a paragraph */
    while (next_line(&markdown, &line)) {
        if (line.len > 0 && line.ptr[0] == '|') {
            add_row(out, &table, line);
            gap = true;
            continue;
        }
        table.count = 0;
        size_t level = heading_level(line);
        if (level > 0) {
            add_heading(out, line, level);
        } else if (line.len > 0) {
            buf_add_str(out, gap ? ".PP\n" : "");
            roff_text(out, line);
            buf_add_char(out, '\n');
        }
        gap = line.len == 0;
    }
}
