/* One line is one write, whole or not at all, and a reader that has stopped never blocks the
 * writer. */
#include "capture.h"

#include "base/log.h"
#include "base/utf8.h"
#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>

static void logfmt_line(void **state)
{
    (void)state;
    struct capture c;
    log_configure(LOG_INFO, LOG_LOGFMT);
    capture_begin(&c);
    log_write(LOG_WARN, "orders", "said \"%s\"\n\tand \\ \x7f \xff ä", "no");
    const char *line = capture_end(&c);
    assert_memory_equal(line, "ts=2", 4);
    assert_non_null(strstr(line, "Z level=warn pipeline=orders msg=\"said \\\"no\\\"\\n\\u0009and "
                                 "\\\\ \\u007f \\ufffd ä\"\n"));
}

static void json_line(void **state)
{
    (void)state;
    struct capture c;
    struct error err;
    error_errno(&err, "file", ENOSPC, "cannot write \"%s\" \xc3", "a\nb");
    log_configure(LOG_INFO, LOG_JSON);
    capture_begin(&c);
    log_error(LOG_ERROR, NULL, "saving", &err);
    const char *line = capture_end(&c);
    assert_memory_equal(line, "{\"ts\":\"2", 8);
    assert_non_null(strstr(line,
                           "Z\",\"level\":\"error\",\"msg\":\"saving: cannot write \\\"a\\\\nb\\\" "
                           "?: No space left on device\",\"class\":\"retry\","
                           "\"origin\":\"file\",\"code\":\"ENOSPC\"}\n"));
}

static const char TRACE[] = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

static void a_line_about_an_event_has_its_trace(void **state)
{
    (void)state;
    struct capture c;
    struct error err;
    error_set(&err, ERROR_POISON, "kafka", "too large");
    log_configure(LOG_INFO, LOG_LOGFMT);
    capture_begin(&c);
    log_write_traced(LOG_WARN, "orders", TRACE, "event %d", 1);
    log_error_traced(LOG_WARN, "orders", TRACE, "event", &err);
    log_write_traced(LOG_WARN, "orders", "", "without");
    const char *text = capture_end(&c);
    char line[160];
    snprintf(line, sizeof line, "pipeline=orders msg=\"event 1\" traceparent=%s\n", TRACE);
    assert_non_null(strstr(text, line));
    snprintf(line, sizeof line, "class=poison origin=kafka traceparent=%s\n", TRACE);
    assert_non_null(strstr(text, line));
    assert_non_null(strstr(text, "msg=\"without\"\n"));
}

/* The type of a field in the schema's list; fails if it is none. */
static void type_in_the_schema(const char *name, char out[32])
{
    char line[256], field[128];
    FILE *list = fopen(GOLDEN_DIR "/ecs/fields.csv", "r");
    assert_non_null(list);
    snprintf(field, sizeof field, "%.*s", strncmp(name, "labels.", 7) ? 127 : 6, name);
    while (fgets(line, sizeof line, list)) {
        char *comma = strchr(line, ',');
        if (comma && line[0] != '#' && strlen(field) == (size_t)(comma - line) &&
            strncmp(line, field, strlen(field)) == 0) {
            snprintf(out, 32, "%.*s", (int)strcspn(comma + 1, "\n"), comma + 1);
            fclose(list);
            return;
        }
    }
    fclose(list);
    fail_msg("%s is no field of the schema", name);
}

static void check_schema(const json_t *line)
{
    const char *name;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)line, name, value)
    {
        char type[32];
        type_in_the_schema(name, type);
        if (strcmp(type, "long") == 0 ? !json_is_integer(value) : !json_is_string(value)) {
            fail_msg("%s is not of type %s", name, type);
        }
    }
}

static const char *member(const json_t *line, const char *name)
{
    const char *text = json_string_value(json_object_get(line, name));
    return text ? text : "(none)";
}

/* Two lines with all the fields there are: each is one of the schema, and of its type. */
static void ecs_lines_have_the_fields_of_the_schema(void **state)
{
    (void)state;
    struct capture c;
    struct error err;
    error_errno(&err, "file", ENOSPC, "cannot write");
    log_configure(LOG_INFO, LOG_ECS);
    capture_begin(&c);
    log_error_traced(LOG_ERROR, "orders", TRACE, "saving", &err);
    log_write(LOG_INFO, NULL, "said \"no\"\n");
    const char *text = capture_end(&c), *second = strchr(text, '\n') + 1;
    json_t *full = json_loads(text, JSON_DISABLE_EOF_CHECK, NULL);
    json_t *plain = json_loads(second, 0, NULL);
    assert_non_null(full);
    assert_non_null(plain);
    check_schema(full);
    check_schema(plain);
    assert_int_equal(json_object_size(full), 14);
    assert_string_equal(member(full, "log.level"), "error");
    assert_string_equal(member(full, "labels.pipeline"), "orders");
    assert_string_equal(member(full, "message"), "saving: cannot write: No space left on device");
    assert_string_equal(member(full, "error.type"), "retry");
    assert_string_equal(member(full, "log.logger"), "file");
    assert_string_equal(member(full, "error.code"), "ENOSPC");
    assert_string_equal(member(full, "trace.id"), "4bf92f3577b34da6a3ce929d0e0e4736");
    assert_string_equal(member(full, "span.id"), "00f067aa0ba902b7");
    assert_string_equal(member(full, "service.name"), "commitrelay");
    assert_int_equal(json_integer_value(json_object_get(full, "process.pid")), getpid());
    assert_string_equal(member(plain, "message"), "said \"no\"\n");
    assert_null(json_object_get(plain, "labels.pipeline"));
    assert_null(json_object_get(plain, "trace.id"));
    json_decref(full);
    json_decref(plain);
}

static void level_is_kept(void **state)
{
    (void)state;
    struct capture c;
    struct error err;
    error_set(&err, ERROR_RETRY, "test", "x");
    log_configure(LOG_WARN, LOG_LOGFMT);
    capture_begin(&c);
    log_write(LOG_INFO, NULL, "not this");
    log_error(LOG_DEBUG, NULL, "nor", &err);
    assert_string_equal(capture_end(&c), "");
}

/* Text that grows sixfold when escaped still gives one line that parses and that a pipe takes at
 * once. */
static void long_lines_stay_whole(void **state)
{
    (void)state;
    char text[2000];
    memset(text, 1, sizeof text);
    text[sizeof text - 1] = '\0';
    struct capture c;
    log_configure(LOG_INFO, LOG_ECS); /* the longest of the formats */
    capture_begin(&c);
    log_write_traced(LOG_INFO, "orders", TRACE, "%s", text);
    const char *line = capture_end(&c);
    assert_true(strlen(line) <= 4096);
    assert_non_null(strstr(line, "\\u0001...\","));
    assert_non_null(strstr(line, "}\n"));
}

static void a_full_pipe_drops_and_counts(void **state)
{
    (void)state;
    struct capture c;
    log_configure(LOG_INFO, LOG_LOGFMT);
    uint64_t before = log_dropped();
    capture_begin(&c);
    for (int i = 0; i < 5000; i++) { /* far more than the 64 KiB of a pipe */
        log_write(LOG_INFO, NULL, "line %d", i);
    }
    capture_end(&c);
    uint64_t lost = log_dropped() - before;
    assert_true(lost > 0);
    log_write(LOG_DEBUG, NULL, "not counted");

    char gap[64];
    snprintf(gap, sizeof gap, "level=warn msg=\"%" PRIu64 " log lines are missing here", lost);
    capture_begin(&c);
    log_write(LOG_INFO, NULL, "behind the gap");
    const char *text = capture_end(&c);
    assert_non_null(strstr(text, gap));
    assert_true(strstr(text, "behind the gap") > strstr(text, gap));
    capture_begin(&c);
    log_write(LOG_INFO, NULL, "and later");
    assert_null(strstr(capture_end(&c), "missing"));
}

static void utf8_is_strict(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        bool valid;
    } cases[] = {
        {"", true},
        {"abc", true},
        {"\xc3\xa4", true},
        {"\xe2\x82\xac", true},
        {"\xf0\x9f\x98\x80", true},
        {"\xf4\x8f\xbf\xbf", true},
        {"\xed\x9f\xbf", true},
        {"\xee\x80\x80", true},
        {"\x80", false},
        {"\xc3", false},
        {"\xc3(", false},
        {"\xc0\x80", false},
        {"\xc1\xbf", false},
        {"\xe0\x9f\xbf", false},
        {"\xed\xa0\x80", false},
        {"\xf0\x8f\xbf\xbf", false},
        {"\xf4\x90\x80\x80", false},
        {"\xf5\x80\x80\x80", false},
        {"\xe2\x82", false},
        {"\xff", false},
        {"a\xe2\x82(", false},
        {"\xf0\x9f\x98", false},
        {"\xf0\x9f\x98(", false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        if (utf8_valid(slice_from(cases[i].text)) != cases[i].valid) {
            fail_msg("case %zu", i);
        }
    }
    for (uint32_t c = 0; c <= 0x10FFFF; c += c == 0xD7FF ? 0x801 : 1) {
        char out[4];
        size_t n = utf8_put(out, c);
        assert_int_equal(utf8_sequence(out, out + n), n);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(logfmt_line),
        cmocka_unit_test(json_line),
        cmocka_unit_test(a_line_about_an_event_has_its_trace),
        cmocka_unit_test(ecs_lines_have_the_fields_of_the_schema),
        cmocka_unit_test(level_is_kept),
        cmocka_unit_test(long_lines_stay_whole),
        cmocka_unit_test(a_full_pipe_drops_and_counts),
        cmocka_unit_test(utf8_is_strict),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
