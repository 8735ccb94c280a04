/*
 * The three formats of a batch file: JSON lines, delimited (RFC 4180), key=value pairs. Plain
 * values; any thread.
 */
#pragma once

#include "message/encode.h"

enum file_kind { FILE_JSONL, FILE_DELIMITED, FILE_KEY_VALUE, FILE_KINDS };

const char *file_kind_name(enum file_kind kind); /* as in the configuration and the manifest */
/* The file name's extension, without a dot. */
const char *file_kind_extension(enum file_kind kind);
/* The kind of this name; false if there is none. */
bool file_kind_from(struct slice name, enum file_kind *ret);

struct file_column {
    const char *name; /* in the file; borrowed from the configuration */
    struct encode_column from;
    const char *value; /* not NULL: the text that it always has, in the place of `from` */
};

struct file_format {
    enum file_kind kind;
    struct encode_csv csv; /* this and the next three: `delimited` only */
    bool header;           /* begin with the names of the columns */
    const char *line_end;
    bool escape_formulas;
    struct file_column *columns; /* NULL: jsonl has the whole event */
    size_t columns_count;
};

/* Appends what each file begins with: the column names (delimited), else nothing. */
void file_format_header(const struct file_format *f, struct buf *out);

/* Appends one event with its line end. POISON if it cannot be encoded; `out` is then as it was. */
int file_format_event(const struct file_format *f, const struct event *e, struct buf *out,
                      struct error *err) MUST_CHECK;
