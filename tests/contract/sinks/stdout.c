/* The stdout sink, into a pipe. */
#include "../../unit/unit.h"

#include "../sink_fixture.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

struct pipe_end {
    int saved, fds[2];
    struct buf text;
    size_t used;
};

static void stdout_up(struct rig *r)
{
    struct pipe_end *p = calloc(1, sizeof *p);
    assert_non_null(p);
    r->own = p;
    rig_conf_new(r);
    fflush(stdout);
    p->saved = dup(STDOUT_FILENO);
    assert_int_equal(pipe2(p->fds, O_CLOEXEC), 0);
    assert_true(fcntl(p->fds[0], F_SETFL, O_NONBLOCK) == 0);
    assert_true(dup2(p->fds[1], STDOUT_FILENO) >= 0);
}

static void stdout_down(struct rig *r)
{
    struct pipe_end *p = r->own;
    dup2(p->saved, STDOUT_FILENO);
    close(p->saved);
    close(p->fds[0]);
    close(p->fds[1]);
    buf_release(&p->text);
    free(p);
}

static void stdout_look(struct rig *r)
{
    struct pipe_end *p = r->own;
    char bytes[65536];
    for (ssize_t n; (n = read(p->fds[0], bytes, sizeof bytes)) > 0;) {
        buf_add(&p->text, bytes, (size_t)n);
    }
    p->used += rig_read_lines(r, buf_str(&p->text) + p->used, p->text.len - p->used);
}

static void stdout_narrow(struct rig *r)
{
    struct pipe_end *p = r->own;
    assert_true(fcntl(p->fds[1], F_SETPIPE_SZ, 4096) >= 4096);
}

const struct sink_kind sink_kind_stdout = {
    .up = stdout_up,
    .down = stdout_down,
    .look = stdout_look,
    .narrow = stdout_narrow,
    .spoil = rig_not_json,
};
