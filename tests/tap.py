# SPDX-License-Identifier: LGPL-2.1-or-later
"""Test results in the form that meson reads (TAP), for the checks that are no C programs."""

import sys


class Tap:
    """Prints one line a check; the plan comes last, when their number is known."""

    def __init__(self):
        self.number = 0
        self.failures = 0

    def check(self, good, name, details=()):
        """Reports @name; @details are lines for people, shown where it is not @good."""
        self.number += 1
        print(f"{'ok' if good else 'not ok'} {self.number} - {name}")
        if not good:
            self.failures += 1
            for line in details:
                print(f"#   {line}")
        sys.stdout.flush()
        return good

    def skip(self, name, reason):
        self.number += 1
        print(f"ok {self.number} - {name} # SKIP {reason}")
        sys.stdout.flush()

    def finish(self):
        """Prints the plan. Returns the exit status."""
        print(f"1..{self.number}")
        return 1 if self.failures else 0
