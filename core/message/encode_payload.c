/* The format `payload`: the payload column is the value, byte for byte, as Debezium's outbox router
 * sends it. It needs no function of its own: with none set, the value is the payload and there are
 * no further headers. */
#include "message/format.h"

const struct format_ops format_payload = {.can = FORMAT_OUTBOX};
