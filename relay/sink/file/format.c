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
    if (f->kind != FILE_DELIMITED || !f->header) {
        return;
    }
    for (size_t i = 0; i < f->columns_count; i++) {
        if (i) {
            buf_add_char(out, f->csv.delimiter);
        }
        encode_csv_value(out, &f->csv, slice_from(f->columns[i].name), false);
    }
    buf_add_str(out, f->line_end);
}

static int column_text(const struct file_column *c, const struct event *e, struct buf *out,
                       bool *ret_there, struct error *err)
{
    if (c->value) {
        buf_add_str(out, c->value);
        *ret_there = true;
        return RESULT_DONE;
    }
    return encode_column_text(out, e, &c->from, ret_there, err);
}

static int add_delimited(const struct file_format *f, const struct event *e, struct buf *out,
                         struct error *err)
{
    CLEANUP(buf_release) struct buf field = {0};
    for (size_t i = 0; i < f->columns_count; i++) {
        bool there;
        if (i) {
            buf_add_char(out, f->csv.delimiter);
        }
        buf_clear(&field);
        if (column_text(&f->columns[i], e, &field, &there, err)) {
            return RESULT_ERROR;
        }
        if (f->escape_formulas) {
            encode_csv_escape_formula(&field);
        }
        encode_csv_value(out, &f->csv, buf_slice(&field), !there);
    }
    buf_add_str(out, f->line_end);
    return RESULT_DONE;
}

/* A null value is left out; an empty string gets a pair. */
static int add_pairs(const struct file_format *f, const struct event *e, struct buf *out,
                     struct error *err)
{
    CLEANUP(buf_release) struct buf field = {0};
    size_t start = out->len;
    for (size_t i = 0; i < f->columns_count; i++) {
        bool there;
        buf_clear(&field);
        if (column_text(&f->columns[i], e, &field, &there, err)) {
            return RESULT_ERROR;
        }
        if (there) {
            if (out->len > start) {
                buf_add_char(out, ' ');
            }
            encode_kv_pair(out, f->columns[i].name, buf_slice(&field));
        }
    }
    buf_add_char(out, '\n');
    return RESULT_DONE;
}

static int add_object(const struct file_format *f, const struct event *e, struct buf *out,
                      struct error *err)
{
    for (size_t i = 0; i < f->columns_count; i++) {
        const struct file_column *c = &f->columns[i];
        buf_add_char(out, i ? ',' : '{');
        /* Both texts are of the configuration, which YAML makes UTF-8. */
        encode_json_string(out, slice_from(c->name));
        buf_add_char(out, ':');
        if (c->value) {
            encode_json_string(out, slice_from(c->value));
        } else if (encode_column_json(out, e, &c->from, err)) {
            return RESULT_ERROR;
        }
    }
    buf_add_str(out, "}\n");
    return RESULT_DONE;
}

static int add_line(const struct file_format *f, const struct event *e, struct buf *out,
                    struct error *err)
{
    if (f->columns) {
        return add_object(f, e, out, err);
    }
    if (encode_json_line(out, e, err)) {
        return RESULT_ERROR;
    }
    buf_add_char(out, '\n');
    return RESULT_DONE;
}

int file_format_event(const struct file_format *f, const struct event *e, struct buf *out,
                      struct error *err)
{
    size_t before = out->len;
    int rc = f->kind == FILE_DELIMITED   ? add_delimited(f, e, out, err)
             : f->kind == FILE_KEY_VALUE ? add_pairs(f, e, out, err)
                                         : add_line(f, e, out, err);
    if (rc) {
        buf_truncate(out, before);
    }
    return rc;
}
