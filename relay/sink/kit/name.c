/*
 * Templates for the names that sinks make of events (name.h).
 */
#include "sink/kit/name.h"

#include "base/memory.h"
#include "model/field.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct piece {
    enum event_field field; /* FIELD_UNKNOWN: it is `text` */
    struct slice text;
};

struct name_template {
    const char *key, *origin;
    struct piece *pieces;
    size_t count;
    struct buf literal; /* the text of all literal pieces, one behind the other */
    bool varies;        /* it has a placeholder */
};

static int wrong(const struct name_template *t, const char *text, const char *why,
                 struct error *err)
{
    return error_set(err, ERROR_CONFIG, t->origin, "sink.%s \"%s\" %s", t->key, text, why);
}

static const char *field_name(enum event_field field)
{
    return field < FIELD_OWN_COUNT ? event_own_fields[field]
           : field == FIELD_TOPIC  ? "topic"
                                   : "key";
}

static int add_placeholder(struct name_template *t, const char *text, const char **p,
                           struct error *err)
{
    char name[32];
    size_t len = strcspn(*p + 1, "{}");
    if ((*p)[1 + len] != '}') {
        return wrong(t, text,
                     "has a \"{\" without a \"}\" behind it; write \"{{\" for the character itself",
                     err);
    }
    snprintf(name, sizeof name, "%.*s", (int)len, *p + 1);
    enum event_field field = event_field_from(name);
    if (len >= sizeof name || field == FIELD_UNKNOWN || field == FIELD_HEADERS ||
        field == FIELD_PAYLOAD) {
        return wrong(t, text,
                     "has an unknown placeholder; there are {topic}, {key}, {id}, {type}, "
                     "{aggregatetype}, {aggregateid}, {created_at} and {position}",
                     err);
    }
    t->pieces[t->count++] = (struct piece){.field = field};
    t->varies = true;
    *p += len + 2;
    return RESULT_DONE;
}

/* Takes literal text up to the next placeholder. */
static int add_literal(struct name_template *t, const char *text, const char **p, struct error *err)
{
    size_t first = t->literal.len;
    while (**p && (**p != '{' || (*p)[1] == '{')) {
        if (**p == '}' && (*p)[1] != '}') {
            return wrong(
                t, text,
                "has a \"}\" without a \"{\" before it; write \"}}\" for the character itself",
                err);
        }
        *p += **p == '{' || **p == '}';
        buf_add_char(&t->literal, *(*p)++);
    }
    t->pieces[t->count++] = (struct piece){
        .field = FIELD_UNKNOWN, .text = {t->literal.data + first, t->literal.len - first}};
    return RESULT_DONE;
}

int name_template_new(const char *text, const char *key, const char *origin,
                      struct name_template **ret, struct error *err)
{
    struct name_template *t = memory_need(calloc(1, sizeof *t));
    size_t len = strlen(text);
    t->key = key;
    t->origin = origin;
    t->pieces = memory_need(calloc(len + 1, sizeof *t->pieces));
    buf_reserve(&t->literal, len); /* so that it never moves */
    buf_add_str(&t->literal, "");
    for (const char *p = text; *p;) {
        bool name = *p == '{' && p[1] != '{';
        if (name ? add_placeholder(t, text, &p, err) : add_literal(t, text, &p, err)) {
            name_template_free(t);
            return RESULT_ERROR;
        }
    }
    *ret = t;
    return RESULT_DONE;
}

void name_template_free(struct name_template *t)
{
    if (t) {
        buf_release(&t->literal);
        free(t->pieces);
        free(t);
    }
}

const char *name_template_fixed(const struct name_template *t)
{
    return t->varies ? NULL : buf_str(&t->literal);
}

bool name_template_has_topic(const struct name_template *t)
{
    for (size_t i = 0; i < t->count; i++) {
        if (t->pieces[i].field == FIELD_TOPIC) {
            return true;
        }
    }
    return false;
}

bool name_template_of_topic(const struct name_template *t, const char *topic, struct buf *out)
{
    size_t before = out->len;
    for (size_t i = 0; i < t->count; i++) {
        const struct piece *p = &t->pieces[i];
        if (p->field != FIELD_UNKNOWN && (p->field != FIELD_TOPIC || !topic)) {
            buf_truncate(out, before);
            return false;
        }
        buf_add_slice(out, p->field == FIELD_TOPIC ? slice_from(topic) : p->text);
    }
    return true;
}

int name_template_make(const struct name_template *t, const struct event *e, struct buf *out,
                       struct slice *ret, struct error *err)
{
    char time[CLOCK_RFC3339_SIZE];
    if (!t->varies) {
        *ret = slice_from(buf_str(&t->literal));
        return RESULT_DONE;
    }
    buf_clear(out);
    for (size_t i = 0; i < t->count; i++) {
        const struct piece *p = &t->pieces[i];
        struct slice value = p->field == FIELD_UNKNOWN ? p->text : event_field(e, p->field, time);
        if (value.len == 0) {
            return error_set(
                err, ERROR_POISON, t->origin,
                "sink.%s: the event has no {%s}; fill the column, or use another template", t->key,
                field_name(p->field));
        }
        if (t->count == 1 && value.ptr != time) {
            *ret = value;
            return RESULT_DONE;
        }
        buf_add_slice(out, value);
    }
    *ret = buf_slice(out);
    return RESULT_DONE;
}
