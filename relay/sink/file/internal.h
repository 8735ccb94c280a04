/*
 * The state of the sink file, for file.c, which writes, and asked.c, which only looks. Private to
 * this folder; the pipeline's thread, or that of a command.
 */
#pragma once

#include "sink/file/commit.h"
#include "sink/file/conf.h"
#include "sink/file/quiet.h"
#include "sink/file/read_back.h"
#include "sink/file/recover.h"
#include "sink/file/schedule.h"
#include "sink/file/space.h"
#include "sink/file/tokens.h"
#include "sink/file/upload/uploads.h"

enum file_state {
    STATE_DOWN,       /* not started, or failed: start makes it ready */
    STATE_FILLING,    /* takes events; the first one makes the file */
    STATE_COMMITTING, /* the worker uses writer and intent */
    STATE_REPORTING,  /* the file is in place; tokens are being reported */
    STATE_QUIET,      /* the worker serves a time of the schedule; nothing was put */
};

struct file_sink {
    const struct file_conf *conf;
    struct file_format format;
    struct file_dir dir;
    struct file_writer writer;
    struct worker *worker; /* made by the first `start` */
    enum file_state state;
    bool full;
    int64_t put_us;                    /* when `put` was called last (monotonic) */
    uint64_t next_number, placed_last; /* placed_last: last number of the newest batch in place */
    int64_t begun_us;
    struct file_tokens tokens; /* of the events in the file */
    struct buf record;         /* the event being formatted */
    struct file_intent intent;
    struct file_seal seal;
    struct file_chain chain;
    struct file_schedule schedule;
    struct file_quiet quiet;
    struct file_space space;
    unsigned disk_failures;
    struct file_read_back back;
    struct file_uploads *uploads; /* NULL: none */
    struct file_commit job;
};

/* asked.c: as the functions of the same purpose in sink_ops say. */
size_t file_targets(void *sink, struct sink_target out[SINK_TARGETS_MAX]);
int file_resend(void *sink, const struct sink_resend *what, size_t *ret_files, struct error *err);
int file_healthy(void *sink, struct error *err);
int file_read(void *sink, const struct sink_reading *r, struct error *err);
int file_payload(void *sink, const struct event *e, struct buf *out, struct error *err);
int file_check(void *sink, finding_report *report, void *ctx, struct error *err);
