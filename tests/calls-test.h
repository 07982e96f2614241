/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "kcp-test.h"

/* For the tests of calls: the plugin "calls" (tests/plugins/calls.c), asked from the main loop. */

KcpLauncher *calls_launcher     (KcpCallbackHandler   *handler);
/* @handler may be NULL. It must start. */
KcpActor    *calls_spawn        (KcpCallbackHandler   *handler);
KcpActor    *calls_spawn_with   (KcpLauncher          *launcher);

KcpMessage  *calls_message      (const char           *path,
                                 const char           *json);
/* Any message; see kcp_test_call(). */
KcpTestCall *calls_call         (KcpActor             *actor,
                                 KcpMessage           *message,
                                 GCancellable         *cancellable);
/* Waits for it and frees it: the answer as JSON text, or an error. */
char        *calls_take         (KcpTestCall          *call,
                                 GError              **error);
char        *calls_text         (KcpMessage           *message);

void         calls_expect       (KcpActor             *actor,
                                 const char           *path,
                                 const char           *json,
                                 const char           *answer);
/* An error of that domain and code with @part in its text, and the child serves on. */
void         calls_expect_error (KcpActor             *actor,
                                 const char           *path,
                                 const char           *json,
                                 GQuark                domain,
                                 int                   code,
                                 const char           *part);

/* All that the plugin has noted, one a line, since this was asked last. */
char        *calls_seen         (KcpActor             *actor);
/* Asks until it has noted something with @part in it. What else it has noted is lost. */
void         calls_await_seen   (KcpActor             *actor,
                                 const char           *part);
