/* Hashes rather than 'self': a script that somebody brings into the page, for example in the text
 * of an event, has another hash and does not run. */
#include "daemon/console/page.h"

#include "value/base64.h"
#include "value/digest.h"
#include <openssl/sha.h>
#include <string.h>

/* Made from page.html by cmake/embed.cmake. */
extern const char embedded_console_page[];

struct slice page_text(void)
{
    return slice_from(embedded_console_page);
}

/* What stands between two tags; null if it is not there. */
static struct slice between(struct slice html, const char *from, const char *to)
{
    const char *start = memmem(html.ptr, html.len, from, strlen(from));
    if (!start) {
        return SLICE_NULL;
    }
    start += strlen(from);
    const char *end = memmem(start, html.len - (size_t)(start - html.ptr), to, strlen(to));
    return end ? (struct slice){start, (size_t)(end - start)} : SLICE_NULL;
}

static void add_source(struct buf *out, const char *directive, struct slice text)
{
    unsigned char hash[SHA256_DIGEST_LENGTH];
    buf_printf(out, "; %s ", directive);
    if (slice_is_null(text)) {
        buf_add_str(out, "'none'");
        return;
    }
    digest_must(SHA256((const unsigned char *)text.ptr, text.len, hash) != NULL);
    buf_add_str(out, "'sha256-");
    base64_add(out, (struct slice){(const char *)hash, sizeof hash});
    buf_add_char(out, '\'');
}

void page_policy(struct buf *out, struct slice html)
{
    buf_add_str(out, "default-src 'none'");
    add_source(out, "script-src", between(html, "<script>", "</script>"));
    add_source(out, "style-src", between(html, "<style>", "</style>"));
    buf_add_str(out, "; connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; "
                     "frame-ancestors 'none'; require-trusted-types-for 'script'");
}
