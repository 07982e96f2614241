/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "kcp-pool-state-private.h"

#include "kcp-error.h"

static void
ask (KcpPool             *self,
     const char          *key,
     KcpMessage          *message,
     GCancellable        *cancellable,
     GAsyncReadyCallback  callback,
     gpointer             user_data)
{
  KcpPoolCall *call = kcp_pool_call_new (self, KCP_POOL_ASK, key, message, cancellable);
  g_autoptr (KcpCall) outer = g_object_ref (call->outer);

  kcp_call_set_callback (outer, self, callback, user_data);
  kcp_pool_submit (self, call);
}

/**
 * kcp_pool_ask_async:
 * @self: a pool
 * @message: (transfer none): what to ask
 * @cancellable: (nullable): cancels the call; the handler is told
 * @callback: (scope async): called with the answer
 * @user_data: passed to @callback
 *
 * Asks the child that has the fewest calls in flight; equals take turns. While no child is ready
 * the call waits in the pool's queue, and its deadline runs. A message that was asked with must
 * not be changed any more: it may have to be sent again. @callback is never called from inside
 * this function.
 */
void
kcp_pool_ask_async (KcpPool             *self,
                    KcpMessage          *message,
                    GCancellable        *cancellable,
                    GAsyncReadyCallback  callback,
                    gpointer             user_data)
{
  g_return_if_fail (KCP_IS_POOL (self));
  g_return_if_fail (message != NULL);

  ask (self, NULL, message, cancellable, callback, user_data);
}

/**
 * kcp_pool_ask_with_key_async: (finish-func kcp_pool_ask_finish)
 * @self: a pool
 * @key: what the call belongs to: a user, a document, a session
 * @message: (transfer none): what to ask
 * @cancellable: (nullable): cancels the call; the handler is told
 * @callback: (scope async): called with the answer; see kcp_pool_ask_finish()
 * @user_data: passed to @callback
 *
 * Asks the child to which @key belongs, however busy it is: the same one for the same key as
 * long as it is there. While it is not, another stands in for it, for each of its keys its own;
 * its successor gets its keys back. A pool that grows or shrinks by one child moves only the keys
 * of that child.
 */
void
kcp_pool_ask_with_key_async (KcpPool             *self,
                             const char          *key,
                             KcpMessage          *message,
                             GCancellable        *cancellable,
                             GAsyncReadyCallback  callback,
                             gpointer             user_data)
{
  g_return_if_fail (KCP_IS_POOL (self));
  g_return_if_fail (key != NULL);
  g_return_if_fail (message != NULL);

  ask (self, key, message, cancellable, callback, user_data);
}

/**
 * kcp_pool_ask_finish:
 * @self: a pool
 * @result: what the callback got
 * @error: return location for an error
 *
 * Returns: (transfer full): the answer, or %NULL with the handler's error, a %KCP_ERROR or
 *   %G_IO_ERROR_CANCELLED. %KCP_ERROR_BUSY: too many calls wait already; %KCP_ERROR_NOT_RUNNING:
 *   the pool was not started, or has failed; %KCP_ERROR_STOPPING: it is being stopped
 */
KcpMessage *
kcp_pool_ask_finish (KcpPool       *self,
                     GAsyncResult  *result,
                     GError       **error)
{
  g_return_val_if_fail (KCP_IS_POOL (self), NULL);
  g_return_val_if_fail (KCP_IS_CALL (result), NULL);

  return kcp_call_finish (KCP_CALL (result), error);
}

/* One attempt, or %NULL with an error; @again: another may follow. */
static KcpMessage *
ask_one (KcpPool       *self,
         KcpMessage    *original,
         KcpMessage    *message,
         GCancellable  *cancellable,
         gboolean      *sent_again,
         gboolean      *again,
         GError       **error)
{
  g_autoptr (KcpPoolMember) member = NULL;
  KcpPoolMember *chosen = kcp_pool_choose (self, NULL, FALSE, TRUE);
  GError *own = NULL;
  KcpMessage *answer;

  *again = FALSE;
  if (chosen == NULL)
    {
      g_set_error (error, KCP_ERROR, KCP_ERROR_NOT_RUNNING,
                   "call “%s”: no child is ready, and none can become so while the program blocks",
                   kcp_message_get_path (message));
      return NULL;
    }

  member = kcp_pool_member_ref (chosen);
  member->calls++;
  answer = kcp_actor_ask (member->actor, message, cancellable, &own);
  if (own)
    {
      gboolean unsent = g_error_matches (own, KCP_ERROR, KCP_ERROR_NOT_RUNNING);

      *again = kcp_pool_is_up (self) && kcp_pool_goes_elsewhere (member, original, own, unsent, sent_again);
      g_propagate_error (error, own);
    }
  kcp_pool_member_count_call (member);
  return answer;
}

/**
 * kcp_pool_ask:
 * @self: a pool
 * @message: (transfer none): what to ask
 * @cancellable: (nullable): cancels the call, from another thread
 * @error: return location for an error
 *
 * Asks the least busy child and blocks until it has answered, as kcp_actor_ask() does: nothing
 * else of the program runs meanwhile but the callbacks of this call. Since no child can be
 * started while the program blocks, the call fails with %KCP_ERROR_NOT_RUNNING where another would
 * wait for one.
 *
 * Returns: (transfer full): the answer, or %NULL with an error
 */
KcpMessage *
kcp_pool_ask (KcpPool       *self,
              KcpMessage    *message,
              GCancellable  *cancellable,
              GError       **error)
{
  g_autoptr (KcpPool) keep = NULL;
  g_autoptr (KcpMessage) sent = NULL;
  gboolean sent_again = FALSE;
  gint64 deadline;
  GError *refusal;

  g_return_val_if_fail (KCP_IS_POOL (self), NULL);
  g_return_val_if_fail (message != NULL, NULL);

  refusal = kcp_pool_refusal (self);
  if (refusal)
    {
      g_propagate_prefixed_error (error, refusal, "call “%s”: ", kcp_message_get_path (message));
      return NULL;
    }

  keep = g_object_ref (self);
  deadline = kcp_pool_find_deadline (self, message, FALSE);
  sent = kcp_message_ref (message);
  for (;;)
    {
      GError *own = NULL;
      gboolean again;
      KcpMessage *answer = ask_one (self, message, sent, cancellable, &sent_again, &again, &own);

      if (!again)
        {
          if (own)
            g_propagate_error (error, own);
          return answer;
        }

      g_error_free (own);
      kcp_message_unref (sent);
      sent = kcp_pool_message_again (message, deadline, NULL);
    }
}

static gboolean
tell (KcpPool     *self,
      const char  *key,
      KcpMessage  *message,
      GError     **error)
{
  KcpPoolCall *call = kcp_pool_call_new (self, KCP_POOL_TELL, key, message, NULL);
  g_autoptr (KcpCall) outer = g_object_ref (call->outer);

  kcp_pool_submit (self, call);
  if (outer->error == NULL)
    return TRUE;

  g_propagate_error (error, g_error_copy (outer->error));
  return FALSE;
}

/**
 * kcp_pool_tell:
 * @self: a pool
 * @message: (transfer none): what to tell
 * @error: return location for an error
 *
 * Tells the least busy child something that needs no answer. While none is ready the message
 * waits as calls do; if its deadline passes before one is, or the child dies before it has taken
 * it in, it is lost.
 *
 * Returns: %FALSE with an error if it could neither be sent nor wait
 */
gboolean
kcp_pool_tell (KcpPool     *self,
               KcpMessage  *message,
               GError     **error)
{
  g_return_val_if_fail (KCP_IS_POOL (self), FALSE);
  g_return_val_if_fail (message != NULL, FALSE);

  return tell (self, NULL, message, error);
}

/**
 * kcp_pool_tell_with_key:
 * @self: a pool
 * @key: what the message belongs to
 * @message: (transfer none): what to tell
 * @error: return location for an error
 *
 * Tells the child to which @key belongs; see kcp_pool_ask_with_key_async() and kcp_pool_tell().
 *
 * Returns: %FALSE with an error if it could neither be sent nor wait
 */
gboolean
kcp_pool_tell_with_key (KcpPool     *self,
                        const char  *key,
                        KcpMessage  *message,
                        GError     **error)
{
  g_return_val_if_fail (KCP_IS_POOL (self), FALSE);
  g_return_val_if_fail (key != NULL, FALSE);
  g_return_val_if_fail (message != NULL, FALSE);

  return tell (self, key, message, error);
}

static KcpStream *
ask_stream (KcpPool      *self,
            const char   *key,
            KcpMessage   *message,
            GCancellable *cancellable)
{
  KcpPoolCall *call = kcp_pool_call_new (self, KCP_POOL_STREAM, key, message, cancellable);
  KcpStream *stream = kcp_stream_new (g_object_ref (call->outer));

  kcp_pool_submit (self, call);
  return stream;
}

/**
 * kcp_pool_ask_stream:
 * @self: a pool
 * @message: (transfer none): what to ask
 * @cancellable: (nullable): cancels the call; the handler is told
 *
 * Asks the least busy child for a stream of items, as kcp_actor_ask_stream() does; waits for one
 * as calls do, but without a deadline unless the message has one. An idempotent message may be
 * sent once more as long as no item has come. Reading it with kcp_stream_next() does not wait for
 * a child to become ready.
 *
 * Returns: (transfer full): the stream
 */
KcpStream *
kcp_pool_ask_stream (KcpPool      *self,
                     KcpMessage   *message,
                     GCancellable *cancellable)
{
  g_return_val_if_fail (KCP_IS_POOL (self), NULL);
  g_return_val_if_fail (message != NULL, NULL);

  return ask_stream (self, NULL, message, cancellable);
}

/**
 * kcp_pool_ask_stream_with_key:
 * @self: a pool
 * @key: what the call belongs to
 * @message: (transfer none): what to ask
 * @cancellable: (nullable): cancels the call; the handler is told
 *
 * Asks the child to which @key belongs for a stream of items; see kcp_pool_ask_with_key_async() and
 * kcp_pool_ask_stream().
 *
 * Returns: (transfer full): the stream
 */
KcpStream *
kcp_pool_ask_stream_with_key (KcpPool      *self,
                              const char   *key,
                              KcpMessage   *message,
                              GCancellable *cancellable)
{
  g_return_val_if_fail (KCP_IS_POOL (self), NULL);
  g_return_val_if_fail (key != NULL, NULL);
  g_return_val_if_fail (message != NULL, NULL);

  return ask_stream (self, key, message, cancellable);
}
