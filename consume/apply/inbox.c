/* Which database a URL means. */
#include "consume/apply/inbox.h"

const struct inbox_ops *inbox_of_url(const char *url)
{
    static const struct inbox_ops *const all[] = {&inbox_postgres, &inbox_sqlite};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        if (all[i]->is_url(url)) {
            return all[i];
        }
    }
    return NULL;
}
