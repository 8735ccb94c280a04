/* Rewrites topics. Most events have the topic of the event before, which is not matched again. */
#include "message/rewrite.h"

#include "base/buf.h"
#include "base/memory.h"
#include "message/encode.h"
#include "value/pattern.h"
#include <stdlib.h>
#include <string.h>

struct rewrite {
    struct pattern *match;
    char *to, *key_field;
    struct buf from, made; /* the last topic, and what became of it */
    bool known, done;      /* whether there is a last one; whether it matched */
};

int rewrite_new(const char *match, const char *to, const char *key_field, struct rewrite **ret,
                struct error *err)
{
    struct rewrite *r = memory_need(calloc(1, sizeof *r));
    r->to = memory_need(strdup(to));
    r->key_field = memory_need(strdup(key_field ? key_field : ""));
    if (pattern_new(match, false, &r->match, err) || pattern_check_replacement(r->match, to, err)) {
        rewrite_free(r);
        return error_prefix(err, "route.topic_rewrite");
    }
    *ret = r;
    return RESULT_DONE;
}

void rewrite_free(struct rewrite *r)
{
    if (r) {
        pattern_free(r->match);
        buf_release(&r->from);
        buf_release(&r->made);
        free(r->to);
        free(r->key_field);
        free(r);
    }
}

/* Fills `made` for a topic that is not the last one. */
static int look_at(struct rewrite *r, struct slice topic, struct error *err)
{
    r->known = false;
    buf_clear(&r->from);
    buf_clear(&r->made);
    buf_add_slice(&r->from, topic);
    if (pattern_replace(r->match, topic, r->to, &r->made, &r->done, err)) {
        err->class = ERROR_POISON; /* of this topic; others may match quickly */
        return error_prefix(err, "route.topic_rewrite");
    }
    r->done = r->done && r->made.len > 0;
    r->known = true;
    return RESULT_DONE;
}

int rewrite_topic(struct rewrite *r, struct slice *topic, struct arena *arena, struct error *err)
{
    if (!(r->known && slice_equal(buf_slice(&r->from), *topic)) && look_at(r, *topic, err)) {
        return RESULT_ERROR;
    }
    if (r->done) {
        *topic = arena_copy(arena, buf_slice(&r->made));
    }
    return RESULT_DONE;
}

static int add_key_field(const struct rewrite *r, struct slice *key, struct slice old_topic,
                         struct arena *arena, struct error *err)
{
    CLEANUP(buf_release) struct buf out = {0};
    if (key->len < 2 || key->ptr[key->len - 1] != '}') {
        return RESULT_DONE; /* there is no key */
    }
    buf_add(&out, key->ptr, key->len - 1);
    buf_add_str(&out, key->len > 2 ? "," : "");
    if (!encode_json_string(&out, slice_from(r->key_field))) {
        return error_set(err, ERROR_POISON, "route",
                         "route.topic_rewrite.key_field is not UTF-8; mend it");
    }
    buf_add_char(&out, ':');
    if (!encode_json_string(&out, old_topic)) {
        return error_set(err, ERROR_POISON, "route",
                         "the topic \"%.*s\" is not UTF-8, so it cannot stand in the key; mend "
                         "the column's value or route.topic",
                         SLICE_FMT(old_topic));
    }
    buf_add_char(&out, '}');
    *key = arena_copy(arena, buf_slice(&out));
    return RESULT_DONE;
}

int rewrite_event(struct rewrite *r, struct event *e, bool key, struct arena *arena,
                  struct error *err)
{
    struct slice old = e->topic;
    if (rewrite_topic(r, &e->topic, arena, err)) {
        return RESULT_ERROR;
    }
    return key && r->done && r->key_field[0] ? add_key_field(r, &e->key, old, arena, err)
                                             : RESULT_DONE;
}
