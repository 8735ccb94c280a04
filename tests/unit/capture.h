/*
 * What is written to stderr between capture_begin and capture_end. Nobody reads meanwhile, so a log
 * that is longer than a pipe holds is cut.
 */
#pragma once

#include "unit.h"

#include <fcntl.h>
#include <unistd.h>

struct capture {
    int saved, read_end;
    char text[65536]; /* as much as a pipe holds */
};

static inline void capture_begin(struct capture *c)
{
    int ends[2];
    assert_int_equal(pipe2(ends, O_NONBLOCK), 0);
    c->saved = dup(STDERR_FILENO);
    dup2(ends[1], STDERR_FILENO);
    close(ends[1]);
    c->read_end = ends[0];
}

static inline const char *capture_end(struct capture *c)
{
    dup2(c->saved, STDERR_FILENO);
    close(c->saved);
    ssize_t n = read(c->read_end, c->text, sizeof c->text - 1);
    c->text[n < 0 ? 0 : n] = '\0';
    close(c->read_end);
    return c->text;
}
