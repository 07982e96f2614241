/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* A plugin that shows what kcp-host did to its child, and that ends badly when asked to. */
#include <kcp-plugin.h>

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static GString *settings;       /* KEY=VALUE, each with a newline */
static char *start_mode;
static char *greeting;          /* what the host said during the start */

static gboolean
probe_configure (const char  *key,
                 const char  *value,
                 GError     **error)
{
  if (settings == NULL)
    settings = g_string_new (NULL);
  g_string_append_printf (settings, "%s=%s\n", key, value);
  if (strcmp (key, "start") == 0)
    {
      g_free (start_mode);
      start_mode = g_strdup (value);
    }
  return TRUE;
}

static gboolean
probe_start (KcpCallbackHandle  *host,
             gpointer           *self,
             GError            **error)
{
  g_autoptr (KcpMessage) question = NULL;
  g_autoptr (KcpMessage) answer = NULL;
  JsonNode *body;

  if (g_strcmp0 (start_mode, "fail") == 0)
    {
      g_set_error_literal (error, G_IO_ERROR, G_IO_ERROR_FAILED, "the probe does not want to");
      return FALSE;
    }
  if (g_strcmp0 (start_mode, "crash") == 0)
    raise (SIGKILL);
  if (g_strcmp0 (start_mode, "ask") != 0)
    return TRUE;

  question = kcp_message_new ("hello", NULL);
  answer = kcp_callback_handle_ask (host, question, NULL, error);
  body = answer ? kcp_message_get_body (answer, error) : NULL;
  greeting = body ? kcp_json_to_string (body, error) : NULL;
  return greeting != NULL;
}

static void
reply_text (KcpInvocation *invocation,
            const char    *text)
{
  JsonNode *node = json_node_new (JSON_NODE_NULL);

  if (text)
    {
      json_node_init (node, JSON_NODE_VALUE);
      json_node_set_string (node, text);
    }
  kcp_invocation_reply (invocation, node);
}

/* The body if it is a string, else "". */
static const char *
get_text (KcpInvocation *invocation)
{
  JsonNode *body = kcp_invocation_get_body (invocation, NULL);

  if (body && JSON_NODE_HOLDS_VALUE (body) && json_node_get_value_type (body) == G_TYPE_STRING)
    return json_node_get_string (body);

  return "";
}

static void
handle_settings (gpointer       self,
                 KcpInvocation *invocation)
{
  reply_text (invocation, settings ? settings->str : "");
}

static void
handle_greeting (gpointer       self,
                 KcpInvocation *invocation)
{
  reply_text (invocation, greeting);
}

static void
handle_env (gpointer       self,
            KcpInvocation *invocation)
{
  reply_text (invocation, g_getenv (get_text (invocation)));
}

static void
handle_directory (gpointer       self,
                  KcpInvocation *invocation)
{
  g_autofree char *directory = g_get_current_dir ();

  reply_text (invocation, directory);
}

static void
handle_trace (gpointer       self,
              KcpInvocation *invocation)
{
  reply_text (invocation, kcp_trace_context_get_trace_id (kcp_invocation_get_trace_context (invocation)));
}

static void
handle_log (gpointer       self,
            KcpInvocation *invocation)
{
  g_log ("probe", G_LOG_LEVEL_DEBUG, "a debug line");
  g_log ("probe", G_LOG_LEVEL_MESSAGE, "a message line");
  kcp_invocation_reply (invocation, NULL);
}

static void
handle_bytes (gpointer       self,
              KcpInvocation *invocation)
{
  g_autoptr (GBytes) bytes = g_bytes_new_static ("\0\1\2\n", 4);
  g_autoptr (KcpMessage) answer = kcp_message_new_bytes (NULL, bytes, "application/x-probe");

  kcp_invocation_reply_message (invocation, answer);
}

/* A reply that says it is JSON and is not. */
static void
handle_broken (gpointer       self,
               KcpInvocation *invocation)
{
  g_autoptr (GBytes) bytes = g_bytes_new_static ("{", 1);
  g_autoptr (KcpMessage) answer = kcp_message_new_bytes (NULL, bytes, NULL);

  kcp_invocation_reply_message (invocation, answer);
}

static void
handle_escape (gpointer       self,
               KcpInvocation *invocation)
{
  reply_text (invocation, "\033[31mred\302\233m");
}

static void
handle_fail (gpointer       self,
             KcpInvocation *invocation)
{
  kcp_invocation_fail_printf (invocation, g_quark_from_static_string ("probe-error"), 7, "as you wish");
}

/* Only a cancellation or a deadline ends it. */
static void
hang_over (GCancellable *cancellable,
           gpointer      user_data)
{
  KcpInvocation *invocation = user_data;

  kcp_invocation_unref (invocation);
}

static void
handle_hang (gpointer       self,
             KcpInvocation *invocation)
{
  g_signal_connect (kcp_invocation_get_cancellable (invocation), "cancelled", G_CALLBACK (hang_over),
                    kcp_invocation_ref (invocation));
}

static void
handle_crash (gpointer       self,
              KcpInvocation *invocation)
{
  fprintf (stderr, "the probe falls\n");
  raise (SIGKILL);
}

static void
handle_exit (gpointer       self,
             KcpInvocation *invocation)
{
  _exit (3);
}

static const KcpHandlerEntry handlers[] = {
  { "settings", "what it was configured with", handle_settings },
  { "greeting", "what the host said during the start", handle_greeting },
  { "env", "a variable of its environment", handle_env },
  { "directory", "its working directory", handle_directory },
  { "trace", "the trace id of the call", handle_trace },
  { "log", "logs a debug line and a message", handle_log },
  { "bytes", "answers with bytes that are no JSON", handle_bytes },
  { "broken", "answers with broken JSON", handle_broken },
  { "escape", "answers with what a terminal would act on", handle_escape },
  { "fail", "answers with an error of its own domain", handle_fail },
  { "hang", "does not answer", handle_hang },
  { "crash", "is ended by a signal", handle_crash },
  { "exit", "exits with 3", handle_exit },
  { NULL, NULL, NULL },
};

static KcpPlugin plugin = {
  .name = "probe",
  .version = "1",
  .description = "Shows what the host did",
  .config_help = "start=fail|crash|ask  what happens when it starts\n"
                 "KEY=VALUE            kept to be shown by “settings”",
  .configure = probe_configure,
  .start = probe_start,
  .handlers = handlers,
};

KCP_DEFINE_PLUGIN (plugin)
