/*
 * The three answers of a function that can fail, and the attributes that go with them.
 *
 * 0 = done, 1 = not yet (try again when its descriptors or deadline say so), -1 = see the `struct
 * error *` given last. Success outputs are named `ret_x` and stay untouched unless the answer is 0.
 */
#pragma once

enum { RESULT_DONE = 0, RESULT_AGAIN = 1, RESULT_ERROR = -1 };

#define MUST_CHECK __attribute__((warn_unused_result))
#define PRINTF_LIKE(fmt, first) __attribute__((format(printf, fmt, first)))
#define CLEANUP(fn) __attribute__((cleanup(fn)))
#define UNUSED __attribute__((unused))
