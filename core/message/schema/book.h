/*
 * The schemas of a pipeline's messages, and what a schema registry calls them.
 *
 * Example: the first change of shop.public.orders needs two schemas, of its key and of its value.
 * The book makes their texts from the table, and wants a number for each of them under a subject,
 * "shop.public.orders-key" and "shop.public.orders-value". Somebody who can talk to the registry
 * (schemas/client.h) takes them by schema_book_wanted, and puts in the numbers. From then on events
 * of that table are framed at once: a zero byte, the number (four bytes, the highest first), the
 * encoded value. After ALTER TABLE the text is another one, and it is registered under the same
 * subject: there the registry decides whether its readers can go on.
 *
 * An event whose numbers are not known yet is not framed; it waits in the ledger like one that the
 * sink has no room for. So nothing here waits, and the registry being away is back-pressure.
 *
 * A dead letter that is sent again has no table any more: it is written with the newest schema of
 * its subject, which is looked up in the registry.
 *
 * With encode.schemas there is no registry: the schema stands in the message (schema_book_embed).
 *
 * One thread at a time: the pipeline's. Memory running out aborts.
 */
#pragma once

#include "base/arena.h"
#include "base/error.h"
#include "message/encode.h"

struct schema_book;

struct schema_book_conf {
    const struct encode_conf *encode; /* borrowed */
    bool by_record;   /* a subject is the name of the record; else topic-key and topic-value */
    bool key_is_text; /* route.key is configured: a key is a text, and not an object of columns */
};

/* A schema under a subject, or the newest one of a subject. Owned by the book. */
struct schema_subject;

/* The caller frees it. Never NULL. */
struct schema_book *schema_book_new(const struct schema_book_conf *conf);
void schema_book_free(struct schema_book *b); /* NULL is fine */

/* Notes in e->key_schema and e->value_schema which schemas this event of a change (e->change) has.
 * They live as long as the book. ERROR: POISON, the table has a name that no schema can hold; FATAL
 * for a bug. */
int schema_book_change(struct schema_book *b, struct event *e, struct error *err) MUST_CHECK;

/* With encode->schemas: puts the schema before e->key and e->payload of an event of a change, as
 * {"schema":S,"payload":P}, in `arena`. It is the text of the book's own; no registry is asked.
 * Call it behind encode_change. ERROR as schema_book_change. */
int schema_book_embed(struct schema_book *b, struct event *e, struct arena *arena,
                      struct error *err) MUST_CHECK;

/* Makes e->wire_key and e->value, in `arena`, of e->key and e->payload. Call it behind route_apply
 * and encode_message, which decide topic and key. DONE: it may be sent. AGAIN: a number is wanted
 * and not known yet (e->unframed is set); call it again once schema_book_known. ERROR: POISON, the
 * value does not fit the schema, or no change has made the event. */
int schema_frame(struct schema_book *b, struct event *e, struct arena *arena,
                 struct error *err) MUST_CHECK;

/* --- for the one who asks the registry --- */

/* Whether its schemas are JSON Schema; else they are Avro. */
bool schema_book_is_json(const struct schema_book *b);

/* The subject that is wanted first, NULL: none. It stays the first until it is known or forgotten.
 */
struct schema_subject *schema_book_wanted(struct schema_book *b);

/* Appends its name, as the registry has it. */
void schema_subject_name(const struct schema_subject *s, struct buf *out);

/* The schema to register, borrowed. NULL: the newest one of the subject is to be looked up. */
const char *schema_subject_text(const struct schema_subject *s);

/* The registry knows it by this number. `text`: of one that was looked up, else a null slice.
 * ERROR: CONFIG, it is not one that can be written here. */
int schema_subject_known(struct schema_book *b, struct schema_subject *s, uint32_t id,
                         struct slice text, struct error *err) MUST_CHECK;

/* Nothing is wanted any more: asking has failed. What events still need is wanted again when they
 * are to be framed. */
void schema_book_forget_wanted(struct schema_book *b);
