/* The file sink's compression: other people's decompression gives back what went in, and the same
 * events make the same file. */
#include "file_fixture.h"

#include "pack/compress.h"
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <zlib.h>
#include <zstd.h>

#define FIRST "orders-00000000000000000001-00000000000000002000.jsonl"
enum { EVENTS = 2000 };

static void set_compression(struct fixture *f, enum file_compression c, int64_t level)
{
    *(int *)fixture_conf(f, "compression") = (int)c;
    *(int64_t *)fixture_conf(f, "compression_level") = level;
}

/* What zlib's and libzstd's own readers make of it. */
static void unpack(enum file_compression c, struct slice packed, struct buf *out)
{
    enum { ROOM = 64 * 1024 };
    if (c == FILE_GZIP) {
        z_stream z = {.next_in = (Bytef *)(uintptr_t)packed.ptr, .avail_in = (uInt)packed.len};
        assert_int_equal(inflateInit2(&z, 15 + 16), Z_OK);
        for (int rc = Z_OK; rc == Z_OK;) {
            buf_reserve(out, ROOM);
            z.next_out = (Bytef *)out->data + out->len;
            z.avail_out = ROOM;
            rc = inflate(&z, Z_NO_FLUSH);
            assert_true(rc == Z_OK || rc == Z_STREAM_END);
            buf_truncate(out, out->len + ROOM - z.avail_out);
        }
        assert_int_equal(z.avail_in, 0); /* one member, nothing behind it */
        inflateEnd(&z);
        return;
    }
    ZSTD_DCtx *z = ZSTD_createDCtx();
    ZSTD_inBuffer in = {packed.ptr, packed.len, 0};
    for (size_t left = 1; left;) {
        buf_reserve(out, ROOM);
        ZSTD_outBuffer to = {out->data + out->len, ROOM, 0};
        left = ZSTD_decompressStream(z, &to, &in);
        assert_false(ZSTD_isError(left));
        buf_truncate(out, out->len + to.pos);
    }
    assert_int_equal(in.pos, in.size);
    ZSTD_freeDCtx(z);
}

/* The file of all events, put `step` at a time. */
static void write_events(enum file_compression c, int64_t level, size_t step, struct buf *out)
{
    struct fixture f;
    struct error err;
    char name[96];
    fixture_init(&f);
    set_compression(&f, c, level);
    fixture_open(&f, 1);
    fixture_events(&f, EVENTS, 200);
    while (f.put < EVENTS) {
        fixture_put(&f, step);
    }
    if (fixture_commit(&f, EVENTS, &err)) {
        fail_msg("commit: %s", err.text);
    }
    snprintf(name, sizeof name, FIRST "%s", file_compression_extension(c));
    read_file(&f, name, out);
    fixture_end(&f);
}

static void test_round_trip(void **state UNUSED)
{
    CLEANUP(buf_release) struct buf plain = {0};
    write_events(FILE_PLAIN, 0, EVENTS, &plain);
    for (int c = FILE_GZIP; c < FILE_COMPRESSIONS; c++) {
        for (int64_t level = 0; level <= file_compression_level_max((enum file_compression)c);
             level += 9) {
            CLEANUP(buf_release) struct buf packed = {0}, again = {0}, back = {0};
            write_events((enum file_compression)c, level, EVENTS, &packed);
            assert_true(packed.len < plain.len / 3);
            unpack((enum file_compression)c, buf_slice(&packed), &back);
            assert_int_equal(back.len, plain.len);
            assert_memory_equal(back.data, plain.data, plain.len);
            write_events((enum file_compression)c, level, 7, &again);
            assert_int_equal(again.len, packed.len);
            assert_memory_equal(again.data, packed.data, packed.len);
        }
    }
}

/* An empty file is a whole one, and a large piece needs more than one round of output. */
static void test_pieces(void **state UNUSED)
{
    for (int c = FILE_GZIP; c < FILE_COMPRESSIONS; c++) {
        struct file_compressor *z = file_compressor_new((enum file_compression)c, 1);
        CLEANUP(buf_release) struct buf noise = {0}, packed = {0}, back = {0};
        uint64_t x = 88172645463325252;
        file_compressor_end(z, &packed);
        unpack((enum file_compression)c, buf_slice(&packed), &back);
        assert_int_equal(back.len, 0);
        file_compressor_reset(z);
        for (int i = 0; i < 100 * 1000; i++) {
            x ^= x << 13, x ^= x >> 7, x ^= x << 17;
            buf_add(&noise, &x, sizeof x);
        }
        file_compressor_add(z, SLICE_LITERAL("left over"), &packed);
        file_compressor_reset(z);
        buf_clear(&packed);
        file_compressor_add(z, buf_slice(&noise), &packed);
        file_compressor_end(z, &packed);
        unpack((enum file_compression)c, buf_slice(&packed), &back);
        assert_int_equal(back.len, noise.len);
        assert_memory_equal(back.data, noise.data, noise.len);
        file_compressor_free(z);
    }
}

/* What a rewind throws away is in no file, and each file is a stream of its own. */
static void test_one_file_after_another(void **state UNUSED)
{
    for (int c = FILE_GZIP; c < FILE_COMPRESSIONS; c++) {
        struct fixture f;
        struct error err;
        fixture_init(&f);
        set_compression(&f, (enum file_compression)c, 0);
        fixture_open(&f, 1);
        fixture_events(&f, EVENTS, 300); /* more than is held back, so that some is compressed */
        fixture_put(&f, EVENTS);
        assert_int_equal(sink_file.start(f.sink, 1, &err), RESULT_DONE);
        f.put = 0;
        for (int i = 0; i < 2; i++) {
            CLEANUP(buf_release) struct buf packed = {0}, back = {0};
            char name[128];
            fixture_batch(&f, 2);
            snprintf(name, sizeof name, "orders-%020d-%020d.jsonl%s", 2 * i + 1, 2 * i + 2,
                     file_compression_extension((enum file_compression)c));
            read_file(&f, name, &packed);
            unpack((enum file_compression)c, buf_slice(&packed), &back);
            snprintf(name, sizeof name, "{\"id\":\"id-%d\"", 2 * i + 1);
            assert_memory_equal(back.data, name, strlen(name));
            assert_non_null(strchr(back.data, '\n'));
            assert_ptr_equal(strchr(strchr(back.data, '\n') + 1, '\n') + 1, back.data + back.len);
        }
        fixture_end(&f);
    }
}

/* rotate.bytes counts what goes in: the same events are in the same batches, compressed or not. */
static void test_rotation_counts_what_goes_in(void **state UNUSED)
{
    size_t plain = 0;
    for (int c = FILE_PLAIN; c < FILE_COMPRESSIONS; c++) {
        struct fixture f;
        fixture_init(&f);
        set_compression(&f, (enum file_compression)c, 0);
        *fixture_rotate(&f, "bytes") = 200 * 1000;
        fixture_open(&f, 1);
        fixture_events(&f, EVENTS, 200);
        size_t n = fixture_put(&f, EVENTS);
        assert_in_range(n, 1, EVENTS - 1);
        assert_true(c == FILE_PLAIN || n == plain);
        plain = n;
        fixture_end(&f);
    }
}

/* Killed behind its intent, the file is finished as it is: also by a relay that is to compress in
 * another way now. */
static void test_killed(void **state UNUSED)
{
#ifndef COMMITRELAY_FAULTS
    skip();
#endif
    for (int c = FILE_GZIP; c < FILE_COMPRESSIONS; c++) {
        struct fixture f;
        char held[256];
        fixture_init(&f);
        set_compression(&f, (enum file_compression)c, 0);
        pid_t child = fork();
        assert_true(child >= 0);
        if (child == 0) {
            struct error err;
            setenv("COMMITRELAY_FAULT", "file_after_intent:kill", 1);
            fixture_open(&f, 1);
            fixture_events(&f, EVENTS, 10);
            fixture_put(&f, EVENTS);
            fixture_commit(&f, EVENTS, &err);
            _exit(1);
        }
        int status;
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
        set_compression(&f, FILE_PLAIN, 0);
        struct error err;
        assert_int_equal(fixture_recover(&f, &err), RESULT_DONE);
        assert_int_equal(f.recovery.delivered, EVENTS);
        snprintf(held, sizeof held, FIRST "%s " FIRST "%s.manifest.json ",
                 file_compression_extension((enum file_compression)c),
                 file_compression_extension((enum file_compression)c));
        assert_dir_holds(&f, held);
        sink_file.recovered(f.sink);
        fixture_open(&f, EVENTS + 1); /* its number counts: the file is seen as one of ours */
        f.stored.delivered = EVENTS - 1;
        assert_int_equal(fixture_recover(&f, &err), RESULT_ERROR);
        assert_non_null(strstr(err.text, "up to number 2000"));
        fixture_end(&f);
    }
}

static void test_levels(void **state UNUSED)
{
    struct fixture f;
    fixture_init(&f);
    set_compression(&f, FILE_PLAIN, 1);
    assert_refused(&f, "sink.compression_level is for compression: gzip or zstd");
    set_compression(&f, FILE_GZIP, 10);
    assert_refused(&f, "sink.compression_level of gzip is 1 to 9");
    fixture_end(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_pieces),
        cmocka_unit_test(test_one_file_after_another),
        cmocka_unit_test(test_rotation_counts_what_goes_in),
        cmocka_unit_test(test_killed),
        cmocka_unit_test(test_levels),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
