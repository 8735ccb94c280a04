/* What the daemon may be told about pruning. */
#include "source/kit/prune_keys.h"

#include "contract/prune.h"

#define OFFSET(field) offsetof(struct prune_settings, field)

const struct conf_key prune_keys[] = {
    {"older_than", CONF_DURATION, OFFSET(older_than_us), "7d", .min = US_PER_SECOND,
     .max = 3660 * 86400 * US_PER_SECOND, .help = "Rows stay for so long, by created_at"},
    {"every", CONF_DURATION, OFFSET(every_us), "10m", .min = US_PER_SECOND,
     .max = 86400 * US_PER_SECOND, .help = "How often to look"},
    {"batch", CONF_INT, OFFSET(batch), "10000", .min = 1, .max = 100000,
     .help = "Rows a statement looks at, and removes at most"},
    {"pause", CONF_DURATION, OFFSET(pause_us), "100ms", .min = 0, .max = 3600 * US_PER_SECOND,
     .help = "Between two statements"},
    CONF_END};
