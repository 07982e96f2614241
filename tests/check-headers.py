#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""The public headers, with the compilers that their readers have and with nothing of our build.

Usage: check-headers.py SOURCE-ROOT BUILD-ROOT

Each public header is compiled alone as C17 and as C++17, pedantic and without a warning; a plugin in each
language is built by one line, loaded into a real child, and asked. CC, CXX and CFLAGS are heeded;
KCP_HOST and KCP_STUB name the programs.
"""

import os
import shlex
import shutil
import subprocess
import sys
import tempfile

from tap import Tap

STRICT = ["-pedantic", "-Wall", "-Wextra", "-Wshadow", "-Werror"]


class Compiler:
    def __init__(self, language, command, standard, suffix):
        self.language = language
        self.command = command
        self.standard = standard
        self.suffix = suffix

    def is_there(self):
        return shutil.which(self.command[0]) is not None

    def run(self, arguments):
        return subprocess.run(self.command + [self.standard] + STRICT + arguments,
                              capture_output=True, text=True, check=False)


COMPILERS = [
    Compiler("C17", shlex.split(os.environ.get("CC", "cc")), "-std=c17", ".c"),
    Compiler("C++17", shlex.split(os.environ.get("CXX", "c++")), "-std=c++17", ".cpp"),
]


def public_headers(source):
    names = [name for name in os.listdir(os.path.join(source, "kcp"))
             if name.endswith(".h") and not name.endswith("-private.h")]
    return sorted(names + ["kcp-version.h"])


def package_flags(what):
    return shlex.split(subprocess.run(["pkg-config", what, "gio-unix-2.0", "json-glib-1.0"],
                                      check=True, capture_output=True, text=True).stdout)


def check_alone(tap, compiler, header, includes, folder):
    """Nothing before it, and twice, so that it needs nothing and minds nothing."""
    path = os.path.join(folder, "alone" + compiler.suffix)
    with open(path, "w", encoding="utf-8") as file:
        file.write(f"#include <{header}>\n#include <{header}>\n\n"
                   "int main (void);\nint\nmain (void)\n{\n  return 0;\n}\n")
    done = compiler.run(["-fsyntax-only", path] + includes)
    tap.check(done.returncode == 0, f"{header} alone as {compiler.language}", done.stderr.splitlines())


def check_plugin(tap, compiler, source, build, includes, folder, answer):
    """A plugin of that language: built by one line, loaded, asked."""
    plugin = os.path.join(folder, "header-" + compiler.suffix[1:] + ".so")
    library = os.path.join(build, "kcp")
    done = compiler.run(["-fPIC", "-shared", "-fvisibility=hidden", "-o", plugin,
                         os.path.join(source, "tests", "plugins", "header" + compiler.suffix)] +
                        includes + shlex.split(os.environ.get("CFLAGS", "")) +
                        [f"-L{library}", f"-Wl,-rpath,{library}", "-lkcp-1"] + package_flags("--libs"))
    if not tap.check(done.returncode == 0, f"a plugin in {compiler.language} is built",
                     done.stderr.splitlines()):
        return

    asked = subprocess.run([os.environ["KCP_HOST"], "--name=lena", plugin, "call", "language"],
                           capture_output=True, text=True, timeout=60, check=False)
    tap.check(asked.returncode == 0 and asked.stdout == answer + "\n",
              f"a plugin in {compiler.language} is loaded and answers {answer}",
              [f"exit status {asked.returncode}"] + asked.stdout.splitlines() + asked.stderr.splitlines())


def main(source, build):
    tap = Tap()
    includes = [f"-I{os.path.join(source, 'kcp')}",
                f"-I{os.path.join(build, 'kcp')}"] + package_flags("--cflags")
    answers = {"C17": '"C"', "C++17": '"C++ of lena"'}

    with tempfile.TemporaryDirectory() as folder:
        for compiler in COMPILERS:
            if not compiler.is_there():
                tap.skip(f"the headers as {compiler.language}", f"there is no {compiler.command[0]}")
                continue
            for header in public_headers(source):
                check_alone(tap, compiler, header, includes, folder)
            check_plugin(tap, compiler, source, build, includes, folder, answers[compiler.language])
    return tap.finish()


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    sys.exit(main(os.path.abspath(sys.argv[1]), os.path.abspath(sys.argv[2])))
