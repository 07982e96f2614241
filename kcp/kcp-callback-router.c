/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "kcp-callback-router.h"

#include "kcp-router-private.h"

struct _KcpCallbackRouter
{
  GObject parent_instance;

  KcpRouter *router;
};

static void
router_handle (KcpCallbackHandler *handler,
               KcpInvocation      *invocation)
{
  /* A route may drop the last reference on the router. */
  g_autoptr (KcpCallbackRouter) self = g_object_ref (KCP_CALLBACK_ROUTER (handler));

  kcp_router_route (self->router, invocation);
}

static void
handler_iface_init (KcpCallbackHandlerInterface *iface)
{
  iface->handle = router_handle;
}

G_DEFINE_FINAL_TYPE_WITH_CODE (KcpCallbackRouter, kcp_callback_router, G_TYPE_OBJECT,
                               G_IMPLEMENT_INTERFACE (KCP_TYPE_CALLBACK_HANDLER, handler_iface_init))

static void
kcp_callback_router_finalize (GObject *object)
{
  kcp_router_free (KCP_CALLBACK_ROUTER (object)->router);

  G_OBJECT_CLASS (kcp_callback_router_parent_class)->finalize (object);
}

static void
kcp_callback_router_class_init (KcpCallbackRouterClass *klass)
{
  G_OBJECT_CLASS (klass)->finalize = kcp_callback_router_finalize;
}

static void
kcp_callback_router_init (KcpCallbackRouter *self)
{
  self->router = kcp_router_new ();
}

/**
 * kcp_callback_router_new:
 *
 * Returns: (transfer full): a router that serves nothing yet
 */
KcpCallbackRouter *
kcp_callback_router_new (void)
{
  return g_object_new (KCP_TYPE_CALLBACK_ROUTER, NULL);
}

static void
call_handler (KcpInvocation *invocation,
              gpointer       data)
{
  kcp_callback_handler_handle (data, invocation);
}

/**
 * kcp_callback_router_add:
 * @self: a router
 * @path: a path
 * @handler: (transfer none): what serves it
 * @error: return location for an error
 *
 * Passes calls of @path on to @handler.
 *
 * Returns: %FALSE with %KCP_ERROR_DUPLICATE_PATH if @path is taken, and with
 *   %KCP_ERROR_INVALID_ARGUMENT if it is no path
 */
gboolean
kcp_callback_router_add (KcpCallbackRouter   *self,
                         const char          *path,
                         KcpCallbackHandler  *handler,
                         GError             **error)
{
  g_return_val_if_fail (KCP_IS_CALLBACK_ROUTER (self), FALSE);
  g_return_val_if_fail (path != NULL, FALSE);
  g_return_val_if_fail (KCP_IS_CALLBACK_HANDLER (handler), FALSE);

  if (!kcp_router_add (self->router, path, call_handler, handler, g_object_unref, error))
    return FALSE;

  g_object_ref (handler);
  return TRUE;
}

/**
 * kcp_callback_router_add_func:
 * @self: a router
 * @path: a path
 * @func: (scope notified) (closure user_data) (destroy destroy): what serves it
 * @user_data: passed to @func
 * @destroy: (nullable): frees @user_data; not called where this fails
 * @error: return location for an error
 *
 * Passes calls of @path on to a function.
 *
 * Returns: %FALSE with %KCP_ERROR_DUPLICATE_PATH if @path is taken, and with
 *   %KCP_ERROR_INVALID_ARGUMENT if it is no path
 */
gboolean
kcp_callback_router_add_func (KcpCallbackRouter  *self,
                              const char         *path,
                              KcpCallbackFunc     func,
                              gpointer            user_data,
                              GDestroyNotify      destroy,
                              GError            **error)
{
  g_return_val_if_fail (KCP_IS_CALLBACK_ROUTER (self), FALSE);
  g_return_val_if_fail (path != NULL, FALSE);
  g_return_val_if_fail (func != NULL, FALSE);

  return kcp_router_add (self->router, path, func, user_data, destroy, error);
}

/**
 * kcp_callback_router_remove:
 * @self: a router
 * @path: a path
 *
 * Returns: %FALSE if nothing was registered for @path
 */
gboolean
kcp_callback_router_remove (KcpCallbackRouter *self,
                            const char        *path)
{
  g_return_val_if_fail (KCP_IS_CALLBACK_ROUTER (self), FALSE);
  g_return_val_if_fail (path != NULL, FALSE);

  return kcp_router_remove (self->router, path);
}

/**
 * kcp_callback_router_set_fallback:
 * @self: a router
 * @handler: (nullable) (transfer none): what serves all other paths; %NULL: they are answered
 *   with %KCP_ERROR_UNKNOWN_PATH
 *
 * Sets what happens with calls of paths that are not registered.
 */
void
kcp_callback_router_set_fallback (KcpCallbackRouter  *self,
                                  KcpCallbackHandler *handler)
{
  g_return_if_fail (KCP_IS_CALLBACK_ROUTER (self));
  g_return_if_fail (handler == NULL || KCP_IS_CALLBACK_HANDLER (handler));

  kcp_router_set_fallback (self->router, handler ? call_handler : NULL,
                           handler ? g_object_ref (handler) : NULL, g_object_unref);
}
