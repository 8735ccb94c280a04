/*
 * Every format of messages by its symbol, and by its place as the configuration counts them.
 */
#pragma once

#include "message/format.h"

#define FORMAT(name, help) extern const struct format_ops format_##name;
#include "message/formats.def"
#undef FORMAT

static inline int format_index(const struct format_ops *format)
{
    int i = 0;
    while (format_at(i) != format) {
        i++;
    }
    return i;
}
