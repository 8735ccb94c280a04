/*
 * A child process with pipes, in a process group of its own. One thread.
 */
#pragma once

#include "base/error.h"
#include "config/conf_key.h"
#include <sys/types.h>

struct process {
    pid_t pid; /* 0: none */
    int in;    /* to its stdin, non-blocking; -1: closed */
    int out;   /* from its stdout, non-blocking; -1: its stdout is our stderr */
    int end;   /* a pidfd, readable at its end */
};

/* Starts it. `id`: for COMMITRELAY_EVENT_ID; NULL: none. answers: its stdout is p->out. CONFIG: it
 * cannot be started; RETRY: there is no descriptor or process left. */
int process_start(struct process *p, const struct conf_list *argv, const char *id, bool answers,
                  struct error *err) MUST_CHECK;
/* Takes its end: as of waitpid. After p->end was readable. */
int process_take_end(struct process *p);
/* Kills its group, if it runs, and closes what is open. */
void process_kill(struct process *p);
/* The same; returns its end, which may have come before. */
int process_kill_end(struct process *p);
