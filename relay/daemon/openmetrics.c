/* Turns Prometheus' text format into OpenMetrics, line by line. */
#include "daemon/openmetrics.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* --- which of the two a client wants --- */

/* The q of a media range, 1 if it says none. `params` is what stands behind the type, up to the
 * next comma. */
static double weight(struct slice params)
{
    for (const char *p = params.ptr, *end = p + params.len; p < end; p++) {
        if (*p != ';') {
            continue;
        }
        const char *name = p + 1;
        name += strspn(name, " \t");
        if (end - name > 2 && (*name == 'q' || *name == 'Q') && name[1] == '=') {
            return strtod(name + 2, NULL);
        }
    }
    return 1;
}

/* The greatest q of this media type; 0 if it is not named. A range such as text/... does not count:
 * who can read OpenMetrics names it. */
static double wish(const char *accept, const char *type)
{
    double best = 0;
    for (const char *p = accept; *p;) {
        p += strspn(p, " \t,");
        size_t n = strcspn(p, ","), len = strcspn(p, " \t;,");
        if (len == strlen(type) && strncasecmp(p, type, len) == 0) {
            double q = weight((struct slice){p + len, n - len});
            best = q > best ? q : best;
        }
        p += n;
    }
    return best;
}

bool openmetrics_wanted(const char *accept)
{
    if (!accept) {
        return false;
    }
    double q = wish(accept, "application/openmetrics-text");
    return q > 0 && q >= wish(accept, "text/plain");
}

/* --- the text --- */

static bool starts(struct slice s, const char *with)
{
    size_t n = strlen(with);
    return s.len >= n && memcmp(s.ptr, with, n) == 0;
}

static bool ends(struct slice s, const char *with)
{
    size_t n = strlen(with);
    return s.len >= n && memcmp(s.ptr + s.len - n, with, n) == 0;
}

/* The part up to the next blank; *rest is what stands behind it. */
static struct slice word(struct slice *rest)
{
    const char *blank = rest->len ? memchr(rest->ptr, ' ', rest->len) : NULL;
    struct slice w = {rest->ptr, blank ? (size_t)(blank - rest->ptr) : rest->len};
    size_t used = w.len + (blank ? 1 : 0);
    *rest = (struct slice){rest->ptr + used, rest->len - used};
    return w;
}

static void cut(struct slice *s, const char *suffix)
{
    s->len -= ends(*s, suffix) ? strlen(suffix) : 0;
}

static void add_unit(struct buf *out, struct slice family)
{
    static const char *const units[] = {"seconds", "bytes"};
    for (size_t i = 0; i < sizeof units / sizeof *units; i++) {
        size_t n = strlen(units[i]);
        if (ends(family, units[i]) && family.len > n && family.ptr[family.len - n - 1] == '_') {
            buf_printf(out, "# UNIT %.*s %s\n", SLICE_FMT(family), units[i]);
        }
    }
}

/* A double quote has to be escaped here, and stands alone in format 0.0.4. */
static void add_help(struct buf *out, struct slice family, struct slice help)
{
    buf_printf(out, "# HELP %.*s ", SLICE_FMT(family));
    for (size_t i = 0; i < help.len; i++) {
        if (help.ptr[i] == '"') {
            buf_add_char(out, '\\');
        }
        buf_add_char(out, help.ptr[i]);
    }
    buf_add_char(out, '\n');
}

static void add_family(struct buf *out, struct slice name, struct slice type, struct slice help)
{
    struct slice info = SLICE_LITERAL("info");
    if (starts(type, "counter")) {
        cut(&name, "_total");
    } else if (starts(type, "gauge") && ends(name, "_info")) {
        cut(&name, "_info");
        type = info;
    }
    buf_printf(out, "# TYPE %.*s %.*s\n", SLICE_FMT(name), SLICE_FMT(type));
    add_unit(out, name);
    add_help(out, name, help);
}

/* A whole number in le="..." gets ".0" behind it. */
static void add_sample(struct buf *out, struct slice line)
{
    static const char LE[] = "le=\"";
    const char *le = memmem(line.ptr, line.len, LE, sizeof LE - 1);
    if (le && le > line.ptr && (le[-1] == '{' || le[-1] == ',')) {
        const char *number = le + sizeof LE - 1;
        size_t digits = strspn(number, "0123456789");
        if (number[digits] == '"') {
            size_t before = (size_t)(number - line.ptr) + digits;
            buf_printf(out, "%.*s.0", (int)before, line.ptr);
            line = (struct slice){line.ptr + before, line.len - before};
        }
    }
    buf_add_slice(out, line);
    buf_add_char(out, '\n');
}

void openmetrics_add(struct buf *out, struct slice text)
{
    struct slice help = SLICE_LITERAL("");
    while (text.len > 0) {
        const char *end = memchr(text.ptr, '\n', text.len);
        struct slice line = {text.ptr, end ? (size_t)(end - text.ptr) : text.len}, rest = line;
        size_t used = line.len + (end ? 1 : 0);
        text = (struct slice){text.ptr + used, text.len - used};
        if (!starts(line, "# ")) {
            add_sample(out, line);
            continue;
        }
        (void)word(&rest);
        struct slice kind = word(&rest), name = word(&rest);
        if (starts(kind, "HELP")) {
            help = rest;
        } else {
            add_family(out, name, rest, help);
        }
    }
    buf_add_str(out, "# EOF\n");
}
