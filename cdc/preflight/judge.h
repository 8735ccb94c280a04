/*
 * What the start-up checks decide: judgements on facts as the server tells them. Nothing here asks
 * the server; plain functions, any thread. Each says DONE, or ERROR with the fault in *f.
 */
#pragma once

#include "cdc/preflight/preflight.h"

/* A thing that is wrong and what mends it: an error text for a start, a line for the doctor. */
struct fault {
    enum error_class class;
    int exit_code;
    char code[48];
    char text[560], remedy[640];
};
/* -1 always. */
int fault_set(struct fault *f, enum error_class class, int exit_code, const char *fmt, ...)
    PRINTF_LIKE(4, 5);
/* What the operator can do; -1 always. */
int fault_mend(struct fault *f, const char *fmt, ...) PRINTF_LIKE(2, 3);
int fault_error(const struct fault *f, struct error *err); /* -1 always */

enum { NAME_SIZE = 64 * 4 };

struct server_facts {
    int version; /* 150020 */
    bool standby;
    char user[NAME_SIZE], database[NAME_SIZE]; /* user is quoted */
    char wal_level[16];                        /* the one in effect */
    char managed[16];                          /* "rds", "cloudsql" or "" */
    char plugins[256];    /* output_plugin_libraries; "": no such setting, or not shown */
    char sync_names[512]; /* synchronous_standby_names */
    int64_t slots_max, slots_used, senders_max, senders_used;
    int64_t keep_bytes;     /* max_slot_wal_keep_size, -1 without a limit */
    int64_t idle_timeout_s; /* idle_replication_slot_timeout, 0 off or no such setting */
    bool hot_standby_feedback;
    char encoding[32];  /* server_encoding */
    int64_t money_unit; /* what 1 is as money: 100 where that has two digits behind the point */
    int backend_pid, backend_pid_again;
};

int server_judge_version(const struct server_facts *s, struct fault *f) MUST_CHECK;
int server_judge_pooler(const struct server_facts *s, struct fault *f) MUST_CHECK;
int server_judge_wal(const struct server_facts *s, struct fault *f) MUST_CHECK;
int server_judge_plugin(const struct server_facts *s, struct fault *f) MUST_CHECK;
int server_judge_standby(const struct server_facts *s, struct fault *f) MUST_CHECK;
int server_judge_encoding(const struct server_facts *s, const struct preflight *p,
                          struct fault *f) MUST_CHECK;
/* True if commits wait for a client of this application_name. */
bool server_waits_for(const char *synchronous_standby_names, const char *application_name);
/* What logical decoding loses or dies of in this minor version; NULL: nothing known. */
const char *server_known_loss(int version);

struct slot_facts {
    bool there, logical, active, two_phase, synced;
    bool being_made; /* no consistent point yet */
    char plugin[NAME_SIZE], database[NAME_SIZE];
    int pid;                     /* of who reads it; 0 nobody */
    char application[NAME_SIZE]; /* of the same */
    enum wal_status wal_status;
    char reason[32]; /* 16+: why it was invalidated */
    uint64_t confirmed;
    int64_t retained_bytes; /* -1 unknown */
};
const char *wal_status_name(enum wal_status status); /* "" when unknown */
bool slot_is_lost(const struct slot_facts *s);

/* All that decides whether the stream may go on. */
struct slot_case {
    const struct cdc_conf *conf;
    const char *pipeline, *slot;
    const struct stream_identity *identity;
    bool standby;
    const struct slot_facts *found;
    const struct cdc_cursor *cursor; /* NULL: nothing is stored */
    uint64_t switch_lsn;             /* where the cursor's timeline was left; 0: never */
};
enum slot_way { SLOT_USE, SLOT_MAKE, SLOT_MAKE_AGAIN /* resnapshot */ };
int slot_judge(const struct slot_case *c, enum slot_way *ret, struct fault *f) MUST_CHECK;
/* What is wrong with the slot whatever is stored. */
int slot_judge_kind(const struct slot_facts *s, const char *slot, const char *database,
                    struct fault *f) MUST_CHECK;
/* The way that both preflight_run and the doctor show for a slot that is in use. */
int slot_judge_reader(const struct slot_facts *s, const char *slot, struct fault *f) MUST_CHECK;
bool slot_snapshot_possible(const struct cdc_conf *conf);
/* How to get the rows that a slot which was there already does not bring. */
const char *snapshot_remedy(const struct cdc_conf *conf);
