/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "kcp-invocation.h"
#include "kcp-message.h"
#include "kcp-trace-context.h"

G_BEGIN_DECLS

/* The call that a thread is serving right now, so that what its handler does belongs to it
 * without being told: parent, deadline and trace of the calls it makes, trace of what it logs. */

/* Around the call of a handler; enter() gives what leave() puts back. */
KcpInvocation *kcp_current_enter (KcpInvocation *invocation);
void           kcp_current_leave (KcpInvocation *previous);

/* NULL: none. */
KcpInvocation *kcp_current_get   (void);

/* What @message travels with: its own context, or a new child of the call being served. Owned by
 * the caller. */
KcpTraceContext *kcp_current_find_trace (KcpMessage *message);

G_END_DECLS
