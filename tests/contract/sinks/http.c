/* The HTTP sink, to a receiver that run.py starts. It writes the events of each path to a file of
 * this name, before it answers. */
#include "../../unit/unit.h"

#include "../plugin_conf.h"
#include "../sink_fixture.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

struct receiver {
    char url[256], file[256];
    struct buf text;
    size_t read, used;
};

/* Each event in a request of its own. */
static void single_up(struct rig *r)
{
    static int cases;
    const char *url = getenv("COMMITRELAY_TEST_HTTP"), *dir = getenv("COMMITRELAY_TEST_HTTP_DIR");
    struct receiver *own = calloc(1, sizeof *own);
    if (!url || !dir || !own) {
        fail_msg("COMMITRELAY_TEST_HTTP and _DIR must name a receiver for tests");
    }
    r->own = own;
    snprintf(r->where, sizeof r->where, "contract-%d", ++cases);
    snprintf(own->url, sizeof own->url, "%s/%s", url, r->where);
    snprintf(own->file, sizeof own->file, "%s/%s", dir, r->where);
    rig_conf_new(r);
    plugin_conf_text(r->ops->keys, r->conf, "url", own->url);
}

static void http_up(struct rig *r)
{
    single_up(r);
    plugin_conf_number(r->ops->keys, r->conf, "batch.events", 20);
    plugin_conf_text(r->ops->keys, r->conf, "batch_format", "lines");
}

static void http_down(struct rig *r)
{
    struct receiver *own = r->own;
    buf_release(&own->text);
    free(own);
}

static void http_look(struct rig *r)
{
    struct receiver *own = r->own;
    char bytes[65536];
    int fd = open(own->file, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return; /* nothing came yet */
    }
    for (ssize_t n; (n = pread(fd, bytes, sizeof bytes, (off_t)own->read)) > 0;) {
        buf_add(&own->text, bytes, (size_t)n);
        own->read += (size_t)n;
    }
    close(fd);
    own->used += rig_read_lines(r, buf_str(&own->text) + own->used, own->text.len - own->used);
}

static void http_narrow(struct rig *r)
{
    r->env.max_in_flight = 50;
}

static void bad_header(struct rig *r, struct event *e)
{
    struct header *h = arena_array(&r->batch->arena, 1, sizeof *h);
    *h = (struct header){SLICE_LITERAL("Host"), SLICE_LITERAL("elsewhere.example")};
    e->out_headers = h;
    e->out_headers_count = 1;
}

static const struct sink_kind single = {
    .up = single_up,
    .down = http_down,
    .look = http_look,
    .narrow = http_narrow,
    .spoil = bad_header,
};

const struct sink_kind sink_kind_http = {
    .other = &single,
    .up = http_up,
    .down = http_down,
    .look = http_look,
    .narrow = http_narrow,
    .spoil = bad_header,
};
