/* Takes the names of batch files apart. */
#include "sink/file/names.h"

enum { DIGITS = 20 };

/* Takes "-<20 digits>" off the end. */
static bool take_number(struct slice *text, uint64_t *ret)
{
    if (text->len < DIGITS + 1 || text->ptr[text->len - DIGITS - 1] != '-') {
        return false;
    }
    const char *digits = text->ptr + text->len - DIGITS;
    *ret = 0;
    for (int i = 0; i < DIGITS; i++) {
        unsigned digit = (unsigned)(unsigned char)digits[i] - '0';
        if (digit > 9 || __builtin_mul_overflow(*ret, 10, ret) ||
            __builtin_add_overflow(*ret, digit, ret)) {
            return false;
        }
    }
    text->len -= DIGITS + 1;
    return true;
}

/* Takes the word off the front. */
static bool take(struct slice *text, const char *word)
{
    size_t n = strlen(word);
    if (text->len < n || memcmp(text->ptr, word, n) != 0) {
        return false;
    }
    *text = (struct slice){text->ptr + n, text->len - n};
    return true;
}

/* Takes "csv" or "csv.gz" off the front. */
static bool take_extensions(struct slice *text, struct file_name *ret)
{
    for (int k = 0; k < FILE_KINDS; k++) {
        if (take(text, file_kind_extension((enum file_kind)k))) {
            ret->kind = (enum file_kind)k;
            /* The last one is "", that of a file which is not compressed. */
            for (int c = FILE_COMPRESSIONS - 1; c >= 0; c--) {
                ret->compression = (enum file_compression)c;
                if (take(text, file_compression_extension(ret->compression))) {
                    return true;
                }
            }
        }
    }
    return false;
}

bool file_name_read(const char *name, struct file_name *ret)
{
    const char *dot = strchr(name, '.'); /* a pipeline's name has none */
    if (!dot) {
        return false;
    }
    *ret = (struct file_name){.pipeline = {name, (size_t)(dot - name)}};
    struct slice rest = slice_from(dot + 1);
    if (!take_number(&ret->pipeline, &ret->last) || !take_number(&ret->pipeline, &ret->first) ||
        ret->pipeline.len == 0 || !take_extensions(&rest, ret)) {
        return false;
    }
    ret->data = (struct slice){name, (size_t)(rest.ptr - name)};
    ret->manifest = take(&rest, FILE_MANIFEST_EXTENSION);
    return rest.len == 0;
}
