/*
 * What one target has accepted, kept in a small file in the folder of the batch files:
 * `.commitrelay/<pipeline>.upload.<target>`. It is written anew, durably, after each file that was
 * accepted. If the relay dies before that, the file is sent once more under the same name and with
 * the same bytes.
 *
 * One thread at a time: the one that starts the targets, then the target's own. The functions may
 * wait for the disk.
 */
#pragma once

#include "sink/file/upload/batch.h"

/* A batch that was accepted and that the receiver has not confirmed yet (`acknowledge`). */
struct upload_open {
    struct upload_batch batch;
    int64_t sent_us; /* when it was sent last (wall clock) */
};

struct upload_record {
    struct upload_mark accepted; /* the newest accepted batch; all before it are, too. 0, 0: none */
    char temp[FILE_NAME_SIZE];   /* SFTP: a temporary file that may lie at the target; "": none */
    struct buf open;             /* of struct upload_open, the oldest first */
};

/* More are never open: nothing new is sent until one is confirmed. */
enum { UPLOAD_OPEN_MAX = 1000 };

void upload_record_release(struct upload_record *r);

/* Reads the record into *ret, which holds nothing before. It is all zero if there is none.
 * FATAL/69 if it is damaged; else as file_dir_error says. */
int upload_record_read(const struct file_dir *d, const char *target, struct upload_record *ret,
                       struct error *err) MUST_CHECK;

/* Writes it durably. Errors as file_dir_error says. */
int upload_record_write(const struct file_dir *d, const char *target, const struct upload_record *r,
                        struct error *err) MUST_CHECK;
