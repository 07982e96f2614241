/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "kcp-callback-handler.h"

#include "kcp-error.h"
#include "kcp-invocation.h"

G_DEFINE_INTERFACE (KcpCallbackHandler, kcp_callback_handler, G_TYPE_OBJECT)

static void
kcp_callback_handler_default_init (KcpCallbackHandlerInterface *iface)
{
}

/**
 * kcp_callback_handler_handle:
 * @self: a handler
 * @invocation: (transfer none): the call
 *
 * Lets @self answer @invocation. Called by the library; a handler may pass a call on with it.
 */
void
kcp_callback_handler_handle (KcpCallbackHandler *self,
                             KcpInvocation      *invocation)
{
  g_return_if_fail (KCP_IS_CALLBACK_HANDLER (self));
  g_return_if_fail (invocation != NULL);
  g_return_if_fail (KCP_CALLBACK_HANDLER_GET_IFACE (self)->handle != NULL);

  KCP_CALLBACK_HANDLER_GET_IFACE (self)->handle (self, invocation);
}

/* ---- the one that serves nothing ---- */

struct _KcpNoopCallbackHandler
{
  GObject parent_instance;
};

static void
noop_handle (KcpCallbackHandler *self,
             KcpInvocation      *invocation)
{
  kcp_invocation_fail_printf (invocation, KCP_ERROR, KCP_ERROR_UNKNOWN_PATH,
                              "the host serves no callbacks, so not “%s” either",
                              kcp_invocation_get_path (invocation));
}

static void
noop_iface_init (KcpCallbackHandlerInterface *iface)
{
  iface->handle = noop_handle;
}

G_DEFINE_FINAL_TYPE_WITH_CODE (KcpNoopCallbackHandler, kcp_noop_callback_handler, G_TYPE_OBJECT,
                               G_IMPLEMENT_INTERFACE (KCP_TYPE_CALLBACK_HANDLER, noop_iface_init))

static void
kcp_noop_callback_handler_class_init (KcpNoopCallbackHandlerClass *klass)
{
}

static void
kcp_noop_callback_handler_init (KcpNoopCallbackHandler *self)
{
}

/**
 * kcp_noop_callback_handler_new:
 *
 * Returns: (transfer full): a handler that answers everything with %KCP_ERROR_UNKNOWN_PATH
 */
KcpCallbackHandler *
kcp_noop_callback_handler_new (void)
{
  return g_object_new (KCP_TYPE_NOOP_CALLBACK_HANDLER, NULL);
}
