/*
 * NATS' rules for subjects.
 */
#include "sink/nats/subject.h"

#include <stdio.h>
#include <string.h>

static int bad(struct slice s, const char *why, enum error_class class, struct error *err)
{
    return error_set(err, class, "nats",
                     "\"%.*s\" is no subject to publish to: %s; correct sink.subject, route.topic "
                     "or the column",
                     (int)(s.len < 200 ? s.len : 200), s.ptr, why);
}

static int judge(struct slice s, enum error_class class, struct error *err)
{
    char before = '.';
    if (s.len > SUBJECT_MAX) {
        return bad(s, "it is longer than 1024 bytes", class, err);
    }
    for (size_t i = 0; i < s.len; i++) {
        unsigned char c = (unsigned char)s.ptr[i];
        if (c <= ' ' || c == 0x7f) {
            return bad(s, "it has a blank or a control character", class, err);
        }
        if (c == '*' || c == '>') {
            return bad(s, "* and > are for subscribers", class, err);
        }
        if (c == '.' && before == '.') {
            return bad(s, "a token between two dots is empty", class, err);
        }
        before = (char)c;
    }
    if (before == '.') {
        return bad(s, "a token is empty", class, err);
    }
    if (s.ptr[0] == '$' || (s.len >= 6 && memcmp(s.ptr, "_INBOX", 6) == 0)) {
        return bad(s, "$ and _INBOX are the server's own", class, err);
    }
    return RESULT_DONE;
}

static int make(const struct name_template *t, const struct event *e, enum error_class class,
                char out[SUBJECT_SIZE], struct error *err)
{
    CLEANUP(buf_release) struct buf made = {0};
    struct slice s;
    if (name_template_make(t, e, &made, &s, err) || judge(s, class, err)) {
        return RESULT_ERROR;
    }
    memcpy(out, s.ptr, s.len);
    out[s.len] = '\0';
    return RESULT_DONE;
}

int subject_of(const struct name_template *t, const struct event *e, char out[SUBJECT_SIZE],
               struct error *err)
{
    return make(t, e, ERROR_POISON, out, err);
}

void subject_shown(const struct name_template *t, const struct event *e, const char *other,
                   char out[SUBJECT_SIZE])
{
    struct error ignored;
    if (subject_of(t, e, out, &ignored)) {
        snprintf(out, SUBJECT_SIZE, "%s", other);
    }
}

int subject_template(const char *text, const char *fixed_topic, struct name_template **ret,
                     char out[SUBJECT_SIZE], struct error *err)
{
    CLEANUP(buf_release) struct buf fixed = {0};
    struct slice any = SLICE_LITERAL("x");
    struct event e = {.id = any,
                      .type = any,
                      .aggregatetype = any,
                      .aggregateid = any,
                      .created_at = any,
                      .created_at_us = TIME_NONE,
                      .position = any,
                      .key = any,
                      .topic = fixed_topic ? slice_from(fixed_topic) : any};
    struct name_template *t;
    if (name_template_new(text, "subject", "nats", &t, err)) {
        return RESULT_ERROR;
    }
    if (make(t, &e, ERROR_CONFIG, out, err)) {
        name_template_free(t);
        return RESULT_ERROR;
    }
    if (!name_template_of_topic(t, fixed_topic, &fixed)) {
        out[0] = '\0';
    }
    *ret = t;
    return RESULT_DONE;
}
