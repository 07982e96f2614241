/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* A host that is there to be killed: orphan-host PLUGIN MODE [PATH [BODY]]. It says "now" on stdout
 * when it has come to where it is to be killed, with the child's pid where it knows it.
 *
 *   idle                the child is ready
 *   call PATH BODY      and PATH has been asked
 *   phase NUMBER VALUE  the start, with start=VALUE, has come to the phase
 *   spawned             the child was started; the host kills itself at once
 *   exit                the child is ready; the host exits without a word to it */
#include <kcp.h>

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static char **arguments;

static gboolean
is_mode (const char *mode)
{
  return strcmp (arguments[2], mode) == 0;
}

static void
say (int pid)
{
  printf ("now %d\n", pid);
  fflush (stdout);
}

static void
on_phase (KcpLauncher *launcher,
          const char  *name,
          int          phase,
          gpointer     data)
{
  if (is_mode ("spawned") && phase == KCP_PHASE_CONNECTING)
    raise (SIGKILL);
  if (is_mode ("phase") && phase == atoi (arguments[3]))
    say (0);
}

static gboolean
on_asked (gpointer actor)
{
  say (kcp_actor_get_pid (actor));
  return G_SOURCE_REMOVE;
}

/* What forks answers, what hangs does not. */
static void
on_answer (GObject      *source,
           GAsyncResult *result,
           gpointer      data)
{
  g_autoptr (KcpMessage) answer = kcp_actor_ask_finish (KCP_ACTOR (source), result, NULL);

  if (answer && strcmp (arguments[3], "fork") == 0)
    on_asked (source);
}

static void
on_spawned (GObject      *source,
            GAsyncResult *result,
            gpointer      data)
{
  g_autoptr (GError) error = NULL;
  KcpActor *actor = kcp_launcher_spawn_finish (KCP_LAUNCHER (source), result, &error);

  if (actor == NULL)
    g_error ("%s", error->message);

  if (is_mode ("exit"))
    {
      say (kcp_actor_get_pid (actor));
      exit (0);
    }
  if (is_mode ("call"))
    {
      g_autoptr (KcpMessage) message = kcp_message_new_text (arguments[3], arguments[4], NULL);

      kcp_actor_ask_async (actor, message, NULL, on_answer, NULL);
    }
  if (!is_mode ("call") || strcmp (arguments[3], "fork") != 0)
    g_idle_add (on_asked, actor);
}

int
main (int    argc,
      char **argv)
{
  g_autoptr (KcpLauncher) launcher = NULL;
  g_autoptr (GMainLoop) loop = g_main_loop_new (NULL, FALSE);

  if (argc < 3)
    return 2;

  arguments = argv;
  launcher = kcp_launcher_new (argv[1]);
  if (is_mode ("phase") && argc > 4)
    kcp_launcher_add_config (launcher, "start", argv[4]);
  kcp_launcher_set_start_timeout (launcher, KCP_TIMEOUT_NONE);
  kcp_launcher_set_call_timeout (launcher, KCP_TIMEOUT_NONE);
  kcp_launcher_set_stop_timeouts (launcher, 500, 500, 500);
  g_signal_connect (launcher, "phase", G_CALLBACK (on_phase), NULL);
  kcp_launcher_spawn_async (launcher, NULL, on_spawned, NULL);
  g_main_loop_run (loop);
  return 0;
}
