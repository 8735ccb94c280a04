/*
 * Compiles and fills the template of stream and channel names.
 */
#include "sink/redis/name.h"

#include <string.h>

static int broken(struct error *err, const char *template, const char *why)
{
    return error_set(err, ERROR_CONFIG, "redis", "sink.stream \"%.200s\": %s", template, why);
}

static bool may_name(enum event_field field)
{
    return field == FIELD_TOPIC || field == FIELD_KEY ||
           (field < FIELD_OWN_COUNT && field != FIELD_CREATED_AT && field != FIELD_POSITION);
}

/* Reads the placeholder at *p, a "{", and moves *p behind it. */
static int read_placeholder(const char *template, const char **p, struct redis_name_part *part,
                            struct error *err)
{
    char name[64];
    size_t len = strcspn(*p + 1, "{}");
    if ((*p)[1 + len] != '}') {
        return broken(err, template, "a { has no } behind it; {{ stands for a {");
    }
    if (len < sizeof name) {
        memcpy(name, *p + 1, len);
        name[len] = '\0';
        part->field = event_field_from(name);
        part->name = (struct slice){*p + 1, len};
    }
    if (len >= sizeof name || !may_name(part->field)) {
        return broken(
            err, template,
            "a placeholder is {topic}, {key}, {id}, {type}, {aggregatetype} or {aggregateid}; use other columns in route.topic");
    }
    *p += len + 2;
    return RESULT_DONE;
}

int redis_name_compile(const char *template, struct arena *memory, struct redis_name *ret,
                       struct error *err)
{
    size_t len = strlen(template);
    struct redis_name out = {.parts = arena_array(memory, len + 1, sizeof *out.parts)};
    char *text = arena_bytes(memory, len + 1);
    for (const char *p = template; *p;) {
        struct redis_name_part *part = &out.parts[out.count++];
        char *first = text;
        while (*p && (*p != '{' || p[1] == '{')) {
            if (*p == '}' && p[1] != '}') {
                return broken(err, template, "a } has no { before it; }} stands for a }");
            }
            p += *p == '{' || *p == '}';
            *text++ = *p++;
        }
        part->text = text > first ? (struct slice){first, (size_t)(text - first)} : SLICE_NULL;
        if (slice_is_null(part->text) && read_placeholder(template, &p, part, err)) {
            return RESULT_ERROR;
        }
    }
    if (out.count == 0) {
        return broken(err, template, "it is empty; name a stream, or {topic}");
    }
    *ret = out;
    return RESULT_DONE;
}

int redis_name_of(const struct redis_name *name, const struct event *e, struct buf *out,
                  struct error *err)
{
    char time[CLOCK_RFC3339_SIZE];
    buf_clear(out);
    for (size_t i = 0; i < name->count; i++) {
        const struct redis_name_part *part = &name->parts[i];
        struct slice value = part->text;
        if (slice_is_null(value)) {
            value = event_field(e, part->field, time);
            if (value.len == 0) {
                return error_set(
                    err, ERROR_POISON, "redis",
                    "sink.stream: the event has nothing for {%.*s}; mend its row, or the template",
                    SLICE_FMT(part->name));
            }
        }
        buf_add_slice(out, value);
    }
    return RESULT_DONE;
}

bool redis_name_fixed(const struct redis_name *name, const char *fixed_topic, struct buf *out)
{
    buf_clear(out);
    for (size_t i = 0; i < name->count; i++) {
        const struct redis_name_part *part = &name->parts[i];
        if (slice_is_null(part->text) && (part->field != FIELD_TOPIC || !fixed_topic)) {
            return false;
        }
        buf_add_slice(out, slice_is_null(part->text) ? slice_from(fixed_topic) : part->text);
    }
    return true;
}
