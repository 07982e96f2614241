/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "kcp-callback-handle-private.h"

/**
 * KcpCallbackHandle:
 *
 * The host, as its plugin sees it: what `start` is given to call back with. A call that is made
 * while a handler serves one belongs to that call: it carries on its trace, never takes longer
 * than the other has left, and is served by a host that blocks in it. The same is true of a call
 * made in the callback of such a call, and so on; a timer's or another source's does not belong
 * to any.
 *
 * It may be used from any thread of the plugin. What is asked asynchronously completes in the
 * thread-default main context of who asks; for a thread without one of its own that is the main
 * loop. A thread that the plugin has started itself serves no call, so what it asks belongs to none.
 */
struct _KcpCallbackHandle
{
  GObject parent_instance;

  KcpLink *link;
  char *actor_name;
};

G_DEFINE_FINAL_TYPE (KcpCallbackHandle, kcp_callback_handle, G_TYPE_OBJECT)

static void
kcp_callback_handle_finalize (GObject *object)
{
  KcpCallbackHandle *self = KCP_CALLBACK_HANDLE (object);

  g_clear_pointer (&self->link, kcp_link_unref);
  g_free (self->actor_name);

  G_OBJECT_CLASS (kcp_callback_handle_parent_class)->finalize (object);
}

static void
kcp_callback_handle_class_init (KcpCallbackHandleClass *klass)
{
  G_OBJECT_CLASS (klass)->finalize = kcp_callback_handle_finalize;
}

static void
kcp_callback_handle_init (KcpCallbackHandle *self)
{
}

KcpCallbackHandle *
kcp_callback_handle_new (KcpLink    *link,
                         const char *actor_name)
{
  KcpCallbackHandle *self = g_object_new (KCP_TYPE_CALLBACK_HANDLE, NULL);

  self->link = kcp_link_ref (link);
  self->actor_name = g_strdup (actor_name);
  return self;
}

/**
 * kcp_callback_handle_ask_async:
 * @self: the host
 * @message: (transfer none): what to ask
 * @cancellable: (nullable): cancels the call
 * @callback: (scope async): called with the answer
 * @user_data: passed to @callback
 *
 * Asks the host.
 */
void
kcp_callback_handle_ask_async (KcpCallbackHandle   *self,
                               KcpMessage          *message,
                               GCancellable        *cancellable,
                               GAsyncReadyCallback  callback,
                               gpointer             user_data)
{
  g_return_if_fail (KCP_IS_CALLBACK_HANDLE (self));
  g_return_if_fail (message != NULL);

  kcp_link_ask_async (self->link, self, message, cancellable, callback, user_data);
}

/**
 * kcp_callback_handle_ask_finish:
 * @self: the host
 * @result: what the callback got
 * @error: return location for an error
 *
 * Returns: (transfer full): the answer, or %NULL with an error
 */
KcpMessage *
kcp_callback_handle_ask_finish (KcpCallbackHandle  *self,
                                GAsyncResult       *result,
                                GError            **error)
{
  g_return_val_if_fail (KCP_IS_CALLBACK_HANDLE (self), NULL);

  return kcp_link_ask_finish (result, error);
}

/**
 * kcp_callback_handle_ask:
 * @self: the host
 * @message: (transfer none): what to ask
 * @cancellable: (nullable): cancels the call
 * @error: return location for an error
 *
 * Asks the host and blocks until it has answered. Calls that the host makes to answer this one
 * are served meanwhile; all others wait.
 *
 * Returns: (transfer full): the answer, or %NULL with an error
 */
KcpMessage *
kcp_callback_handle_ask (KcpCallbackHandle  *self,
                         KcpMessage         *message,
                         GCancellable       *cancellable,
                         GError            **error)
{
  g_return_val_if_fail (KCP_IS_CALLBACK_HANDLE (self), NULL);
  g_return_val_if_fail (message != NULL, NULL);

  return kcp_link_ask (self->link, message, cancellable, error);
}

/**
 * kcp_callback_handle_tell:
 * @self: the host
 * @message: (transfer none): what to tell
 * @error: return location for an error
 *
 * Tells the host something that needs no answer. It arrives before the answer to the call that
 * is being served.
 *
 * Returns: %FALSE with an error if it could not be sent
 */
gboolean
kcp_callback_handle_tell (KcpCallbackHandle  *self,
                          KcpMessage         *message,
                          GError            **error)
{
  g_return_val_if_fail (KCP_IS_CALLBACK_HANDLE (self), FALSE);
  g_return_val_if_fail (message != NULL, FALSE);

  return kcp_link_tell (self->link, message, error);
}

/**
 * kcp_callback_handle_ask_stream:
 * @self: the host
 * @message: (transfer none): what to ask
 * @cancellable: (nullable): cancels the call
 *
 * Asks the host for a stream. An error comes with its first item.
 *
 * Returns: (transfer full): the stream
 */
KcpStream *
kcp_callback_handle_ask_stream (KcpCallbackHandle *self,
                                KcpMessage        *message,
                                GCancellable      *cancellable)
{
  g_return_val_if_fail (KCP_IS_CALLBACK_HANDLE (self), NULL);
  g_return_val_if_fail (message != NULL, NULL);

  return kcp_link_ask_stream (self->link, message, cancellable);
}

/**
 * kcp_callback_handle_get_actor_name:
 * @self: the host
 *
 * Returns: (transfer none): what the host calls this child
 */
const char *
kcp_callback_handle_get_actor_name (KcpCallbackHandle *self)
{
  g_return_val_if_fail (KCP_IS_CALLBACK_HANDLE (self), NULL);

  return self->actor_name;
}
