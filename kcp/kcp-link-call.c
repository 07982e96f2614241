/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "kcp-link-state-private.h"

#include "kcp-current-private.h"
#include "kcp-debug-private.h"
#include "kcp-error.h"
#include "kcp-stream-private.h"
#include "kcp-trace-context.h"

/* ---- what a call tells its link ---- */

static void
on_call_closed (gpointer  owner,
                KcpCall  *call,
                gboolean  cancel)
{
  KcpLink *self = owner;

  KCP_DEBUG (KCP_DEBUG_CALL, "call %" G_GUINT64_FORMAT " “%s”: %s", call->id, call->path,
             call->error ? call->error->message : "ended well");
  kcp_link_remove_deadline (self, &call->deadline);
  kcp_channel_forget_call (self->out, call, cancel);
  kcp_link_mailbox_remove (self, call);
  kcp_link_mailbox_pump (self);
  kcp_link_publish (self);
}

static void
notify_call (gpointer data)
{
  kcp_call_notify (data);
}

/* Into the context of who asked: at once where that is ours and user code may run, else in a turn
 * of it. Who waits for items of a stream has a task that knows its context by itself. */
static void
on_call_deliver (gpointer  owner,
                 KcpCall  *call)
{
  if (call->context == NULL)
    kcp_link_run_user (owner, call, notify_call, g_object_ref (call), g_object_unref);
  else if (call->wants_items)
    kcp_call_notify (call);
  else
    kcp_call_notify_in (call, g_steal_pointer (&call->context));
}

static void
on_call_credit (gpointer  owner,
                KcpCall  *call,
                guint     items,
                gsize     bytes)
{
  kcp_channel_send_credit (((KcpLink *) owner)->out, call, items, bytes);
}

const KcpCallOps kcp_link_call_ops = {
  .closed = on_call_closed,
  .credit = on_call_credit,
  .deliver = on_call_deliver,
  .wait = kcp_link_wait_round,
  .ref = kcp_link_keep,
  .unref = kcp_link_let_go,
};

/* ---- making calls ---- */

/* Its own timeout, or the link's, but never longer than what the call around it has left. */
static gint64
find_deadline (KcpLink       *self,
               KcpMessage    *message,
               KcpInvocation *outer,
               gboolean       stream)
{
  int timeout = kcp_message_get_timeout (message);
  gint64 limit = outer ? kcp_invocation_get_deadline (outer) : 0;
  gint64 own;

  if (timeout == KCP_TIMEOUT_DEFAULT)
    timeout = stream ? KCP_TIMEOUT_NONE : self->call_timeout;
  own = timeout > 0 ? g_get_monotonic_time () + (gint64) timeout * 1000 : 0;

  return own == 0 || (limit > 0 && limit < own) ? limit : own;
}

/* All that the asking thread knows and home does not: inside which call it is asked, if that came
 * by this link and is not answered. */
void
kcp_link_request_init (KcpLinkRequest *request,
                       KcpLink        *self,
                       KcpCall        *call,
                       KcpMessage     *message,
                       GCancellable   *cancellable,
                       gboolean        stream)
{
  KcpInvocation *outer = kcp_current_get ();

  if (outer && (kcp_invocation_get_inbox (outer) != self->inbox || !kcp_invocation_is_open (outer)))
    outer = NULL;

  *request = (KcpLinkRequest) {
    self, call, message, cancellable, outer, kcp_current_find_trace (message),
    find_deadline (self, message, outer, stream),
  };
  if (call && outer)
    {
      kcp_invocation_keep (outer);
      call->outer = outer;
    }
}

/* A child that is being stopped finishes the calls it has, and with them what is asked inside of
 * one of its callbacks. */
gboolean
kcp_link_check_open (KcpLink   *self,
                     gboolean   inside,
                     GError   **error)
{
  gboolean finishing = inside && !self->closed &&
                       g_error_matches (self->refusal, KCP_ERROR, KCP_ERROR_STOPPING);

  if (self->refusal && !finishing)
    {
      g_propagate_error (error, g_error_copy (self->refusal));
      return FALSE;
    }

  if (!kcp_channel_is_open (self->out))
    {
      g_set_error_literal (error, KCP_ERROR, KCP_ERROR_NOT_RUNNING,
                           "the other side has closed the connection");
      return FALSE;
    }

  return TRUE;
}

/* Now, or when its turn comes. With @admitted it may wait however many do already. */
gboolean
kcp_link_put_call (KcpLink          *self,
                   KcpCall          *call,
                   KcpMessage       *message,
                   KcpTraceContext  *trace,
                   guint64           parent,
                   gint64            deadline,
                   gboolean          admitted,
                   GError          **error)
{
  if (call)
    kcp_link_keep_message (self, call, message, trace);
  if (kcp_link_must_wait (self, parent))
    {
      if (!kcp_link_mailbox_put (self, call, message, trace, deadline, admitted, error))
        return FALSE;
    }
  else if (!kcp_channel_send_call (self->out, call, message, trace, parent, deadline, error))
    return FALSE;

  kcp_link_publish (self);
  if (call && deadline > 0)
    kcp_link_add_deadline (self, &call->deadline);
  if (call)
    kcp_link_clock_call (self);
  return TRUE;
}

/* At home. */
gboolean
kcp_link_send_call (KcpLinkRequest  *request,
                    GError         **error)
{
  KcpLink *self = request->link;
  KcpCall *call = request->call;
  guint64 parent = request->outer ? kcp_invocation_get_id (request->outer) : 0;

  if (parent > 0 && kcp_channel_lookup_invocation (self->in, parent) != request->outer)
    parent = 0;
  if (call)
    {
      call->parent = parent;
      call->deadline.at = request->deadline_at;
    }
  if (call && kcp_link_gather (request))
    return TRUE;
  if (!kcp_link_check_open (self, parent > 0, error))
    return FALSE;
  if (call && !kcp_call_watch (call, request->cancellable))
    {
      /* Not taken from the cancellable, which another thread may have reset by now. */
      g_set_error_literal (error, G_IO_ERROR, G_IO_ERROR_CANCELLED, "it was cancelled before it was sent");
      return FALSE;
    }

  return kcp_link_put_call (self, call, request->message, request->trace, parent, request->deadline_at,
                            kcp_message_get_wait_for_room (request->message), error);
}

/* Sends it, or lets it fail in a later turn: user code never runs inside the call that asks. */
void
kcp_link_start_call (KcpLinkRequest *request)
{
  KcpLink *self = request->link;
  GError *error = NULL;

  self->shut++;
  if (!kcp_link_send_call (request, &error))
    {
      g_prefix_error (&error, "call “%s”: ", request->call->path);
      kcp_call_take_error (request->call, error);
    }
  self->shut--;
}

/* At once if this thread is at home, or nobody is; else it is posted. */
static void
start_call (KcpLink      *self,
            KcpCall      *call,
            KcpMessage   *message,
            GCancellable *cancellable,
            gboolean      stream)
{
  KcpLinkRequest request;
  KcpVisit visit;

  kcp_link_request_init (&request, self, call, message, cancellable, stream);
  if (kcp_inbox_is_empty (self->inbox) && kcp_inbox_enter (self->inbox, &visit))
    {
      kcp_link_start_call (&request);
      kcp_inbox_leave (self->inbox, &visit);
    }
  else
    kcp_link_post_call (&request);
  call->give_up_at = request.deadline_at;
  kcp_trace_context_unref (request.trace);
}

/* The window that this side gives it. */
void
kcp_link_open_window (KcpLink *self,
                      KcpCall *call)
{
  call->credit = self->terms.credit;
  call->window = (KcpWindow) { .max_items = self->terms.our_items, .max_bytes = self->terms.our_bytes };
}

static KcpCall *
new_call (KcpLink    *self,
          KcpMessage *message)
{
  KcpCall *call = kcp_call_new (&kcp_link_call_ops, self, self->inbox, kcp_message_get_path (message));
  GMainContext *context = g_main_context_get_thread_default ();

  kcp_link_open_window (self, call);
  if (context != self->thread_default)
    call->context = g_main_context_ref (context ? context : g_main_context_default ());
  return call;
}

void
kcp_link_ask_async (KcpLink             *self,
                    gpointer             source_object,
                    KcpMessage          *message,
                    GCancellable        *cancellable,
                    GAsyncReadyCallback  callback,
                    gpointer             user_data)
{
  g_autoptr (KcpCall) call = new_call (self, message);

  kcp_call_set_callback (call, source_object, callback, user_data);
  start_call (self, call, message, cancellable, FALSE);
}

KcpMessage *
kcp_link_ask_finish (GAsyncResult  *result,
                     GError       **error)
{
  g_return_val_if_fail (KCP_IS_CALL (result), NULL);

  return kcp_call_finish (KCP_CALL (result), error);
}

/* No KcpCall: nothing comes back, and there is nothing to cancel. */
gboolean
kcp_link_tell (KcpLink     *self,
               KcpMessage  *message,
               GError     **error)
{
  KcpLinkRequest request;
  KcpVisit visit;
  gboolean sent;

  kcp_link_request_init (&request, self, NULL, message, NULL, FALSE);
  if (kcp_inbox_is_empty (self->inbox) && kcp_inbox_enter (self->inbox, &visit))
    {
      sent = kcp_link_send_call (&request, error);
      kcp_inbox_leave (self->inbox, &visit);
    }
  else
    sent = kcp_link_post_tell (&request, error);
  kcp_trace_context_unref (request.trace);

  if (!sent)
    g_prefix_error (error, "telling “%s”: ", kcp_message_get_path (message));
  return sent;
}

/* Someone who waits elsewhere than at home does not depend on home to be told that it is time to
 * go: whatever runs there may take long. */
static gboolean
gives_up (KcpCall       *call,
          GCancellable  *cancellable,
          GError       **error)
{
  if (g_cancellable_is_cancelled (cancellable))
    g_set_error (error, G_IO_ERROR, G_IO_ERROR_CANCELLED, "call “%s” was cancelled", call->path);
  else if (call->give_up_at > 0 && g_get_monotonic_time () >= call->give_up_at)
    g_set_error (error, KCP_ERROR, KCP_ERROR_TIMED_OUT, "call “%s”: no answer before its deadline", call->path);
  else
    return FALSE;

  return TRUE;
}

static void
abandon (gpointer data)
{
  KcpCall *call = data;

  kcp_call_abandon (call, g_error_new (G_IO_ERROR, G_IO_ERROR_CANCELLED,
                                       "call “%s”: nobody waits any more", call->path));
}

KcpMessage *
kcp_link_ask (KcpLink       *self,
              KcpMessage    *message,
              GCancellable  *cancellable,
              GError       **error)
{
  g_autoptr (KcpLink) keep = kcp_link_ref (self);
  g_autoptr (KcpCall) call = new_call (self, message);
  gboolean left = FALSE;
  KcpCallWait wait;

  call->shared = !kcp_inbox_at_home (self->inbox);
  kcp_call_begin_wait (call, &wait, call->shared ? cancellable : NULL);
  start_call (self, call, message, cancellable, FALSE);
  while (!g_atomic_int_get (&call->done) && !left)
    {
      left = call->shared && gives_up (call, cancellable, error);
      if (!left)
        kcp_link_wait_round (self, call);
    }
  kcp_call_end_wait (call, &wait);

  if (!left)
    return kcp_call_finish (call, error);

  kcp_inbox_run (self->inbox, abandon, g_object_ref (call), g_object_unref);
  return NULL;
}

KcpStream *
kcp_link_ask_stream (KcpLink      *self,
                     KcpMessage   *message,
                     GCancellable *cancellable)
{
  KcpCall *call = new_call (self, message);
  KcpStream *stream = kcp_stream_new (call);

  start_call (self, call, message, cancellable, TRUE);
  return stream;
}
