/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "kcp-test.h"

/* Children, asked and ended from the default main context. */

/* ---- spawn ---- */

/* The search for leaks at a process's end is done by a process of its own. If the child is killed in
 * it, as many of ours are, that one would be left to us. */
static void
set_leak_check (KcpLauncher *launcher,
                gboolean     wanted)
{
  const char *options = g_getenv ("ASAN_OPTIONS");
  g_autofree char *more = g_strdup_printf ("%s:detect_leaks=%d", options ? options : "", wanted);

  kcp_launcher_setenv (launcher, "ASAN_OPTIONS", more);
}

KcpLauncher *
kcp_test_launcher_for (const char *path)
{
  KcpLauncher *launcher = kcp_launcher_new (path);

  kcp_launcher_set_start_timeout (launcher, KCP_TEST_PATIENCE_MS);
  kcp_launcher_set_call_timeout (launcher, KCP_TEST_PATIENCE_MS);
  kcp_launcher_set_stop_timeouts (launcher, KCP_TEST_PATIENCE_MS, KCP_TEST_PATIENCE_MS, KCP_TEST_PATIENCE_MS);
  set_leak_check (launcher, FALSE);
  if (g_getenv ("UBSAN_OPTIONS"))
    kcp_launcher_setenv (launcher, "UBSAN_OPTIONS", g_getenv ("UBSAN_OPTIONS"));
  return launcher;
}

void
kcp_test_check_leaks (KcpLauncher *launcher)
{
  set_leak_check (launcher, TRUE);
}

KcpLauncher *
kcp_test_launcher (const char *plugin)
{
  g_autofree char *path = NULL;

  /* Ours is among the broken ones, the others are real. */
  path = g_str_equal (plugin, "misbehave") ? kcp_test_bad_plugin (plugin) : kcp_test_plugin (plugin);
  return kcp_test_launcher_for (path);
}

typedef struct
{
  gboolean done;
  guint completions;
  KcpActor *actor;
  GError *error;
} Spawn;

static void
on_spawned (GObject      *source,
            GAsyncResult *result,
            gpointer      data)
{
  Spawn *spawn = data;

  spawn->actor = kcp_launcher_spawn_finish (KCP_LAUNCHER (source), result, &spawn->error);
  g_assert_true ((spawn->actor == NULL) == (spawn->error != NULL));
  spawn->completions++;
  spawn->done = TRUE;
}

KcpActor *
kcp_test_spawn (KcpLauncher   *launcher,
                GCancellable  *cancellable,
                GError       **error)
{
  Spawn spawn = { FALSE };

  kcp_launcher_spawn_async (launcher, cancellable, on_spawned, &spawn);
  g_assert_false (spawn.done);
  kcp_test_wait_flag (&spawn.done, "a start");
  g_assert_cmpuint (spawn.completions, ==, 1);
  if (spawn.error)
    g_propagate_error (error, spawn.error);
  return spawn.actor;
}

KcpActor *
kcp_test_misbehave (const char *key,
                    const char *value)
{
  g_autoptr (KcpLauncher) launcher = kcp_test_launcher ("misbehave");
  g_autoptr (GError) error = NULL;
  KcpActor *actor;

  if (key)
    kcp_launcher_add_config (launcher, key, value);
  actor = kcp_test_spawn (launcher, NULL, &error);
  g_assert_no_error (error);
  return actor;
}

/* ---- calls ---- */

static void
on_answer (GObject      *source,
           GAsyncResult *result,
           gpointer      data)
{
  KcpTestCall *call = data;

  g_assert_false (call->done);
  call->answer = kcp_actor_ask_finish (KCP_ACTOR (source), result, &call->error);
  g_assert_true ((call->answer == NULL) == (call->error != NULL));
  call->completions++;
  call->done = TRUE;
}

KcpTestCall *
kcp_test_call (KcpActor     *actor,
               const char   *path,
               const char   *json,
               GCancellable *cancellable)
{
  KcpTestCall *call = g_new0 (KcpTestCall, 1);
  g_autoptr (GError) error = NULL;
  g_autoptr (KcpMessage) message = json ? kcp_message_new_text (path, json, &error)
                                        : kcp_message_new (path, NULL);

  g_assert_no_error (error);
  kcp_actor_ask_async (actor, message, cancellable, on_answer, call);
  g_assert_false (call->done);
  return call;
}

void
kcp_test_call_wait (KcpTestCall *call)
{
  kcp_test_wait_flag (&call->done, "an answer");
}

/* Only when it is done: its callback writes into it. */
void
kcp_test_call_free (KcpTestCall *call)
{
  g_assert_true (call->done);
  g_clear_pointer (&call->answer, kcp_message_unref);
  g_clear_error (&call->error);
  g_free (call);
}

char *
kcp_test_ask (KcpActor    *actor,
              const char  *path,
              const char  *json,
              GError     **error)
{
  g_autoptr (KcpTestCall) call = kcp_test_call (actor, path, json, NULL);
  JsonNode *body;

  kcp_test_call_wait (call);
  if (call->error)
    {
      g_propagate_error (error, g_steal_pointer (&call->error));
      return NULL;
    }

  body = kcp_message_get_body (call->answer, error);
  return body ? kcp_json_to_string (body, error) : NULL;
}

JsonNode *
kcp_test_ask_node (KcpActor   *actor,
                   const char *path,
                   const char *json)
{
  g_autoptr (GError) error = NULL;
  g_autofree char *text = kcp_test_ask (actor, path, json, &error);
  JsonNode *node;

  g_assert_no_error (error);
  node = kcp_json_parse (text, -1, &error);
  g_assert_no_error (error);
  return node;
}

void
kcp_test_assert_serves (KcpActor *actor)
{
  g_autoptr (GError) error = NULL;
  g_autofree char *text = kcp_test_ask (actor, "echo", "{\"a\":[1,\"ü\"]}", &error);

  g_assert_no_error (error);
  g_assert_cmpstr (text, ==, "{\"a\":[1,\"ü\"]}");
}

/* ---- the end ---- */

typedef struct
{
  gboolean done;
  KcpExitReport *report;
  GError *error;
} Stop;

static void
on_stopped (GObject      *source,
            GAsyncResult *result,
            gpointer      data)
{
  Stop *stop = data;

  stop->report = kcp_actor_stop_finish (KCP_ACTOR (source), result, &stop->error);
  stop->done = TRUE;
}

KcpExitReport *
kcp_test_stop (KcpActor *actor)
{
  Stop stop = { FALSE };

  kcp_actor_stop_async (actor, NULL, on_stopped, &stop);
  g_assert_false (stop.done);
  kcp_test_wait_flag (&stop.done, "a stop");
  g_assert_no_error (stop.error);
  g_assert_nonnull (stop.report);
  return stop.report;
}

static gboolean
has_exited (gpointer actor)
{
  return kcp_actor_get_state (actor) == KCP_ACTOR_EXITED;
}

KcpExitReport *
kcp_test_await_exit (KcpActor *actor)
{
  kcp_test_wait (has_exited, actor, "an exit");
  return kcp_exit_report_ref (kcp_actor_get_exit_report (actor));
}

void
kcp_test_end (KcpActor *actor)
{
  g_autoptr (KcpExitReport) report = kcp_test_stop (actor);

  if (kcp_exit_report_get_reason (report) != KCP_EXIT_STOPPED || kcp_exit_report_get_exit_code (report) != 0)
    g_error ("%s; stderr: %s", kcp_exit_report_get_summary (report), kcp_exit_report_get_stderr_tail (report));
  g_assert_cmpint (kcp_actor_get_state (actor), ==, KCP_ACTOR_EXITED);
  g_object_unref (actor);
}
