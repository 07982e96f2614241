/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "kcp-link-state-private.h"

#include "kcp-debug-private.h"
#include "kcp-error.h"
#include "kcp-message-private.h"
#include "kcp-trace-context.h"

/* Calls from threads that are not at home: they travel by the inbox, in the order in which each
 * thread has made them, and what comes of them goes back to the context of who asked. */

/* ---- calls that never came to the link ---- */

static void
unsent_closed (gpointer  owner,
               KcpCall  *call,
               gboolean  cancel)
{
}

static void
unsent_deliver (gpointer  owner,
                KcpCall  *call)
{
  KcpLink *self = owner;

  if (call->wants_items)
    kcp_call_notify (call);
  else
    kcp_call_notify_in (call, call->context ? g_steal_pointer (&call->context)
                                            : g_main_context_ref (self->context));
}

static const KcpCallOps unsent_ops = {
  .closed = unsent_closed,
  .deliver = unsent_deliver,
  .wait = kcp_link_wait_round,
  .ref = kcp_link_keep,
  .unref = kcp_link_let_go,
};

/* Why no calls are taken any more; NULL: they are. */
static GError *
copy_refusal (KcpLink *self)
{
  GError *copy;

  g_mutex_lock (&self->lock);
  copy = self->refusal ? g_error_copy (self->refusal) : NULL;
  g_mutex_unlock (&self->lock);
  return copy;
}

/* Nobody else knows the call yet. */
static void
fail_unsent (KcpLink *self,
             KcpCall *call)
{
  GError *error = copy_refusal (self);

  if (error == NULL)
    error = g_error_new_literal (KCP_ERROR, KCP_ERROR_NOT_RUNNING, "the connection is closed");
  g_prefix_error (&error, "call “%s”: ", call->path);
  kcp_call_set_owner (call, &unsent_ops, self);
  kcp_call_take_error (call, error);
}

/* ---- on the way ---- */

typedef struct
{
  KcpLinkRequest request;
  gboolean arrived;
} Letter;

static void
open_letter (gpointer data)
{
  Letter *letter = data;
  KcpLink *self = letter->request.link;
  g_autoptr (GError) error = NULL;

  letter->arrived = TRUE;
  if (letter->request.call)
    kcp_link_start_call (&letter->request);
  else if (!kcp_link_send_call (&letter->request, &error))
    KCP_DEBUG (KCP_DEBUG_CALL, "telling “%s”: %s", kcp_message_get_path (letter->request.message),
               error->message);
  g_atomic_int_add (&self->posted, -1);
}

static void
free_letter (gpointer data)
{
  Letter *letter = data;
  KcpLinkRequest *request = &letter->request;

  if (!letter->arrived)
    {
      g_atomic_int_add (&request->link->posted, -1);
      if (request->call && !kcp_link_gather (request))
        fail_unsent (request->link, request->call);
    }

  g_clear_object (&request->call);
  kcp_message_unref (request->message);
  g_clear_object (&request->cancellable);
  g_clear_pointer (&request->outer, kcp_invocation_release);
  kcp_trace_context_unref (request->trace);
  kcp_link_unref (request->link);
  g_free (letter);
}

static void
post (const KcpLinkRequest *request)
{
  Letter *letter = g_new0 (Letter, 1);

  /* Written here, in the thread to which the message belongs; at home it is only read. */
  kcp_message_get_frame_body (request->message, NULL);

  letter->request = *request;
  kcp_link_ref (request->link);
  if (request->call)
    g_object_ref (request->call);
  kcp_message_ref (request->message);
  if (request->cancellable)
    g_object_ref (request->cancellable);
  if (request->outer)
    kcp_invocation_keep (request->outer);
  kcp_trace_context_ref (request->trace);

  g_atomic_int_inc (&request->link->posted);
  kcp_inbox_post (request->link->inbox, open_letter, letter, free_letter);
}

void
kcp_link_post_call (const KcpLinkRequest *request)
{
  post (request);
}

/* What can be known of it here is told; what comes of it at home is not. */
gboolean
kcp_link_post_tell (const KcpLinkRequest  *request,
                    GError               **error)
{
  KcpLink *self = request->link;
  GError *refusal = copy_refusal (self);
  gsize size;

  if (refusal && request->outer && g_error_matches (refusal, KCP_ERROR, KCP_ERROR_STOPPING))
    g_clear_error (&refusal);
  if (refusal)
    {
      g_propagate_error (error, refusal);
      return FALSE;
    }
  if (!kcp_channel_can_send (self->out, request->message, &size, error))
    return FALSE;

  post (request);
  return TRUE;
}

/* ---- what anyone may ask ---- */

/* At home: the number of calls has changed. */
void
kcp_link_publish (KcpLink *self)
{
  g_atomic_int_set (&self->calls, (int) kcp_link_count_calls (self));
}

guint
kcp_link_get_in_flight (KcpLink *self)
{
  return (guint) MAX (g_atomic_int_get (&self->calls) + g_atomic_int_get (&self->posted), 0);
}

gboolean
kcp_link_enter (KcpLink  *self,
                KcpVisit *visit)
{
  return kcp_inbox_enter (self->inbox, visit);
}

void
kcp_link_leave (KcpLink  *self,
                KcpVisit *visit)
{
  kcp_inbox_leave (self->inbox, visit);
}

gboolean
kcp_link_at_home (KcpLink *self)
{
  return kcp_inbox_at_home (self->inbox);
}

void
kcp_link_run (KcpLink        *self,
              KcpInboxFunc    func,
              gpointer        data,
              GDestroyNotify  destroy)
{
  kcp_inbox_run (self->inbox, func, data, destroy);
}

void
kcp_link_hold_user_code (KcpLink  *self,
                         gboolean  hold)
{
  if (hold)
    self->shut++;
  else
    self->shut--;
}
