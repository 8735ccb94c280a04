/* Masks members of JSON text without parsing it into anything: the bytes of a masked value are
 * replaced, and all others are copied as they stand. So numbers keep their digits and members their
 * sequence. */
#include "message/mask/internal.h"

#include "message/encode.h"
#include "value/json.h"

/* One walk over one text. */
struct walk {
    struct mask *mask;
    struct arena *arena;
    struct buf out;
    struct error *err;
};

/* The rules that are about the object at hand: their steps up to `depth` lead to it. */
struct active {
    uint16_t rules[MASK_RULES_MAX];
    size_t count, depth;
};

static int cannot(struct walk *w, const struct rule *r, const char *why)
{
    return error_set(w->err, ERROR_POISON, "mask",
                     "mask: %.*s cannot be masked: %s; payload and headers are withheld",
                     SLICE_FMT(r->field), why);
}

static int no_json(struct walk *w, const struct active *a)
{
    const struct rule *r = &w->mask->rules[a->rules[0]];
    return error_set(w->err, ERROR_POISON, "mask",
                     "mask: %.*s cannot be masked: the %.*s column is not valid JSON; payload and "
                     "headers are withheld",
                     SLICE_FMT(r->field), SLICE_FMT(r->steps[0]));
}

/* A null slice where the text is none that UTF-8 can hold. */
static struct slice decoded(struct walk *w, struct slice raw, bool escaped)
{
    size_t len = 0;
    if (!escaped) {
        return raw;
    }
    char *text = arena_bytes(w->arena, raw.len);
    return json_unescape(raw, text, &len) ? (struct slice){text, len} : SLICE_NULL;
}

/* Those of the rules that go on with this member. */
static struct active narrow(struct walk *w, const struct active *a, const struct json_member *m)
{
    struct active inner = {.depth = a->depth + 1};
    struct slice name = decoded(w, m->name, m->name_escaped);
    for (size_t i = 0; i < a->count; i++) {
        if (slice_equal(w->mask->rules[a->rules[i]].steps[a->depth], name)) {
            inner.rules[inner.count++] = a->rules[i];
        }
    }
    return inner;
}

static bool whole_text(const struct json_member *m)
{
    return m->type == JSON_IS_STRING || m->type == JSON_IS_NUMBER;
}

/* Appends what stands for the value. */
static int add_masked(struct walk *w, const struct rule *r, const struct json_member *m)
{
    if (m->type == JSON_IS_NULL || r->how == MASK_NULL) {
        buf_add_str(&w->out, "null");
        return RESULT_DONE;
    }
    struct slice text = decoded(w, m->value, m->value_escaped);
    if (slice_is_null(text) && r->how != MASK_REDACT) {
        return cannot(w, r, "its text holds \\u0000 or half a surrogate pair");
    }
    if (r->how == MASK_LAST4 && !whole_text(m)) {
        text = SLICE_LITERAL("");
    }
    (void)encode_json_string(&w->out, mask_text(r, text, w->arena)); /* of valid UTF-8 */
    return RESULT_DONE;
}

/* An array without elements holds no member; PHP writes an empty object so. */
static bool is_empty_array(struct slice text)
{
    for (size_t i = 1; i + 1 < text.len; i++) {
        if (!memchr(" \t\r\n", text.ptr[i], 4)) {
            return false;
        }
    }
    return true;
}

static int add_object(struct walk *w, const struct active *a, struct slice text);

/* Appends a member's value: masked, with masked members of its own, or as it stands. */
static int add_value(struct walk *w, const struct active *inner, const struct json_member *m)
{
    struct slice value = json_member_text(m);
    struct rule *r = inner->count > 0 ? &w->mask->rules[inner->rules[0]] : NULL;
    if (r && r->steps_count == inner->depth) {
        return add_masked(w, r, m);
    }
    if (r && m->type == JSON_IS_OBJECT) {
        return add_object(w, inner, value);
    }
    if (r && m->type == JSON_IS_ARRAY && !is_empty_array(value)) {
        return cannot(w, r, "an array lies on the way to it");
    }
    buf_add_slice(&w->out, value);
    return RESULT_DONE;
}

/* Whether the member ends a rule, which is counted, and is to be left out. */
static bool is_dropped(struct walk *w, const struct active *inner)
{
    struct rule *r = inner->count > 0 ? &w->mask->rules[inner->rules[0]] : NULL;
    if (!r || r->steps_count != inner->depth) {
        return false;
    }
    r->matched++;
    return r->how == MASK_DROP;
}

/* Appends an object. What stands before a member (the brace or comma, and blanks) is left out with
 * it; the first member that is kept gets what stood before the first of all. */
static int add_object(struct walk *w, const struct active *a, struct slice text)
{
    struct json_members members = json_members(text);
    struct json_member m;
    enum json_step step;
    struct slice opening = SLICE_NULL;
    const char *done = text.ptr; /* all before it is written or left out */
    bool kept = false;
    while ((step = json_members_next(&members, &m)) == JSON_MEMBER) {
        struct active inner = narrow(w, a, &m);
        struct slice value = json_member_text(&m), before = {done, (size_t)(m.name.ptr - 1 - done)};
        opening = slice_is_null(opening) ? before : opening;
        done = value.ptr + value.len;
        if (is_dropped(w, &inner)) {
            continue;
        }
        buf_add_slice(&w->out, kept ? before : opening);
        buf_add(&w->out, m.name.ptr - 1, (size_t)(value.ptr - m.name.ptr) + 1);
        kept = true;
        if (add_value(w, &inner, &m)) {
            return RESULT_ERROR;
        }
    }
    if (step == JSON_FAULT) {
        return no_json(w, a);
    }
    if (!kept) {
        buf_add_slice(&w->out, opening);
    }
    buf_add(&w->out, done, (size_t)(text.ptr + text.len - done));
    return RESULT_DONE;
}

/* A text that is no object has no members; but an array may hold objects that have them. */
static int check_other(struct walk *w, const struct active *a, struct slice text)
{
    enum json_kind kind = JSON_IS_NULL;
    size_t fault = 0;
    if (!json_check(text, &kind, &fault)) {
        return no_json(w, a);
    }
    return kind == JSON_IS_ARRAY && memchr(text.ptr, '{', text.len)
               ? cannot(w, &w->mask->rules[a->rules[0]], "the column holds an array")
               : RESULT_DONE;
}

static bool is_object(struct slice text)
{
    size_t i = 0;
    while (i < text.len && memchr(" \t\r\n", text.ptr[i], 4)) {
        i++;
    }
    return i < text.len && text.ptr[i] == '{';
}

static void release(struct walk *w)
{
    buf_release(&w->out);
}

int mask_json(struct mask *m, const char *root, struct slice *text, struct arena *arena,
              struct error *err)
{
    CLEANUP(release) struct walk w = {.mask = m, .arena = arena, .err = err};
    struct active a = {.depth = 1};
    for (size_t i = 0; i < m->count; i++) {
        if (slice_equal_str(m->rules[i].steps[0], root)) {
            a.rules[a.count++] = (uint16_t)i;
        }
    }
    if (a.count == 0 || slice_is_null(*text)) {
        return RESULT_DONE;
    }
    if (!is_object(*text)) {
        return check_other(&w, &a, *text);
    }
    buf_reserve(&w.out, text->len + 256);
    if (add_object(&w, &a, *text)) {
        return RESULT_ERROR;
    }
    *text = arena_copy(arena, buf_slice(&w.out));
    return RESULT_DONE;
}
