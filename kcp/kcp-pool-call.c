/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "kcp-pool-state-private.h"

#include "kcp-current-private.h"
#include "kcp-error.h"

/* A call of the pool is two: the outer one, which the caller sees, and the inner one to the child
 * that serves it. The outer one is done exactly once, as every call is; the inner one may be
 * tried again.
 *
 *     asked ──► queue ──► child ──answer──► done
 *                 ▲         └──not sent, or died over it and idempotent──► queue or another child
 */

KcpPoolCall *
kcp_pool_call_ref (KcpPoolCall *self)
{
  g_ref_count_inc (&self->ref_count);
  return self;
}

void
kcp_pool_call_unref (gpointer data)
{
  KcpPoolCall *self = data;

  if (!g_ref_count_dec (&self->ref_count))
    return;

  g_clear_pointer (&self->member, kcp_pool_member_unref);
  g_clear_pointer (&self->parent, kcp_trace_context_unref);
  g_clear_object (&self->inner);
  g_clear_object (&self->cancellable);
  kcp_message_unref (self->message);
  g_clear_object (&self->pool);
  g_free (self);
}

/* ---- streams ---- */

static void
end_stream (KcpPoolCall *self)
{
  g_autoptr (KcpStream) inner = g_steal_pointer (&self->inner);
  g_autoptr (KcpPoolMember) member = g_steal_pointer (&self->member);
  KcpCall *call = kcp_stream_get_call (inner);

  kcp_call_set_notify (call, NULL, NULL);
  kcp_pool_settle (self, member, call->error ? NULL : kcp_message_ref (call->result),
                   call->error ? g_error_copy (call->error) : NULL, call->id == 0);
}

/* An item is taken from the child's window when the reader has taken the one before. */
static void
pump_stream (KcpPoolCall *data)
{
  g_autoptr (KcpPoolCall) self = kcp_pool_call_ref (data);

  while (self->outer && self->inner && self->outer->items.length == 0)
    {
      KcpMessage *item = kcp_call_pop_item (kcp_stream_get_call (self->inner));

      if (item == NULL)
        break;
      self->begun = TRUE;
      kcp_call_take_item (self->outer, item);
    }

  if (self->outer && self->inner && kcp_stream_is_done (self->inner) &&
      kcp_stream_get_call (self->inner)->items.length == 0)
    end_stream (self);
}

static void
on_items (KcpCall  *inner,
          gpointer  data)
{
  pump_stream (data);
}

void
kcp_pool_call_watch_stream (KcpPoolCall *self)
{
  kcp_call_set_notify (kcp_stream_get_call (self->inner), on_items, self);
}

static void
on_wait (gpointer  owner,
         KcpCall  *call)
{
  g_autoptr (KcpPoolCall) self = kcp_pool_call_ref (owner);

  if (self->inner)
    {
      g_autoptr (KcpStream) inner = g_object_ref (self->inner);

      kcp_stream_wait (inner);
      pump_stream (self);
    }
  else if (self->outer)
    kcp_call_abandon (self->outer, g_error_new (KCP_ERROR, KCP_ERROR_NOT_RUNNING,
                                                "call “%s”: no child is ready, and none can become so "
                                                "while the program blocks", call->path));
}

/* ---- what the outer call tells ---- */

static void
drop_inner (KcpPoolCall *self)
{
  g_autoptr (KcpStream) inner = g_steal_pointer (&self->inner);
  g_autoptr (KcpPoolMember) member = NULL;

  if (inner == NULL)
    return;

  member = g_steal_pointer (&self->member);
  kcp_call_set_notify (kcp_stream_get_call (inner), NULL, NULL);
  kcp_stream_close (inner);
  kcp_pool_member_count_call (member);
  kcp_pool_pump (self->pool);
}

static void
on_closed (gpointer  owner,
           KcpCall  *outer,
           gboolean  cancel)
{
  KcpPoolCall *self = owner;

  kcp_pool_call_unqueue (self);
  self->outer = NULL;
  drop_inner (self);
  /* A result that is kept, or a stream that has ended, does not keep the pool. */
  self->shut_by = self->pool->shut > 0 ? self->pool : NULL;
  if (self->member == NULL)
    g_clear_object (&self->pool);
  g_object_unref (outer);
}

static gboolean
on_deferred (gpointer data)
{
  g_autoptr (KcpPool) self = g_object_ref (data);

  g_clear_pointer (&self->deferred_source, g_source_unref);
  while (self->deferred.length > 0)
    {
      g_autoptr (KcpCall) outer = g_queue_pop_head (&self->deferred);

      kcp_call_notify (outer);
    }
  return G_SOURCE_REMOVE;
}

/* User code never runs inside the function that asks, which holds the pool. */
static void
on_deliver (gpointer  owner,
            KcpCall  *outer)
{
  KcpPoolCall *self = owner;
  KcpPool *pool = self->outer ? self->pool : self->shut_by;

  if (pool == NULL || pool->shut == 0)
    {
      kcp_call_notify (outer);
      return;
    }

  g_queue_push_tail (&pool->deferred, g_object_ref (outer));
  if (pool->deferred_source)
    return;

  pool->deferred_source = g_idle_source_new ();
  g_source_set_priority (pool->deferred_source, G_PRIORITY_DEFAULT);
  g_source_set_callback (pool->deferred_source, on_deferred, g_object_ref (pool), g_object_unref);
  g_source_attach (pool->deferred_source, pool->context);
}

/* The reader has taken an item. */
static void
on_credit (gpointer  owner,
           KcpCall  *outer,
           guint     items,
           gsize     bytes)
{
  pump_stream (owner);
}

static gpointer
keep (gpointer owner)
{
  return kcp_pool_call_ref (owner);
}

static const KcpCallOps outer_ops = {
  .wait = on_wait,
  .ref = keep,
  .unref = kcp_pool_call_unref,
  .closed = on_closed,
  .credit = on_credit,
  .deliver = on_deliver,
};

/* ---- making one ---- */

static G_DEFINE_QUARK (kcp-pool-call, pool_call)

KcpPoolCall *
kcp_pool_call_new (KcpPool         *pool,
                   KcpPoolCallKind  kind,
                   const char      *key,
                   KcpMessage      *message,
                   GCancellable    *cancellable)
{
  KcpPoolCall *self = g_new0 (KcpPoolCall, 1);
  KcpInvocation *current = kcp_current_get ();
  KcpTraceContext *trace = current ? kcp_invocation_get_trace_context (current) : NULL;

  g_ref_count_init (&self->ref_count);
  self->pool = g_object_ref (pool);
  self->kind = kind;
  self->message = kcp_message_ref (message);
  self->parent = trace ? kcp_trace_context_ref (trace) : NULL;
  self->cancellable = cancellable ? g_object_ref (cancellable) : NULL;
  self->deadline = kcp_pool_find_deadline (pool, message, kind == KCP_POOL_STREAM);
  self->keyed = key != NULL;
  self->key = key ? kcp_pool_hash_key (key) : 0;

  self->outer = kcp_call_new (&outer_ops, self, pool->inbox, kcp_message_get_path (message));
  if (current && kcp_invocation_is_open (current))
    {
      kcp_invocation_keep (current);
      self->outer->outer = current;
    }
  g_object_set_qdata_full (G_OBJECT (self->outer), pool_call_quark (), self, kcp_pool_call_unref);
  /* One item at a time: the window that counts is that of the inner call. */
  self->outer->credit = TRUE;
  self->outer->window.max_items = 1;
  self->outer->window.max_bytes = G_MAXSIZE;
  return self;
}
