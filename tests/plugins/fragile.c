/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* A plugin for those who look after children that die: it ends in every way there is, and writes
 * down in a file, for all its lives together, what was asked of it. */
#include <kcp-plugin.h>

#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

static char *log_file;
static char *crash_file;        /* while it exists, a start crashes */
static char *fail_file;         /* while it exists, a start fails */
static GPtrArray *kept;         /* of KcpInvocation */

/* One write a line: lines of two lives never mix. */
static void
note (const char *what,
      const char *text)
{
  g_autofree char *line = g_strdup_printf ("%s%s%s\n", what, text[0] ? " " : "", text);
  int fd;

  if (log_file == NULL)
    return;

  /* The last child may outlive the directory by a moment. */
  fd = open (log_file, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
  if (fd < 0)
    return;
  if (write (fd, line, strlen (line)) < 0)
    g_warning ("%s: %m", log_file);
  close (fd);
}

static gboolean
fragile_configure (const char  *key,
                   const char  *value,
                   GError     **error)
{
  char **slot = NULL;

  if (strcmp (key, "log") == 0)
    slot = &log_file;
  else if (strcmp (key, "crash-if") == 0)
    slot = &crash_file;
  else if (strcmp (key, "fail-if") == 0)
    slot = &fail_file;

  if (slot)
    {
      g_free (*slot);
      *slot = g_strdup (value);
    }
  else
    note ("configure", value);
  return TRUE;
}

static gboolean
fragile_start (KcpCallbackHandle  *host,
               gpointer           *self,
               GError            **error)
{
  kept = g_ptr_array_new_with_free_func ((GDestroyNotify) kcp_invocation_unref);
  note ("start", "");
  if (crash_file && g_file_test (crash_file, G_FILE_TEST_EXISTS))
    raise (SIGKILL);
  if (fail_file && g_file_test (fail_file, G_FILE_TEST_EXISTS))
    {
      g_set_error_literal (error, G_IO_ERROR, G_IO_ERROR_FAILED, "not in this weather");
      return FALSE;
    }
  return TRUE;
}

static void
fragile_stop (gpointer self)
{
  note ("stop", "");
  g_clear_pointer (&kept, g_ptr_array_unref);
  g_clear_pointer (&log_file, g_free);
  g_clear_pointer (&crash_file, g_free);
  g_clear_pointer (&fail_file, g_free);
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
handle_echo (gpointer       self,
             KcpInvocation *invocation)
{
  note ("echo", get_text (invocation));
  kcp_invocation_reply (invocation, json_node_init_string (json_node_alloc (), get_text (invocation)));
}

static void
handle_crash (gpointer       self,
              KcpInvocation *invocation)
{
  note ("crash", get_text (invocation));
  raise (SIGKILL);
}

/* Crashes, but not while the file exists that the body names. */
static void
handle_crash_once (gpointer       self,
                   KcpInvocation *invocation)
{
  const char *file = get_text (invocation);

  note ("crash-once", "");
  if (!g_file_test (file, G_FILE_TEST_EXISTS))
    {
      g_file_set_contents (file, "", 0, NULL);
      raise (SIGKILL);
    }
  kcp_invocation_reply (invocation, json_node_init_string (json_node_alloc (), "survived"));
}

static void
handle_exit (gpointer       self,
             KcpInvocation *invocation)
{
  _exit (atoi (get_text (invocation)));
}

/* Keeps the whole child from answering, pings included. */
static void
handle_hang (gpointer       self,
             KcpInvocation *invocation)
{
  note ("hang", "");
  for (;;)
    pause ();
}

/* Is answered by the end of the child alone. */
static void
handle_keep (gpointer       self,
             KcpInvocation *invocation)
{
  note ("keep", get_text (invocation));
  g_ptr_array_add (kept, kcp_invocation_ref (invocation));
}

/* Two items; the end only where the body says so. */
static void
handle_items (gpointer       self,
              KcpInvocation *invocation)
{
  note ("items", get_text (invocation));
  kcp_invocation_send_item (invocation, json_node_init_int (json_node_alloc (), 1));
  kcp_invocation_send_item (invocation, json_node_init_int (json_node_alloc (), 2));
  if (strcmp (get_text (invocation), "end") == 0)
    kcp_invocation_reply (invocation, NULL);
  else
    g_ptr_array_add (kept, kcp_invocation_ref (invocation));
}

static void
handle_complain (gpointer       self,
                 KcpInvocation *invocation)
{
  g_log ("fragile", G_LOG_LEVEL_CRITICAL, "%s", get_text (invocation));
  kcp_invocation_reply (invocation, NULL);
}

static const KcpHandlerEntry handlers[] = {
  { "echo", "answers with its body", handle_echo },
  { "crash", "is ended by a signal", handle_crash },
  { "crash-once", "is ended by a signal, but only once", handle_crash_once },
  { "exit", "exits with the code in the body", handle_exit },
  { "hang", "does nothing any more", handle_hang },
  { "keep", "does not answer", handle_keep },
  { "complain", "logs its body as critical", handle_complain },
  { "items", "sends two items", handle_items },
  { NULL, NULL, NULL },
};

static KcpPlugin plugin = {
  .name = "fragile",
  .configure = fragile_configure,
  .start = fragile_start,
  .stop = fragile_stop,
  .handlers = handlers,
};

KCP_DEFINE_PLUGIN (plugin)
