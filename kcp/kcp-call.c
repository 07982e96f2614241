/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "kcp-call-private.h"

#include "kcp-current-private.h"
#include "kcp-error.h"
#include "kcp-message-private.h"

static GObject *
call_get_source_object (GAsyncResult *result)
{
  KcpCall *self = KCP_CALL (result);

  return self->source_object ? g_object_ref (self->source_object) : NULL;
}

static gpointer
call_get_user_data (GAsyncResult *result)
{
  return KCP_CALL (result)->user_data;
}

static gboolean
call_is_tagged (GAsyncResult *result,
                gpointer      tag)
{
  return tag == (gpointer) kcp_call_new;
}

static void
async_result_init (GAsyncResultIface *iface)
{
  iface->get_source_object = call_get_source_object;
  iface->get_user_data = call_get_user_data;
  iface->is_tagged = call_is_tagged;
}

G_DEFINE_FINAL_TYPE_WITH_CODE (KcpCall, kcp_call, G_TYPE_OBJECT,
                               G_IMPLEMENT_INTERFACE (G_TYPE_ASYNC_RESULT, async_result_init))

static void
unwatch (KcpCall *self)
{
  /* Not g_cancellable_disconnect(): it would wait for a handler that runs in another thread, and
   * deadlock in one that runs in this. The closure holds a reference, so there is no need. */
  if (self->cancel_handler != 0)
    g_signal_handler_disconnect (self->cancellable, self->cancel_handler);
  self->cancel_handler = 0;
  g_clear_object (&self->cancellable);
}

/* What was kept to send it once more. */
static void
forget_message (KcpCall *self)
{
  g_clear_pointer (&self->message, kcp_message_unref);
  g_clear_pointer (&self->trace, kcp_trace_context_unref);
}

static void
kcp_call_finalize (GObject *object)
{
  KcpCall *self = KCP_CALL (object);

  unwatch (self);
  forget_message (self);
  g_queue_clear_full (&self->items, (GDestroyNotify) kcp_message_unref);
  g_clear_pointer (&self->result, kcp_message_unref);
  g_clear_error (&self->error);
  g_clear_object (&self->source_object);
  g_clear_pointer (&self->outer, kcp_invocation_release);
  g_clear_pointer (&self->context, g_main_context_unref);
  g_mutex_clear (&self->lock);
  kcp_inbox_unref (self->inbox);
  g_free (self->path);

  G_OBJECT_CLASS (kcp_call_parent_class)->finalize (object);
}

static void
kcp_call_class_init (KcpCallClass *klass)
{
  G_OBJECT_CLASS (klass)->finalize = kcp_call_finalize;
}

static void
kcp_call_init (KcpCall *self)
{
  g_queue_init (&self->items);
  g_mutex_init (&self->lock);
}

static void
deadline_passed (KcpDeadline *deadline)
{
  KcpCall *self = (KcpCall *) ((guint8 *) deadline - G_STRUCT_OFFSET (KcpCall, deadline));

  kcp_call_abandon (self, g_error_new (KCP_ERROR, KCP_ERROR_TIMED_OUT,
                                       "call “%s”: no answer before its deadline", self->path));
}

KcpCall *
kcp_call_new (const KcpCallOps *ops,
              gpointer          owner,
              KcpInbox         *inbox,
              const char       *path)
{
  KcpCall *self = g_object_new (KCP_TYPE_CALL, NULL);

  self->ops = ops;
  self->owner = owner;
  self->inbox = kcp_inbox_ref (inbox);
  self->path = g_strdup (path ? path : "");
  self->deadline.passed = deadline_passed;
  return self;
}

void
kcp_call_set_callback (KcpCall             *self,
                       gpointer             source_object,
                       GAsyncReadyCallback  callback,
                       gpointer             user_data)
{
  self->source_object = source_object ? g_object_ref (source_object) : NULL;
  self->callback = callback;
  self->user_data = user_data;
}

/* The user wants items one by one, and is told by @notify when there is something to take. */
void
kcp_call_set_notify (KcpCall       *self,
                     KcpCallNotify  notify,
                     gpointer       data)
{
  self->wants_items = notify != NULL;
  self->shared = TRUE;
  self->notify = notify;
  self->notify_data = data;
}

static void
cancel_at_home (gpointer data)
{
  KcpCall *self = data;

  kcp_call_abandon (self, g_error_new (G_IO_ERROR, G_IO_ERROR_CANCELLED,
                                       "call “%s” was cancelled", self->path));
}

/* What the thread that cancels may look at: the call itself may be changing hands meanwhile. */
typedef struct
{
  KcpCall *call;
  KcpInbox *inbox;
} Watch;

/* Runs in the thread that cancels, which may hold any lock: it only posts. */
static void
on_cancelled (GCancellable *cancellable,
              Watch        *watch)
{
  kcp_inbox_post (watch->inbox, cancel_at_home, g_object_ref (watch->call), g_object_unref);
}

static void
free_watch (gpointer  data,
            GClosure *closure)
{
  Watch *watch = data;

  g_object_unref (watch->call);
  kcp_inbox_unref (watch->inbox);
  g_free (watch);
}

static void
watch_cancellable (KcpCall      *self,
                   GCancellable *cancellable)
{
  Watch *watch = g_new (Watch, 1);

  *watch = (Watch) { g_object_ref (self), kcp_inbox_ref (self->inbox) };
  self->cancellable = g_object_ref (cancellable);
  self->cancel_handler = g_signal_connect_data (cancellable, "cancelled", G_CALLBACK (on_cancelled),
                                                watch, free_watch, 0);
  /* It may have been cancelled since anybody looked, and found no handler. Told twice is told once. */
  if (g_cancellable_is_cancelled (cancellable))
    on_cancelled (cancellable, watch);
}

/* FALSE: it is cancelled already. */
gboolean
kcp_call_watch (KcpCall      *self,
                GCancellable *cancellable)
{
  if (cancellable == NULL)
    return TRUE;
  if (g_cancellable_is_cancelled (cancellable))
    return FALSE;

  watch_cancellable (self, cancellable);
  return TRUE;
}

void
kcp_call_move (KcpCall          *self,
               const KcpCallOps *ops,
               gpointer          owner,
               KcpInbox         *inbox)
{
  g_autoptr (GCancellable) cancellable = self->cancellable ? g_object_ref (self->cancellable) : NULL;
  KcpInbox *old = self->inbox;

  g_return_if_fail (!self->done);

  unwatch (self);
  kcp_call_set_owner (self, ops, owner);
  self->inbox = kcp_inbox_ref (inbox);
  kcp_inbox_unref (old);

  /* A cancellation that came in between went to an inbox that may be closed by now: here it is found
   * again. */
  if (cancellable)
    watch_cancellable (self, cancellable);
}

/* Who waits in another thread asks the owner for each round. */
void
kcp_call_set_owner (KcpCall          *self,
                    const KcpCallOps *ops,
                    gpointer          owner)
{
  kcp_call_lock (self);
  self->ops = ops;
  self->owner = owner;
  kcp_call_unlock (self);
}

void
kcp_call_deliver (KcpCall  *self,
                  gpointer  owner)
{
  if (self->delivering || (self->callback == NULL && self->notify == NULL))
    return;

  self->delivering = TRUE;
  self->ops->deliver (owner, self);
}

/* First the state, then the tables, then the user. */
static void
complete (KcpCall    *self,
          KcpMessage *result,
          GError     *error,
          gboolean    cancel)
{
  gpointer owner = self->owner;

  if (self->done)
    {
      g_clear_pointer (&result, kcp_message_unref);
      g_clear_error (&error);
      return;
    }

  g_object_ref (self);
  self->result = result;
  self->error = error;
  kcp_call_lock (self);
  g_atomic_int_set (&self->done, TRUE);
  self->owner = NULL;
  kcp_call_unlock (self);
  unwatch (self);
  forget_message (self);
  self->ops->closed (owner, self, cancel);
  kcp_call_wake (self);
  kcp_call_deliver (self, owner);
  g_object_unref (self);
}

/* Takes @result. */
void
kcp_call_take_end (KcpCall    *self,
                   KcpMessage *result)
{
  complete (self, result, NULL, FALSE);
}

/* Takes @error, with which the callee, or the end of the link, has closed the call. */
void
kcp_call_take_error (KcpCall *self,
                     GError  *error)
{
  complete (self, NULL, error, FALSE);
}

/* Takes @error, with which this side gives up: the callee is told. */
void
kcp_call_abandon (KcpCall *self,
                  GError  *error)
{
  complete (self, NULL, error, TRUE);
}

/* Runs user code. What it does is still inside of the call for which this one was made: a host
 * that blocks in that call serves the next question as well. */
void
kcp_call_notify (KcpCall *self)
{
  g_autoptr (KcpCall) keep = g_object_ref (self);
  KcpInvocation *previous = kcp_current_enter (self->outer);

  self->delivering = FALSE;
  if (self->notify)
    self->notify (self, self->notify_data);
  else if (self->callback && self->done)
    {
      GAsyncReadyCallback callback = g_steal_pointer (&self->callback);
      g_autoptr (GObject) source_object = g_steal_pointer (&self->source_object);

      callback (source_object, G_ASYNC_RESULT (self), self->user_data);
    }
  kcp_current_leave (previous);
}

static gboolean
on_turn (gpointer call)
{
  kcp_call_notify (call);
  return G_SOURCE_REMOVE;
}

void
kcp_call_notify_in (KcpCall      *self,
                    GMainContext *context)
{
  g_autoptr (GSource) source = g_idle_source_new ();

  g_source_set_priority (source, G_PRIORITY_DEFAULT);
  g_source_set_static_name (source, "kcp answer");
  g_source_set_callback (source, on_turn, g_object_ref (self), g_object_unref);
  g_source_attach (source, context);
  g_main_context_unref (context);
}

KcpMessage *
kcp_call_finish (KcpCall  *self,
                 GError  **error)
{
  g_return_val_if_fail (self->done, NULL);

  if (self->error)
    {
      g_propagate_error (error, g_error_copy (self->error));
      return NULL;
    }

  return kcp_message_ref (self->result);
}
