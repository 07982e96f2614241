/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "kcp-pool-state-private.h"

#include "kcp-current-private.h"
#include "kcp-error.h"
#include "kcp-message-private.h"

/* The way of a call: to a child, into the queue, or to another child. */

/* ---- its time ---- */

gint64
kcp_pool_find_deadline (KcpPool    *self,
                        KcpMessage *message,
                        gboolean    stream)
{
  int timeout = kcp_message_get_timeout (message);

  if (timeout == KCP_TIMEOUT_DEFAULT)
    timeout = stream ? KCP_TIMEOUT_NONE : kcp_launcher_settings (self->launcher)->call_timeout;

  return timeout > 0 ? g_get_monotonic_time () + (gint64) timeout * 1000 : 0;
}

KcpMessage *
kcp_pool_message_again (KcpMessage      *message,
                        gint64           deadline,
                        KcpTraceContext *parent)
{
  KcpMessage *copy = kcp_message_copy (message);
  gint64 left = deadline > 0 ? (deadline - g_get_monotonic_time () + 999) / 1000 : 0;

  kcp_message_set_timeout (copy, deadline > 0 ? (int) CLAMP (left, 1, G_MAXINT) : KCP_TIMEOUT_NONE);
  if (parent && kcp_message_get_trace_context (message) == NULL)
    {
      g_autoptr (KcpTraceContext) trace = kcp_trace_context_new_child (parent);

      kcp_message_set_trace_context (copy, trace);
    }
  return copy;
}

/* ---- what the child makes of it ---- */

/* A call that was never sent goes elsewhere, whatever it is; one that was may be made once more,
 * if it may. Verdicts about a child are not forgeable: no plugin can answer with them, but with
 * “stopping”, which therefore counts only where the child is. */
gboolean
kcp_pool_goes_elsewhere (KcpPoolMember *member,
                         KcpMessage    *message,
                         const GError  *error,
                         gboolean       unsent,
                         gboolean      *sent_again)
{
  if (error->domain != KCP_ERROR)
    return FALSE;

  switch (error->code)
    {
    case KCP_ERROR_STOPPING:
      if (!unsent && kcp_actor_get_state (member->actor) < KCP_ACTOR_STOPPING)
        return FALSE;
      break;
    case KCP_ERROR_NOT_RUNNING:
    case KCP_ERROR_CHILD_CRASHED:
    case KCP_ERROR_CHILD_EXITED:
    case KCP_ERROR_CONNECTION_CLOSED:
    case KCP_ERROR_PROTOCOL:
      break;
    default:
      return FALSE;
    }

  /* Its calls fail before it is said to have exited. */
  member->broken = TRUE;
  if (unsent)
    return TRUE;
  if (*sent_again || !kcp_message_get_idempotent (message))
    return FALSE;

  *sent_again = TRUE;
  return TRUE;
}

static void resubmit (KcpPoolCall *self);

/* Takes @answer and @error, of which one is NULL. */
void
kcp_pool_settle (KcpPoolCall   *self,
                 KcpPoolMember *member,
                 KcpMessage    *answer,
                 GError        *error,
                 gboolean       unsent)
{
  g_autoptr (KcpPool) pool = g_object_ref (self->pool);
  gboolean again = self->outer && error && !self->begun && kcp_pool_is_up (pool) &&
                   kcp_pool_goes_elsewhere (member, self->message, error, unsent, &self->sent_again);

  kcp_pool_member_count_call (member);
  if (again)
    {
      g_error_free (error);
      resubmit (self);
    }
  kcp_pool_pump (pool);
  if (again)
    return;

  /* The caller last: it may do anything. */
  if (self->outer == NULL)
    {
      g_clear_pointer (&answer, kcp_message_unref);
      g_clear_error (&error);
    }
  else if (error)
    kcp_call_take_error (self->outer, error);
  else
    kcp_call_take_end (self->outer, answer);
}

static void
on_answer (GObject      *actor,
           GAsyncResult *result,
           gpointer      data)
{
  g_autoptr (KcpPoolCall) self = data;
  g_autoptr (KcpPoolMember) member = g_steal_pointer (&self->member);
  gboolean unsent = KCP_IS_CALL (result) && KCP_CALL (result)->id == 0;
  GError *error = NULL;
  KcpMessage *answer = kcp_actor_ask_finish (KCP_ACTOR (actor), result, &error);

  kcp_pool_settle (self, member, answer, error, unsent);
}

/* ---- to a child ---- */

/* Whether it could be sent is known at once. */
static void
give_tell (KcpPoolCall   *self,
           KcpPoolMember *member,
           KcpMessage    *message)
{
  GError *error = NULL;

  if (kcp_actor_tell (member->actor, message, &error))
    kcp_call_take_end (self->outer, kcp_message_new (NULL, NULL));
  else if (kcp_pool_goes_elsewhere (member, message, error, TRUE, &self->sent_again))
    {
      g_error_free (error);
      resubmit (self);
    }
  else
    kcp_call_take_error (self->outer, error);
}

static void
give (KcpPoolCall   *call,
      KcpPoolMember *member)
{
  g_autoptr (KcpPoolCall) self = kcp_pool_call_ref (call);
  g_autoptr (KcpMessage) message = NULL;
  KcpActor *actor = member->actor;

  kcp_pool_call_unqueue (self);
  member->calls++;
  if (self->waited || self->sent_again)
    message = kcp_pool_message_again (self->message, self->deadline, self->parent);
  else
    message = kcp_message_ref (self->message);
  switch (self->kind)
    {
    case KCP_POOL_TELL:
      give_tell (self, member, message);
      kcp_pool_member_count_call (member);
      break;
    case KCP_POOL_STREAM:
      self->member = kcp_pool_member_ref (member);
      self->inner = kcp_actor_ask_stream (actor, message, self->cancellable);
      kcp_pool_call_watch_stream (self);
      break;
    case KCP_POOL_ASK:
    default:
      self->member = kcp_pool_member_ref (member);
      kcp_actor_ask_async (actor, message, self->cancellable, on_answer, kcp_pool_call_ref (self));
      break;
    }
}

/* ---- the queue ---- */

void
kcp_pool_call_unqueue (KcpPoolCall *self)
{
  if (self->place == NULL)
    return;

  self->pool->queue_bytes -= self->size;
  g_queue_delete_link (&self->pool->queue, self->place);
  self->place = NULL;
  kcp_deadlines_remove (&self->pool->deadlines, &self->outer->deadline);
}

/* @first: before all others, and whether there is room or not: it was let in once. */
static void
enqueue (KcpPoolCall *self,
         gboolean     first)
{
  KcpPool *pool = self->pool;

  self->waited = TRUE;
  if (self->outer->cancellable == NULL && !kcp_call_watch (self->outer, self->cancellable))
    {
      kcp_call_abandon (self->outer, g_error_new (G_IO_ERROR, G_IO_ERROR_CANCELLED, "call “%s” was cancelled",
                                                  self->outer->path));
      return;
    }

  if (first)
    g_queue_push_head (&pool->queue, self);
  else
    g_queue_push_tail (&pool->queue, self);
  self->place = first ? pool->queue.head : pool->queue.tail;
  pool->queue_bytes += self->size;
  if (self->deadline > 0)
    {
      self->outer->deadline.at = self->deadline;
      kcp_deadlines_add (&pool->deadlines, &self->outer->deadline);
      kcp_pool_arm (pool, self->deadline);
    }
}

static KcpPoolMember *
choose (KcpPoolCall *self)
{
  /* What is asked while a child's call is served may be what that child waits for: it does not
   * wait behind others. */
  return kcp_pool_choose (self->pool, self->keyed ? &self->key : NULL, self->place != NULL,
                          kcp_current_get () != NULL);
}

static void
resubmit (KcpPoolCall *self)
{
  KcpPoolMember *member = choose (self);

  self->waited = TRUE;
  if (member)
    give (self, member);
  else
    enqueue (self, TRUE);
}

static gboolean
has_room (KcpPoolCall  *self,
          GError      **error)
{
  KcpPool *pool = self->pool;
  GBytes *body = kcp_message_get_frame_body (self->message, error);

  if (body == NULL)
    return FALSE;

  self->size = g_bytes_get_size (body) + strlen (self->outer->path);
  if (kcp_message_get_wait_for_room (self->message) ||
      (pool->queue.length < pool->settings.queue_calls &&
       (pool->queue.length == 0 || pool->queue_bytes + self->size <= pool->settings.queue_bytes)))
    return TRUE;

  g_set_error (error, KCP_ERROR, KCP_ERROR_BUSY,
               "%u calls of %" G_GSIZE_FORMAT " bytes are waiting for a child already",
               pool->queue.length, pool->queue_bytes);
  return FALSE;
}

void
kcp_pool_submit (KcpPool     *pool,
                 KcpPoolCall *call)
{
  g_autoptr (KcpPoolCall) self = kcp_pool_call_ref (call);
  GError *error = kcp_pool_refusal (pool);
  KcpPoolMember *member;

  pool->shut++;
  if (error == NULL)
    {
      member = choose (self);
      /* Those that wait already come first; a key binds to a child, whoever else waits. */
      if (member && (pool->queue.length == 0 || self->keyed || kcp_current_get ()))
        give (self, member);
      else if (has_room (self, &error))
        enqueue (self, FALSE);
    }
  if (error)
    {
      g_prefix_error (&error, "call “%s”: ", self->outer->path);
      kcp_call_take_error (self->outer, error);
    }
  pool->shut--;
}

/* Sends what may go; runs no user code. */
void
kcp_pool_pump (KcpPool *self)
{
  KcpPoolMember *member;

  self->shut++;
  while (self->queue.length > 0 && kcp_pool_is_up (self) &&
         (member = choose (self->queue.head->data)) != NULL)
    give (self->queue.head->data, member);
  self->shut--;
}

/* Those that are there now: what they run may bring new ones. */
void
kcp_pool_fail_queue (KcpPool      *self,
                     const GError *error)
{
  guint count = self->queue.length;

  for (guint i = 0; i < count && self->queue.length > 0; i++)
    {
      KcpPoolCall *call = self->queue.head->data;
      GError *copy = g_error_copy (error);

      g_prefix_error (&copy, "call “%s”: ", call->outer->path);
      kcp_call_take_error (call->outer, copy);
    }
}
