"""completion.py BUILD: bash, zsh and fish complete commands, their words, options and values."""
import os
import pty
import re
import select
import shlex
import subprocess
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from support import proc  # noqa: E402
from support.proc import check, check_equal  # noqa: E402

PRINTED = Path(sys.argv[1]) / "printed"
COMMANDS = re.findall(r"^  ([\w-]+) +\S", subprocess.run([proc.BIN, "--help"], capture_output=True, text=True, check=True).stdout, re.M)
HERE = proc.tempdir("completion")
(HERE / "relay.yaml").write_text("")
(HERE / "shop").mkdir()

# What is typed -> what must be offered, or a part of it (then with `...` at the end).
CASES = [
    ("", COMMANDS),
    ("stat", ["status"]),
    ("position ", ["show", "set", "history", "forget"]),
    ("dead-letters ", ["list", "show", "retry", "drop", "edit"]),
    ("reference co", ["config", "completion"]),
    ("status --exit", ["--exit-code"]),
    ("verify --against s", ["sink", "shop"]),
    ("check --config r", ["relay.yaml"]),
    ("check -c r", ["relay.yaml"]),
    ("verify-batch s", ["shop"]),
    ("init --mode ", ["position", "status", "delete"]),
    ("init --partitioned ", ["day"]),
    ("consume --format ", ["json", "flat", "debezium", "payload"]),
]


def options_of(command):
    said = subprocess.run([proc.BIN, command, "--help"], capture_output=True, text=True, check=True).stdout
    return re.findall(r"^  (?:-\w, |    )(--[\w-]+)(?: \S+)? +\S", said, re.M)


CASES += [(f"{command} --", options_of(command)) for command in COMMANDS]


def offered(text):
    """Names as they are: a folder may come with a slash."""
    return sorted({line.split("\t")[0].rstrip("/") for line in text.splitlines() if line})


def shell(*command, **more):
    r = subprocess.run(command, capture_output=True, text=True, check=False, cwd=HERE, **more)
    check(r.returncode == 0 and not r.stderr, f"{command}: {r.returncode} {r.stderr}")
    return r.stdout


def bash(line):
    words = ["commitrelay", *line.split(" ")]
    script = shlex.quote(str(next(PRINTED.rglob("completions/commitrelay"))))
    return shell("bash", "--norc", "-c", f'source {script}; complete -p commitrelay >/dev/null; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _commitrelay; '
                 r'printf "%s\n" "${COMPREPLY[@]}"', "bash", *words)


def fish(line):
    script = shlex.quote(str(next(PRINTED.rglob("commitrelay.fish"))))
    return shell("fish", "--no-config", "-c", f"source {script}; complete -C 'commitrelay {line}'", env={**os.environ, "HOME": str(HERE), "TERM": "dumb"})


class Zsh:
    """An interactive zsh on a terminal of its own: only there its completion works. It shows what it would offer by _complete's own listing."""

    def __init__(self):
        folder = shlex.quote(str(next(PRINTED.rglob("_commitrelay")).parent))
        (HERE / ".zshrc").write_text(f"""
fpath=({folder} $fpath)
autoload -U compinit; compinit -u -d {HERE}/.zcompdump
PS1='@ready@ '; unsetopt zle_bracketed_paste 2>/dev/null; unset zle_bracketed_paste
LISTMAX=10000; LINES=500; COLUMNS=200; setopt no_beep no_always_last_prompt no_list_types
zstyle ':completion:*' verbose no
zstyle ':completion:*' list-grouped no
# Write down what is found. A call that only asks what would match is none.
compadd() {{
    if [[ ${{@[1,(i)(-|--)]}} == *-(O|A|D)\\ * ]]; then builtin compadd "$@"; return; fi
    local -a found
    builtin compadd -A found "$@"
    print -rl -- $found >> {HERE}/found
    builtin compadd "$@"
}}
show() {{ : > {HERE}/found; zle list-choices; print -r -- done >> {HERE}/finished; zle kill-whole-line; zle redisplay }}
zle -N show; bindkey '^X' show
""")
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.chdir(HERE)
            os.execvpe("zsh", ["zsh", "-i"], {**os.environ, "ZDOTDIR": str(HERE), "TERM": "vt100", "HOME": str(HERE)})
        self.said = b""
        self.read_until(lambda: b"@ready@" in self.said, "zsh's prompt")

    def read_until(self, cond, what):
        def step():
            if select.select([self.fd], [], [], 0.05)[0]:
                self.said += os.read(self.fd, 65536)
            return cond()
        try:
            proc.wait_for(step, 60, what)
        except proc.Failed as e:
            proc.fail(f"{e}\n{self.said.decode(errors='replace')}")

    def __call__(self, line):
        finished = HERE / "finished"
        finished.unlink(missing_ok=True)
        os.write(self.fd, f"commitrelay {line}\x18".encode())
        self.read_until(finished.exists, f"zsh's completion of {line!r}")
        return (HERE / "found").read_text()

    def close(self):
        os.close(self.fd)
        os.waitpid(self.pid, 0)


def judge(name, complete):
    for line, wanted in CASES:
        got = offered(complete(line))
        check_equal(got, sorted(wanted), f"{name} completes `commitrelay {line}`")
    print(f"{name}: {len(CASES)} completed")


def main():
    began = time.monotonic()
    judge("bash", bash)
    judge("fish", fish)
    zsh = Zsh()
    judge("zsh", zsh)
    zsh.close()
    print(f"took {time.monotonic() - began:.0f} s")


main()
