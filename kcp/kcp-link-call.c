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
}

static void
notify_call (gpointer data)
{
  kcp_call_notify (data);
}

static void
on_call_deliver (gpointer  owner,
                 KcpCall  *call)
{
  kcp_link_run_user (owner, call, notify_call, g_object_ref (call), g_object_unref);
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
};

/* ---- making calls ---- */

/* The invocation that this thread is serving right now, if it came by this link. */
static KcpInvocation *
find_parent (KcpLink *self)
{
  KcpInvocation *current = kcp_current_get ();

  if (current && kcp_channel_lookup_invocation (self->in, kcp_invocation_get_id (current)) == current)
    return current;

  return NULL;
}

/* Its own timeout, or the link's, but never longer than what the call around it has left. */
static gint64
find_deadline (KcpLink       *self,
               KcpMessage    *message,
               KcpInvocation *parent,
               gboolean       stream)
{
  int timeout = kcp_message_get_timeout (message);
  gint64 outer = parent ? kcp_invocation_get_deadline (parent) : 0;
  gint64 own;

  if (timeout == KCP_TIMEOUT_DEFAULT)
    timeout = stream ? KCP_TIMEOUT_NONE : self->call_timeout;
  own = timeout > 0 ? g_get_monotonic_time () + (gint64) timeout * 1000 : 0;

  return own == 0 || (outer > 0 && outer < own) ? outer : own;
}

gboolean
kcp_link_check_open (KcpLink  *self,
            GError  **error)
{
  if (self->refusal)
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
    {
      call->parent = parent;
      call->deadline.at = deadline;
      kcp_link_keep_message (self, call, message, trace);
    }
  if (kcp_link_must_wait (self, parent))
    {
      if (!kcp_link_mailbox_put (self, call, message, trace, deadline, admitted, error))
        return FALSE;
    }
  else if (!kcp_channel_send_call (self->out, call, message, trace, parent, deadline, error))
    return FALSE;

  if (call && deadline > 0)
    kcp_link_add_deadline (self, &call->deadline);
  if (call)
    kcp_link_clock_call (self);
  return TRUE;
}

static gboolean
send_call (KcpLink       *self,
           KcpCall       *call,
           KcpMessage    *message,
           GCancellable  *cancellable,
           gboolean       stream,
           GError       **error)
{
  KcpInvocation *parent = find_parent (self);
  gint64 deadline = find_deadline (self, message, parent, stream);
  g_autoptr (KcpTraceContext) trace = NULL;

  if (!kcp_link_check_open (self, error))
    return FALSE;
  if (call && !kcp_call_watch (call, cancellable))
    return !g_cancellable_set_error_if_cancelled (cancellable, error);

  trace = kcp_current_find_trace (message);
  return kcp_link_put_call (self, call, message, trace, parent ? kcp_invocation_get_id (parent) : 0, deadline,
                            kcp_message_get_wait_for_room (message), error);
}

/* Sends it, or lets it fail in a later turn: user code never runs inside the call that asks. */
static void
start_call (KcpLink      *self,
            KcpCall      *call,
            KcpMessage   *message,
            GCancellable *cancellable,
            gboolean      stream)
{
  GError *error = NULL;

  self->shut++;
  if (!send_call (self, call, message, cancellable, stream, &error))
    {
      g_prefix_error (&error, "call “%s”: ", call->path);
      kcp_call_take_error (call, error);
    }
  self->shut--;
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

  kcp_link_open_window (self, call);
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
  if (send_call (self, NULL, message, NULL, FALSE, error))
    return TRUE;

  g_prefix_error (error, "telling “%s”: ", kcp_message_get_path (message));
  return FALSE;
}

/* ---- blocking ---- */

void
kcp_link_watch (KcpLink       *self,
                int          (*get_fd) (gpointer data),
                KcpInboxFunc   func,
                gpointer       data)
{
  KcpLinkWatch watch = { get_fd, func, data };

  g_array_append_val (self->watches, watch);
}

static void
add_fd (GArray       *fds,
        int           fd,
        GIOCondition  condition)
{
  GPollFD poll_fd = { fd, condition, 0 };   /* a negative one is passed over by poll() */

  g_array_append_val (fds, poll_fd);
}

static int
poll_timeout (KcpLink *self)
{
  gint64 next = kcp_link_clock_next (self);
  gint64 left;

  if (next == 0)
    return -1;

  left = (next - g_get_monotonic_time () + 999) / 1000;
  return (int) CLAMP (left, 0, G_MAXINT);
}

/* Sleeps until one of our own descriptors has something, or the next deadline. */
static void
wait_for_something (KcpLink *self)
{
  g_autoptr (GArray) fds = g_array_new (FALSE, FALSE, sizeof (GPollFD));
  guint first_watch;

  if (kcp_channel_is_open (self->request))
    add_fd (fds, kcp_channel_get_fd (self->request), kcp_channel_get_condition (self->request));
  if (kcp_channel_is_open (self->callback))
    add_fd (fds, kcp_channel_get_fd (self->callback), kcp_channel_get_condition (self->callback));
  add_fd (fds, kcp_inbox_get_fd (self->inbox), G_IO_IN);
  first_watch = fds->len;
  for (guint i = 0; i < self->watches->len; i++)
    {
      KcpLinkWatch *watch = &g_array_index (self->watches, KcpLinkWatch, i);

      add_fd (fds, watch->get_fd (watch->data), G_IO_IN);
    }

  g_poll ((GPollFD *) (gpointer) fds->data, fds->len, poll_timeout (self));

  for (guint i = first_watch; i < fds->len && !self->closed; i++)
    if (g_array_index (fds, GPollFD, i).revents)
      {
        KcpLinkWatch watch = g_array_index (self->watches, KcpLinkWatch, i - first_watch);

        watch.func (watch.data);
      }
}

/* One round: takes in what is there, or sleeps until something is. Only for @call and what
 * descends from it does user code run; the rest waits until the thread is free again. */
void
kcp_link_wait_round (gpointer  owner,
                     KcpCall  *call)
{
  g_autoptr (KcpLink) self = kcp_link_ref (owner);
  KcpCall *gate = self->gate;
  gboolean busy;

  if (self->closed)
    return;

  self->gate = call;
  self->thread = g_thread_self ();

  busy = kcp_channel_run (self->callback);
  if (!self->closed)
    kcp_channel_release_held (self->request);
  if (!self->closed && !call->done)
    busy |= kcp_channel_run (self->request);
  if (!busy && !self->closed && !call->done)
    {
      wait_for_something (self);
      if (!self->closed)
        kcp_inbox_take (self->inbox);
    }
  /* Also when the other side keeps us busy: a flood does not put off a deadline. */
  if (!self->closed && !call->done)
    kcp_link_clock_check (self);

  self->gate = gate;
}

KcpMessage *
kcp_link_ask (KcpLink       *self,
              KcpMessage    *message,
              GCancellable  *cancellable,
              GError       **error)
{
  g_autoptr (KcpLink) keep = kcp_link_ref (self);
  g_autoptr (KcpCall) call = new_call (self, message);

  start_call (self, call, message, cancellable, FALSE);
  while (!call->done)
    kcp_link_wait_round (self, call);

  return kcp_call_finish (call, error);
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
