/* Writes and reads the cursor text. A text with a missing or malformed field is refused as a whole:
 * a position that is only half understood could skip events. */
#include "cdc/cursor.h"

#include "base/digits.h"
#include "cdc/stream/lsn.h"

/* "c1 <system id> <timeline> <start> <commit> <ordinal> <part> <options> <last>[ <snapshot>]" */
#define VERSION_WORD "c1"

void cdc_cursor_format(const struct cdc_cursor *c, struct buf *out)
{
    buf_add_str(out, VERSION_WORD " ");
    buf_add_u64(out, c->system_id);
    buf_add_char(out, ' ');
    buf_add_u64(out, c->timeline);
    buf_add_char(out, ' ');
    lsn_add(out, c->start);
    buf_add_char(out, ' ');
    lsn_add(out, c->commit);
    buf_add_char(out, ' ');
    buf_add_u64(out, c->ordinal);
    buf_add_char(out, ' ');
    buf_add_u64(out, c->part);
    buf_add_char(out, ' ');
    buf_add_u64(out, c->options);
    buf_add_char(out, ' ');
    lsn_add(out, c->last);
    if (!slice_is_null(c->snapshot)) {
        buf_add_char(out, ' ');
        buf_add_slice(out, c->snapshot);
    }
}

static bool parse_u32(struct slice text, uint32_t *ret)
{
    uint64_t v;
    if (!digits_parse(text, &v) || v > UINT32_MAX) {
        return false;
    }
    *ret = (uint32_t)v;
    return true;
}

/* Takes the word before the next `mark` from *rest, and skips the `mark`. If there is none, takes
 * all that is left and sets *ret_more to false. */
static struct slice take(struct slice *rest, char mark, bool *ret_more)
{
    const char *at = rest->len ? memchr(rest->ptr, mark, rest->len) : NULL;
    size_t len = at ? (size_t)(at - rest->ptr) : rest->len;
    struct slice word = {rest->ptr, len};
    size_t skip = at ? len + 1 : len;
    *ret_more = at != NULL;
    *rest = (struct slice){rest->ptr + skip, rest->len - skip};
    return word;
}

enum { FIELDS = 8 };

static bool parse(struct slice text, struct cdc_cursor *c)
{
    struct slice field[FIELDS], rest = text;
    bool more = true;
    if (slice_is_null(text) || !slice_equal_str(take(&rest, ' ', &more), VERSION_WORD)) {
        return false;
    }
    for (size_t i = 0; i < FIELDS; i++) {
        if (!more) {
            return false;
        }
        field[i] = take(&rest, ' ', &more);
    }
    c->snapshot = more ? rest : SLICE_NULL;
    return digits_parse(field[0], &c->system_id) && parse_u32(field[1], &c->timeline) &&
           lsn_parse(field[2], &c->start) && lsn_parse(field[3], &c->commit) &&
           digits_parse(field[4], &c->ordinal) && parse_u32(field[5], &c->part) &&
           digits_parse(field[6], &c->options) && lsn_parse(field[7], &c->last);
}

int cdc_cursor_parse(struct slice text, struct cdc_cursor *ret, struct error *err)
{
    struct cdc_cursor c;
    if (!parse(text, &c)) {
        return error_exit(
            err, ERROR_FATAL, EXIT_CODE_UNAVAILABLE, "cdc",
            "the stored cursor is none of a cdc_postgres source of this version (was the source's type changed, or is it of a newer commitrelay?); say where to go on with `commitrelay position set ... --yes`");
    }
    *ret = c;
    return RESULT_DONE;
}

void cdc_position_format(uint64_t commit, uint64_t ordinal, uint32_t part, struct buf *out)
{
    lsn_add(out, commit);
    buf_add_char(out, ':');
    buf_add_u64(out, ordinal);
    if (part > 0) {
        buf_add_char(out, '.');
        buf_add_u64(out, part);
    }
}

bool cdc_position_parse(const char *text, uint64_t *ret_commit, uint64_t *ret_ordinal,
                        uint32_t *ret_part)
{
    struct slice rest = slice_from(text);
    bool more, with_part;
    uint64_t commit, ordinal;
    uint32_t part = 0;
    if (!lsn_parse(take(&rest, ':', &more), &commit) || !more ||
        !digits_parse(take(&rest, '.', &with_part), &ordinal) ||
        (with_part && (!parse_u32(rest, &part) || part == 0))) {
        return false;
    }
    *ret_commit = commit;
    *ret_ordinal = ordinal;
    *ret_part = part;
    return true;
}

/* An event position means the place behind that event. In the cursor that is: all changes before
 * this one, and its messages up to this one. */
bool cdc_place_parse(const char *text, struct cdc_cursor *ret)
{
    struct cdc_cursor c = {0};
    uint64_t ordinal;
    uint32_t part;
    if (lsn_parse(slice_from(text), &c.start)) {
        *ret = c;
        return true;
    }
    if (!cdc_position_parse(text, &c.start, &ordinal, &part)) {
        return false;
    }
    if (ordinal > 0) {
        c.commit = c.start;
        c.ordinal = ordinal - 1;
        c.part = part + 1;
    }
    *ret = c;
    return true;
}
