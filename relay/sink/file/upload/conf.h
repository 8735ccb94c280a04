/*
 * One item of `upload`: a place to which complete batch files are sent, and its address taken
 * apart. Constant after loading; any thread.
 */
#pragma once

#include "base/buf.h"
#include "base/error.h"
#include "config/conf_key.h"

enum { UPLOAD_NAME_MAX = 40, UPLOADS_MAX = 8 };

/* The name of the command of `on_complete` among the targets. */
#define UPLOAD_COMMAND "on_complete"

enum upload_method { UPLOAD_PUT, UPLOAD_POST };

struct upload_conf {
    char *name, *url;
    int method; /* enum upload_method */
    bool method_given;
    char *key_file, *known_hosts, *ca_file; /* "": none */
    struct {
        char *bearer, *user, *password; /* "": none */
    } auth;
    char *region, *endpoint; /* "": none */
    int64_t connect_timeout_us, timeout_us;
    struct {
        int64_t initial_us, max_us;
    } retry;
    struct {
        char *suffix; /* "": no file is acknowledged */
        int64_t resend_after_us;
        bool resend_after_given;
    } acknowledge;
};

/* Ended as key tables are. */
extern const struct conf_key upload_conf_keys[];

enum upload_kind { UPLOAD_HTTPS, UPLOAD_SFTP, UPLOAD_S3 };

/* Where the files of a target go. upload_address_release frees it. */
struct upload_address {
    enum upload_kind kind;
    struct buf base; /* the URL that a file's name completes; POST: the whole URL */
    struct buf dir;  /* SFTP: the directory, with a slash at its end */
    struct buf user; /* SFTP: who logs in */
};

/* Takes the URL apart. CONFIG, whose text names target, key and remedy, for one that is no address,
 * and for keys that do not fit to it or are missing. *ret is filled only when DONE. */
int upload_address_of(const struct upload_conf *c, struct upload_address *ret,
                      struct error *err) MUST_CHECK;
void upload_address_release(struct upload_address *a);

/* CONFIG for a mistake in one target, or for two of one name. `uploads` holds upload_confs. */
int upload_conf_check(const struct conf_groups *uploads, struct error *err) MUST_CHECK;
