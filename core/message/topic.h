/*
 * What may be a topic name: Kafka's rules, and the patterns that the operator allows
 * (route.allow_topics). The functions keep no state; any thread may call them.
 */
#pragma once

#include "base/error.h"
#include "base/slice.h"

/* Kafka's limit for a topic name, in bytes. */
enum { TOPIC_MAX = 249 };

bool topic_char_valid(char c); /* A-Z a-z 0-9 . _ - */

/* Replaces in place what no topic may have, as Debezium does: each UTF-16 unit of it becomes "_",
 * so a character beyond U+FFFF becomes two. A byte that is not UTF-8 becomes one. `len` is in
 * bytes; returns the new length, which is never larger. */
size_t topic_mend(char *text, size_t len);

/* Whether the whole topic matches a pattern with * (any characters) and ? (one byte). */
bool topic_matches(struct slice topic, const char *pattern);
/* Whether one of the patterns matches; true if there are none. */
bool topic_allowed(struct slice topic, const char *const *allow, size_t allow_count);

/* Checks a topic against both. The error says what is wrong and how to mend it. Its class is
 * `class`: CONFIG when the configuration is to blame, POISON when an event is. With no patterns any
 * topic is allowed. RESULT_DONE or RESULT_ERROR. */
int topic_check(struct slice topic, const char *const *allow, size_t allow_count,
                enum error_class class, struct error *err) MUST_CHECK;
