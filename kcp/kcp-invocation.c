/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "kcp-invocation-private.h"

#include "kcp-error.h"

struct _KcpInvocation
{
  gatomicrefcount user_refs;    /* the last one gone unanswered: answered with an error */
  gatomicrefcount total_refs;   /* all user references together count as one here */

  const KcpInvocationOps *ops;
  gpointer owner;               /* borrowed; NULL once closed; only for the link's thread */
  GThread *home;
  KcpInbox *inbox;
  KcpMessage *message;
  guint64 id, parent;
  gint64 deadline_at;
  KcpDeadline deadline;
  gboolean no_reply;

  int answered;                 /* atomic: who has given an end or an error, see below */
  int closed;                   /* atomic: answered, or nobody wants the answer */
  int cancelled;                /* atomic: nobody wants the answer */
  GCancellable *cancellable;    /* atomic: made when first asked for */
};

/* Only a second answer of the handler is its mistake; one that comes after the library's is late. */
enum
{
  NOT_ANSWERED,
  ANSWERED_BY_HANDLER,
  ANSWERED_BY_LIBRARY,
};

static void answer (KcpInvocation *self,
                    KcpAnswer      kind,
                    KcpMessage    *message,
                    GError        *error);

/**
 * KcpInvocation:
 *
 * The callee's view of one request: what was asked, until when, whether it is still wanted, and
 * the ways to answer it. All functions may be called from any thread. It is answered exactly
 * once: a second answer is dropped with a warning in the log, and where the last reference goes
 * without any answer, the caller gets %KCP_ERROR_UNANSWERED.
 */
G_DEFINE_BOXED_TYPE (KcpInvocation, kcp_invocation, kcp_invocation_ref, kcp_invocation_unref)

/* FALSE: the handler was first, or nobody waits. */
static gboolean
answer_for_handler (KcpInvocation *self,
                    KcpError       code,
                    const char    *what)
{
  if (!g_atomic_int_compare_and_exchange (&self->answered, NOT_ANSWERED, ANSWERED_BY_LIBRARY) ||
      g_atomic_int_get (&self->closed))
    return FALSE;

  answer (self, KCP_ANSWER_ERROR, NULL,
          g_error_new (KCP_ERROR, (int) code, "call “%s”: %s", kcp_invocation_get_path (self), what));
  return TRUE;
}

static void
deadline_passed (KcpDeadline *deadline)
{
  KcpInvocation *self = (KcpInvocation *) ((guint8 *) deadline - G_STRUCT_OFFSET (KcpInvocation, deadline));

  kcp_invocation_keep (self);
  /* An answer that is on its way from another thread still counts: then there is nothing to close. */
  if (answer_for_handler (self, KCP_ERROR_TIMED_OUT, "the deadline passed before the handler answered"))
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
  self->home = g_thread_self ();
  self->inbox = kcp_inbox_ref (inbox);
  self->message = message;
  self->id = id;
  self->parent = parent;
  self->deadline_at = deadline_at;
  self->deadline.at = deadline_at;
  self->deadline.passed = deadline_passed;
  self->no_reply = no_reply;
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

  answer_for_handler (self, KCP_ERROR_UNANSWERED, "its handler dropped it without an answer");
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
  /* A handler that has answered is done: what it still has under way was not cancelled. */
  if (g_atomic_int_get (&self->answered) == ANSWERED_BY_HANDLER)
    return;

  g_atomic_int_set (&self->cancelled, 1);
  cancellable = g_atomic_pointer_get (&self->cancellable);
  if (cancellable)
    g_cancellable_cancel (cancellable);
}

/* ---- the answer ---- */

typedef struct
{
  KcpInvocation *invocation;
  KcpMessage *message;
  GError *error;
  KcpAnswer kind;
} Part;

static void
send_part (gpointer data)
{
  Part *part = data;
  KcpInvocation *self = part->invocation;

  if (self->owner)
    self->ops->answer (self->owner, self, part->kind, part->message, part->error);
}

static void
free_part (gpointer data)
{
  Part *part = data;

  g_clear_pointer (&part->message, kcp_message_unref);
  g_clear_error (&part->error);
  kcp_invocation_release (part->invocation);
  g_free (part);
}

/* Takes @message and @error. From the link's own thread at once, from others by its inbox,
 * which keeps the order. */
static void
answer (KcpInvocation *self,
        KcpAnswer      kind,
        KcpMessage    *message,
        GError        *error)
{
  Part part = { self, message, error, kind };

  kcp_invocation_keep (self);
  if (g_thread_self () == self->home)
    {
      send_part (&part);
      g_clear_pointer (&part.message, kcp_message_unref);
      g_clear_error (&part.error);
      kcp_invocation_release (self);
    }
  else
    kcp_inbox_post (self->inbox, send_part, g_memdup2 (&part, sizeof part), free_part);
}

/* TRUE once: for the handler's first end or error, unless the library was before it. */
static gboolean
take_turn (KcpInvocation *self)
{
  if (g_atomic_int_compare_and_exchange (&self->answered, NOT_ANSWERED, ANSWERED_BY_HANDLER))
    return !g_atomic_int_get (&self->closed);

  if (g_atomic_int_get (&self->answered) == ANSWERED_BY_HANDLER && !g_atomic_int_get (&self->cancelled))
    g_warning ("call “%s” was answered twice; the second answer is dropped", kcp_invocation_get_path (self));
  return FALSE;
}

/**
 * kcp_invocation_send_item:
 * @self: an invocation
 * @body: (transfer full) (nullable): the item
 *
 * Sends one item of a streamed answer.
 *
 * Returns: %FALSE if nobody wants more: stop then
 */
gboolean
kcp_invocation_send_item (KcpInvocation *self,
                          JsonNode      *body)
{
  g_autoptr (KcpMessage) message = kcp_message_new (NULL, body);

  return kcp_invocation_send_item_message (self, message);
}

/**
 * kcp_invocation_send_item_message:
 * @self: an invocation
 * @message: (transfer none): the item; its path does not count
 *
 * Sends one item of a streamed answer.
 *
 * Returns: %FALSE if nobody wants more: stop then
 */
gboolean
kcp_invocation_send_item_message (KcpInvocation *self,
                                  KcpMessage    *message)
{
  g_return_val_if_fail (self != NULL, FALSE);
  g_return_val_if_fail (message != NULL, FALSE);

  if (!kcp_invocation_is_open (self))
    return FALSE;

  answer (self, KCP_ANSWER_ITEM, kcp_message_ref (message), NULL);
  return kcp_invocation_is_open (self);
}

/**
 * kcp_invocation_reply:
 * @self: an invocation
 * @body: (transfer full) (nullable): the answer; %NULL for one without a body
 *
 * Ends the call well: the whole answer, or what comes after the last item.
 */
void
kcp_invocation_reply (KcpInvocation *self,
                      JsonNode      *body)
{
  g_autoptr (KcpMessage) message = kcp_message_new (NULL, body);

  kcp_invocation_reply_message (self, message);
}

/**
 * kcp_invocation_reply_message:
 * @self: an invocation
 * @message: (transfer none): the answer; its path does not count
 *
 * Ends the call well, with bytes of any content type if need be.
 */
void
kcp_invocation_reply_message (KcpInvocation *self,
                              KcpMessage    *message)
{
  g_return_if_fail (self != NULL);
  g_return_if_fail (message != NULL);

  if (take_turn (self))
    answer (self, KCP_ANSWER_END, kcp_message_ref (message), NULL);
}

/**
 * kcp_invocation_fail:
 * @self: an invocation
 * @error: (transfer none): why
 *
 * Ends the call with an error, which arrives with its domain, code and text; see
 * kcp_error_register_domain() for domains of your own.
 */
void
kcp_invocation_fail (KcpInvocation *self,
                     const GError  *error)
{
  g_return_if_fail (error != NULL);

  kcp_invocation_take_error (self, g_error_copy (error));
}

/**
 * kcp_invocation_take_error:
 * @self: an invocation
 * @error: (transfer full): why
 *
 * Ends the call with an error, which it takes.
 */
void
kcp_invocation_take_error (KcpInvocation *self,
                           GError        *error)
{
  g_return_if_fail (self != NULL);
  g_return_if_fail (error != NULL);

  if (take_turn (self))
    answer (self, KCP_ANSWER_ERROR, NULL, error);
  else
    g_error_free (error);
}

/**
 * kcp_invocation_fail_printf: (skip)
 * @self: an invocation
 * @domain: an error domain
 * @code: a code of it
 * @format: the text, as for printf()
 * @...: its arguments
 *
 * Ends the call with an error made here.
 */
void
kcp_invocation_fail_printf (KcpInvocation *self,
                            GQuark         domain,
                            int            code,
                            const char    *format,
                            ...)
{
  va_list args;
  GError *error;

  va_start (args, format);
  error = g_error_new_valist (domain, code, format, args);
  va_end (args);
  kcp_invocation_take_error (self, error);
}
