/* The other direction of compress.c. */
#include "pack/unpack.h"

#include "base/memory.h"
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>
#include <zlib.h>
#include <zstd.h>

enum { PIECE = 64 * 1024, ROOM = 256 * 1024, GZIP_WINDOW = 15 + 16 };

struct file_unpacker {
    int fd;
    enum file_compression compression;
    z_stream gzip;
    ZSTD_DCtx *zstd;
    bool file_ended, whole; /* whole: what is unpacked may end here */
    size_t at, len;         /* of `piece` */
    char piece[PIECE];
};

struct file_unpacker *file_unpacker_new(int fd, enum file_compression compression)
{
    struct file_unpacker *u = memory_need(calloc(1, sizeof *u));
    u->fd = fd;
    u->compression = compression;
    if (compression == FILE_GZIP && inflateInit2(&u->gzip, GZIP_WINDOW) != Z_OK) {
        abort(); /* as in compress.c */
    }
    if (compression == FILE_ZSTD) {
        u->zstd = memory_need(ZSTD_createDCtx());
    }
    return u;
}

void file_unpacker_free(struct file_unpacker *u)
{
    if (!u) {
        return;
    }
    if (u->compression == FILE_GZIP) {
        inflateEnd(&u->gzip);
    }
    ZSTD_freeDCtx(u->zstd);
    free(u);
}

static int fill(struct file_unpacker *u)
{
    ssize_t n;
    do {
        n = read(u->fd, u->piece, sizeof u->piece);
    } while (n < 0 && errno == EINTR);
    if (n < 0) {
        return errno;
    }
    u->at = 0;
    u->len = (size_t)n;
    u->file_ended = n == 0;
    return 0;
}

static int gunzip(struct file_unpacker *u, struct buf *out)
{
    z_stream *z = &u->gzip;
    if (u->whole && inflateReset(z) != Z_OK) { /* one more stream behind the first */
        return EBADMSG;
    }
    z->next_in = (Bytef *)u->piece + u->at;
    z->avail_in = (uInt)(u->len - u->at);
    z->next_out = (Bytef *)out->data + out->len;
    z->avail_out = ROOM;
    int rc = inflate(z, Z_NO_FLUSH);
    u->at = u->len - z->avail_in;
    out->len += ROOM - z->avail_out;
    u->whole = rc == Z_STREAM_END;
    return rc == Z_OK || rc == Z_STREAM_END || rc == Z_BUF_ERROR ? 0 : EBADMSG;
}

static int unzstd(struct file_unpacker *u, struct buf *out)
{
    ZSTD_inBuffer in = {u->piece, u->len, u->at};
    ZSTD_outBuffer to = {out->data + out->len, ROOM, 0};
    size_t left = ZSTD_decompressStream(u->zstd, &to, &in);
    u->at = in.pos;
    out->len += to.pos;
    u->whole = left == 0;
    return ZSTD_isError(left) ? EBADMSG : 0;
}

int file_unpacker_read(struct file_unpacker *u, struct buf *out, bool *ret_end)
{
    size_t before = out->len;
    int rc = 0;
    buf_reserve(out, ROOM);
    while (rc == 0 && out->len == before) {
        if (u->at == u->len && !u->file_ended) {
            rc = fill(u);
        }
        if (rc == 0 && u->file_ended) {
            break;
        }
        if (rc == 0 && u->compression == FILE_PLAIN) {
            buf_add(out, u->piece + u->at, u->len - u->at);
            u->at = u->len;
        } else if (rc == 0) {
            rc = u->compression == FILE_GZIP ? gunzip(u, out) : unzstd(u, out);
        }
    }
    *ret_end = rc == 0 && out->len == before;
    return *ret_end && u->compression != FILE_PLAIN && !u->whole ? EBADMSG : rc;
}
