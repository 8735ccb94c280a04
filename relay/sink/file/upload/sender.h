/*
 * Hands one complete batch over to one target: first its manifest, then the file, as they get their
 * names locally. A repetition has the same names and bytes.
 *
 * It waits for the network, so only a thread of its own (target.h) or a command uses it.
 */
#pragma once

#include "sink/file/upload/batch.h"
#include "sink/file/upload/conf.h"
#include "sink/file/upload/wait.h"

struct upload_sender;

/* What it sends to: an upload, or the command of on_complete. Borrowed. */
struct upload_to {
    const struct upload_conf *upload; /* NULL: the command */
    const struct conf_list *command;
    bool manifests; /* an upload sends no file without its manifest */
};

/* SFTP: the name of a temporary file that may lie at the target. `keep` writes it down durably
 * before it is used, so that after a kill it can be removed; NULL: it is not written down, and
 * removed at once if the file cannot be sent. */
struct upload_temp {
    char *name; /* FILE_NAME_SIZE bytes, "": none */
    int (*keep)(void *ctx, struct error *err);
    void *ctx;
};

/* `d` and `wait` are borrowed. CONFIG for a wrong address. */
int upload_sender_new(struct upload_to to, const struct file_dir *d, struct upload_wait *wait,
                      struct upload_sender **ret, struct error *err) MUST_CHECK;
void upload_sender_free(struct upload_sender *s);

/* The code of an error for which not the target is to blame: the local file or its manifest is not
 * there any more, or is not what it was. */
#define UPLOAD_NOT_HERE "not_here"

/* DONE: the target has file and manifest. ERROR: RETRY or CONFIG, as transfer.h and command.h say;
 * or as file_dir_error says if the local file cannot be read; CONFIG with the code UPLOAD_NOT_HERE.
 */
int upload_sender_send(struct upload_sender *s, const struct upload_batch *b,
                       struct upload_temp *temp, struct error *err) MUST_CHECK;

/* Has the receiver put a file beside the batch whose name is its name with acknowledge.suffix? */
int upload_sender_acknowledged(struct upload_sender *s, const struct upload_batch *b, bool *ret,
                               struct error *err) MUST_CHECK;
