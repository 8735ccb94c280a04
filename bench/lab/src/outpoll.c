// outpoll: what it costs to read an outbox table of `commitrelay init` over libpq with nothing done to the rows, and to read it
// and then delete or mark what was read. The bounds commitrelay's polling modes are held against. Modes:
//   keyset   SELECT ... WHERE seq > $1 ORDER BY seq LIMIT n
//   delete   SELECT the n lowest rows, then DELETE ... WHERE seq = ANY(those)
//   mark     SELECT the n lowest pending rows, then UPDATE ... SET status = 'done' ... WHERE seq = ANY(those)
// usage: outpoll MODE TABLE BATCH
#include "common.h"
#include <libpq-fe.h>
static PGconn *c;
static PGresult *q(const char *s, int np, const char *const *v) {
    PGresult *r = PQexecParams(c, s, np, NULL, v, NULL, NULL, 0);
    ExecStatusType st = PQresultStatus(r);
    if (st != PGRES_TUPLES_OK && st != PGRES_COMMAND_OK) die(s, PQerrorMessage(c));
    return r;
}
#define COLS "seq,id,aggregatetype,aggregateid,type,payload,headers,created_at"
int main(int argc, char **argv) {
    if (argc < 4) die("usage", "outpoll keyset|delete|mark TABLE BATCH");
    const char *mode = argv[1], *tab = argv[2];
    int batch = atoi(argv[3]), keyset = !strcmp(mode, "keyset"), del = !strcmp(mode, "delete");
    char s[1024], done[512], last[32] = "0", *keys = malloc((size_t)batch * 24 + 2);
    if (!keyset && !del && strcmp(mode, "mark")) die("mode", mode);
    c = PQconnectdb("");
    if (PQstatus(c) != CONNECTION_OK) die("connect", PQerrorMessage(c));
    snprintf(s, sizeof s, "SELECT " COLS " FROM %s %s ORDER BY seq LIMIT %d", tab, keyset ? "WHERE seq > $1" : del ? "" : "WHERE status = 'pending'", batch);
    if (del) snprintf(done, sizeof done, "DELETE FROM %s WHERE seq = ANY($1::bigint[])", tab);
    else snprintf(done, sizeof done, "UPDATE %s SET status = 'done', attempts = attempts + 1, published_at = now() WHERE seq = ANY($1::bigint[])", tab);
    int64_t t0 = now_us(), n = 0, bytes = 0, sum = 0;
    for (;;) {
        const char *v[] = {last};
        PGresult *r = q(s, keyset, v);
        int k = PQntuples(r);
        char *p = keys;
        for (int i = 0; i < k; i++) {
            for (int j = 0; j < 8; j++) { bytes += PQgetlength(r, i, j); sum += PQgetvalue(r, i, j)[0]; }
            if (!keyset) p += sprintf(p, "%c%s", i ? ',' : '{', PQgetvalue(r, i, 0));
        }
        if (k) snprintf(last, sizeof last, "%s", PQgetvalue(r, k - 1, 0));
        PQclear(r);
        if (!k) break;
        if (!keyset) {
            strcpy(p, "}");
            v[0] = keys;
            PQclear(q(done, 1, v));
        }
        n += k;
    }
    double sec = (now_us() - t0) / 1e6, cpu = cpu_s();
    printf("{\"mode\":\"%s\",\"batch\":%d,\"rows\":%lld,\"bytes\":%lld,\"seconds\":%.3f,\"rate\":%.0f,\"cpu_s\":%.3f,\"rss_kib\":%ld,\"x\":%lld}\n",
           mode, batch, (long long)n, (long long)bytes, sec, n / sec, cpu, rss_kib(), (long long)(sum & 1));
    PQfinish(c);
    return 0;
}
