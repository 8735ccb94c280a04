/*
 * Makes subjects from a template, and keeps NATS' rules for them.
 */
#include "sink/nats/subject.h"

#include "model/field.h"

#include <string.h>

struct out {
    char *text; /* SUBJECT_SIZE bytes */
    size_t len;
};

static bool add(struct out *o, const char *text, size_t len)
{
    if (len > SUBJECT_MAX - o->len) {
        return false;
    }
    memcpy(o->text + o->len, text, len);
    o->len += len;
    return true;
}

/* The field of the placeholder at p, which is at a "{"; *ret_len: how long it is with its braces.
 * FIELD_UNKNOWN for one that is not closed, or has another name. */
static enum event_field placeholder(const char *p, size_t *ret_len)
{
    char name[32];
    size_t n = strcspn(p + 1, "}");
    *ret_len = n + 2;
    if (p[1 + n] != '}' || n >= sizeof name) {
        return FIELD_UNKNOWN;
    }
    memcpy(name, p + 1, n);
    name[n] = '\0';
    enum event_field field = event_field_from(name);
    return field == FIELD_HEADERS || field == FIELD_PAYLOAD ? FIELD_UNKNOWN : field;
}

static int too_long(enum error_class class, struct error *err)
{
    return error_set(err, class, "nats",
                     "the subject is longer than %d bytes; shorten sink.subject or its values",
                     SUBJECT_MAX);
}

static int add_value(struct out *o, const struct event *e, enum event_field field, const char *name,
                     size_t len, enum error_class class, struct error *err)
{
    char time[CLOCK_RFC3339_SIZE];
    struct slice v = event_field(e, field, time);
    if (v.len == 0) {
        return error_set(err, class, "nats",
                         "%.*s in sink.subject is empty for this event; fill the column, or take "
                         "another one",
                         (int)len, name);
    }
    return add(o, v.ptr, v.len) ? RESULT_DONE : too_long(class, err);
}

static int render(const char *template, const struct event *e, struct out *o,
                  enum error_class class, struct error *err)
{
    for (const char *p = template; *p;) {
        size_t len = 1;
        if ((*p == '{' || *p == '}') && p[1] == *p) {
            p++;
        } else if (*p == '{') {
            enum event_field field = placeholder(p, &len);
            if (add_value(o, e, field, p, len, class, err)) {
                return RESULT_ERROR;
            }
            p += len;
            continue;
        } else {
            len = strcspn(p, "{}");
        }
        if (!add(o, p, len)) {
            return too_long(class, err);
        }
        p += len;
    }
    o->text[o->len] = '\0';
    return RESULT_DONE;
}

static int bad(const struct out *o, const char *why, enum error_class class, struct error *err)
{
    return error_set(err, class, "nats",
                     "\"%.*s\" is no subject to publish to: %s; correct sink.subject, route.topic "
                     "or the column",
                     (int)(o->len < 200 ? o->len : 200), o->text, why);
}

static int judge(const struct out *o, enum error_class class, struct error *err)
{
    char before = '.';
    for (size_t i = 0; i < o->len; i++) {
        unsigned char c = (unsigned char)o->text[i];
        if (c <= ' ' || c == 0x7f) {
            return bad(o, "it has a blank or a control character", class, err);
        }
        if (c == '*' || c == '>') {
            return bad(o, "* and > are for subscribers", class, err);
        }
        if (c == '.' && before == '.') {
            return bad(o, "a token between two dots is empty", class, err);
        }
        before = (char)c;
    }
    if (before == '.') {
        return bad(o, "a token is empty", class, err);
    }
    if (o->text[0] == '$' || strncmp(o->text, "_INBOX", 6) == 0) {
        return bad(o, "$ and _INBOX are the server's own", class, err);
    }
    return RESULT_DONE;
}

int subject_of(const char *template, const struct event *e, char out[SUBJECT_SIZE],
               struct error *err)
{
    struct out o = {out, 0};
    return render(template, e, &o, ERROR_POISON, err) ? RESULT_ERROR : judge(&o, ERROR_POISON, err);
}

/* Braces and names. *ret_fixed: whether {topic} is the only placeholder there is. */
static int check_braces(const char *template, bool *ret_fixed, struct error *err)
{
    *ret_fixed = true;
    for (const char *p = template; *p; p++) {
        size_t len;
        if ((*p == '{' || *p == '}') && p[1] == *p) {
            p++;
        } else if (*p == '{') {
            enum event_field field = placeholder(p, &len);
            if (field == FIELD_UNKNOWN) {
                return error_set(
                    err, ERROR_CONFIG, "nats",
                    "sink.subject \"%s\" has a placeholder that is unknown or not closed; there are {topic}, {key}, {id}, {type}, {aggregatetype}, {aggregateid}, {created_at}, {position}, and \"{{\" is the character itself",
                    template);
            }
            *ret_fixed = *ret_fixed && field == FIELD_TOPIC;
            p += len - 1;
        } else if (*p == '}') {
            return error_set(
                err, ERROR_CONFIG, "nats",
                "sink.subject \"%s\" has a \"}\" without a \"{\" before it; write \"}}\" for the character itself",
                template);
        }
    }
    return RESULT_DONE;
}

int subject_check(const char *template, const char *fixed_topic, char out[SUBJECT_SIZE],
                  bool *ret_fixed, struct error *err)
{
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
    struct out o = {out, 0};
    bool topic_only = false;
    if (check_braces(template, &topic_only, err) || render(template, &e, &o, ERROR_CONFIG, err) ||
        judge(&o, ERROR_CONFIG, err)) {
        return RESULT_ERROR;
    }
    *ret_fixed = topic_only && (fixed_topic || !strstr(template, "{topic}"));
    return RESULT_DONE;
}
