/*
 * Writes the text of man pages (roff, with the macros of man(7)). All functions append to `out` and
 * never fail; main thread or any other, they keep nothing. Text is ASCII or UTF-8.
 */
#pragma once

#include "base/buf.h"

/* Text on a line of its own or behind what is on the line already: no character of it is taken for
 * a command, and `code` between backticks is set in bold. */
void roff_text(struct buf *out, struct slice text);

/* A heading: roff_heading(out, "SH", "SEE ALSO"). Backticks are left out. */
void roff_heading(struct buf *out, const char *macro, struct slice text);

/* Paragraphs as the help texts have them: filled, an empty line between two. A line that begins
 * with a blank stays a line of its own. */
void roff_paragraphs(struct buf *out, const char *text);

/* The Markdown that `commitrelay reference` prints: headings (## and ###; a # title is left out),
 * paragraphs, and tables, of which each row becomes a term, the cells between the first and the
 * last on one line, and the last cell as text. Ends with a whole line. */
void roff_markdown(struct buf *out, struct slice markdown);
