/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "kcp-test.h"

#include <fcntl.h>
#include <glib/gstdio.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

/* Children that do their part of the start wrongly, between the spawn and READY. Each is to end in
 * an error that says what was missing, and in no child. */

typedef struct
{
  const char *mode;
  int timeout;             /* of the start; 0: it must not be needed */
  KcpError code;
  const char *parts[4];
} Case;

static const Case cases[] = {
  { "never-connects", 300, KCP_ERROR_HANDSHAKE_TIMED_OUT,
    { "the child has not connected", "300 ms", "connecting" } },
  { "one-socket", 300, KCP_ERROR_HANDSHAKE_TIMED_OUT, { "callback socket is missing", "connecting" } },
  { "silent", 300, KCP_ERROR_HANDSHAKE_TIMED_OUT, { "no HELLO on the request socket", "handshake" } },
  { "silent", 0, KCP_ERROR_HANDSHAKE_TIMED_OUT, { "no HELLO", "socket" } },
  { "half-silent", 300, KCP_ERROR_HANDSHAKE_TIMED_OUT, { "no HELLO on the request socket" } },
  { "half-closes", 0, KCP_ERROR_HANDSHAKE_FAILED, { "hung up before its HELLO was complete" } },
  { "half-exits", 0, KCP_ERROR_HANDSHAKE_FAILED, { "exited with code 9", "phony stub here" } },
  { "exits", 0, KCP_ERROR_HANDSHAKE_FAILED, { "exited with code 7", "connecting", "phony stub here" } },
  { "crashes", 0, KCP_ERROR_HANDSHAKE_FAILED, { "SIGSEGV", "connecting" } },
  { "wrong-token", 0, KCP_ERROR_PERMISSION, { "token", "request socket" } },
  { "wrong-socket", 0, KCP_ERROR_HANDSHAKE_FAILED, { "request socket" } },
  { "wrong-kind", 0, KCP_ERROR_PROTOCOL, { "PONG", "HELLO was expected" } },
  { "not-json", 0, KCP_ERROR_PROTOCOL, { "HELLO" } },
  { "garbage", 0, KCP_ERROR_PROTOCOL, { "request socket" } },
  { "huge", 0, KCP_ERROR_PROTOCOL, { "4294967295", "65536" } },
  { "version", 0, KCP_ERROR_VERSION_MISMATCH, { "phony 9.9", "kcp " KCP_VERSION_STRING, "7", "9" } },
  { "joined-exits", 0, KCP_ERROR_CHILD_EXITED, { "exited with code 5", "opening" } },
  { "joined-closes", 0, KCP_ERROR_CONNECTION_CLOSED, { "has closed its connection" } },
  { "joined-silent", 300, KCP_ERROR_HANDSHAKE_TIMED_OUT, { "opening" } },
  { "status-json", 0, KCP_ERROR_PROTOCOL, { "STATUS" } },
  { "status-unknown", 0, KCP_ERROR_PROTOCOL, { "STATUS", "phase" } },
  { "status-none", 0, KCP_ERROR_PROTOCOL, { "STATUS", "phase" } },
  { "status-type", 0, KCP_ERROR_PROTOCOL, { "STATUS", "phase" } },
  { "status-order", 0, KCP_ERROR_PROTOCOL, { "STATUS", "phase" } },
  { "status-no-manifest", 0, KCP_ERROR_PROTOCOL, { "STATUS", "manifest" } },
  { "status-bad-manifest", 0, KCP_ERROR_PROTOCOL, { "STATUS", "name" } },
  { "status-error-text", 0, KCP_ERROR_PROTOCOL, { "STATUS", "error" } },
  { "status-forged", 0, KCP_ERROR_PLUGIN_START, { "believe me" } },
};

static KcpLauncher *
phony (const char *mode)
{
  g_autofree char *stub = kcp_test_program ("phony-stub");
  KcpLauncher *launcher = kcp_test_launcher ("echo");

  kcp_launcher_set_stub (launcher, stub);
  kcp_launcher_setenv (launcher, "PHONY", mode);
  kcp_launcher_set_name (launcher, "Fälschung");
  return launcher;
}

static void
test_phony (gconstpointer data)
{
  const Case *what = data;
  g_autoptr (KcpLauncher) launcher = phony (what->mode);
  g_autoptr (GError) error = NULL;

  if (what->timeout > 0)
    kcp_launcher_set_start_timeout (launcher, what->timeout);
  g_assert_null (kcp_test_spawn (launcher, NULL, &error));
  kcp_test_assert_error (error, KCP_ERROR, (int) what->code, "Fälschung");
  for (gsize i = 0; i < G_N_ELEMENTS (what->parts) && what->parts[i]; i++)
    kcp_test_assert_part (error->message, what->parts[i]);
}

static void
sleep_until_dead (KcpLauncher *launcher,
                  const char  *name,
                  int          phase,
                  gpointer     data)
{
  siginfo_t info;

  if (phase == KCP_PHASE_HANDSHAKE)
    g_assert_cmpint (waitid (P_ALL, 0, &info, WEXITED | WNOWAIT), ==, 0);
}

/* The host is busy while the child speaks and dies: what it said counts before that it died. */
static void
test_busy_host (void)
{
  g_autoptr (KcpLauncher) launcher = phony ("version");
  g_autoptr (GError) error = NULL;

  g_signal_connect (launcher, "phase", G_CALLBACK (sleep_until_dead), NULL);
  g_assert_null (kcp_test_spawn (launcher, NULL, &error));
  kcp_test_assert_error (error, KCP_ERROR, KCP_ERROR_VERSION_MISMATCH, "phony 9.9");
}

/* ---- cancelling ---- */

typedef struct
{
  const char *plugin;      /* a broken one; NULL: "misbehave" */
  const char *start;
  const char *stub_mode;   /* NULL: the real stub */
  KcpPhase phase;
} Cancelling;

static const Cancelling cancellings[] = {
  { NULL, NULL, "never-connects", KCP_PHASE_CONNECTING },
  { NULL, NULL, "silent", KCP_PHASE_HANDSHAKE },
  { "bad-constructor-loops", NULL, NULL, KCP_PHASE_OPENING },
  { "bad-entry-loops", NULL, NULL, KCP_PHASE_SYMBOLS },
  { NULL, "hang", NULL, KCP_PHASE_STARTING },
  { NULL, "hang-blocked", NULL, KCP_PHASE_STARTING },
};

static void
cancel_in_phase (KcpLauncher  *launcher,
                 const char   *name,
                 int           phase,
                 GCancellable *cancellable)
{
  if (phase == GPOINTER_TO_INT (g_object_get_data (G_OBJECT (launcher), "phase")))
    g_cancellable_cancel (cancellable);
}

static void
test_cancel (gconstpointer data)
{
  const Cancelling *what = data;
  g_autofree char *path = kcp_test_bad_plugin (what->plugin ? what->plugin : "misbehave");
  g_autoptr (KcpLauncher) launcher = what->stub_mode ? phony (what->stub_mode) : kcp_test_launcher_for (path);
  g_autoptr (GCancellable) cancellable = g_cancellable_new ();
  g_autoptr (GError) error = NULL;

  if (what->start)
    kcp_launcher_add_config (launcher, "start", what->start);
  g_object_set_data (G_OBJECT (launcher), "phase", GINT_TO_POINTER (what->phase));
  g_signal_connect (launcher, "phase", G_CALLBACK (cancel_in_phase), cancellable);

  g_assert_null (kcp_test_spawn (launcher, cancellable, &error));
  kcp_test_assert_error (error, G_IO_ERROR, G_IO_ERROR_CANCELLED, NULL);
}

static void
test_cancelled_before (void)
{
  g_autoptr (KcpLauncher) launcher = kcp_test_launcher ("echo");
  g_autoptr (GCancellable) cancellable = g_cancellable_new ();
  g_autoptr (GError) error = NULL;

  g_cancellable_cancel (cancellable);
  g_assert_null (kcp_test_spawn (launcher, cancellable, &error));
  kcp_test_assert_error (error, G_IO_ERROR, G_IO_ERROR_CANCELLED, NULL);
}

/* Once it is ready the cancellable has nothing more to say. */
static void
test_cancelled_after (void)
{
  g_autoptr (KcpLauncher) launcher = kcp_test_launcher ("echo");
  g_autoptr (GCancellable) cancellable = g_cancellable_new ();
  g_autoptr (GError) error = NULL;
  KcpActor *actor = kcp_test_spawn (launcher, cancellable, &error);

  g_assert_no_error (error);
  g_cancellable_cancel (cancellable);
  kcp_test_assert_serves (actor);
  kcp_test_end (actor);
}

/* Cancelling from the very signal that says it is ready comes too late, and does no harm. */
static void
test_cancelled_as_ready (void)
{
  g_autoptr (KcpLauncher) launcher = kcp_test_launcher ("echo");
  g_autoptr (GCancellable) cancellable = g_cancellable_new ();
  g_autoptr (GError) error = NULL;
  KcpActor *actor;

  g_object_set_data (G_OBJECT (launcher), "phase", GINT_TO_POINTER (KCP_PHASE_READY));
  g_signal_connect (launcher, "phase", G_CALLBACK (cancel_in_phase), cancellable);
  actor = kcp_test_spawn (launcher, cancellable, &error);
  g_assert_no_error (error);
  kcp_test_end (actor);
}

/* ---- the place for the sockets ---- */

static char *
long_directory (void)
{
  g_autofree char *name = g_strnfill (100, 'l');
  char *path = g_build_filename (kcp_test_directory (), name, NULL);

  g_assert_cmpint (g_mkdir_with_parents (path, 0700), ==, 0);
  return path;
}

static void
test_long_runtime_directory (void)
{
  g_autofree char *path = long_directory ();
  g_autofree char *before = g_strdup (g_getenv ("XDG_RUNTIME_DIR"));
  g_autoptr (KcpLauncher) launcher = kcp_test_launcher ("echo");
  g_autoptr (GError) error = NULL;
  KcpActor *actor;

  g_setenv ("XDG_RUNTIME_DIR", path, TRUE);
  actor = kcp_test_spawn (launcher, NULL, &error);
  g_assert_no_error (error);
  kcp_test_assert_serves (actor);
  kcp_test_end (actor);
  g_setenv ("XDG_RUNTIME_DIR", before, TRUE);
}

/* GLib remembers the temporary directory, so this needs a program of its own. */
static void
test_no_short_directory_inner (void)
{
  g_autofree char *path = long_directory ();
  g_autofree char *stub = g_strdup ("/nowhere/kcp-child");
  g_autoptr (KcpLauncher) launcher = kcp_test_launcher ("echo");
  g_autoptr (GError) error = NULL;

  g_setenv ("XDG_RUNTIME_DIR", path, TRUE);
  g_setenv ("TMPDIR", path, TRUE);
  /* It would say so if it were started. */
  kcp_launcher_set_stub (launcher, stub);
  g_assert_null (kcp_test_spawn (launcher, NULL, &error));
  kcp_test_assert_error (error, KCP_ERROR, KCP_ERROR_SPAWN_FAILED, "107");
  kcp_test_assert_part (error->message, path);
  kcp_test_assert_part (error->message, "XDG_RUNTIME_DIR");
}

static void
test_no_short_directory (void)
{
  g_test_trap_subprocess ("/handshake/directory/none-short/subprocess/inner", 0, 0);
  g_test_trap_assert_passed ();
}

/* Old, and named as ours are: it may belong to anyone. What is swept is only what we make. */
static void
test_sweep (void)
{
  g_autofree char *foreign = g_build_filename (kcp_test_runtime_directory (), "kcp-papers", NULL);
  g_autofree char *letter = g_build_filename (foreign, "letter.txt", NULL);
  g_autofree char *left = g_build_filename (kcp_test_runtime_directory (), "kcp-AbC123", NULL);
  g_autofree char *lock = g_build_filename (left, "lock", NULL);
  struct timespec old[2] = { { .tv_sec = 1000000000 }, { .tv_sec = 1000000000 } };
  KcpActor *actor;

  g_assert_cmpint (g_mkdir (foreign, 0700), ==, 0);
  g_assert_true (g_file_set_contents (letter, "dear", -1, NULL));
  g_assert_cmpint (utimensat (AT_FDCWD, foreign, old, 0), ==, 0);
  g_assert_cmpint (g_mkdir (left, 0700), ==, 0);
  g_assert_true (g_file_set_contents (lock, "", -1, NULL));

  actor = kcp_test_misbehave (NULL, NULL);
  kcp_test_end (actor);

  g_assert_true (g_file_test (letter, G_FILE_TEST_EXISTS));
  g_assert_false (g_file_test (left, G_FILE_TEST_EXISTS));
  kcp_test_remove (foreign);
}

/* ---- the stub in the hand of a person ---- */

static char *
run_stub (const char *redirections,
          const char *environment,
          int        *status)
{
  g_autofree char *line = g_strdup_printf ("exec env %s \"$KCP_STUB\" %s", environment, redirections);
  const char *argv[] = { "sh", "-c", line, NULL };
  g_autoptr (GError) error = NULL;
  char *text = NULL;

  g_spawn_sync (NULL, (char **) argv, NULL, G_SPAWN_SEARCH_PATH, NULL, NULL, NULL, &text, status, &error);
  g_assert_no_error (error);
  return text;
}

static void
test_by_hand (void)
{
  static const char *const closings[] = { "", "0<&-", "1>&-", "0<&- 1>&-", "0<&- 1>&- 2>&-" };

  for (gsize i = 0; i < G_N_ELEMENTS (closings); i++)
    {
      int status = 0;
      g_autofree char *text = run_stub (closings[i], "", &status);

      g_assert_true (WIFEXITED (status));
      g_assert_cmpint (WEXITSTATUS (status), ==, 2);
      if (strstr (closings[i], "2>") == NULL)
        kcp_test_assert_part (text, "kcp-host PLUGIN");
    }
}

static void
test_by_hand_to_nowhere (void)
{
  static const char *const closings[] = { "", "0<&- 1>&- 2>&-" };

  for (gsize i = 0; i < G_N_ELEMENTS (closings); i++)
    {
      int status = 0;
      g_autofree char *text = run_stub (closings[i],
                                        "KCP_REQUEST_SOCKET=/nowhere/r KCP_CALLBACK_SOCKET=/nowhere/c "
                                        "KCP_TOKEN=secret", &status);

      g_assert_true (WIFEXITED (status));
      g_assert_cmpint (WEXITSTATUS (status), ==, 3);
      g_assert_null (strstr (text, "secret"));
      if (i == 0)
        kcp_test_assert_part (text, "/nowhere/r");
    }
}

int
main (int    argc,
      char **argv)
{
  kcp_test_init (&argc, &argv);
  for (gsize i = 0; i < G_N_ELEMENTS (cases); i++)
    {
      g_autofree char *path = g_strdup_printf ("/handshake/phony/%s%s", cases[i].mode,
                                               cases[i].timeout > 0 ? "-in-time" : "");

      kcp_test_add_data (path, &cases[i], test_phony);
    }
  kcp_test_add ("/handshake/busy-host", test_busy_host);
  for (gsize i = 0; i < G_N_ELEMENTS (cancellings); i++)
    {
      g_autofree char *path = g_strdup_printf ("/handshake/cancel/%s%s%s",
                                               kcp_phase_to_string (cancellings[i].phase),
                                               cancellings[i].start ? "-" : "",
                                               cancellings[i].start ? cancellings[i].start : "");

      kcp_test_add_data (path, &cancellings[i], test_cancel);
    }
  kcp_test_add ("/handshake/cancel/before", test_cancelled_before);
  kcp_test_add ("/handshake/cancel/after", test_cancelled_after);
  kcp_test_add ("/handshake/cancel/ready", test_cancelled_as_ready);
  kcp_test_add ("/handshake/directory/long-runtime", test_long_runtime_directory);
  kcp_test_add ("/handshake/directory/none-short", test_no_short_directory);
  kcp_test_add ("/handshake/directory/none-short/subprocess/inner", test_no_short_directory_inner);
  kcp_test_add ("/handshake/directory/sweep", test_sweep);
  kcp_test_add ("/handshake/by-hand", test_by_hand);
  kcp_test_add ("/handshake/by-hand/to-nowhere", test_by_hand_to_nowhere);
  return kcp_test_run ();
}
