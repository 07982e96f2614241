#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""What README.md says of the tree is true.

Usage: check-readme.py SOURCE-ROOT

The programs it shows are those of data/examples, which check-install.py builds and runs; each function,
type and error code it names is in a public header, but for what it says is yet to come; each file it names
is there.
"""

import glob
import os
import re
import sys

from tap import Tap


def read(*path):
    with open(os.path.join(*path), encoding="utf-8") as file:
        return file.read()


def check_programs(tap, source, readme):
    for name in ("hello-plugin.c", "hello-host.c"):
        text = read(source, "data", "examples", name)
        tap.check(f"```c\n{text}```\n" in readme, f"README.md shows {name} as it is",
                  [f"copy data/examples/{name} into it, first line and all"])


def check_names(tap, source, readme):
    """`KcpFoo`, `KcpFoo:property`, `kcp_foo()`, `KCP_FOO`, in text and tables; programs are compiled anyway."""
    headers = "\n".join(read(path) for path in glob.glob(os.path.join(source, "kcp", "*.h"))
                        if not path.endswith("-private.h"))
    environment = {"KCP_DEBUG", "KCP_STUB", "KCP_MESON_ARGS"}
    absent = []
    for line in re.sub(r"^```c\n.*?^```$", "", readme, flags=re.DOTALL | re.MULTILINE).splitlines():
        if re.search(r"\bcomes? with\b", line):
            continue
        for name in re.findall(r"\b(?:Kcp[A-Z]\w+|kcp_\w+|KCP_[A-Z_]+)", line):
            if not re.search(rf"\b{name}\b", headers) and name not in environment:
                absent.append(f"{name}: {line.strip()}")
    tap.check(not absent, "every name in README.md is in a public header", absent)


def check_files(tap, source, readme):
    """Only whole paths in backticks; those with a capital word or a wildcard stand for many."""
    absent = [path for path in re.findall(r"`((?:kcp|plugins|host|tests|data|po)/[\w./*-]+)`", readme)
              if not re.search(r"[A-Z]{4}", os.path.splitext(path)[0]) or path.endswith("PROTOCOL.md")
              if not glob.glob(os.path.join(source, path))]
    tap.check(not absent, "every file that README.md names is there", absent)


def check_table(tap, source, readme):
    """The way from the crate to here: each right-hand name of the plan."""
    wanted = ["KcpLauncher", "KcpActor", "kcp_actor_ask_async", "kcp_actor_tell", "KcpMessage",
              "KcpCallbackHandler", "KcpNoopCallbackHandler", "KcpCallbackHandle",
              "kcp_callback_handle_ask_async", "KcpCallbackRouter", "KcpStream", "KcpPool", "KCP_ERROR",
              "KcpTraceContext", "KcpTracer", "KcpStats"]
    rows = [line for line in readme.splitlines() if line.startswith("|")]
    absent = [name for name in wanted if not any(name in row for row in rows)]
    tap.check(not absent, "the table of names is whole", absent)


def main(source):
    tap = Tap()
    path = os.path.join(source, "README.md")
    if tap.check(os.path.exists(path), "there is a README.md"):
        readme = read(path)
        check_programs(tap, source, readme)
        check_names(tap, source, readme)
        check_files(tap, source, readme)
        check_table(tap, source, readme)
    return tap.finish()


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    sys.exit(main(sys.argv[1]))
