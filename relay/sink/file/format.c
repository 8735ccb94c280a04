/*
 * Writes events as records of a batch file. A record is written whole or not at all.
 */
#include "sink/file/format.h"

static const struct {
    const char *name, *extension;
} kinds[FILE_KINDS] = {
    [FILE_JSONL] = {"jsonl", "jsonl"},
    [FILE_DELIMITED] = {"delimited", "csv"},
    [FILE_KEY_VALUE] = {"key_value", "kv"},
};

const char *file_kind_name(enum file_kind kind)
{
    return kinds[kind].name;
}

const char *file_kind_extension(enum file_kind kind)
{
    return kinds[kind].extension;
}

bool file_kind_from(struct slice name, enum file_kind *ret)
{
    for (int i = 0; i < FILE_KINDS; i++) {
        if (slice_equal_str(name, kinds[i].name)) {
            *ret = (enum file_kind)i;
            return true;
        }
    }
    return false;
}

void file_format_header(const struct file_format *f, struct buf *out)
{
    if (f->kind != FILE_DELIMITED) {
        return;
    }
    for (size_t i = 0; i < f->columns.count; i++) {
        if (i) {
            buf_add_char(out, f->delimiter);
        }
        encode_csv_value(out, slice_from(f->columns.items[i]), false, f->delimiter);
    }
    buf_add_str(out, "\r\n");
}

static void add_delimited(const struct file_format *f, const struct event *e, struct buf *out)
{
    CLEANUP(buf_release) struct buf field = {0};
    for (size_t i = 0; i < f->columns.count; i++) {
        if (i) {
            buf_add_char(out, f->delimiter);
        }
        buf_clear(&field);
        bool there = encode_field(&field, e, f->columns.items[i]);
        if (f->escape_formulas) {
            encode_csv_escape_formula(&field);
        }
        encode_csv_value(out, buf_slice(&field), !there, f->delimiter);
    }
    buf_add_str(out, "\r\n");
}

/* A null value is left out; an empty string gets a pair. */
static void add_pairs(const struct file_format *f, const struct event *e, struct buf *out)
{
    CLEANUP(buf_release) struct buf field = {0};
    size_t start = out->len;
    for (size_t i = 0; i < f->columns.count; i++) {
        buf_clear(&field);
        if (encode_field(&field, e, f->columns.items[i])) {
            if (out->len > start) {
                buf_add_char(out, ' ');
            }
            encode_kv_pair(out, f->columns.items[i], buf_slice(&field));
        }
    }
    buf_add_char(out, '\n');
}

int file_format_event(const struct file_format *f, const struct event *e, struct buf *out,
                      struct error *err)
{
    size_t before = out->len;
    switch (f->kind) {
    case FILE_DELIMITED:
        add_delimited(f, e, out);
        return RESULT_DONE;
    case FILE_KEY_VALUE:
        add_pairs(f, e, out);
        return RESULT_DONE;
    case FILE_JSONL:
    case FILE_KINDS:
        break;
    }
    if (encode_json_line(out, e, err)) {
        out->len = before;
        return RESULT_ERROR;
    }
    buf_add_char(out, '\n');
    return RESULT_DONE;
}
