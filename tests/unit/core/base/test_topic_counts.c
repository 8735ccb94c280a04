/* Each topic has its own count, the number of topics is bounded, and labels stay labels. */
#include "unit.h"

#include "base/topic_counts.h"
#include <stdio.h>

static void count(struct topic_counts *t, const char *topic, size_t times)
{
    for (size_t i = 0; i < times; i++) {
        topic_counts_add(t, slice_from(topic));
    }
}

static void expect_line(const struct buf *out, const char *line, bool there)
{
    if (!strstr(buf_str(out), line) == there) {
        fail_msg("%s should %sbe in\n%s", line, there ? "" : "not ", buf_str(out));
    }
}

static void each_topic_has_its_count(void **state)
{
    (void)state;
    CLEANUP(buf_release) struct buf out = {0};
    struct topic_counts *t = topic_counts_new();
    count(t, "orders", 3);
    count(t, "bills", 1);
    count(t, "orders", 2);
    count(t, "order", 1);
    topic_counts_write(t, "m", "pipeline=\"shop\"", &out);
    expect_line(&out, "m{pipeline=\"shop\",topic=\"orders\"} 5\n", true);
    expect_line(&out, "m{pipeline=\"shop\",topic=\"bills\"} 1\n", true);
    expect_line(&out, "m{pipeline=\"shop\",topic=\"order\"} 1\n", true);
    expect_line(&out, "topic=\"\"", false);
    topic_counts_free(t);
}

static void their_number_is_bounded(void **state)
{
    (void)state;
    CLEANUP(buf_release) struct buf out = {0};
    struct topic_counts *t = topic_counts_new();
    char topic[600];
    for (int i = 0; i < TOPIC_COUNTS_MAX + 50; i++) {
        snprintf(topic, sizeof topic, "tenant-%d-with-the-same-end-for-all", i);
        count(t, topic, 2);
    }
    topic_counts_write(t, "m", "pipeline=\"p\"", &out);
    expect_line(&out, "m{pipeline=\"p\",topic=\"tenant-99-with-the-same-end-for-all\"} 2\n", true);
    expect_line(&out, "tenant-100-with", false);
    expect_line(&out, "m{pipeline=\"p\",topic=\"\"} 100\n", true);
    topic_counts_free(t);

    t = topic_counts_new(); /* one that is too long for a label counts as one of the others */
    memset(topic, 'x', sizeof topic - 1);
    topic[sizeof topic - 1] = '\0';
    count(t, topic, 1);
    buf_clear(&out);
    topic_counts_write(t, "m", "pipeline=\"p\"", &out);
    assert_string_equal(buf_str(&out), "m{pipeline=\"p\",topic=\"\"} 1\n");
    topic_counts_free(t);
}

static void a_label_cannot_be_left(void **state)
{
    (void)state;
    CLEANUP(buf_release) struct buf out = {0};
    struct topic_counts *t = topic_counts_new();
    count(t, "a\"} 1\nevil{\\", 1);
    topic_counts_write(t, "m", "pipeline=\"p\"", &out);
    assert_string_equal(buf_str(&out), "m{pipeline=\"p\",topic=\"a\\\"} 1\\nevil{\\\\\"} 1\n");
    buf_clear(&out);
    topic_counts_write(NULL, "m", "pipeline=\"p\"", &out);
    assert_int_equal(out.len, 0);
    topic_counts_free(t);
    topic_counts_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(each_topic_has_its_count),
                                       cmocka_unit_test(their_number_is_bounded),
                                       cmocka_unit_test(a_label_cannot_be_left)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
