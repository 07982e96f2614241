/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "kcp-current-private.h"

/* Borrowed: whoever enters holds it until he leaves. */
static GPrivate current = G_PRIVATE_INIT (NULL);

KcpInvocation *
kcp_current_enter (KcpInvocation *invocation)
{
  KcpInvocation *previous = g_private_get (&current);

  g_private_set (&current, invocation);
  return previous;
}

void
kcp_current_leave (KcpInvocation *previous)
{
  g_private_set (&current, previous);
}

KcpInvocation *
kcp_current_get (void)
{
  return g_private_get (&current);
}

KcpTraceContext *
kcp_current_find_trace (KcpMessage *message)
{
  KcpTraceContext *own = kcp_message_get_trace_context (message);
  KcpInvocation *invocation = kcp_current_get ();

  if (own)
    return kcp_trace_context_ref (own);

  return kcp_trace_context_new_child (invocation ? kcp_invocation_get_trace_context (invocation) : NULL);
}
