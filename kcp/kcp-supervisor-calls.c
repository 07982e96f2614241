/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "kcp-supervisor-private.h"

#include "kcp-actor-private.h"

/* With a child that takes calls they go straight to its link, as those of an actor do; else they
 * wait in the backlog, or are refused by it. Either way the result is a call, so one finish
 * function serves both, whatever hands the call has gone through. */

/* NULL: there is none that a call could be sent on. A child may be dead for a moment before that
 * is known; what is asked in that moment waits for what becomes of it. */
static KcpLink *
find_link (KcpSupervisor *self)
{
  KcpLink *link;

  if (self->state != KCP_SUPERVISOR_RUNNING || kcp_actor_get_state (self->actor) != KCP_ACTOR_READY)
    return NULL;

  link = kcp_actor_get_link (self->actor);
  return kcp_link_is_whole (link) ? link : NULL;
}

/**
 * kcp_supervisor_ask_async:
 * @self: a supervisor
 * @message: (transfer none): what to ask
 * @cancellable: (nullable): cancels the call, also while it waits
 * @callback: (scope async): called with the answer
 * @user_data: passed to @callback
 *
 * Asks the child, or the next one if there is none right now. @callback is called exactly once,
 * and never from inside this function.
 */
void
kcp_supervisor_ask_async (KcpSupervisor       *self,
                          KcpMessage          *message,
                          GCancellable        *cancellable,
                          GAsyncReadyCallback  callback,
                          gpointer             user_data)
{
  KcpLink *link;

  g_return_if_fail (KCP_IS_SUPERVISOR (self));
  g_return_if_fail (message != NULL);

  link = find_link (self);
  if (link)
    kcp_link_ask_async (link, self, message, cancellable, callback, user_data);
  else
    kcp_backlog_ask_async (self->backlog, self, message, cancellable, callback, user_data);
}

/**
 * kcp_supervisor_ask_finish:
 * @self: a supervisor
 * @result: what the callback got
 * @error: return location for an error
 *
 * Returns: (transfer full): the answer, or %NULL with an error: those of kcp_actor_ask_finish();
 *   %KCP_ERROR_NOT_RUNNING if there is no child and will be none, with the reason;
 *   %KCP_ERROR_BUSY if too many calls wait for one
 */
KcpMessage *
kcp_supervisor_ask_finish (KcpSupervisor  *self,
                           GAsyncResult   *result,
                           GError        **error)
{
  g_return_val_if_fail (KCP_IS_SUPERVISOR (self), NULL);

  return kcp_link_ask_finish (result, error);
}

/**
 * kcp_supervisor_tell:
 * @self: a supervisor
 * @message: (transfer none): what to tell
 * @error: return location for an error
 *
 * Tells the child, or the next one, something that needs no answer. It keeps its place among the
 * calls. What was told to a child that dies over it is lost.
 *
 * Returns: %FALSE with an error if it could not be sent, and can not wait either
 */
gboolean
kcp_supervisor_tell (KcpSupervisor  *self,
                     KcpMessage     *message,
                     GError        **error)
{
  KcpLink *link;

  g_return_val_if_fail (KCP_IS_SUPERVISOR (self), FALSE);
  g_return_val_if_fail (message != NULL, FALSE);

  link = find_link (self);
  if (link)
    return kcp_link_tell (link, message, error);

  return kcp_backlog_tell (self->backlog, message, error);
}

/**
 * kcp_supervisor_ask_stream:
 * @self: a supervisor
 * @message: (transfer none): what to ask
 * @cancellable: (nullable): cancels the call, also while it waits
 *
 * Asks the child, or the next one, for a stream of items. It is sent once at most: a stream whose
 * child dies fails, whether its message is idempotent or not.
 *
 * While no child is ready, kcp_stream_next() fails the stream with %KCP_ERROR_NOT_RUNNING: a
 * child is started by the main loop, which a blocking wait would keep from running.
 *
 * Returns: (transfer full): the stream; an error comes with its first item
 */
KcpStream *
kcp_supervisor_ask_stream (KcpSupervisor *self,
                           KcpMessage    *message,
                           GCancellable  *cancellable)
{
  KcpLink *link;

  g_return_val_if_fail (KCP_IS_SUPERVISOR (self), NULL);
  g_return_val_if_fail (message != NULL, NULL);

  link = find_link (self);
  if (link)
    return kcp_link_ask_stream (link, message, cancellable);

  return kcp_backlog_ask_stream (self->backlog, message, cancellable);
}

void
kcp_supervisor_callable_init (KcpCallableInterface *iface)
{
  iface->ask_async = (void (*) (KcpCallable *, KcpMessage *, GCancellable *, GAsyncReadyCallback,
                                gpointer)) kcp_supervisor_ask_async;
  iface->ask_finish = (KcpMessage *(*) (KcpCallable *, GAsyncResult *, GError **)) kcp_supervisor_ask_finish;
  iface->tell = (gboolean (*) (KcpCallable *, KcpMessage *, GError **)) kcp_supervisor_tell;
  iface->ask_stream =
    (KcpStream *(*) (KcpCallable *, KcpMessage *, GCancellable *)) kcp_supervisor_ask_stream;
}
