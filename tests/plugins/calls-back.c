/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "calls.h"

/* The handlers that call the host back. */

static KcpCallbackHandle *the_host;
static JsonNode *greeting;

gboolean
calls_back_start (KcpCallbackHandle  *host,
                  const char         *ask,
                  GError            **error)
{
  g_autoptr (KcpMessage) question = NULL;
  g_autoptr (KcpMessage) answer = NULL;
  JsonNode *body;

  the_host = g_object_ref (host);
  if (ask == NULL)
    return TRUE;

  body = json_node_init_string (json_node_alloc (), kcp_callback_handle_get_actor_name (host));
  question = kcp_message_new (ask, body);
  answer = kcp_callback_handle_ask (host, question, NULL, error);
  body = answer ? kcp_message_get_body (answer, error) : NULL;
  if (body)
    greeting = json_node_copy (body);
  return body != NULL;
}

void
calls_back_stop (void)
{
  g_clear_object (&the_host);
  g_clear_pointer (&greeting, json_node_unref);
}

void
handle_greeting (gpointer       self,
                 KcpInvocation *invocation)
{
  kcp_invocation_reply (invocation, greeting ? json_node_copy (greeting) : NULL);
}

/* ---- one call inside another ---- */

/* {"path": P, "body": B, "timeout": MS} of the call is what the host is asked. */
static KcpMessage *
make_question (KcpInvocation *invocation)
{
  JsonNode *body = calls_node (invocation, "body");
  KcpMessage *question = kcp_message_new (calls_string (invocation, "path", "none"),
                                          body ? json_node_ref (body) : NULL);

  kcp_message_set_timeout (question, (int) calls_int (invocation, "timeout", KCP_TIMEOUT_DEFAULT));
  return question;
}

/* The host's answer, or its error, is ours. */
static void
pass_on (KcpInvocation *invocation,
         KcpMessage    *answer,
         GError        *error)
{
  if (answer)
    kcp_invocation_reply_message (invocation, answer);
  else
    kcp_invocation_take_error (invocation, error);
}

static void
on_host_answer (GObject      *source,
                GAsyncResult *result,
                gpointer      data)
{
  g_autoptr (KcpInvocation) invocation = data;
  GError *error = NULL;
  g_autoptr (KcpMessage) answer = kcp_callback_handle_ask_finish (KCP_CALLBACK_HANDLE (source), result,
                                                                  &error);

  pass_on (invocation, answer, error);
}

/* {"blocking": 1}: in a call that blocks. {"cancel": 1}: takes it back before it was answered. */
void
handle_ask_host (gpointer       self,
                 KcpInvocation *invocation)
{
  g_autoptr (KcpMessage) question = make_question (invocation);
  g_autoptr (GCancellable) cancellable = calls_int (invocation, "cancel", 0) ? g_cancellable_new () : NULL;

  if (calls_int (invocation, "blocking", 0))
    {
      GError *error = NULL;
      g_autoptr (KcpMessage) answer = kcp_callback_handle_ask (the_host, question, cancellable, &error);

      pass_on (invocation, answer, error);
      return;
    }

  kcp_callback_handle_ask_async (the_host, question, cancellable, on_host_answer,
                                 kcp_invocation_ref (invocation));
  if (cancellable)
    g_cancellable_cancel (cancellable);
}

static void
on_nest_answer (GObject      *source,
                GAsyncResult *result,
                gpointer      data)
{
  g_autoptr (KcpInvocation) invocation = data;
  GError *error = NULL;
  g_autoptr (KcpMessage) answer = kcp_callback_handle_ask_finish (KCP_CALLBACK_HANDLE (source), result,
                                                                  &error);

  if (answer)
    calls_reply_int (invocation, json_node_get_int (kcp_message_get_body (answer, NULL)) + 1);
  else
    kcp_invocation_take_error (invocation, error);
}

/* {"depth": N}: asks the host's “nest”, which asks ours with one less. The answer is how often. */
void
handle_nest (gpointer       self,
             KcpInvocation *invocation)
{
  gint64 depth = calls_int (invocation, "depth", 0);
  g_autoptr (KcpMessage) question = NULL;
  GError *error = NULL;
  JsonObject *object;

  if (depth == 0)
    {
      calls_reply_int (invocation, 0);
      return;
    }

  object = json_object_new ();
  json_object_set_int_member (object, "depth", depth - 1);
  json_object_set_int_member (object, "blocking", calls_int (invocation, "blocking", 0));
  question = kcp_message_new ("nest", json_node_init_object (json_node_alloc (), object));
  json_object_unref (object);

  if (calls_int (invocation, "blocking", 0))
    {
      g_autoptr (KcpMessage) answer = kcp_callback_handle_ask (the_host, question, NULL, &error);

      if (answer)
        calls_reply_int (invocation, json_node_get_int (kcp_message_get_body (answer, NULL)) + 1);
      else
        kcp_invocation_take_error (invocation, error);
    }
  else
    kcp_callback_handle_ask_async (the_host, question, NULL, on_nest_answer, kcp_invocation_ref (invocation));
}

/* ---- one call after another, all inside one ---- */

typedef struct
{
  KcpInvocation *invocation;
  gint64 left;
} Chain;

static void ask_next (Chain *chain);

static void
on_link (GObject      *source,
         GAsyncResult *result,
         gpointer      data)
{
  Chain *chain = data;
  GError *error = NULL;
  g_autoptr (KcpMessage) answer = kcp_callback_handle_ask_finish (KCP_CALLBACK_HANDLE (source), result,
                                                                  &error);

  if (answer && --chain->left > 0)
    {
      ask_next (chain);
      return;
    }

  pass_on (chain->invocation, answer, error);
  kcp_invocation_unref (chain->invocation);
  g_free (chain);
}

static void
ask_next (Chain *chain)
{
  g_autoptr (KcpMessage) question = make_question (chain->invocation);

  kcp_callback_handle_ask_async (the_host, question, NULL, on_link, chain);
}

/* {"path": P, "times": N}: the second is asked when the first was answered, and so on. */
void
handle_chain (gpointer       self,
              KcpInvocation *invocation)
{
  Chain *chain = g_new0 (Chain, 1);

  chain->invocation = kcp_invocation_ref (invocation);
  chain->left = calls_int (invocation, "times", 2);
  ask_next (chain);
}

/* ---- streams and telling ---- */

typedef struct
{
  KcpInvocation *invocation;
  KcpStream *stream;
  gint64 sum;
} Sum;

static void on_item (GObject      *source,
                     GAsyncResult *result,
                     gpointer      data);

/* Takes @error; NULL: it went well. */
static void
finish_sum (Sum    *sum,
            GError *error)
{
  if (error)
    kcp_invocation_take_error (sum->invocation, error);
  else
    calls_reply_int (sum->invocation, sum->sum);
  kcp_invocation_unref (sum->invocation);
  g_object_unref (sum->stream);
  g_free (sum);
}

static void
on_each_answer (GObject      *source,
                GAsyncResult *result,
                gpointer      data)
{
  Sum *sum = data;
  GError *error = NULL;
  g_autoptr (KcpMessage) answer = kcp_callback_handle_ask_finish (KCP_CALLBACK_HANDLE (source), result,
                                                                  &error);

  if (error)
    {
      finish_sum (sum, error);
      return;
    }

  sum->sum += json_node_get_int (kcp_message_get_body (answer, NULL));
  kcp_stream_next_async (sum->stream, NULL, on_item, sum);
}

static void
on_item (GObject      *source,
         GAsyncResult *result,
         gpointer      data)
{
  Sum *sum = data;
  const char *each = calls_string (sum->invocation, "each", NULL);
  GError *error = NULL;
  g_autoptr (KcpMessage) item = kcp_stream_next_finish (KCP_STREAM (source), result, &error);

  if (item == NULL)
    finish_sum (sum, error);
  else if (each)
    {
      g_autoptr (KcpMessage) question = kcp_message_new (each,
                                                         json_node_copy (kcp_message_get_body (item, NULL)));

      kcp_callback_handle_ask_async (the_host, question, NULL, on_each_answer, sum);
    }
  else
    {
      sum->sum += json_node_get_int (kcp_message_get_body (item, NULL));
      kcp_stream_next_async (sum->stream, NULL, on_item, sum);
    }
}

/* {"blocking": 1}: item by item in calls that block. {"each": P}: asks the host's P for each item, and adds
 * that up. */
void
handle_stream_host (gpointer       self,
                    KcpInvocation *invocation)
{
  g_autoptr (KcpMessage) question = make_question (invocation);
  KcpStream *stream = kcp_callback_handle_ask_stream (the_host, question, NULL);
  GError *error = NULL;
  KcpMessage *item;
  gint64 total = 0;

  if (!calls_int (invocation, "blocking", 0))
    {
      Sum *sum = g_new0 (Sum, 1);

      sum->invocation = kcp_invocation_ref (invocation);
      sum->stream = stream;
      kcp_stream_next_async (stream, NULL, on_item, sum);
      return;
    }

  while ((item = kcp_stream_next (stream, NULL, &error)) != NULL)
    {
      total += json_node_get_int (kcp_message_get_body (item, NULL));
      kcp_message_unref (item);
    }
  if (error)
    kcp_invocation_take_error (invocation, error);
  else
    calls_reply_int (invocation, total);
  g_object_unref (stream);
}

/* {"count": N}: “progress” 0 … N-1, then at once the answer. */
void
handle_tell_host (gpointer       self,
                  KcpInvocation *invocation)
{
  gint64 count = calls_int (invocation, "count", 1);
  GError *error = NULL;

  for (gint64 i = 0; i < count; i++)
    {
      g_autoptr (KcpMessage) news = kcp_message_new (calls_string (invocation, "path", "progress"),
                                                     json_node_init_int (json_node_alloc (), i));

      if (!kcp_callback_handle_tell (the_host, news, &error))
        {
          kcp_invocation_take_error (invocation, error);
          return;
        }
    }

  calls_reply_int (invocation, count);
}
