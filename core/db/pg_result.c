/* Values of results as slices and numbers. A struct pg_result is libpq's PGresult under another
 * name, so nothing is copied or allocated here. */
#include "db/internal.h"

#include <errno.h>
#include <stdlib.h>

void pg_result_free(struct pg_result *r)
{
    PQclear((PGresult *)r);
}

size_t pg_rows(const struct pg_result *r)
{
    return (size_t)PQntuples((const PGresult *)r);
}

struct slice pg_value(const struct pg_result *r, size_t row, size_t col)
{
    const PGresult *res = (const PGresult *)r;
    int len = PQgetlength(res, (int)row, (int)col);
    if (len == 0 && PQgetisnull(res, (int)row, (int)col)) {
        return SLICE_NULL;
    }
    return (struct slice){PQgetvalue(res, (int)row, (int)col), (size_t)len};
}

size_t pg_result_bytes(const struct pg_result *r)
{
    return PQresultMemorySize((const PGresult *)r);
}

size_t pg_affected(const struct pg_result *r)
{
    return (size_t)strtoull(PQcmdTuples((PGresult *)(uintptr_t)r), NULL, 10);
}

int64_t pg_int(const struct pg_result *r, size_t row, size_t col, int64_t missing)
{
    struct slice s = pg_value(r, row, col);
    if (slice_is_null(s) || s.len == 0) {
        return missing;
    }
    char *end;
    errno = 0;
    long long v = strtoll(s.ptr, &end, 10); /* libpq ends every value with a NUL */
    return errno || end != s.ptr + s.len ? missing : (int64_t)v;
}
