/* Suggests a word for a mistyped one. If no word is near, the error lists all that are allowed,
 * because a far-fetched suggestion would mislead. */
#include "config/conf_suggest.h"

#include <ctype.h>

/* Longer words are not compared. It bounds the table in `distance`. */
enum { WORD_MAX = 48 };

static size_t min2(size_t a, size_t b)
{
    return a < b ? a : b;
}

static bool same(char a, char b)
{
    return tolower((unsigned char)a) == tolower((unsigned char)b);
}

/* How many typing mistakes lie between two words (optimal string alignment): a letter too many, too
 * few, another one, or two neighbours swapped cost one each. Only three rows of the table are
 * needed at a time. */
static size_t distance(struct slice a, struct slice b)
{
    size_t rows[3][WORD_MAX + 1];
    size_t *older = rows[0], *old = rows[1], *now = rows[2];
    for (size_t j = 0; j <= b.len; j++) {
        old[j] = j;
        older[j] = j;
    }
    for (size_t i = 1; i <= a.len; i++) {
        now[0] = i;
        for (size_t j = 1; j <= b.len; j++) {
            size_t cost = same(a.ptr[i - 1], b.ptr[j - 1]) ? 0 : 1;
            now[j] = min2(min2(old[j] + 1, now[j - 1] + 1), old[j - 1] + cost);
            if (i > 1 && j > 1 && same(a.ptr[i - 1], b.ptr[j - 2]) &&
                same(a.ptr[i - 2], b.ptr[j - 1])) {
                now[j] = min2(now[j], older[j - 2] + 1);
            }
        }
        size_t *free_row = older;
        older = old;
        old = now;
        now = free_row;
    }
    return old[b.len];
}

const char *suggest_nearest(struct slice word, const char *const *candidates, size_t n)
{
    if (word.len == 0 || word.len > WORD_MAX) {
        return NULL;
    }
    size_t limit = word.len <= 3 ? 1 : word.len <= 7 ? 2 : 3;
    const char *nearest = NULL;
    for (size_t i = 0; i < n; i++) {
        struct slice candidate = slice_from(candidates[i]);
        if (candidate.len == 0 || candidate.len > WORD_MAX) {
            continue;
        }
        size_t d = distance(word, candidate);
        if (d <= limit) {
            limit = d == 0 ? 0 : d - 1; /* the next one must be nearer: of equals the first wins */
            nearest = candidates[i];
            if (d == 0) {
                break;
            }
        }
    }
    return nearest;
}

void suggest_add(struct buf *out, struct slice word, const char *what,
                 const char *const *candidates, size_t n)
{
    const char *nearest = suggest_nearest(word, candidates, n);
    if (nearest) {
        buf_printf(out, "; did you mean `%s`?", nearest);
        return;
    }
    buf_printf(out, "; %s: ", what);
    for (size_t i = 0; i < n; i++) {
        buf_printf(out, "%s%s", i ? ", " : "", candidates[i]);
    }
    if (n == 0) {
        buf_add_str(out, "none");
    }
}
