/* SFTP: a file is written under a temporary name and renamed, so that nobody sees a part of it. The
 * protocol does not rename over another file; where one lies there, it is compared. */
#include "sink/file/upload/curl.h"

enum found { FOUND_NONE, FOUND_SAME, FOUND_OTHER, FOUND_UNREADABLE };

/* What lies there under this name, and whether its digest is the wanted one. Reads all of it.
 * UNREADABLE only with an error: the server does not give the file, or the connection was lost. */
static int look(struct upload_transfer *t, const char *name, const char *want, enum found *ret,
                struct error *err)
{
    char sha256[FILE_DIGEST_SIZE];
    upload_curl_begin(t, name);
    t->digest = file_digest_new(SLICE_NULL);
    CURLcode rc = upload_curl_run(t);
    file_digest_hex(t->digest, sha256, NULL);
    file_digest_free(t->digest);
    t->digest = NULL;
    if (rc == CURLE_REMOTE_FILE_NOT_FOUND) {
        *ret = FOUND_NONE;
        return RESULT_DONE;
    }
    if (rc != CURLE_OK) {
        *ret = rc == CURLE_REMOTE_ACCESS_DENIED || rc == CURLE_SSH ? FOUND_UNREADABLE : FOUND_NONE;
        return upload_curl_error(t, rc, err);
    }
    *ret = strcmp(sha256, want) == 0 ? FOUND_SAME : FOUND_OTHER;
    return RESULT_DONE;
}

int upload_transfer_remove(struct upload_transfer *t, const char *temp, struct error *err)
{
    upload_curl_begin(t, "");
    upload_curl_set(t, CURLOPT_NOBODY, 1L);
    upload_curl_add(t, "*rm \"%s%s\"", buf_str(&t->at->dir), temp); /* *: it may be missing */
    upload_curl_set(t, CURLOPT_QUOTE, t->list);
    CURLcode rc = upload_curl_run(t);
    return rc == CURLE_OK ? RESULT_DONE : upload_curl_error(t, rc, err);
}

static int not_renamed(struct upload_transfer *t, const struct upload_file *f, const char *temp,
                       struct error *err)
{
    enum found found = FOUND_NONE;
    char why[CURL_ERROR_SIZE];
    memcpy(why, t->why, sizeof why);
    if (look(t, f->name, f->sha256, &found, err) && found != FOUND_UNREADABLE) {
        return RESULT_ERROR;
    }
    if (found == FOUND_NONE) {
        return error_set(err, ERROR_RETRY, "upload", "%s: cannot rename %s in %s to %s: %s",
                         t->conf->name, temp, buf_str(&t->at->base), f->name, why);
    }
    if (upload_transfer_remove(t, temp, err)) {
        return RESULT_ERROR;
    }
    if (found == FOUND_UNREADABLE) {
        return error_set(
            err, ERROR_CONFIG, "upload",
            "%s: a file %s lies in %s already and may not be read, so it is not known whether it is this one: let the user read files there, or move it away",
            t->conf->name, f->name, buf_str(&t->at->base));
    }
    return found == FOUND_SAME
               ? RESULT_DONE
               : error_set(
                     err, ERROR_CONFIG, "upload",
                     "%s: a file %s with other content lies in %s; find out who put it there, and move it away",
                     t->conf->name, f->name, buf_str(&t->at->base));
}

int upload_transfer_sftp(struct upload_transfer *t, const struct upload_file *f, const char *temp,
                         struct error *err)
{
    const char *dir = buf_str(&t->at->dir);
    upload_curl_begin(t, temp);
    upload_curl_body(t, f);
    upload_curl_set(t, CURLOPT_UPLOAD, 1L);
    upload_curl_set(t, CURLOPT_INFILESIZE_LARGE, (curl_off_t)f->bytes);
    upload_curl_add(t, "rename \"%s%s\" \"%s%s\"", dir, temp, dir, f->name);
    upload_curl_set(t, CURLOPT_POSTQUOTE, t->list);
    CURLcode rc = upload_curl_run(t);
    return rc == CURLE_OK            ? RESULT_DONE
           : rc == CURLE_QUOTE_ERROR ? not_renamed(t, f, temp, err)
                                     : upload_curl_error(t, rc, err);
}

int upload_transfer_sftp_has(struct upload_transfer *t, const char *name, bool *ret,
                             struct error *err)
{
    enum found found = FOUND_NONE;
    int rc = look(t, name, "", &found, err);
    *ret = rc == RESULT_DONE && found != FOUND_NONE;
    return rc;
}
