/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* A plugin that takes descriptors and gives them on. */
#include <kcp-plugin.h>

#include <gio/gunixfdlist.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static KcpCallbackHandle *host;

static gboolean
start (KcpCallbackHandle  *handle,
       gpointer           *self,
       GError            **error)
{
  host = handle;
  return TRUE;
}

static JsonNode *
new_int (gint64 value)
{
  JsonNode *node = json_node_new (JSON_NODE_VALUE);

  json_node_set_int (node, value);
  return node;
}

/* The message as it came, nothing of it read. */
static void
handle_echo (gpointer       self,
             KcpInvocation *invocation)
{
  kcp_invocation_reply_message (invocation, kcp_invocation_get_message (invocation));
}

static void
handle_items (gpointer       self,
              KcpInvocation *invocation)
{
  for (guint i = 0; i < 200; i++)
    if (!kcp_invocation_send_item_message (invocation, kcp_invocation_get_message (invocation)))
      return;
  kcp_invocation_reply_message (invocation, kcp_invocation_get_message (invocation));
}

static void
on_answer (GObject      *source,
           GAsyncResult *result,
           gpointer      data)
{
  KcpInvocation *invocation = data;
  g_autoptr (GError) error = NULL;
  g_autoptr (KcpMessage) answer = kcp_callback_handle_ask_finish (host, result, &error);

  if (answer)
    kcp_invocation_reply_message (invocation, answer);
  else
    kcp_invocation_fail (invocation, error);
  kcp_invocation_unref (invocation);
}

/* Asks the host with the descriptors of the call, and answers with those of the host. */
static void
handle_ask (gpointer       self,
            KcpInvocation *invocation)
{
  g_autoptr (KcpMessage) question = kcp_message_new ("question", NULL);

  kcp_message_set_fd_list (question, kcp_message_get_fd_list (kcp_invocation_get_message (invocation)));
  kcp_callback_handle_ask_async (host, question, NULL, on_answer, kcp_invocation_ref (invocation));
}

/* The text in each descriptor. */
static void
handle_read (gpointer       self,
             KcpInvocation *invocation)
{
  KcpMessage *message = kcp_invocation_get_message (invocation);
  JsonNode *node = json_node_new (JSON_NODE_ARRAY);
  JsonArray *texts = json_array_new ();
  g_autofree int *fds = NULL;
  int count;

  fds = kcp_message_steal_fds (message, &count);
  for (int i = 0; i < count; i++)
    {
      char text[100] = "";

      if (pread (fds[i], text, sizeof text - 1, 0) >= 0)
        json_array_add_string_element (texts, text);
      close (fds[i]);
    }
  json_node_take_array (node, texts);
  kcp_invocation_reply (invocation, node);
}

static void
handle_count_open (gpointer       self,
                   KcpInvocation *invocation)
{
  g_autoptr (GDir) dir = g_dir_open ("/proc/self/fd", 0, NULL);
  gint64 count = 0;

  while (g_dir_read_name (dir))
    count++;
  kcp_invocation_reply (invocation, new_int (count));
}

/* A new file of the same size whose numbers are those of the body, turned over. */
static void
handle_invert (gpointer       self,
               KcpInvocation *invocation)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (KcpMessage) reply = kcp_message_new (NULL, NULL);
  GBytes *body = kcp_message_get_body_bytes (kcp_invocation_get_message (invocation), &error);
  gsize size = 0;
  const guint64 *from = body ? g_bytes_get_data (body, &size) : NULL;
  int fd = memfd_create ("inverted", MFD_CLOEXEC | MFD_ALLOW_SEALING);
  guint64 *to = MAP_FAILED;

  if (from && ftruncate (fd, (off_t) size) == 0)
    to = mmap (NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  if (to != MAP_FAILED)
    {
      for (gsize i = 0; i < size / sizeof *from; i++)
        to[i] = ~from[i];
      munmap (to, size);
    }

  if (to != MAP_FAILED && kcp_message_set_body_fd (reply, fd, "application/octet-stream", &error))
    kcp_invocation_reply_message (invocation, reply);
  else
    kcp_invocation_fail_printf (invocation, G_IO_ERROR, G_IO_ERROR_FAILED, "%s",
                                error ? error->message : "cannot make the file");
  close (fd);
}

static void
handle_crash (gpointer       self,
              KcpInvocation *invocation)
{
  raise (SIGKILL);
}

static const KcpHandlerEntry handlers[] = {
  { "echo", "answers with the message", handle_echo },
  { "items", "the message as 200 items", handle_items },
  { "ask", "asks the host, with what it got", handle_ask },
  { "read", "what is in the descriptors", handle_read },
  { "count-open", "how much is open here", handle_count_open },
  { "invert", "turns over a body", handle_invert },
  { "crash", "is killed", handle_crash },
  { NULL, NULL, NULL },
};

static KcpPlugin plugin = {
  .name = "descriptors",
  .start = start,
  .handlers = handlers,
};

KCP_DEFINE_PLUGIN (plugin)
