/* The file sink: complete batches are what a reader may see. */
#include "../../unit/unit.h"

#include "../plugin_conf.h"
#include "../sink_fixture.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void file_up(struct rig *r)
{
    char dir[] = "/tmp/commitrelay-files-XXXXXX";
    assert_non_null(mkdtemp(dir));
    snprintf(r->where, sizeof r->where, "%s", dir);
    rig_conf_new(r);
    plugin_conf_text(r->ops->keys, r->conf, "dir", r->where);
}

static void file_down(struct rig *r)
{
    char command[160];
    snprintf(command, sizeof command, "rm -rf '%s'", r->where);
    assert_int_equal(system(command), 0);
}

static int is_batch(const struct dirent *d)
{
    const char *dot = strrchr(d->d_name, '.');
    return d->d_name[0] != '.' && dot && strcmp(dot, ".jsonl") == 0;
}

/* Complete batches only, anew each time: by name they are in the order of delivery. */
static void file_look(struct rig *r)
{
    struct dirent **names;
    int n = scandir(r->where, &names, is_batch, alphasort);
    assert_true(n >= 0);
    r->saw_count = 0;
    for (int i = 0; i < n; i++) {
        char path[512], bytes[65536];
        CLEANUP(buf_release) struct buf content = {0};
        snprintf(path, sizeof path, "%s/%s", r->where, names[i]->d_name);
        FILE *f = fopen(path, "re");
        assert_non_null(f);
        for (size_t got; (got = fread(bytes, 1, sizeof bytes, f)) > 0;) {
            buf_add(&content, bytes, got);
        }
        fclose(f);
        assert_int_equal(rig_read_lines(r, buf_str(&content), content.len), content.len);
        free(names[i]);
    }
    free(names);
}

static void file_narrow(struct rig *r)
{
    plugin_conf_number(r->ops->keys, r->conf, "rotate.events", 10);
}

const struct sink_kind sink_kind_file = {
    .commits = true,
    .up = file_up,
    .down = file_down,
    .look = file_look,
    .narrow = file_narrow,
    .spoil = rig_not_json,
};
