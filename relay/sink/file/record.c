/* Takes records apart in place: what was escaped or quoted is never shorter than what it means. */
#include "sink/file/record.h"

#include "base/clock.h"
#include "base/memory.h"
#include "value/json.h"
#include <stdlib.h>

static bool is_whole(const struct file_column *c, enum event_field field)
{
    return !c->value && !c->from.path && c->from.field == field;
}

int file_reader_init(struct file_reader *r, const struct file_format *format, struct error *err)
{
    size_t n = format->columns ? format->columns_count : 0;
    bool has_id = !format->columns;
    *r = (struct file_reader){
        .format = format, .by_payload = !format->columns, .has_key = !format->columns};
    for (size_t i = 0; i < n; i++) {
        has_id |= is_whole(&format->columns[i], FIELD_ID);
        r->by_payload |= is_whole(&format->columns[i], FIELD_PAYLOAD);
        r->has_key |= is_whole(&format->columns[i], FIELD_KEY);
    }
    if (!has_id) {
        return error_set(err, ERROR_CONFIG, "file",
                         "sink.columns has no column `id`, so the events in the files cannot be "
                         "told apart; add it");
    }
    r->values = memory_need(calloc(n + 1, sizeof *r->values));
    r->room = n + 1;
    r->order = memory_need(calloc(r->room, sizeof *r->order));
    return RESULT_DONE;
}

void file_reader_release(struct file_reader *r)
{
    free(r->values);
    free(r->order);
    buf_release(&r->id);
    buf_release(&r->created);
    buf_release(&r->key);
    *r = (struct file_reader){0};
}

/* --- where a record ends --- */

size_t file_reader_next(struct file_reader *r, struct slice text, bool end)
{
    bool quotes = r->format->kind == FILE_DELIMITED;
    for (; r->looked < text.len; r->looked++) {
        char c = text.ptr[r->looked];
        r->quoted ^= quotes && c == '"';
        if (c == '\n' && !r->quoted) {
            size_t len = r->looked + 1;
            r->looked = 0;
            return len;
        }
    }
    return end ? text.len : 0;
}

/* --- the values of a record; NULL slice: null --- */

/* Takes the first value off a delimited record. False: it is not quoted as it must be. */
static bool take_quoted(char **at, const char *end, struct slice *ret)
{
    char *from = *at + 1, *to = from, *text = from;
    while (from < end && (*from != '"' || (from + 1 < end && from[1] == '"'))) {
        from += *from == '"';
        *to++ = *from++;
    }
    if (from == end) {
        return false;
    }
    *ret = (struct slice){text, (size_t)(to - text)};
    *at = from + 1;
    return true;
}

static bool take_delimited(const struct encode_csv *csv, char **at, const char *end,
                           struct slice *ret)
{
    if (*at < end && **at == '"') {
        return take_quoted(at, end, ret) && (*at == end || **at == csv->delimiter);
    }
    char *start = *at;
    while (*at < end && **at != csv->delimiter) {
        ++*at;
    }
    *ret = (struct slice){start, (size_t)(*at - start)};
    if (slice_equal_str(*ret, csv->null_text)) {
        *ret = SLICE_NULL;
    }
    return true;
}

/* Calls `each` with the values in order. False: the line is no record, or `each` wants no more. */
static bool each_delimited(struct file_reader *r, char *line, size_t len,
                           bool (*each)(struct file_reader *r, size_t n, struct slice value),
                           size_t *ret_count)
{
    char *at = line, *end = line + len;
    size_t n = 0;
    do {
        struct slice value;
        at += n > 0; /* the delimiter */
        if (!take_delimited(&r->format->csv, &at, end, &value) || !each(r, n, value)) {
            return false;
        }
        n++;
    } while (at < end);
    *ret_count = n;
    return true;
}

static size_t column_named(const struct file_reader *r, struct slice name)
{
    size_t i = 0;
    while (i < r->format->columns_count && !slice_equal_str(name, r->format->columns[i].name)) {
        i++;
    }
    return i;
}

/* A file may have more columns than the format. What is unknown is left out. */
static bool take_name(struct file_reader *r, size_t n, struct slice name)
{
    if (n >= r->room) {
        r->room = n + 1;
        r->order = memory_need(realloc(r->order, r->room * sizeof *r->order));
    }
    r->order[n] = column_named(r, name);
    return true;
}

static bool set_value(struct file_reader *r, size_t n, struct slice value)
{
    if (n >= r->fields) {
        return false;
    }
    if (r->order[n] < r->format->columns_count) {
        r->values[r->order[n]] = value;
    }
    return true;
}

static size_t without_line_end(const struct file_reader *r, const char *line, size_t len)
{
    len -= len > 0 && line[len - 1] == '\n';
    return len - (r->format->kind == FILE_DELIMITED && len > 0 && line[len - 1] == '\r');
}

void file_reader_begin(struct file_reader *r)
{
    r->looked = 0;
    r->quoted = false;
    r->fields = r->format->columns_count;
    for (size_t i = 0; i < r->fields; i++) {
        r->order[i] = i;
    }
}

bool file_reader_header(struct file_reader *r, char *line, size_t len)
{
    bool has_id = false;
    if (!each_delimited(r, line, without_line_end(r, line, len), take_name, &r->fields)) {
        return false;
    }
    for (size_t i = 0; i < r->fields; i++) {
        size_t n = r->order[i];
        has_id |= n < r->format->columns_count && is_whole(&r->format->columns[n], FIELD_ID);
    }
    return has_id;
}

static bool parse_delimited(struct file_reader *r, char *line, size_t len)
{
    size_t n;
    return each_delimited(r, line, len, set_value, &n) && n == r->fields;
}

static int hex(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* Decodes what stands behind a backslash. */
static bool take_escape(char **from, const char *end, char *ret)
{
    static const char letters[] = "nrt", values[] = "\n\r\t";
    char c = *(*from)++;
    const char *letter = c ? strchr(letters, c) : NULL;
    if (c == 'x') {
        if (end - *from < 2 || hex((*from)[0]) < 0 || hex((*from)[1]) < 0) {
            return false;
        }
        *ret = (char)(hex((*from)[0]) * 16 + hex((*from)[1]));
        *from += 2;
        return true;
    }
    *ret = letter ? values[letter - letters] : c;
    return letter || c == '"' || c == '\\';
}

static bool take_pair_value(char **at, const char *end, struct slice *ret)
{
    char *from = *at, *to = from + 1;
    if (from == end || *from != '"') {
        while (*at < end && **at != ' ') {
            ++*at;
        }
        *ret = *at == from ? SLICE_NULL : (struct slice){from, (size_t)(*at - from)};
        return true;
    }
    char *text = ++from;
    while (from < end && *from != '"') {
        char c = *from++;
        if (c == '\\' && (from == end || !take_escape(&from, end, &c))) {
            return false;
        }
        *to++ = c;
    }
    if (from == end) {
        return false;
    }
    *ret = (struct slice){text, (size_t)(to - text)};
    *at = from + 1;
    return *at == end || **at == ' ';
}

static bool parse_pairs(struct file_reader *r, char *line, size_t len)
{
    char *at = line, *end = line + len;
    while (at < end) {
        struct slice value;
        char *equals = memchr(at, '=', (size_t)(end - at));
        if (!equals) {
            return false;
        }
        size_t n = column_named(r, (struct slice){at, (size_t)(equals - at)});
        at = equals + 1;
        if (!take_pair_value(&at, end, &value)) {
            return false;
        }
        if (n < r->format->columns_count) {
            r->values[n] = value;
        }
        at += at < end;
    }
    return true;
}

/* --- JSON lines --- */

/* The text of a string, decoded into `room` if it has escapes; null for any other value. */
static struct slice text_of(const struct json_member *m, struct buf *room)
{
    size_t len;
    if (m->type != JSON_IS_STRING || !m->value_escaped) {
        return m->type == JSON_IS_STRING ? m->value : SLICE_NULL;
    }
    buf_clear(room);
    buf_reserve(room, m->value.len);
    if (!json_unescape(m->value, room->data, &len)) {
        return SLICE_NULL;
    }
    room->len = len;
    return buf_slice(room);
}

static void set_created(struct slice text, struct file_record *ret)
{
    if (slice_is_null(text) || !clock_parse_timestamp(text, &ret->created_us)) {
        ret->created_us = TIME_NONE;
    }
}

/* A line without columns of its own: the whole event. */
static bool parse_event(struct file_reader *r, struct slice line, struct buf *out,
                        struct file_record *ret)
{
    struct json_members members = json_members(line);
    struct json_member m;
    enum json_step step;
    struct slice payload = SLICE_NULL;
    while ((step = json_members_next(&members, &m)) == JSON_MEMBER) {
        if (slice_equal_str(m.name, "id")) {
            ret->id = text_of(&m, &r->id);
        } else if (slice_equal_str(m.name, "payload") ||
                   slice_equal_str(m.name, "payload_base64")) {
            payload = json_member_text(&m);
            ret->sent = m.type == JSON_IS_NULL ? SLICE_NULL : payload;
        } else if (slice_equal_str(m.name, "key")) {
            ret->key = text_of(&m, &r->key);
        } else if (slice_equal_str(m.name, "created_at")) {
            set_created(m.type == JSON_IS_STRING ? m.value : SLICE_NULL, ret);
        }
    }
    buf_add_slice(out, payload);
    return step == JSON_END && !slice_is_null(payload);
}

/* An object of chosen columns: the values as they stand there, but for the id and the time. */
static bool parse_object(struct file_reader *r, struct slice line)
{
    struct json_members members = json_members(line);
    struct json_member m;
    enum json_step step;
    while ((step = json_members_next(&members, &m)) == JSON_MEMBER) {
        size_t n = column_named(r, m.name);
        if (n == r->format->columns_count) {
            continue;
        }
        const struct file_column *c = &r->format->columns[n];
        r->values[n] = m.type == JSON_IS_NULL          ? SLICE_NULL
                       : is_whole(c, FIELD_ID)         ? text_of(&m, &r->id)
                       : is_whole(c, FIELD_CREATED_AT) ? text_of(&m, &r->created)
                       : is_whole(c, FIELD_KEY)        ? text_of(&m, &r->key)
                                                       : json_member_text(&m);
    }
    return step == JSON_END;
}

/* --- a record --- */

static bool identifies(const struct file_reader *r, const struct file_column *c)
{
    if (r->by_payload) {
        return is_whole(c, FIELD_PAYLOAD);
    }
    return !c->value && !is_whole(c, FIELD_ID) && !is_whole(c, FIELD_HEADERS) &&
           !is_whole(c, FIELD_POSITION);
}

/* The id without the ' that keeps a spreadsheet from running it. */
static struct slice without_apostrophe(const struct file_format *f, struct slice id)
{
    CLEANUP(buf_release) struct buf again = {0};
    if (!f->escape_formulas || id.len < 2 || id.ptr[0] != '\'') {
        return id;
    }
    struct slice rest = {id.ptr + 1, id.len - 1};
    buf_add_slice(&again, rest);
    encode_csv_escape_formula(&again);
    return again.len == id.len ? rest : id;
}

static void collect(struct file_reader *r, struct buf *out, struct file_record *ret)
{
    for (size_t i = 0; i < r->format->columns_count; i++) {
        const struct file_column *c = &r->format->columns[i];
        struct slice value = r->values[i];
        if (is_whole(c, FIELD_ID)) {
            ret->id = without_apostrophe(r->format, value);
        } else if (is_whole(c, FIELD_CREATED_AT)) {
            set_created(value, ret);
        } else if (is_whole(c, FIELD_KEY)) {
            ret->key = value;
        } else if (is_whole(c, FIELD_PAYLOAD)) {
            ret->sent = value;
        }
        if (identifies(r, c)) {
            buf_printf(out, "%s%zu:", slice_is_null(value) ? "-" : "+", value.len);
            buf_add_slice(out, value);
        }
    }
}

void file_reader_take(struct file_reader *r, char *line, size_t len, struct buf *out,
                      struct file_record *ret)
{
    size_t before = out->len;
    bool good;
    *ret = (struct file_record){.created_us = TIME_NONE};
    len = without_line_end(r, line, len);
    memset(r->values, 0, (r->format->columns_count + 1) * sizeof *r->values);
    if (!r->format->columns) {
        good = parse_event(r, (struct slice){line, len}, out, ret);
    } else {
        good = r->format->kind == FILE_DELIMITED   ? parse_delimited(r, line, len)
               : r->format->kind == FILE_KEY_VALUE ? parse_pairs(r, line, len)
                                                   : parse_object(r, (struct slice){line, len});
        if (good) {
            collect(r, out, ret);
        }
    }
    if (!good || ret->id.len == 0) {
        buf_truncate(out, before);
        *ret = (struct file_record){.created_us = TIME_NONE};
    }
}
