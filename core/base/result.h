/*
 * The three answers of a function that can fail, and the attributes of declarations.
 *
 * 0 = done, 1 = not yet (call again when its descriptors or deadline say so), -1 = failed: see the
 * `struct error *` given last. Success outputs are named `ret_x` and stay untouched unless the
 * answer is 0. A header that names a class (RETRY, CONFIG ...) means RESULT_ERROR with that class
 * of core/base/error.h.
 *
 * Constants only: any thread, no memory.
 */
#pragma once

enum { RESULT_DONE = 0, RESULT_AGAIN = 1, RESULT_ERROR = -1 };

/* MUST_CHECK: a caller that ignores the result gets a warning. PRINTF_LIKE: which argument is the
 * format, and which is the first it speaks of; the compiler compares them. CLEANUP: fn is called
 * with the variable's address when it goes out of scope. UNUSED: a variable may stay unread. */
#define MUST_CHECK __attribute__((warn_unused_result))
#define PRINTF_LIKE(fmt, first) __attribute__((format(printf, fmt, first)))
#define CLEANUP(fn) __attribute__((cleanup(fn)))
#define UNUSED __attribute__((unused))
