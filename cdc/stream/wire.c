/* Reads and writes the header of replication messages. Every length is checked. A message of an
 * unknown type is an error: skipping it could skip changes. */
#include "cdc/stream/wire.h"

#include "base/clock.h"
#include "base/reader.h"

#define EPOCH_2000_US INT64_C(946684800000000) /* PostgreSQL counts from 2000-01-01 */

static int fail_short(const struct reader *r, char type, struct error *err)
{
    return error_set(
        err, ERROR_RETRY, "postgres",
        "a replication message of type '%c' ends after %zu bytes, in the middle of its header; the connection is opened anew",
        type, (size_t)(r->end - r->start));
}

int stream_wire_parse(struct slice bytes, struct stream_message *ret, struct error *err)
{
    struct reader r = reader_from(bytes);
    struct stream_message m = {0};
    uint8_t type = reader_u8(&r);
    if (r.failed) {
        return error_set(err, ERROR_RETRY, "postgres",
                         "an empty replication message came; the connection is opened anew");
    }
    if (type == 'w') {
        m.kind = STREAM_DATA;
        m.start_lsn = reader_u64(&r);
        m.wal_end = reader_u64(&r);
        m.server_us = (int64_t)(reader_u64(&r) + (uint64_t)EPOCH_2000_US);
        m.payload = reader_bytes(&r, reader_left(&r));
    } else if (type == 'k') {
        m.kind = STREAM_KEEPALIVE;
        m.wal_end = reader_u64(&r);
        m.server_us = (int64_t)(reader_u64(&r) + (uint64_t)EPOCH_2000_US);
        m.reply_wanted = reader_u8(&r) != 0;
    } else {
        return error_set(
            err, ERROR_RETRY, "postgres",
            "a replication message of unknown type 0x%02X came (w and k are known); the connection is opened anew",
            (unsigned)type);
    }
    if (r.failed) {
        return fail_short(&r, (char)type, err);
    }
    *ret = m;
    return RESULT_DONE;
}

static char *put_u64(char *at, uint64_t v)
{
    for (int shift = 56; shift >= 0; shift -= 8) {
        *at++ = (char)(v >> shift & 0xFF);
    }
    return at;
}

/* The update has three LSNs: write (received), flush and apply (both: delivered and saved).
 * If somebody lists us in synchronous_standby_names, a commit with synchronous_commit on or
 * remote_apply waits for flush or apply, so until its events are delivered. If flush told what was
 * received, such a commit would count as safe although its events are only in our memory. */
void stream_wire_status(uint64_t received, uint64_t confirmed, int64_t wall_us, bool reply_wanted,
                        char out[STREAM_STATUS_SIZE])
{
    char *at = out;
    *at++ = 'r';
    at = put_u64(at, received > confirmed ? received : confirmed);
    at = put_u64(at, confirmed);
    at = put_u64(at, confirmed);
    at = put_u64(at, (uint64_t)(wall_us - EPOCH_2000_US));
    *at = reply_wanted ? 1 : 0;
}
