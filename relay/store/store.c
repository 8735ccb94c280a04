/* Which store a URL means. */
#include "contract/store.h"

#include <string.h>

const struct store_ops *store_for_url(const char *url)
{
    if (strncmp(url, "sqlite:", 7) == 0) {
        return &store_sqlite;
    }
    bool scheme = strncmp(url, "postgresql://", 13) == 0 || strncmp(url, "postgres://", 11) == 0;
    bool conninfo = !strstr(url, "://") && strchr(url, '=');
    return scheme || conninfo ? &store_postgres : NULL;
}
