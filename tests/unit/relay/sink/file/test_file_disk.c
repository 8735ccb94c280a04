/* The file sink on a disk with little room. Its own program, because it moves to a mount namespace
 * of its own. */
#include "file_fixture.h"

#include <errno.h>
#include <sched.h>
#include <stdatomic.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define NEVER (-1)
static atomic_int full_after = NEVER; /* directories that can be synced before ENOSPC */

/* In the place of libc's. */
int fsync(int fd)
{
    struct stat st;
    int left = atomic_load(&full_after);
    if (left != NEVER && fstat(fd, &st) == 0 && S_ISDIR(st.st_mode)) {
        if (left == 0) {
            errno = ENOSPC;
            return -1;
        }
        atomic_store(&full_after, left - 1);
    }
    return (int)syscall(SYS_fsync, fd);
}

#define FIRST_THREE "orders-00000000000000000001-00000000000000000003"

static bool write_text(const char *path, const char *text)
{
    FILE *f = fopen(path, "w");
    bool written = f && fputs(text, f) >= 0;
    return f && fclose(f) == 0 && written;
}

/* Mounts of our own, also for an ordinary user: as root of a namespace in which nobody else is. */
static bool own_mounts(void)
{
    char map[64];
    unsigned uid = getuid(), gid = getgid();
    if (unshare(CLONE_NEWNS) == 0) {
        return true;
    }
    if (unshare(CLONE_NEWUSER | CLONE_NEWNS) != 0) {
        return false;
    }
    snprintf(map, sizeof map, "0 %u 1\n", uid);
    bool mapped =
        write_text("/proc/self/setgroups", "deny") && write_text("/proc/self/uid_map", map);
    snprintf(map, sizeof map, "0 %u 1\n", gid);
    return mapped && write_text("/proc/self/gid_map", map);
}

/* A full disk is waited for, however often it is seen. Needs a small file system of our own. */
static void test_full_disk(void **state UNUSED)
{
    struct fixture f;
    struct error err;
    size_t taken = 0;
    fixture_init(&f);
    if (!own_mounts() || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) || mkdir(f.dir, 0750) ||
        mount("small", f.dir, "tmpfs", 0, "size=256k,mode=0750")) {
        fixture_end(&f);
        skip();
    }
    *(int64_t *)fixture_conf(&f, "reserve") = 0;
    fixture_open(&f, 1);
    fixture_events(&f, 3, 300 * 1000);
    for (int i = 0; i < 5; i++) {
        assert_int_equal(sink_file.start(f.sink, 1, &err), RESULT_DONE);
        assert_int_equal(sink_file.put(f.sink, f.batch, 0, 3, 1, &taken, &err), RESULT_ERROR);
        assert_int_equal(taken, 0);
        assert_int_equal(err.class, ERROR_RETRY);
        assert_int_equal(err.exit_code, EXIT_CODE_IO);
        assert_int_equal(strncmp(err.text, "disk full: ", 11), 0);
        assert_dir_holds(&f, "");
    }
    fixture_events(&f, 3, 10);
    assert_int_equal(sink_file.start(f.sink, 1, &err), RESULT_DONE);
    fixture_batch(&f, 3);
    assert_dir_holds(&f, FIRST_THREE ".jsonl " FIRST_THREE ".jsonl.manifest.json ");
    fixture_close(&f);
    assert_int_equal(umount(f.dir), 0);
    fixture_end(&f);
}

/* With less than the reserve it completes what is open, takes nothing more, and goes on by itself.
 */
static void test_reserve(void **state UNUSED)
{
    enum { EVENTS = 100 };
    struct fixture f;
    struct error err;
    size_t taken;
    char path[256];
    fixture_init(&f);
    if (!own_mounts() || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) || mkdir(f.dir, 0750) ||
        mount("small", f.dir, "tmpfs", 0, "size=1m,mode=0750")) {
        fixture_end(&f);
        skip();
    }
    *(int64_t *)fixture_conf(&f, "reserve") = 500 * 1000;
    fixture_open(&f, 1);
    fixture_events(&f, EVENTS, 1000);
    fixture_put(&f, 1);
    assert_false(sink_file.commit_due(f.sink, clock_mono_us()));
    snprintf(path, sizeof path, "head -c 700000 /dev/zero > %s/filler", f.dir);
    assert_int_equal(system(path), 0);
    while (f.put < EVENTS && fixture_put(&f, 1) == 1) { /* it looks at the disk now and then */
    }
    assert_in_range(f.put, 2, EVENTS - 1);
    assert_true(sink_file.commit_due(f.sink, clock_mono_us()));
    assert_int_equal(fixture_commit(&f, f.put, &err), RESULT_DONE);
    for (int i = 0; i < 5; i++) {
        assert_int_equal(sink_file.put(f.sink, f.batch, f.put, EVENTS, f.token, &taken, &err),
                         RESULT_ERROR);
        assert_int_equal(taken, 0);
        assert_int_equal(err.class, ERROR_RETRY);
        assert_int_equal(err.exit_code, EXIT_CODE_IO);
        assert_non_null(strstr(err.text, "disk nearly full: 0.3 MiB are free"));
        assert_int_equal(sink_file.start(f.sink, f.put + 1, &err), RESULT_DONE);
    }
    fixture_path(&f, "filler", path);
    assert_int_equal(unlink(path), 0);
    while (sink_file.put(f.sink, f.batch, f.put, EVENTS, f.token, &taken, &err) != RESULT_DONE) {
        assert_int_equal(sink_file.start(f.sink, f.put + 1, &err), RESULT_DONE);
        usleep(10 * 1000);
    }
    fixture_close(&f);
    assert_int_equal(umount(f.dir), 0);
    fixture_end(&f);
}

/* A disk that says only at the end that it is full: it is not known whether the intent lies there.
 * There is one advice, and the next start finds out. */
static void test_full_disk_undecided(void **state UNUSED)
{
    struct fixture f;
    struct error err;
    fixture_init(&f);
    fixture_open(&f, 1);
    fixture_events(&f, 3, 10);
    fixture_put(&f, 3);
    atomic_store(&full_after, 1); /* the temporary file's entry; then the intent's */
    int rc = fixture_commit(&f, 3, &err);
    atomic_store(&full_after, NEVER);
    assert_int_equal(rc, RESULT_ERROR);
    assert_int_equal(err.class, ERROR_FATAL);
    assert_int_equal(err.exit_code, EXIT_CODE_IO);
    assert_string_equal(err.code, "ENOSPC");
    assert_non_null(strstr(err.text, "free space there, then start the relay again"));
    assert_null(strstr(err.text, "the relay then goes on"));
    fixture_open(&f, 1);
    fixture_events(&f, 3, 10);
    fixture_batch(&f, 3);
    assert_dir_holds(&f, FIRST_THREE ".jsonl " FIRST_THREE ".jsonl.manifest.json ");
    fixture_end(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_full_disk_undecided), /* before those that mount */
        cmocka_unit_test(test_full_disk),
        cmocka_unit_test(test_reserve),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
