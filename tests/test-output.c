/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "kcp-test.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* What children print and log: drained always, bounded, data and never a format, and never able to
 * do anything to the host. */

#define TAIL_LIMIT (64 * 1024)

static KcpActor *
spawn_at_level (GLogLevelFlags level)
{
  g_autoptr (KcpLauncher) launcher = kcp_test_launcher ("misbehave");
  g_autoptr (GError) error = NULL;
  KcpActor *actor;

  /* The plugin logs criticals, which are not to be its end here. */
  kcp_launcher_unsetenv (launcher, "G_DEBUG");
  if (level)
    kcp_launcher_set_log_level (launcher, level);
  actor = kcp_test_spawn (launcher, NULL, &error);
  g_assert_no_error (error);
  return actor;
}

/* ---- printing ---- */

static void
test_lines (void)
{
  KcpActor *actor = kcp_test_misbehave ("configure", "nothing");
  g_autoptr (KcpExitReport) report = kcp_test_stop (actor);
  const KcpTestLog *line;

  g_assert_cmpstr (kcp_exit_report_get_stderr_tail (report), ==, "configured with nothing\nstop was called\n");
  g_assert_cmpstr (kcp_exit_report_get_stdout_tail (report), ==, "");
  /* Each is a line of the host's log, with the name of the child, for those who want to see it. */
  line = kcp_test_find_line ("configured with");
  g_assert_nonnull (line);
  g_assert_cmpstr (line->message, ==, "configured with nothing");
  g_assert_cmpstr (line->stream, ==, "stderr");
  g_assert_cmpstr (line->plugin, ==, kcp_actor_get_name (actor));
  g_assert_cmpint (line->level, ==, G_LOG_LEVEL_INFO);
  g_object_unref (actor);
}

/* The memory of this process, in KiB. */
static int
resident (void)
{
  g_autofree char *text = NULL;
  int pages = 0;

  g_assert_true (g_file_get_contents ("/proc/self/statm", &text, NULL, NULL));
  g_assert_cmpint (sscanf (text, "%*d %d", &pages), ==, 1);
  return pages * (int) (sysconf (_SC_PAGESIZE) / 1024);
}

static void
assert_tail (const char *tail,
             const char *end)
{
  g_assert_cmpuint (strlen (tail), <=, TAIL_LIMIT);
  g_assert_cmpuint (strlen (tail), >, TAIL_LIMIT / 2);
  g_assert_true (g_utf8_validate (tail, -1, NULL));
  if (end)
    g_assert_true (g_str_has_suffix (tail, end));
}

/* A gigabyte where there is time for it. */
static void
test_flood (void)
{
  gint64 size = g_test_thorough () ? G_GINT64_CONSTANT (1024) * 1024 * 1024 : 64 * 1024 * 1024;
  g_autofree char *body = g_strdup_printf ("%" G_GINT64_FORMAT, size);
  KcpActor *actor = kcp_test_misbehave (NULL, NULL);
  KcpActor *other = kcp_test_misbehave (NULL, NULL);
  g_autoptr (KcpExitReport) report = NULL;
  g_autoptr (KcpTestCall) call = kcp_test_call (actor, "flood", body, NULL);
  int before = resident ();

  /* Others are served meanwhile. */
  kcp_test_assert_serves (other);
  kcp_test_call_wait (call);
  g_assert_no_error (call->error);
  g_test_message ("%d KiB more after %" G_GINT64_FORMAT " bytes", resident () - before, size);
#ifndef __SANITIZE_ADDRESS__   /* which keeps what was freed */
  if (g_getenv ("KCP_TEST_VALGRIND") == NULL)   /* nor does it give it back */
    g_assert_cmpint (resident () - before, <, 32 * 1024);
#endif

  report = kcp_test_stop (actor);
  assert_tail (kcp_exit_report_get_stdout_tail (report), NULL);
  assert_tail (kcp_exit_report_get_stderr_tail (report), "the end\nstop was called\n");
  g_object_unref (actor);
  kcp_test_end (other);
}

/* A host that blocks in a call must not be what its child waits for. */
static void
test_flood_in_blocking_call (void)
{
  KcpActor *actor = kcp_test_misbehave (NULL, NULL);
  g_autoptr (KcpMessage) message = kcp_message_new_text ("flood", "4000000", NULL);
  g_autoptr (GError) error = NULL;
  g_autoptr (KcpMessage) answer = kcp_actor_ask (actor, message, NULL, &error);

  g_assert_no_error (error);
  kcp_test_end (actor);
}

static void
test_one_line (void)
{
  KcpActor *actor = kcp_test_misbehave (NULL, NULL);
  g_autoptr (JsonNode) answer = kcp_test_ask_node (actor, "flood-line", "10485760");
  g_autoptr (KcpExitReport) report = kcp_test_stop (actor);

  assert_tail (kcp_exit_report_get_stderr_tail (report), "yyythe end\nstop was called\n");
  g_object_unref (actor);
}

static void
test_binary (void)
{
  KcpActor *actor = kcp_test_misbehave (NULL, NULL);
  g_autoptr (JsonNode) answer = kcp_test_ask_node (actor, "binary", NULL);
  g_autoptr (KcpExitReport) report = kcp_test_stop (actor);
  const char *tails[] = { kcp_exit_report_get_stdout_tail (report), kcp_exit_report_get_stderr_tail (report) };

  for (gsize i = 0; i < G_N_ELEMENTS (tails); i++)
    {
      g_assert_true (g_utf8_validate (tails[i], -1, NULL));
      kcp_test_assert_part (tails[i], "%n%s%s%n");
      kcp_test_assert_part (tails[i], "after");
      kcp_test_assert_part (tails[i], "%d\n");
    }
  g_object_unref (actor);
}

/* ---- the log ---- */

static void
on_log (KcpActor   *actor,
        const char *domain,
        guint       level,
        const char *message,
        GString    *heard)
{
  g_string_append_printf (heard, "%s %u %s\n", domain, level, message);
}

static void
assert_log (KcpActor       *actor,
            const char     *text,
            const char     *domain,
            GLogLevelFlags  level)
{
  g_autofree char *pid = g_strdup_printf ("%d", kcp_actor_get_pid (actor));
  const KcpTestLog *log = kcp_test_find_log (text);

  if (log == NULL)
    g_error ("nothing with “%s” was logged", text);
  g_assert_cmpint (log->level & G_LOG_LEVEL_MASK, ==, level);
  g_assert_cmpstr (log->domain, ==, domain);
  g_assert_cmpstr (log->plugin, ==, kcp_actor_get_name (actor));
  g_assert_cmpstr (log->pid, ==, pid);
  g_assert_cmpuint (kcp_test_count_logs (text), ==, 1);
}

static void
test_log (void)
{
  KcpActor *actor = spawn_at_level (G_LOG_LEVEL_DEBUG);
  g_autoptr (GString) heard = g_string_new (NULL);
  g_autoptr (JsonNode) answer = NULL;
  const KcpTestLog *log;

  g_signal_connect (actor, "log", G_CALLBACK (on_log), heard);
  answer = kcp_test_ask_node (actor, "log", "\"ü %n%s\\u0001\"");

  /* They arrive before the answer of the handler that wrote them. */
  assert_log (actor, "critical ü %n%s", "own-domain", G_LOG_LEVEL_CRITICAL);
  assert_log (actor, "warning ü %n%s", "own-domain", G_LOG_LEVEL_WARNING);
  assert_log (actor, "message ü %n%s", "own-domain", G_LOG_LEVEL_MESSAGE);
  assert_log (actor, "info ü %n%s", "own-domain", G_LOG_LEVEL_INFO);
  assert_log (actor, "debug ü %n%s", "own-domain", G_LOG_LEVEL_DEBUG);
  assert_log (actor, "structured ü %n%s", "misbehave", G_LOG_LEVEL_MESSAGE);
  kcp_test_assert_part (heard->str, "own-domain 16 warning ü %n%s");

  log = kcp_test_find_log ("warning ü");
  g_assert_nonnull (log->traceparent);
  g_assert_cmpuint (strlen (log->traceparent), ==, 55);
  kcp_test_end (actor);
}

static void
test_level (void)
{
  static const struct
  {
    GLogLevelFlags level;
    const char *last, *first_missing;
  } levels[] = {
    { 0, "message L", "info L" },
    { G_LOG_LEVEL_CRITICAL, "critical L", "warning L" },
    { G_LOG_LEVEL_WARNING, "warning L", "message L" },
    { G_LOG_LEVEL_INFO, "info L", "debug L" },
    { G_LOG_LEVEL_DEBUG, "debug L", NULL },
  };

  for (gsize i = 0; i < G_N_ELEMENTS (levels); i++)
    {
      KcpActor *actor = spawn_at_level (levels[i].level);
      guint before = kcp_test_count_logs (levels[i].last);
      guint missing = levels[i].first_missing ? kcp_test_count_logs (levels[i].first_missing) : 0;
      g_autoptr (JsonNode) answer = kcp_test_ask_node (actor, "log", "\"L\"");

      g_assert_cmpuint (kcp_test_count_logs (levels[i].last), ==, before + 1);
      if (levels[i].first_missing)
        g_assert_cmpuint (kcp_test_count_logs (levels[i].first_missing), ==, missing);
      kcp_test_end (actor);
    }
}

static void
test_log_threads (void)
{
  KcpActor *actor = spawn_at_level (0);
  g_autoptr (JsonNode) answer = kcp_test_ask_node (actor, "log-threads", NULL);

  /* Other threads' lines go through the main one: after its answer, and before its end. */
  kcp_test_end (actor);
  g_assert_cmpuint (kcp_test_count_logs ("thread "), ==, 400);
  g_assert_cmpuint (kcp_test_count_logs ("thread 3 line 99"), ==, 1);
}

/* More than may wait while nobody reads: it goes on, and what is lost is told. */
static void
test_log_flood (void)
{
  KcpActor *actor = spawn_at_level (0);
  g_autoptr (KcpTestCall) call = kcp_test_call (actor, "log-flood", "20000", NULL);
  g_autoptr (KcpTestCall) after = NULL;
  int pid = kcp_actor_get_pid (actor);
  g_autofree char *path = g_strdup_printf ("/proc/%d/stat", pid);
  guint heard;

  /* Not one of them is read until the handler has come to its end and sleeps. */
  for (gboolean asleep = FALSE; !asleep;)
    {
      g_autofree char *stat = NULL;

      g_assert_true (g_file_get_contents (path, &stat, NULL, NULL));
      asleep = strstr (stat, ") S ") != NULL;
      g_thread_yield ();
    }

  kcp_test_call_wait (call);
  g_assert_no_error (call->error);
  after = kcp_test_call (actor, "log", "\"after\"", NULL);
  kcp_test_call_wait (after);
  heard = kcp_test_count_logs ("zzz");
  g_test_message ("%u of 20000 were heard", heard);
  g_assert_cmpuint (heard, >, 0);
  g_assert_cmpuint (heard, <, 20000);
  g_assert_nonnull (kcp_test_find_log ("were dropped"));
  g_assert_nonnull (kcp_test_find_log ("message after"));
  kcp_test_end (actor);
}

static void
drop_actor (KcpActor    *actor,
            const char  *domain,
            guint        level,
            const char  *message,
            KcpActor   **place)
{
  g_clear_object (place);
}

static gboolean
is_dropped (gpointer place)
{
  return *(gpointer *) place == NULL;
}

/* In the middle of what it prints, and of what it logs: the rest is for nobody. */
static void
test_dropped_in_log (void)
{
  static const char *const paths[] = { "flood", "log-flood" };

  for (gsize i = 0; i < G_N_ELEMENTS (paths); i++)
    {
      KcpActor *actor = spawn_at_level (0);
      g_autoptr (KcpMessage) message = kcp_message_new_text (paths[i], "300000", NULL);

      g_signal_connect (actor, "log", G_CALLBACK (drop_actor), &actor);
      g_assert_true (kcp_actor_tell (actor, message, NULL));
      kcp_test_wait (is_dropped, &actor, "a line");
    }
}

/* ---- what a plugin's log cannot do ---- */

/* With the writer that programs have, and with warnings of the host's own being fatal. */
static void
test_not_fatal_inner (void)
{
  KcpActor *actor = spawn_at_level (G_LOG_LEVEL_DEBUG);
  g_autoptr (JsonNode) answer = kcp_test_ask_node (actor, "log", "\"of a plugin\"");
  g_autoptr (KcpTestCall) call = kcp_test_call (actor, "end", "\"error\"", NULL);

  kcp_test_call_wait (call);
  kcp_test_assert_error (call->error, KCP_ERROR, KCP_ERROR_CHILD_CRASHED, NULL);
  g_object_unref (actor);
}

static void
test_not_fatal (void)
{
  g_setenv ("KCP_TEST_PLAIN_LOG", "1", TRUE);
  g_setenv ("G_DEBUG", "fatal-warnings", TRUE);
  g_test_trap_subprocess ("/output/log/not-fatal/subprocess/inner", 0, 0);
  g_unsetenv ("G_DEBUG");
  g_unsetenv ("KCP_TEST_PLAIN_LOG");
  g_test_trap_assert_passed ();
  g_test_trap_assert_stderr ("*own-domain*warning of a plugin*");
}

/* A g_error() of the plugin is the child's end, and its text a line of the host's log. */
static void
test_fatal_for_child (void)
{
  KcpActor *actor = spawn_at_level (0);
  g_autoptr (KcpTestCall) call = kcp_test_call (actor, "end", "\"error\"", NULL);
  g_autoptr (KcpExitReport) report = kcp_test_await_exit (actor);

  g_assert_true (call->done);
  assert_log (actor, "the last words: ü%n%s", "misbehave", G_LOG_LEVEL_CRITICAL);
  g_object_unref (actor);
}

int
main (int    argc,
      char **argv)
{
  kcp_test_init (&argc, &argv);
  kcp_test_add ("/output/lines", test_lines);
  kcp_test_add ("/output/flood", test_flood);
  kcp_test_add ("/output/flood/blocking-call", test_flood_in_blocking_call);
  kcp_test_add ("/output/one-line", test_one_line);
  kcp_test_add ("/output/binary", test_binary);
  kcp_test_add ("/output/log", test_log);
  kcp_test_add ("/output/log/level", test_level);
  kcp_test_add ("/output/log/threads", test_log_threads);
  kcp_test_add ("/output/log/flood", test_log_flood);
  kcp_test_add ("/output/log/dropped", test_dropped_in_log);
  kcp_test_add ("/output/log/not-fatal", test_not_fatal);
  kcp_test_add ("/output/log/not-fatal/subprocess/inner", test_not_fatal_inner);
  kcp_test_add ("/output/log/fatal-for-child", test_fatal_for_child);
  return kcp_test_run ();
}
