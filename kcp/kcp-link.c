/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "kcp-link-state-private.h"

#include <glib-unix.h>

#include "kcp-error.h"

/* Bytes that may wait on the callback socket before logs are dropped. */
#define BACKED_UP (1024 * 1024)

#define ACCEPT(kind) (1u << KCP_FRAME_##kind)

/* What each side may hear on each socket. Kinds that belong to a feature neither side has
 * announced (SPAN, SET) are in none of them. */
static const guint32 accepts[2][2] = {
  [KCP_LINK_HOST] = {
    [KCP_SOCKET_REQUEST] = ACCEPT (ITEM) | ACCEPT (END) | ACCEPT (ERROR) | ACCEPT (STATUS) |
                           ACCEPT (PING) | ACCEPT (PONG),
    [KCP_SOCKET_CALLBACK] = ACCEPT (CALL) | ACCEPT (CANCEL) | ACCEPT (LOG) |
                            ACCEPT (PING) | ACCEPT (PONG),
  },
  [KCP_LINK_CHILD] = {
    [KCP_SOCKET_REQUEST] = ACCEPT (OPEN) | ACCEPT (CALL) | ACCEPT (CANCEL) | ACCEPT (GOODBYE) |
                           ACCEPT (PING) | ACCEPT (PONG),
    [KCP_SOCKET_CALLBACK] = ACCEPT (ITEM) | ACCEPT (END) | ACCEPT (ERROR) |
                            ACCEPT (PING) | ACCEPT (PONG),
  },
};

/* ---- order between the sockets ---- */

static gboolean
on_hold (gpointer    owner,
         KcpChannel *channel,
         guint64     callbacks_sent)
{
  KcpLink *self = owner;

  if (channel != self->request || self->side != KCP_LINK_HOST)
    return FALSE;

  if (kcp_channel_get_received (self->callback) < callbacks_sent && !self->catching_up)
    {
      self->catching_up = TRUE;
      kcp_channel_drain (self->callback);
      self->catching_up = FALSE;
    }

  return kcp_channel_get_received (self->callback) < callbacks_sent && kcp_channel_is_open (self->callback);
}

static void
on_turn (gpointer    owner,
         KcpChannel *channel)
{
  g_autoptr (KcpLink) self = kcp_link_ref (owner);
  KcpCall *gate = kcp_link_enter_loop (self);

  kcp_link_run_deferred (self);
  kcp_channel_run (channel);
  /* Whichever it was: a loop in user code may have held an end while the other was read. */
  if (!self->closed)
    kcp_channel_release_held (self->request);
  kcp_link_leave_loop (self, gate);
}

/* Takes in all that has arrived on both sockets. */
void
kcp_link_drain (KcpLink *self)
{
  g_autoptr (KcpLink) keep = kcp_link_ref (self);

  if (!self->closed)
    kcp_channel_drain (self->callback);
  if (!self->closed)
    kcp_channel_release_held (self->request);
  if (!self->closed)
    kcp_channel_drain (self->request);
  if (!self->closed)
    kcp_channel_release_held (self->request);
}

static void
on_frame (gpointer      owner,
          KcpChannel   *channel,
          KcpFrameKind  kind,
          GBytes       *body)
{
  KcpLink *self = owner;

  if (kind == KCP_FRAME_PONG)
    kcp_link_clock_pong (self);
  else
    self->ops->frame (self->owner, kind, body);
}

static void
on_ended (gpointer      owner,
          KcpChannel   *channel,
          const GError *error)
{
  g_autoptr (KcpLink) self = kcp_link_ref (owner);

  /* Nothing more will come that an end could wait for. */
  if (channel == self->callback)
    kcp_channel_release_held (self->request);
  if (!self->closed)
    self->ops->lost (self->owner, error);
}

static void
on_room (gpointer    owner,
         KcpChannel *channel)
{
  KcpLink *self = owner;

  if (channel == self->out)
    kcp_link_mailbox_pump (self);
}

static const KcpChannelOps channel_ops = {
  .room = on_room,
  .turn = on_turn,
  .call = kcp_link_on_call,
  .hold = on_hold,
  .dropped = kcp_link_on_dropped,
  .link_frame = on_frame,
  .ended = on_ended,
};

/* ---- life ---- */

static KcpChannel *
make_channel (KcpLink       *self,
              KcpSocketRole  role,
              KcpLinkSocket *socket)
{
  guint32 accepted = accepts[self->side][role];
  KcpChannel *channel;

  /* Credit comes for the answers that this side gives. */
  if (self->terms.credit && (accepted & ACCEPT (CALL)))
    accepted |= ACCEPT (CREDIT);

  channel = kcp_channel_new (kcp_socket_role_to_string (role), socket->connection,
                             g_steal_pointer (&socket->reader), accepted,
                             self->side == KCP_LINK_CHILD && role == KCP_SOCKET_CALLBACK,
                             self->terms.frame_limit, &channel_ops, self);
  if (self->terms.fds)
    kcp_channel_allow_fds (channel);
  return channel;
}

/* Takes the readers of both sockets. */
KcpLink *
kcp_link_new (KcpLinkSide       side,
              KcpLinkSocket    *request,
              KcpLinkSocket    *callback,
              const KcpTerms   *terms,
              const KcpLinkOps *ops,
              gpointer          owner)
{
  KcpLink *self = g_new0 (KcpLink, 1);

  g_atomic_ref_count_init (&self->ref_count);
  self->side = side;
  self->terms = *terms;
  self->limits = KCP_LINK_DEFAULT_LIMITS;
  g_queue_init (&self->mailbox);
  self->ops = ops;
  self->owner = owner;
  g_mutex_init (&self->lock);
  self->responsive = self->told_responsive = TRUE;
  self->inbox = kcp_inbox_new ();
  self->watches = g_array_new (FALSE, FALSE, sizeof (KcpLinkWatch));
  g_queue_init (&self->deferred);
  kcp_deadlines_init (&self->deadlines);

  self->request = make_channel (self, KCP_SOCKET_REQUEST, request);
  self->callback = make_channel (self, KCP_SOCKET_CALLBACK, callback);
  self->out = side == KCP_LINK_HOST ? self->request : self->callback;
  self->in = side == KCP_LINK_HOST ? self->callback : self->request;
  return self;
}

KcpLink *
kcp_link_ref (KcpLink *self)
{
  g_atomic_ref_count_inc (&self->ref_count);
  return self;
}

void
kcp_link_unref (KcpLink *self)
{
  if (!g_atomic_ref_count_dec (&self->ref_count))
    return;

  g_warn_if_fail (self->closed);
  kcp_channel_unref (self->request);
  kcp_channel_unref (self->callback);
  kcp_deadlines_clear (&self->deadlines);
  kcp_inbox_unref (self->inbox);
  g_queue_clear_full (&self->deferred, (GDestroyNotify) kcp_link_free_deferred);
  g_array_unref (self->watches);
  g_clear_error (&self->refusal);
  g_mutex_clear (&self->lock);
  g_clear_pointer (&self->context, g_main_context_unref);
  g_free (self);
}

static gboolean
on_inbox (int           fd,
          GIOCondition  condition,
          gpointer      data)
{
  g_autoptr (KcpLink) self = kcp_link_ref (data);
  KcpCall *gate = kcp_link_enter_loop (self);

  kcp_inbox_take (self->inbox);
  kcp_link_leave_loop (self, gate);
  return G_SOURCE_CONTINUE;
}

void
kcp_link_attach (KcpLink      *self,
                 GMainContext *context)
{
  self->context = context ? g_main_context_ref (context) : g_main_context_ref (g_main_context_default ());
  self->thread_default = self->context == g_main_context_default () ? NULL : self->context;
  kcp_inbox_set_context (self->inbox, self->context);
  kcp_channel_attach (self->request, self->context);
  kcp_channel_attach (self->callback, self->context);
  kcp_link_clock_start (self);

  if (kcp_inbox_get_fd (self->inbox) < 0)
    return;
  self->inbox_source = g_unix_fd_source_new (kcp_inbox_get_fd (self->inbox), G_IO_IN);
  g_source_set_callback (self->inbox_source, G_SOURCE_FUNC (on_inbox), self, NULL);
  g_source_set_can_recurse (self->inbox_source, TRUE);
  g_source_attach (self->inbox_source, self->context);
}

/* First nobody can come in any more, then everybody is told, then the doors are shut. */
void
kcp_link_close (KcpLink      *self,
                const GError *reason)
{
  g_autoptr (KcpLink) keep = kcp_link_ref (self);

  if (self->closed)
    return;

  self->closed = TRUE;
  if (self->refusal == NULL)
    kcp_link_refuse (self, g_error_copy (reason));
  if (self->inbox_source)
    g_source_destroy (self->inbox_source);
  g_clear_pointer (&self->inbox_source, g_source_unref);
  kcp_link_clock_stop (self);

  kcp_link_give_all_back (self, reason);
  /* While they are told, the tables are whole, so that what belongs together is still known. */
  kcp_channel_fail_calls (self->out, reason);
  kcp_link_mailbox_fail (self, reason);
  kcp_channel_drop_invocations (self->in);
  kcp_channel_close (self->request);
  kcp_channel_close (self->callback);
  kcp_inbox_close (self->inbox);
}

gboolean
kcp_link_is_closed (KcpLink *self)
{
  return self->closed;
}

gboolean
kcp_link_is_whole (KcpLink *self)
{
  return !self->closed && kcp_channel_is_open (self->request) && kcp_channel_is_open (self->callback);
}

void
kcp_link_set_limits (KcpLink             *self,
                     const KcpLinkLimits *limits)
{
  self->limits = *limits;
}

void
kcp_link_set_call_timeout (KcpLink *self,
                           int      milliseconds)
{
  self->call_timeout = milliseconds;
}

void
kcp_link_refuse (KcpLink *self,
                 GError  *error)
{
  GError *old = self->refusal;

  g_mutex_lock (&self->lock);
  self->refusal = error;
  g_mutex_unlock (&self->lock);
  g_clear_error (&old);
}

guint
kcp_link_count_calls (KcpLink *self)
{
  return kcp_channel_count_calls (self->out) + self->mailbox.length;
}

guint
kcp_link_count_invocations (KcpLink *self)
{
  return kcp_channel_count_invocations (self->in);
}

void
kcp_link_send (KcpLink       *self,
               KcpSocketRole  socket,
               KcpFrameKind   kind,
               GBytes        *body)
{
  kcp_channel_send_link_frame (socket == KCP_SOCKET_REQUEST ? self->request : self->callback, kind, body);
}

gboolean
kcp_link_flush (KcpLink *self,
                gint64   until)
{
  /* What other threads have said by now is to be among it. */
  self->shut++;
  kcp_inbox_take (self->inbox);
  self->shut--;
  return kcp_channel_flush (self->callback, until) && kcp_channel_flush (self->request, until);
}

gboolean
kcp_link_is_backed_up (KcpLink *self)
{
  return kcp_channel_get_pending (self->callback) > BACKED_UP;
}

void
kcp_link_add_deadline (KcpLink     *self,
                       KcpDeadline *deadline)
{
  kcp_deadlines_add (&self->deadlines, deadline);
  kcp_link_clock_arm (self, deadline->at);
}

void
kcp_link_remove_deadline (KcpLink     *self,
                          KcpDeadline *deadline)
{
  kcp_deadlines_remove (&self->deadlines, deadline);
}

void
kcp_link_post (KcpLink        *self,
               KcpInboxFunc    func,
               gpointer        data,
               GDestroyNotify  destroy)
{
  kcp_inbox_post (self->inbox, func, data, destroy);
}
