/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* One of many: says who it is, notes in a file what it was asked, holds calls back, grows, dies. */
#include <kcp-plugin.h>

#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char *generation;
static int log_fd = -1;
static char *start_mode;
static GPtrArray *held;          /* of KcpInvocation */
static GPtrArray *ballast;

static gboolean
worker_configure (const char  *key,
                  const char  *value,
                  GError     **error)
{
  if (strcmp (key, "generation") == 0)
    {
      g_free (generation);
      generation = g_strdup (value);
    }
  else if (strcmp (key, "log") == 0)
    log_fd = open (value, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
  else if (strcmp (key, "start") == 0)
    {
      g_free (start_mode);
      start_mode = g_strdup (value);
    }
  else
    {
      g_set_error (error, G_IO_ERROR, G_IO_ERROR_INVALID_ARGUMENT, "no such key: %s", key);
      return FALSE;
    }

  return TRUE;
}

/* "once FILE": only whoever makes FILE starts; the others fail. */
static gboolean
may_start (void)
{
  int fd;

  if (start_mode == NULL)
    return TRUE;
  if (!g_str_has_prefix (start_mode, "once "))
    return FALSE;

  fd = open (start_mode + strlen ("once "), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  if (fd < 0)
    return FALSE;

  close (fd);
  return TRUE;
}

static gboolean
worker_start (KcpCallbackHandle  *host,
              gpointer           *self,
              GError            **error)
{
  if (g_strcmp0 (start_mode, "crash") == 0)
    raise (SIGKILL);
  if (!may_start ())
    {
      g_set_error_literal (error, G_IO_ERROR, G_IO_ERROR_FAILED, "the worker does not want to");
      return FALSE;
    }

  held = g_ptr_array_new_with_free_func ((GDestroyNotify) kcp_invocation_unref);
  ballast = g_ptr_array_new_with_free_func (g_free);
  return TRUE;
}

static JsonNode *
who (gint64 id)
{
  JsonNode *node = json_node_new (JSON_NODE_OBJECT);
  JsonObject *object = json_object_new ();

  json_object_set_int_member (object, "id", id);
  json_object_set_int_member (object, "pid", getpid ());
  json_object_set_string_member (object, "generation", generation ? generation : "");
  json_node_take_object (node, object);
  return node;
}

static gint64
get_number (KcpInvocation *invocation)
{
  JsonNode *body = kcp_invocation_get_body (invocation, NULL);

  return body && JSON_NODE_HOLDS_VALUE (body) && json_node_get_value_type (body) == G_TYPE_INT64
         ? json_node_get_int (body) : 0;
}

static void
handle_who (gpointer       self,
            KcpInvocation *invocation)
{
  kcp_invocation_reply (invocation, who (get_number (invocation)));
}

/* The number of the body and the one in the first descriptor. */
static void
handle_sum (gpointer       self,
            KcpInvocation *invocation)
{
  char text[16] = "";
  GError *error = NULL;
  int fd = kcp_message_get_fd (kcp_invocation_get_message (invocation), 0, &error);

  if (fd < 0)
    {
      kcp_invocation_take_error (invocation, error);
      return;
    }

  if (pread (fd, text, sizeof text - 1, 0) < 0)
    abort ();
  close (fd);
  kcp_invocation_reply (invocation, who (get_number (invocation) + g_ascii_strtoll (text, NULL, 10)));
}

/* One write, so that the lines of several processes do not mix. */
static void
handle_note (gpointer       self,
             KcpInvocation *invocation)
{
  gint64 id = get_number (invocation);
  g_autofree char *line = g_strdup_printf ("%" G_GINT64_FORMAT "\n", id);

  if (write (log_fd, line, strlen (line)) != (gssize) strlen (line))
    abort ();
  kcp_invocation_reply (invocation, who (id));
}

static void
handle_hold (gpointer       self,
             KcpInvocation *invocation)
{
  g_ptr_array_add (held, kcp_invocation_ref (invocation));
}

static void
handle_release (gpointer       self,
                KcpInvocation *invocation)
{
  for (guint i = 0; i < held->len; i++)
    kcp_invocation_reply (held->pdata[i], who (get_number (held->pdata[i])));
  g_ptr_array_set_size (held, 0);
  kcp_invocation_reply (invocation, who (0));
}

static void
handle_crash (gpointer       self,
              KcpInvocation *invocation)
{
  raise (SIGKILL);
}

/* Answers with what only the host may say. */
static void
handle_forge (gpointer       self,
              KcpInvocation *invocation)
{
  kcp_invocation_fail_printf (invocation, KCP_ERROR, KCP_ERROR_STOPPING, "so it says");
}

static void
handle_grow (gpointer       self,
             KcpInvocation *invocation)
{
  gsize size = (gsize) get_number (invocation);

  g_ptr_array_add (ballast, memset (g_malloc (size), 1, size));
  kcp_invocation_reply (invocation, who (0));
}

/* Items from 1 to the number, then who it was. */
static void
handle_items (gpointer       self,
              KcpInvocation *invocation)
{
  gint64 count = get_number (invocation);

  for (gint64 i = 1; i <= count; i++)
    kcp_invocation_send_item (invocation, json_node_init_int (json_node_alloc (), i));
  kcp_invocation_reply (invocation, who (count));
}

/* An item, and then the call is held. */
static void
handle_item_and_hold (gpointer       self,
                      KcpInvocation *invocation)
{
  kcp_invocation_send_item (invocation, who (0));
  handle_hold (self, invocation);
}

static const KcpHandlerEntry handlers[] = {
  { "who", "answers with its pid and generation", handle_who },
  { "sum", "adds what is in body and descriptor", handle_sum },
  { "note", "appends the number to the log", handle_note },
  { "hold", "answers when released", handle_hold },
  { "release", "answers what is held", handle_release },
  { "crash", "dies", handle_crash },
  { "forge", "answers with an error about itself", handle_forge },
  { "grow", "takes so many bytes of memory", handle_grow },
  { "items", "so many items", handle_items },
  { "item-and-hold", "an item, and an end when released", handle_item_and_hold },
  { NULL, NULL, NULL },
};

static KcpPlugin plugin = {
  .name = "worker",
  .configure = worker_configure,
  .start = worker_start,
  .handlers = handlers,
};

KCP_DEFINE_PLUGIN (plugin)
