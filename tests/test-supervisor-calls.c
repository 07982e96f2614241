/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "supervised.h"

#include <signal.h>
#include <string.h>
#include <sys/wait.h>

/* Calls across the lives of a child: what waits, what fails, what is sent once more. */

#define LONG_MS (60 * 60 * 1000)
#define COUNT 10

/* WAITING, and for as long as the test does nothing about it. */
static void
make_wait (Supervised *self)
{
  kcp_supervisor_set_backoff (self->supervisor, LONG_MS, LONG_MS, LONG_MS);
  supervised_start (self);
  supervised_kill_child (self);
  supervised_wait_for (self, KCP_SUPERVISOR_WAITING);
}

static void
ask_idempotent (Supervised    *self,
                const char    *path,
                const char    *text,
                GAsyncResult **slot)
{
  g_autoptr (KcpMessage) message = new_message (path, text);

  kcp_message_set_idempotent (message, TRUE);
  kcp_supervisor_ask_async (self->supervisor, message, NULL, store_result, slot);
}

/* ---- what waits ---- */

/* Numbers are appended in the order of the answers. */
static void
append_answer (GObject      *supervisor,
               GAsyncResult *result,
               gpointer      text)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (KcpMessage) answer = kcp_callable_ask_finish (KCP_CALLABLE (supervisor), result, &error);

  g_assert_no_error (error);
  g_string_append (text, json_node_get_string (kcp_message_get_body (answer, NULL)));
}

static void
ask_digits (Supervised *self,
            GString    *answers)
{
  for (guint i = 0; i < COUNT; i++)
    {
      const char digit[] = { (char) ('0' + i), 0 };
      g_autoptr (KcpMessage) message = new_message ("echo", digit);

      kcp_callable_ask_async (KCP_CALLABLE (self->supervisor), message, NULL, append_answer, answers);
    }
}

static void
append_log (GString *log)
{
  g_string_append (log, "configure first\nstart\n");
  for (guint i = 0; i < COUNT; i++)
    g_string_append_printf (log, "echo %u\n", i);
}

/* Before the first child, and before the next: in order, and after its configuration and start. */
static void
test_order (void)
{
  g_autoptr (Supervised) self = supervised_new (KCP_RESTART_ON_FAILURE);
  g_autoptr (GString) answers = g_string_new (NULL);
  g_autoptr (GString) log = g_string_new (NULL);

  kcp_supervisor_start_async (self->supervisor, NULL, NULL, NULL);
  ask_digits (self, answers);
  g_assert_cmpuint (kcp_supervisor_get_waiting (self->supervisor), ==, COUNT);
  WAIT_UNTIL (answers->len == COUNT);

  supervised_kill_child (self);
  supervised_wait_for (self, KCP_SUPERVISOR_WAITING);
  ask_digits (self, answers);
  WAIT_UNTIL (answers->len == 2 * COUNT);

  g_assert_cmpstr (answers->str, ==, "01234567890123456789");
  append_log (log);
  append_log (log);
  supervised_expect_log (self, log->str);
}

/* Who asks when he hears of the new child comes after those who have waited. */
static void
ask_last (KcpSupervisor *supervisor,
          GParamSpec    *pspec,
          GString       *answers)
{
  g_autoptr (KcpMessage) message = new_message ("echo", "x");

  if (kcp_supervisor_get_state (supervisor) == KCP_SUPERVISOR_RUNNING)
    kcp_supervisor_ask_async (supervisor, message, NULL, append_answer, answers);
}

static void
test_order_in_signal (void)
{
  g_autoptr (Supervised) self = supervised_new (KCP_RESTART_ON_FAILURE);
  g_autoptr (GString) answers = g_string_new (NULL);

  g_signal_connect (self->supervisor, "notify::state", G_CALLBACK (ask_last), answers);
  kcp_supervisor_start_async (self->supervisor, NULL, NULL, NULL);
  ask_digits (self, answers);
  WAIT_UNTIL (answers->len == COUNT + 1);
  g_assert_cmpstr (answers->str, ==, "0123456789x");
}

static void
test_tell (void)
{
  g_autoptr (Supervised) self = supervised_new (KCP_RESTART_ON_FAILURE);
  g_autoptr (KcpMessage) message = new_message ("echo", "told");
  g_autoptr (GAsyncResult) first = NULL;
  g_autoptr (GAsyncResult) last = NULL;
  g_autoptr (GError) error = NULL;

  g_assert_false (kcp_supervisor_tell (self->supervisor, message, &error));
  g_assert_error (error, KCP_ERROR, KCP_ERROR_NOT_RUNNING);
  g_clear_error (&error);

  kcp_supervisor_start_async (self->supervisor, NULL, NULL, NULL);
  supervised_ask (self, "echo", "first", &first);
  g_assert_true (kcp_callable_tell (KCP_CALLABLE (self->supervisor), message, &error));
  supervised_ask (self, "echo", "last", &last);
  supervised_expect (self, &last, "last");
  g_assert_true (kcp_supervisor_tell (self->supervisor, message, &error));
  g_clear_object (&first);
  supervised_ask (self, "echo", "first", &first);
  supervised_expect (self, &first, "first");
  supervised_expect_log (self, "configure first\nstart\necho first\necho told\necho last\n"
                               "echo told\necho first\n");
}

static void
test_busy (void)
{
  g_autoptr (Supervised) self = supervised_new (KCP_RESTART_ON_FAILURE);
  g_autoptr (KcpMessage) patient = new_message ("echo", "patient");
  GAsyncResult *results[4] = { NULL };

  kcp_launcher_set_mailbox (self->launcher, 2, 1024);
  make_wait (self);
  supervised_ask (self, "echo", "a", &results[0]);
  supervised_ask (self, "echo", "b", &results[1]);
  supervised_ask (self, "echo", "c", &results[2]);
  supervised_expect_error (self, &results[2], KCP_ERROR, KCP_ERROR_BUSY, "2 calls");
  kcp_message_set_wait_for_room (patient, TRUE);
  kcp_supervisor_ask_async (self->supervisor, patient, NULL, store_result, &results[3]);
  g_assert_cmpuint (kcp_supervisor_get_waiting (self->supervisor), ==, 3);

  /* The link has no more room than that either, and takes what was admitted. */
  kcp_launcher_set_max_in_flight (self->launcher, 1);
  supervised_start (self);
  supervised_expect (self, &results[0], "a");
  supervised_expect (self, &results[1], "b");
  supervised_expect (self, &results[3], "patient");
}

static void
test_busy_bytes (void)
{
  g_autoptr (Supervised) self = supervised_new (KCP_RESTART_ON_FAILURE);
  g_autofree char *big = g_strnfill (800, 'x');
  GAsyncResult *results[2] = { NULL };

  kcp_launcher_set_mailbox (self->launcher, 10, 1024);
  make_wait (self);
  supervised_ask (self, "echo", big, &results[0]);
  supervised_ask (self, "echo", big, &results[1]);
  supervised_expect_error (self, &results[1], KCP_ERROR, KCP_ERROR_BUSY, "1 calls");
  supervised_start (self);
  supervised_expect (self, &results[0], big);
}

static void
test_deadline (void)
{
  g_autoptr (Supervised) self = supervised_new (KCP_RESTART_ON_FAILURE);
  g_autoptr (KcpMessage) message = new_message ("echo", "late");
  g_autoptr (GAsyncResult) late = NULL;
  g_autoptr (GAsyncResult) by_default = NULL;

  kcp_launcher_set_call_timeout (self->launcher, 20);
  make_wait (self);
  kcp_message_set_timeout (message, 1);
  supervised_ask (self, "echo", "a", &by_default);
  kcp_supervisor_ask_async (self->supervisor, message, NULL, store_result, &late);
  supervised_expect_error (self, &late, KCP_ERROR, KCP_ERROR_TIMED_OUT, "deadline");
  supervised_expect_error (self, &by_default, KCP_ERROR, KCP_ERROR_TIMED_OUT, "deadline");
  g_assert_cmpuint (kcp_supervisor_get_waiting (self->supervisor), ==, 0);
}

static gpointer
cancel_thread (gpointer cancellable)
{
  g_cancellable_cancel (cancellable);
  return NULL;
}

static void
test_cancel (void)
{
  g_autoptr (Supervised) self = supervised_new (KCP_RESTART_ON_FAILURE);
  g_autoptr (KcpMessage) message = new_message ("keep", "a");
  GAsyncResult *results[4] = { NULL };
  GCancellable *cancellables[3] = { NULL };
  g_autoptr (GAsyncResult) other = NULL;

  make_wait (self);
  for (guint i = 0; i < 3; i++)
    {
      cancellables[i] = g_cancellable_new ();
      kcp_supervisor_ask_async (self->supervisor, message, cancellables[i], store_result, &results[i]);
    }
  supervised_ask (self, "echo", "b", &other);

  /* While it waits, from here and from elsewhere. */
  g_cancellable_cancel (cancellables[0]);
  g_assert_null (results[0]);
  g_thread_join (g_thread_new (NULL, cancel_thread, cancellables[1]));
  supervised_expect_error (self, &results[0], G_IO_ERROR, G_IO_ERROR_CANCELLED, "“keep”");
  supervised_expect_error (self, &results[1], G_IO_ERROR, G_IO_ERROR_CANCELLED, "“keep”");
  g_assert_cmpuint (kcp_supervisor_get_waiting (self->supervisor), ==, 2);

  /* When it was sent. */
  supervised_start (self);
  supervised_expect (self, &other, "b");
  g_assert_null (results[2]);
  g_thread_join (g_thread_new (NULL, cancel_thread, cancellables[2]));
  supervised_expect_error (self, &results[2], G_IO_ERROR, G_IO_ERROR_CANCELLED, "“keep”");
  supervised_expect_log (self, "configure first\nstart\nconfigure first\nstart\nkeep a\necho b\n");

  /* Before it was made. */
  kcp_supervisor_ask_async (self->supervisor, message, cancellables[0], store_result, &results[3]);
  supervised_expect_error (self, &results[3], G_IO_ERROR, G_IO_ERROR_CANCELLED, "“keep”");
  for (guint i = 0; i < 3; i++)
    g_object_unref (cancellables[i]);
}

static void
test_refused (void)
{
  g_autoptr (Supervised) self = supervised_new (KCP_RESTART_NEVER);
  g_autoptr (GAsyncResult) result = NULL;

  supervised_ask (self, "echo", "a", &result);
  supervised_expect_error (self, &result, KCP_ERROR, KCP_ERROR_NOT_RUNNING, "none was started");

  supervised_start (self);
  supervised_kill_child (self);
  supervised_wait_for (self, KCP_SUPERVISOR_FAILED);
  supervised_ask (self, "echo", "a", &result);
  supervised_expect_error (self, &result, KCP_ERROR, KCP_ERROR_NOT_RUNNING, "crashed with SIGKILL");

  supervised_start (self);
  supervised_stop (self);
  supervised_ask (self, "echo", "a", &result);
  supervised_expect_error (self, &result, KCP_ERROR, KCP_ERROR_NOT_RUNNING, "exited with code 0");

  /* A message that could never be sent does not wait for a child. */
  kcp_supervisor_start_async (self->supervisor, NULL, NULL, NULL);
  supervised_ask (self, "", NULL, &result);
  supervised_expect_error (self, &result, KCP_ERROR, KCP_ERROR_INVALID_MESSAGE, "path");
}

/* ---- what was in flight ---- */

static void
test_in_flight (void)
{
  g_autoptr (Supervised) self = supervised_new (KCP_RESTART_ON_FAILURE);
  g_autoptr (GAsyncResult) kept = NULL;
  g_autoptr (GAsyncResult) crashed = NULL;
  g_autoptr (GAsyncResult) again = NULL;

  supervised_start (self);
  supervised_ask (self, "keep", "a", &kept);
  ask_idempotent (self, "crash-once", self->once_file, &again);
  supervised_expect (self, &again, "survived");
  supervised_expect_error (self, &kept, KCP_ERROR, KCP_ERROR_CHILD_CRASHED, "SIGKILL");
  supervised_expect_log (self, "configure first\nstart\nkeep a\ncrash-once\n"
                               "configure first\nstart\ncrash-once\n");

  /* Once more, and not once more than that. */
  supervised_ask (self, "keep", "b", &kept);
  ask_idempotent (self, "crash", "c", &crashed);
  supervised_expect_error (self, &crashed, KCP_ERROR, KCP_ERROR_CHILD_CRASHED, "“crash”");
  supervised_expect_error (self, &kept, KCP_ERROR, KCP_ERROR_CHILD_CRASHED, "“keep”");
  WAIT_UNTIL (self->restarted == 3);
  supervised_expect_log (self, "configure first\nstart\nkeep a\ncrash-once\n"
                               "configure first\nstart\ncrash-once\nkeep b\ncrash c\n"
                               "configure first\nstart\ncrash c\n"
                               "configure first\nstart\n");
}

/* It waits for what the policy says, and fails with its own crash if that is nothing. */
static void
test_in_flight_never (void)
{
  g_autoptr (Supervised) self = supervised_new (KCP_RESTART_NEVER);
  g_autoptr (GAsyncResult) crashed = NULL;

  supervised_start (self);
  ask_idempotent (self, "crash", "a", &crashed);
  supervised_expect_error (self, &crashed, KCP_ERROR, KCP_ERROR_CHILD_CRASHED,
                           "call “crash”: child “fragile”");
  g_assert_cmpint (kcp_supervisor_get_state (self->supervisor), ==, KCP_SUPERVISOR_FAILED);
  supervised_expect_log (self, "configure first\nstart\ncrash a\n");
}

/* Calls that had not been sent are sent to the next child, in order, and before those made since. */
static void
test_not_sent (void)
{
  g_autoptr (Supervised) self = supervised_new (KCP_RESTART_ON_FAILURE);
  g_autoptr (GAsyncResult) kept = NULL;
  g_autoptr (GAsyncResult) again = NULL;
  g_autoptr (GString) answers = g_string_new (NULL);

  kcp_launcher_set_max_in_flight (self->launcher, 2);
  supervised_start (self);
  ask_idempotent (self, "crash-once", self->once_file, &again);
  supervised_ask (self, "keep", "a", &kept);
  ask_digits (self, answers);
  supervised_expect_error (self, &kept, KCP_ERROR, KCP_ERROR_CHILD_CRASHED, "SIGKILL");
  g_assert_cmpuint (answers->len, ==, 0);
  ask_digits (self, answers);
  WAIT_UNTIL (answers->len == 2 * COUNT);
  g_assert_cmpstr (answers->str, ==, "01234567890123456789");
  supervised_expect (self, &again, "survived");
}

/* A cancellation travels by the inbox, and so does what is asked behind it: the child dies before
 * either has come to the link. */
static void
test_posted (void)
{
  g_autoptr (Supervised) self = supervised_new (KCP_RESTART_ON_FAILURE);
  g_autoptr (GCancellable) cancellable = g_cancellable_new ();
  g_autoptr (GAsyncResult) kept = NULL;
  g_autoptr (KcpMessage) message = new_message ("keep", "a");
  g_autoptr (GString) answers = g_string_new (NULL);
  siginfo_t info;
  int pid;

  supervised_start (self);
  pid = kcp_actor_get_pid (kcp_supervisor_get_actor (self->supervisor));
  kcp_supervisor_ask_async (self->supervisor, message, cancellable, store_result, &kept);
  g_cancellable_cancel (cancellable);
  ask_digits (self, answers);
  g_assert_cmpint (kill (pid, SIGKILL), ==, 0);
  g_assert_cmpint (waitid (P_PID, (id_t) pid, &info, WEXITED | WNOWAIT), ==, 0);
  WAIT_UNTIL (answers->len == COUNT);

  g_assert_cmpstr (answers->str, ==, "0123456789");
  g_assert_nonnull (kept);
}

/* Whoever asks with a main context of his own is answered there, whatever hands the call goes through. */
static void
test_context (void)
{
  g_autoptr (Supervised) self = supervised_new (KCP_RESTART_ON_FAILURE);
  g_autoptr (GMainContext) context = g_main_context_new ();
  g_autoptr (GAsyncResult) here = NULL;
  g_autoptr (GAsyncResult) there = NULL;

  make_wait (self);
  g_main_context_push_thread_default (context);
  supervised_ask (self, "echo", "a", &there);
  g_main_context_pop_thread_default (context);
  supervised_ask (self, "echo", "b", &here);
  supervised_start (self);
  supervised_expect (self, &here, "b");

  g_assert_null (there);
  while (there == NULL)
    g_main_context_iteration (context, TRUE);
  supervised_expect (self, &there, "a");
}

/* Those made on the actor are its own. */
static void
test_actor (void)
{
  g_autoptr (Supervised) self = supervised_new (KCP_RESTART_ON_FAILURE);
  g_autoptr (KcpActor) actor = NULL;
  g_autoptr (KcpMessage) message = NULL;
  g_autoptr (KcpMessage) answer = NULL;
  g_autoptr (GAsyncResult) result = NULL;
  g_autoptr (GError) error = NULL;

  supervised_start (self);
  message = new_message ("crash-once", self->once_file);
  kcp_message_set_idempotent (message, TRUE);
  actor = g_object_ref (kcp_supervisor_get_actor (self->supervisor));
  kcp_actor_ask_async (actor, message, NULL, store_result, &result);
  WAIT_UNTIL (result);
  answer = kcp_actor_ask_finish (actor, result, &error);
  g_assert_error (error, KCP_ERROR, KCP_ERROR_CHILD_CRASHED);
  g_clear_error (&error);

  /* Nor is one that somebody blocks for. */
  WAIT_UNTIL (self->restarted == 1);
  g_assert_null (kcp_actor_ask (actor, message, NULL, &error));
  g_assert_error (error, KCP_ERROR, KCP_ERROR_NOT_RUNNING);
  g_clear_error (&error);
  g_set_object (&actor, kcp_supervisor_get_actor (self->supervisor));
  g_clear_pointer (&message, kcp_message_unref);
  message = new_message ("crash", NULL);
  kcp_message_set_idempotent (message, TRUE);
  g_assert_null (kcp_actor_ask (actor, message, NULL, &error));
  g_assert_nonnull (error);
  WAIT_UNTIL (self->restarted == 2);
  supervised_expect_log (self, "configure first\nstart\ncrash-once\nconfigure first\nstart\ncrash\n"
                               "configure first\nstart\n");
}

/* Under steady loss each call ends once, and each that may be made twice ends well. */
typedef struct
{
  guint open, answered, failed;
} Tally;

static void
count_end (GObject      *supervisor,
           GAsyncResult *result,
           gpointer      data)
{
  Tally *tally = data;
  g_autoptr (GError) error = NULL;
  g_autoptr (KcpMessage) answer = kcp_supervisor_ask_finish (KCP_SUPERVISOR (supervisor), result, &error);

  g_assert_cmpuint (tally->open, >, 0);
  tally->open--;
  if (answer)
    tally->answered++;
  else
    {
      g_assert_error (error, KCP_ERROR, KCP_ERROR_CHILD_CRASHED);
      tally->failed++;
    }
}

static void
test_each_once (void)
{
  g_autoptr (Supervised) self = supervised_new (KCP_RESTART_ON_FAILURE);
  Tally plain = { 0 }, idempotent = { 0 };

  kcp_launcher_set_max_in_flight (self->launcher, 16);
  supervised_start (self);
  for (guint round = 0; round < 10; round++)
    {
      for (guint i = 0; i < 100; i++)
        {
          g_autoptr (KcpMessage) message = new_message ("echo", "a");
          Tally *tally = i % 2 == 0 ? &idempotent : &plain;

          kcp_message_set_idempotent (message, i % 2 == 0);
          kcp_supervisor_ask_async (self->supervisor, message, NULL, count_end, tally);
          tally->open++;
        }
      supervised_kill_child (self);
      WAIT_UNTIL (plain.open == 0 && idempotent.open == 0);
      WAIT_UNTIL (self->restarted == round + 1);
    }

  g_assert_cmpuint (plain.answered + plain.failed, ==, 500);
  g_assert_cmpuint (idempotent.answered, ==, 500);
  g_assert_cmpuint (plain.failed, <=, 10 * 16);
}

/* Calls hold a reference: they are answered even if nobody else has one. */
static void
test_dropped_while_asking (void)
{
  g_autoptr (Supervised) self = supervised_new (KCP_RESTART_ON_FAILURE);
  g_autoptr (GString) answers = g_string_new (NULL);
  gpointer supervisor = self->supervisor;

  supervised_start (self);
  supervised_kill_child (self);
  supervised_wait_for (self, KCP_SUPERVISOR_WAITING);
  ask_digits (self, answers);
  g_object_add_weak_pointer (supervisor, &supervisor);
  g_signal_handlers_disconnect_by_data (supervisor, self);
  g_clear_object (&self->supervisor);
  WAIT_UNTIL (supervisor == NULL);
  g_assert_cmpstr (answers->str, ==, "0123456789");
}

int
main (int    argc,
      char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/supervisor-calls/order", test_order);
  g_test_add_func ("/supervisor-calls/order-in-signal", test_order_in_signal);
  g_test_add_func ("/supervisor-calls/tell", test_tell);
  g_test_add_func ("/supervisor-calls/busy", test_busy);
  g_test_add_func ("/supervisor-calls/busy-bytes", test_busy_bytes);
  g_test_add_func ("/supervisor-calls/deadline", test_deadline);
  g_test_add_func ("/supervisor-calls/cancel", test_cancel);
  g_test_add_func ("/supervisor-calls/refused", test_refused);
  g_test_add_func ("/supervisor-calls/in-flight", test_in_flight);
  g_test_add_func ("/supervisor-calls/in-flight-never", test_in_flight_never);
  g_test_add_func ("/supervisor-calls/not-sent", test_not_sent);
  g_test_add_func ("/supervisor-calls/posted", test_posted);
  g_test_add_func ("/supervisor-calls/context", test_context);
  g_test_add_func ("/supervisor-calls/actor", test_actor);
  g_test_add_func ("/supervisor-calls/each-once", test_each_once);
  g_test_add_func ("/supervisor-calls/dropped-while-asking", test_dropped_while_asking);
  return g_test_run ();
}
