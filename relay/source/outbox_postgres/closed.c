/* A dead letter was sent or given up: its row says so (status mode). */
#include "source/outbox_postgres/internal.h"

#include <string.h>

/* A dead letter of before may be of another mode or key, and its position no value of this key's
 * type. Then it is of no row. */
static void add_key_param(const struct outbox_pg_found *key, struct buf *out)
{
    bool number = strncmp(key->type, "int", 3) == 0, uuid = strcmp(key->type, "uuid") == 0;
    const char *form = number ? "^-?[0-9]{1,18}$" : uuid ? "^[0-9a-f-]{36}$" : "";
    buf_printf(out, "case when $1::text ~ '%s' then $1::text::%s end", form, key->format);
}

/* No epoch fences this off: the event was sent, or an operator gave it up, whoever runs the
 * pipeline now. A row that was set back to pending is not touched. */
int outbox_pg_note_closed(void *source, struct slice position, bool delivered, struct error *err)
{
    struct outbox_pg *s = source;
    struct outbox_pg_table *t = &s->table;
    if (!s->mode->has_status) {
        return RESULT_DONE;
    }
    CLEANUP(buf_release) struct buf sql = {0}, key = {0};
    struct pg *c = NULL;
    buf_add_slice(&key, position);
    int rc = outbox_pg_connect_mark(s, &c, err);
    rc = rc || t->key ? rc : outbox_pg_inspect(c, s->conf, s->env, t, err);
    if (rc == RESULT_DONE) {
        buf_printf(&sql, "update %s t set status = 'done', next_attempt_at = null%s where t.%s = ",
                   t->quoted, delivered ? ", last_error = null, published_at = now()" : "",
                   t->key->quoted);
        add_key_param(t->key, &sql);
        buf_add_str(&sql, " and t.status = 'failed'");
        rc = pg_query(c, buf_str(&sql), 1, (const char *const[]){buf_str(&key)}, NULL, err);
    }
    pg_close(c);
    return rc ? error_prefix(err, "the row of a dead letter") : RESULT_DONE;
}
