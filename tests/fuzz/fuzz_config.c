/* Any bytes are a configuration or an error text, never a crash, and what was loaded can be freed.
 */
#include "tests/unit/config/fake_plugins.h"

#include <stdint.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct config *c = NULL;
    struct error err = {0};
    if (config_parse("fuzz.yaml", (struct slice){(const char *)data, size}, &fake_plugins, &c,
                     &err)) {
        /* a CONFIG error with a text is the only other answer: FATAL would be a bug of ours */
        if (c || err.class != ERROR_CONFIG || err.text[0] == '\0') {
            abort();
        }
        return 0;
    }
    if (!c || c->pipelines_count == 0) {
        abort();
    }
    config_free(c);
    return 0;
}
