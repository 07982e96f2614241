/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "kcp-invocation.h"

G_BEGIN_DECLS

/* The call that a thread is serving right now, so that what its handler does belongs to it
 * without being told: parent, deadline and trace of the calls it makes, trace of what it logs. */

/* Around the call of a handler; enter() gives what leave() puts back. */
KcpInvocation *kcp_current_enter (KcpInvocation *invocation);
void           kcp_current_leave (KcpInvocation *previous);

/* NULL: none. */
KcpInvocation *kcp_current_get   (void);

G_END_DECLS
