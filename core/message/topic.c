/* Checks topic names. Kafka itself would refuse a wrong one only later and with less to go by; the
 * errors here name the cause and the remedy. */
#include "message/topic.h"

#include "base/utf8.h"

bool topic_char_valid(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
           c == '_' || c == '-';
}

size_t topic_mend(char *text, size_t len)
{
    size_t out = 0;
    for (size_t i = 0; i < len;) {
        size_t n = utf8_sequence(text + i, text + len);
        if (topic_char_valid(text[i])) {
            text[out++] = text[i++];
            continue;
        }
        text[out++] = '_';
        /* A character of four bytes is two UTF-16 units in Java, so Debezium writes two "_". */
        if (n == 4) {
            text[out++] = '_';
        }
        i += n ? n : 1;
    }
    return out;
}

/* `star` is the last * so far, and `resume` the first byte that it does not cover. On a mismatch
 * the * takes one byte more and the match goes on from there. Going back to the last * is enough,
 * so no pattern takes exponential time. */
bool topic_matches(struct slice topic, const char *pattern)
{
    const char *p = pattern, *t = topic.ptr, *end = topic.ptr + topic.len;
    const char *star = NULL, *resume = NULL;
    while (t < end) {
        if (*p == '*') {
            star = p++;
            resume = t;
        } else if (*p && (*p == '?' || *p == *t)) {
            p++;
            t++;
        } else if (star) {
            p = star + 1;
            t = ++resume;
        } else {
            return false;
        }
    }
    while (*p == '*') {
        p++;
    }
    return *p == '\0';
}

bool topic_allowed(struct slice topic, const char *const *allow, size_t allow_count)
{
    for (size_t i = 0; i < allow_count; i++) {
        if (topic_matches(topic, allow[i])) {
            return true;
        }
    }
    return allow_count == 0;
}

int topic_check(struct slice topic, const char *const *allow, size_t allow_count,
                enum error_class class, struct error *err)
{
    if (topic.len == 0) {
        return error_set(err, class, "route", "the topic is empty; route.topic must give a name");
    }
    if (topic.len > TOPIC_MAX) {
        return error_set(
            err, class, "route",
            "the topic has %zu bytes and Kafka takes at most %d; shorten the column's value or route.topic",
            topic.len, TOPIC_MAX);
    }
    for (size_t i = 0; i < topic.len; i++) {
        if (!topic_char_valid(topic.ptr[i])) {
            return error_set(
                err, class, "route",
                "the topic \"%.*s\" has a character outside [A-Za-z0-9._-] at byte %zu; mend the column's value or route.topic",
                SLICE_FMT(topic), i);
        }
    }
    if (slice_equal_str(topic, ".") || slice_equal_str(topic, "..")) {
        return error_set(
            err, class, "route",
            "the topic is \"%.*s\", which Kafka refuses; mend the column's value or route.topic",
            SLICE_FMT(topic));
    }
    if (!topic_allowed(topic, allow, allow_count)) {
        return error_set(
            err, class, "route",
            "the topic \"%.*s\" is not one of route.allow_topics; add a pattern for it if it is meant",
            SLICE_FMT(topic));
    }
    return RESULT_DONE;
}
