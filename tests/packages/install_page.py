"""What docs/INSTALL.md tells the reader to type."""
import re

from support import proc

PAGE = (proc.ROOT / "docs/INSTALL.md").read_text()


def section(title):
    """The blocks of sh of a section, in their order, and the lines of output that they show."""
    text = re.search(rf"^## {re.escape(title)}\n(.*?)(?=^## |\Z)", PAGE, re.M | re.S)
    proc.check(text, f"INSTALL.md has no section {title}")
    blocks = re.findall(r"^```sh\n(.*?)^```$", text[1], re.M | re.S)
    proc.check(blocks, f"INSTALL.md, {title}: nothing to run")
    return "".join(blocks), re.findall(r"^#> (.*)$", "".join(blocks), re.M)


def judge(title, said):
    for line in section(title)[1]:
        proc.check(line in said.splitlines(), f"INSTALL.md, {title}: {line!r} did not come: {said}")
