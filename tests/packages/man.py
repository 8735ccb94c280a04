"""man.py BUILD: the man pages are whole and without fault, and hold every command, option and key."""
import json
import re
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from support import proc  # noqa: E402
from support.proc import check, check_equal  # noqa: E402

PRINTED = Path(sys.argv[1]) / "printed"


def out(*command, **more):
    r = subprocess.run([str(c) for c in command], capture_output=True, text=True, check=False, **more)
    check(r.returncode == 0, f"{command}: {r.returncode}\n{r.stdout}{r.stderr}")
    return r


def page(name):
    """The page as a reader sees it, blanks folded; made as `man` makes it, with every warning."""
    file = next(PRINTED.rglob(name))
    r = out("man", "--warnings=w", "-E", "UTF-8", "-l", "-Tutf8", file, env={"PATH": "/usr/bin:/bin", "MANWIDTH": "100", "LC_ALL": "C.UTF-8"})
    check_equal(r.stderr, "", f"what man says of {name}")
    return re.sub(r"\x1b\[[0-9;]*m|.\x08", "", r.stdout)


def folded(text):
    """Without blanks: a line may be broken anywhere, at a hyphen too."""
    return re.sub(r"[\s\u2010-]", "", text)


def whatis(name, says):
    lexed = out("lexgrog", next(PRINTED.rglob(name))).stdout
    check(says in lexed, f"lexgrog does not find {says!r}: {lexed}")


def help_of(*command):
    return out(proc.BIN, *command, "--help").stdout


def commands_page():
    whatis("commitrelay.1", '"commitrelay - relays what a database has committed"')
    text = page("commitrelay.1")
    seen, flat = set(re.findall(r"(?<![\w-])--[\w-]+", text)), folded(text)
    commands = re.findall(r"^  ([\w-]+) +\S", help_of(), re.M)
    check(len(commands) > 15, f"too few commands: {commands}")
    for command in commands:
        check(re.search(rf"^   {command}$", text, re.M), f"commitrelay(1) has no section of {command}")
        about = help_of(command)
        options = re.findall(r"^  (?:-\w, |    )(--[\w-]+)(?: \S+)? +(\S.*)$", about, re.M)
        check(options, f"{command} has no options, not even --help")
        for option, meaning in options:
            check(option in seen, f"commitrelay(1) lacks {command} {option}")
            check(folded(meaning.replace("`", "")) in flat, f"commitrelay(1) lacks what {command} {option} means: {meaning}")
        for line in about.splitlines():
            check(folded(line.removeprefix("usage: ").replace("`", "")) in flat, f"commitrelay(1) lacks, of {command}: {line}")
    for heading in ("NAME", "SYNOPSIS", "FILES", "ENVIRONMENT", "STATES", "METRICS", "SEE ALSO"):
        check(re.search(rf"^{heading}$", text, re.M), f"commitrelay(1) has no {heading}")
    check("commitrelay_events_delivered_total" in text, "commitrelay(1) has no metrics")


def config_page():
    whatis("commitrelay.yaml.5", '"commitrelay.yaml - configuration of commitrelay"')
    flat = folded(page("commitrelay.yaml.5"))
    rows = re.findall(r"^\| `([^`]+)`.* \| (.*?) \|$", out(proc.BIN, "reference", "config").stdout, re.M)
    check(len(rows) > 150, f"too few keys: {len(rows)}")
    for key, meaning in rows:
        check(folded(key) in flat, f"commitrelay.yaml(5) lacks the key {key}")
        words = re.sub(r"`+", "", meaning.replace("\\|", "|"))
        check(folded(words) in flat, f"commitrelay.yaml(5) lacks what {key} means: {json.dumps(words)}")


commands_page()
config_page()
