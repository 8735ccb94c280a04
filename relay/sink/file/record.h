/*
 * Reads the records of a batch file back: which event, and what identifies its payload. One thread.
 *
 * The payload of a record is its column `payload`. Where the file has only parts of the payload
 * (payload.total), it is all columns but the id, the headers as a whole, to which a replay adds
 * one, and the position, which another source of the same table counts in another way.
 */
#pragma once

#include "sink/file/format.h"

struct file_reader {
    const struct file_format *format;
    bool by_payload; /* there is a column `payload` */
    size_t *order;   /* delimited: which column of the format the file's n-th one is */
    size_t room;     /* of `order`: at least the format's columns */
    size_t fields;   /* how many the file has */
    struct slice *values;
    bool has_key;                /* the record has the key of its event */
    size_t looked;               /* how much of the first record file_reader_next has seen */
    bool quoted;                 /* and whether that ends within quotes */
    struct buf id, created, key; /* where these had escapes */
};

struct file_record {
    struct slice id;    /* null: none was found */
    int64_t created_us; /* TIME_NONE: it is not there */
    struct slice key;   /* null: it has none, or it is not there */
    struct slice sent;  /* its column `payload`; null: it is null, or not there */
};

/* `format` outlives it. CONFIG if events cannot be told apart by these columns. */
int file_reader_init(struct file_reader *r, const struct file_format *format,
                     struct error *err) MUST_CHECK;
void file_reader_release(struct file_reader *r);

/* The length of the first record in `text`, its line end included; 0: it is not whole yet, and the
 * next call gives the same text and more. `end`: nothing follows, so an unfinished line counts as a
 * record. */
size_t file_reader_next(struct file_reader *r, struct slice text, bool end);

/* Before each file: the columns are those of the format, unless a header line follows. */
void file_reader_begin(struct file_reader *r);
/* Takes the header line. False: it has no column for the id. `line` is changed. */
bool file_reader_header(struct file_reader *r, char *line, size_t len);

/* Takes a record apart, which it changes, and appends its payload to `out`. The slices of *ret
 * live until the next call, in `line` or in the reader. What is no record of this format has no id,
 * and is its own payload. */
void file_reader_take(struct file_reader *r, char *line, size_t len, struct buf *out,
                      struct file_record *ret);
