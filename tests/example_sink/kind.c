/* What the contract tests need to know of the example: where it writes, and how that is read. */
#include "../unit/unit.h"

#include "../contract/plugin_conf.h"
#include "../contract/sink_fixture.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static void example_up(struct rig *r)
{
    snprintf(r->where, sizeof r->where, "/tmp/commitrelay-example-XXXXXX");
    int fd = mkstemp(r->where);
    assert_true(fd >= 0);
    close(fd);
    rig_conf_new(r);
    plugin_conf_text(r->ops->keys, r->conf, "path", r->where);
}

static void example_down(struct rig *r)
{
    assert_int_equal(unlink(r->where), 0);
}

/* All that is there, anew each time. */
static void example_look(struct rig *r)
{
    char bytes[65536];
    CLEANUP(buf_release) struct buf text = {0};
    FILE *f = fopen(r->where, "re");
    assert_non_null(f);
    for (size_t n; (n = fread(bytes, 1, sizeof bytes, f)) > 0;) {
        buf_add(&text, bytes, n);
    }
    fclose(f);
    r->saw_count = 0;
    (void)rig_read_lines(r, buf_str(&text), text.len);
}

static void example_narrow(struct rig *r)
{
    plugin_conf_number(r->ops->keys, r->conf, "events", 10);
}

const struct sink_kind sink_kind_example = {
    .up = example_up,
    .down = example_down,
    .look = example_look,
    .narrow = example_narrow,
    .spoil = rig_not_json,
};
