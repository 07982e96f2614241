/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <kcp-plugin.h>

/* A plugin for the tests of calls: calls.c has what answers by itself, calls-back.c what calls the host
 * back. Its bodies come from our own tests, so a member that is absent has a default and no check. */

gint64      calls_int       (KcpInvocation      *invocation,
                             const char         *member,
                             gint64              otherwise);
const char *calls_string    (KcpInvocation      *invocation,
                             const char         *member,
                             const char         *otherwise);
JsonNode   *calls_node      (KcpInvocation      *invocation,
                             const char         *member);
void        calls_reply_int (KcpInvocation      *invocation,
                             gint64              number);
/* What was noted is the answer of “seen”. */
void        calls_note      (const char         *format,
                             ...) G_GNUC_PRINTF (1, 2);

gboolean    calls_back_start (KcpCallbackHandle *host,
                              const char        *ask,
                              GError           **error);
void        calls_back_stop (void);

void        handle_ask_host    (gpointer self, KcpInvocation *invocation);
void        handle_chain       (gpointer self, KcpInvocation *invocation);
void        handle_greeting    (gpointer self, KcpInvocation *invocation);
void        handle_nest        (gpointer self, KcpInvocation *invocation);
void        handle_stream_host (gpointer self, KcpInvocation *invocation);
void        handle_tell_host   (gpointer self, KcpInvocation *invocation);
