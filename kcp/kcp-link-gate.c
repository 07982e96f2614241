/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "kcp-link-state-private.h"

/* When user code may run: at once, or, where a thread blocks for a call, only what that needs; the
 * rest in a later turn of the link's context. */

/* Around everything that a main loop runs for us. Whatever blocks further down in this thread
 * has let go of it by running that loop, so its gate does not count. */
KcpCall *
kcp_link_enter_loop (KcpLink *self)
{
  kcp_inbox_occupy (self->inbox);
  return g_steal_pointer (&self->gate);
}

void
kcp_link_leave_loop (KcpLink *self,
                     KcpCall *gate)
{
  self->gate = gate;
  kcp_inbox_vacate (self->inbox);
}

void
kcp_link_free_deferred (KcpLinkDeferred *deferred)
{
  if (deferred->destroy)
    deferred->destroy (deferred->data);
  g_free (deferred);
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

/* A turn for what waits, and none where nothing does: a source that is left over would hold the
 * link, and with it a context that may never run again, for good. */
void
kcp_link_schedule_deferred (KcpLink *self)
{
  if (self->deferred.length == 0)
    {
      if (self->deferred_source)
        g_source_destroy (self->deferred_source);
      g_clear_pointer (&self->deferred_source, g_source_unref);
      return;
    }
  if (self->deferred_source)
    return;

  /* Holds a reference: what is deferred runs even if the link goes meanwhile. */
  self->deferred_source = g_idle_source_new ();
  g_source_set_priority (self->deferred_source, G_PRIORITY_DEFAULT);
  g_source_set_callback (self->deferred_source, on_deferred, kcp_link_ref (self),
                         (GDestroyNotify) kcp_link_unref);
  g_source_attach (self->deferred_source, self->context);
}

void
kcp_link_run_deferred (KcpLink *self)
{
  g_autoptr (KcpLink) keep = kcp_link_ref (self);

  while (self->deferred.length > 0 && self->gate == NULL && self->shut == 0)
    {
      KcpLinkDeferred *first = g_queue_pop_head (&self->deferred);

      /* It may run a main loop, in which the next ones are to go on. */
      kcp_link_schedule_deferred (self);
      first->func (first->data);
      kcp_link_free_deferred (first);
    }
}

void
kcp_link_defer (KcpLink        *self,
                guint64         parent,
                KcpInboxFunc    func,
                gpointer        data,
                GDestroyNotify  destroy)
{
  KcpLinkDeferred *deferred = g_new (KcpLinkDeferred, 1);

  *deferred = (KcpLinkDeferred) { func, data, destroy, parent };
  g_queue_push_tail (&self->deferred, deferred);
  kcp_link_schedule_deferred (self);
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

/* Whether what belongs to our call @parent belongs to one for which another thread blocks. */
static gboolean
is_awaited (KcpLink *self,
            guint64  parent)
{
  for (guint depth = 0; parent > 0 && depth < KCP_LINK_MAX_DEPTH; depth++)
    {
      KcpCall *call = kcp_channel_lookup_call (self->out, parent);
      KcpInvocation *outer;

      if (call == NULL)
        return FALSE;
      if (kcp_call_is_awaited (call))
        return TRUE;
      outer = call->parent > 0 ? kcp_channel_lookup_invocation (self->in, call->parent) : NULL;
      parent = outer ? kcp_invocation_get_parent (outer) : 0;
    }

  return FALSE;
}

/* @parent: the call of ours to which it belongs; 0 for none. While this thread blocks: what belongs
 * to the call it waits for, or to one for which another thread does, who cannot run it, and whose
 * handler may be what keeps ours from its answer. */
gboolean
kcp_link_may_run (KcpLink *self,
                  guint64  parent)
{
  gboolean descends;

  if (self->shut > 0)
    return FALSE;
  if (self->gate == NULL)
    return self->deferred.length == 0;

  kcp_link_depth (self, parent, self->gate, &descends);
  return descends || (self->waits < KCP_LINK_MAX_DEPTH && is_awaited (self, parent));
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
  guint64 parent;

  if (call && call->parent > 0)
    outer = kcp_channel_lookup_invocation (self->in, call->parent);
  parent = outer ? kcp_invocation_get_parent (outer) : 0;

  if (!kcp_link_may_run (self, parent))
    {
      kcp_link_defer (self, parent, func, data, destroy);
      return;
    }

  func (data);
  if (destroy)
    destroy (data);
}

void
kcp_link_when_free (KcpLink        *self,
                    KcpInboxFunc    func,
                    gpointer        data,
                    GDestroyNotify  destroy)
{
  kcp_link_run_user (self, NULL, func, data, destroy);
}
