/* A transaction in progress goes out at its commit as if it had been sent whole. */
#include "unit.h"

#include "base/buf.h"
#include "base/result.h"
#include "cdc/spool/spool.h"

#include <dirent.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

/* --- messages as the server makes them; the test's rows are any bytes --- */

static void add_be(struct buf *b, uint64_t v, unsigned bytes)
{
    while (bytes-- > 0) {
        buf_add_char(b, (char)(v >> 8 * bytes & 0xFF));
    }
}

struct fixture {
    struct spool *spool;
    struct buf out; /* what was given out: "B<xid> " "I:<row> " "C " ... */
    char dir[32];
};

static int fixture_new(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    snprintf(f->dir, sizeof f->dir, "/tmp/spool-test-XXXXXX");
    assert_non_null(mkdtemp(f->dir));
    f->spool = spool_new(f->dir);
    *state = f;
    return 0;
}

static size_t count_files(const char *dir)
{
    size_t n = 0;
    DIR *d = opendir(dir);
    for (struct dirent *e; (e = readdir(d)) != NULL;) {
        n += e->d_name[0] != '.' || strlen(e->d_name) > 2;
    }
    closedir(d);
    return n;
}

static int fixture_free(void **state)
{
    struct fixture *f = *state;
    spool_free(f->spool);
    buf_release(&f->out);
    assert_int_equal(rmdir(f->dir), 0); /* nothing is left in it */
    free(f);
    return 0;
}

static uint64_t be_at(struct slice s, size_t at, unsigned bytes)
{
    uint64_t v = 0;
    for (unsigned i = 0; i < bytes; i++) {
        v = v << 8 | (uint8_t)s.ptr[at + i];
    }
    return v;
}

/* A line of what a reader sees. */
static void show(struct fixture *f, const struct stream_message *m)
{
    struct slice p = m->payload;
    char type = p.ptr[0];
    if (type == 'B') {
        assert_int_equal(p.len, 21);
        buf_printf(&f->out, "B%u@%u,%u ", (unsigned)be_at(p, 17, 4), (unsigned)be_at(p, 1, 8),
                   (unsigned)be_at(p, 9, 8));
    } else if (type == 'C') {
        assert_int_equal(p.len, 26);
        assert_int_equal(p.ptr[1], 0);
        buf_printf(&f->out, "C@%u-%u,%u ", (unsigned)be_at(p, 2, 8), (unsigned)be_at(p, 10, 8),
                   (unsigned)be_at(p, 18, 8));
    } else if (p.len > 100) {
        buf_printf(&f->out, "%c:%zu ", type, p.len - 1);
    } else {
        buf_printf(&f->out, "%c:%.*s ", type, (int)p.len - 1, p.ptr + 1);
    }
}

static int send(struct fixture *f, struct buf *b, uint64_t lsn, struct error *err)
{
    struct stream_message m = {.kind = STREAM_DATA, .payload = buf_slice(b), .start_lsn = lsn}, out;
    bool pass;
    int rc = spool_take(f->spool, &m, &pass, err);
    buf_release(b);
    if (rc == RESULT_DONE && pass) {
        buf_add_str(&f->out, "pass ");
    }
    while (rc == RESULT_DONE && (rc = spool_replay(f->spool, &out, err)) == RESULT_DONE) {
        show(f, &out);
    }
    return rc == RESULT_AGAIN ? RESULT_DONE : rc;
}

static int try_start(struct fixture *f, uint32_t xid, bool first, struct error *err)
{
    struct buf b = {0};
    buf_add_char(&b, 'S');
    add_be(&b, xid, 4);
    add_be(&b, first, 1);
    return send(f, &b, 0, err);
}

static void start(struct fixture *f, uint32_t xid, bool first)
{
    struct error err;
    assert_int_equal(try_start(f, xid, first, &err), RESULT_DONE);
}

static int try_stop(struct fixture *f, struct error *err)
{
    struct buf b = {0};
    buf_add_char(&b, 'E');
    return send(f, &b, 0, err);
}

static void stop(struct fixture *f)
{
    struct error err;
    assert_int_equal(try_stop(f, &err), RESULT_DONE);
}

static int try_row(struct fixture *f, char type, uint32_t xid, struct slice row, struct error *err)
{
    struct buf b = {0};
    buf_add_char(&b, type);
    add_be(&b, xid, 4);
    buf_add_slice(&b, row);
    return send(f, &b, 77, err);
}

static void row(struct fixture *f, uint32_t xid, const char *text)
{
    struct error err;
    assert_int_equal(try_row(f, 'I', xid, slice_from(text), &err), RESULT_DONE);
}

static int try_abort(struct fixture *f, uint32_t xid, uint32_t subxid, struct error *err)
{
    struct buf b = {0};
    buf_add_char(&b, 'A');
    add_be(&b, xid, 4);
    add_be(&b, subxid, 4);
    return send(f, &b, 0, err);
}

static void roll_back(struct fixture *f, uint32_t xid, uint32_t subxid)
{
    struct error err;
    assert_int_equal(try_abort(f, xid, subxid, &err), RESULT_DONE);
}

static int try_commit(struct fixture *f, uint32_t xid, struct error *err)
{
    struct buf b = {0};
    buf_add_char(&b, 'c');
    add_be(&b, xid, 4);
    add_be(&b, 0, 1);
    add_be(&b, 1000 + xid, 8);
    add_be(&b, 2000 + xid, 8);
    add_be(&b, 3000 + xid, 8);
    return send(f, &b, 5, err);
}

static void commit(struct fixture *f, uint32_t xid)
{
    struct error err;
    assert_int_equal(try_commit(f, xid, &err), RESULT_DONE);
}

static void assert_out(struct fixture *f, const char *want)
{
    assert_string_equal(buf_str(&f->out), want);
    buf_clear(&f->out);
}

/* --- the cases --- */

static void a_transaction_goes_out_at_its_commit(void **state)
{
    struct fixture *f = *state;
    struct error err;
    assert_int_equal(spool_check(f->spool, &err), RESULT_DONE);
    start(f, 7, true);
    row(f, 7, "a");
    row(f, 8, "b"); /* of a subtransaction */
    stop(f);
    start(f, 7, false);
    row(f, 7, "c");
    stop(f);
    assert_out(f, "");
    assert_true(spool_bytes(f->spool) > 0);
    assert_int_equal(count_files(f->dir), 0);
    commit(f, 7);
    assert_out(f, "B7@1007,3007 I:a I:b I:c C@1007-2007,3007 ");
    assert_int_equal(spool_bytes(f->spool), 0);
}

static void what_was_rolled_back_never_goes_out(void **state)
{
    struct fixture *f = *state;
    start(f, 7, true);
    row(f, 7, "a");
    row(f, 9, "b");
    row(f, 8, "c");
    row(f, 9, "d");
    row(f, 7, "e");
    row(f, 10, "f");
    stop(f);
    roll_back(f, 7, 9);
    roll_back(f, 7, 8);
    roll_back(f, 7, 4000000000); /* one that changed nothing */
    start(f, 7, false);
    row(f, 10, "g");
    row(f, 11, "h");
    stop(f);
    roll_back(f, 7, 11);
    commit(f, 7);
    assert_out(f, "B7@1007,3007 I:a I:e I:f I:g C@1007-2007,3007 ");

    start(f, 12, true);
    row(f, 12, "x");
    stop(f);
    roll_back(f, 12, 12);
    assert_out(f, "");
    assert_int_equal(spool_bytes(f->spool), 0);
    roll_back(f, 99, 99); /* of which nothing ever came */
    struct error err;
    assert_int_equal(try_commit(f, 12, &err), RESULT_ERROR);
}

/* The server may not tell of its rollback. */
static void a_subtransaction_from_before_the_stream_is_not_trusted(void **state)
{
    struct fixture *f = *state;
    struct error err;
    assert_true(spool_begin(f->spool, 50));
    start(f, 7, true); /* at 0 */
    row(f, 7, "a");
    assert_int_equal(try_row(f, 'I', 8, SLICE_LITERAL("b"), &err), RESULT_ERROR);
    assert_int_equal(err.class, ERROR_RETRY);
    spool_clear(f->spool);
    assert_false(spool_begin(f->spool, 50)); /* whole, this time */
    spool_clear(f->spool);
    assert_true(spool_begin(f->spool, 0)); /* it began behind this one */
    start(f, 7, true);
    row(f, 8, "b");
    stop(f);
    commit(f, 7);
    assert_out(f, "B7@1007,3007 I:b C@1007-2007,3007 ");
}

static void transactions_side_by_side_stay_apart(void **state)
{
    struct fixture *f = *state;
    for (uint32_t part = 0; part < 3; part++) {
        for (uint32_t xid = 20; xid < 40; xid++) {
            char text[20];
            snprintf(text, sizeof text, "%u.%u", xid, part);
            start(f, xid, part == 0);
            row(f, xid, text);
            stop(f);
        }
    }
    roll_back(f, 21, 21);
    commit(f, 22);
    assert_out(f, "B22@1022,3022 I:22.0 I:22.1 I:22.2 C@1022-2022,3022 ");
    commit(f, 20);
    assert_out(f, "B20@1020,3020 I:20.0 I:20.1 I:20.2 C@1020-2020,3020 ");
    spool_clear(f->spool);
    assert_int_equal(spool_bytes(f->spool), 0);
    start(f, 23, true); /* after a reconnect it comes from its beginning */
    stop(f);
    commit(f, 23);
    assert_out(f, "B23@1023,3023 C@1023-2023,3023 ");
}

/* More than the buffers hold, and single messages that do not fit into them. */
static void sizes_do_not_matter(void **state)
{
    struct fixture *f = *state;
    static char big[700000];
    struct error err;
    memset(big, 'x', sizeof big);
    static const size_t sizes[] = {1000, 65536, 700000, 1, 300000, 65535, 262144, 99};
    size_t n = sizeof sizes / sizeof *sizes, rows = 0, expected = 0, given = 0, bytes = 0;
    start(f, 7, true);
    for (size_t i = 0; i < 5000; i++) {
        size_t size = i < n ? sizes[i] : 101 + i % 1000;
        assert_int_equal(try_row(f, 'U', i % 7 == 3 ? 8 : 7, (struct slice){big, size}, &err),
                         RESULT_DONE);
        rows += i % 7 != 3;
        expected += i % 7 != 3 ? size : 0;
    }
    stop(f);
    roll_back(f, 7, 8);
    commit(f, 7);
    for (const char *p = buf_str(&f->out); (p = strstr(p, "U:")) != NULL; p += 2) {
        given++;
        bytes += p[2] == 'x' ? strspn(p + 2, "x") : (size_t)strtoul(p + 2, NULL, 10);
    }
    assert_int_equal(given, rows);
    assert_int_equal(bytes, expected);
    buf_clear(&f->out);
}

static void what_is_no_part_of_it_passes(void **state)
{
    struct fixture *f = *state;
    struct error err;
    struct buf plain = {0};
    start(f, 7, true);
    row(f, 7, "a");
    stop(f);
    buf_add_str(&plain, "Iwhatever");
    assert_int_equal(send(f, &plain, 0, &err), RESULT_DONE);
    assert_out(f, "pass ");
    struct stream_message alive = {.kind = STREAM_KEEPALIVE};
    bool pass = false;
    start(f, 7, false);
    assert_int_equal(spool_take(f->spool, &alive, &pass, &err), RESULT_DONE);
    assert_true(pass);
    struct buf origin = {0}; /* it carries no xid */
    buf_add_str(&origin, "Oxyz");
    assert_int_equal(send(f, &origin, 0, &err), RESULT_DONE);
    stop(f);
    commit(f, 7);
    assert_out(f, "B7@1007,3007 I:a O:xyz C@1007-2007,3007 ");
}

static void describe(struct fixture *f, const char *text)
{
    struct error err;
    struct buf b = {0};
    buf_printf(&b, "R%s", text);
    assert_int_equal(send(f, &b, 0, &err), RESULT_DONE);
    assert_out(f, "pass ");
}

static void describe_in(struct fixture *f, uint32_t xid, const char *text)
{
    struct error err;
    assert_int_equal(try_row(f, 'R', xid, slice_from(text), &err), RESULT_DONE);
}

/* The server takes it that the description of a table that it sent last holds from then on. */
static void descriptions_sent_meanwhile_hold_behind_it(void **state)
{
    struct fixture *f = *state;
    describe(f, "0001before");
    start(f, 7, true);
    describe_in(f, 7, "0001old");
    row(f, 7, "a");
    stop(f);
    describe(f, "0001new");
    describe(f, "0002other"); /* 7 has no other one of it */
    describe(f, "0001newer");
    commit(f, 7);
    assert_out(f, "B7@1007,3007 R:0001old I:a C@1007-2007,3007 R:0001newer ");
    start(f, 8, true);
    stop(f);
    commit(f, 8);
    assert_out(f, "B8@1008,3008 C@1008-2008,3008 ");
}

/* Also if it sent it in a part of another one. */
static void descriptions_of_another_hold_behind_it(void **state)
{
    struct fixture *f = *state;
    start(f, 7, true);
    describe_in(f, 7, "0001old");
    row(f, 7, "a");
    stop(f);
    describe(f, "0001new");
    start(f, 8, true);
    describe_in(f, 8, "0001newer");
    row(f, 8, "b");
    stop(f);
    commit(f, 8);
    assert_out(f, "B8@1008,3008 R:0001newer I:b C@1008-2008,3008 ");
    commit(f, 7);
    assert_out(f, "B7@1007,3007 R:0001old I:a C@1007-2007,3007 R:0001newer ");
}

/* What came while nothing was in progress needs no noting: parts that follow have their own. */
static void descriptions_of_before_never_come_back(void **state)
{
    struct fixture *f = *state;
    start(f, 7, true);
    stop(f);
    describe(f, "0001old");
    roll_back(f, 7, 7);
    describe(f, "0001new");
    start(f, 8, true);
    describe_in(f, 8, "0001new");
    stop(f);
    start(f, 9, true);
    stop(f);
    commit(f, 9);
    assert_out(f, "B9@1009,3009 C@1009-2009,3009 ");
    commit(f, 8);
    assert_out(f, "B8@1008,3008 R:0001new C@1008-2008,3008 ");
}

static void what_makes_no_sense_is_refused(void **state)
{
    struct fixture *f = *state;
    struct error err;
    assert_int_equal(try_stop(f, &err), RESULT_ERROR);
    assert_int_equal(err.class, ERROR_RETRY);
    assert_int_equal(try_start(f, 7, false, &err), RESULT_ERROR);
    assert_int_equal(try_commit(f, 7, &err), RESULT_ERROR);
    start(f, 7, true);
    assert_int_equal(try_start(f, 8, true, &err), RESULT_ERROR);
    assert_int_equal(try_commit(f, 7, &err), RESULT_ERROR);
    assert_int_equal(try_abort(f, 7, 7, &err), RESULT_ERROR);
    assert_int_equal(try_row(f, 'B', 7, SLICE_LITERAL("x"), &err), RESULT_ERROR);
    struct buf cut = {0};
    buf_add_str(&cut, "Iab");
    assert_int_equal(send(f, &cut, 0, &err), RESULT_ERROR);
    stop(f);
    assert_int_equal(try_start(f, 7, true, &err), RESULT_ERROR);
    static const char *const ends[] = {"Sab", "Aabcdab", "cab"};
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++) {
        buf_add_str(&cut, ends[i]);
        assert_int_equal(send(f, &cut, 0, &err), RESULT_ERROR);
    }
}

static void a_full_disk_is_told_and_can_be_mended(void **state)
{
    struct fixture *f = *state;
    static char big[100000];
    struct error err;
    struct rlimit before, small;
    signal(SIGXFSZ, SIG_IGN);
    getrlimit(RLIMIT_FSIZE, &before);
    small = before;
    small.rlim_cur = 50000;
    setrlimit(RLIMIT_FSIZE, &small);
    start(f, 7, true);
    int rc = try_row(f, 'I', 7, (struct slice){big, sizeof big}, &err);
    setrlimit(RLIMIT_FSIZE, &before);
    assert_int_equal(rc, RESULT_ERROR);
    assert_int_equal(err.class, ERROR_RETRY);
    assert_int_equal(err.exit_code, EXIT_CODE_IO);
    assert_non_null(strstr(err.text, f->dir));
    spool_clear(f->spool);
    start(f, 7, true);
    row(f, 7, "a");
    stop(f);
    commit(f, 7);
    assert_out(f, "B7@1007,3007 I:a C@1007-2007,3007 ");
}

static void a_missing_folder_is_named(void **state UNUSED)
{
    struct spool *s = spool_new("/nonexistent/folder");
    struct fixture f = {.spool = s};
    struct error err;
    assert_int_equal(spool_check(s, &err), RESULT_ERROR);
    assert_non_null(strstr(err.text, "/nonexistent/folder"));
    assert_int_equal(try_start(&f, 7, true, &err), RESULT_ERROR);
    assert_non_null(strstr(err.text, "/nonexistent/folder"));
    spool_free(s);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, fixture_new, fixture_free)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(a_transaction_goes_out_at_its_commit),
        CASE(what_was_rolled_back_never_goes_out),
        CASE(a_subtransaction_from_before_the_stream_is_not_trusted),
        CASE(transactions_side_by_side_stay_apart),
        CASE(sizes_do_not_matter),
        CASE(what_is_no_part_of_it_passes),
        CASE(descriptions_sent_meanwhile_hold_behind_it),
        CASE(descriptions_of_another_hold_behind_it),
        CASE(descriptions_of_before_never_come_back),
        CASE(what_makes_no_sense_is_refused),
        CASE(a_full_disk_is_told_and_can_be_mended),
        cmocka_unit_test(a_missing_folder_is_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
