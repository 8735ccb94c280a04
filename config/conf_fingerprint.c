/* Makes one text of all settings of a struct. Different settings must give different texts, or a
 * reload would not apply a change; only the hash of a secret could collide, which is improbable.
 * The text does not show secrets. */
#include "config/conf_fingerprint.h"

#include "base/fnv1a.h"
#include "base/slice.h"
#include <fcntl.h>
#include <inttypes.h>
#include <sys/stat.h>
#include <unistd.h>

enum { MOST_CONTENT = 4 << 20 }; /* bytes of a file that are looked at */

/* Length and hash of a text that may hold a secret: it shows that the text has changed. The hash
 * would not protect a weak password from guessing, so it is never written anywhere. */
static void add_hidden(struct buf *out, const char *text)
{
    struct slice s = slice_from(text);
    buf_printf(out, "%zu#%016" PRIx64, s.len, fnv1a_add(FNV1A_START, s));
}

/* The length before the text: without it two lists such as [a, b] and ["ab"] would give the same.
 */
static void add_text(struct buf *out, const char *text)
{
    buf_printf(out, "%zu:%s", strlen(text), text);
}

/* Whether a key or a property of librdkafka names a file with certificates or a key. */
static bool names_file(const char *name)
{
    static const char *const ends[] = {"_file", ".location", "known_hosts"};
    size_t n = strlen(name);
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++) {
        size_t of_end = strlen(ends[i]);
        if (n >= of_end && strcmp(name + n - of_end, ends[i]) == 0) {
            return true;
        }
    }
    return false;
}

/* The hash of what such a file holds now: a certificate that was renewed is a change. A file that
 * cannot be read adds nothing; who uses it will say so. */
static void add_content(struct buf *out, const char *path)
{
    char part[4096];
    struct stat st;
    uint64_t hash = FNV1A_START;
    ssize_t n = 0;
    int fd = path[0] ? open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK) : -1;
    if (fd < 0) {
        return;
    }
    off_t left = fstat(fd, &st) == 0 && S_ISREG(st.st_mode) ? MOST_CONTENT : 0;
    while (left > 0 && (n = read(fd, part, sizeof part)) > 0) {
        hash = fnv1a_add(hash, (struct slice){part, (size_t)n});
        left -= n;
    }
    close(fd);
    buf_printf(out, "@%016" PRIx64, hash);
}

static void add_named(struct buf *out, const struct conf_named_list *list)
{
    for (size_t i = 0; i < list->words.count; i++) {
        add_text(out, list->words.items[i]);
    }
    for (size_t i = 0; i < list->count; i++) {
        const struct conf_named *n = &list->items[i];
        buf_printf(out, " %zu %s ", n->place, n->column ? "column" : "value");
        add_text(out, n->column ? n->column : n->value);
        add_text(out, n->as);
    }
}

static void add_lists(struct buf *out, const struct conf_lists *lists)
{
    for (size_t i = 0; i < lists->count; i++) {
        buf_add_char(out, ' ');
        add_text(out, lists->items[i].name);
        for (size_t k = 0; k < lists->items[i].texts.count; k++) {
            add_text(out, lists->items[i].texts.items[k]);
        }
    }
}

static void add_value(struct buf *out, const struct conf_key *key, const void *field)
{
    switch (key->type) {
    case CONF_STRING:
        /* a table may call a url a plain string, and the url may hold a password */
        if (strstr(key->name, "url")) {
            add_hidden(out, *(char *const *)field);
        } else {
            add_text(out, *(char *const *)field);
        }
        if (names_file(key->name)) {
            add_content(out, *(char *const *)field);
        }
        break;
    case CONF_SECRET:
        add_hidden(out, *(char *const *)field);
        break;
    case CONF_BOOL:
        buf_add_str(out, *(const bool *)field ? "true" : "false");
        break;
    case CONF_INT:
    case CONF_DURATION:
    case CONF_SIZE:
        buf_printf(out, "%" PRId64, *(const int64_t *)field);
        break;
    case CONF_RATIO:
        buf_printf(out, "%.17g", *(const double *)field);
        break;
    case CONF_ENUM:
        buf_printf(out, "%d", *(const int *)field);
        break;
    case CONF_LIST:
        for (size_t i = 0; i < ((const struct conf_list *)field)->count; i++) {
            add_text(out, ((const struct conf_list *)field)->items[i]);
        }
        break;
    case CONF_NAMED:
        add_named(out, field);
        break;
    case CONF_MAP:
        for (size_t i = 0; i < ((const struct conf_map *)field)->count; i++) {
            const struct conf_pair *pair = &((const struct conf_map *)field)->pairs[i];
            add_text(out, pair->name);
            add_hidden(out, pair->value); /* such as sasl.password */
            if (names_file(pair->name)) {
                add_content(out, pair->value);
            }
        }
        break;
    case CONF_LISTS:
        add_lists(out, (const struct conf_lists *)(const void *)field);
        break;
    case CONF_GROUP:
    case CONF_GROUPS:
        break;
    }
}

static void add_groups(struct buf *out, const char *prefix, const struct conf_key *key,
                       const struct conf_groups *groups)
{
    for (size_t i = 0; i < groups->count; i++) {
        CLEANUP(buf_release) struct buf inner = {0};
        buf_printf(&inner, "%s.%s[%zu]", prefix, key->name, i);
        conf_fingerprint(out, buf_str(&inner), key->group,
                         (const char *)groups->items + i * key->group_size);
    }
}

void conf_fingerprint(struct buf *out, const char *prefix, const struct conf_key *keys,
                      const void *base)
{
    for (; keys && keys->name; keys++) {
        const char *field = (const char *)base + keys->offset;
        /* The owner of the struct may treat a default that was written out differently. */
        bool given = keys->given_offset && *(const bool *)((const char *)base + keys->given_offset);
        if (keys->type == CONF_GROUP) {
            CLEANUP(buf_release) struct buf inner = {0};
            buf_printf(&inner, "%s.%s%s", prefix, keys->name, given ? "!" : "");
            conf_fingerprint(out, buf_str(&inner), keys->group, field);
            continue;
        }
        if (keys->type == CONF_GROUPS) {
            add_groups(out, prefix, keys, (const struct conf_groups *)(const void *)field);
            continue;
        }
        buf_printf(out, "%s.%s%s=", prefix, keys->name, given ? "!" : "");
        add_value(out, keys, field);
        buf_add_char(out, '\n');
    }
}
