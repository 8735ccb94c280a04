/*
 * What the start-up checks decide: judgements on facts as the server tells them. Nothing here asks
 * the server; plain functions, any thread. Each says DONE, or ERROR with the fault in *f.
 */
#pragma once

#include "cdc/preflight/preflight.h"

/* One thing that is wrong, and what mends it. A start makes an error of it (fault_error), the
 * doctor a line of its report (doctor_fault). */
struct fault {
    enum error_class class;
    int exit_code;
    char code[48];
    char text[560], remedy[640];
};
/* Fills *f, without a remedy. Always RESULT_ERROR. */
int fault_set(struct fault *f, enum error_class class, int exit_code, const char *fmt, ...)
    PRINTF_LIKE(4, 5);
/* Sets the remedy: what the operator can do, best a statement. Always RESULT_ERROR. */
int fault_mend(struct fault *f, const char *fmt, ...) PRINTF_LIKE(2, 3);
/* Makes *err of it: "text: remedy". Always RESULT_ERROR. */
int fault_error(const struct fault *f, struct error *err);

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
    int backend_pid, backend_pid_again; /* of two statements; they differ behind a pooler */
};

/* Each judges one thing: DONE, or CONFIG with the remedy. _encoding: only if logical messages are
 * read as JSON. */
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

/* The slot as the server shows it; all but `there` means something only if it is there. */
struct slot_facts {
    bool there, logical, active, two_phase, synced;
    bool being_made; /* no consistent point yet */
    char plugin[NAME_SIZE], database[NAME_SIZE];
    int pid;                     /* of the process that reads it; 0 nobody */
    char application[NAME_SIZE]; /* application_name of that process */
    enum wal_status wal_status;
    char reason[32];        /* 16+: why it was invalidated */
    uint64_t confirmed;     /* confirmed_flush_lsn */
    int64_t retained_bytes; /* -1 unknown */
};
const char *wal_status_name(enum wal_status status); /* "" when unknown */
bool slot_is_lost(const struct slot_facts *s);       /* it is there, but cannot be read any more */

/* All facts that decide whether the stream may go on at this slot. */
struct slot_case {
    const struct cdc_conf *conf;
    const char *pipeline, *slot;
    const struct stream_identity *identity;
    bool standby;
    const struct slot_facts *found;
    const struct cdc_cursor *cursor; /* NULL: nothing is stored */
    uint64_t switch_lsn;             /* where the server left the cursor's timeline; 0: unknown */
};
/* What a start has to do about the slot; SLOT_MAKE_AGAIN: drop what is left of it, create it and
 * copy the tables again (on_lost_slot: resnapshot). */
enum slot_way { SLOT_USE, SLOT_MAKE, SLOT_MAKE_AGAIN };
/* Decides it. RESULT_ERROR with *f: FATAL/69 if data may be lost, CONFIG for a slot that is
 * missing or of the wrong kind, RETRY if waiting helps. No I/O. */
int slot_judge(const struct slot_case *c, enum slot_way *ret, struct fault *f) MUST_CHECK;
/* Is it a logical slot of pgoutput, of this database and without two_phase? CONFIG if not. */
int slot_judge_kind(const struct slot_facts *s, const char *slot, const char *database,
                    struct fault *f) MUST_CHECK;
/* Is the slot free? RETRY if a process reads it; the text names the process. */
int slot_judge_reader(const struct slot_facts *s, const char *slot, struct fault *f) MUST_CHECK;
bool slot_snapshot_possible(const struct cdc_conf *conf); /* snapshot is not `never` */
/* Static text: how to get the rows from before a slot that was there already. */
const char *snapshot_remedy(const struct cdc_conf *conf);
