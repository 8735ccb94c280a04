/* Writes the completion scripts of bash, zsh and fish. */
#include "cli/completion.h"

#include "cli/kit/args.h"

/* Walks the words of "show|set" or "sink|inbox|FILE-DIR" that one types as they are. Start from
 * {text}. False: there is none left. */
struct words {
    const char *rest;
};

static bool is_typed(struct slice word)
{
    for (size_t i = 0; i < word.len; i++) {
        if ((word.ptr[i] < 'a' || word.ptr[i] > 'z') && !strchr("_-", word.ptr[i])) {
            return false;
        }
    }
    return word.len > 0 && word.ptr[0] != '-';
}

static bool next_word(struct words *w, struct slice *ret)
{
    while (*w->rest) {
        *ret = (struct slice){w->rest, strcspn(w->rest, "|")};
        w->rest += ret->len + (w->rest[ret->len] ? 1 : 0);
        if (is_typed(*ret)) {
            return true;
        }
    }
    return false;
}

/* Appends the words with blanks between them. */
static void add_words(struct buf *out, const char *text)
{
    struct words w = {text};
    struct slice word;
    for (bool first = true; next_word(&w, &word); first = false) {
        buf_add_str(out, first ? "" : " ");
        buf_add_slice(out, word);
    }
}

/* The words with which a command goes on: those that its usage's forms begin with. "show [-c FILE]"
 * has show, "[config|metrics]" both, and "DIR" none. */
static void add_verbs(struct buf *out, const struct cli_command *command)
{
    for (const char *form = command->usage; form;) {
        CLEANUP(buf_release) struct buf first = {0};
        size_t end = strcspn(form, "\n");
        bool open = form[0] == '[';
        buf_add(&first, form + open, strcspn(form + open, "] \n"));
        CLEANUP(buf_release) struct buf words = {0};
        add_words(&words, buf_str(&first));
        if (words.len > 0) {
            buf_add_str(out, out->len > 0 ? " " : "");
            buf_add_slice(out, buf_slice(&words));
        }
        form = form[end] ? form + end + 1 : NULL;
    }
}

static bool ends_with(const char *text, const char *end)
{
    size_t n = strlen(text), m = strlen(end);
    return n >= m && strcmp(text + n - m, end) == 0;
}

static bool command_takes_file(const struct cli_command *command)
{
    return strncmp(command->usage, "DIR", 3) == 0;
}

/* The words that the value of the option may be; nothing if it has none, or is free text, which
 * stands in capitals. */
static void value_words(struct buf *out, const struct args_option *o)
{
    if (o->value) {
        add_words(out, o->value);
    }
}

/* Whether the value may be a file: beside words too, as "sink|inbox|FILE-DIR". */
static bool takes_file(const struct args_option *o)
{
    return o->value && (strcmp(o->value, "FILE") == 0 || ends_with(o->name, "-file") ||
                        strstr(o->value, "|FILE"));
}

/* Text between apostrophes, for zsh and fish. `also`: further characters that need a backslash. */
static void add_quoted(struct buf *out, const char *text, const char *apostrophe, const char *also)
{
    for (; *text; text++) {
        if (*text == '\'') {
            buf_add_str(out, apostrophe);
            continue;
        }
        if (strchr(also, *text)) {
            buf_add_char(out, '\\');
        }
        buf_add_char(out, *text);
    }
}

/* --- bash --- */

struct bash {
    struct buf *options, *values; /* lines of the two case statements */
};

static void bash_value(struct bash *b, const char *command, const struct args_option *o)
{
    CLEANUP(buf_release) struct buf words = {0};
    value_words(&words, o);
    buf_printf(b->values, "    %s:--%s", command, o->name);
    if (o->letter) {
        buf_printf(b->values, " | %s:-%c", command, o->letter);
    }
    buf_printf(b->values, ") words='%s'%s ;;\n", buf_str(&words), takes_file(o) ? " files=1" : "");
}

static void bash_command(void *ctx, const struct cli_command *command,
                         const struct args_option *options, size_t count)
{
    struct bash *b = ctx;
    CLEANUP(buf_release) struct buf verbs = {0};
    add_verbs(&verbs, command);
    buf_printf(b->options, "    %s) ", command->name);
    if (verbs.len > 0) {
        buf_printf(b->options, "verbs='%s' ", buf_str(&verbs));
    }
    if (command_takes_file(command)) {
        buf_add_str(b->options, "files=1 ");
    }
    buf_add_str(b->options, "options='");
    for (size_t i = 0; i < count; i++) {
        buf_printf(b->options, "%s--%s", i ? " " : "", options[i].name);
        if (options[i].value) {
            bash_value(b, command->name, &options[i]);
        }
    }
    buf_add_str(b->options, "' ;;\n");
}

static void add_names(struct buf *out, const struct cli_command *const *commands, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        buf_printf(out, "%s%s", i ? " " : "", commands[i]->name);
    }
}

void completion_bash(struct buf *out, const struct cli_command *const *commands, size_t count)
{
    CLEANUP(buf_release) struct buf options = {0}, values = {0};
    struct bash b = {&options, &values};
    for (size_t i = 0; i < count; i++) {
        args_look(commands[i], bash_command, &b);
    }
    buf_add_str(out, "# Completion of commitrelay for bash: `commitrelay reference completion bash`"
                     "\n_commitrelay() {\n"
                     "    local at=$COMP_CWORD cur=${COMP_WORDS[COMP_CWORD]}\n"
                     "    local command=${COMP_WORDS[1]} verbs= options= words= files=\n"
                     "    COMPREPLY=()\n    if [ \"$at\" = 1 ]; then\n        words='");
    add_names(out, commands, count);
    buf_add_str(out, "'\n    else\n    case $command:${COMP_WORDS[at - 1]} in\n");
    buf_add_slice(out, buf_slice(&values));
    buf_add_str(out, "    *)\n    case $command in\n");
    buf_add_slice(out, buf_slice(&options));
    buf_add_str(out, "    esac\n"
                     "    if [[ $cur != -* && $at = 2 && $verbs ]]; then\n        words=$verbs\n"
                     "    elif [[ $cur = -* || -z $files ]]; then\n        words=$options files=\n"
                     "    fi ;;\n    esac\n    fi\n"
                     "    mapfile -t COMPREPLY < <(compgen -W \"$words\" -- \"$cur\"\n"
                     "        [ -z \"$files\" ] || compgen -f -- \"$cur\")\n"
                     "    [ -z \"$files\" ] || compopt -o filenames 2>/dev/null\n    return 0\n}\n"
                     "complete -F _commitrelay commitrelay\n");
}

/* --- zsh --- */

static void zsh_action(struct buf *out, const struct args_option *o)
{
    CLEANUP(buf_release) struct buf words = {0};
    value_words(&words, o);
    buf_add_char(out, ':');
    add_quoted(out, o->value, "'\\''", ":\\");
    if (words.len > 0 && takes_file(o)) {
        buf_printf(out, ": _alternative \"words\\:word\\:(%s)\" \"files\\:file\\:_files\"",
                   buf_str(&words));
    } else if (words.len > 0) {
        buf_printf(out, ":(%s)", buf_str(&words));
    } else {
        buf_add_str(out, takes_file(o) ? ":_files" : ": ");
    }
}

static void zsh_option(struct buf *out, const struct args_option *o)
{
    bool again = o->kind == ARGS_LIST;
    buf_add_str(out, " \\\n            ");
    if (o->letter && !again) {
        buf_printf(out, "'(-%c --%s)'", o->letter, o->name);
    }
    if (again) {
        buf_add_str(out, "'*'");
    }
    if (o->letter) {
        buf_printf(out, "{-%c,--%s}'[", o->letter, o->name);
    } else {
        buf_printf(out, "--%s'[", o->name);
    }
    add_quoted(out, o->help ? o->help : "", "'\\''", "[]\\");
    buf_add_char(out, ']');
    if (o->value) {
        zsh_action(out, o);
    }
    buf_add_char(out, '\'');
}

static void zsh_command(void *ctx, const struct cli_command *command,
                        const struct args_option *options, size_t count)
{
    struct buf *out = ctx;
    CLEANUP(buf_release) struct buf verbs = {0};
    add_verbs(&verbs, command);
    buf_printf(out, "    %s)\n        _arguments -S", command->name);
    for (size_t i = 0; i < count; i++) {
        zsh_option(out, &options[i]);
    }
    if (verbs.len > 0) {
        buf_printf(out, " \\\n            '1:word:(%s)'", buf_str(&verbs));
    }
    buf_add_str(out,
                command_takes_file(command) ? " \\\n            '*:folder:_files' ;;\n" : " ;;\n");
}

void completion_zsh(struct buf *out, const struct cli_command *const *commands, size_t count)
{
    buf_add_str(out, "#compdef commitrelay\n"
                     "# Completion of commitrelay for zsh: `commitrelay reference completion zsh`\n"
                     "_commitrelay() {\n    local -a commands\n    commands=(\n");
    for (size_t i = 0; i < count; i++) {
        buf_printf(out, "        '%s:", commands[i]->name);
        add_quoted(out, commands[i]->summary, "'\\''", "");
        buf_add_str(out, "'\n");
    }
    buf_add_str(out, "    )\n    if (( CURRENT == 2 )); then\n"
                     "        _describe command commands\n        return\n    fi\n"
                     "    shift words\n    (( CURRENT-- ))\n    case $words[1] in\n");
    for (size_t i = 0; i < count; i++) {
        args_look(commands[i], zsh_command, out);
    }
    buf_add_str(out, "    esac\n}\n"
                     "if [ \"$funcstack[1]\" = _commitrelay ]; then\n    _commitrelay \"$@\"\n"
                     "else\n    compdef _commitrelay commitrelay\nfi\n");
}

/* --- fish --- */

static void fish_option(struct buf *out, const char *command, const struct args_option *o)
{
    CLEANUP(buf_release) struct buf words = {0};
    value_words(&words, o);
    buf_printf(out, "complete -c commitrelay -n '__fish_seen_subcommand_from %s' -l %s", command,
               o->name);
    if (o->letter) {
        buf_printf(out, " -s %c", o->letter);
    }
    if (o->value) {
        buf_add_str(out, takes_file(o) ? " -r -F" : " -x");
    }
    if (words.len > 0) {
        buf_printf(out, " -a '%s'", buf_str(&words));
    }
    buf_add_str(out, " -d '");
    add_quoted(out, o->help ? o->help : "", "\\'", "\\");
    buf_add_str(out, "'\n");
}

static void fish_command(void *ctx, const struct cli_command *command,
                         const struct args_option *options, size_t count)
{
    struct buf *out = ctx;
    CLEANUP(buf_release) struct buf verbs = {0};
    add_verbs(&verbs, command);
    buf_printf(out, "complete -c commitrelay -n __fish_use_subcommand -a %s -d '", command->name);
    add_quoted(out, command->summary, "\\'", "\\");
    buf_add_str(out, "'\n");
    if (verbs.len > 0) {
        buf_printf(out,
                   "complete -c commitrelay -n '__fish_seen_subcommand_from %s; and not "
                   "__fish_seen_subcommand_from %s' -a '%s'\n",
                   command->name, buf_str(&verbs), buf_str(&verbs));
    }
    if (command_takes_file(command)) {
        buf_printf(out, "complete -c commitrelay -n '__fish_seen_subcommand_from %s' -F\n",
                   command->name);
    }
    for (size_t i = 0; i < count; i++) {
        fish_option(out, command->name, &options[i]);
    }
}

void completion_fish(struct buf *out, const struct cli_command *const *commands, size_t count)
{
    buf_add_str(out, "# Completion of commitrelay for fish: `commitrelay reference completion fish`"
                     "\ncomplete -c commitrelay -f\n");
    for (size_t i = 0; i < count; i++) {
        args_look(commands[i], fish_command, out);
    }
}
