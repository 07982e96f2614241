/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "calls-test.h"

#include <string.h>

KcpLauncher *
calls_launcher (KcpCallbackHandler *handler)
{
  g_autofree char *path = kcp_test_bad_plugin ("calls");
  KcpLauncher *launcher = kcp_test_launcher_for (path);

  if (handler)
    kcp_launcher_set_callback_handler (launcher, handler);
  return launcher;
}

KcpActor *
calls_spawn_with (KcpLauncher *launcher)
{
  g_autoptr (GError) error = NULL;
  KcpActor *actor = kcp_test_spawn (launcher, NULL, &error);

  g_assert_no_error (error);
  return actor;
}

KcpActor *
calls_spawn (KcpCallbackHandler *handler)
{
  g_autoptr (KcpLauncher) launcher = calls_launcher (handler);

  return calls_spawn_with (launcher);
}

/* ---- asking ---- */

KcpMessage *
calls_message (const char *path,
               const char *json)
{
  g_autoptr (GError) error = NULL;
  KcpMessage *message = json ? kcp_message_new_text (path, json, &error) : kcp_message_new (path, NULL);

  g_assert_no_error (error);
  return message;
}

static void
on_answer (GObject      *source,
           GAsyncResult *result,
           gpointer      data)
{
  KcpTestCall *call = data;

  g_assert_false (call->done);
  call->answer = kcp_actor_ask_finish (KCP_ACTOR (source), result, &call->error);
  g_assert_true ((call->answer == NULL) == (call->error != NULL));
  call->completions++;
  call->done = TRUE;
}

KcpTestCall *
calls_call (KcpActor     *actor,
            KcpMessage   *message,
            GCancellable *cancellable)
{
  KcpTestCall *call = g_new0 (KcpTestCall, 1);

  kcp_actor_ask_async (actor, message, cancellable, on_answer, call);
  g_assert_false (call->done);
  return call;
}

char *
calls_text (KcpMessage *message)
{
  g_autoptr (GError) error = NULL;
  JsonNode *body = kcp_message_get_body (message, &error);
  char *text;

  g_assert_no_error (error);
  text = kcp_json_to_string (body, &error);
  g_assert_no_error (error);
  return text;
}

char *
calls_take (KcpTestCall  *call,
            GError      **error)
{
  char *text = NULL;

  kcp_test_call_wait (call);
  g_assert_cmpuint (call->completions, ==, 1);
  if (call->error)
    g_propagate_error (error, g_steal_pointer (&call->error));
  else
    text = calls_text (call->answer);

  kcp_test_call_free (call);
  return text;
}

/* ---- expectations ---- */

void
calls_expect (KcpActor   *actor,
              const char *path,
              const char *json,
              const char *answer)
{
  g_autoptr (GError) error = NULL;
  g_autofree char *text = kcp_test_ask (actor, path, json, &error);

  g_assert_no_error (error);
  g_assert_cmpstr (text, ==, answer);
}

void
calls_expect_error (KcpActor   *actor,
                    const char *path,
                    const char *json,
                    GQuark      domain,
                    int         code,
                    const char *part)
{
  g_autoptr (GError) error = NULL;
  g_autofree char *text = kcp_test_ask (actor, path, json, &error);

  g_assert_null (text);
  kcp_test_assert_error (error, domain, code, part);
  kcp_test_assert_serves (actor);
}

/* ---- what the plugin has noted ---- */

char *
calls_seen (KcpActor *actor)
{
  g_autoptr (JsonNode) node = kcp_test_ask_node (actor, "seen", NULL);
  JsonArray *array = json_node_get_array (node);
  GString *lines = g_string_new (NULL);

  for (guint i = 0; i < json_array_get_length (array); i++)
    g_string_append_printf (lines, "%s\n", json_array_get_string_element (array, i));
  return g_string_free (lines, FALSE);
}

void
calls_await_seen (KcpActor   *actor,
                  const char *part)
{
  gint64 until = g_get_monotonic_time () + KCP_TEST_PATIENCE_MS * G_GINT64_CONSTANT (1000);

  while (g_get_monotonic_time () < until)
    {
      g_autofree char *lines = calls_seen (actor);

      if (strstr (lines, part))
        return;
    }

  g_error ("the plugin has not noted “%s”", part);
}
