/* Damaged messages: cut off anywhere they are refused, with any byte changed they are refused or
 * stay within their bytes. The sanitizer sees every read outside. */
#include "unit.h"

#include "golden.h"
#include "inside.h"
#include <stdlib.h>

enum { TYPES = 128, LENGTHS = 4096 };

struct damage {
    struct arena arena;
    unsigned recording;                  /* 1, 2, ... */
    uint8_t first_in[2][TYPES][LENGTHS]; /* where a shape was met first; 0 nowhere yet */
    struct slice m;                      /* the whole message */
    bool in_stream;                      /* where it was recorded */
    size_t answered;                     /* damaged ones that were still understood */
};

static void cut_off(struct damage *d)
{
    for (size_t len = 0; len < d->m.len; len++) {
        char *copy = malloc(len ? len : 1);
        assert_non_null(copy);
        memcpy(copy, d->m.ptr, len);
        struct pgoutput_message m;
        struct error err;
        if (pgoutput_decode((struct slice){copy, len}, d->in_stream, &d->arena, &m, &err) !=
            RESULT_ERROR) {
            fail_msg("%zu of %zu bytes of a message of type %c pass", len, d->m.len, d->m.ptr[0]);
        }
        pgoutput_peek_relation((struct slice){copy, len}, d->in_stream);
        free(copy);
        arena_reset(&d->arena);
    }
}

static void change_byte(struct damage *d, char *copy, size_t at)
{
    static const uint8_t masks[] = {0x01, 0x20, 0x80, 0xff};
    struct slice bytes = {copy, d->m.len};
    for (size_t i = 0; i < sizeof masks; i++) {
        struct pgoutput_message m;
        struct error err;
        copy[at] = (char)(d->m.ptr[at] ^ masks[i]);
        if (pgoutput_decode(bytes, d->in_stream, &d->arena, &m, &err) == RESULT_DONE) {
            assert_true(message_inside(&m, bytes));
            d->answered++;
        }
        arena_reset(&d->arena);
    }
    copy[at] = d->m.ptr[at];
}

static void change_bytes(struct damage *d)
{
    char *copy = malloc(d->m.len);
    assert_non_null(copy);
    memcpy(copy, d->m.ptr, d->m.len);
    for (size_t at = 0; at < d->m.len; at++) {
        change_byte(d, copy, at);
    }
    free(copy);
}

/* One of many alike does: the bulk is a hundred rows of one length, one after the other, and the
 * versions recorded the same changes. */
static bool is_new(struct damage *d, struct slice last)
{
    bool same = d->m.len == last.len && d->m.ptr[0] == last.ptr[0];
    if (same || d->m.len >= LENGTHS) {
        return !same;
    }
    uint8_t *first = &d->first_in[d->in_stream][d->m.ptr[0] % TYPES][d->m.len];
    *first = *first ? *first : (uint8_t)d->recording;
    return *first == d->recording;
}

static void every_message(struct damage *d, const char *name, void (*try)(struct damage *d))
{
    CLEANUP(buf_release) struct buf bytes = {0};
    golden_load(name, "bin", &bytes);
    struct reader r = reader_from(buf_slice(&bytes));
    size_t messages = 0;
    struct slice last = SLICE_NULL;
    d->in_stream = false;
    d->recording++;
    for (; golden_next(&r, &d->m); messages++, last = d->m) {
        if (is_new(d, last)) {
            try(d);
        }
        d->in_stream = d->m.ptr[0] == PGOUTPUT_STREAM_START ||
                       (d->in_stream && d->m.ptr[0] != PGOUTPUT_STREAM_STOP);
    }
    assert_true(messages > 500);
}

static void try_all(void (*try)(struct damage *d), size_t *ret_answered)
{
    struct damage *d = calloc(1, sizeof *d);
    assert_non_null(d);
    arena_init(&d->arena);
    for (size_t i = 0; i < GOLDEN_COUNT; i++) {
        every_message(d, golden_names[i], try);
    }
    arena_release(&d->arena);
    *ret_answered = d->answered;
    free(d);
}

static void a_part_of_a_message_is_refused(void **state)
{
    (void)state;
    size_t answered;
    try_all(cut_off, &answered);
}

static void a_changed_byte_leads_nowhere_else(void **state)
{
    (void)state;
    size_t answered;
    try_all(change_bytes, &answered);
    assert_true(answered > 1000); /* most bytes are values */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_part_of_a_message_is_refused),
        cmocka_unit_test(a_changed_byte_leads_nowhere_else),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
