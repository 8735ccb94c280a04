/* Compression through zlib and libzstd, piece by piece. Both add a checksum of the content. */
#include "pack/compress.h"

#include "base/memory.h"
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>
#include <zstd.h>

static const struct {
    const char *name, *extension;
    int level_max;
} compressions[FILE_COMPRESSIONS] = {
    [FILE_PLAIN] = {"none", "", 0},
    [FILE_GZIP] = {"gzip", ".gz", 9},
    /* The levels above need hundreds of MiB, here and for some at the reader's. */
    [FILE_ZSTD] = {"zstd", ".zst", 19},
};

/* GZIP_WINDOW: zlib's largest window, with a gzip header, which has no name and no time.
 * GZIP_MEMORY: its default. ROOM: how much room a call gets for its output at least. */
enum { GZIP_WINDOW = 15 + 16, GZIP_MEMORY = 8, ROOM = 64 * 1024 };

struct file_compressor {
    enum file_compression kind;
    z_stream gzip;
    ZSTD_CCtx *zstd;
};

const char *file_compression_name(enum file_compression c)
{
    return compressions[c].name;
}

const char *file_compression_extension(enum file_compression c)
{
    return compressions[c].extension;
}

bool file_compression_from(struct slice name, enum file_compression *ret)
{
    for (int i = 0; i < FILE_COMPRESSIONS; i++) {
        if (slice_equal_str(name, compressions[i].name)) {
            *ret = (enum file_compression)i;
            return true;
        }
    }
    return false;
}

int file_compression_level_max(enum file_compression c)
{
    return compressions[c].level_max;
}

/* The libraries fail here only when memory runs out, or when this file calls them wrongly. */
static void must(bool ok)
{
    if (!ok) {
        abort();
    }
}

static void zstd_must(size_t rc)
{
    must(!ZSTD_isError(rc));
}

struct file_compressor *file_compressor_new(enum file_compression kind, int level)
{
    if (kind == FILE_PLAIN) {
        return NULL;
    }
    struct file_compressor *c = memory_need(calloc(1, sizeof *c));
    c->kind = kind;
    if (kind == FILE_GZIP) {
        must(deflateInit2(&c->gzip, level ? level : Z_DEFAULT_COMPRESSION, Z_DEFLATED, GZIP_WINDOW,
                          GZIP_MEMORY, Z_DEFAULT_STRATEGY) == Z_OK);
    } else {
        c->zstd = memory_need(ZSTD_createCCtx());
        zstd_must(ZSTD_CCtx_setParameter(c->zstd, ZSTD_c_compressionLevel,
                                         level ? level : ZSTD_CLEVEL_DEFAULT));
        zstd_must(ZSTD_CCtx_setParameter(c->zstd, ZSTD_c_checksumFlag, 1));
    }
    return c;
}

void file_compressor_free(struct file_compressor *c)
{
    if (!c) {
        return;
    }
    if (c->kind == FILE_GZIP) {
        deflateEnd(&c->gzip);
    }
    ZSTD_freeCCtx(c->zstd);
    free(c);
}

void file_compressor_reset(struct file_compressor *c)
{
    if (c->kind == FILE_GZIP) {
        must(deflateReset(&c->gzip) == Z_OK);
    } else {
        zstd_must(ZSTD_CCtx_reset(c->zstd, ZSTD_reset_session_only));
    }
}

/* Compresses one piece of at most UINT_MAX bytes. */
static void gzip(z_stream *z, struct slice bytes, int flush, struct buf *out)
{
    int rc = Z_OK;
    z->next_in = (Bytef *)(uintptr_t)bytes.ptr; /* zlib does not write to it */
    z->avail_in = (uInt)bytes.len;
    do {
        buf_reserve(out, ROOM);
        z->next_out = (Bytef *)out->data + out->len;
        z->avail_out = ROOM;
        rc = deflate(z, flush);
        must(rc == Z_OK || rc == Z_STREAM_END || rc == Z_BUF_ERROR);
        out->len += ROOM - z->avail_out;
    } while (z->avail_out == 0);
    must(z->avail_in == 0 && (flush != Z_FINISH || rc == Z_STREAM_END));
}

static void zstd(ZSTD_CCtx *z, struct slice bytes, ZSTD_EndDirective end, struct buf *out)
{
    ZSTD_inBuffer in = {bytes.ptr, bytes.len, 0};
    size_t left;
    do {
        buf_reserve(out, ROOM);
        ZSTD_outBuffer to = {out->data + out->len, ROOM, 0};
        left = ZSTD_compressStream2(z, &to, &in, end);
        zstd_must(left);
        out->len += to.pos;
    } while (in.pos < in.size || (end == ZSTD_e_end && left > 0));
}

void file_compressor_add(struct file_compressor *c, struct slice bytes, struct buf *out)
{
    if (c->kind == FILE_ZSTD) {
        zstd(c->zstd, bytes, ZSTD_e_continue, out);
        return;
    }
    while (bytes.len > 0) {
        struct slice piece = {bytes.ptr, bytes.len < UINT_MAX ? bytes.len : UINT_MAX};
        gzip(&c->gzip, piece, Z_NO_FLUSH, out);
        bytes = (struct slice){bytes.ptr + piece.len, bytes.len - piece.len};
    }
}

void file_compressor_end(struct file_compressor *c, struct buf *out)
{
    if (c->kind == FILE_ZSTD) {
        zstd(c->zstd, SLICE_LITERAL(""), ZSTD_e_end, out);
    } else {
        gzip(&c->gzip, SLICE_LITERAL(""), Z_FINISH, out);
    }
}
