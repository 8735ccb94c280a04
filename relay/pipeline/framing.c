/* Joins the schemas that the encoder wants and the client that asks the registry for them. */
#include "pipeline/framing.h"

#include "message/schema/book.h"
#include "pipeline/formats.h"
#include "pipeline/internal.h"

int framing_open(struct pipeline *p, struct error *err)
{
    const struct conf_pipeline *c = p->parts.conf;
    if (p->encode.value == VALUE_JSON && !p->encode.schemas) {
        return RESULT_DONE;
    }
    const struct schema_book_conf book = {.encode = &p->encode,
                                          .by_record =
                                              c->encode.registry.subject == CONF_SUBJECT_RECORD,
                                          .key_is_text = c->route.key_given};
    const struct schemas_conf client = formats_registry(c);
    p->framing.book = schema_book_new(&book);
    return p->encode.schemas ? RESULT_DONE : schemas_client_new(&client, &p->framing.client, err);
}

void framing_close(struct pipeline *p)
{
    schemas_client_free(p->framing.client);
    schema_book_free(p->framing.book);
}

int framing_of_change(struct pipeline *p, struct event *e, struct error *err)
{
    return p->framing.client ? schema_book_change(p->framing.book, e, err) : RESULT_DONE;
}

int framing_embed(struct pipeline *p, struct batch *b, struct event *e, struct error *err)
{
    return p->encode.schemas ? schema_book_embed(p->framing.book, e, &b->arena, err) : RESULT_DONE;
}

int framing_apply(struct pipeline *p, struct batch *b, struct event *e, struct error *err)
{
    if (!p->framing.client) {
        return RESULT_DONE;
    }
    int rc = schema_frame(p->framing.book, e, &b->arena, err);
    return rc == RESULT_ERROR ? rc : RESULT_DONE;
}

void framing_tend(struct pipeline *p)
{
    if (p->framing.client && schemas_client_step(p->framing.client, p->framing.book)) {
        p->again = true;
    }
}

int framing_wait(struct pipeline *p, struct error *err)
{
    return schemas_client_failure(p->framing.client, p->framing.book, err) ? RESULT_ERROR
                                                                           : RESULT_DONE;
}

void framing_poll(const struct pipeline *p, struct poll_set *set)
{
    if (p->framing.client) {
        schemas_client_poll_fds(p->framing.client, set);
    }
}
