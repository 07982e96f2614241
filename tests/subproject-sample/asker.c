/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <kcp.h>

/* Asks the greeter for one path and wants it back. */

static void
on_ready (GObject      *source,
          GAsyncResult *result,
          gpointer      slot)
{
  *(GAsyncResult **) slot = g_object_ref (result);
}

int
main (int    argc,
      char **argv)
{
  g_autoptr (KcpLauncher) launcher = kcp_launcher_new (argv[1]);
  g_autoptr (GAsyncResult) started = NULL, stopped = NULL;
  g_autoptr (KcpActor) actor = NULL;
  g_autoptr (KcpMessage) question = kcp_message_new ("good-morning", NULL);
  g_autoptr (KcpMessage) answer = NULL;
  g_autoptr (GError) error = NULL;
  g_autofree char *text = NULL;

  kcp_launcher_spawn_async (launcher, NULL, on_ready, &started);
  while (started == NULL)
    g_main_context_iteration (NULL, TRUE);
  actor = kcp_launcher_spawn_finish (launcher, started, &error);
  g_assert_no_error (error);

  answer = kcp_actor_ask (actor, question, NULL, &error);
  g_assert_no_error (error);
  text = kcp_json_to_string (kcp_message_get_body (answer, &error), &error);
  g_assert_cmpstr (text, ==, "\"good-morning\"");

  kcp_actor_stop_async (actor, NULL, on_ready, &stopped);
  while (stopped == NULL)
    g_main_context_iteration (NULL, TRUE);
  return 0;
}
