/* What the operator is told of an order that a command carries out itself, because no relay runs.
 */
#include "capture.h"

#include "cli/kit/order.h"
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* A store that cannot be started, and perhaps not be written to either. */
static struct {
    char answer[200]; /* to the order; "" while there is none */
    bool broken;      /* control_answer fails */
    bool unstartable; /* nothing may be done */
} fake;

static int fake_observe(void *store, struct store_position *ret, struct error *err)
{
    (void)store, (void)ret, (void)err;
    return RESULT_DONE;
}

static int fake_start(void *store, struct store_position *ret, struct error *err)
{
    (void)store, (void)ret;
    assert_false(fake.unstartable);
    return error_set(err, ERROR_CONFIG, "store", "the disk is on fire");
}

static int fake_put(void *store, enum store_command command, const char *argument, const char *who,
                    int64_t *ret_id, struct error *err)
{
    char me[AUDIT_WHO_SIZE];
    (void)store, (void)command, (void)argument, (void)err;
    audit_who(getuid(), me);
    assert_string_equal(who, me);
    *ret_id = 7;
    return RESULT_DONE;
}

static int fake_look(void *store, int64_t id, struct store_control *ret, struct error *err)
{
    (void)store, (void)err;
    *ret = (struct store_control){.id = id};
    return RESULT_DONE;
}

static int fake_answer(void *store, int64_t id, const char *answer, struct error *err)
{
    (void)store;
    assert_int_equal(id, 7);
    if (fake.broken) {
        return error_set(err, ERROR_RETRY, "store", "and the door is locked");
    }
    snprintf(fake.answer, sizeof fake.answer, "%s", answer);
    return RESULT_DONE;
}

static int never(void *ctx, struct cli_store *s, struct store_position *at, struct cli_audit *audit,
                 struct error *err)
{
    (void)ctx, (void)s, (void)at, (void)audit, (void)err;
    fail(); /* the store was not started */
    return RESULT_ERROR;
}

/* Gives an order. Returns what is said of it on stderr. */
static const char *give_one(struct capture *c, const struct order *order, int wanted)
{
    static const struct store_ops ops = {.observe = fake_observe,
                                         .start = fake_start,
                                         .control_put = fake_put,
                                         .control_look = fake_look,
                                         .control_answer = fake_answer};
    const struct found_relay nobody = {0};
    struct cli_store s = {.ops = &ops, .env = {.pipeline = "p", .part = ""}};
    buf_add_str(&s.shown, "the store");
    capture_begin(c);
    int exit_code = order_give(order, &s, &nobody);
    const char *said = capture_end(c);
    assert_int_equal(exit_code, wanted);
    buf_release(&s.shown);
    return said;
}

static const char *give_with(struct capture *c, char *audit_path, int wanted)
{
    const struct config config = {.audit.path = audit_path};
    const struct order pause = {.config = &config,
                                .command = STORE_PAUSE,
                                .argument = "",
                                .apply = never,
                                .done = "paused"};
    return give_one(c, &pause, wanted);
}

static const char *give(struct capture *c)
{
    static char none[] = "";
    const char *said = give_with(c, none, EXIT_CODE_CONFIG);
    assert_non_null(strstr(said, "the disk is on fire"));
    return said;
}

static int fresh(void **state)
{
    (void)state;
    memset(&fake, 0, sizeof fake);
    return 0;
}

static void an_order_that_failed_is_withdrawn(void **state)
{
    (void)state;
    struct capture c;
    assert_null(strstr(give(&c), "warning"));
    assert_string_equal(fake.answer, "refused: the disk is on fire");
}

static void an_order_that_cannot_be_withdrawn_is_told(void **state)
{
    (void)state;
    struct capture c;
    fake.broken = true;
    const char *said = give(&c);
    assert_non_null(strstr(said, "the order stays in the store"));
    assert_non_null(strstr(said, "and the door is locked"));
}

static void an_act_that_cannot_be_noted_is_refused(void **state)
{
    (void)state;
    struct capture c;
    static char path[] = "/nowhere/at/all/audit.log";
    fake.unstartable = true;
    const char *said = give_with(&c, path, EXIT_CODE_IO);
    assert_non_null(strstr(said, path));
    assert_non_null(strstr(said, "No such file or directory"));
    assert_non_null(strstr(fake.answer, "refused: nothing was done"));
}

static void an_order_for_a_relay_only_stays_in_the_store(void **state)
{
    (void)state;
    struct capture c;
    const struct order snapshot = {
        .command = STORE_SNAPSHOT, .argument = "{}", .done = "the next one obeys"};
    fake.unstartable = true;
    assert_string_equal(give_one(&c, &snapshot, 0), "");
    assert_string_equal(fake.answer, "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(an_order_that_failed_is_withdrawn, fresh),
        cmocka_unit_test_setup(an_order_that_cannot_be_withdrawn_is_told, fresh),
        cmocka_unit_test_setup(an_act_that_cannot_be_noted_is_refused, fresh),
        cmocka_unit_test_setup(an_order_for_a_relay_only_stays_in_the_store, fresh),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
