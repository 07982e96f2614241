/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "kcp-test.h"

#include <glib-unix.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* The host is killed, and with it everything that could have ended its child in order. The child
 * becomes ours, for this process is a subreaper; that it ends at all is what the waits are for, and
 * that nothing else is left is what the frame around each test is for. */

typedef struct
{
  int pid;
  int output;
  GString *text;
} Host;

static void
start_host (Host              *host,
            const char        *plugin,
            const char *const *arguments)
{
  g_autofree char *program = kcp_test_program ("orphan-host");
  g_autofree char *path = kcp_test_bad_plugin (plugin);
  g_autoptr (GPtrArray) argv = g_ptr_array_new ();
  g_autoptr (GError) error = NULL;

  g_ptr_array_add (argv, program);
  g_ptr_array_add (argv, path);
  for (gsize i = 0; arguments[i]; i++)
    g_ptr_array_add (argv, (gpointer) arguments[i]);
  g_ptr_array_add (argv, NULL);

  host->text = g_string_new (NULL);
  g_spawn_async_with_pipes (NULL, (char **) argv->pdata, NULL, G_SPAWN_DO_NOT_REAP_CHILD, NULL, NULL,
                            &host->pid, NULL, &host->output, NULL, &error);
  g_assert_no_error (error);
  g_assert_true (g_unix_set_fd_nonblocking (host->output, TRUE, NULL));
}

static gboolean
has_said_now (gpointer data)
{
  Host *host = data;
  char buffer[64];
  gssize count = read (host->output, buffer, sizeof buffer);

  if (count > 0)
    g_string_append_len (host->text, buffer, count);
  return strchr (host->text->str, '\n') != NULL;
}

static void
end_host (Host *host)
{
  close (host->output);
  g_string_free (host->text, TRUE);
}

/* ---- one that was killed ---- */

typedef struct
{
  const char *name;
  const char *plugin;
  const char *arguments[4];
} Case;

static const Case cases[] = {
  { "idle", "misbehave", { "idle" } },
  { "call", "misbehave", { "call", "hold", "null" } },
  { "busy", "misbehave", { "call", "end", "\"hang\"" } },
  { "busy-blocked", "misbehave", { "call", "end", "\"hang-blocked\"" } },
  { "closed-all", "misbehave", { "call", "end", "\"close-and-hang\"" } },
  { "opening", "bad-constructor-loops", { "phase", "3" } },
  { "symbols", "bad-entry-loops", { "phase", "4" } },
  { "starting", "misbehave", { "phase", "5", "hang" } },
  { "starting-blocked", "misbehave", { "phase", "5", "hang-blocked" } },
};

static void
test_killed (gconstpointer data)
{
  const Case *what = data;
  Host host;
  int status;

  start_host (&host, what->plugin, what->arguments);
  kcp_test_wait (has_said_now, &host, "the host");
  g_assert_cmpint (kill (host.pid, SIGKILL), ==, 0);
  kcp_test_reap (host.pid);

  /* By its watchdog, or, where it went by itself, at the end of that. */
  status = kcp_test_reap_any (NULL);
  g_assert_true (WIFSIGNALED (status));
  g_assert_cmpint (WTERMSIG (status), ==, SIGKILL);
  end_host (&host);
}

/* Its group goes with it. */
static void
test_grandchild (void)
{
  static const char *const arguments[] = { "call", "fork", "\"stay\"", NULL };
  Host host;

  start_host (&host, "misbehave", arguments);
  kcp_test_wait (has_said_now, &host, "the host");
  g_assert_cmpint (kill (host.pid, SIGKILL), ==, 0);
  kcp_test_reap (host.pid);

  for (int i = 0; i < 2; i++)
    {
      int status = kcp_test_reap_any (NULL);

      g_assert_true (WIFSIGNALED (status) && WTERMSIG (status) == SIGKILL);
    }
  end_host (&host);
}

static void
test_exits (void)
{
  static const char *const arguments[] = { "exit", NULL };
  Host host;
  int status;

  start_host (&host, "misbehave", arguments);
  status = kcp_test_reap (host.pid);
  g_assert_true (WIFEXITED (status) && WEXITSTATUS (status) == 0);
  status = kcp_test_reap_any (NULL);
  g_assert_true (WIFSIGNALED (status) && WTERMSIG (status) == SIGKILL);
  end_host (&host);
}

/* Too early for the child to know where its host had its sockets: the next host sweeps. */
static void
test_before_connect (void)
{
  static const char *const arguments[] = { "spawned", NULL };
  KcpActor *actor;
  Host host;
  int status;

  start_host (&host, "misbehave", arguments);
  status = kcp_test_reap (host.pid);
  g_assert_true (WIFSIGNALED (status));
  status = kcp_test_reap_any (NULL);
  g_test_message ("the child ended with status %x", (guint) status);

  actor = kcp_test_misbehave (NULL, NULL);
  kcp_test_end (actor);
  end_host (&host);
}

int
main (int    argc,
      char **argv)
{
  kcp_test_init (&argc, &argv);
  for (gsize i = 0; i < G_N_ELEMENTS (cases); i++)
    {
      g_autofree char *path = g_strdup_printf ("/orphan/killed/%s", cases[i].name);

      kcp_test_add_data (path, &cases[i], test_killed);
    }
  kcp_test_add ("/orphan/grandchild", test_grandchild);
  kcp_test_add ("/orphan/exits", test_exits);
  kcp_test_add ("/orphan/before-connect", test_before_connect);
  return kcp_test_run ();
}
