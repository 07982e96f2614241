/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "kcp-link-state-private.h"

#include "kcp-current-private.h"
#include "kcp-error.h"

/* Calls of the other side: from the channel to user code, and the answers back. */

static void
on_answer (gpointer        owner,
           KcpInvocation  *invocation,
           KcpAnswer       kind,
           KcpMessage     *message,
           const GError   *error)
{
  KcpLink *self = owner;

  if (!kcp_invocation_wants_reply (invocation))
    {
      if (kind != KCP_ANSWER_ITEM)
        kcp_channel_drop_invocation (self->in, invocation);
      return;
    }

  kcp_channel_send_answer (self->in, invocation, kind, message, error,
                           self->side == KCP_LINK_CHILD ? (gint64) kcp_channel_get_sent (self->out) : -1);
}

static const KcpInvocationOps invocation_ops = { .answer = on_answer };

typedef struct
{
  KcpLink *link;
  KcpInvocation *invocation;
} Incoming;

static void
free_incoming (gpointer data)
{
  Incoming *incoming = data;

  kcp_invocation_unref (incoming->invocation);
  kcp_link_unref (incoming->link);
  g_free (incoming);
}

static void
invoke (gpointer data)
{
  Incoming *incoming = data;
  KcpInvocation *previous;

  /* It may have been cancelled while it waited for its turn. */
  if (incoming->link->closed || !kcp_invocation_is_open (incoming->invocation))
    return;

  previous = kcp_current_enter (incoming->invocation);
  incoming->link->ops->invoke (incoming->link->owner, incoming->invocation);
  kcp_current_leave (previous);
}

void
kcp_link_on_call (gpointer         owner,
                  KcpChannel      *channel,
                  KcpIncomingCall *call)
{
  KcpLink *self = owner;
  Incoming *incoming = g_new0 (Incoming, 1);
  gboolean descends;

  incoming->link = kcp_link_ref (self);
  incoming->invocation = kcp_invocation_new (&invocation_ops, self, self->inbox, call->message, call->id,
                                             call->parent, call->deadline_at, call->no_reply);
  kcp_channel_add_invocation (self->in, incoming->invocation);
  if (self->terms.credit)
    kcp_invocation_set_window (incoming->invocation, self->terms.their_items, self->terms.their_bytes);
  if (call->deadline_at > 0)
    kcp_link_add_deadline (self, kcp_invocation_deadline (incoming->invocation));

  if (kcp_link_depth (self, call->parent, NULL, &descends) >= KCP_LINK_MAX_DEPTH)
    {
      kcp_invocation_fail_printf (incoming->invocation, KCP_ERROR, KCP_ERROR_TOO_LARGE,
                                  "calls inside calls are more than %d deep", KCP_LINK_MAX_DEPTH);
      free_incoming (incoming);
    }
  else if (kcp_link_may_run (self, call->parent))
    {
      invoke (incoming);
      free_incoming (incoming);
    }
  else
    kcp_link_defer (self, call->parent, invoke, incoming, free_incoming);
}

void
kcp_link_on_dropped (gpointer       owner,
                     KcpChannel    *channel,
                     KcpInvocation *invocation)
{
  KcpLink *self = owner;

  kcp_link_remove_deadline (self, kcp_invocation_deadline (invocation));
  if (self->ops->drained && !self->closed && kcp_channel_count_invocations (self->in) == 0)
    self->ops->drained (self->owner);
}
