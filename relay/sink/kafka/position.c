/* Renders and parses the records of position.h. */
#include "sink/kafka/position.h"

#include "base/digits.h"
#include "base/memory.h"
#include "message/encode.h"
#include "value/json.h"
#include <inttypes.h>
#include <stdlib.h>

/* A record of row keys, so that it fits into the smallest message that brokers take by default. */
enum { KEYS_BYTES_MAX = 512 * 1024 };

void kafka_position_release(struct kafka_position *p)
{
    buf_release(&p->cursor);
    buf_release(&p->last_position);
    buf_release(&p->last_id);
    buf_release(&p->store);
    free(p->keys);
    arena_release(&p->arena);
    *p = (struct kafka_position){.offset = -1};
}

/* --- the position --- */

/* JSON holds no bytes that are no text, and this reader takes no NUL. An id that has them is left
 * out: it is for a comparison only. */
static void add_member(struct buf *out, const char *name, struct slice text)
{
    buf_printf(out, ",\"%s\":", name);
    bool nul = text.len && memchr(text.ptr, 0, text.len);
    if (nul || !encode_json_string(out, text)) {
        buf_add_str(out, "\"\"");
    }
}

void kafka_position_render(const struct kafka_position_by *by, const struct sink_commit *c,
                           uint64_t parts, struct buf *out)
{
    char at[CLOCK_RFC3339_SIZE];
    clock_format_rfc3339(clock_wall_us(), at);
    buf_add_str(out, "{\"v\":1");
    add_member(out, "pipeline", slice_from(by->pipeline));
    add_member(out, "part", SLICE_LITERAL(""));
    buf_printf(out, ",\"delivered\":%" PRIu64 ",\"epoch\":%" PRId64, by->delivered, by->epoch);
    add_member(out, "cursor", c->cursor);
    add_member(out, "last_position", c->last_position);
    add_member(out, "last_id", c->last_id);
    add_member(out, "store", slice_from(by->store));
    if (c->dead_letter > 0) {
        buf_printf(out, ",\"dead_letter\":%" PRId64, c->dead_letter);
    }
    buf_printf(out, ",\"keys\":%" PRIu64 ",\"at\":\"%s\"}", parts, at);
}

static bool take_text(const struct json_member *m, struct buf *ret)
{
    size_t len = m->value.len;
    if (m->type != JSON_IS_STRING) {
        return false;
    }
    buf_clear(ret);
    buf_reserve(ret, len + 1);
    if (!m->value_escaped) {
        buf_add_slice(ret, m->value);
        return true;
    }
    char *text = memory_need(malloc(len + 1));
    bool ok = json_unescape(m->value, text, &len);
    if (ok) {
        buf_add(ret, text, len);
    }
    free(text);
    return ok;
}

static bool take_number(const struct json_member *m, uint64_t *ret)
{
    return m->type == JSON_IS_NUMBER && digits_parse(m->value, ret) && *ret <= INT64_MAX;
}

/* Members of later versions are passed over. */
static bool take_member(const struct json_member *m, struct kafka_position *p, uint64_t *version,
                        unsigned *seen)
{
    const struct {
        const char *name;
        uint64_t *number;
        struct buf *text;
    } members[] = {{"v", version, NULL},
                   {"delivered", &p->delivered, NULL},
                   {"keys", &p->parts, NULL},
                   {"cursor", NULL, &p->cursor},
                   {"last_position", NULL, &p->last_position},
                   {"last_id", NULL, &p->last_id},
                   {"store", NULL, &p->store}};
    uint64_t letter = 0;
    if (slice_equal_str(m->name, "dead_letter")) {
        bool ok = take_number(m, &letter);
        p->dead_letter = (int64_t)letter;
        return ok;
    }
    for (unsigned i = 0; i < sizeof members / sizeof *members; i++) {
        if (slice_equal_str(m->name, members[i].name)) {
            *seen |= 1U << i;
            return members[i].number ? take_number(m, members[i].number)
                                     : take_text(m, members[i].text);
        }
    }
    return true;
}

int kafka_position_parse(struct slice value, struct kafka_position *ret, struct error *err)
{
    enum { ALL = (1U << 7) - 1 };
    struct json_member m;
    struct json_members walk = json_members(value);
    enum json_step step;
    uint64_t version = 0;
    unsigned seen = 0;
    bool ok = true;
    ret->dead_letter = 0;
    while (ok && (step = json_members_next(&walk, &m)) != JSON_END) {
        ok = step == JSON_MEMBER && take_member(&m, ret, &version, &seen);
    }
    if (ok && seen == ALL && version == 1 && ret->cursor.len > 0) {
        return RESULT_DONE;
    }
    return error_exit(
        err, ERROR_FATAL, EXIT_CODE_UNAVAILABLE, "kafka",
        "the last record of the position topic cannot be read: it was damaged, or a newer version of the relay wrote it. Run that version; or give the pipeline another sink.position_topic, and events since the last save of the position come twice");
}

/* --- row keys --- */

size_t kafka_position_render_keys(uint64_t delivered, const struct slice *keys, size_t n,
                                  struct buf *out)
{
    size_t i = 0, start = out->len;
    buf_printf(out, "1 %" PRIu64 "\n", delivered);
    while (i < n && (i == 0 || out->len - start + keys[i].len + 24 <= KEYS_BYTES_MAX)) {
        buf_printf(out, "%zu:", keys[i].len);
        buf_add_slice(out, keys[i]);
        buf_add_char(out, '\n');
        i++;
    }
    return i;
}

/* Takes a number and the character behind it off the front. */
static bool take(struct slice *rest, uint64_t *ret, char behind)
{
    if (!digits_take(rest, ret) || rest->len == 0 || rest->ptr[0] != behind) {
        return false;
    }
    *rest = (struct slice){rest->ptr + 1, rest->len - 1};
    return true;
}

static void add_key(struct kafka_position *p, struct slice key)
{
    if (p->keys_count == p->keys_cap) {
        p->keys_cap = p->keys_cap ? 2 * p->keys_cap : 1024;
        p->keys = memory_need(reallocarray(p->keys, p->keys_cap, sizeof *p->keys));
    }
    p->keys[p->keys_count++] = arena_copy(&p->arena, key);
}

bool kafka_position_parse_keys(struct slice value, struct kafka_position *ret)
{
    uint64_t version, delivered, len;
    if (!take(&value, &version, ' ') || version != 1 || !take(&value, &delivered, '\n')) {
        return false;
    }
    if (delivered != ret->delivered) {
        ret->delivered = delivered;
        ret->keys_count = ret->parts = 0;
        arena_reset(&ret->arena);
    }
    while (value.len > 0) {
        if (!take(&value, &len, ':') || len >= value.len || value.ptr[len] != '\n') {
            return false;
        }
        add_key(ret, (struct slice){value.ptr, len});
        value = (struct slice){value.ptr + len + 1, value.len - len - 1};
    }
    ret->parts++;
    return true;
}
