/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "kcp-callback-handler.h"

G_BEGIN_DECLS

#define KCP_TYPE_CALLBACK_ROUTER (kcp_callback_router_get_type ())

/**
 * KcpCallbackRouter:
 *
 * A callback handler that passes each call on by its path.
 */
KCP_AVAILABLE_IN_ALL
G_DECLARE_FINAL_TYPE (KcpCallbackRouter, kcp_callback_router, KCP, CALLBACK_ROUTER, GObject)

/**
 * KcpCallbackFunc:
 * @invocation: (transfer none): the call to answer; take a reference to answer it later
 * @user_data: what was registered with it
 *
 * Answers one callback.
 */
typedef void (*KcpCallbackFunc) (KcpInvocation *invocation,
                                 gpointer       user_data);

KCP_AVAILABLE_IN_ALL
KcpCallbackRouter *kcp_callback_router_new          (void) G_GNUC_WARN_UNUSED_RESULT;
KCP_AVAILABLE_IN_ALL
gboolean           kcp_callback_router_add          (KcpCallbackRouter   *self,
                                                     const char          *path,
                                                     KcpCallbackHandler  *handler,
                                                     GError             **error);
KCP_AVAILABLE_IN_ALL
gboolean           kcp_callback_router_add_func     (KcpCallbackRouter   *self,
                                                     const char          *path,
                                                     KcpCallbackFunc      func,
                                                     gpointer             user_data,
                                                     GDestroyNotify       destroy,
                                                     GError             **error);
KCP_AVAILABLE_IN_ALL
gboolean           kcp_callback_router_remove       (KcpCallbackRouter   *self,
                                                     const char          *path);
KCP_AVAILABLE_IN_ALL
void               kcp_callback_router_set_fallback (KcpCallbackRouter   *self,
                                                     KcpCallbackHandler  *handler);

G_END_DECLS
