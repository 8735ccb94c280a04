/*
 * The subject of each message, from a template. Example: "orders.{type}.{key}" gives
 * "orders.paid.7" for an event of the type paid with the key 7.
 *
 * Placeholders are {topic}, {key}, {id}, {type}, {aggregatetype}, {aggregateid}, {created_at} and
 * {position}; "{{" and "}}" stand for the braces themselves. A value may hold dots: they part
 * tokens. Plain texts; any thread.
 */
#pragma once

#include "base/error.h"
#include "model/event.h"

enum { SUBJECT_MAX = 1024, SUBJECT_SIZE = SUBJECT_MAX + 1 };

/* Checks the template as far as that is possible without an event, and says in *ret_fixed whether
 * it gives every event the same subject, which is then in `out`. fixed_topic: the topic of all
 * events, or NULL. CONFIG for an unknown placeholder, unbalanced braces, and for a subject that no
 * event can have. */
int subject_check(const char *template, const char *fixed_topic, char out[SUBJECT_SIZE],
                  bool *ret_fixed, struct error *err) MUST_CHECK;

/* The subject of an event, with a NUL behind it. The template was checked. POISON where a value is
 * null or empty, and for a text that is no subject or that is not the application's own: an empty
 * token, a blank or a control character, "*" or ">", more than SUBJECT_MAX bytes, "$" or "_INBOX"
 * in front, by which a row could give orders to the server. */
int subject_of(const char *template, const struct event *e, char out[SUBJECT_SIZE],
               struct error *err) MUST_CHECK;
