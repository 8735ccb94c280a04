/* arena, buf, slice and reader: bytes come back as they went in, and an underflow never goes
 * unnoticed. */
#include "unit.h"

#include "base/arena.h"
#include "base/buf.h"
#include "base/memory.h"
#include "base/reader.h"

#include <stdio.h>
#include <unistd.h>

static void arena_keeps_blocks_apart(void **state)
{
    (void)state;
    struct arena a;
    arena_init(&a);
    char *blocks[500];
    for (size_t i = 0; i < 500; i++) {
        size_t size = 1 + i * i % 30000; /* small ones, and some that get a chunk of their own */
        blocks[i] = i % 2 ? arena_bytes(&a, size) : arena_alloc(&a, size);
        memset(blocks[i], (int)(i % 251), size);
        assert_true(i % 2 || (uintptr_t)blocks[i] % 16 == 0);
    }
    for (size_t i = 0; i < 500; i++) {
        size_t size = 1 + i * i % 30000;
        for (size_t k = 0; k < size; k++) {
            assert_int_equal(blocks[i][k], (char)(i % 251));
        }
    }
    assert_true(a.total > 0);
    arena_reset(&a);
    assert_int_equal(a.total, 0);
    arena_release(&a);
}

static void arena_wipes_what_lies_there(void **state)
{
    (void)state;
    struct arena a;
    arena_init(&a);
    const char *small = arena_copy(&a, slice_from("secret")).ptr;
    char *large = arena_bytes(&a, 1 << 20);
    memset(large, 's', 1 << 20);
    const char *last = arena_copy(&a, slice_from("secret")).ptr;
    arena_wipe(&a);
    assert_int_equal(small[0] | small[5] | last[0] | last[5] | large[0] | large[(1 << 20) - 1], 0);
    arena_release(&a);
}

static void arena_survives_a_first_block_that_is_large(void **state)
{
    (void)state;
    struct arena a;
    arena_init(&a);
    char *large = arena_bytes(&a, (1 << 20) + 3);
    char *small = arena_alloc(&a, 16);
    memset(large, 1, 1 << 20);
    memset(small, 2, 16);
    assert_int_equal(large[0], 1);
    assert_int_equal(large[(1 << 20) - 1], 1);
    arena_reset(&a);
    int *zeros = arena_array(&a, 100, sizeof *zeros);
    for (size_t i = 0; i < 100; i++) {
        assert_int_equal(zeros[i], 0);
    }
    arena_release(&a);
}

/* The sanitizer sees what is not given back; the contents, what is given twice. */
static void arena_serves_round_after_round(void **state)
{
    (void)state;
    struct arena a;
    arena_init(&a);
    for (size_t round = 1; round < 20; round++) {
        size_t n = round * 37 % 300; /* less and more than what is kept */
        char **blocks = arena_array(&a, 300, sizeof *blocks);
        for (size_t i = 0; i < n; i++) {
            blocks[i] = arena_alloc(&a, 5000);
            memset(blocks[i], (int)(i % 251), 5000);
        }
        for (size_t i = 0; i < n; i++) {
            assert_int_equal(blocks[i][0], (char)(i % 251));
            assert_int_equal(blocks[i][4999], (char)(i % 251));
        }
        arena_reset(&a);
    }
    arena_release(&a);
}

/* A sanitizer has an allocator of its own, which keeps what is freed. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SANITIZED
#endif
#endif

/* In bytes. */
static size_t resident(void)
{
    unsigned long all, pages;
    FILE *f = fopen("/proc/self/statm", "re");
    assert_non_null(f);
    assert_int_equal(fscanf(f, "%lu %lu", &all, &pages), 2);
    fclose(f);
    return pages * (size_t)sysconf(_SC_PAGESIZE);
}

/* A block behind them holds the free ones in the heap until they are given back. */
static void free_memory_goes_back(void **state)
{
    (void)state;
#if defined(__GLIBC__) && !defined(SANITIZED)
    enum { BLOCKS = 1000, SIZE = 60000 };
    static char *blocks[BLOCKS + 1];
    for (size_t i = 0; i <= BLOCKS; i++) {
        blocks[i] = memory_need(malloc(SIZE));
        memset(blocks[i], 1, SIZE);
    }
    for (size_t i = 0; i < BLOCKS; i++) {
        free(blocks[i]);
    }
    size_t before = resident();
    memory_give_back();
    assert_true(resident() + (size_t)BLOCKS * SIZE / 2 < before);
    free(blocks[BLOCKS]);
#else
    (void)resident;
    skip();
#endif
}

static void arena_copy_tells_null_from_empty(void **state)
{
    (void)state;
    struct arena a;
    arena_init(&a);
    assert_true(slice_is_null(arena_copy(&a, SLICE_NULL)));
    struct slice empty = arena_copy(&a, SLICE_LITERAL(""));
    assert_false(slice_is_null(empty));
    assert_int_equal(empty.len, 0);
    struct slice s = arena_copy(&a, (struct slice){"abc\0d", 5});
    assert_memory_equal(s.ptr, "abc\0d", 6); /* the NUL behind it too */
    arena_release(&a);
}

static void buf_grows_and_ends_with_nul(void **state)
{
    (void)state;
    CLEANUP(buf_release) struct buf b = {0};
    assert_string_equal(buf_str(&b), "");
    assert_int_equal(buf_slice(&b).len, 0);
    assert_non_null(buf_slice(&b).ptr);
    buf_add(&b, NULL, 0);
    for (int i = 0; i < 1000; i++) {
        buf_add_char(&b, (char)('a' + i % 26));
        assert_int_equal(b.data[b.len], 0);
    }
    assert_int_equal(b.len, 1000);
    buf_clear(&b);
    buf_add_u64(&b, 0);
    buf_add_str(&b, ",");
    buf_add_u64(&b, UINT64_MAX);
    buf_printf(&b, ",%s,%d", "x", -5);
    buf_add_slice(&b, SLICE_LITERAL(",end"));
    assert_string_equal(buf_str(&b), "0,18446744073709551615,x,-5,end");
}

static void buf_printf_takes_long_text(void **state)
{
    (void)state;
    CLEANUP(buf_release) struct buf b = {0};
    char text[1000];
    memset(text, 'x', sizeof text);
    text[999] = '\0';
    buf_printf(&b, "<%s>", text);
    assert_int_equal(b.len, 1001);
    assert_int_equal(b.data[1000], '>');
}

static void slices_compare_by_content(void **state)
{
    (void)state;
    assert_true(slice_equal(SLICE_LITERAL("ab"), (struct slice){"abc", 2}));
    assert_false(slice_equal(SLICE_LITERAL("ab"), SLICE_LITERAL("ac")));
    assert_false(slice_equal(SLICE_LITERAL("ab"), SLICE_LITERAL("abc")));
    assert_true(slice_equal(SLICE_NULL, SLICE_LITERAL("")));
    assert_true(slice_equal_str(SLICE_LITERAL("ab"), "ab"));
    assert_true(slice_is_null(slice_from(NULL)));
    assert_false(slice_is_null(slice_from("")));
}

static void reader_reads_big_endian(void **state)
{
    (void)state;
    static const char bytes[] =
        "\x01\x02\x03\xff\x00\x00\x01\x80\x00\x00\x00\x00\x00\x00\x01name\0rest";
    struct reader r = reader_from((struct slice){bytes, sizeof bytes - 1});
    assert_int_equal(reader_u8(&r), 1);
    assert_int_equal(reader_u16(&r), 0x0203);
    assert_true(reader_u32(&r) == 0xff000001);
    assert_true(reader_u64(&r) == UINT64_C(0x8000000000000001));
    assert_int_equal(reader_offset(&r), 15);
    assert_true(slice_equal_str(reader_cstring(&r), "name"));
    assert_true(slice_equal_str(reader_bytes(&r, 4), "rest"));
    assert_int_equal(reader_left(&r), 0);
    assert_false(r.failed);
}

static void reader_underflow_sticks(void **state)
{
    (void)state;
    struct reader r = reader_from(SLICE_LITERAL("\x01\x02\x03"));
    assert_int_equal(reader_u32(&r), 0);
    assert_true(r.failed);
    assert_int_equal(reader_u8(&r), 0); /* a byte is there, but nothing is read any more */
    assert_true(slice_is_null(reader_bytes(&r, 1)));
    assert_true(slice_is_null(reader_cstring(&r)));

    r = reader_from(SLICE_LITERAL("abc")); /* no NUL */
    assert_true(slice_is_null(reader_cstring(&r)));
    assert_true(r.failed);

    r = reader_from(SLICE_LITERAL("abc"));
    assert_true(slice_is_null(reader_bytes(&r, SIZE_MAX)));
    assert_true(r.failed);

    r = reader_from(SLICE_NULL);
    assert_int_equal(reader_u8(&r), 0);
    assert_true(r.failed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(arena_keeps_blocks_apart),
        cmocka_unit_test(arena_wipes_what_lies_there),
        cmocka_unit_test(arena_survives_a_first_block_that_is_large),
        cmocka_unit_test(arena_serves_round_after_round),
        cmocka_unit_test(arena_copy_tells_null_from_empty),
        cmocka_unit_test(free_memory_goes_back),
        cmocka_unit_test(buf_grows_and_ends_with_nul),
        cmocka_unit_test(buf_printf_takes_long_text),
        cmocka_unit_test(slices_compare_by_content),
        cmocka_unit_test(reader_reads_big_endian),
        cmocka_unit_test(reader_underflow_sticks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
