/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "kcp-test.h"

#include <signal.h>
#include <string.h>
#include <sys/wait.h>

/* Children that end by themselves, or by a stranger's hand, while calls are open: what the callers
 * get, what the report says, and in which order. */

typedef struct
{
  KcpActor *actor;
  guint exits;
  guint done_before;       /* calls that were done when "exited" came */
  KcpTestCall *calls[4];
  KcpExitReport *report;
} Watch;

static void
on_exited (KcpActor      *actor,
           KcpExitReport *report,
           Watch         *watch)
{
  watch->exits++;
  g_clear_pointer (&watch->report, kcp_exit_report_unref);
  watch->report = kcp_exit_report_ref (report);
  g_assert_cmpint (kcp_actor_get_state (actor), ==, KCP_ACTOR_EXITED);
  g_assert_true (kcp_actor_get_exit_report (actor) == report);
  for (gsize i = 0; i < G_N_ELEMENTS (watch->calls); i++)
    if (watch->calls[i] && watch->calls[i]->done)
      watch->done_before++;
}

/* Three calls that would never be answered, and one that ends the child. */
static void
begin (Watch      *watch,
       const char *path,
       const char *body)
{
  memset (watch, 0, sizeof *watch);
  watch->actor = kcp_test_misbehave (NULL, NULL);
  g_signal_connect (watch->actor, "exited", G_CALLBACK (on_exited), watch);
  for (gsize i = 0; i < 3; i++)
    watch->calls[i] = kcp_test_call (watch->actor, "hold", NULL, NULL);
  if (path)
    watch->calls[3] = kcp_test_call (watch->actor, path, body, NULL);
}

static void
await (Watch *watch)
{
  g_autoptr (KcpExitReport) report = kcp_test_await_exit (watch->actor);

  kcp_test_wait_flag ((gboolean *) &watch->exits, "the signal");
}

static void
finish (Watch *watch)
{
  /* A stop that comes late is as good as any. */
  g_autoptr (KcpExitReport) report = kcp_test_stop (watch->actor);
  g_autoptr (GError) error = NULL;
  g_autofree char *answer = kcp_test_ask (watch->actor, "echo", "1", &error);

  g_assert_true (report == watch->report);
  kcp_test_assert_error (error, KCP_ERROR, KCP_ERROR_NOT_RUNNING, kcp_exit_report_get_summary (report));
  g_assert_cmpuint (watch->exits, ==, 1);
  for (gsize i = 0; i < G_N_ELEMENTS (watch->calls); i++)
    if (watch->calls[i])
      {
        g_assert_cmpuint (watch->calls[i]->completions, ==, 1);
        kcp_test_call_free (watch->calls[i]);
      }
  g_clear_pointer (&watch->report, kcp_exit_report_unref);
  g_object_unref (watch->actor);
}

/* ---- ways to end ---- */

typedef struct
{
  const char *how;
  int signals[2];          /* any of them; 0: none */
  int code;
  KcpExitReason reason;
  KcpError error;
  const char *tail;
} Ending;

static const Ending endings[] = {
  { "segv", { SIGSEGV }, -1, KCP_EXIT_CRASHED, KCP_ERROR_CHILD_CRASHED, NULL },
  { "abort", { SIGABRT }, -1, KCP_EXIT_CRASHED, KCP_ERROR_CHILD_CRASHED, NULL },
  /* GLib ends a program under a debugger with SIGTRAP. */
  { "error", { SIGABRT, SIGTRAP }, -1, KCP_EXIT_CRASHED, KCP_ERROR_CHILD_CRASHED, "the last words: ü%n%s" },
  { "ill", { SIGILL }, -1, KCP_EXIT_CRASHED, KCP_ERROR_CHILD_CRASHED, NULL },
  { "fpe", { SIGFPE }, -1, KCP_EXIT_CRASHED, KCP_ERROR_CHILD_CRASHED, NULL },
  { "bus", { SIGBUS }, -1, KCP_EXIT_CRASHED, KCP_ERROR_CHILD_CRASHED, NULL },
  { "stack", { SIGSEGV }, -1, KCP_EXIT_CRASHED, KCP_ERROR_CHILD_CRASHED, NULL },
  { "kill", { SIGKILL }, -1, KCP_EXIT_CRASHED, KCP_ERROR_CHILD_CRASHED, NULL },
  { "term", { SIGTERM }, -1, KCP_EXIT_CRASHED, KCP_ERROR_CHILD_CRASHED, NULL },
  { "exit", { 0 }, 3, KCP_EXIT_EXITED, KCP_ERROR_CHILD_EXITED, NULL },
  { "_exit", { 0 }, 0, KCP_EXIT_EXITED, KCP_ERROR_CHILD_EXITED, NULL },
};

static void
check_report (KcpExitReport *report,
              const Ending  *ending)
{
  int number = kcp_exit_report_get_signal (report);
  g_autoptr (JsonNode) json = kcp_exit_report_to_json (report);
  JsonObject *object = json_node_get_object (json);

  g_test_message ("%s", kcp_exit_report_get_summary (report));
  g_assert_true (number == ending->signals[0] || (ending->signals[1] && number == ending->signals[1]));
  g_assert_cmpint (kcp_exit_report_get_exit_code (report), ==, ending->code);
  g_assert_cmpint (kcp_exit_report_get_reason (report), ==, ending->reason);
  g_assert_cmpint (kcp_exit_report_get_phase (report), ==, KCP_PHASE_READY);
  g_assert_cmpuint (kcp_exit_report_get_calls_in_flight (report), ==, 4);
  g_assert_false (kcp_exit_report_get_core_dumped (report));
  g_assert_cmpint (kcp_exit_report_get_user_time (report) + kcp_exit_report_get_system_time (report), >, 0);
  g_assert_cmpint (kcp_exit_report_get_peak_memory (report), >, 100 * 1024);
  if (ending->tail)
    kcp_test_assert_part (kcp_exit_report_get_stderr_tail (report), ending->tail);

  if (number)
    {
      g_autofree char *name = g_strdup_printf ("SIG%s", sigabbrev_np (number));

      g_assert_cmpstr (kcp_exit_report_get_signal_name (report), ==, name);
      g_assert_cmpstr (json_object_get_string_member (object, "signal"), ==, name);
      kcp_test_assert_part (kcp_exit_report_get_summary (report), name);
    }
  else
    {
      g_assert_null (kcp_exit_report_get_signal_name (report));
      g_assert_cmpint (json_object_get_int_member (object, "exit_code"), ==, ending->code);
    }
  g_assert_cmpstr (json_object_get_string_member (object, "phase"), ==, "ready");
  g_assert_cmpint (json_object_get_int_member (object, "calls_in_flight"), ==, 4);
}

static void
test_ending (gconstpointer data)
{
  const Ending *ending = data;
  g_autofree char *body = g_strdup_printf ("\"%s\"", ending->how);
  Watch watch;

  begin (&watch, "end", body);
  await (&watch);

  /* All of them failed, with the cause, each by its own name, and before "exited". */
  g_assert_cmpuint (watch.done_before, ==, 4);
  check_report (watch.report, ending);
  for (gsize i = 0; i < G_N_ELEMENTS (watch.calls); i++)
    {
      kcp_test_assert_error (watch.calls[i]->error, KCP_ERROR, (int) ending->error,
                             kcp_exit_report_get_summary (watch.report));
      kcp_test_assert_part (watch.calls[i]->error->message, i < 3 ? "“hold”" : "“end”");
    }
  finish (&watch);
}

/* ---- what was said before ---- */

static void
test_answer_counts (void)
{
  static const char *const ways[] = { "\"segv\"", "\"kill\"", "\"_exit\"", "\"exit\"" };

  for (gsize i = 0; i < G_N_ELEMENTS (ways); i++)
    {
      Watch watch;

      begin (&watch, "answer-then-end", ways[i]);
      await (&watch);
      g_assert_no_error (watch.calls[3]->error);
      g_assert_cmpstr (json_node_get_string (kcp_message_get_body (watch.calls[3]->answer, NULL)), ==,
                       "answered");
      g_assert_nonnull (watch.calls[0]->error);
      g_assert_cmpuint (kcp_exit_report_get_calls_in_flight (watch.report), ==, 3);
      finish (&watch);
    }
}

static gboolean
process_is_dead (gpointer pid)
{
  siginfo_t info = { 0 };

  return waitid (P_PID, (id_t) GPOINTER_TO_INT (pid), &info, WEXITED | WNOHANG | WNOWAIT) == 0 &&
         info.si_pid != 0;
}

/* The host is busy from the question to the child's death, and finds both at once. */
static void
test_answer_counts_when_busy (void)
{
  Watch watch;

  begin (&watch, "answer-then-end", "\"segv\"");
  while (!process_is_dead (GINT_TO_POINTER (kcp_actor_get_pid (watch.actor))))
    g_thread_yield ();
  await (&watch);
  g_assert_no_error (watch.calls[3]->error);
  finish (&watch);
}

/* The log lines before a crash are what explains it. */
static void
test_log_before_crash (void)
{
  g_autoptr (KcpLauncher) launcher = kcp_test_launcher ("misbehave");
  g_autoptr (GError) error = NULL;
  KcpActor *actor;

  kcp_launcher_unsetenv (launcher, "G_DEBUG");
  actor = kcp_test_spawn (launcher, NULL, &error);
  g_assert_no_error (error);
  {
    g_autoptr (KcpTestCall) log = kcp_test_call (actor, "log", "\"before the end\"", NULL);
    g_autoptr (KcpTestCall) end = kcp_test_call (actor, "end", "\"segv\"", NULL);

    kcp_test_call_wait (end);
    g_assert_true (log->done);
    g_assert_no_error (log->error);
  }
  g_assert_nonnull (kcp_test_find_log ("message before the end"));
  g_object_unref (actor);
}

static void
test_twice_and_never (void)
{
  KcpActor *actor = kcp_test_misbehave (NULL, NULL);
  g_autoptr (GError) error = NULL;
  g_autofree char *first = kcp_test_ask (actor, "twice", NULL, &error);
  g_autofree char *none = NULL;

  g_assert_no_error (error);
  g_assert_cmpstr (first, ==, "1");
  none = kcp_test_ask (actor, "drop", NULL, &error);
  g_assert_null (none);
  kcp_test_assert_error (error, KCP_ERROR, KCP_ERROR_UNANSWERED, "drop");
  kcp_test_assert_serves (actor);
  kcp_test_end (actor);
}

/* ---- killed from outside ---- */

static void
test_stranger (void)
{
  static const int numbers[] = { SIGKILL, SIGTERM, SIGSEGV, SIGUSR1, SIGHUP };

  for (gsize i = 0; i < G_N_ELEMENTS (numbers); i++)
    {
      Watch watch;

      begin (&watch, NULL, NULL);
      kcp_test_assert_serves (watch.actor);
      g_assert_cmpint (kill (kcp_actor_get_pid (watch.actor), numbers[i]), ==, 0);
      await (&watch);
      g_assert_cmpint (kcp_exit_report_get_signal (watch.report), ==, numbers[i]);
      g_assert_cmpint (kcp_exit_report_get_reason (watch.report), ==, KCP_EXIT_CRASHED);
      g_assert_cmpuint (watch.done_before, ==, 3);
      kcp_test_assert_error (watch.calls[0]->error, KCP_ERROR, KCP_ERROR_CHILD_CRASHED, "3 calls in flight");
      finish (&watch);
    }
}

static void
test_kill (void)
{
  Watch watch;

  begin (&watch, NULL, NULL);
  kcp_actor_kill (watch.actor);
  kcp_actor_kill (watch.actor);
  await (&watch);
  g_assert_cmpint (kcp_exit_report_get_reason (watch.report), ==, KCP_EXIT_KILLED);
  g_assert_cmpint (kcp_exit_report_get_signal (watch.report), ==, SIGKILL);
  kcp_test_assert_part (kcp_exit_report_get_summary (watch.report), "SIGKILL");
  g_assert_cmpuint (watch.done_before, ==, 3);
  kcp_test_assert_error (watch.calls[0]->error, KCP_ERROR, KCP_ERROR_STOPPING, "“hold”");
  finish (&watch);
}

/* Its sockets are gone, it is not: it is ended. */
static void
test_closes_all (void)
{
  static const char *const from[] = { "0", "3" };

  for (gsize i = 0; i < G_N_ELEMENTS (from); i++)
    {
      Watch watch;

      begin (&watch, "close-all", from[i]);
      await (&watch);
      g_assert_cmpuint (watch.done_before, ==, 4);
      g_assert_error (watch.calls[3]->error, KCP_ERROR, watch.calls[0]->error->code);
      finish (&watch);
    }
}

/* ---- in the middle of a callback ---- */

static void
answer_late (KcpInvocation *invocation,
             gpointer       data)
{
  KcpInvocation **kept = data;

  *kept = kcp_invocation_ref (invocation);
}

static gboolean
is_kept (gpointer kept)
{
  return *(gpointer *) kept != NULL;
}

/* It asks and dies; when the answer is there, nobody is. */
static void
test_callback_outlives (void)
{
  g_autoptr (KcpCallbackRouter) router = kcp_callback_router_new ();
  g_autoptr (KcpLauncher) launcher = kcp_test_launcher ("misbehave");
  g_autoptr (GError) error = NULL;
  g_autoptr (KcpTestCall) call = NULL;
  KcpInvocation *kept = NULL;
  KcpActor *actor;

  g_assert_true (kcp_callback_router_add_func (router, "later", answer_late, &kept, NULL, NULL));
  kcp_launcher_set_callback_handler (launcher, KCP_CALLBACK_HANDLER (router));
  actor = kcp_test_spawn (launcher, NULL, &error);
  g_assert_no_error (error);

  call = kcp_test_call (actor, "call-host-then-end", "\"segv\"", NULL);
  kcp_test_call_wait (call);
  kcp_test_assert_error (call->error, KCP_ERROR, KCP_ERROR_CHILD_CRASHED, "SIGSEGV");
  kcp_test_wait (is_kept, &kept, "the callback");
  g_assert_false (kcp_invocation_is_open (kept));
  kcp_invocation_reply (kept, NULL);
  kcp_invocation_unref (kept);
  g_object_unref (actor);
}

/* ---- many ---- */

/* Enough to see what is lost by the child; the frame sees what is left of them. */
static void
test_again_and_again (void)
{
  int rounds = g_test_thorough () ? 1000 : 20;
  KcpActor *bystander = kcp_test_misbehave (NULL, NULL);

  for (int i = 0; i < rounds; i++)
    {
      Watch watch;

      begin (&watch, "end", i % 2 ? "\"segv\"" : "\"_exit\"");
      await (&watch);
      finish (&watch);
      kcp_test_assert_serves (bystander);
    }
  kcp_test_end (bystander);
}

int
main (int    argc,
      char **argv)
{
  kcp_test_init (&argc, &argv);
  for (gsize i = 0; i < G_N_ELEMENTS (endings); i++)
    {
      g_autofree char *path = g_strdup_printf ("/exit/by/%s", endings[i].how);

      kcp_test_add_data (path, &endings[i], test_ending);
    }
  kcp_test_add ("/exit/answer-counts", test_answer_counts);
  kcp_test_add ("/exit/answer-counts/busy", test_answer_counts_when_busy);
  kcp_test_add ("/exit/log-before-crash", test_log_before_crash);
  kcp_test_add ("/exit/twice-and-never", test_twice_and_never);
  kcp_test_add ("/exit/stranger", test_stranger);
  kcp_test_add ("/exit/kill", test_kill);
  kcp_test_add ("/exit/closes-all", test_closes_all);
  kcp_test_add ("/exit/callback-outlives", test_callback_outlives);
  kcp_test_add ("/exit/again-and-again", test_again_and_again);
  return kcp_test_run ();
}
