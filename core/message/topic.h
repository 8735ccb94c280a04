/*
 * What may be a topic: Kafka's rules and the operator's patterns. Pure.
 */
#pragma once

#include "base/error.h"
#include "base/slice.h"

enum { TOPIC_MAX = 249 };

bool topic_char_valid(char c); /* A-Z a-z 0-9 . _ - */

/* Replaces what no topic may have, in place, as Debezium does: each UTF-16 unit of it becomes "_".
 * Returns the new length, which is never larger. */
size_t topic_mend(char *text, size_t len);

/* A glob pattern: * and ?. */
bool topic_matches(struct slice topic, const char *pattern);
/* One of the patterns matches, or there is none. */
bool topic_allowed(struct slice topic, const char *const *allow, size_t allow_count);

/* What is wrong with a topic, and how to mend it; `class` says whose fault it is. No patterns:
 * any topic is allowed. */
int topic_check(struct slice topic, const char *const *allow, size_t allow_count,
                enum error_class class, struct error *err) MUST_CHECK;
