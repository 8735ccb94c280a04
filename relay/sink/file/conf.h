/*
 * The configuration of the file sink: its struct, its key table, and the checks that a table cannot
 * express. Constant after loading; any thread.
 */
#pragma once

#include "base/error.h"
#include "config/conf_key.h"
#include "pack/compress.h"
#include "sink/file/format.h"

struct file_conf {
    char *dir;
    int format;
    char *delimiter;
    struct {
        bool escape_formulas;
        int quote, line_end;
        char *null_text;
        bool header;
        struct {
            bool quote, line_end, null_text, header;
        } given;
    } delimited;
    struct conf_named_list columns;
    struct {
        int64_t events, bytes, interval_us;
        bool interval_given;
    } rotate;
    char *schedule, *timezone; /* schedule "": none */
    bool timezone_given, emit_empty;
    int64_t reserve;
    struct conf_groups upload; /* of struct upload_conf */
    struct conf_list on_complete;
    int64_t keep_for_us; /* 0: for ever */
    bool manifest;
    char *hmac_key, *key_id; /* "": none */
    bool hmac_key_given;
    int compression; /* enum file_compression */
    int64_t level;   /* 0: the library's default */
};

extern const struct conf_key file_conf_keys[];

/* CONFIG for what does not fit together. */
int file_conf_check(const struct file_conf *c, struct error *err) MUST_CHECK;

/* sink_ops.same_place: whether both name one folder. */
bool file_conf_same_place(const void *conf, const void *other);

/* url_form.value: what stands behind `file:`; NULL: it is no such URL. */
const char *file_conf_url(const char *url);

/* How to write the events. `c` has passed the check; *ret borrows from it, and the caller frees
 * ret->columns. */
void file_conf_format(const struct file_conf *c, struct file_format *ret);
