/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "kcp-stream-private.h"

#include "kcp-current-private.h"

/**
 * KcpStream:
 *
 * A streamed reply: items in the order in which they were sent, then an end with a result of its
 * own, or an error. Take them one by one with kcp_stream_next_async() or kcp_stream_next(), from the
 * thread that has asked for it, or from another if it is used by one at a time. Dropping a stream
 * that is not done cancels the call, and the handler is told.
 */
struct _KcpStream
{
  GObject parent_instance;

  KcpCall *call;
  int closed;                /* atomic: before it was done */
};

G_DEFINE_FINAL_TYPE (KcpStream, kcp_stream, G_TYPE_OBJECT)

/* No kcp_stream_next_async() is under way: that would hold a reference. */
static void
kcp_stream_dispose (GObject *object)
{
  KcpStream *self = KCP_STREAM (object);

  if (self->call)
    kcp_stream_close (self);
  g_clear_object (&self->call);

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

/* ---- waiting in a main loop ---- */

/* What goes with the task of one kcp_stream_next_async(). */
typedef struct
{
  GAsyncReadyCallback callback;
  GSource *cancel;           /* NULL: it cannot be cancelled */
} Next;

static void
free_next (gpointer data)
{
  Next *next = data;

  g_clear_pointer (&next->cancel, g_source_unref);
  g_free (next);
}

/* The waiter is let go first: it may start the next wait. */
static GTask *
steal_task (KcpCall *call,
            GTask   *wanted)
{
  GTask *task = kcp_call_steal_task (call, wanted);
  Next *next = task ? g_task_get_task_data (task) : NULL;

  if (next && next->cancel)
    g_source_destroy (next->cancel);
  return task;
}

static gboolean
was_closed (KcpStream  *self,
            GError    **error)
{
  if (!g_atomic_int_get (&self->closed))
    return FALSE;

  g_set_error (error, G_IO_ERROR, G_IO_ERROR_CANCELLED, "stream “%s” was closed", self->call->path);
  return TRUE;
}

/* What there is to give: TRUE with an item, the end (NULL) or an error. */
static gboolean
take (KcpStream   *self,
      GTask       *task,
      KcpMessage **item,
      GError     **error)
{
  *item = NULL;
  return was_closed (self, error) || kcp_call_take_next (self->call, task, item, error);
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

/* At home. The task completes in its own context. */
static void
pump (KcpCall  *call,
      gpointer  data)
{
  g_autoptr (GTask) task = kcp_call_has_next (call) ? steal_task (call, NULL) : NULL;
  KcpMessage *item;
  GError *error = NULL;

  if (task && take (KCP_STREAM (g_task_get_source_object (task)), NULL, &item, &error))
    return_to (task, item, error);
}

KcpStream *
kcp_stream_new (KcpCall *call)
{
  KcpStream *self = g_object_new (KCP_TYPE_STREAM, NULL);

  self->call = call;
  kcp_call_set_notify (call, pump, NULL);
  return self;
}

KcpCall *
kcp_stream_get_call (KcpStream *self)
{
  return self->call;
}

/* Outside of a dispatch the thread is a guest of the link, and needs a door of this call's own. */
void
kcp_stream_wait (KcpStream *self)
{
  KcpCallWait wait;

  kcp_call_begin_wait (self->call, &wait, NULL);
  if (!kcp_call_has_next (self->call))
    kcp_call_wait_round (self->call);
  kcp_call_end_wait (self->call, &wait);
}

typedef struct
{
  KcpCall *call;
  GTask *task;
} Watch;

static void
free_watch (gpointer data)
{
  Watch *watch = data;

  g_object_unref (watch->call);
  g_object_unref (watch->task);
  g_free (watch);
}

static gboolean
on_wait_cancelled (GCancellable *cancellable,
                   gpointer      data)
{
  Watch *watch = data;
  g_autoptr (GTask) task = steal_task (watch->call, watch->task);

  if (task)
    g_task_return_new_error (task, G_IO_ERROR, G_IO_ERROR_CANCELLED, "waiting for the next item was cancelled");
  return G_SOURCE_REMOVE;
}

/* Source and task hold each other until one of them ends. */
static void
watch_cancellable (KcpStream    *self,
                   GTask        *task,
                   GCancellable *cancellable)
{
  Next *next = g_task_get_task_data (task);
  Watch *watch = g_new (Watch, 1);

  *watch = (Watch) { g_object_ref (self->call), g_object_ref (task) };
  next->cancel = g_cancellable_source_new (cancellable);
  g_source_set_callback (next->cancel, G_SOURCE_FUNC (on_wait_cancelled), watch, free_watch);
  g_source_attach (next->cancel, g_task_get_context (task));
}

/* What the user does with an item is still inside of the call for which the stream was asked. */
static void
on_next_done (GObject      *source,
              GAsyncResult *result,
              gpointer      user_data)
{
  g_autoptr (KcpCall) call = g_object_ref (KCP_STREAM (source)->call);
  const Next *next = g_task_get_task_data (G_TASK (result));
  KcpInvocation *previous = kcp_current_enter (call->outer);

  next->callback (source, result, user_data);
  kcp_current_leave (previous);
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
  Next *next;
  KcpMessage *item;
  GError *error = NULL;

  g_return_if_fail (KCP_IS_STREAM (self));

  next = g_new0 (Next, 1);
  next->callback = callback;
  task = g_task_new (self, cancellable, callback ? on_next_done : NULL, user_data);
  g_task_set_source_tag (task, kcp_stream_next_async);
  g_task_set_task_data (task, next, free_next);
  g_task_set_check_cancellable (task, FALSE);

  if (kcp_call_has_task (self->call))
    {
      g_task_return_new_error (task, G_IO_ERROR, G_IO_ERROR_PENDING, "the stream is being waited for already");
      return;
    }
  if (cancellable && g_cancellable_is_cancelled (cancellable))
    {
      g_task_return_new_error (task, G_IO_ERROR, G_IO_ERROR_CANCELLED,
                               "waiting for the next item was cancelled");
      return;
    }

  if (!take (self, NULL, &item, &error))
    {
      /* Before the task is known: whoever has an item for it ends the watch. */
      if (cancellable)
        watch_cancellable (self, task, cancellable);
      if (!take (self, task, &item, &error))
        return;
      if (next->cancel)
        g_source_destroy (next->cancel);
    }
  return_to (task, item, error);
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
  KcpCallWait wait;

  g_return_val_if_fail (KCP_IS_STREAM (self), NULL);

  keep = g_object_ref (self);
  kcp_call_begin_wait (self->call, &wait, cancellable);
  while (!g_cancellable_set_error_if_cancelled (cancellable, error) && !take (self, NULL, &item, error))
    kcp_call_wait_round (self->call);
  kcp_call_end_wait (self->call, &wait);
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

  return g_atomic_int_get (&self->call->done) ? self->call->result : NULL;
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

  return g_atomic_int_get (&self->call->done) || g_atomic_int_get (&self->closed);
}

static void
abandon (gpointer data)
{
  KcpCall *call = data;

  kcp_call_abandon (call, g_error_new (G_IO_ERROR, G_IO_ERROR_CANCELLED, "stream “%s” was closed", call->path));
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

  if (!g_atomic_int_get (&self->call->done))
    {
      g_atomic_int_set (&self->closed, TRUE);
      kcp_inbox_run (self->call->inbox, abandon, g_object_ref (self->call), g_object_unref);
    }
  kcp_call_drop_items (self->call);
}
