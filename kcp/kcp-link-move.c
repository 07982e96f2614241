/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "kcp-link-state-private.h"

/* Calls that change hands: a link takes over what has waited for it, and gives back what may be
 * made again once it has ended. */

void
kcp_link_adopt (KcpLink         *self,
                KcpCall         *call,
                KcpMessage      *message,
                KcpTraceContext *trace,
                gint64           deadline_at)
{
  g_autoptr (GError) error = NULL;

  /* Whoever hands over many is not interrupted by user code. */
  self->shut++;
  if (call)
    {
      kcp_link_open_window (self, call);
      call->give_up_at = call->deadline.at = deadline_at;
      kcp_call_move (call, &kcp_link_call_ops, self, self->inbox);
    }
  if ((!kcp_link_check_open (self, FALSE, &error) ||
       !kcp_link_put_call (self, call, message, trace, 0, deadline_at, TRUE, &error)) && call)
    {
      g_prefix_error (&error, "call “%s”: ", call->path);
      kcp_call_take_error (call, g_steal_pointer (&error));
    }
  self->shut--;
}

void
kcp_link_set_take_back (KcpLink         *self,
                        KcpLinkTakeBack  func,
                        gpointer         data)
{
  self->take_back = func;
  self->take_back_data = data;
}

/* One that somebody blocks for stays: the wait is for this link. */
gboolean
kcp_link_can_give_back (KcpLink *self,
                        KcpCall *call)
{
  return self->take_back && call->callback && call->source_object == self->take_back_data;
}

/* A call that is about to be sent. It is sent again once, so the second time nothing is kept. */
void
kcp_link_keep_message (KcpLink         *self,
                       KcpCall         *call,
                       KcpMessage      *message,
                       KcpTraceContext *trace)
{
  if (call->sent_again || !kcp_message_get_idempotent (message) || !kcp_link_can_give_back (self, call))
    return;

  call->message = kcp_message_ref (message);
  call->trace = kcp_trace_context_ref (trace);
}

/* @call is in none of our queues any more. */
void
kcp_link_give_back (KcpLink         *self,
                    KcpCall         *call,
                    KcpMessage      *message,
                    KcpTraceContext *trace,
                    const GError    *reason)
{
  kcp_link_remove_deadline (self, &call->deadline);
  call->id = 0;
  call->parent = 0;
  /* That came by this link. */
  g_clear_pointer (&call->outer, kcp_invocation_release);
  g_clear_pointer (&call->message, kcp_message_unref);
  g_clear_pointer (&call->trace, kcp_trace_context_unref);
  self->take_back (self->take_back_data, call, message, trace, reason);
}

/* A call that comes out of the inbox when nothing can be sent any more, and before that is known to
 * be the end: it waits behind all others for what becomes of them. Who has a call that may go back
 * is at home, and nobody else looks further. */
gboolean
kcp_link_gather (KcpLinkRequest *request)
{
  KcpLink *self = request->link;
  KcpCall *call = request->call;
  gboolean ending;

  if (!kcp_inbox_at_home (self->inbox) || !kcp_link_can_give_back (self, call))
    return FALSE;
  ending = !self->closed && self->refusal == NULL && !kcp_channel_is_open (self->out);
  if (!ending && !self->gathering)
    return FALSE;

  call->deadline.at = request->deadline_at;
  if (!kcp_link_mailbox_put (self, call, request->message, request->trace, request->deadline_at, TRUE, NULL))
    return FALSE;
  if (ending && request->deadline_at > 0)
    kcp_link_add_deadline (self, &call->deadline);
  if (!kcp_call_watch (call, request->cancellable))
    kcp_call_take_error (call, g_error_new (G_IO_ERROR, G_IO_ERROR_CANCELLED,
                                            "call “%s”: it was cancelled before it was sent", call->path));
  return TRUE;
}

/* The inbox gives up what is in it, as it would a moment later. What waits is newer than what was
 * sent, and what comes out of the inbox is newer than both. */
void
kcp_link_give_all_back (KcpLink      *self,
                        const GError *reason)
{
  g_autoptr (GPtrArray) calls = NULL;

  if (self->take_back == NULL)
    return;

  /* The source that has brought us here may be destroyed by now, and is no witness of who is at home. */
  kcp_inbox_occupy (self->inbox);
  self->gathering = TRUE;
  self->shut++;
  kcp_inbox_close (self->inbox);
  self->shut--;
  self->gathering = FALSE;
  kcp_inbox_vacate (self->inbox);

  kcp_link_mailbox_give_back (self, reason);
  calls = kcp_channel_list_calls (self->out);
  for (guint i = calls->len; i > 0; i--)
    {
      KcpCall *call = calls->pdata[i - 1];
      g_autoptr (KcpMessage) message = g_steal_pointer (&call->message);
      g_autoptr (KcpTraceContext) trace = g_steal_pointer (&call->trace);

      if (message == NULL || !kcp_link_can_give_back (self, call))
        continue;

      kcp_channel_forget_call (self->out, call, FALSE);
      call->sent_again = TRUE;
      kcp_link_give_back (self, call, message, trace, reason);
    }
  kcp_link_publish (self);
}
