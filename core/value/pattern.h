/*
 * Regular expressions, as Java and so Debezium read them: `(?<name>...)`, `\d`, `.*?`, and in a
 * replacement `$1`, `${name}` and `\` before a character that means itself. Example: "(.*)_\d+" and
 * "$1" make "orders" of "orders_07".
 *
 * PCRE2 does the work; only pattern.c knows it. Texts are UTF-8; a byte that is not UTF-8 matches
 * nothing. A pattern keeps memory for its matches, so one thread at a time may use it.
 */
#pragma once

#include "base/buf.h"
#include "base/error.h"
#include "base/slice.h"

struct pattern;

/* Compiles a pattern; free it with pattern_free. `ignore_case`: letters of both cases are the same.
 * CONFIG: the text is no pattern; the error says what is wrong and at which character. */
int pattern_new(const char *text, bool ignore_case, struct pattern **ret,
                struct error *err) MUST_CHECK;
void pattern_free(struct pattern *p);              /* NULL is fine */
const char *pattern_text(const struct pattern *p); /* as it was given; the pattern owns it */

/* Whether the pattern matches the whole of `text`. CONFIG: the attempt was given up, because the
 * pattern has too many ways to match (as "(a+)+b" has); *ret is then false. */
int pattern_matches(struct pattern *p, struct slice text, bool *ret, struct error *err) MUST_CHECK;

/* CONFIG for a replacement that is malformed or names a group that the pattern does not have. */
int pattern_check_replacement(const struct pattern *p, const char *replacement,
                              struct error *err) MUST_CHECK;

/* If the pattern matches the whole of `text`: appends the text with the first match replaced, and
 * sets *ret. The first match need not be the whole text: "a|ab" replaces the "a" of "ab". Java's
 * Matcher.replaceFirst behind Matcher.matches does the same. Else nothing is appended. The
 * replacement must have passed pattern_check_replacement. CONFIG as pattern_matches. */
int pattern_replace(struct pattern *p, struct slice text, const char *replacement, struct buf *out,
                    bool *ret, struct error *err) MUST_CHECK;
