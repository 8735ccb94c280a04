/* The libraries are asked while the program runs. The headers of the build may be of another
 * version than the shared library that is installed. */
#include "daemon/versions.h"

#include "daemon/registry.h"
#include "db/pg.h"
#include "db/sqlite.h"

void versions_add(struct buf *out, const char *separator)
{
    buf_printf(out, "libpq %s%s", pg_library_version(), separator);
    for (const struct sink_ops *const *s = registry_sinks(); *s; s++) {
        if ((*s)->library) {
            buf_printf(out, "%s %s%s", (*s)->library, (*s)->library_version(), separator);
        }
    }
    buf_printf(out, "SQLite %s", sqlite_library_version());
}
