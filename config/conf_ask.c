/* Reads values from plugin structs by key name. A missing key is no mistake: the callers ask every
 * plugin the same questions, and NULL or false is the answer of one that has no such key. */
#include "config/conf_ask.h"

#include <string.h>

/* Finds "columns.seq" group by group. *ret_base: the struct of the key's group, from which its
 * offset counts. */
static const struct conf_key *find_key(const struct conf_key *keys, const void *conf,
                                       const char *name, const char **ret_base)
{
    size_t n = strcspn(name, ".");
    *ret_base = conf;
    for (const struct conf_key *k = keys; k->name; k++) {
        if (strlen(k->name) == n && strncmp(k->name, name, n) == 0) {
            return name[n] ? find_key(k->group, *ret_base + k->offset, name + n + 1, ret_base) : k;
        }
    }
    return NULL;
}

const char *conf_ask_text(const struct conf_key *keys, const void *conf, const char *name)
{
    const char *base;
    const struct conf_key *k = find_key(keys, conf, name, &base);
    bool text = k && (k->type == CONF_STRING || k->type == CONF_SECRET);
    return text ? *(char *const *)(const void *)(base + k->offset) : NULL;
}

const char *conf_ask_word(const struct conf_key *keys, const void *conf, const char *name)
{
    const char *base;
    const struct conf_key *k = find_key(keys, conf, name, &base);
    return k && k->type == CONF_ENUM ? k->choices[*(const int *)(const void *)(base + k->offset)]
                                     : NULL;
}

bool conf_ask_given(const struct conf_key *keys, const void *conf, const char *name)
{
    const char *base;
    const struct conf_key *k = find_key(keys, conf, name, &base);
    return k && k->given_offset && *(const bool *)(const void *)(base + k->given_offset);
}
