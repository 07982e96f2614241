/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "blocking-child.h"

#include "kcp-current-private.h"

#include <stdlib.h>

GCancellable *shared_cancellable;

char *
ask_blocking (TestSide    *side,
              const char  *path,
              const char  *json,
              GError     **error)
{
  g_autoptr (KcpMessage) message = text_message (path, json);
  g_autoptr (KcpMessage) answer = kcp_link_ask (side->link, message, shared_cancellable, error);

  return answer ? message_text (answer) : NULL;
}

void
nest (TestSide      *side,
      KcpInvocation *invocation)
{
  g_autofree char *text = invocation_text (invocation);
  int left = atoi (text);
  g_autofree char *next = g_strdup_printf ("%d", left - 1);
  g_autofree char *inner = NULL;
  g_autofree char *sum = NULL;
  GError *error = NULL;

  if (left > 0)
    inner = ask_blocking (side, "nest", next, &error);
  if (error)
    {
      kcp_invocation_take_error (invocation, error);
      return;
    }

  sum = g_strdup_printf ("%d", inner ? atoi (inner) + 1 : 0);
  reply_text (invocation, sum);
}

static void
pass_on (TestSide      *side,
         KcpInvocation *invocation)
{
  g_autofree char *text = invocation_text (invocation);
  GError *error = NULL;
  g_autofree char *answer = ask_blocking (side, "host", text, &error);

  if (error)
    kcp_invocation_take_error (invocation, error);
  else
    reply_text (invocation, answer);
}

static void
send_items (TestSide      *side,
            KcpInvocation *invocation)
{
  for (guint i = 0; i < 200; i++)
    {
      kcp_invocation_send_item (invocation, json_node_init_int (json_node_alloc (), i));
      if (i % 50 == 0)
        {
          g_autofree char *answer = ask_blocking (side, "host", "1", NULL);

          g_assert_cmpstr (answer, ==, "1");
        }
    }
  reply_text (invocation, "\"end\"");
}

/* Answers all that is kept, tells the host something that belongs to no call, and asks it
 * something that belongs to this one. */
static void
release (TestSide      *side,
         KcpInvocation *invocation)
{
  g_autoptr (KcpMessage) stray = text_message ("s", NULL);
  g_autofree char *answer = NULL;
  KcpInvocation *previous;

  while (side->kept->len > 0)
    {
      g_autoptr (KcpInvocation) kept = side_take (side);

      reply_text (kept, "1");
    }
  previous = kcp_current_enter (NULL);
  kcp_link_tell (side->link, stray, NULL);
  kcp_current_leave (previous);
  answer = ask_blocking (side, "i", "1", NULL);
  reply_text (invocation, answer);
}

typedef struct
{
  TestSide *side;
  KcpInvocation *invocation;
  guint rounds;
} Flood;

/* Ends when the host does not want it any more. */
static gboolean
flood (gpointer data)
{
  Flood *flood = data;

  if (!kcp_invocation_is_open (flood->invocation))
    return G_SOURCE_REMOVE;

  for (guint i = 0; i < 50 && !kcp_link_is_backed_up (flood->side->link); i++)
    {
      g_autoptr (GBytes) body = g_bytes_new_static ("{}", 2);

      kcp_link_send (flood->side->link, KCP_SOCKET_CALLBACK, KCP_FRAME_LOG, body);
    }
  if (flood->rounds++ == 50 && shared_cancellable)
    g_cancellable_cancel (shared_cancellable);
  return G_SOURCE_CONTINUE;
}

static void
flood_free (gpointer data)
{
  kcp_invocation_unref (((Flood *) data)->invocation);
  g_free (data);
}

static void
begin_flood (TestSide      *side,
             KcpInvocation *invocation)
{
  g_autoptr (GSource) source = g_idle_source_new ();
  Flood *data = g_new0 (Flood, 1);

  *data = (Flood) { side, kcp_invocation_ref (invocation), 0 };
  g_source_set_callback (source, flood, data, flood_free);
  g_source_attach (source, g_main_context_get_thread_default ());
}

void
serve_in_child (TestSide      *side,
                KcpInvocation *invocation)
{
  const char *path = kcp_invocation_get_path (invocation);

  if (g_str_equal (path, "echo"))
    kcp_invocation_reply_message (invocation, kcp_invocation_get_message (invocation));
  else if (g_str_equal (path, "nest"))
    nest (side, invocation);
  else if (g_str_equal (path, "pass-on"))
    pass_on (side, invocation);
  else if (g_str_equal (path, "items"))
    send_items (side, invocation);
  else if (g_str_equal (path, "release"))
    release (side, invocation);
  else if (g_str_equal (path, "flood"))
    begin_flood (side, invocation);
  else if (g_str_equal (path, "die"))
    side_close (side);
  else
    {
      g_ptr_array_add (side->kept, kcp_invocation_ref (invocation));
      if (g_str_equal (path, "hang-and-cancel"))
        g_cancellable_cancel (shared_cancellable);
    }
}
