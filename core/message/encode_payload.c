/* The format `payload`: the payload column is the value, byte for byte, as Debezium's outbox router
 * sends it. It needs no function of its own: with none set, the value is the payload and there are
 * no further headers. Its keys change the payload before (encode.c, encode_envelope.c). */
#include "message/format.h"

static const char *const keys[] = {"expand_json", "blank_is_null", "envelope", NULL};

const struct format_ops format_payload = {.can = FORMAT_OUTBOX, .keys = keys, .outbox_keys = keys};
