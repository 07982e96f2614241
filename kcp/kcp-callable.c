/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "kcp-callable.h"

G_DEFINE_INTERFACE (KcpCallable, kcp_callable, G_TYPE_OBJECT)

static void
kcp_callable_default_init (KcpCallableInterface *iface)
{
}

/**
 * kcp_callable_ask_async:
 * @self: what to ask
 * @message: (transfer none): the question
 * @cancellable: (nullable): cancels the call
 * @callback: (scope async): called with the answer
 * @user_data: passed to @callback
 *
 * Asks. @callback is never called from inside this function.
 */
void
kcp_callable_ask_async (KcpCallable         *self,
                        KcpMessage          *message,
                        GCancellable        *cancellable,
                        GAsyncReadyCallback  callback,
                        gpointer             user_data)
{
  g_return_if_fail (KCP_IS_CALLABLE (self));
  g_return_if_fail (message != NULL);

  KCP_CALLABLE_GET_IFACE (self)->ask_async (self, message, cancellable, callback, user_data);
}

/**
 * kcp_callable_ask_finish:
 * @self: what was asked
 * @result: what the callback got
 * @error: return location for an error
 *
 * Returns: (transfer full): the answer, or %NULL with an error
 */
KcpMessage *
kcp_callable_ask_finish (KcpCallable   *self,
                         GAsyncResult  *result,
                         GError       **error)
{
  g_return_val_if_fail (KCP_IS_CALLABLE (self), NULL);

  return KCP_CALLABLE_GET_IFACE (self)->ask_finish (self, result, error);
}

/**
 * kcp_callable_tell:
 * @self: what to tell
 * @message: (transfer none): the message
 * @error: return location for an error
 *
 * Sends a message that needs no answer.
 *
 * Returns: %FALSE with an error if it could not be sent
 */
gboolean
kcp_callable_tell (KcpCallable  *self,
                   KcpMessage   *message,
                   GError      **error)
{
  g_return_val_if_fail (KCP_IS_CALLABLE (self), FALSE);
  g_return_val_if_fail (message != NULL, FALSE);

  return KCP_CALLABLE_GET_IFACE (self)->tell (self, message, error);
}

/**
 * kcp_callable_ask_stream:
 * @self: what to ask
 * @message: (transfer none): the question
 * @cancellable: (nullable): cancels the call
 *
 * Asks for a stream of items. An error comes with its first item.
 *
 * Returns: (transfer full): the stream
 */
KcpStream *
kcp_callable_ask_stream (KcpCallable  *self,
                         KcpMessage   *message,
                         GCancellable *cancellable)
{
  g_return_val_if_fail (KCP_IS_CALLABLE (self), NULL);
  g_return_val_if_fail (message != NULL, NULL);

  return KCP_CALLABLE_GET_IFACE (self)->ask_stream (self, message, cancellable);
}
