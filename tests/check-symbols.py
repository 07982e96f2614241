#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""The library exports what data/kcp.symbols says, nothing more and nothing less.

Usage: check-symbols.py LIBRARY SYMBOLS-FILE PLUGIN…
A plugin exports its entry and nothing else. `--print LIBRARY` prints the list as it is now.
"""

import os
import subprocess
import sys

from tap import Tap

# What a linker or a sanitizer adds to every shared object is no symbol of ours.
FOREIGN = {"_init", "_fini", "_edata", "_end", "__bss_start"}
FOREIGN_PREFIXES = ("__asan_", "__odr_asan", "__ubsan_")


def exported(path):
    """The names that @path defines for others, sorted by byte."""
    nm = subprocess.run([os.environ.get("NM", "nm"), "-D", "--defined-only", path],
                        check=True, capture_output=True, text=True)
    names = {line.split()[-1].split("@")[0] for line in nm.stdout.splitlines() if line.strip()}
    return sorted(name for name in names - FOREIGN if not name.startswith(FOREIGN_PREFIXES))


def check_library(tap, library, listed_in):
    found = exported(library)
    with open(listed_in, encoding="utf-8") as file:
        listed = file.read().splitlines()

    tap.check(listed == sorted(set(listed)), "the list is sorted, each name once",
              [f"out of place: {b}" for a, b in zip(listed, listed[1:]) if a >= b])
    tap.check(not set(found) - set(listed), "nothing is exported that is not listed",
              [f"+ {name}" for name in found if name not in listed])
    tap.check(not set(listed) - set(found), "everything listed is exported",
              [f"- {name}" for name in listed if name not in found])
    tap.check(all(name.startswith("kcp_") for name in found), "every name begins with kcp_",
              [name for name in found if not name.startswith("kcp_")])


def check_plugin(tap, plugin):
    found = exported(plugin)
    tap.check(found == ["kcp_plugin_v1"], f"{os.path.basename(plugin)} exports its entry and nothing else",
              found)


def main(arguments):
    if arguments[:1] == ["--print"]:
        print("\n".join(exported(arguments[1])))
        return 0

    tap = Tap()
    check_library(tap, arguments[0], arguments[1])
    for plugin in arguments[2:]:
        check_plugin(tap, plugin)
    return tap.finish()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
