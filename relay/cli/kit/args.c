/* Parses options with getopt_long, by the command's table. An option that is not spelled out
 * exactly is refused, and the nearest known one is named. */
#include "cli/kit/args.h"

#include "base/memory.h"

#include "config/conf_suggest.h"
#include <errno.h>
#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { OPTIONS_MAX = 24, LONG_BASE = 1000 };

static const struct args_option help_option = {
    .name = "help", .letter = 'h', .kind = ARGS_FLAG, .help = "show this text"};

/* Who looks at a command's options in place of a user who reads them; see args_look. */
static struct {
    args_see_fn *see;
    void *ctx;
} looking;

struct parse {
    const struct cli_command *command;
    const struct args_option *options;
    size_t count;
    bool given[OPTIONS_MAX];
    bool help;
};

void args_list_release(struct args_list *l)
{
    free(l->items);
    *l = (struct args_list){0};
}

int args_mistake(const struct cli_command *command, const char *fmt, ...)
{
    char text[512];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    return cli_error(EXIT_CODE_USAGE, "%s: %s; see `commitrelay %s --help`", command->name, text,
                     command->name);
}

static void option_help(struct buf *out, const struct args_option *o)
{
    char left[64], letter[8] = "    ";
    if (o->letter) {
        snprintf(letter, sizeof letter, "-%c, ", o->letter);
    }
    snprintf(left, sizeof left, "%s--%s%s%s", letter, o->name, o->value ? " " : "",
             o->value ? o->value : "");
    buf_printf(out, "  %-26s %s\n", left, o->help ? o->help : "");
}

static int print_help(const struct parse *p)
{
    CLEANUP(buf_release) struct buf out = {0};
    const char *lead = "usage: ";
    for (const char *form = p->command->usage; form;) {
        const char *end = strchr(form, '\n');
        int n = end ? (int)(end - form) : (int)strlen(form);
        buf_printf(&out, "%scommitrelay %s%s%.*s\n", lead, p->command->name, n ? " " : "", n, form);
        lead = "       ";
        form = end ? end + 1 : NULL;
    }
    buf_printf(&out, "\n%s\n", p->command->about ? p->command->about : p->command->summary);
    buf_add_char(&out, '\n');
    for (size_t i = 0; i < p->count; i++) {
        if (p->options[i].kind != ARGS_LATER) {
            option_help(&out, &p->options[i]);
        }
    }
    option_help(&out, &help_option);
    return cli_print(buf_slice(&out));
}

static int unknown(const struct parse *p, const char *word)
{
    const char *names[OPTIONS_MAX + 1];
    size_t n = 0;
    for (size_t i = 0; i < p->count; i++) {
        if (p->options[i].kind != ARGS_LATER) {
            names[n++] = p->options[i].name;
        }
    }
    names[n++] = help_option.name;
    struct slice name = {word + 2, strcspn(word + 2, "=")};
    const char *nearest = suggest_nearest(name, names, n);
    return args_mistake(p->command, "unknown option --%.*s%s%s", SLICE_FMT(name),
                        nearest ? ", the nearest known one is --" : "", nearest ? nearest : "");
}

static int set_int(const struct parse *p, const struct args_option *o, const char *text)
{
    char *end;
    errno = 0;
    long long v = strtoll(text, &end, 10);
    if (errno || *end || end == text || v < o->min || v > o->max) {
        return args_mistake(p->command, "--%s needs a whole number from %lld to %lld, not \"%s\"",
                            o->name, (long long)o->min, (long long)o->max, text);
    }
    *(int64_t *)o->target = v;
    return 0;
}

static void add_item(struct args_list *l, const char *text)
{
    const char **items = memory_need(realloc(l->items, (l->count + 1) * sizeof *items));
    items[l->count++] = text;
    l->items = items;
}

static int set(struct parse *p, size_t i, const char *text)
{
    const struct args_option *o = &p->options[i];
    if (o->kind == ARGS_LATER) {
        return args_mistake(p->command, "--%s is not in this version", o->name);
    }
    if (p->given[i] && (o->kind == ARGS_TEXT || o->kind == ARGS_INT)) {
        return args_mistake(p->command, "--%s is given twice", o->name);
    }
    p->given[i] = true;
    if (o->kind == ARGS_FLAG) {
        *(bool *)o->target = true;
        return 0;
    }
    if (!text[0]) {
        return args_mistake(p->command, "--%s needs a value, not an empty one", o->name);
    }
    if (o->kind == ARGS_INT) {
        return set_int(p, o, text);
    }
    if (o->kind == ARGS_LIST) {
        add_item(o->target, text);
    } else {
        *(const char **)o->target = text;
    }
    return 0;
}

/* Whether the option was written in full. getopt_long accepts abbreviations, so the word in argv is
 * compared. */
static bool spelled_out(const char *name, char **argv)
{
    const char *word = argv[optind - 1];
    if (optarg == word) {
        word = argv[optind - 2];
    }
    size_t n = strlen(name);
    return strncmp(word, "--", 2) == 0 && strncmp(word + 2, name, n) == 0 &&
           (word[2 + n] == 0 || word[2 + n] == '=');
}

static size_t find_letter(const struct parse *p, int letter)
{
    size_t i = 0;
    while (i < p->count && p->options[i].letter != letter) {
        i++;
    }
    return i;
}

static int complain(const struct parse *p, int c, char **argv)
{
    const char *word = argv[optind - 1];
    if (c == ':') {
        return args_mistake(p->command, "%s needs a value", word);
    }
    if (strncmp(word, "--", 2) != 0 || (optopt > 0 && optopt < LONG_BASE)) {
        return args_mistake(p->command, "unknown option -%c", optopt);
    }
    if (optopt >= LONG_BASE) {
        return args_mistake(p->command, "--%.*s takes no value", (int)strcspn(word + 2, "="),
                            word + 2);
    }
    return unknown(p, word);
}

static void build(struct parse *p, struct option *longs, char *shorts)
{
    *shorts++ = ':';
    for (p->count = 0; p->options[p->count].name && p->count < OPTIONS_MAX; p->count++) {
        const struct args_option *o = &p->options[p->count];
        /* A value of a later option is not looked at, but it must not be taken for a word. */
        int has = o->kind == ARGS_FLAG    ? no_argument
                  : o->kind != ARGS_LATER ? required_argument
                                          : optional_argument;
        longs[p->count] = (struct option){o->name, has, NULL, LONG_BASE + (int)p->count};
        if (o->letter) {
            *shorts++ = o->letter;
            if (has == required_argument) {
                *shorts++ = ':';
            }
        }
    }
    longs[p->count] = (struct option){"help", no_argument, NULL, 'h'};
    *shorts++ = 'h';
    *shorts = 0;
}

static int parse_all(struct parse *p, int argc, char **argv)
{
    struct option longs[OPTIONS_MAX + 2] = {{0}};
    char shorts[2 * OPTIONS_MAX + 3];
    build(p, longs, shorts);
    optind = 0;
    opterr = 0;
    for (int c; (c = getopt_long(argc, argv, shorts, longs, NULL)) != -1;) {
        size_t i = c >= LONG_BASE ? (size_t)(c - LONG_BASE) : find_letter(p, c);
        int rc = 0;
        if (c >= LONG_BASE && !spelled_out(p->options[i].name, argv)) {
            rc = unknown(p, optarg == argv[optind - 1] ? argv[optind - 2] : argv[optind - 1]);
        } else if (c == 'h') {
            p->help = true;
        } else if (c == '?' || c == ':') {
            rc = complain(p, c, argv);
        } else {
            rc = set(p, i, optarg);
        }
        if (rc) {
            return rc;
        }
    }
    return 0;
}

static void show_looker(const struct parse *p)
{
    struct args_option shown[OPTIONS_MAX + 1];
    size_t n = 0;
    for (size_t i = 0; i < p->count; i++) {
        if (p->options[i].kind != ARGS_LATER) {
            shown[n++] = p->options[i];
        }
    }
    shown[n++] = help_option;
    looking.see(looking.ctx, p->command, shown, n);
}

/* Every command parses its options before it does anything else, so --help leads to the table. */
void args_look(const struct cli_command *command, args_see_fn *see, void *ctx)
{
    char name[] = "commitrelay", help[] = "--help";
    char *argv[] = {name, help, NULL};
    looking.see = see;
    looking.ctx = ctx;
    (void)command->run(2, argv);
    looking.see = NULL;
}

bool args_parse(const struct cli_command *command, const struct args_option *options, int argc,
                char **argv, struct args_rest *rest, int *ret_exit)
{
    struct parse p = {.command = command, .options = options};
    *ret_exit = parse_all(&p, argc, argv);
    if (*ret_exit) {
        return false;
    }
    if (p.help && looking.see) {
        show_looker(&p);
        return false;
    }
    if (p.help) {
        *ret_exit = print_help(&p);
        return false;
    }
    if (rest) {
        *rest = (struct args_rest){argv + optind, (size_t)(argc - optind)};
    } else if (optind < argc) {
        *ret_exit = args_mistake(command, "\"%s\" is one word too many", argv[optind]);
        return false;
    }
    return true;
}
