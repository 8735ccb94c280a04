/* Writes and reads the text of a snapshot's state (state.h). Reading refuses any text that no
 * version writes, because rows would be left out if it were misunderstood. */
#include "cdc/snapshot/state.h"

#include "base/digits.h"
#include "cdc/stream/lsn.h"

#define VERSION_WORD "s1"

static bool is_plain(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '-';
}

/* Copies runs of plain bytes at once, because this is done for every row. */
static void add_escaped(struct buf *out, struct slice s)
{
    static const char digits[] = "0123456789ABCDEF";
    for (size_t i = 0, from = 0; from < s.len; i++, from = i) {
        while (i < s.len && is_plain(s.ptr[i])) {
            i++;
        }
        buf_add(out, s.ptr + from, i - from);
        if (i < s.len) {
            unsigned char c = (unsigned char)s.ptr[i];
            buf_add(out, (char[]){'%', digits[c >> 4], digits[c & 15]}, 3);
        }
    }
}

static void add_oids(const struct snapshot_place *p, struct buf *out)
{
    if (p->oid) {
        buf_add_str(out, ",@");
        buf_add_u64(out, p->oid);
        buf_add_char(out, '-');
        buf_add_u64(out, p->before);
    }
    for (size_t i = 0; p->oid && !p->done && i < p->key_count; i++) {
        buf_add_char(out, '.');
        buf_add_u64(out, p->types[i]);
    }
}

void snapshot_place_format(const struct snapshot_place *p, struct buf *out)
{
    buf_add_str(out, VERSION_WORD ",");
    lsn_add(out, p->lsn);
    buf_add_char(out, ',');
    buf_add_u64(out, (uint64_t)p->started_us);
    buf_add_char(out, ',');
    buf_add_u64(out, p->rows);
    buf_add_str(out, p->bare_done ? ",bare" : "");
    if (slice_is_null(p->table)) {
        return;
    }
    add_oids(p, out);
    buf_add_char(out, ',');
    add_escaped(out, p->schema);
    buf_add_char(out, '.');
    add_escaped(out, p->table);
    if (p->done) {
        buf_add_str(out, ",done");
        return;
    }
    for (size_t i = 0; i < p->key_count; i++) {
        buf_add_char(out, ',');
        add_escaped(out, p->columns[i]);
        buf_add_char(out, '=');
        add_escaped(out, p->values[i]);
    }
}

/* --- reading it --- */

/* Cuts `word` off `rest`, up to the next `mark`, which is dropped. False: there is no `mark`;
 * `word` is all of it. */
static bool cut(struct slice *rest, char mark, struct slice *word)
{
    const char *at = rest->len ? memchr(rest->ptr, mark, rest->len) : NULL;
    size_t len = at ? (size_t)(at - rest->ptr) : rest->len;
    *word = (struct slice){rest->ptr, len};
    *rest = (struct slice){rest->ptr + len + (at != NULL), rest->len - len - (at != NULL)};
    return at != NULL;
}

static int digit_of(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

static bool unescape(struct slice s, struct arena *arena, struct slice *ret)
{
    char *out = arena_bytes(arena, s.len + 1);
    size_t n = 0;
    for (size_t i = 0; i < s.len; i++) {
        char c = s.ptr[i];
        if (c == '%') {
            int high = s.len - i > 2 ? digit_of(s.ptr[i + 1]) : -1;
            int low = s.len - i > 2 ? digit_of(s.ptr[i + 2]) : -1;
            c = (char)(high * 16 + low);
            if (high < 0 || low < 0 || c == '\0' || is_plain(c)) {
                return false;
            }
            i += 2;
        } else if (!is_plain(c)) {
            return false;
        }
        out[n++] = c;
    }
    out[n] = '\0';
    *ret = (struct slice){out, n};
    return true;
}

static bool parse_u32(struct slice text, uint32_t *ret)
{
    uint64_t n;
    if (!digits_parse(text, &n) || n > UINT32_MAX) {
        return false;
    }
    *ret = (uint32_t)n;
    return true;
}

static bool parse_oid(struct slice text, uint32_t *ret)
{
    return parse_u32(text, ret) && *ret != 0;
}

/* "16384-17.23.25": the table's OID, the checksum of the tables before it, and the types of its key
 * columns; *ret_count is how many. */
static bool parse_oids(struct slice text, struct arena *arena, struct snapshot_place *p,
                       size_t *ret_count)
{
    struct slice word, oid;
    size_t count = 0;
    uint32_t *types = arena_array(arena, text.len / 2 + 1, sizeof *types);
    bool more = cut(&text, '.', &word);
    if (!cut(&word, '-', &oid) || !parse_oid(oid, &p->oid) || !parse_u32(word, &p->before)) {
        return false;
    }
    while (more) {
        more = cut(&text, '.', &word);
        if (!parse_oid(word, &types[count++])) {
            return false;
        }
    }
    p->types = types;
    *ret_count = count;
    return true;
}

static bool parse_name(struct slice text, struct arena *arena, struct snapshot_place *p)
{
    struct slice schema;
    return cut(&text, '.', &schema) && unescape(schema, arena, &p->schema) &&
           unescape(text, arena, &p->table) && p->schema.len > 0 && p->table.len > 0;
}

static bool parse_key(struct slice text, struct arena *arena, struct snapshot_place *p)
{
    size_t n = 1;
    for (size_t i = 0; i < text.len; i++) {
        n += text.ptr[i] == ',';
    }
    struct slice *columns = arena_array(arena, n, sizeof *columns);
    struct slice *values = arena_array(arena, n, sizeof *values);
    p->columns = columns;
    p->values = values;
    for (size_t i = 0; i < n; i++) {
        struct slice pair, name;
        cut(&text, ',', &pair);
        if (!cut(&pair, '=', &name) || !unescape(name, arena, &columns[i]) || columns[i].len == 0 ||
            !unescape(pair, arena, &values[i])) {
            return false;
        }
    }
    p->key_count = n;
    return true;
}

/* "[@<oid>...,]<schema>.<table>..." */
static bool parse_table(struct slice text, struct arena *arena, struct snapshot_place *p)
{
    struct slice name;
    size_t types_count = 0;
    bool more = cut(&text, ',', &name);
    if (name.len > 0 && name.ptr[0] == '@') {
        name = (struct slice){name.ptr + 1, name.len - 1};
        if (!more || !parse_oids(name, arena, p, &types_count)) {
            return false;
        }
        more = cut(&text, ',', &name);
    }
    if (!parse_name(name, arena, p)) {
        return false;
    }
    if (more && slice_equal_str(text, "done")) {
        p->done = true;
    } else if (more && !parse_key(text, arena, p)) {
        return false;
    }
    return !p->oid || types_count == p->key_count;
}

static bool parse(struct slice text, struct arena *arena, struct snapshot_place *p)
{
    struct slice version, lsn, started, rows, name;
    uint64_t started_us;
    if (slice_is_null(text) || !cut(&text, ',', &version) ||
        !slice_equal_str(version, VERSION_WORD) || !cut(&text, ',', &lsn) ||
        !lsn_parse(lsn, &p->lsn) || !cut(&text, ',', &started) ||
        !digits_parse(started, &started_us) || started_us > INT64_MAX) {
        return false;
    }
    p->started_us = (int64_t)started_us;
    bool more = cut(&text, ',', &rows);
    if (!digits_parse(rows, &p->rows) || !more) {
        return !more && text.len == 0 && digits_parse(rows, &p->rows);
    }
    struct slice behind = text;
    more = cut(&behind, ',', &name);
    p->bare_done = slice_equal_str(name, "bare");
    return (p->bare_done && !more) || parse_table(p->bare_done ? behind : text, arena, p);
}

int snapshot_place_parse(struct slice text, struct arena *arena, struct snapshot_place *ret,
                         struct error *err)
{
    struct snapshot_place p = {0};
    if (!parse(text, arena, &p)) {
        return error_exit(
            err, ERROR_FATAL, EXIT_CODE_UNAVAILABLE, "cdc",
            "the stored cursor says in no way that this version knows how far the snapshot was (is it of a newer commitrelay?); run that version, or give up the rest of the snapshot with commitrelay position set -c FILE --pipeline NAME beginning --yes: it will not be read then, but `snapshot: always` reads all tables with a key again");
    }
    *ret = p;
    return RESULT_DONE;
}
