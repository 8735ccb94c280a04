/*
 * The three formats of a batch file: JSON lines, delimited (RFC 4180), key=value pairs. Plain
 * values; any thread.
 */
#pragma once

#include "config/conf_key.h"
#include "message/encode.h"

enum file_kind { FILE_JSONL, FILE_DELIMITED, FILE_KEY_VALUE, FILE_KINDS };

const char *file_kind_name(enum file_kind kind); /* as in the configuration and the manifest */
/* The file name's extension, without a dot. */
const char *file_kind_extension(enum file_kind kind);
/* The kind of this name; false if there is none. */
bool file_kind_from(struct slice name, enum file_kind *ret);

struct file_format {
    enum file_kind kind;
    char delimiter;
    bool escape_formulas;
    struct conf_list columns; /* borrowed from the configuration; jsonl does not use it */
};

/* Appends what each file begins with: the column names (delimited), else nothing. */
void file_format_header(const struct file_format *f, struct buf *out);

/* Appends one event with its line end. POISON if it cannot be encoded; `out` is then as it was. */
int file_format_event(const struct file_format *f, const struct event *e, struct buf *out,
                      struct error *err) MUST_CHECK;
