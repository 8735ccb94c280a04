/* A mask never reads outside its input. What it accepts is JSON before and after; what no rule is
 * about stays the same, and what a rule is about is not there any more. */
#include "message/mask/mask.h"
#include "value/json.h"
#include <jansson.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool ok)
{
    if (!ok) {
        abort();
    }
}

static const struct mask_rule rules[] = {{"payload.a", MASK_DROP, {NULL, 0}, 0, NULL},
                                         {"payload.b.a", MASK_REDACT, {NULL, 0}, 0, NULL},
                                         {"payload.b.b.c", MASK_LAST4, {NULL, 0}, 0, NULL},
                                         {"payload.c", MASK_SHA256, {NULL, 0}, 0, NULL},
                                         {"payload.d", MASK_NULL, {NULL, 0}, 0, NULL}};

static bool is_text_or_null(const json_t *value)
{
    return !value || json_is_null(value) || json_is_string(value);
}

/* What jansson takes for the last member of a name has been masked like all others of that name. */
static void look(const json_t *after)
{
    const json_t *b = json_object_get(after, "b");
    const json_t *redacted = json_object_get(b, "a");
    const json_t *null = json_object_get(after, "d");
    must(!json_object_get(after, "a"));
    must(!null || json_is_null(null));
    must(is_text_or_null(redacted) && is_text_or_null(json_object_get(after, "c")));
    must(!json_is_string(redacted) || strcmp(json_string_value(redacted), "***") == 0);
    must(is_text_or_null(json_object_get(json_object_get(b, "b"), "c")));
}

/* Without what the rules are about, before and after are the same. */
static void take_out(json_t *value)
{
    json_t *b = json_object_get(value, "b");
    json_object_del(value, "a");
    json_object_del(value, "c");
    json_object_del(value, "d");
    json_object_del(b, "a");
    json_object_del(json_object_get(b, "b"), "c");
}

static void compare(struct slice before, struct slice after)
{
    json_error_t error;
    json_t *was = json_loadb(before.ptr, before.len, JSON_DECODE_ANY | JSON_ALLOW_NUL, &error);
    json_t *is = json_loadb(after.ptr, after.len, JSON_DECODE_ANY | JSON_ALLOW_NUL, &error);
    if (was && is) { /* it refuses some of what RFC 8259 allows */
        look(is);
        take_out(was);
        take_out(is);
        must(json_equal(was, is));
    }
    json_decref(was);
    json_decref(is);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice text = {size ? (const char *)data : "", size};
    struct mask *m = NULL;
    struct error err;
    enum json_kind kind = JSON_IS_NULL;
    size_t fault = 0;
    must(mask_new(rules, sizeof rules / sizeof *rules, false, &m, &err) == RESULT_DONE);
    struct batch *b = batch_new();
    struct event *e = batch_add(b);
    e->payload = text;
    bool valid = json_check(text, &kind, &fault);
    if (mask_event(m, e, &b->arena, &err) == RESULT_DONE) {
        must(valid && json_check(e->payload, &kind, &fault));
        compare(text, e->payload);
    } else {
        must(err.class == ERROR_POISON && slice_is_null(e->payload) && e->partial);
    }
    batch_free(b);
    mask_free(m);
    return 0;
}
