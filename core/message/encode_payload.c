/* The payload column goes out byte for byte, as Debezium's outbox router sends it. The smallest
 * format: whatever a table of functions leaves out is as it is here. */
#include "message/format.h"

const struct format_ops format_payload = {.can = FORMAT_OUTBOX};
