#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Who includes whom: the one rule of the house, read from tests/rooms.txt.

Usage: check-rooms.py SOURCE-ROOT
       check-rooms.py --self-test    shows that each rule can fail, on trees made for it
"""

import fnmatch
import os
import re
import sys
import tempfile

from tap import Tap

MOST_LINES = 550
INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]*[<"]([^>"]+)[>"]', re.MULTILINE)
COMMENT = re.compile(r"/\*.*?\*/|//[^\n]*", re.DOTALL)


# ---- the list of rooms ----

class Row:
    def __init__(self, name, level):
        self.name = name
        self.level = level
        self.patterns = []


def read_rows(text):
    rows = []
    for line in text.splitlines():
        words = line.split("#")[0].split()
        if words[:1] == ["row"]:
            beside = [row.level for row in rows if row.name == words[3]] if words[2:3] == ["beside"] else []
            rows.append(Row(words[1], beside[0] if beside else len(rows)))
        elif words:
            rows[-1].patterns += words
    return rows


def room_of(file):
    """kcp-frame-private.h → frame; kcp-version.h.in → version."""
    return re.sub(r"(-private)?\.(c|h|h\.in)$", "", file).removeprefix("kcp-")


def rows_of(rows, file):
    return [row for row in rows if any(fnmatch.fnmatchcase(room_of(file), p) for p in row.patterns)]


# ---- the tree ----

def read_tree(folder):
    """File name → text, of all C files of a folder."""
    tree = {}
    for name in sorted(os.listdir(folder)):
        if name.endswith((".c", ".h", ".h.in")):
            with open(os.path.join(folder, name), encoding="utf-8") as file:
                tree[name] = file.read()
    return tree


def includes_of(text):
    """The headers of ours that a text includes, with or without a folder in front."""
    blank = COMMENT.sub(lambda match: "\n" * match.group().count("\n"), text)
    return [name.removeprefix("kcp/") for name in INCLUDE.findall(blank)
            if os.path.basename(name).startswith("kcp")]


def is_private(file):
    return file.endswith("-private.h")


def find_cycle(graph):
    """A list of headers that include each other in a circle, or []."""
    done, path = set(), []

    def walk(node):
        if node in path:
            return path[path.index(node):] + [node]
        if node in done:
            return []
        path.append(node)
        for following in graph.get(node, []):
            cycle = walk(following)
            if cycle:
                return cycle
        path.pop()
        done.add(node)
        return []

    for start in graph:
        cycle = walk(start)
        if cycle:
            return cycle
    return []


# ---- the rules: each gives the lines to complain with ----

def files_without_one_row(rows, tree):
    for file in tree:
        homes = rows_of(rows, file)
        if file != "kcp.h" and len(homes) != 1:
            yield f"{file} is in {' and in '.join(row.name for row in homes) or 'no row'} of tests/rooms.txt"


def names_without_a_file(rows, tree):
    for row in rows:
        for pattern in row.patterns:
            if not any(fnmatch.fnmatchcase(room_of(file), pattern) for file in tree):
                yield f"row {row.name}: “{pattern}” stands for no file"


def includes_upwards(rows, tree):
    for file, text in tree.items():
        mine = rows_of(rows, file)
        for header in includes_of(text) if mine else []:
            for theirs in rows_of(rows, header):
                if theirs.level > mine[0].level:
                    yield f"{file} ({mine[0].name}) includes {header} of the higher row {theirs.name}"
                elif theirs.level == mine[0].level and theirs is not mine[0]:
                    yield f"{file} ({mine[0].name}) includes {header} of the other side, {theirs.name}"


def includes_of_the_umbrella(rows, tree):
    for file, text in tree.items():
        if "kcp.h" in includes_of(text):
            yield f"{file} includes kcp.h, which is for programs"


def includes_of_nothing(rows, tree):
    known = set(tree) | {name.removesuffix(".in") for name in tree}
    for file, text in tree.items():
        for header in includes_of(text):
            if header not in known:
                yield f"{file} includes {header}, which is not there"


def private_in_public(rows, tree):
    for file, text in tree.items():
        if file.endswith(".h") and not is_private(file):
            for header in includes_of(text):
                if is_private(header):
                    yield f"{file} is installed and includes {header}, which is not"


def circles(rows, tree):
    cycle = find_cycle({file: includes_of(text) for file, text in tree.items() if file.endswith(".h")})
    if cycle:
        yield " → ".join(cycle)


def long_files(rows, tree):
    for file, text in tree.items():
        if text.count("\n") > MOST_LINES:
            yield f"{file} has {text.count(chr(10))} lines, more than {MOST_LINES}: a room of its own is due"


RULES = {
    "every file has one row": files_without_one_row,
    "every name in the list has a file": names_without_a_file,
    "nothing includes a higher row or the other side": includes_upwards,
    "nothing in the library includes kcp.h": includes_of_the_umbrella,
    "every included header is there": includes_of_nothing,
    "public headers include public headers only": private_in_public,
    "no header includes itself by way of others": circles,
    f"no file is longer than {MOST_LINES} lines": long_files,
}


# ---- programs and plugins see the public headers only ----

def foreign_headers(root):
    """What plugins/ and host/kcp-host* include of ours beyond their one header."""
    for folder, allowed in (("plugins", {"kcp-plugin.h"}), ("host", {"kcp.h"})):
        for where, _, names in sorted(os.walk(os.path.join(root, folder))):
            for name in sorted(names):
                # The stub's main() calls into the library's child side: that is all it is for.
                if not name.endswith((".c", ".h")) or name == "kcp-child.c":
                    continue
                path = os.path.join(where, name)
                with open(path, encoding="utf-8") as file:
                    for header in includes_of(file.read()):
                        if header not in allowed and not os.path.exists(os.path.join(where, header)):
                            yield f"{os.path.relpath(path, root)} includes {header}"


def check_tree(root):
    tap = Tap()
    with open(os.path.join(root, "tests", "rooms.txt"), encoding="utf-8") as file:
        rows = read_rows(file.read())
    tree = read_tree(os.path.join(root, "kcp"))

    for name, rule in RULES.items():
        complaints = list(rule(rows, tree))
        tap.check(not complaints, name, complaints)
    complaints = list(foreign_headers(root))
    tap.check(not complaints, "plugins include <kcp-plugin.h> and kcp-host <kcp.h>, and no more", complaints)
    return tap.finish()


# ---- the check of the check ----

SMALL_ROWS = "row low\n  a a-* version\nrow middle\n  b\nrow host\n  c\nrow child beside host\n  d\n"
SMALL_TREE = {
    "kcp.h": '#include "kcp-a.h"\n',
    "kcp-version.h.in": "",
    "kcp-a.h": '#include <glib.h>\n#include "kcp-version.h"\n/* #include "kcp-c.h" */\n',
    "kcp-a-private.h": '#include "kcp-a.h"\n',
    "kcp-a-one.h": "",
    "kcp-b.h": '#include "kcp-a.h"\n',
    "kcp-c.c": '#include "kcp-b.h"\n',
    "kcp-d.c": '#include "kcp-a-private.h"\n',
}
# A file to add or to change, and the rule that must complain then, alone.
MISTAKES = [
    ({"kcp-e.c": ""}, "every file has one row"),
    ({"kcp-d.c": None}, "every name in the list has a file"),
    ({"kcp-a.c": '#include "kcp-b.h"\n'}, "nothing includes a higher row or the other side"),
    ({"kcp-c.h": "", "kcp-d.c": '# include <kcp/kcp-c.h>\n'},
     "nothing includes a higher row or the other side"),
    ({"kcp-c.c": '#include <kcp.h>\n'}, "nothing in the library includes kcp.h"),
    ({"kcp-c.c": '#include "kcp-gone.h"\n'}, "every included header is there"),
    ({"kcp-b.h": '#include "kcp-a-private.h"\n'}, "public headers include public headers only"),
    ({"kcp-a-one.h": '#include "kcp-a-two.h"\n', "kcp-a-two.h": '#include "kcp-a-one.h"\n'},
     "no header includes itself by way of others"),
    ({"kcp-b.c": "\n" * (MOST_LINES + 1)}, f"no file is longer than {MOST_LINES} lines"),
]


def complaining(rows, changes):
    tree = {file: text for file, text in {**SMALL_TREE, **changes}.items() if text is not None}
    return [name for name, rule in RULES.items() if list(rule(rows, tree))]


def self_test():
    tap = Tap()
    rows = read_rows(SMALL_ROWS)

    found = complaining(rows, {})
    tap.check(not found, "a good tree passes", found)
    for changes, expected in MISTAKES:
        found = complaining(rows, changes)
        tap.check(found == [expected], f"{' and '.join(changes)}: only “{expected}” fails",
                  found or ["all passed"])

    with tempfile.TemporaryDirectory() as root:
        for folder, name, text in (("plugins/x", "x.c", "#include <kcp-plugin.h>\n#include <kcp.h>\n"),
                                   ("host", "kcp-host-y.c",
                                    '#include "kcp-host-y.h"\n#include "kcp-frame-private.h"\n'),
                                   ("host", "kcp-host-y.h", "#include <kcp.h>\n")):
            os.makedirs(os.path.join(root, folder), exist_ok=True)
            with open(os.path.join(root, folder, name), "w", encoding="utf-8") as file:
                file.write(text)
        found = list(foreign_headers(root))
        tap.check(found == ["plugins/x/x.c includes kcp.h", "host/kcp-host-y.c includes kcp-frame-private.h"],
                  "a program that looks behind the public headers is found", found)
    return tap.finish()


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    sys.exit(self_test() if sys.argv[1] == "--self-test" else check_tree(sys.argv[1]))
