#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""What a user does first: install kcp, build the two programs of the README against it, run them; and bring
kcp along as a meson subproject.

Usage: check-install.py SOURCE-ROOT

Everything is made in a temporary folder. CC and MESON are heeded.
"""

import os
import shlex
import shutil
import subprocess
import sys
import tempfile

from tap import Tap

MESON = shlex.split(os.environ.get("MESON", "meson"))
PATIENCE = 300
GREETING = '"Hello from a process of my own"\n'
OPTIONS = ["--buildtype=debug", "-Dsqlite=disabled", "-Dtests=false"]


def clean_environment(**more):
    """Without what the surrounding test run sets, so that the installed files must find each other."""
    environment = {name: value for name, value in os.environ.items()
                   if not name.startswith(("KCP_", "MESON", "NINJA", "DESTDIR"))}
    return {**environment, **more}


def run(tap, name, command, expected=None, **keywords):
    """Runs it and reports whether it went well and, where asked for, printed @expected and nothing else."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=PATIENCE,
                              **keywords)
    except subprocess.TimeoutExpired:
        return tap.check(False, name, [shlex.join(command), f"not done after {PATIENCE} s"])
    good = done.returncode == 0 and (expected is None or (done.stdout == expected and done.stderr == ""))
    lines = done.stdout.splitlines()[-30:] + done.stderr.splitlines()[-30:]
    return tap.check(good, name, [shlex.join(command), f"exit status {done.returncode}"] + lines)


# ---- installed ----

def install(tap, source, build, prefix):
    environment = clean_environment()
    return (run(tap, "meson setup with a prefix of its own",
                MESON + ["setup", build, source, f"--prefix={prefix}", "--libdir=lib"] + OPTIONS,
                env=environment) and
            run(tap, "it is built", MESON + ["compile", "-C", build], env=environment) and
            run(tap, "it is installed", MESON + ["install", "-C", build, "--no-rebuild"], env=environment))


def check_files(tap, source, prefix):
    headers = sorted(name for name in os.listdir(os.path.join(source, "kcp"))
                     if name.endswith(".h") and not name.endswith("-private.h")) + ["kcp-version.h"]
    wanted = [f"include/kcp-1/{name}" for name in headers] + [
        "bin/kcp-host", "libexec/kcp-child", "lib/libkcp-1.so", "lib/libkcp-1.so.0", "lib/pkgconfig/kcp-1.pc",
        "lib/kcp-1/plugins/echo.so", "share/man/man1/kcp-host.1",
    ]
    absent = [name for name in wanted if not os.path.exists(os.path.join(prefix, name))]
    tap.check(not absent, "every file is where it belongs", absent)

    there = os.listdir(os.path.join(prefix, "include", "kcp-1"))
    tap.check(sorted(there) == sorted(headers), "the public headers are installed and no others",
              sorted(set(there) ^ set(headers)))


def check_programs(tap, source, prefix, folder):
    """One `cc` line each, with what pkg-config says of the installed library."""
    library = os.path.join(prefix, "lib")
    environment = clean_environment(
        PKG_CONFIG_PATH=os.path.join(library, "pkgconfig") + ":" + os.environ.get("PKG_CONFIG_PATH", ""),
        LD_LIBRARY_PATH=library, G_DEBUG="fatal-warnings", TMPDIR=folder, XDG_RUNTIME_DIR=folder)
    examples = os.path.join(source, "data", "examples")
    cc = os.environ.get("CC", "cc")
    built = run(tap, "the README's plugin is built by one line",
                ["sh", "-ec", f"{cc} -Wall -shared -fPIC -o hello.so {shlex.quote(examples)}/hello-plugin.c "
                              "$(pkg-config --cflags --libs kcp-1)"], cwd=folder, env=environment)
    built &= run(tap, "the README's host program is built by one line",
                 ["sh", "-ec", f"{cc} -Wall -o hello-host {shlex.quote(examples)}/hello-host.c "
                               "$(pkg-config --cflags --libs kcp-1)"], cwd=folder, env=environment)
    if not built:
        return

    before = sorted(os.listdir(folder))
    host = os.path.join(prefix, "bin", "kcp-host")
    run(tap, "the plugin answers in the installed kcp-host", [host, "./hello.so", "call", "hello"], GREETING,
        cwd=folder, env=environment)
    run(tap, "a plugin is found by its bare name in the current directory",
        [host, "hello.so", "call", "hello"],
        GREETING, cwd=folder, env=environment)
    run(tap, "an installed plugin is found by its name alone", [host, "echo", "call", "echo", "[1]"], "[1]\n",
        cwd="/", env=environment)
    run(tap, "the host program asks the plugin", ["./hello-host", "./hello.so"], GREETING,
        cwd=folder, env=environment)
    tap.check(sorted(os.listdir(folder)) == before, "nothing is left behind",
              sorted(set(os.listdir(folder)) - set(before)))


def check_variables(tap, prefix):
    environment = clean_environment(PKG_CONFIG_PATH=os.path.join(prefix, "lib", "pkgconfig") + ":" +
                                    os.environ.get("PKG_CONFIG_PATH", ""))
    for variable, file in (("stub", "libexec/kcp-child"), ("plugindir", "lib/kcp-1/plugins")):
        run(tap, f"pkg-config knows “{variable}”", ["pkg-config", f"--variable={variable}", "kcp-1"],
            os.path.join(prefix, file) + "\n", env=environment)


# ---- the sizes that the README promises ----

def check_sizes(tap, source):
    for name, most in (("hello-plugin.c", 15), ("hello-host.c", 30)):
        with open(os.path.join(source, "data", "examples", name), encoding="utf-8") as file:
            lines = [line for line in file.read().splitlines() if line.strip() and not line.startswith("/*")]
        tap.check(len(lines) <= most, f"{name} has at most {most} lines", [f"it has {len(lines)}"])


# ---- as a subproject ----

def copy_sources(source, target):
    """What git would check out, without asking git: the tree may be an unpacked archive."""
    os.makedirs(target)
    for name in ("meson.build", "meson_options.txt"):
        shutil.copy(os.path.join(source, name), target)
    for name in ("kcp", "plugins", "host", "data", "po", "tests"):
        shutil.copytree(os.path.join(source, name), os.path.join(target, name),
                        ignore=shutil.ignore_patterns("__pycache__", "subproject-sample"))


def check_subproject(tap, source, folder):
    sample = os.path.join(folder, "sample")
    build = os.path.join(folder, "sample-build")
    environment = clean_environment()

    shutil.copytree(os.path.join(source, "tests", "subproject-sample"), sample)
    copy_sources(source, os.path.join(sample, "subprojects", "kcp"))
    if run(tap, "a project with kcp as its subproject is set up", MESON + ["setup", build, sample],
           env=environment):
        run(tap, "it is built, and its program asks its plugin",
            MESON + ["test", "-C", build, "--print-errorlogs"],
            env=environment)


def main(source):
    tap = Tap()
    with tempfile.TemporaryDirectory(prefix="kcp-install-") as folder:
        prefix = os.path.join(folder, "prefix")
        work = os.path.join(folder, "work")
        os.mkdir(work, 0o700)
        check_sizes(tap, source)
        if install(tap, source, os.path.join(folder, "build"), prefix):
            check_files(tap, source, prefix)
            check_variables(tap, prefix)
            check_programs(tap, source, prefix, work)
        check_subproject(tap, source, folder)
    return tap.finish()


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    sys.exit(main(os.path.abspath(sys.argv[1])))
