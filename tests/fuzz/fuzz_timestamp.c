/* Whatever is taken as a timestamp is written as one that reads the same; the rest is refused
 * without harm. */
#include "base/clock.h"
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    int64_t us = 42, back = 0;
    struct slice text = {(const char *)data, size};
    if (size == 0 || !clock_parse_timestamp(text, &us)) {
        if (us != 42) {
            abort(); /* outputs stay untouched on failure */
        }
        return 0;
    }
    char out[CLOCK_RFC3339_SIZE];
    clock_format_rfc3339(us, out);
    /* An offset can carry a time out of the years 0 to 9999, which only the number shows then. */
    if (out[strlen(out) - 1] == 'Z' &&
        (!clock_parse_timestamp(slice_from(out), &back) || back != us)) {
        abort();
    }
    return 0;
}
