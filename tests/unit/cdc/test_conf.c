/* Keys that would mean nothing together. */
#include "unit.h"

#include "cdc/conf.h"
#include <string.h>

static struct cdc_conf plain(int as)
{
    return (struct cdc_conf){
        .as = as,
        .start_from = (char *)"beginning",
        .table = (char *)"outbox",
        .columns = {(char *)"id", (char *)"aggregatetype", (char *)"aggregateid", (char *)"type",
                    (char *)"payload", (char *)"headers", (char *)"created_at", (char *)"seq",
                    (char *)"xid", false, false},
    };
}

static void assert_refused(const struct cdc_conf *c, const char *why)
{
    struct error err = {0};
    assert_int_equal(cdc_conf_refuse(c, &err), RESULT_ERROR);
    assert_int_equal(err.class, ERROR_CONFIG);
    assert_non_null(strstr(err.text, why));
}

static void what_means_nothing_is_refused(void **state UNUSED)
{
    struct error err;
    struct cdc_conf changes = plain(CDC_AS_CHANGES), outbox = plain(CDC_AS_OUTBOX);
    assert_int_equal(cdc_conf_refuse(&changes, &err), RESULT_DONE);
    assert_int_equal(cdc_conf_refuse(&outbox, &err), RESULT_DONE);

    struct cdc_conf c = changes;
    c.table = (char *)"events";
    assert_refused(&c, "source.table means nothing with `as: changes`");
    c = changes;
    c.columns.payload = (char *)"body";
    assert_refused(&c, "source.columns means nothing with `as: changes`");
    c = changes;
    c.create_publication = true;
    assert_refused(&c, "needs source.tables");
    char *patterns[] = {(char *)"public.a", (char *)"re:public\\..*"};
    c.tables = (struct conf_list){.items = patterns, .count = 2};
    assert_refused(&c, "source.tables has the pattern \"re:public\\..*\"");
    c.tables.count = 1;
    assert_int_equal(cdc_conf_refuse(&c, &err), RESULT_DONE);
    c = changes;
    c.streaming = true;
    c.messages.count = 1;
    assert_refused(&c, "source.messages cannot be had with streaming: true");

    struct conf_pair where[] = {{(char *)"public.a", (char *)"id > 7"}};
    c = changes;
    c.snapshot_where = (struct conf_map){where, 1};
    assert_int_equal(cdc_conf_refuse(&c, &err), RESULT_DONE);
    c.snapshot = CDC_SNAPSHOT_NEVER;
    c.snapshot_given = true;
    assert_refused(&c, "source.snapshot_where means nothing with `snapshot: never`");
    where[0].value = (char *)"";
    assert_refused(&c, "source.snapshot_where has no condition for public.a");
    c = outbox;
    c.snapshot_where = (struct conf_map){where, 1};
    assert_refused(&c, "source.snapshot_where means nothing with `as: outbox`");

    c = changes;
    c.on_lost_slot = CDC_LOST_RESNAPSHOT;
    assert_int_equal(cdc_conf_refuse(&c, &err), RESULT_DONE);
    c.snapshot = CDC_SNAPSHOT_NEVER;
    c.snapshot_given = true;
    assert_refused(&c, "source.on_lost_slot: resnapshot means nothing with `snapshot: never`: a");
    c = outbox;
    c.on_lost_slot = CDC_LOST_RESNAPSHOT;
    assert_refused(&c, "`snapshot: never` (the default with `as: outbox`)");
    c.snapshot = CDC_SNAPSHOT_INITIAL;
    c.snapshot_given = true;
    assert_int_equal(cdc_conf_refuse(&c, &err), RESULT_DONE);

    c = outbox;
    c.tables.count = 1;
    assert_refused(&c, "source.tables means nothing with `as: outbox`");
    c = outbox;
    c.unchanged_toast_given = true;
    assert_refused(&c, "source.unchanged_toast means nothing with `as: outbox`");
    c = outbox;
    c.signal_table = (char[]){"public.signal"};
    assert_refused(&c, "source.signal_table means nothing with `as: outbox`");
    c = outbox;
    c.snapshot = CDC_SNAPSHOT_ALWAYS;
    assert_refused(&c, "source.snapshot: always means nothing with `as: outbox`");
}

static void the_snapshot_follows_what_is_read(void **state UNUSED)
{
    struct cdc_conf c = plain(CDC_AS_OUTBOX);
    assert_int_equal(cdc_conf_snapshot(&c), CDC_SNAPSHOT_NEVER);
    c.as = CDC_AS_CHANGES;
    assert_int_equal(cdc_conf_snapshot(&c), CDC_SNAPSHOT_INITIAL);
    c.snapshot = CDC_SNAPSHOT_ALWAYS;
    c.snapshot_given = true;
    assert_int_equal(cdc_conf_snapshot(&c), CDC_SNAPSHOT_ALWAYS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_means_nothing_is_refused),
        cmocka_unit_test(the_snapshot_follows_what_is_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
