/* What the stream promises without a server: bytes, commands, timers and naps. */
#include "unit.h"

#include "base/clock.h"
#include "cdc/stream/command.h"
#include "cdc/stream/pace.h"
#include "cdc/stream/timer.h"
#include "cdc/stream/window.h"
#include "cdc/stream/wire.h"

#include <arpa/inet.h>
#include <sys/socket.h>
#include <unistd.h>

/* --- the envelope --- */

static void data_and_keepalives_are_read(void **state UNUSED)
{
    struct stream_message m;
    struct error err;
    static const char data[] = "w\0\0\0\1\0\0\0\2\0\0\0\1\0\0\0\3\0\0\0\0\0\0\0\1Bxy";
    assert_int_equal(stream_wire_parse((struct slice){data, sizeof data - 1}, &m, &err), 0);
    assert_int_equal(m.kind, STREAM_DATA);
    assert_true(m.start_lsn == UINT64_C(0x100000002) && m.wal_end == UINT64_C(0x100000003));
    assert_true(m.server_us == INT64_C(946684800000001));
    assert_true(slice_equal_str(m.payload, "Bxy"));
    assert_ptr_equal(m.payload.ptr, data + 25); /* not copied */

    static const char alive[] = "k\0\0\0\0\0\0\1\0\0\0\0\0\0\0\0\0\1";
    assert_int_equal(stream_wire_parse((struct slice){alive, sizeof alive - 1}, &m, &err), 0);
    assert_int_equal(m.kind, STREAM_KEEPALIVE);
    assert_true(m.wal_end == 256 && m.reply_wanted);
}

static void short_and_unknown_messages_are_refused(void **state UNUSED)
{
    struct stream_message m;
    struct error err;
    static const char data[25] = "w", alive[18] = "k";
    for (size_t n = 0; n < sizeof data; n++) {
        assert_int_equal(stream_wire_parse((struct slice){data, n}, &m, &err), RESULT_ERROR);
        assert_int_equal(err.class, ERROR_RETRY);
    }
    for (size_t n = 1; n < sizeof alive; n++) {
        assert_int_equal(stream_wire_parse((struct slice){alive, n}, &m, &err), RESULT_ERROR);
    }
    assert_int_equal(stream_wire_parse(SLICE_LITERAL("\x07zzz"), &m, &err), RESULT_ERROR);
    assert_int_equal(err.class, ERROR_RETRY);
    assert_non_null(strstr(err.text, "0x07"));
    /* No payload is no error of the envelope: the decoder refuses it. */
    assert_int_equal(stream_wire_parse((struct slice){data, sizeof data}, &m, &err), RESULT_DONE);
    assert_int_equal(m.payload.len, 0);
}

static void a_status_tells_received_and_confirmed(void **state UNUSED)
{
    char out[STREAM_STATUS_SIZE];
    stream_wire_status(UINT64_C(0x0102030405060708), 9, INT64_C(946684800000005), true, out);
    static const char want[] =
        "r\1\2\3\4\5\6\7\10\0\0\0\0\0\0\0\11\0\0\0\0\0\0\0\11\0\0\0\0\0\0\0\5\1";
    assert_memory_equal(out, want, sizeof out);
    stream_wire_status(3, 9, 0, false, out); /* what is saved was received */
    assert_int_equal(out[8], 9);
    assert_int_equal(out[33], 0);
}

/* --- commands --- */

static const char *start_text(struct buf *out, const struct stream_start *start, int version)
{
    struct error err;
    buf_clear(out);
    assert_int_equal(stream_start_text(start, version, out, &err), RESULT_DONE);
    return buf_str(out);
}

static void start_asks_for_what_the_version_knows(void **state UNUSED)
{
    CLEANUP(buf_release) struct buf out = {0};
    struct stream_start start = {.slot = "s_1", .publication = "pub", .lsn = UINT64_C(0x100000002)};
    static const char plain[] = "START_REPLICATION SLOT \"s_1\" LOGICAL 1/2 (proto_version '1',"
                                " publication_names '\"pub\"')";
    assert_string_equal(start_text(&out, &start, 140000), plain);
    assert_string_equal(start_text(&out, &start, 180000), plain);
    start.messages = start.streaming = true;
    start.publication = "a\"b'c, d";
    assert_string_equal(start_text(&out, &start, 150020),
                        "START_REPLICATION SLOT \"s_1\" LOGICAL 1/2 (proto_version '2',"
                        " publication_names '\"a\"\"b''c, d\"', messages 'true', streaming 'on')");
    struct error err;
    assert_int_equal(stream_start_text(&start, 130000, &out, &err), RESULT_ERROR);
    assert_int_equal(err.exit_code, EXIT_CODE_CONFIG);
}

static void slot_names_are_checked(void **state UNUSED)
{
    char name[65] = {0};
    struct error err;
    memset(name, 'a', 63);
    assert_int_equal(stream_check_slot(name, &err), RESULT_DONE);
    assert_int_equal(stream_check_slot("_0z", &err), RESULT_DONE);
    name[63] = 'a';
    static const char *const bad[] = {"", "Slot", "a-b", "a b", "a\"b", "\xC3\xA4"};
    assert_int_equal(stream_check_slot(name, &err), RESULT_ERROR);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_int_equal(stream_check_slot(bad[i], &err), RESULT_ERROR);
        assert_int_equal(err.exit_code, EXIT_CODE_CONFIG);
    }
}

static void a_history_tells_where_a_timeline_was_left(void **state UNUSED)
{
    struct slice text = SLICE_LITERAL("1\t0/3000110\tno recovery target specified\n\n"
                                      "2\t1/5000000\tbefore 2000-01-01 01:00:00\n12\t2/0\tx");
    uint64_t lsn = 0;
    assert_true(stream_history_find(text, 1, &lsn) && lsn == 0x3000110);
    assert_true(stream_history_find(text, 2, &lsn) && lsn == UINT64_C(0x105000000));
    assert_true(stream_history_find(text, 12, &lsn) && lsn == UINT64_C(0x200000000));
    assert_false(stream_history_find(text, 3, &lsn));
    assert_false(stream_history_find(SLICE_LITERAL(""), 1, &lsn));
    assert_false(stream_history_find(SLICE_LITERAL("1\nx\t0/1\n\t0/2"), 1, &lsn));
}

/* --- timers --- */

static void updates_come_at_a_third_of_the_servers_timeout(void **state UNUSED)
{
    static const struct {
        int64_t timeout_us, interval_us, silence_us;
    } cases[] = {{60 * US_PER_SECOND, 10 * US_PER_SECOND, 30 * US_PER_SECOND},
                 {3 * US_PER_SECOND, US_PER_SECOND, 1500 * US_PER_MS},
                 {US_PER_SECOND, 333333, US_PER_SECOND},
                 {0, 10 * US_PER_SECOND, 30 * US_PER_SECOND}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct stream_timer t;
        stream_timer_init(&t, cases[i].timeout_us, US_PER_SECOND, 1000);
        assert_int_equal(stream_timer_due(&t, 1000), STREAM_DUE_STATUS); /* the first at once */
        stream_timer_sent(&t, false, 1000);
        assert_int_equal(t.interval_us, cases[i].interval_us);
        assert_int_equal(t.silence_us, cases[i].silence_us);
        assert_int_equal(stream_timer_due(&t, 1000 + t.interval_us - 1), STREAM_DUE_NOTHING);
        assert_true(stream_timer_deadline(&t) == 1000 + t.interval_us);
        assert_int_equal(stream_timer_due(&t, 1000 + t.interval_us), STREAM_DUE_STATUS);
    }
}

static void a_silent_server_is_asked_before_it_is_given_up(void **state UNUSED)
{
    struct stream_timer t;
    stream_timer_init(&t, 60 * US_PER_SECOND, 5 * US_PER_SECOND, 0);
    int64_t ask = 30 * US_PER_SECOND, dead = ask + 5 * US_PER_SECOND;
    stream_timer_sent(&t, false, ask - 1);
    assert_int_equal(stream_timer_due(&t, ask - 1), STREAM_DUE_NOTHING);
    assert_int_equal(stream_timer_due(&t, ask), STREAM_DUE_ASK);
    stream_timer_sent(&t, true, ask);
    assert_int_equal(stream_timer_due(&t, dead - 1), STREAM_DUE_NOTHING);
    assert_true(stream_timer_deadline(&t) == dead);
    assert_int_equal(stream_timer_due(&t, dead), STREAM_DUE_DEAD);
    stream_timer_heard(&t, dead - 1);
    assert_int_equal(stream_timer_due(&t, dead), STREAM_DUE_NOTHING);
}

static void a_wanted_reply_is_soon_but_not_at_once(void **state UNUSED)
{
    struct stream_timer t;
    stream_timer_init(&t, 60 * US_PER_SECOND, US_PER_SECOND, 0);
    stream_timer_sent(&t, false, 0);
    stream_timer_reply_wanted(&t, 1000);
    assert_int_equal(stream_timer_due(&t, 1000), STREAM_DUE_NOTHING);
    assert_int_equal(stream_timer_due(&t, 1000 + 100 * US_PER_MS), STREAM_DUE_STATUS);
    stream_timer_sent(&t, false, 2000); /* the source had something to confirm */
    assert_int_equal(stream_timer_due(&t, 1000 + 100 * US_PER_MS), STREAM_DUE_NOTHING);
}

/* --- naps --- */

enum { KB = 1024 };

static void read_now(struct stream_pace *p, size_t bytes, int64_t now_us)
{
    stream_pace_wake(p, now_us);
    stream_pace_took(p, bytes);
}

static void a_trickle_is_read_at_once(void **state UNUSED)
{
    struct stream_pace p;
    stream_pace_init(&p, 0);
    for (int64_t now = 0; now < US_PER_SECOND; now += 200) { /* 5,000 a second of 800 bytes */
        read_now(&p, 800, now);
        assert_false(stream_pace_nap(&p, 0, false, now + 10));
        assert_false(stream_pace_napping(&p, now + 10));
    }
    assert_false(p.behind);
}

static void a_backlog_makes_it_nap(void **state UNUSED)
{
    struct stream_pace p;
    int64_t now = 0;
    stream_pace_init(&p, now);
    for (; now < 50000; now += 20) { /* an eager reader of 50,000 a second, never much at a time */
        read_now(&p, 800, now);
        if (stream_pace_nap(&p, 0, false, now)) {
            break;
        }
    }
    assert_true(p.behind && now < 50000);
    assert_true(stream_pace_napping(&p, now) && stream_pace_napping(&p, now + 49));
    assert_false(stream_pace_napping(&p, now + 1000));
    /* And at the end of it, it does no longer. */
    for (int i = 0; i < 50; i++, now += 2000) {
        read_now(&p, 100, now);
    }
    assert_false(stream_pace_nap(&p, 0, false, now));
    assert_true(stream_pace_nap(&p, 0, true, now)); /* unless more is known to be there */
}

/* Else a reader would never be told that it has caught up. */
static void a_backlog_that_ends_in_silence_is_over(void **state UNUSED)
{
    struct stream_pace p;
    int64_t now = 0;
    stream_pace_init(&p, now);
    while (!stream_pace_nap(&p, 0, false, now)) {
        now += 20;
        read_now(&p, 800, now);
    }
    assert_true(stream_pace_behind(&p, false)); /* something gathers */
    stream_pace_wake(&p, p.until_us);           /* nothing did: no message, so no new reckoning */
    assert_true(p.behind);
    assert_false(stream_pace_behind(&p, false));
    assert_true(stream_pace_behind(&p, true));
}

static void naps_follow_what_they_bring(void **state UNUSED)
{
    struct stream_pace p;
    int64_t now = 0;
    stream_pace_init(&p, now);
    int64_t first = p.nap_us;
    for (int i = 0; i < 100; i++, now += 1000) { /* a little each time */
        assert_true(stream_pace_nap(&p, 0, true, now));
        read_now(&p, KB, now + p.nap_us);
    }
    assert_true(p.nap_us > first && p.nap_us <= 10 * US_PER_MS);
    for (int i = 0; i < 100; i++, now += 1000) { /* always too much */
        assert_true(stream_pace_nap(&p, 0, true, now));
        read_now(&p, 1000 * KB, now + p.nap_us);
    }
    assert_true(p.nap_us < first && p.nap_us >= 10);
    for (int i = 0; i < 100; i++, now += 1000) { /* 40 KiB come in a millisecond */
        assert_true(stream_pace_nap(&p, 0, true, now));
        read_now(&p, (size_t)p.nap_us * 40 * KB / 1000, now + p.nap_us);
    }
    assert_in_range(p.nap_us, 3 * US_PER_MS, 5 * US_PER_MS);
    assert_false(stream_pace_nap(&p, 16 * KB, true, now)); /* first what is there */
    /* A trickle in between says nothing about naps. */
    int64_t before = p.nap_us;
    for (int i = 0; i < 50; i++, now += 2000) {
        read_now(&p, 100, now);
    }
    assert_false(stream_pace_nap(&p, 0, false, now));
    assert_true(stream_pace_nap(&p, 0, true, now));
    assert_int_equal(p.nap_us, before);
}

/* A connection to this machine, after its window was asked to be narrow. */
static int near_socket(const struct sockaddr_in *to)
{
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(connect(fd, (const struct sockaddr *)to, sizeof *to), 0);
    stream_window_narrow(fd);
    return fd;
}

static int receive_buffer(int fd)
{
    int bytes = 0;
    socklen_t len = sizeof bytes;
    assert_int_equal(getsockopt(fd, SOL_SOCKET, SO_RCVBUF, &bytes, &len), 0);
    return bytes;
}

static void only_a_near_servers_window_is_narrowed(void **state UNUSED)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof at;
    int listening = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(bind(listening, (struct sockaddr *)&at, len), 0);
    assert_int_equal(listen(listening, 100), 0);
    assert_int_equal(getsockname(listening, (struct sockaddr *)&at, &len), 0);
    int near = near_socket(&at);
    for (int i = 0; i < 50 && receive_buffer(near) != 2 * STREAM_WINDOW; i++) {
        close(near); /* on a crowded machine even this one may have been far */
        near = near_socket(&at);
    }
    assert_int_equal(receive_buffer(near), 2 * STREAM_WINDOW);

    int pair[2]; /* no TCP, no round trip */
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
    int as_made = receive_buffer(pair[0]);
    stream_window_narrow(pair[0]);
    assert_int_equal(receive_buffer(pair[0]), as_made);
    close(listening);
    close(near);
    close(pair[0]);
    close(pair[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(data_and_keepalives_are_read),
        cmocka_unit_test(short_and_unknown_messages_are_refused),
        cmocka_unit_test(a_status_tells_received_and_confirmed),
        cmocka_unit_test(start_asks_for_what_the_version_knows),
        cmocka_unit_test(slot_names_are_checked),
        cmocka_unit_test(a_history_tells_where_a_timeline_was_left),
        cmocka_unit_test(updates_come_at_a_third_of_the_servers_timeout),
        cmocka_unit_test(a_silent_server_is_asked_before_it_is_given_up),
        cmocka_unit_test(a_wanted_reply_is_soon_but_not_at_once),
        cmocka_unit_test(a_trickle_is_read_at_once),
        cmocka_unit_test(a_backlog_makes_it_nap),
        cmocka_unit_test(a_backlog_that_ends_in_silence_is_over),
        cmocka_unit_test(naps_follow_what_they_bring),
        cmocka_unit_test(only_a_near_servers_window_is_narrowed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
