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

/* ---- user code, now or later ---- */

/* Around everything that a main loop runs for us. Whatever blocks further down in this thread
 * has let go of it by running that loop, so its gate does not count. */
KcpCall *
kcp_link_enter_loop (KcpLink *self)
{
  self->thread = g_thread_self ();
  return g_steal_pointer (&self->gate);
}

void
kcp_link_leave_loop (KcpLink *self,
                     KcpCall *gate)
{
  self->gate = gate;
}

static void
free_deferred (KcpLinkDeferred *deferred)
{
  if (deferred->destroy)
    deferred->destroy (deferred->data);
}

void
kcp_link_run_deferred (KcpLink *self)
{
  g_autoptr (KcpLink) keep = kcp_link_ref (self);

  while (self->deferred->len > 0 && self->gate == NULL && self->shut == 0)
    {
      KcpLinkDeferred first = g_array_index (self->deferred, KcpLinkDeferred, 0);

      memset (&g_array_index (self->deferred, KcpLinkDeferred, 0), 0, sizeof first);
      g_array_remove_index (self->deferred, 0);
      first.func (first.data);
      free_deferred (&first);
    }
}

static gboolean
on_deferred (gpointer data)
{
  KcpLink *self = data;
  KcpCall *gate = kcp_link_enter_loop (self);

  g_clear_pointer (&self->deferred_source, g_source_unref);
  kcp_link_run_deferred (self);
  kcp_link_leave_loop (self, gate);
  return G_SOURCE_REMOVE;
}

void
kcp_link_defer (KcpLink        *self,
                KcpInboxFunc    func,
                gpointer        data,
                GDestroyNotify  destroy)
{
  KcpLinkDeferred deferred = { func, data, destroy };

  g_array_append_val (self->deferred, deferred);
  if (self->deferred_source)
    return;

  /* Holds a reference: what is deferred runs even if the link goes meanwhile. */
  self->deferred_source = g_idle_source_new ();
  g_source_set_priority (self->deferred_source, G_PRIORITY_DEFAULT);
  g_source_set_callback (self->deferred_source, on_deferred, kcp_link_ref (self),
                         (GDestroyNotify) kcp_link_unref);
  g_source_attach (self->deferred_source, self->context);
}

/* Walks from a call of ours up to the call without a parent: our call → the invocation inside
 * which it was made → our call that the other side was serving → … Gives the number of steps,
 * and whether @ancestor was met. */
guint
kcp_link_depth (KcpLink  *self,
                guint64   parent,
                KcpCall  *ancestor,
                gboolean *descends)
{
  guint depth = 0;

  *descends = FALSE;
  while (parent > 0 && depth < KCP_LINK_MAX_DEPTH)
    {
      KcpCall *call = kcp_channel_lookup_call (self->out, parent);
      KcpInvocation *outer;

      if (call == NULL)
        break;
      depth++;
      if (call == ancestor)
        *descends = TRUE;
      outer = call->parent > 0 ? kcp_channel_lookup_invocation (self->in, call->parent) : NULL;
      if (outer == NULL)
        break;
      depth++;
      parent = kcp_invocation_get_parent (outer);
    }

  return depth;
}

/* @parent: the call of ours to which it belongs; 0 for none. */
gboolean
kcp_link_may_run (KcpLink *self,
                  guint64  parent)
{
  gboolean descends;

  if (self->shut > 0)
    return FALSE;
  if (self->gate == NULL)
    return self->deferred->len == 0;

  kcp_link_depth (self, parent, self->gate, &descends);
  return descends;
}

/* Runs @func now if it may, for something inside @call where that is given; else in its turn. */
void
kcp_link_run_user (KcpLink        *self,
                   KcpCall        *call,
                   KcpInboxFunc    func,
                   gpointer        data,
                   GDestroyNotify  destroy)
{
  KcpInvocation *outer = NULL;

  if (call && call->parent > 0)
    outer = kcp_channel_lookup_invocation (self->in, call->parent);

  if (kcp_link_may_run (self, outer ? kcp_invocation_get_parent (outer) : 0))
    {
      func (data);
      if (destroy)
        destroy (data);
    }
  else
    kcp_link_defer (self, func, data, destroy);
}

void
kcp_link_when_free (KcpLink        *self,
                    KcpInboxFunc    func,
                    gpointer        data,
                    GDestroyNotify  destroy)
{
  kcp_link_run_user (self, NULL, func, data, destroy);
}

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
  if (channel == self->callback && !self->closed)
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

  /* Credit comes for the answers that this side gives. */
  if (self->terms.credit && (accepted & ACCEPT (CALL)))
    accepted |= ACCEPT (CREDIT);

  return kcp_channel_new (kcp_socket_role_to_string (role), socket->connection,
                          g_steal_pointer (&socket->reader), accepted,
                          self->side == KCP_LINK_CHILD && role == KCP_SOCKET_CALLBACK,
                          self->terms.frame_limit, &channel_ops, self);
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

  g_ref_count_init (&self->ref_count);
  self->side = side;
  self->terms = *terms;
  self->limits = KCP_LINK_DEFAULT_LIMITS;
  g_queue_init (&self->mailbox);
  self->ops = ops;
  self->owner = owner;
  self->thread = g_thread_self ();
  self->responsive = TRUE;
  self->inbox = kcp_inbox_new ();
  self->watches = g_array_new (FALSE, FALSE, sizeof (KcpLinkWatch));
  self->deferred = g_array_new (FALSE, FALSE, sizeof (KcpLinkDeferred));
  g_array_set_clear_func (self->deferred, (GDestroyNotify) free_deferred);
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
  g_ref_count_inc (&self->ref_count);
  return self;
}

void
kcp_link_unref (KcpLink *self)
{
  if (!g_ref_count_dec (&self->ref_count))
    return;

  g_warn_if_fail (self->closed);
  kcp_channel_unref (self->request);
  kcp_channel_unref (self->callback);
  kcp_deadlines_clear (&self->deadlines);
  kcp_inbox_unref (self->inbox);
  g_array_unref (self->deferred);
  g_array_unref (self->watches);
  g_clear_error (&self->refusal);
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
    self->refusal = g_error_copy (reason);
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
  g_clear_error (&self->refusal);
  self->refusal = error;
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

GThread *
kcp_link_get_thread (KcpLink *self)
{
  return self->thread;
}
