/*
 * What went wrong, for whom, and what to do about it.
 *
 * The caller owns the struct and passes it last; never NULL. The class alone decides the policy:
 *   RETRY   the outside world: back off, rewind to the frontier, try again
 *   POISON  this event only: isolate it, then the pipeline's poison policy
 *   CONFIG  the operator must act: the process ends at start, a running pipeline waits and says so
 *   FATAL   a broken promise or a bug: the pipeline ends
 *   BUSY    a receiver that works asks to slow down (a quota, 429): wait for retry_after_us, then
 * go on. No failure: nothing counts it, and no event is blamed The text names the object, the cause
 * and the remedy. It never holds a password or a payload. A plain struct: nothing is allocated, and
 * each thread may use its own.
 */
#pragma once

#include "base/result.h"
#include <stdbool.h>
#include <stdint.h>

enum error_class { ERROR_NONE, ERROR_RETRY, ERROR_POISON, ERROR_CONFIG, ERROR_FATAL, ERROR_BUSY };

/* Exit codes, as sysexits.h has them; docs/OPERATIONS.md lists them. */
enum {
    EXIT_CODE_OK = 0,
    EXIT_CODE_USAGE = 64,
    EXIT_CODE_UNAVAILABLE = 69, /* a dependency is gone for good, or data may be lost */
    EXIT_CODE_BUG = 70,
    EXIT_CODE_IO = 74,
    EXIT_CODE_GAVE_UP = 75,
    EXIT_CODE_PERMISSION = 77,
    EXIT_CODE_CONFIG = 78,
    EXIT_CODE_SECOND_SIGNAL = 130
};

struct error {
    enum error_class class;
    int exit_code;          /* what the process ends with, if it ends because of this */
    int64_t retry_after_us; /* wait at least so long; 0: the pipeline's own backoff decides */
    const char *origin;     /* static: "postgres", "kafka", "file", "config" ... */
    char
        code[48]; /* the origin's own code: SQLSTATE, librdkafka's name, errno's name; "" if none */
    char text[1024];
};

/* The five functions below are called through the macros of the same names without "_text".
 *
 * Fills *err; the exit code follows from the class (RETRY 75, POISON 75, CONFIG 78, FATAL 70,
 * BUSY 75).
 * `origin` must be a string literal, because only the pointer is kept. The text is cut at its size,
 * passwords in it become "***" and control characters are escaped (base/shown.h). */
void error_set_text(struct error *err, enum error_class class, const char *origin, const char *fmt,
                    ...) PRINTF_LIKE(4, 5);

/* The same with an exit code of its own. */
void error_exit_text(struct error *err, enum error_class class, int exit_code, const char *origin,
                     const char *fmt, ...) PRINTF_LIKE(5, 6);

/* The same with ": <strerror>" behind the text and errno's name as code. Class and exit code follow
 * from `errnum`, which is a value of errno: EACCES, EPERM, EROFS give CONFIG/77, all others
 * RETRY/74. */
void error_errno_text(struct error *err, const char *origin, int errnum, const char *fmt, ...)
    PRINTF_LIKE(4, 5);

/* Puts "prefix: " before the text that is there; class, exit code and code stay. */
void error_prefix_text(struct error *err, const char *fmt, ...) PRINTF_LIKE(2, 3);

/* The five as callers use them, so that `return error_set(...)` is enough. Each gives RESULT_ERROR.
 * They are macros because then the compiler and the static analyser see that the answer is always
 * RESULT_ERROR: a caller that checks it never reads an output that stayed untouched. */
#define error_set(...) ERROR_RETURN(error_set_text(__VA_ARGS__))
#define error_exit(...) ERROR_RETURN(error_exit_text(__VA_ARGS__))
#define error_errno(...) ERROR_RETURN(error_errno_text(__VA_ARGS__))
#define error_prefix(...) ERROR_RETURN(error_prefix_text(__VA_ARGS__))
#define ERROR_RETURN(call) \
    __extension__({        \
        call;              \
        RESULT_ERROR;      \
    })

/* Sets the origin's own code, cut at its size. It comes after error_set and the like, which
 * overwrite the code. */
void error_code_text(struct error *err, const char *code);
#define error_code(...) ERROR_RETURN(error_code_text(__VA_ARGS__))

/* Whether the origin's own code is this one. core/db/pg.h names those of PostgreSQL. */
bool error_is(const struct error *err, const char *code);

/* A check calls this for each thing that it finds, on its own thread. exit_code 0: a note; else a
 * fault, and the code is what the process would end with. `remedy` is the statement that mends it;
 * "" for none. Both texts are valid during the call only. */
typedef void finding_report(void *ctx, int exit_code, const char *text, const char *remedy);

/* No error: ERROR_NONE, and all texts empty. */
void error_clear(struct error *err);

const char *error_class_name(
    enum error_class class); /* "retry", "poison", "config", "fatal", "busy", "none" */
