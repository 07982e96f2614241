/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "kcp-types.h"

G_BEGIN_DECLS

#define KCP_TYPE_CALLBACK_HANDLER (kcp_callback_handler_get_type ())

/**
 * KcpCallbackHandler:
 *
 * What answers the calls of a child. One may serve any number of children.
 */
KCP_AVAILABLE_IN_ALL
G_DECLARE_INTERFACE (KcpCallbackHandler, kcp_callback_handler, KCP, CALLBACK_HANDLER, GObject)

/**
 * KcpCallbackHandlerInterface:
 * @handle: answers @invocation now, or takes a reference and answers later; runs in the main
 *   context that owns the actor, or, while nobody runs that, in a thread that blocks for a call of
 *   the actor
 */
struct _KcpCallbackHandlerInterface
{
  GTypeInterface parent_iface;

  void (*handle) (KcpCallbackHandler *self,
                  KcpInvocation      *invocation);
};

KCP_AVAILABLE_IN_ALL
void kcp_callback_handler_handle (KcpCallbackHandler *self,
                                  KcpInvocation      *invocation);

/* ---- the one that serves nothing ---- */

#define KCP_TYPE_NOOP_CALLBACK_HANDLER (kcp_noop_callback_handler_get_type ())

/**
 * KcpNoopCallbackHandler:
 *
 * Answers every callback with %KCP_ERROR_UNKNOWN_PATH. What an actor has when it was given none.
 */
KCP_AVAILABLE_IN_ALL
G_DECLARE_FINAL_TYPE (KcpNoopCallbackHandler, kcp_noop_callback_handler, KCP, NOOP_CALLBACK_HANDLER, GObject)

KCP_AVAILABLE_IN_ALL
KcpCallbackHandler *kcp_noop_callback_handler_new (void) G_GNUC_WARN_UNUSED_RESULT;

G_END_DECLS
