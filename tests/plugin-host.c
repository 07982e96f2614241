/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "plugin-host.h"

#include <string.h>

/* ---- asynchronous functions, one after the other ---- */

static void
result_cb (GObject      *source,
           GAsyncResult *result,
           gpointer      user_data)
{
  GAsyncResult **slot = user_data;

  *slot = g_object_ref (result);
}

static void
wait_for (GAsyncResult **result)
{
  while (*result == NULL)
    g_main_context_iteration (NULL, TRUE);
}

KcpActor *
plugin_spawn (const char          *plugin,
              KcpCallbackHandler  *handler,
              GError             **error,
              ...)
{
  const char *directory = g_getenv ("KCP_TEST_PLUGINS");
  g_autofree char *file = g_strdup_printf ("%s.so", plugin);
  g_autofree char *path = NULL;
  g_autoptr(KcpLauncher) launcher = NULL;
  g_autoptr(GAsyncResult) result = NULL;
  const char *key;
  va_list args;

  g_assert_nonnull (directory);
  path = g_build_filename (directory, file, NULL);
  launcher = kcp_launcher_new (path);
  if (handler)
    kcp_launcher_set_callback_handler (launcher, handler);

  va_start (args, error);
  while ((key = va_arg (args, const char *)) != NULL)
    kcp_launcher_add_config (launcher, key, va_arg (args, const char *));
  va_end (args);

  kcp_launcher_spawn_async (launcher, NULL, result_cb, &result);
  wait_for (&result);
  return kcp_launcher_spawn_finish (launcher, result, error);
}

KcpActor *
plugin_start (const char         *plugin,
              KcpCallbackHandler *handler,
              const char         *key,
              const char         *value)
{
  g_autoptr(GError) error = NULL;
  KcpActor *actor = plugin_spawn (plugin, handler, &error, key, value, NULL);

  g_assert_no_error (error);
  g_assert_nonnull (actor);
  g_assert_cmpint (kcp_actor_get_state (actor), ==, KCP_ACTOR_READY);
  return actor;
}

void
plugin_stop (KcpActor *actor)
{
  g_autoptr(GAsyncResult) result = NULL;
  g_autoptr(KcpExitReport) report = NULL;
  g_autoptr(GError) error = NULL;

  kcp_actor_stop_async (actor, NULL, result_cb, &result);
  wait_for (&result);
  report = kcp_actor_stop_finish (actor, result, &error);
  g_assert_no_error (error);
  g_assert_nonnull (report);
  g_assert_cmpint (kcp_exit_report_get_reason (report), ==, KCP_EXIT_STOPPED);
  g_assert_cmpint (kcp_exit_report_get_exit_code (report), ==, 0);
  g_object_unref (actor);
}

/* ---- asking ---- */

static KcpMessage *
new_message (const char *path,
             const char *body)
{
  g_autoptr(GError) error = NULL;
  KcpMessage *message = kcp_message_new_text (path, body, &error);

  g_assert_no_error (error);
  return message;
}

static char *
get_text (KcpMessage  *message,
          GError     **error)
{
  JsonNode *body;

  if (message == NULL)
    return NULL;

  body = kcp_message_get_body (message, error);
  return body ? kcp_json_to_string (body, error) : NULL;
}

char *
plugin_ask_message (KcpActor    *actor,
                    KcpMessage  *message,
                    GError     **error)
{
  g_autoptr(GAsyncResult) result = NULL;
  g_autoptr(KcpMessage) answer = NULL;

  kcp_actor_ask_async (actor, message, NULL, result_cb, &result);
  wait_for (&result);
  answer = kcp_actor_ask_finish (actor, result, error);
  return get_text (answer, error);
}

char *
plugin_ask (KcpActor    *actor,
            const char  *path,
            const char  *body,
            GError     **error)
{
  g_autoptr(KcpMessage) message = new_message (path, body);

  return plugin_ask_message (actor, message, error);
}

KcpStream *
plugin_stream (KcpActor     *actor,
               const char   *path,
               const char   *body,
               GCancellable *cancellable)
{
  g_autoptr(KcpMessage) message = new_message (path, body);

  return kcp_actor_ask_stream (actor, message, cancellable);
}

char *
plugin_next (KcpStream  *stream,
             GError    **error)
{
  g_autoptr(GAsyncResult) result = NULL;
  g_autoptr(KcpMessage) item = NULL;

  kcp_stream_next_async (stream, NULL, result_cb, &result);
  wait_for (&result);
  item = kcp_stream_next_finish (stream, result, error);
  return get_text (item, error);
}

void
plugin_drain (KcpStream  *stream,
              GError    **error)
{
  char *item;

  while ((item = plugin_next (stream, error)) != NULL)
    g_free (item);
}

char *
plugin_collect (KcpActor    *actor,
                const char  *path,
                const char  *body,
                GError     **error)
{
  g_autoptr(KcpStream) stream = plugin_stream (actor, path, body, NULL);
  g_autoptr(GString) lines = g_string_new (NULL);
  g_autofree char *end = NULL;
  g_autoptr(GError) own = NULL;
  char *item;

  while ((item = plugin_next (stream, &own)) != NULL)
    {
      g_string_append_printf (lines, "%s\n", item);
      g_free (item);
    }

  if (own)
    {
      g_propagate_error (error, g_steal_pointer (&own));
      return NULL;
    }

  g_assert_true (kcp_stream_is_done (stream));
  end = get_text (kcp_stream_get_result (stream), error);
  g_string_append_printf (lines, "%s\n", end);
  return g_string_free (g_steal_pointer (&lines), FALSE);
}

/* ---- expectations ---- */

void
plugin_expect (KcpActor   *actor,
               const char *path,
               const char *body,
               const char *answer)
{
  g_autoptr(GError) error = NULL;
  g_autofree char *text = plugin_ask (actor, path, body, &error);

  g_assert_no_error (error);
  g_assert_cmpstr (text, ==, answer);
}

void
plugin_expect_items (KcpActor   *actor,
                     const char *path,
                     const char *body,
                     const char *lines)
{
  g_autoptr(GError) error = NULL;
  g_autofree char *text = plugin_collect (actor, path, body, &error);

  g_assert_no_error (error);
  g_assert_cmpstr (text, ==, lines);
}

void
plugin_assert_part (const char *text,
                    const char *part)
{
  if (strstr (text, part) == NULL)
    g_error ("“%s” is not in “%s”", part, text);
}

void
plugin_expect_error (KcpActor   *actor,
                     const char *path,
                     const char *body,
                     GQuark      domain,
                     int         code,
                     const char *part)
{
  g_autoptr(GError) error = NULL;
  g_autofree char *text = plugin_collect (actor, path, body, &error);

  g_assert_error (error, domain, code);
  g_assert_null (text);
  plugin_assert_part (error->message, part);
}
