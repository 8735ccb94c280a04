/* Versions are asked at run time, not taken from the headers of the build. */
#include "daemon/versions.h"

#include "db/pg.h"
#include "db/sqlite.h"
#include <librdkafka/rdkafka.h>

struct versions versions_get(void)
{
    return (struct versions){.own = COMMITRELAY_VERSION,
                             .libpq = pg_library_version(),
                             .librdkafka = rd_kafka_version_str(),
                             .sqlite = sqlite_library_version()};
}

bool versions_old_librdkafka(void)
{
    return rd_kafka_version() < 0x02030000;
}
