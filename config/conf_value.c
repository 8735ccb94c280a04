/* Reads and writes the numbers of the configuration. A text is either one number in full or
 * refused; nothing is rounded, wrapped around or read by the rules of a locale. Otherwise "1.5s" or
 * a typing mistake would silently become another value. */
#include "config/conf_value.h"

#include <inttypes.h>

struct unit {
    const char *name;
    int64_t factor;
};

/* The largest first: conf_add_number takes the first unit that divides the value. Binary sizes
 * stand before decimal ones: 1024000 bytes are written as 1000KiB, not as 1024KB. */
static const struct unit duration_units[] = {{"d", INT64_C(86400000000)},
                                             {"h", INT64_C(3600000000)},
                                             {"m", 60000000},
                                             {"s", 1000000},
                                             {"ms", 1000},
                                             {"us", 1},
                                             {NULL, 0}};
static const struct unit size_units[] = {{"GiB", 1 << 30},   {"MiB", 1 << 20}, {"KiB", 1 << 10},
                                         {"GB", 1000000000}, {"MB", 1000000},  {"KB", 1000},
                                         {"B", 1},           {NULL, 0}};

static const struct unit *units_of(enum conf_type type)
{
    return type == CONF_DURATION ? duration_units : type == CONF_SIZE ? size_units : NULL;
}

const char *conf_units(enum conf_type type)
{
    return type == CONF_DURATION ? "us, ms, s, m, h, d" : "B, KB, MB, GB, KiB, MiB, GiB";
}

const char *conf_unit_example(enum conf_type type)
{
    return type == CONF_DURATION ? "250ms" : "64MiB";
}

/* Multiplies *value by the unit of this name. */
static enum conf_parse apply_unit(const struct unit *units, const char *name, int64_t *value)
{
    if (*name == '\0') {
        return CONF_PARSE_NO_UNIT;
    }
    for (; units->name; units++) {
        if (strcmp(units->name, name) == 0) {
            return __builtin_mul_overflow(*value, units->factor, value) ? CONF_PARSE_RANGE
                                                                        : CONF_PARSE_OK;
        }
    }
    return CONF_PARSE_UNIT;
}

enum conf_parse conf_parse_number(enum conf_type type, const char *text, int64_t *ret)
{
    bool negative = *text == '-';
    const char *p = text + negative;
    int64_t value = 0;
    bool overflow = false;
    if (*p < '0' || *p > '9') {
        return CONF_PARSE_SYNTAX;
    }
    if (*p == '0' && p[1] >= '0' && p[1] <= '9') {
        return CONF_PARSE_ZERO;
    }
    for (; *p >= '0' && *p <= '9'; p++) {
        overflow = overflow || __builtin_mul_overflow(value, 10, &value) ||
                   __builtin_add_overflow(value, *p - '0', &value);
    }
    const struct unit *units = units_of(type);
    if (!units && *p) {
        return CONF_PARSE_SYNTAX;
    }
    if (units && (*p == '.' || *p == ',')) {
        return CONF_PARSE_SYNTAX; /* a fraction: 1.5s */
    }
    if (units) {
        int64_t one = overflow ? 0 : value; /* 0 cannot overflow: a wrong unit is reported before a
                                               number that is too large */
        enum conf_parse parse = apply_unit(units, p, &one);
        if (parse != CONF_PARSE_OK) {
            return parse;
        }
        value = one;
    }
    if (overflow) {
        return CONF_PARSE_RANGE;
    }
    *ret = negative ? -value : value;
    return CONF_PARSE_OK;
}

enum conf_parse conf_parse_ratio(const char *text, double *ret)
{
    enum { DIGITS_MAX = 15 }; /* a double holds so many digits exactly */
    int64_t value = 0, scale = 1;
    bool negative = *text == '-', point = false;
    int digits = 0;
    if (text[negative] == '0' && text[negative + 1] >= '0' && text[negative + 1] <= '9') {
        return CONF_PARSE_ZERO;
    }
    for (const char *p = text + negative; *p; p++) {
        if (*p == '.' && !point && digits > 0 && p[1]) {
            point = true;
        } else if (*p >= '0' && *p <= '9') {
            if (++digits > DIGITS_MAX) {
                return point ? CONF_PARSE_SYNTAX : CONF_PARSE_RANGE;
            }
            value = value * 10 + (*p - '0');
            scale = point ? scale * 10 : scale;
        } else {
            return CONF_PARSE_SYNTAX;
        }
    }
    if (digits == 0) {
        return CONF_PARSE_SYNTAX;
    }
    *ret = (negative ? -1.0 : 1.0) * (double)value / (double)scale;
    return CONF_PARSE_OK;
}

/* Whether a range has no upper end: neither end is given, or only the lower one. */
static bool open_ended(const struct conf_key *key)
{
    return (key->min == 0 && key->max == 0) || key->max < key->min;
}

bool conf_number_allowed(const struct conf_key *key, int64_t value)
{
    return value >= key->min && (open_ended(key) || value <= key->max);
}

bool conf_ratio_allowed(const struct conf_key *key, double value)
{
    const double slack = 1e-9; /* 0.3 * 1000 need not be exactly 300 */
    double thousandths = value * 1000;
    return thousandths >= (double)key->min - slack &&
           (open_ended(key) || thousandths <= (double)key->max + slack);
}

void conf_add_number(struct buf *out, enum conf_type type, int64_t value)
{
    const struct unit *unit = units_of(type);
    if (type == CONF_RATIO) {
        buf_printf(out, "%g", (double)value / 1000);
        return;
    }
    if (!unit) {
        buf_printf(out, "%" PRId64, value);
        return;
    }
    if (value == 0) {
        buf_add_str(out, type == CONF_DURATION ? "0s" : "0B");
        return;
    }
    while (value % unit->factor != 0) {
        unit++; /* ends at the unit with factor 1 */
    }
    buf_printf(out, "%" PRId64 "%s", value / unit->factor, unit->name);
}

void conf_add_range(struct buf *out, const struct conf_key *key)
{
    conf_add_number(out, key->type, key->min);
    if (open_ended(key)) {
        buf_add_str(out, " or more");
        return;
    }
    buf_add_str(out, " to ");
    conf_add_number(out, key->type, key->max);
}
