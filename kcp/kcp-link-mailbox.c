/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "kcp-link-state-private.h"

#include "kcp-error.h"
#include "kcp-trace-context.h"

/* Calls that wait their turn, in the order in which they were made: because enough are in flight,
 * or because so much waits to be written that more would only be memory. Bounded; what does not
 * fit is refused, unless its caller would rather wait. */

/* With this much unwritten, calls wait here instead. */
#define WRITER_HIGH (1024 * 1024)

/* One of them. */
typedef struct
{
  KcpCall *call;             /* NULL: one-way */
  KcpMessage *message;
  KcpTraceContext *trace;
  gint64 deadline_at;
  gsize size;
} Mail;

static void
free_mail (gpointer data)
{
  Mail *mail = data;

  g_clear_object (&mail->call);
  kcp_message_unref (mail->message);
  kcp_trace_context_unref (mail->trace);
  g_free (mail);
}

static gboolean
may_send (KcpLink *self)
{
  return kcp_channel_count_calls (self->out) < self->limits.in_flight &&
         kcp_channel_get_pending (self->out) <= WRITER_HIGH;
}

/* A call inside a call never waits here: the one around it is in flight, and may be what keeps
 * the others from getting on. */
gboolean
kcp_link_must_wait (KcpLink *self,
                    guint64  parent)
{
  return parent == 0 && (self->mailbox.length > 0 || !may_send (self));
}

gboolean
kcp_link_mailbox_put (KcpLink          *self,
                      KcpCall          *call,
                      KcpMessage       *message,
                      KcpTraceContext  *trace,
                      gint64            deadline_at,
                      gboolean          admitted,
                      GError          **error)
{
  Mail *mail;
  gsize size;

  if (!kcp_channel_can_send (self->out, message, &size, error))
    return FALSE;

  if (!admitted &&
      (self->mailbox.length >= self->limits.mailbox_calls ||
       (self->mailbox.length > 0 && self->mailbox_bytes + size > self->limits.mailbox_bytes)))
    {
      g_set_error (error, KCP_ERROR, KCP_ERROR_BUSY,
                   "%u calls of %" G_GSIZE_FORMAT " bytes are waiting already, %u are in flight",
                   self->mailbox.length, self->mailbox_bytes, kcp_channel_count_calls (self->out));
      return FALSE;
    }

  mail = g_new (Mail, 1);
  *mail = (Mail) {
    call ? g_object_ref (call) : NULL, kcp_message_ref (message), kcp_trace_context_ref (trace), deadline_at, size,
  };
  g_queue_push_tail (&self->mailbox, mail);
  self->mailbox_bytes += size;
  if (call)
    call->mail = self->mailbox.tail;
  return TRUE;
}

static Mail *
take_out (KcpLink *self,
          GList   *link)
{
  Mail *mail = link->data;

  self->mailbox_bytes -= mail->size;
  if (mail->call)
    mail->call->mail = NULL;
  g_queue_delete_link (&self->mailbox, link);
  return mail;
}

/* A call that is done before its turn came. */
void
kcp_link_mailbox_remove (KcpLink *self,
                         KcpCall *call)
{
  if (call->mail)
    free_mail (take_out (self, call->mail));
}

/* To whoever would have them, from the newest to the oldest. */
void
kcp_link_mailbox_give_back (KcpLink      *self,
                            const GError *reason)
{
  GList *previous;

  for (GList *l = self->mailbox.tail; l; l = previous)
    {
      Mail *mail = l->data;

      previous = l->prev;
      if (mail->call == NULL || !kcp_link_can_give_back (self, mail->call))
        continue;

      take_out (self, l);
      kcp_link_give_back (self, mail->call, mail->message, mail->trace, reason);
      free_mail (mail);
    }
}

static void
send_first (KcpLink *self)
{
  Mail *mail = take_out (self, self->mailbox.head);
  GError *error = NULL;

  if (!kcp_channel_send_call (self->out, mail->call, mail->message, mail->trace, 0, mail->deadline_at, &error))
    {
      if (mail->call)
        kcp_call_take_error (mail->call, g_steal_pointer (&error));
      g_clear_error (&error);
    }
  free_mail (mail);
}

/* Sends what may go. Not from inside of itself: sending makes room, and room is told. */
void
kcp_link_mailbox_pump (KcpLink *self)
{
  if (self->pumping || self->closed)
    return;

  self->pumping = TRUE;
  while (self->mailbox.length > 0 && may_send (self) && kcp_channel_is_open (self->out))
    send_first (self);
  self->pumping = FALSE;
}

/* All of it, whatever is in flight: nothing may be said after what comes next. */
void
kcp_link_mailbox_send_all (KcpLink *self)
{
  self->pumping = TRUE;
  while (self->mailbox.length > 0 && !self->closed && kcp_channel_is_open (self->out))
    send_first (self);
  self->pumping = FALSE;
}

/* None of them will be sent. */
void
kcp_link_mailbox_fail (KcpLink      *self,
                       const GError *error)
{
  while (self->mailbox.length > 0)
    {
      Mail *mail = take_out (self, self->mailbox.head);

      if (mail->call)
        {
          GError *copy = g_error_copy (error);

          g_prefix_error (&copy, "call “%s”, not sent yet: ", mail->call->path);
          kcp_call_take_error (mail->call, copy);
        }
      free_mail (mail);
    }
}
