# SPDX-License-Identifier: Apache-2.0
"""What the checks share: which files there are, and C text without comments and literals."""
import os
import re
import subprocess

_TOKEN = re.compile(
    r'//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', re.S)


def code_only(text):
    """Comments and the insides of literals become blanks; every line keeps its number. #include "..." stays."""
    def blank(match):
        token = match.group(0)
        line_start = text.rfind("\n", 0, match.start()) + 1
        if token[0] == '"' and re.match(r"\s*#\s*include\s*$", text[line_start:match.start()]):
            return token
        return re.sub(r"[^\n]", " ", token)
    return _TOKEN.sub(blank, text)


def files(root):
    """Paths of the project below root, sorted: what git knows or would add, else everything not hidden and not built."""
    out = subprocess.run(["git", "-C", root, "ls-files", "-co", "--exclude-standard"],
                         capture_output=True, text=True, check=False)
    inside = subprocess.run(["git", "-C", root, "rev-parse", "--show-prefix"],
                            capture_output=True, text=True, check=False)
    if out.returncode == 0 and inside.stdout.strip() == "":
        names = out.stdout.splitlines()
    else:
        names = []
        for folder, folders, here in os.walk(root):
            folders[:] = [f for f in folders if not f.startswith((".", "build"))]
            names += [os.path.relpath(os.path.join(folder, f), root) for f in here]
    return sorted(n for n in names if os.path.isfile(os.path.join(root, n)))


def read(root, name):
    """Text of a file, or None for a binary one."""
    with open(os.path.join(root, name), "rb") as f:
        data = f.read()
    if b"\0" in data:
        return None
    return data.decode("utf-8", "replace")


def report(findings):
    """Prints the findings and gives the exit status."""
    for name, line, rule in sorted(findings):
        print(f"{name}:{line}: {rule}")
    return 1 if findings else 0
