# SPDX-License-Identifier: LGPL-2.1-or-later
"""mini-peer.py in both roles against ours. KCP_HOST, KCP_STUB and KCP_TEST_PLUGINS say where ours are."""
import json, os, subprocess, sys
from tap import Tap

GUARD = 120
PEER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "mini-peer.py")
HOST, STUB, PLUGINS = (os.environ[name] for name in ("KCP_HOST", "KCP_STUB", "KCP_TEST_PLUGINS"))
TOO_NEW = json.dumps({"protocol": {"min": 2, "max": 3}})


def run(*command, **more):
    return subprocess.run(command, capture_output=True, encoding="utf-8", timeout=GUARD,
                          env={**os.environ, **more}, check=False)


def kcp_host(*arguments):
    return [HOST, "--stub", PEER, *arguments]


def check(tap, ran, status, parts, name):
    text = ran.stdout + ran.stderr
    tap.check(ran.returncode == status and all(part in text for part in parts), name,
              [f"status {ran.returncode}", *text.splitlines()])


def converse():
    """A callback, a stream, and one that is cancelled after its first items."""
    command = kcp_host("--callback", "cat=cat", PLUGINS + "/echo.so")
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                          encoding="utf-8") as process:
        def ask(line, number):
            """The lines about it, up to the answer, or to the fifth."""
            print(json.dumps({"id": number, **line}), file=process.stdin, flush=True)
            answers = []
            while len(answers) < 5 and not (answers and answers[-1].keys() & {"end", "error"}):
                answer = json.loads(process.stdout.readline())
                answers += [answer] if answer["id"] == number else []
            return answers

        yield ask({"call": "ask", "body": {"path": "cat", "body": [7]}}, 1)[-1].get("end") == {"answer": [7]}
        yield ask({"call": "count", "body": {"to": 2}}, 2) == [
            {"id": 2, "item": {"n": 1}}, {"id": 2, "item": {"n": 2}}, {"id": 2, "end": {"count": 2}}]
        started = ask({"call": "count", "body": {"to": 1 << 62}}, 3)[-1] == {"id": 3, "item": {"n": 5}}
        running = ask({"call": "running"}, 4)[-1].get("end")
        print('{"id": 3, "cancel": true}', file=process.stdin, flush=True)
        number = 5
        while ask({"call": "running"}, number)[-1].get("end") != {"running": 0}:
            number += 1
        yield started and running == {"running": 1}
        process.stdin.close()
        process.stdout.read()
        yield process.wait(GUARD) == 0


def main():
    tap = Tap()
    with open(PEER, encoding="utf-8") as file:
        tap.check(len(file.readlines()) <= 150, "it has at most 150 lines")
    check(tap, run(PEER, "host", STUB, PLUGINS), 0,
          ["made a call", "read a stream, cancelled another", "answered a callback"], "as a host")
    check(tap, run(PEER, "host", STUB, PLUGINS, PEER_HELLO=TOO_NEW), 0,
          ["refused by both", "no common protocol version"], "a bad version as a host")
    check(tap, run(PEER, "host", PEER, PLUGINS), 0, ["answered a callback"], "as both")
    echo = [PLUGINS + "/echo.so", "call", "echo", "[1]"]
    check(tap, run(*kcp_host(*echo)), 0, ["[1]"], "as a child")
    for good, name in zip(converse(), ("calls back", "streams", "is cancelled", "ends well")):
        tap.check(good, "as a child it " + name)
    check(tap, run(*kcp_host("--env", 'PEER_HELLO={"token": "00"}', *echo)), 3, ["token"], "a bad token")
    check(tap, run(*kcp_host("--env", "PEER_HELLO=" + TOO_NEW, *echo)), 3,
          ["no common protocol version"], "a bad version as a child")
    return tap.finish()


if __name__ == "__main__":
    sys.exit(main())
