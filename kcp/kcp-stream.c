/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "kcp-stream-private.h"

/**
 * KcpStream:
 *
 * A streamed reply: items in the order in which they were sent, then an end with a result of its
 * own, or an error. Take them one by one with kcp_stream_next_async() or kcp_stream_next().
 * Dropping a stream that is not done cancels the call, and the handler is told.
 */
struct _KcpStream
{
  GObject parent_instance;

  KcpCall *call;
  GTask *waiter;             /* the one kcp_stream_next_async() under way */
  GSource *waiter_cancel;

  KcpStreamWait wait;
  gpointer owner;
  GDestroyNotify release;
};

G_DEFINE_FINAL_TYPE (KcpStream, kcp_stream, G_TYPE_OBJECT)

/* The waiter is let go first: it may start the next wait. */
static GTask *
steal_waiter (KcpStream *self)
{
  if (self->waiter_cancel)
    {
      g_source_destroy (self->waiter_cancel);
      g_clear_pointer (&self->waiter_cancel, g_source_unref);
    }

  return g_steal_pointer (&self->waiter);
}

static void
kcp_stream_dispose (GObject *object)
{
  KcpStream *self = KCP_STREAM (object);

  if (self->call)
    {
      kcp_call_set_notify (self->call, NULL, NULL);
      kcp_stream_close (self);
    }
  g_clear_object (&self->call);
  if (self->release)
    self->release (self->owner);
  self->release = NULL;

  G_OBJECT_CLASS (kcp_stream_parent_class)->dispose (object);
}

static void
kcp_stream_class_init (KcpStreamClass *klass)
{
  G_OBJECT_CLASS (klass)->dispose = kcp_stream_dispose;
}

static void
kcp_stream_init (KcpStream *self)
{
}

/* What there is to give: TRUE with an item, the end (NULL) or an error. */
static gboolean
take (KcpStream   *self,
      KcpMessage **item,
      GError     **error)
{
  *item = kcp_call_pop_item (self->call);
  if (*item)
    return TRUE;

  if (!self->call->done)
    return FALSE;

  if (self->call->error)
    g_propagate_error (error, g_error_copy (self->call->error));
  return TRUE;
}

static void
return_to (GTask      *task,
           KcpMessage *item,
           GError     *error)
{
  if (error)
    g_task_return_error (task, error);
  else
    g_task_return_pointer (task, item, (GDestroyNotify) kcp_message_unref);
}

static void
pump (KcpCall  *call,
      gpointer  data)
{
  KcpStream *self = data;
  KcpMessage *item;
  GError *error = NULL;

  if (self->waiter && take (self, &item, &error))
    {
      g_autoptr (GTask) task = steal_waiter (self);

      return_to (task, item, error);
    }
}

KcpStream *
kcp_stream_new (KcpCall        *call,
                KcpStreamWait   wait,
                gpointer        owner,
                GDestroyNotify  release)
{
  KcpStream *self = g_object_new (KCP_TYPE_STREAM, NULL);

  self->call = call;
  self->wait = wait;
  self->owner = owner;
  self->release = release;
  kcp_call_set_notify (call, pump, self);
  return self;
}

KcpCall *
kcp_stream_get_call (KcpStream *self)
{
  return self->call;
}

void
kcp_stream_wait (KcpStream *self)
{
  self->wait (self->owner, self->call);
}

static gboolean
on_wait_cancelled (GCancellable *cancellable,
                   gpointer      data)
{
  g_autoptr (GTask) task = steal_waiter (KCP_STREAM (data));

  g_task_return_new_error (task, G_IO_ERROR, G_IO_ERROR_CANCELLED, "waiting for the next item was cancelled");
  return G_SOURCE_REMOVE;
}

/**
 * kcp_stream_next_async:
 * @self: a stream
 * @cancellable: (nullable): ends this wait, not the stream; no item is lost by it
 * @callback: (scope async): called when there is an item, or the end
 * @user_data: passed to @callback
 *
 * Waits for the next item. One wait at a time.
 */
void
kcp_stream_next_async (KcpStream           *self,
                       GCancellable        *cancellable,
                       GAsyncReadyCallback  callback,
                       gpointer             user_data)
{
  g_autoptr (GTask) task = NULL;
  KcpMessage *item;
  GError *error = NULL;

  g_return_if_fail (KCP_IS_STREAM (self));

  task = g_task_new (self, cancellable, callback, user_data);
  g_task_set_source_tag (task, kcp_stream_next_async);
  g_task_set_check_cancellable (task, FALSE);

  if (self->waiter)
    g_task_return_new_error (task, G_IO_ERROR, G_IO_ERROR_PENDING, "the stream is being waited for already");
  else if (cancellable && g_cancellable_is_cancelled (cancellable))
    g_task_return_new_error (task, G_IO_ERROR, G_IO_ERROR_CANCELLED,
                             "waiting for the next item was cancelled");
  else if (take (self, &item, &error))
    return_to (task, item, error);
  else
    {
      if (cancellable)
        {
          self->waiter_cancel = g_cancellable_source_new (cancellable);
          g_source_set_callback (self->waiter_cancel, G_SOURCE_FUNC (on_wait_cancelled), self, NULL);
          g_source_attach (self->waiter_cancel, g_task_get_context (task));
        }
      self->waiter = g_steal_pointer (&task);
    }
}

/**
 * kcp_stream_next_finish:
 * @self: a stream
 * @result: what the callback got
 * @error: return location for an error
 *
 * Returns: (transfer full) (nullable): the next item; %NULL without an error at the end of the
 *   stream, and with one where it failed
 */
KcpMessage *
kcp_stream_next_finish (KcpStream     *self,
                        GAsyncResult  *result,
                        GError       **error)
{
  g_return_val_if_fail (g_task_is_valid (result, self), NULL);

  return g_task_propagate_pointer (G_TASK (result), error);
}

static void
look_again (gpointer data)
{
  /* That the wait has woken up is all: it looks at the cancellable itself. */
}

static void
on_blocking_cancelled (GCancellable *cancellable,
                       KcpInbox     *inbox)
{
  kcp_inbox_post (inbox, look_again, NULL, NULL);
}

/**
 * kcp_stream_next:
 * @self: a stream
 * @cancellable: (nullable): ends this wait, not the stream
 * @error: return location for an error
 *
 * Waits for the next item and blocks until then. Nothing else of the program runs meanwhile but
 * the callbacks that belong to this call.
 *
 * Returns: (transfer full) (nullable): the next item; %NULL without an error at the end of the
 *   stream, and with one where it failed
 */
KcpMessage *
kcp_stream_next (KcpStream     *self,
                 GCancellable  *cancellable,
                 GError       **error)
{
  g_autoptr (KcpStream) keep = NULL;
  KcpMessage *item = NULL;
  gulong handler = 0;

  g_return_val_if_fail (KCP_IS_STREAM (self), NULL);

  keep = g_object_ref (self);
  if (cancellable)
    handler = g_cancellable_connect (cancellable, G_CALLBACK (on_blocking_cancelled),
                                     kcp_inbox_ref (self->call->inbox), (GDestroyNotify) kcp_inbox_unref);

  while (!g_cancellable_set_error_if_cancelled (cancellable, error) && !take (self, &item, error))
    self->wait (self->owner, self->call);

  g_cancellable_disconnect (cancellable, handler);
  return item;
}

/**
 * kcp_stream_get_result:
 * @self: a stream
 *
 * Returns: (transfer none) (nullable): what the handler ended with, once the stream has ended
 *   well; %NULL before, and where it failed
 */
KcpMessage *
kcp_stream_get_result (KcpStream *self)
{
  g_return_val_if_fail (KCP_IS_STREAM (self), NULL);

  return self->call->result;
}

/**
 * kcp_stream_is_done:
 * @self: a stream
 *
 * Returns: %TRUE if no more items will come; some that have come may still wait to be taken
 */
gboolean
kcp_stream_is_done (KcpStream *self)
{
  g_return_val_if_fail (KCP_IS_STREAM (self), TRUE);

  return self->call->done;
}

/**
 * kcp_stream_close:
 * @self: a stream
 *
 * Cancels the call if it is not done: the handler is told, and the next wait ends with
 * %G_IO_ERROR_CANCELLED. Safe to call again.
 */
void
kcp_stream_close (KcpStream *self)
{
  g_return_if_fail (KCP_IS_STREAM (self));

  if (!self->call->done)
    kcp_call_abandon (self->call, g_error_new (G_IO_ERROR, G_IO_ERROR_CANCELLED,
                                               "stream “%s” was closed", self->call->path));
  g_queue_clear_full (&self->call->items, (GDestroyNotify) kcp_message_unref);
}
