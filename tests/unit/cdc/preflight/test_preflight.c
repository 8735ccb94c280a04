/* What the start-up checks decide on the facts they find: where the stream goes on, where it stops,
 * and that each refusal names its way out. */
#include "unit.h"

#include "cdc/preflight/judge.h"

#include <stdio.h>
#include <stdlib.h>

/* A relay that stands at 0/2000 in the transaction that commits at 0/2800, on a server at 0/9000.
 */
struct scene {
    struct cdc_conf conf;
    struct stream_identity identity;
    struct slot_facts found;
    struct cdc_cursor cursor;
    struct slot_case c;
    enum slot_way way;
    struct fault fault;
};

static int setup(void **state)
{
    struct scene *s = calloc(1, sizeof *s);
    assert_non_null(s);
    s->conf = (struct cdc_conf){.create_slot = true, .start_from = (char *)(uintptr_t) "beginning"};
    s->identity = (struct stream_identity){
        .system_id = 7, .timeline = 3, .flush_lsn = 0x9000, .database = "shop"};
    s->found = (struct slot_facts){.there = true,
                                   .logical = true,
                                   .plugin = "pgoutput",
                                   .database = "shop",
                                   .wal_status = WAL_RESERVED,
                                   .confirmed = 0x2000};
    s->cursor = (struct cdc_cursor){
        .system_id = 7, .timeline = 3, .start = 0x2000, .commit = 0x2800, .ordinal = 2};
    s->c = (struct slot_case){.conf = &s->conf,
                              .pipeline = "p",
                              .slot = "slot",
                              .identity = &s->identity,
                              .found = &s->found,
                              .cursor = &s->cursor};
    *state = s;
    return 0;
}

static int teardown(void **state)
{
    free(*state);
    return 0;
}

static void goes_on(struct scene *s, enum slot_way way)
{
    if (slot_judge(&s->c, &s->way, &s->fault)) {
        fail_msg("refused: %s", s->fault.text);
    }
    assert_int_equal(s->way, way);
}

static void stops(struct scene *s, int exit_code, const char *text, const char *remedy)
{
    assert_int_equal(slot_judge(&s->c, &s->way, &s->fault), RESULT_ERROR);
    assert_int_equal(s->fault.exit_code, exit_code);
    if (!strstr(s->fault.text, text) || !strstr(s->fault.remedy, remedy)) {
        fail_msg("\"%s: %s\" lacks \"%s\" or \"%s\"", s->fault.text, s->fault.remedy, text, remedy);
    }
}

static void a_position_that_fits_is_taken_up(void **state)
{
    struct scene *s = *state;
    goes_on(s, SLOT_USE);
    s->found.confirmed = 0x1000; /* a crash of the server took it back */
    goes_on(s, SLOT_USE);
    s->cursor.start = s->cursor.commit = s->identity.flush_lsn;
    s->cursor.ordinal = 0;
    goes_on(s, SLOT_USE);
}

static void another_cluster_stops(void **state)
{
    struct scene *s = *state;
    s->conf.on_lost_slot = CDC_LOST_RESNAPSHOT; /* is no answer to a wrong URL */
    s->cursor.system_id = 8;
    stops(s, 69, "another database cluster (system identifier 8; this server has 7)", "source.url");
}

static void a_position_above_the_end_of_wal_is_never_used(void **state)
{
    struct scene *s = *state;
    s->cursor.start = 0x9001;
    stops(s, 69, "0/9001 is ahead of the server's WAL, which ends at 0/9000", "position set");
    s->cursor.start = 0x2000;
    s->cursor.commit = 0x9100; /* a part of it is delivered */
    stops(s, 69, "0/9100 is ahead", "position set");
    s->cursor.ordinal = 0; /* nothing of it is */
    goes_on(s, SLOT_USE);
    s->cursor.start = 0x9001;
    s->c.standby = true; /* it replays what it has not yet */
    stops(s, 75, "waits for the standby to replay up to the stored position 0/9001", "");
    assert_int_equal(s->fault.class, ERROR_RETRY);
}

static void a_new_timeline_is_followed_up_to_its_fork(void **state)
{
    struct scene *s = *state;
    s->cursor.timeline = 2;
    s->c.switch_lsn = 0x2801;
    goes_on(s, SLOT_USE);
    s->c.switch_lsn = 0x2800; /* the commit record begins where the old timeline ends */
    stops(s, 69, "left timeline 2 at 0/2800, but events up to 0/2800 were delivered",
          "position set");
    s->cursor.ordinal = 0;
    s->cursor.start = 0x2800; /* all that was delivered ends there */
    goes_on(s, SLOT_USE);
    s->cursor.start = 0x2808;
    stops(s, 69, "left timeline 2 at 0/2800, but events up to 0/2808", "position set");
    s->c.switch_lsn = 0;
    stops(s, 69, "timeline 2, which is not in the history of this server (timeline 3)", "");
}

static void a_missing_slot_is_made_only_when_nothing_can_be_lost(void **state)
{
    struct scene *s = *state;
    s->found.there = false;
    stops(s, 69,
          "does not exist, although a position is stored: data may be lost, namely"
          " everything committed after 0/2000",
          "SELECT pg_create_logical_replication_slot('slot', 'pgoutput'), then commitrelay position"
          " set -c FILE --pipeline p beginning --yes");
    assert_non_null(strstr(s->fault.remedy, "on_lost_slot: resnapshot"));
    s->conf.on_lost_slot = CDC_LOST_RESNAPSHOT;
    goes_on(s, SLOT_MAKE_AGAIN);
    s->conf.snapshot = CDC_SNAPSHOT_NEVER;
    s->conf.snapshot_given = true;
    stops(s, 69, "data may be lost", "which needs snapshot: initial");
    s->c.cursor = NULL;
    goes_on(s, SLOT_MAKE);
    s->conf.create_slot = false;
    stops(s, 78, "slot slot does not exist", "create_slot: true");
}

static void an_outbox_is_copied_again_only_if_its_snapshot_was_asked_for(void **state)
{
    struct scene *s = *state;
    s->conf.as = CDC_AS_OUTBOX;
    assert_false(slot_snapshot_possible(&s->conf));
    s->conf.snapshot_given = true;
    assert_true(slot_snapshot_possible(&s->conf));
}

static void a_lost_slot_stops_or_is_copied_again(void **state)
{
    struct scene *s = *state;
    s->found.wal_status = WAL_LOST;
    stops(s, 69, "invalidated by the server (its WAL was removed: max_slot_wal_keep_size)",
          "pg_drop_replication_slot('slot')");
    snprintf(s->found.reason, sizeof s->found.reason, "idle_timeout");
    stops(s, 69, "invalidated by the server (idle_timeout)", "position set");
    s->conf.on_lost_slot = CDC_LOST_RESNAPSHOT;
    s->found.active = false;
    goes_on(s, SLOT_MAKE_AGAIN);
}

static void a_slot_that_another_moved_stops(void **state)
{
    struct scene *s = *state;
    s->found.confirmed = 0x2001;
    stops(s, 69, "begins at 0/2001, beyond the stored position 0/2000", "position set");
    s->conf.on_lost_slot = CDC_LOST_RESNAPSHOT;
    goes_on(s, SLOT_MAKE_AGAIN);
}

static void a_slot_of_another_kind_is_refused(void **state)
{
    struct scene *s = *state;
    s->found.two_phase = true;
    stops(s, 78, "two_phase", "source.slot");
    snprintf(s->found.database, sizeof s->found.database, "other");
    stops(s, 78, "of database \"other\", not of \"shop\"", "source.slot");
    snprintf(s->found.plugin, sizeof s->found.plugin, "test_decoding");
    stops(s, 78, "output plugin test_decoding", "source.slot");
    s->found.logical = false;
    stops(s, 78, "a physical one", "source.slot");
}

static void a_slot_in_use_is_waited_for(void **state)
{
    struct scene *s = *state;
    s->found.active = true;
    s->found.pid = 4711;
    snprintf(s->found.application, sizeof s->found.application, "pg_recvlogical");
    stops(s, 75, "waits: slot slot is active for pid 4711 (application \"pg_recvlogical\")",
          "pg_terminate_backend(4711)");
    assert_int_equal(s->fault.class, ERROR_RETRY);
    assert_string_equal(s->fault.code, "slot_active");
    s->found.confirmed = 0; /* whatever it says now */
    s->found.being_made = true;
    stops(s, 75, "is being made by pid 4711", "");
    s->found = (struct slot_facts){.there = true,
                                   .logical = true,
                                   .synced = true,
                                   .plugin = "pgoutput",
                                   .database = "shop",
                                   .confirmed = 0x2000};
    s->c.standby = true;
    stops(s, 75, "is a copy of the primary's", "source.url");
    s->c.standby = false; /* promoted */
    goes_on(s, SLOT_USE);
}

static void a_slot_without_a_position_needs_to_be_told_where(void **state)
{
    struct scene *s = *state;
    s->c.cursor = NULL;
    stops(s, 69, "exists, but no position is stored", "start_from: beginning");
    s->conf.start_from_given = true;
    goes_on(s, SLOT_USE);
    s->conf.start_from = (char *)(uintptr_t) "0/1FFF:1";
    stops(s, 69, "before what slot slot still has, which begins at 0/2000", "beginning");
    s->conf.start_from = (char *)(uintptr_t) "0/9001:1";
    stops(s, 69, "ahead of the server's WAL", "now");
    s->conf.start_from = (char *)(uintptr_t) "0/2000:1";
    goes_on(s, SLOT_USE);
}

static void synchronous_names_are_read_as_the_server_reads_them(void **state UNUSED)
{
    static const struct {
        const char *names;
        bool waits;
    } cases[] = {{"", false},
                 {"*", true},
                 {"FIRST 1 (*)", true},
                 {"\"commitrelay p\"", true},
                 {"ANY 2 (a, \"COMMITRELAY P\", b)", true},
                 {"FIRST 1 (\"commitrelay p2\", a)", false},
                 {"commitrelay", false},
                 {"2 (\"a*\", b)", false},
                 {"\"unended", false}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        if (server_waits_for(cases[i].names, "commitrelay p") != cases[i].waits) {
            fail_msg("%s", cases[i].names);
        }
    }
}

static void old_minor_versions_are_told(void **state UNUSED)
{
    assert_non_null(strstr(server_known_loss(150007), "first changes"));
    assert_non_null(strstr(server_known_loss(150012), "ALTER PUBLICATION"));
    assert_non_null(strstr(server_known_loss(170005), "memory allocation"));
    assert_null(server_known_loss(150014));
    assert_null(server_known_loss(170006));
    assert_null(server_known_loss(180000));
}

static void server_settings_are_judged(void **state UNUSED)
{
    struct fault f;
    struct server_facts s = {.version = 150020, .wal_level = "replica", .user = "r"};
    assert_int_equal(server_judge_wal(&s, &f), RESULT_ERROR);
    assert_non_null(strstr(f.remedy, "ALTER SYSTEM SET wal_level = logical, then restart"));
    s.version = 190000; /* turns to logical with the first slot */
    assert_int_equal(server_judge_wal(&s, &f), RESULT_DONE);
    s.version = 130012;
    assert_int_equal(server_judge_version(&s, &f), RESULT_ERROR);
    assert_int_equal(f.exit_code, EXIT_CODE_CONFIG);
    s.backend_pid = 1;
    assert_int_equal(server_judge_pooler(&s, &f), RESULT_ERROR);
    assert_int_equal(server_judge_plugin(&s, &f), RESULT_DONE); /* no such setting */
    snprintf(s.plugins, sizeof s.plugins, "test_decoding, wal2json");
    assert_int_equal(server_judge_plugin(&s, &f), RESULT_ERROR);
    snprintf(s.plugins, sizeof s.plugins, "test_decoding,\"pgoutput\"");
    assert_int_equal(server_judge_plugin(&s, &f), RESULT_DONE);
    s.standby = true;
    assert_int_equal(server_judge_standby(&s, &f), RESULT_ERROR);
    s.version = 160000;
    assert_int_equal(server_judge_standby(&s, &f), RESULT_DONE);
}

static void a_long_refusal_keeps_its_beginning(void **state UNUSED)
{
    struct fault f;
    struct error err;
    char long_name[2000];
    memset(long_name, 'n', sizeof long_name - 1);
    long_name[sizeof long_name - 1] = '\0';
    fault_set(&f, ERROR_FATAL, EXIT_CODE_UNAVAILABLE, "text %s", long_name);
    fault_mend(&f, "remedy %s", long_name);
    assert_int_equal(fault_error(&f, &err), RESULT_ERROR);
    assert_int_equal(err.exit_code, EXIT_CODE_UNAVAILABLE);
    assert_non_null(strstr(err.text, "text nnn"));
    assert_non_null(strstr(err.text, ": remedy nnn"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_position_that_fits_is_taken_up, setup, teardown),
        cmocka_unit_test_setup_teardown(another_cluster_stops, setup, teardown),
        cmocka_unit_test_setup_teardown(a_position_above_the_end_of_wal_is_never_used, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_new_timeline_is_followed_up_to_its_fork, setup, teardown),
        cmocka_unit_test_setup_teardown(a_missing_slot_is_made_only_when_nothing_can_be_lost, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(
            an_outbox_is_copied_again_only_if_its_snapshot_was_asked_for, setup, teardown),
        cmocka_unit_test_setup_teardown(a_lost_slot_stops_or_is_copied_again, setup, teardown),
        cmocka_unit_test_setup_teardown(a_slot_that_another_moved_stops, setup, teardown),
        cmocka_unit_test_setup_teardown(a_slot_of_another_kind_is_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(a_slot_in_use_is_waited_for, setup, teardown),
        cmocka_unit_test_setup_teardown(a_slot_without_a_position_needs_to_be_told_where, setup,
                                        teardown),
        cmocka_unit_test(synchronous_names_are_read_as_the_server_reads_them),
        cmocka_unit_test(old_minor_versions_are_told),
        cmocka_unit_test(server_settings_are_judged),
        cmocka_unit_test(a_long_refusal_keeps_its_beginning),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
