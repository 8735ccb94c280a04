/* SQLite's failures in the relay's classes, and what a connection must never do. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "db/sqlite.h"

struct world {
    char dir[64], path[128];
    struct error err;
};

static int setup(void **state)
{
    struct world *w = calloc(1, sizeof *w);
    strcpy(w->dir, "/tmp/cr-sqlite-XXXXXX");
    assert_non_null(mkdtemp(w->dir));
    snprintf(w->path, sizeof w->path, "%s/a.db", w->dir);
    *state = w;
    return 0;
}

static int teardown(void **state)
{
    struct world *w = *state;
    char command[128];
    snprintf(command, sizeof command, "rm -rf %s", w->dir);
    assert_int_equal(system(command), 0);
    free(w);
    return 0;
}

static struct sqlite *open_db(struct world *w, int64_t patience_us)
{
    struct sqlite *c = NULL;
    struct sqlite_options opt = {
        .path = w->path, .create = true, .patience_us = patience_us, .stop_fd = -1};
    if (sqlite_open(&opt, &c, &w->err) != RESULT_DONE) {
        fail_msg("%s", w->err.text);
    }
    return c;
}

static void refused(struct world *w, const char *path, enum error_class class, int exit_code)
{
    struct sqlite *c = NULL;
    struct sqlite_options opt = {.path = path, .patience_us = 0, .stop_fd = -1};
    error_clear(&w->err);
    assert_int_equal(sqlite_open(&opt, &c, &w->err), RESULT_ERROR);
    assert_int_equal(w->err.class, class);
    assert_int_equal(w->err.exit_code, exit_code);
    assert_null(c);
}

static void write_file(const char *path, const char *bytes, size_t n, long offset)
{
    FILE *f = fopen(path, offset ? "r+" : "w");
    assert_non_null(f);
    assert_int_equal(fseek(f, offset, SEEK_SET), 0);
    assert_int_equal(fwrite(bytes, 1, n, f), n);
    assert_int_equal(fclose(f), 0);
}

static void paths_that_cannot_be(void **state)
{
    struct world *w = *state;
    char path[160];
    refused(w, w->path, ERROR_CONFIG, EXIT_CODE_CONFIG);
    assert_non_null(strstr(w->err.text, "commitrelay init"));
    refused(w, w->dir, ERROR_CONFIG, EXIT_CODE_CONFIG);
    refused(w, "", ERROR_CONFIG, EXIT_CODE_CONFIG);
    snprintf(path, sizeof path, "%s/none/a.db", w->dir);
    refused(w, path, ERROR_CONFIG, EXIT_CODE_CONFIG);
    char text[8192];
    memset(text, 'x', sizeof text);
    write_file(w->path, text, sizeof text, 0);
    refused(w, w->path, ERROR_CONFIG, EXIT_CODE_CONFIG);
    assert_string_equal(w->err.code, "SQLITE_NOTADB");
    snprintf(path, sizeof path, "%s/b.db", w->path); /* below a file */
    refused(w, path, ERROR_CONFIG, EXIT_CODE_CONFIG);
}

static void unreadable_files(void **state)
{
    struct world *w = *state;
    if (geteuid() == 0) {
        skip(); /* root may read everything */
    }
    sqlite_close(open_db(w, 0));
    assert_int_equal(chmod(w->path, 0), 0);
    refused(w, w->path, ERROR_CONFIG, EXIT_CODE_PERMISSION);
}

static void a_corrupt_page_is_fatal(void **state)
{
    struct world *w = *state;
    struct sqlite *c = open_db(w, 0);
    assert_int_equal(
        sqlite_exec(c,
                    "CREATE TABLE t (a); INSERT INTO t SELECT hex(zeroblob(1000)) FROM "
                    "pragma_function_list LIMIT 50",
                    &w->err),
        RESULT_DONE);
    sqlite_close(c);
    char junk[4096];
    memset(junk, 0x5a, sizeof junk);
    write_file(w->path, junk, sizeof junk, 4096);
    c = open_db(w, 0);
    int64_t n;
    assert_int_equal(sqlite_query_int(c, "SELECT count(*) FROM t", 0, &n, &w->err), RESULT_ERROR);
    assert_int_equal(w->err.class, ERROR_FATAL);
    assert_int_equal(w->err.exit_code, EXIT_CODE_IO);
    sqlite_close(c);
}

static void sql_faults_have_classes(void **state)
{
    struct world *w = *state;
    struct sqlite *c = open_db(w, 0);
    assert_int_equal(sqlite_exec(c, "SELECT * FROM nowhere", &w->err), RESULT_ERROR);
    assert_int_equal(w->err.class, ERROR_CONFIG);
    assert_int_equal(sqlite_exec(c, "SELEKT", &w->err), RESULT_ERROR);
    assert_int_equal(w->err.class, ERROR_FATAL);
    assert_int_equal(sqlite_exec(c, "CREATE TABLE t (a); PRAGMA max_page_count = 4", &w->err),
                     RESULT_DONE);
    assert_int_equal(sqlite_exec(c, "INSERT INTO t VALUES (zeroblob(100000))", &w->err),
                     RESULT_ERROR);
    assert_int_equal(w->err.class, ERROR_RETRY);
    assert_int_equal(w->err.exit_code, EXIT_CODE_IO);
    sqlite_close(c);
}

static void a_lock_is_waited_for_with_patience(void **state)
{
    struct world *w = *state;
    struct sqlite *a = open_db(w, 0), *b = open_db(w, 30 * US_PER_MS);
    assert_int_equal(sqlite_begin(a, &w->err), RESULT_DONE);
    int64_t begun = clock_mono_us();
    assert_int_equal(sqlite_begin(b, &w->err), RESULT_ERROR);
    assert_true(clock_mono_us() - begun >= 30 * US_PER_MS);
    assert_true(sqlite_is_busy(&w->err));
    assert_int_equal(w->err.class, ERROR_RETRY);
    struct sqlite *c = open_db(w, 3600 * US_PER_SECOND);
    sqlite_set_patience(c, 0);
    assert_int_equal(sqlite_begin(c, &w->err), RESULT_ERROR); /* at once, or in an hour */
    sqlite_close(a);
    sqlite_close(b);
    sqlite_close(c);
}

static void a_stop_ends_the_wait(void **state)
{
    struct world *w = *state;
    int ends[2];
    struct sqlite *a = open_db(w, 0), *b;
    assert_int_equal(pipe(ends), 0);
    assert_int_equal(write(ends[1], "x", 1), 1);
    struct sqlite_options opt = {
        .path = w->path, .patience_us = 3600 * US_PER_SECOND, .stop_fd = ends[0]};
    assert_int_equal(sqlite_open(&opt, &b, &w->err), RESULT_DONE);
    assert_int_equal(sqlite_begin(a, &w->err), RESULT_DONE);
    assert_int_equal(sqlite_begin(b, &w->err), RESULT_ERROR); /* at once, or in an hour */
    sqlite_close(a);
    sqlite_close(b);
    close(ends[0]);
    close(ends[1]);
}

/* Neither a commit of ours nor our leaving may move frames from the -wal into the database. */
static void never_checkpoints(void **state)
{
    struct world *w = *state;
    struct stat before, after;
    struct sqlite *c = open_db(w, 0);
    assert_int_equal(sqlite_exec(c, "PRAGMA journal_mode = WAL; CREATE TABLE t (a)", &w->err),
                     RESULT_DONE);
    assert_int_equal(stat(w->path, &before), 0);
    for (int i = 0; i < 40; i++) { /* 2000 pages: twice what SQLite would let gather */
        assert_int_equal(sqlite_exec(c, "INSERT INTO t VALUES (zeroblob(200000))", &w->err),
                         RESULT_DONE);
    }
    sqlite_close(c);
    assert_int_equal(stat(w->path, &after), 0);
    assert_int_equal(before.st_size, after.st_size);
    c = open_db(w, 0); /* and all is there */
    int64_t n;
    assert_int_equal(sqlite_query_int(c, "SELECT count(*) FROM t", 0, &n, &w->err), RESULT_DONE);
    assert_int_equal(n, 40);
    sqlite_close(c);
}

static void knows_a_replaced_file(void **state)
{
    struct world *w = *state;
    struct sqlite *c = open_db(w, 0);
    assert_false(sqlite_replaced(c));
    assert_int_equal(unlink(w->path), 0);
    assert_true(sqlite_replaced(c));
    sqlite_close(open_db(w, 0));
    assert_true(sqlite_replaced(c));
    sqlite_close(c);
}

static void a_path_is_no_uri(void **state)
{
    struct world *w = *state;
    struct sqlite *c;
    struct sqlite_options opt = {.path = ":memory:", .create = true, .stop_fd = -1};
    char before[256];
    assert_non_null(getcwd(before, sizeof before));
    assert_int_equal(chdir(w->dir), 0);
    assert_int_equal(sqlite_open(&opt, &c, &w->err), RESULT_DONE);
    assert_int_equal(access(":memory:", F_OK), 0);
    sqlite_close(c);
    assert_int_equal(chdir(before), 0);
}

static void values_keep_their_kind(void **state)
{
    struct world *w = *state;
    struct sqlite *c = open_db(w, 0);
    struct sqlite_stmt *s;
    bool row;
    assert_int_equal(sqlite_prepare(c, "SELECT ?1, ?2, ?3, x'', ''", &s, &w->err), RESULT_DONE);
    sqlite_bind_int(s, 1, INT64_MIN);
    sqlite_bind_text(s, 2, SLICE_NULL);
    sqlite_bind_blob(s, 3, (struct slice){"a\0b", 3});
    assert_int_equal(sqlite_step(s, &row, &w->err), RESULT_DONE);
    assert_true(row);
    assert_true(slice_equal_str(sqlite_value(s, 0), "-9223372036854775808"));
    assert_true(slice_is_null(sqlite_value(s, 1)));
    assert_true(slice_equal(sqlite_value(s, 2), (struct slice){"a\0b", 3}) && sqlite_is_blob(s, 2));
    assert_true(!slice_is_null(sqlite_value(s, 3)) && !slice_is_null(sqlite_value(s, 4)));
    sqlite_stmt_free(s);
    sqlite_close(c);
}

static void a_table_is_found_by_its_name(void **state)
{
    struct world *w = *state;
    struct sqlite *c = open_db(w, 0);
    static const struct {
        const char *name;
        bool there;
    } names[] = {{"it's \"one\"", true}, {"other", false}, {"", false}, {"v", false}};
    assert_int_equal(sqlite_exec(c,
                                 "CREATE TABLE \"it's \"\"one\"\"\" (a);"
                                 "CREATE VIEW v AS SELECT 1",
                                 &w->err),
                     RESULT_DONE);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        bool there = !names[i].there;
        assert_int_equal(sqlite_has_table(c, names[i].name, &there, &w->err), RESULT_DONE);
        assert_int_equal(there, names[i].there);
    }
    sqlite_close(c);
}

static void names_and_urls(void **state)
{
    (void)state;
    CLEANUP(buf_release) struct buf out = {0};
    sqlite_quote_name(&out, "a\"; drop table x;--");
    assert_string_equal(buf_str(&out), "\"a\"\"; drop table x;--\"");
    assert_string_equal(sqlite_url_path("sqlite:./shop.db"), "./shop.db");
    assert_null(sqlite_url_path("sqlite:"));
    assert_null(sqlite_url_path("postgresql://x"));
    assert_string_equal(sqlite_network_fs(0x6969), "NFS");
    assert_string_equal(sqlite_network_fs((uint64_t)(int64_t)(int32_t)0xFF534D42),
                        "CIFS"); /* f_type is signed */
    assert_null(sqlite_network_fs(0xEF53));
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(paths_that_cannot_be),
        CASE(unreadable_files),
        CASE(a_corrupt_page_is_fatal),
        CASE(sql_faults_have_classes),
        CASE(a_lock_is_waited_for_with_patience),
        CASE(a_stop_ends_the_wait),
        CASE(never_checkpoints),
        CASE(knows_a_replaced_file),
        CASE(a_path_is_no_uri),
        CASE(values_keep_their_kind),
        CASE(a_table_is_found_by_its_name),
        cmocka_unit_test(names_and_urls),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
