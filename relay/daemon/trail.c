/* Where the audit log is, and what the daemon itself notes in it (trail.h). */
#include "daemon/trail.h"

#include "base/log.h"
#include "daemon/paths.h"
#include <signal.h>
#include <unistd.h>

static void tell(const struct error *err, uint64_t missing)
{
    if (err) {
        log_error(LOG_ERROR, NULL,
                  "a line is missing in the audit log, whose next lines are tried all the same",
                  err);
    } else {
        log_write(LOG_WARN, NULL, "the audit log is written again; %llu lines are missing in it",
                  (unsigned long long)missing);
    }
}

int trail_open(const struct config *c, struct audit **ret, struct error *err)
{
    CLEANUP(buf_release) struct buf path = {0};
    paths_audit(&path, c);
    return audit_open(buf_str(&path), tell, ret, err);
}

int trail_adopt(struct audit *a, const struct config *c, struct error *err)
{
    CLEANUP(buf_release) struct buf path = {0};
    paths_audit(&path, c);
    return audit_reopen(a, buf_str(&path), err);
}

const char *trail_sender(const struct signalfd_siginfo *info, char out[AUDIT_WHO_SIZE])
{
    if (info->ssi_code > SI_USER) {
        return NULL;
    }
    audit_who(info->ssi_uid, out);
    return out;
}

static void add_config(struct buf *facts, const struct config *c)
{
    audit_text(facts, "path", c->file);
    audit_text(facts, "sha256", c->digest);
}

static void write_event(struct audit *a, const char *event, const char *who,
                        const struct buf *before, const struct buf *after)
{
    const struct audit_line line = {.event = event, .who = who, .before = before, .after = after};
    audit_write(a, &line);
}

void trail_started(struct audit *a, const struct config *c)
{
    CLEANUP(buf_release) struct buf process = {0}, config = {0};
    char who[AUDIT_WHO_SIZE];
    audit_who(getuid(), who);
    audit_text(&process, "version", COMMITRELAY_VERSION);
    audit_number(&process, "pid", getpid());
    write_event(a, "start", who, NULL, &process);
    add_config(&config, c);
    write_event(a, "config", who, NULL, &config);
}

void trail_reloaded(struct audit *a, const struct config *before, const struct config *after,
                    const char *who)
{
    CLEANUP(buf_release) struct buf was = {0}, is = {0};
    add_config(&was, before);
    add_config(&is, after);
    write_event(a, "config", who, &was, &is);
}

void trail_stopped(struct audit *a, int exit_code, const char *who)
{
    CLEANUP(buf_release) struct buf before = {0}, after = {0};
    audit_number(&before, "pid", getpid());
    audit_number(&after, "exit_code", exit_code);
    write_event(a, "stop", who, &before, &after);
}
