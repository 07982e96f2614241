/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "kcp-invocation-state-private.h"

#include "kcp-error.h"

/**
 * KcpInvocation:
 *
 * The callee's view of one request: what was asked, until when, whether it is still wanted, and
 * the ways to answer it. All functions may be called from any thread. It is answered exactly
 * once: a second answer is dropped with a warning in the log, and where the last reference goes
 * without any answer, the caller gets %KCP_ERROR_UNANSWERED.
 */
G_DEFINE_BOXED_TYPE (KcpInvocation, kcp_invocation, kcp_invocation_ref, kcp_invocation_unref)

static void
deadline_passed (KcpDeadline *deadline)
{
  KcpInvocation *self = (KcpInvocation *) ((guint8 *) deadline - G_STRUCT_OFFSET (KcpInvocation, deadline));

  kcp_invocation_keep (self);
  /* An answer that is on its way from another thread still counts: then there is nothing to close. */
  if (kcp_invocation_answer_for_handler (self, KCP_ERROR_TIMED_OUT, TRUE,
                                         "the deadline passed before the handler answered"))
    kcp_invocation_close (self);
  kcp_invocation_release (self);
}

KcpInvocation *
kcp_invocation_new (const KcpInvocationOps *ops,
                    gpointer                owner,
                    KcpInbox               *inbox,
                    KcpMessage             *message,
                    guint64                 id,
                    guint64                 parent,
                    gint64                  deadline_at,
                    gboolean                no_reply)
{
  KcpInvocation *self = g_new0 (KcpInvocation, 1);

  g_atomic_ref_count_init (&self->user_refs);
  g_atomic_ref_count_init (&self->total_refs);
  self->ops = ops;
  self->owner = owner;
  self->inbox = kcp_inbox_ref (inbox);
  self->message = message;
  self->id = id;
  self->parent = parent;
  self->deadline_at = deadline_at;
  self->deadline.at = deadline_at;
  self->deadline.passed = deadline_passed;
  self->no_reply = no_reply;
  g_queue_init (&self->waiting);
  g_mutex_init (&self->lock);
  g_cond_init (&self->room);
  return self;
}

void
kcp_invocation_keep (KcpInvocation *self)
{
  g_atomic_ref_count_inc (&self->total_refs);
}

void
kcp_invocation_release (KcpInvocation *self)
{
  if (!g_atomic_ref_count_dec (&self->total_refs))
    return;

  g_clear_object (&self->cancellable);
  g_mutex_clear (&self->lock);
  g_cond_clear (&self->room);
  kcp_inbox_unref (self->inbox);
  kcp_message_unref (self->message);
  g_free (self);
}

/**
 * kcp_invocation_ref:
 * @self: an invocation
 *
 * Returns: (transfer full): @self with one more reference
 */
KcpInvocation *
kcp_invocation_ref (KcpInvocation *self)
{
  g_return_val_if_fail (self != NULL, NULL);

  g_atomic_ref_count_inc (&self->user_refs);
  return self;
}

/**
 * kcp_invocation_unref:
 * @self: (transfer full): an invocation
 *
 * Drops one reference. With the last one an invocation that has no answer yet gets
 * %KCP_ERROR_UNANSWERED.
 */
void
kcp_invocation_unref (KcpInvocation *self)
{
  g_return_if_fail (self != NULL);

  if (!g_atomic_ref_count_dec (&self->user_refs))
    return;

  kcp_invocation_answer_for_handler (self, KCP_ERROR_UNANSWERED, FALSE, "its handler dropped it without an answer");
  kcp_invocation_release (self);
}

guint64
kcp_invocation_get_id (KcpInvocation *self)
{
  return self->id;
}

const guint64 *
kcp_invocation_peek_id (KcpInvocation *self)
{
  return &self->id;
}

guint64
kcp_invocation_get_parent (KcpInvocation *self)
{
  return self->parent;
}

KcpInbox *
kcp_invocation_get_inbox (KcpInvocation *self)
{
  return self->inbox;
}

KcpDeadline *
kcp_invocation_deadline (KcpInvocation *self)
{
  return &self->deadline;
}

/* ---- what was asked ---- */

/**
 * kcp_invocation_get_message:
 * @self: an invocation
 *
 * Returns: (transfer none): all that was sent
 */
KcpMessage *
kcp_invocation_get_message (KcpInvocation *self)
{
  g_return_val_if_fail (self != NULL, NULL);

  return self->message;
}

/**
 * kcp_invocation_get_path:
 * @self: an invocation
 *
 * Returns: (transfer none): the path that was called
 */
const char *
kcp_invocation_get_path (KcpInvocation *self)
{
  g_return_val_if_fail (self != NULL, NULL);

  return kcp_message_get_path (self->message);
}

/**
 * kcp_invocation_get_body:
 * @self: an invocation
 * @error: return location for an error
 *
 * See kcp_message_get_body().
 *
 * Returns: (transfer none): the body, or %NULL with %KCP_ERROR_INVALID_MESSAGE
 */
JsonNode *
kcp_invocation_get_body (KcpInvocation  *self,
                         GError        **error)
{
  g_return_val_if_fail (self != NULL, NULL);

  return kcp_message_get_body (self->message, error);
}

/**
 * kcp_invocation_get_trace_context:
 * @self: an invocation
 *
 * Returns: (transfer none): the caller's trace context, or a new one where it sent none
 */
KcpTraceContext *
kcp_invocation_get_trace_context (KcpInvocation *self)
{
  g_return_val_if_fail (self != NULL, NULL);

  return kcp_message_get_trace_context (self->message);
}

/**
 * kcp_invocation_get_deadline:
 * @self: an invocation
 *
 * When the caller gives up. The cancellable is triggered then.
 *
 * Returns: the deadline in microseconds, as g_get_monotonic_time() counts; 0 if there is none
 */
gint64
kcp_invocation_get_deadline (KcpInvocation *self)
{
  g_return_val_if_fail (self != NULL, 0);

  return self->deadline_at;
}

/**
 * kcp_invocation_wants_reply:
 * @self: an invocation
 *
 * Returns: %FALSE if it was told and not asked; an answer to it is not sent
 */
gboolean
kcp_invocation_wants_reply (KcpInvocation *self)
{
  g_return_val_if_fail (self != NULL, FALSE);

  return !self->no_reply;
}

/* ---- whether it is still wanted ---- */

/**
 * kcp_invocation_get_cancellable:
 * @self: an invocation
 *
 * Is triggered, in the main thread of the child or in the actor's context, when the caller
 * cancels, when the deadline passes and when the other side is gone.
 *
 * Returns: (transfer none): the cancellable of this call
 */
GCancellable *
kcp_invocation_get_cancellable (KcpInvocation *self)
{
  GCancellable *cancellable;

  g_return_val_if_fail (self != NULL, NULL);

  cancellable = g_atomic_pointer_get (&self->cancellable);
  if (cancellable == NULL)
    {
      cancellable = g_cancellable_new ();
      if (!g_atomic_pointer_compare_and_exchange (&self->cancellable, NULL, cancellable))
        {
          g_object_unref (cancellable);
          cancellable = g_atomic_pointer_get (&self->cancellable);
        }
      /* close() sets the mark first and looks for the object then: one of us sees the other. */
      if (g_atomic_int_get (&self->cancelled))
        g_cancellable_cancel (cancellable);
    }

  return cancellable;
}

/**
 * kcp_invocation_is_open:
 * @self: an invocation
 *
 * Returns: %TRUE while an answer is wanted and none was given
 */
gboolean
kcp_invocation_is_open (KcpInvocation *self)
{
  g_return_val_if_fail (self != NULL, FALSE);

  return !g_atomic_int_get (&self->closed) && !g_atomic_int_get (&self->answered);
}

void
kcp_invocation_close (KcpInvocation *self)
{
  GCancellable *cancellable;

  self->owner = NULL;
  g_atomic_int_set (&self->closed, 1);
  kcp_invocation_drop_waiting (self);
  /* A handler that has answered is done: what it still has under way was not cancelled. */
  if (g_atomic_int_get (&self->answered) == ANSWERED_BY_HANDLER)
    return;

  g_atomic_int_set (&self->cancelled, 1);
  cancellable = g_atomic_pointer_get (&self->cancellable);
  if (cancellable)
    g_cancellable_cancel (cancellable);
}
