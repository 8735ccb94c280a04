/* Quotes texts for YAML. */
#include "config/conf_quote.h"

void conf_quote(struct buf *out, const char *text)
{
    buf_add_char(out, '"');
    for (const char *p = text; *p; p++) {
        unsigned char c = (unsigned char)*p;
        if (c == '"' || c == '\\') {
            buf_add_char(out, '\\');
            buf_add_char(out, *p);
        } else if (c == '$' && p[1] == '{') {
            buf_add_str(out, "$$");
        } else if (c < 0x20 || c == 0x7f) {
            buf_printf(out, "\\x%02x", c);
        } else {
            buf_add_char(out, *p);
        }
    }
    buf_add_char(out, '"');
}
