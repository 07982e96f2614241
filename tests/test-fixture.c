/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "kcp-test.h"

#include <errno.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

/* The frame around each test must notice what it is there to notice: every test below leaves
 * something behind in a program of its own, which has to fail. */

static void
leak_descriptor (void)
{
  g_assert_cmpint (open ("/dev/null", O_RDONLY | O_CLOEXEC), >=, 0);
}

static void
leak_child (void)
{
  if (fork () == 0)
    for (;;)
      pause ();
}

static void
leak_zombie (void)
{
  if (fork () == 0)
    _exit (0);
}

/* Its parent is gone: it comes to us. */
static void
leak_orphan (void)
{
  int pid = fork ();

  if (pid == 0)
    {
      if (fork () == 0)
        for (;;)
          pause ();
      _exit (0);
    }
  g_assert_cmpint (waitpid (pid, NULL, 0), ==, pid);
}

static void
leak_file (void)
{
  g_autofree char *path = g_build_filename (kcp_test_runtime_directory (), "kcp-abcdef", NULL);

  g_assert_cmpint (g_mkdir (path, 0700), ==, 0);
}

static gpointer
never_end (gpointer data)
{
  for (;;)
    pause ();
  return NULL;
}

static void
leak_thread (void)
{
  g_thread_unref (g_thread_new ("left-behind", never_end, NULL));
}

static void
warn (void)
{
  g_warning ("a warning of this program");
}

static void
leave_nothing (void)
{
}

static void
on_ended (GPid     pid,
          int      status,
          gpointer data)
{
  g_spawn_close_pid (pid);
}

/* What ends by itself a little later is waited for. */
static void
end_late (void)
{
  int pid = fork ();

  if (pid == 0)
    {
      g_usleep (100 * 1000);
      _exit (0);
    }
  g_child_watch_add (pid, on_ended, NULL);
}

typedef struct
{
  const char *name;
  void (*func) (void);
  const char *message;    /* NULL: it passes */
} Case;

static const Case cases[] = {
  { "descriptor", leak_descriptor, "*left behind: descriptor * /dev/null*" },
  { "child", leak_child, "*left behind: child *" },
  { "zombie", leak_zombie, "*left behind: child * Z*" },
  { "orphan", leak_orphan, "*left behind: child *" },
  { "file", leak_file, "*left behind: file *kcp-abcdef*" },
  { "thread", leak_thread, "*left behind: thread * left-behind*" },
  { "warning", warn, "*a warning of this program*" },
  { "nothing", leave_nothing, NULL },
  { "late", end_late, NULL },
};

static void
test_case (gconstpointer data)
{
  const Case *what = data;
  g_autofree char *path = g_strdup_printf ("/fixture/%s/subprocess/do", what->name);

  g_test_trap_subprocess (path, 0, 0);
  if (what->message)
    {
      g_test_trap_assert_stderr (what->message);
      g_test_trap_assert_failed ();
    }
  else
    g_test_trap_assert_passed ();
}

static void
do_case (gconstpointer data)
{
  const Case *what = data;

  if (what->message)
    kcp_test_set_patience (300);
  what->func ();
}

/* The frame has to let pass what a child that is started and stopped does to this process. */
static void
test_child (void)
{
  for (int i = 0; i < 2; i++)
    {
      KcpActor *actor = kcp_test_misbehave (NULL, NULL);

      kcp_test_assert_serves (actor);
      kcp_test_end (actor);
    }
}

int
main (int    argc,
      char **argv)
{
  kcp_test_init (&argc, &argv);
  for (gsize i = 0; i < G_N_ELEMENTS (cases); i++)
    {
      g_autofree char *outer = g_strdup_printf ("/fixture/%s", cases[i].name);
      g_autofree char *inner = g_strdup_printf ("/fixture/%s/subprocess/do", cases[i].name);

      kcp_test_add_data (outer, &cases[i], test_case);
      kcp_test_add_data (inner, &cases[i], do_case);
    }
  kcp_test_add ("/fixture/real-child", test_child);
  return kcp_test_run ();
}
