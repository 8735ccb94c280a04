/* The keys of the file sink. */
#include "sink/file/conf.h"

#include "base/clock.h"
#include "base/memory.h"
#include "sink/file/upload/conf.h"
#include <stdlib.h>
#include <string.h>

/* The words of enum file_kind and file_compression. */
static const char *const formats[] = {"jsonl", "delimited", "key_value", NULL};
static const char *const compressions[] = {"none", "gzip", "zstd", NULL};
enum { QUOTE_MINIMAL, QUOTE_ALL };
static const char *const quotes[] = {[QUOTE_MINIMAL] = "minimal", [QUOTE_ALL] = "all", NULL};
enum { LINE_END_CRLF, LINE_END_LF };
static const char *const line_ends[] = {[LINE_END_CRLF] = "crlf", [LINE_END_LF] = "lf", NULL};

#define FIELD(field) offsetof(struct file_conf, field)
#define ROTATE(field) .offset = FIELD(rotate.field) - FIELD(rotate)
#define DELIMITED(field) .offset = FIELD(delimited.field) - FIELD(delimited)
/* One whose being given is known. */
#define DELIMITED_GIVEN(field) \
    DELIMITED(field), .given_offset = FIELD(delimited.given.field) - FIELD(delimited)

static const struct conf_key rotate_keys[] = {
    {"events", CONF_INT, ROTATE(events), .fallback = "10000", .min = 1, .max = 1000000000,
     .help = "Complete the file after so many events"},
    {"bytes", CONF_SIZE, ROTATE(bytes), .fallback = "64MiB", .min = 1, .max = INT64_C(1) << 40,
     .help = "Complete it before it becomes larger (before compression); one larger event gets a "
             "file of its own"},
    {"interval", CONF_DURATION, ROTATE(interval_us),
     .given_offset = FIELD(rotate.interval_given) - FIELD(rotate), .fallback = "10s",
     .min = 10 * US_PER_MS, .max = 7 * 24 * 3600 * US_PER_SECOND,
     .help = "Complete it when its first event has waited so long; with `schedule` only if it is "
             "given"},
    CONF_END,
};

static const struct conf_key delimited_keys[] = {
    {"quote", CONF_ENUM, DELIMITED_GIVEN(quote), .fallback = "minimal", .choices = quotes,
     .help = "Quote values that need it, or all but nulls"},
    {"null_text", CONF_STRING, DELIMITED_GIVEN(null_text), .fallback = "\"\"",
     .help = "Stands for a null, never quoted; a value with the same text is quoted"},
    {"header", CONF_BOOL, DELIMITED_GIVEN(header), .fallback = "true",
     .help = "Begin each file with the names of the columns"},
    {"line_end", CONF_ENUM, DELIMITED_GIVEN(line_end), .fallback = "crlf", .choices = line_ends,
     .help = "What ends a record"},
    {"escape_formulas", CONF_BOOL, DELIMITED(escape_formulas), .fallback = "false",
     .help = "Put a ' before a value that a spreadsheet would take for a formula (=, +, -, @, tab, "
             "line end first); for files that people open"},
    CONF_END,
};

const struct conf_key file_conf_keys[] = {
    {"dir", CONF_STRING, FIELD(dir), .required = true,
     .help = "Directory of the batch files; made if only the last part is missing"},
    {"format", CONF_ENUM, FIELD(format), .fallback = "jsonl", .choices = formats,
     .help = "What a record looks like"},
    {"delimiter", CONF_STRING, FIELD(delimiter), .fallback = "\",\"",
     .help = "Between the columns of `delimited`; one character"},
    {"delimited", CONF_GROUP, FIELD(delimited), .group = delimited_keys,
     .help = "More about the format `delimited`"},
    {"columns", CONF_NAMED, FIELD(columns),
     .fallback = "[id, type, aggregatetype, aggregateid, topic, key, headers, payload, created_at, "
                 "position]",
     .help = "The columns, in order: fields of the event, and values inside it (`payload.total`, "
             "`headers.trace`); `{column: payload.total, as: TOTAL}` gives one another name, and "
             "`{value: V, as: N}` is a text that is always the same. `jsonl` has them as members "
             "of its objects if the key is given"},
    {"rotate", CONF_GROUP, FIELD(rotate), .group = rotate_keys,
     .help =
         "When a file is complete, whichever comes first; `delivery.max_in_flight` limits it too"},
    {"schedule", CONF_STRING, FIELD(schedule),
     .help = "Complete the file at these times, a cron expression: minute, hour, day of month, "
             "month, day of week (`0 2 * * *`). It has all that was committed before the time"},
    {"timezone", CONF_STRING, FIELD(timezone), .fallback = "UTC",
     .given_offset = FIELD(timezone_given), .help = "The time zone of `schedule`: `Europe/Berlin`"},
    {"emit_empty", CONF_BOOL, FIELD(emit_empty), .fallback = "false",
     .help = "Write a file without events when there was nothing to send at a time of `schedule`"},
    {"compression", CONF_ENUM, FIELD(compression), .fallback = "none", .choices = compressions,
     .help = "Compress each file while it is written; its name gets `.gz` or `.zst`"},
    {"compression_level", CONF_INT, FIELD(level), .min = 1, .max = 19,
     .help = "1 (fast) to 9 (gzip) or 19 (zstd); the library's default without it, 6 or 3"},
    {"reserve", CONF_SIZE, FIELD(reserve), .fallback = "64MiB", .min = 0, .max = INT64_C(1) << 50,
     .help = "Take no more events while less than this is free on the disk of `dir`, complete the "
             "open file and wait; `0B`: wait only when the disk is full"},
    {"upload", CONF_GROUPS, FIELD(upload), .group = upload_conf_keys,
     .group_size = sizeof(struct upload_conf), .max = UPLOADS_MAX,
     .help = "Servers that get each complete file, each at its own pace"},
    {"on_complete", CONF_LIST, FIELD(on_complete), .repeats = true,
     .help = "A command that is run for each complete file, without a shell: its words, in which "
             "`{file}` and `{manifest}` stand for paths. Anything but exit code 0 is tried again"},
    {"keep_for", CONF_DURATION, FIELD(keep_for_us), .min = US_PER_SECOND,
     .max = 3650 * 24 * 3600 * US_PER_SECOND,
     .help = "Remove a file of this age once all of `upload` and `on_complete` have it; the newest "
             "one stays. Without it no file is removed"},
    {"manifest", CONF_BOOL, FIELD(manifest), .fallback = "true",
     .help = "Put a manifest with count, range and SHA-256 beside each file"},
    {"hmac_key", CONF_SECRET, FIELD(hmac_key), .given_offset = FIELD(hmac_key_given),
     .help = "The key for HMAC-SHA-256 of each file and its manifest, both in the manifest: a "
             "partner who has the key sees that nobody changed, removed or added a file"},
    {"key_id", CONF_STRING, FIELD(key_id),
     .help = "A name of the key, for the partner who has several; letters, digits, `._-`"},
    CONF_END,
};

static int check_delimited(const struct file_conf *c, struct error *err)
{
    const char *key = c->delimited.escape_formulas   ? "escape_formulas"
                      : c->delimited.given.quote     ? "quote"
                      : c->delimited.given.null_text ? "null_text"
                      : c->delimited.given.header    ? "header"
                      : c->delimited.given.line_end  ? "line_end"
                                                     : NULL;
    if (c->format != FILE_DELIMITED) {
        return !key
                   ? RESULT_DONE
                   : error_set(
                         err, ERROR_CONFIG, "file",
                         "sink.delimited.%s is for format: delimited; remove it, or set the format",
                         key);
    }
    if (strlen(c->delimiter) != 1 || strchr("\"\r\n", c->delimiter[0])) {
        return error_set(
            err, ERROR_CONFIG, "file",
            "sink.delimiter must be one character and no quote or line end, such as \",\", \";\" or \"\\t\"");
    }
    if (strpbrk(c->delimited.null_text, "\"\r\n") ||
        strchr(c->delimited.null_text, c->delimiter[0])) {
        return error_set(
            err, ERROR_CONFIG, "file",
            "sink.delimited.null_text must hold no quote, line end or delimiter: it is never quoted");
    }
    return RESULT_DONE;
}

static int check_compression(const struct file_conf *c, struct error *err)
{
    int max = file_compression_level_max((enum file_compression)c->compression);
    if (c->level <= max) {
        return RESULT_DONE;
    }
    return max ? error_set(err, ERROR_CONFIG, "file",
                           "sink.compression_level of %s is 1 to %d; lower it",
                           compressions[c->compression], max)
               : error_set(
                     err, ERROR_CONFIG, "file",
                     "sink.compression_level is for compression: gzip or zstd; remove it, or set the compression");
}

static int check_schedule(const struct file_conf *c, struct error *err)
{
    const char *key = c->emit_empty ? "emit_empty" : c->timezone_given ? "timezone" : NULL;
    return c->schedule[0] || !key
               ? RESULT_DONE
               : error_set(err, ERROR_CONFIG, "file",
                           "sink.%s needs sink.schedule; set it, or remove the key", key);
}

static int check_column(const char *column, struct error *err)
{
    struct encode_column from;
    if (encode_column_from(column, &from)) {
        return RESULT_DONE;
    }
    return error_set(
        err, ERROR_CONFIG, "file",
        "sink.columns: there is no `%s`; known are id, type, aggregatetype, aggregateid, topic, key, headers, payload, created_at, position, and payload.NAME and headers.NAME, where NAME may have further parts behind dots",
        column);
}

/* A reader of key=value pairs finds the end of a name by its `=`. */
static int check_name(const struct file_conf *c, const char *name, struct error *err)
{
    bool safe = true;
    for (const char *p = name; *p; p++) {
        safe = safe && (unsigned char)*p > ' ' && *p != 0x7f && !strchr("\"'\\=", *p);
    }
    return c->format != FILE_KEY_VALUE || safe
               ? RESULT_DONE
               : error_set(
                     err, ERROR_CONFIG, "file",
                     "sink.columns: the name `%s` cannot stand before a `=`; use one without blanks, quotes, \\ and =",
                     name);
}

static int check_columns(const struct file_conf *c, struct error *err)
{
    const struct conf_named_list *l = &c->columns;
    if (l->words.count + l->count == 0) {
        return error_set(err, ERROR_CONFIG, "file",
                         "sink.columns is empty; name at least one, or leave it out");
    }
    for (size_t i = 0; i < l->words.count; i++) {
        if (check_column(l->words.items[i], err) || check_name(c, l->words.items[i], err)) {
            return RESULT_ERROR;
        }
    }
    for (size_t i = 0; i < l->count; i++) {
        const char *column = l->items[i].column;
        if ((column && check_column(column, err)) || check_name(c, l->items[i].as, err)) {
            return RESULT_ERROR;
        }
    }
    return RESULT_DONE;
}

static int check_seal(const struct file_conf *c, struct error *err)
{
    static const char allowed[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";
    if (c->hmac_key_given && !c->hmac_key[0]) {
        return error_set(err, ERROR_CONFIG, "file",
                         "sink.hmac_key is empty; give the key, or leave it out");
    }
    if (c->key_id[0] && !c->hmac_key[0]) {
        return error_set(err, ERROR_CONFIG, "file",
                         "sink.key_id names a key, but there is none; set sink.hmac_key_file");
    }
    if (c->hmac_key[0] && !c->manifest) {
        return error_set(
            err, ERROR_CONFIG, "file",
            "sink.hmac_key is for manifests, and manifest is false; set it to true, or remove the key");
    }
    if (strspn(c->key_id, allowed) != strlen(c->key_id) || strlen(c->key_id) > 64) {
        return error_set(err, ERROR_CONFIG, "file",
                         "sink.key_id is at most 64 letters, digits and `._-`");
    }
    return RESULT_DONE;
}

static int check_uploads(const struct file_conf *c, struct error *err)
{
    if (c->on_complete.given && (c->on_complete.count == 0 || !c->on_complete.items[0][0])) {
        return error_set(
            err, ERROR_CONFIG, "file",
            "sink.on_complete names no program; give its words, as [notify, '{file}']");
    }
    return upload_conf_check(&c->upload, err);
}

int file_conf_check(const struct file_conf *c, struct error *err)
{
    if (!c->dir[0]) {
        return error_set(err, ERROR_CONFIG, "file",
                         "sink.dir is empty; name the directory for the batch files");
    }
    if (check_delimited(c, err) || check_columns(c, err) || check_compression(c, err) ||
        check_seal(c, err) || check_schedule(c, err) || check_uploads(c, err)) {
        return RESULT_ERROR;
    }
    return RESULT_DONE;
}

/* The words and the items in the sequence of the file. */
static void merge_columns(const struct conf_named_list *l, struct file_format *ret)
{
    size_t n = l->words.count + l->count, word = 0, item = 0;
    ret->columns = memory_need(calloc(n, sizeof *ret->columns));
    for (; ret->columns_count < n; ret->columns_count++) {
        struct file_column *c = &ret->columns[ret->columns_count];
        const struct conf_named *named = item < l->count ? &l->items[item] : NULL;
        if (named && named->place == ret->columns_count) {
            *c = (struct file_column){.name = named->as, .value = named->value};
            item++;
        } else {
            named = NULL;
            c->name = l->words.items[word++];
        }
        /* The check has found that it is known. */
        (void)(c->value || encode_column_from(named ? named->column : c->name, &c->from));
    }
}

void file_conf_format(const struct file_conf *c, struct file_format *ret)
{
    *ret = (struct file_format){
        .kind = (enum file_kind)c->format,
        .csv = {.delimiter = c->delimiter[0],
                .quote_all = c->delimited.quote == QUOTE_ALL,
                .null_text = c->delimited.null_text},
        .header = c->delimited.header,
        .line_end = c->delimited.line_end == LINE_END_LF ? "\n" : "\r\n",
        .escape_formulas = c->delimited.escape_formulas,
    };
    if (c->format != FILE_JSONL || c->columns.words.given) {
        merge_columns(&c->columns, ret);
    }
}

static void free_text(char **text)
{
    free(*text);
}

bool file_conf_same_place(const void *conf, const void *other)
{
    const struct file_conf *a = conf, *b = other;
    CLEANUP(free_text) char *one = realpath(a->dir, NULL), *two = realpath(b->dir, NULL);
    return strcmp(one ? one : a->dir, two ? two : b->dir) == 0;
}

const char *file_conf_url(const char *url)
{
    static const char scheme[] = "file:";
    size_t n = sizeof scheme - 1;
    return strncmp(url, scheme, n) == 0 && url[n] ? url + n : NULL;
}
