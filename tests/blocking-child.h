/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "link-pair.h"

/* The child of the tests that block: what it does is in the path. */

/* "echo"             answers with what was asked
 * "nest" n           asks the host "nest" n - 1, and answers one more than that; 0 answers 0
 * "pass-on"          asks the host "host" with the same body, and answers what that answered
 * "items"            a stream of 200, with a question to the host after every 50
 * "release"          answers all that hangs, tells the host "s" outside of any call, asks it "i"
 * "flood"            sends LOG frames until nobody waits; cancels the shared cancellable by the way
 * "die"              closes its link
 * "hang-and-cancel"  keeps the call, and cancels the shared cancellable
 * anything else      keeps the call */
void  serve_in_child (TestSide      *side,
                      KcpInvocation *invocation);

/* "nest" for the host. */
void  nest           (TestSide      *side,
                      KcpInvocation *invocation);

/* What kcp_link_ask() gives, as text; with the shared cancellable. */
char *ask_blocking   (TestSide      *side,
                      const char    *path,
                      const char    *json,
                      GError       **error) G_GNUC_WARN_UNUSED_RESULT;

extern GCancellable *shared_cancellable;   /* what the child's handlers cancel, from their thread */
