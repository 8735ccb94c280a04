/* Makes sample events with random contents. What is not random is the number "n" in the payload: it
 * counts the events of its key without a gap, in the order in which they are made. */
#include "cli/emit_event.h"

#include "base/memory.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

static const char *const types[] = {"OrderCreated", "OrderPaid", "OrderShipped", "OrderDelivered"};
static const char *const products[] = {"tea", "coffee", "bread", "honey", "olives", "cheese"};

static void fill_random(void *out, size_t n)
{
    if (getrandom(out, n, 0) != (ssize_t)n) {
        abort(); /* cannot happen: the kernel always gives up to 256 bytes at once */
    }
}

static uint64_t next(struct emit_generator *g)
{
    g->random ^= g->random << 13; /* xorshift64 is good enough for samples */
    g->random ^= g->random >> 7;
    g->random ^= g->random << 17;
    return g->random;
}

void emit_generator_init(struct emit_generator *g, uint64_t keys)
{
    uint64_t run;
    fill_random(&g->random, sizeof g->random);
    fill_random(&run, sizeof run);
    g->random |= 1; /* 0 would stay 0 */
    g->keys = keys;
    g->numbers = memory_need(calloc(keys, sizeof *g->numbers));
    snprintf(g->run, sizeof g->run, "%016llx", (unsigned long long)run);
}

void emit_generator_release(struct emit_generator *g)
{
    free(g->numbers);
    g->numbers = NULL;
}

static void make_uuid(char out[37])
{
    unsigned char b[16];
    fill_random(b, sizeof b);
    b[6] = (unsigned char)((b[6] & 0x0f) | 0x40); /* RFC 9562: version 4, variant 10 */
    b[8] = (unsigned char)((b[8] & 0x3f) | 0x80);
    snprintf(out, 37, "%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x", b[0],
             b[1], b[2], b[3], b[4], b[5], b[6], b[7], b[8], b[9], b[10], b[11], b[12], b[13],
             b[14], b[15]);
}

void emit_generate(struct emit_generator *g, struct emit_event *ret)
{
    uint64_t key = next(g) % g->keys;
    uint32_t n = ++g->numbers[key];
    unsigned quantity = (unsigned)(next(g) % 5) + 1, cents = (unsigned)(next(g) % 9000) + 99;
    const char *product = products[next(g) % (sizeof products / sizeof *products)];
    make_uuid(ret->id);
    snprintf(ret->aggregateid, sizeof ret->aggregateid, "order-%llu", (unsigned long long)key + 1);
    ret->type = types[(n - 1) % (sizeof types / sizeof *types)];
    buf_clear(&ret->payload);
    buf_printf(
        &ret->payload,
        "{\"order_id\": \"%s\", \"n\": %u, \"customer\": \"customer-%llu\", \"items\": [{\"product\": \"%s\", \"quantity\": %u, \"price\": %u.%02u}], \"currency\": \"EUR\"}",
        ret->aggregateid, n, (unsigned long long)(key * 7 % 1000 + 1), product, quantity,
        cents / 100, cents % 100);
    buf_clear(&ret->headers);
    buf_printf(&ret->headers, "{\"source\": \"commitrelay emit\", \"run\": \"%s\"}", g->run);
}

void emit_event_release(struct emit_event *e)
{
    buf_release(&e->payload);
    buf_release(&e->headers);
}
