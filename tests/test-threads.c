/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "calls-test.h"

#include <stdio.h>

/* One child, many threads of the host: each is answered in its own context and in its own order,
 * whoever runs the context of the actor, and whether anyone does. */

#define THREADS 8
#define CALLS 200

/* ---- threads ---- */

/* One thread of a test; not all members matter to each. */
typedef struct
{
  KcpActor *actor;
  GThread *thread;
  guint number;
  int *running;              /* atomic: threads that are not done */
  GMainContext *context;
  GCancellable *cancellable;
  guint answers;
  gboolean done;
  char *text;
  GError *error;
} Worker;

static gpointer
work (gpointer data)
{
  Worker *worker = data;
  void (*func) (Worker *) = (void (*) (Worker *)) g_object_get_data (G_OBJECT (worker->actor), "work");

  func (worker);
  g_atomic_int_add (worker->running, -1);
  g_main_context_wakeup (NULL);
  return NULL;
}

static void
start (Worker   *workers,
       guint     count,
       KcpActor *actor,
       int      *running,
       void    (*func) (Worker *))
{
  *running = (int) count;
  g_object_set_data (G_OBJECT (actor), "work", (gpointer) func);
  for (guint i = 0; i < count; i++)
    {
      workers[i].actor = actor;
      workers[i].number = i;
      workers[i].running = running;
      workers[i].thread = g_thread_new ("worker", work, &workers[i]);
    }
}

/* Nothing of this thread runs meanwhile. */
static void
join (Worker *workers,
      guint   count)
{
  for (guint i = 0; i < count; i++)
    {
      g_thread_join (workers[i].thread);
      g_assert_no_error (workers[i].error);
      g_free (workers[i].text);
    }
}

static gboolean
none_runs (gpointer running)
{
  return g_atomic_int_get ((int *) running) == 0;
}

/* ---- asking ---- */

static char *
ask_blocking (KcpActor      *actor,
              const char    *path,
              const char    *json,
              GCancellable  *cancellable,
              GError       **error)
{
  g_autoptr (KcpMessage) message = calls_message (path, json);
  g_autoptr (KcpMessage) answer = kcp_actor_ask (actor, message, cancellable, error);

  return answer ? calls_text (answer) : NULL;
}

static void
on_numbered (GObject      *source,
             GAsyncResult *result,
             gpointer      data)
{
  Worker *worker = data;
  g_autoptr (GError) error = NULL;
  g_autoptr (KcpMessage) answer = kcp_actor_ask_finish (KCP_ACTOR (source), result, &error);
  g_autofree char *expected = g_strdup_printf ("[%u,%u]", worker->number, worker->answers++);
  g_autofree char *text = NULL;

  g_assert_no_error (error);
  text = calls_text (answer);
  g_assert_cmpstr (text, ==, expected);
  /* Only this thread runs its context. */
  g_assert_true (g_thread_self () == worker->thread);
}

static void
ask_many (Worker *worker)
{
  g_autoptr (GMainContext) context = g_main_context_new ();

  worker->thread = g_thread_self ();
  g_main_context_push_thread_default (context);
  for (guint i = 0; i < CALLS; i++)
    {
      g_autofree char *json = g_strdup_printf ("[%u,%u]", worker->number, i);
      g_autoptr (KcpMessage) message = calls_message ("echo", json);

      kcp_actor_ask_async (worker->actor, message, NULL, on_numbered, worker);
    }
  while (worker->answers < CALLS)
    g_main_context_iteration (context, TRUE);
  g_main_context_pop_thread_default (context);
}

static void
test_contexts (void)
{
  KcpActor *actor = calls_spawn (NULL);
  Worker workers[THREADS] = { { NULL } };
  int running;

  start (workers, THREADS, actor, &running, ask_many);
  kcp_test_wait (none_runs, &running, "the threads");
  join (workers, THREADS);
  g_assert_cmpuint (kcp_actor_get_in_flight (actor), ==, 0);
  kcp_test_end (actor);
}

/* A thread without a context of its own is answered in the default one, which the main thread runs. */
static void
on_answer_in_main (GObject      *source,
                   GAsyncResult *result,
                   gpointer      data)
{
  Worker *worker = data;
  g_autoptr (KcpMessage) answer = kcp_actor_ask_finish (KCP_ACTOR (source), result, &worker->error);

  g_assert_true (g_thread_self () != worker->thread);
  worker->text = answer ? calls_text (answer) : NULL;
  worker->done = TRUE;
}

static void
ask_once (Worker *worker)
{
  g_autoptr (KcpMessage) message = calls_message ("echo", "1");

  worker->thread = g_thread_self ();
  kcp_actor_ask_async (worker->actor, message, NULL, on_answer_in_main, worker);
}

static void
test_default_context (void)
{
  KcpActor *actor = calls_spawn (NULL);
  Worker worker = { NULL };
  int running;

  start (&worker, 1, actor, &running, ask_once);
  kcp_test_wait_flag (&worker.done, "the answer");
  g_assert_cmpstr (worker.text, ==, "1");
  join (&worker, 1);
  kcp_test_end (actor);
}

static void
tell_many (Worker *worker)
{
  for (guint i = 0; i < CALLS; i++)
    {
      g_autofree char *json = g_strdup_printf ("{\"number\":%u}", worker->number * 1000 + i);
      g_autoptr (KcpMessage) message = calls_message ("note", json);

      kcp_actor_tell (worker->actor, message, &worker->error);
      g_assert_no_error (worker->error);
    }
}

/* What each thread has told comes in its order. */
static void
test_tell (void)
{
  KcpActor *actor = calls_spawn (NULL);
  Worker workers[4] = { { NULL } };
  guint next[4] = { 0 };
  g_autoptr (KcpMessage) nowhere = kcp_message_new ("", NULL);
  g_autoptr (GError) error = NULL;
  g_autofree char *seen = NULL;
  g_auto (GStrv) lines = NULL;
  int running;

  start (workers, 4, actor, &running, tell_many);
  kcp_test_wait (none_runs, &running, "the threads");
  join (workers, 4);

  /* Asked behind the last of them. */
  seen = calls_seen (actor);
  lines = g_strsplit (seen, "\n", -1);
  for (guint i = 0; lines[i]; i++)
    {
      guint number;

      if (sscanf (lines[i], "note %u", &number) == 1)
        g_assert_cmpuint (number % 1000, ==, next[number / 1000]++);
    }
  for (guint i = 0; i < 4; i++)
    g_assert_cmpuint (next[i], ==, CALLS);

  g_assert_false (kcp_actor_tell (actor, nowhere, &error));
  kcp_test_end (actor);
}

/* ---- blocking ---- */

static void
ask_many_blocking (Worker *worker)
{
  for (guint i = 0; i < CALLS / 4; i++)
    {
      g_autofree char *json = g_strdup_printf ("[%u,%u]", worker->number, i);
      g_autofree char *text = ask_blocking (worker->actor, i % 2 ? "echo" : "thread", json, NULL,
                                            &worker->error);

      g_assert_no_error (worker->error);
      g_assert_cmpstr (text, ==, json);
    }
}

static void
test_blocking_run (void)
{
  KcpActor *actor = calls_spawn (NULL);
  Worker workers[THREADS] = { { NULL } };
  int running;

  start (workers, THREADS, actor, &running, ask_many_blocking);
  kcp_test_wait (none_runs, &running, "the threads");
  join (workers, THREADS);
  kcp_test_end (actor);
}

/* Nobody runs the context of the actor. */
static void
test_blocking_not_run (void)
{
  KcpActor *actor = calls_spawn (NULL);
  Worker workers[THREADS] = { { NULL } };
  int running;

  start (workers, THREADS, actor, &running, ask_many_blocking);
  join (workers, THREADS);
  kcp_test_end (actor);
}

/* Now it is run, now it is not. */
static void
test_blocking_now_and_then (void)
{
  KcpActor *actor = calls_spawn (NULL);
  Worker workers[4] = { { NULL } };
  int running;

  start (workers, 4, actor, &running, ask_many_blocking);
  while (!none_runs (&running))
    {
      g_main_context_iteration (NULL, FALSE);
      g_thread_yield ();
    }
  join (workers, 4);
  kcp_test_end (actor);
}

static void
ask_held (Worker *worker)
{
  worker->text = ask_blocking (worker->actor, "hold", "\"held\"", worker->cancellable, &worker->error);
}

/* What blocks in a thread does not keep the owner from his loop. */
static void
test_owner_comes_back (void)
{
  KcpActor *actor = calls_spawn (NULL);
  Worker worker = { NULL };
  g_autofree char *count = NULL;
  int running;

  start (&worker, 1, actor, &running, ask_held);
  do
    {
      g_free (count);
      count = kcp_test_ask (actor, "count-held", NULL, NULL);
    }
  while (!g_str_equal (count, "1"));
  calls_expect (actor, "release", NULL, "1");
  kcp_test_wait (none_runs, &running, "the thread");
  g_assert_cmpstr (worker.text, ==, "\"held\"");
  join (&worker, 1);
  kcp_test_end (actor);
}

static void
cancel_held (gboolean run)
{
  KcpActor *actor = calls_spawn (NULL);
  Worker worker = { .cancellable = g_cancellable_new () };
  int running;

  start (&worker, 1, actor, &running, ask_held);
  while (kcp_actor_get_in_flight (actor) == 0)
    g_thread_yield ();
  g_cancellable_cancel (worker.cancellable);
  if (run)
    kcp_test_wait (none_runs, &running, "the thread");
  g_thread_join (worker.thread);
  g_assert_error (worker.error, G_IO_ERROR, G_IO_ERROR_CANCELLED);
  g_assert_null (worker.text);
  g_clear_error (&worker.error);
  g_object_unref (worker.cancellable);
  kcp_test_end (actor);
}

static void
test_cancel_run (void)
{
  cancel_held (TRUE);
}

/* Home is not needed for it, and neither for a deadline. */
static void
test_cancel_not_run (void)
{
  cancel_held (FALSE);
}

static void
ask_with_deadline (Worker *worker)
{
  g_autoptr (KcpMessage) message = calls_message ("hold", "1");
  g_autoptr (KcpMessage) answer = NULL;

  kcp_message_set_timeout (message, 50);
  answer = kcp_actor_ask (worker->actor, message, NULL, &worker->error);
  g_assert_null (answer);
}

static void
test_deadline (void)
{
  KcpActor *actor = calls_spawn (NULL);
  Worker worker = { NULL };
  int running;

  start (&worker, 1, actor, &running, ask_with_deadline);
  g_thread_join (worker.thread);
  g_assert_error (worker.error, KCP_ERROR, KCP_ERROR_TIMED_OUT);
  g_clear_error (&worker.error);
  kcp_test_end (actor);
}

/* ---- callbacks ---- */

static GThread *served_in;

static void
serve (KcpInvocation *invocation,
       gpointer       data)
{
  g_atomic_pointer_set (&served_in, g_thread_self ());
  kcp_invocation_reply (invocation, json_node_init_string (json_node_alloc (), "host"));
}

static KcpActor *
spawn_with_callbacks (void)
{
  g_autoptr (KcpCallbackRouter) router = kcp_callback_router_new ();

  kcp_callback_router_add_func (router, "what", serve, NULL, NULL, NULL);
  return calls_spawn (KCP_CALLBACK_HANDLER (router));
}

static void
ask_back (Worker *worker)
{
  worker->text = ask_blocking (worker->actor, "ask-host", "{\"path\":\"what\",\"blocking\":1}", NULL,
                               &worker->error);
}

/* They are served where the context is run, and by who blocks where nobody runs it. */
static void
test_callbacks (void)
{
  KcpActor *actor = spawn_with_callbacks ();
  Worker worker = { NULL };
  int running;

  start (&worker, 1, actor, &running, ask_back);
  g_thread_join (worker.thread);
  g_assert_no_error (worker.error);
  g_assert_cmpstr (worker.text, ==, "\"host\"");
  g_assert_true (served_in == worker.thread);
  g_free (worker.text);
  kcp_test_end (actor);
}

/* In a dispatch of the context, so that the thread below is a guest to whom home is closed. */
static gboolean
block_at_home (gpointer data)
{
  Worker *worker = data;
  int running;

  start (worker, 1, worker->actor, &running, ask_back);
  while (kcp_actor_get_in_flight (worker->actor) == 0)
    g_thread_yield ();

  /* The child serves it behind the other, whose callback is ours to serve. */
  g_free (ask_blocking (worker->actor, "echo", "1", NULL, &worker->error));
  g_assert_no_error (worker->error);
  g_assert_true (g_atomic_pointer_get (&served_in) == g_thread_self ());
  g_thread_join (worker->thread);
  worker->done = TRUE;
  return G_SOURCE_REMOVE;
}

static void
test_both_block (void)
{
  Worker worker = { .actor = spawn_with_callbacks () };

  g_idle_add (block_at_home, &worker);
  kcp_test_wait_flag (&worker.done, "both");
  g_assert_cmpstr (worker.text, ==, "\"host\"");
  g_free (worker.text);
  kcp_test_end (worker.actor);
}

/* ---- streams ---- */

static void
read_stream (Worker *worker)
{
  g_autoptr (KcpMessage) message = calls_message ("count", "{\"items\":500}");
  g_autoptr (KcpStream) stream = kcp_actor_ask_stream (worker->actor, message, NULL);
  guint items = 0;
  KcpMessage *item;

  while ((item = kcp_stream_next (stream, NULL, &worker->error)))
    {
      g_autofree char *text = calls_text (item);

      g_assert_cmpuint (g_ascii_strtoull (text, NULL, 10), ==, items++);
      kcp_message_unref (item);
    }
  g_assert_no_error (worker->error);
  g_assert_cmpuint (items, ==, 500);
  g_assert_true (kcp_stream_is_done (stream));
  worker->text = calls_text (kcp_stream_get_result (stream));
}

static void
on_item (GObject      *source,
         GAsyncResult *result,
         gpointer      data)
{
  Worker *worker = data;
  g_autoptr (KcpMessage) item = kcp_stream_next_finish (KCP_STREAM (source), result, &worker->error);

  g_assert_true (g_thread_self () == worker->thread);
  worker->answers++;
  worker->done = item == NULL;
  if (item)
    kcp_stream_next_async (KCP_STREAM (source), NULL, on_item, worker);
}

static void
read_stream_async (Worker *worker)
{
  g_autoptr (GMainContext) context = g_main_context_new ();
  g_autoptr (KcpMessage) message = calls_message ("count", "{\"items\":500}");
  g_autoptr (KcpMessage) endless = calls_message ("endless", "null");
  g_autoptr (KcpStream) stream = NULL;

  worker->thread = g_thread_self ();
  g_main_context_push_thread_default (context);
  stream = kcp_actor_ask_stream (worker->actor, message, NULL);
  kcp_stream_next_async (stream, NULL, on_item, worker);
  while (!worker->done)
    g_main_context_iteration (context, TRUE);
  g_assert_no_error (worker->error);
  g_assert_cmpuint (worker->answers, ==, 501);

  /* One that is dropped in the middle. */
  g_clear_object (&stream);
  stream = kcp_actor_ask_stream (worker->actor, endless, NULL);
  kcp_message_unref (kcp_stream_next (stream, NULL, &worker->error));
  g_assert_no_error (worker->error);
  g_main_context_pop_thread_default (context);
}

static void
stream_in_threads (void    (*func) (Worker *),
                   gboolean  run)
{
  KcpActor *actor = calls_spawn (NULL);
  Worker workers[4] = { { NULL } };
  int running;

  start (workers, 4, actor, &running, func);
  if (run)
    kcp_test_wait (none_runs, &running, "the threads");
  join (workers, 4);
  kcp_test_end (actor);
}

static void
test_streams (void)
{
  stream_in_threads (read_stream, TRUE);
  stream_in_threads (read_stream, FALSE);
  stream_in_threads (read_stream_async, TRUE);
}

/* ---- the end ---- */

static void
on_stopped (GObject      *source,
            GAsyncResult *result,
            gpointer      data)
{
  Worker *worker = data;
  g_autoptr (KcpExitReport) report = kcp_actor_stop_finish (KCP_ACTOR (source), result, &worker->error);

  g_assert_no_error (worker->error);
  g_assert_cmpint (kcp_exit_report_get_reason (report), ==, KCP_EXIT_STOPPED);
  g_assert_true (g_thread_self () == worker->thread);
  worker->done = TRUE;
}

static void
stop (Worker *worker)
{
  g_autoptr (GMainContext) context = g_main_context_new ();
  g_autoptr (KcpMessage) message = calls_message ("echo", "[0,0]");

  worker->thread = g_thread_self ();
  g_main_context_push_thread_default (context);
  kcp_actor_ask_async (worker->actor, message, NULL, on_numbered, worker);   /* asked before: answered */
  kcp_actor_stop_async (worker->actor, NULL, on_stopped, worker);
  while (!worker->done)
    g_main_context_iteration (context, TRUE);
  g_assert_cmpint (kcp_actor_get_state (worker->actor), ==, KCP_ACTOR_EXITED);
  g_assert_nonnull (kcp_actor_get_exit_report (worker->actor));
  g_assert_false (kcp_actor_tell (worker->actor, message, &worker->error));
  g_assert_error (worker->error, KCP_ERROR, KCP_ERROR_NOT_RUNNING);
  g_clear_error (&worker->error);
  g_main_context_pop_thread_default (context);
}

static void
test_stop (void)
{
  KcpActor *actor = calls_spawn (NULL);
  Worker worker = { NULL };
  int running;

  start (&worker, 1, actor, &running, stop);
  kcp_test_wait (none_runs, &running, "the stop");
  join (&worker, 1);
  g_object_unref (actor);
}

static void
ask_until_it_ends (Worker *worker)
{
  for (;;)
    {
      g_autofree char *text = ask_blocking (worker->actor, "echo", "1", NULL, &worker->error);

      if (text == NULL)
        break;
    }
  g_assert_nonnull (worker->error);
  g_clear_error (&worker->error);
}

/* Whatever they are at, all threads come back. */
static void
test_kill (void)
{
  KcpActor *actor = calls_spawn (NULL);
  Worker workers[4] = { { NULL } };
  g_autoptr (KcpExitReport) report = NULL;
  int running;

  start (workers, 4, actor, &running, ask_until_it_ends);
  calls_expect (actor, "echo", "2", "2");
  kcp_actor_kill (actor);
  report = kcp_test_await_exit (actor);
  g_assert_cmpint (kcp_exit_report_get_reason (report), ==, KCP_EXIT_KILLED);
  join (workers, 4);
  g_object_unref (actor);
}

static gpointer
drop (gpointer actor)
{
  g_object_unref (actor);
  return NULL;
}

static void
on_weak (gpointer  data,
         GObject  *where_it_was)
{
  *(gboolean *) data = TRUE;
}

/* The last reference goes in another thread. The fixture sees that the child goes as well. */
static void
test_drop (void)
{
  KcpActor *actor = calls_spawn (NULL);
  gboolean gone = FALSE;

  g_object_weak_ref (G_OBJECT (actor), on_weak, &gone);
  g_thread_join (g_thread_new ("drop", drop, actor));
  g_assert_true (gone);
}

int
main (int    argc,
      char **argv)
{
  kcp_test_init (&argc, &argv);
  kcp_test_add ("/threads/contexts", test_contexts);
  kcp_test_add ("/threads/default-context", test_default_context);
  kcp_test_add ("/threads/tell", test_tell);
  kcp_test_add ("/threads/blocking/run", test_blocking_run);
  kcp_test_add ("/threads/blocking/not-run", test_blocking_not_run);
  kcp_test_add ("/threads/blocking/now-and-then", test_blocking_now_and_then);
  kcp_test_add ("/threads/blocking/owner-comes-back", test_owner_comes_back);
  kcp_test_add ("/threads/cancel/run", test_cancel_run);
  kcp_test_add ("/threads/cancel/not-run", test_cancel_not_run);
  kcp_test_add ("/threads/deadline", test_deadline);
  kcp_test_add ("/threads/callbacks", test_callbacks);
  kcp_test_add ("/threads/both-block", test_both_block);
  kcp_test_add ("/threads/streams", test_streams);
  kcp_test_add ("/threads/stop", test_stop);
  kcp_test_add ("/threads/kill", test_kill);
  kcp_test_add ("/threads/drop", test_drop);
  return kcp_test_run ();
}
