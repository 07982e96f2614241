/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <kcp.h>

static void
on_answer (GObject *actor, GAsyncResult *result, gpointer data)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (KcpMessage) answer = kcp_actor_ask_finish (KCP_ACTOR (actor), result, &error);
  JsonNode *body = answer ? kcp_message_get_body (answer, &error) : NULL;
  g_autofree char *text = body ? kcp_json_to_string (body, &error) : NULL;

  g_print ("%s\n", text ? text : error->message);
  kcp_actor_stop_async (KCP_ACTOR (actor), NULL, NULL, NULL);
}

static void
on_ready (GObject *launcher, GAsyncResult *result, gpointer loop)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (KcpActor) actor = kcp_launcher_spawn_finish (KCP_LAUNCHER (launcher), result, &error);
  g_autoptr (KcpMessage) message = kcp_message_new ("hello", NULL);

  if (actor == NULL)
    g_error ("%s", error->message);
  g_signal_connect_swapped (actor, "exited", G_CALLBACK (g_main_loop_quit), loop);
  kcp_actor_ask_async (actor, message, NULL, on_answer, NULL);
}

int
main (int argc, char **argv)
{
  g_autoptr (GMainLoop) loop = g_main_loop_new (NULL, FALSE);
  g_autoptr (KcpLauncher) launcher = kcp_launcher_new (argv[1]);

  kcp_launcher_spawn_async (launcher, NULL, on_ready, loop);
  g_main_loop_run (loop);
}
