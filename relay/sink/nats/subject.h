/*
 * The subject of each message, from a template (sink/kit/name.h). Example: "orders.{type}.{key}"
 * gives "orders.paid.7" for an event of the type paid with the key 7. A value may hold dots: they
 * part tokens. Plain texts; any thread.
 */
#pragma once

#include "sink/kit/name.h"

enum { SUBJECT_MAX = 1024, SUBJECT_SIZE = SUBJECT_MAX + 1 };

/* Compiles the template, which outlives *ret, and checks it as far as that is possible without an
 * event. `out`: the subject that every event has, "" if they differ. fixed_topic: the topic of all
 * events, or NULL. CONFIG for a malformed template, and for a subject that no event can have. */
int subject_template(const char *text, const char *fixed_topic, struct name_template **ret,
                     char out[SUBJECT_SIZE], struct error *err) MUST_CHECK;

/* The subject of an event, for messages; `other` where it has none. */
void subject_shown(const struct name_template *t, const struct event *e, const char *other,
                   char out[SUBJECT_SIZE]);

/* The subject of an event, with a NUL behind it. POISON where a value is null or empty, and for a
 * text that is no subject or that is not the application's own: an empty token, a blank or a
 * control character, "*" or ">", more than SUBJECT_MAX bytes, "$" or "_INBOX" in front, by which a
 * row could give orders to the server. */
int subject_of(const struct name_template *t, const struct event *e, char out[SUBJECT_SIZE],
               struct error *err) MUST_CHECK;
