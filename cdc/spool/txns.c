/* The lists of a spool: transactions in progress, and the newest descriptions of tables. */
#include "cdc/spool/internal.h"

#include <stdlib.h>

void spool_txn_free(struct spool_txn *t)
{
    spool_file_close(&t->file);
    free(t->aborted);
    free(t);
}

void spool_forget(struct spool *s, struct spool_txn *t)
{
    for (size_t i = 0; i < s->txns_count; i++) {
        if (s->txns[i] == t) {
            s->txns[i] = s->txns[--s->txns_count];
            spool_txn_free(t);
            return;
        }
    }
}

struct spool_relation *spool_find_relation(const struct spool *s, uint32_t oid)
{
    for (size_t i = 0; i < s->relations_count; i++) {
        if (s->relations[i].oid == oid) {
            return &s->relations[i];
        }
    }
    return NULL;
}
