/*
 * Sends one file to a target through libcurl, or compares one that lies there. A transfer waits for
 * the network, so only a thread of its own (target.h) or a command calls it. One thread at a time.
 *
 * Certificates and host keys are always verified; nothing turns that off.
 *
 * Errors, whose texts name the target and the remedy: RETRY for what may pass by itself (no
 * connection, a server that is busy or full), with retry_after_us if the server named a time;
 * CONFIG for what somebody has to change (a wrong password, an unknown host key or certificate, a
 * missing directory). No text holds a password.
 */
#pragma once

#include "sink/file/digest.h"
#include "sink/file/upload/conf.h"
#include "sink/file/upload/wait.h"

struct upload_file {
    const char *name; /* at the target */
    const char *type; /* its media type */
    int fd;           /* of the local file */
    uint64_t bytes;
    char sha256[FILE_DIGEST_SIZE];
};

struct upload_transfer;

/* Allocates. `c`, `at` and `wait` are borrowed and outlive it. A transfer ends soon when `wait` is
 * stopped. */
struct upload_transfer *upload_transfer_new(const struct upload_conf *c,
                                            const struct upload_address *at,
                                            struct upload_wait *wait);
void upload_transfer_free(struct upload_transfer *t);

/* HTTPS and S3: DONE once the server has answered that it has the whole file. A server that has a
 * file of that name is given it again. */
int upload_transfer_http(struct upload_transfer *t, const struct upload_file *f,
                         struct error *err) MUST_CHECK;

/* SFTP: writes the file under the name `temp` in the same directory, and renames it. DONE too if a
 * file of its name with the same content lies there, as after a repetition: servers do not rename
 * over another file. CONFIG if it has other content or cannot be read, and then nothing is changed.
 * It is never removed to make room: a kill in between would leave the receiver without it. */
int upload_transfer_sftp(struct upload_transfer *t, const struct upload_file *f, const char *temp,
                         struct error *err) MUST_CHECK;

/* Connects, verifies the server and, by SFTP, logs in. Nothing is sent. For `check`. */
int upload_transfer_greet(struct upload_transfer *t, struct error *err) MUST_CHECK;

/* Is there a file of this name at the target? By HTTPS and S3, or by SFTP. */
int upload_transfer_http_has(struct upload_transfer *t, const char *name, bool *ret,
                             struct error *err) MUST_CHECK;
int upload_transfer_sftp_has(struct upload_transfer *t, const char *name, bool *ret,
                             struct error *err) MUST_CHECK;

/* SFTP: removes a temporary file, if it is there. */
int upload_transfer_remove(struct upload_transfer *t, const char *temp,
                           struct error *err) MUST_CHECK;
