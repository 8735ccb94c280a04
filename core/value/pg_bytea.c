/* Turns the hex text of a bytea into its bytes, and refuses every other text. */
#include "value/pg_bytea.h"

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

bool pg_bytea_parse(struct slice text, char *out)
{
    if (text.len < 2 || text.len % 2 != 0 || text.ptr[0] != '\\' || text.ptr[1] != 'x') {
        return false;
    }
    for (size_t i = 2; i < text.len; i += 2) {
        int high = hex_digit(text.ptr[i]), low = hex_digit(text.ptr[i + 1]);
        if (high < 0 || low < 0) {
            return false;
        }
        *out++ = (char)(high << 4 | low);
    }
    return true;
}
