/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "calls-test.h"

#include <signal.h>

/* Each KCP_ERROR code comes out of a real situation, at least once; errors of handlers keep what they are. */

/* ---- how a situation is made: each gives the error that a user sees ---- */

static GError *
spawn_error (KcpLauncher *launcher)
{
  g_autoptr (KcpLauncher) owned = launcher;
  GError *error = NULL;
  KcpActor *actor;

  /* A child that fails to start exits, and is killed while it does. A leak sanitizer looks at it with a
   * process of its own just then, which would be left to us as a zombie. */
  kcp_launcher_setenv (owned, "LSAN_OPTIONS", "detect_leaks=0");
  actor = kcp_test_spawn (owned, NULL, &error);
  g_assert_null (actor);
  return error;
}

static GError *
no_such_stub (const char *argument)
{
  KcpLauncher *launcher = calls_launcher (NULL);

  kcp_launcher_set_stub (launcher, argument);
  return spawn_error (launcher);
}

/* A stub that does the named thing wrongly; see phony-stub.c. */
static GError *
phony (const char *argument)
{
  KcpLauncher *launcher = calls_launcher (NULL);
  g_autofree char *stub = kcp_test_program ("phony-stub");

  kcp_launcher_set_stub (launcher, stub);
  kcp_launcher_setenv (launcher, "PHONY", argument);
  return spawn_error (launcher);
}

static GError *
phony_hasty (const char *argument)
{
  KcpLauncher *launcher = calls_launcher (NULL);
  g_autofree char *stub = kcp_test_program ("phony-stub");

  kcp_launcher_set_stub (launcher, stub);
  kcp_launcher_setenv (launcher, "PHONY", argument);
  kcp_launcher_set_start_timeout (launcher, 300);
  return spawn_error (launcher);
}

static GError *
plugin_file (const char *argument)
{
  g_autofree char *path = kcp_test_bad_plugin (argument);

  return spawn_error (kcp_test_launcher_for (path));
}

static GError *
plugin_key (const char *argument)
{
  KcpLauncher *launcher = calls_launcher (NULL);

  kcp_launcher_add_config (launcher, argument, "");
  return spawn_error (launcher);
}

static GError *
bad_setting (const char *argument)
{
  KcpLauncher *launcher = calls_launcher (NULL);

  kcp_launcher_set_name (launcher, argument);
  return spawn_error (launcher);
}

static GError *
call_error (const char *argument)
{
  KcpActor *actor = calls_spawn (NULL);
  g_auto (GStrv) words = g_strsplit (argument, " ", 2);
  GError *error = NULL;

  g_assert_null (kcp_test_ask (actor, words[0], words[1], &error));
  kcp_test_assert_serves (actor);
  kcp_test_end (actor);
  return error;
}

static GError *
call_past_deadline (const char *argument)
{
  KcpActor *actor = calls_spawn (NULL);
  g_autoptr (KcpMessage) message = calls_message (argument, NULL);
  GError *error = NULL;

  kcp_message_set_timeout (message, 30);
  g_assert_null (calls_take (calls_call (actor, message, NULL), &error));
  kcp_test_assert_serves (actor);
  kcp_test_end (actor);
  return error;
}

/* One call in flight, one waiting: the next finds no room. */
static GError *
call_one_too_many (const char *argument)
{
  g_autoptr (KcpLauncher) launcher = calls_launcher (NULL);
  g_autoptr (KcpMessage) message = calls_message (argument, NULL);
  g_autoptr (KcpTestCall) held = NULL;
  g_autoptr (KcpTestCall) waiting = NULL;
  KcpActor *actor;
  GError *error = NULL;

  kcp_launcher_set_max_in_flight (launcher, 1);
  kcp_launcher_set_mailbox (launcher, 1, 1024);
  actor = calls_spawn_with (launcher);
  held = kcp_test_call (actor, "hold", NULL, NULL);
  waiting = kcp_test_call (actor, "release", NULL, NULL);
  g_assert_null (calls_take (calls_call (actor, message, NULL), &error));

  /* The stop sends what waits, and with it what the other is waiting for. */
  kcp_test_end (actor);
  kcp_test_call_wait (held);
  kcp_test_call_wait (waiting);
  g_assert_no_error (held->error);
  g_assert_no_error (waiting->error);
  return error;
}

static GError *
call_too_large (const char *argument)
{
  KcpActor *actor = calls_spawn (NULL);
  g_autoptr (GBytes) bytes = g_bytes_new_take (g_malloc0 (17 * 1024 * 1024), 17 * 1024 * 1024);
  g_autoptr (KcpMessage) message = kcp_message_new_bytes (argument, bytes, "a/b");
  GError *error = NULL;

  g_assert_null (calls_take (calls_call (actor, message, NULL), &error));
  kcp_test_assert_serves (actor);
  kcp_test_end (actor);
  return error;
}

/* The child is ended by a stranger's signal while it serves. */
static GError *
call_in_crash (const char *argument)
{
  KcpActor *actor = calls_spawn (NULL);
  KcpTestCall *call = kcp_test_call (actor, argument, NULL, NULL);
  GError *error = NULL;

  g_assert_cmpint (kill (kcp_actor_get_pid (actor), SIGSEGV), ==, 0);
  g_assert_null (calls_take (call, &error));
  kcp_exit_report_unref (kcp_test_await_exit (actor));
  g_object_unref (actor);
  return error;
}

static GError *
call_in_exit (const char *argument)
{
  KcpActor *actor = kcp_test_misbehave (NULL, NULL);
  GError *error = NULL;

  g_assert_null (kcp_test_ask (actor, "end", argument, &error));
  kcp_exit_report_unref (kcp_test_await_exit (actor));
  g_object_unref (actor);
  return error;
}

static GError *
call_after_exit (const char *argument)
{
  KcpActor *actor = calls_spawn (NULL);
  GError *error = NULL;

  kcp_exit_report_unref (kcp_test_stop (actor));
  g_assert_null (kcp_test_ask (actor, argument, NULL, &error));
  g_object_unref (actor);
  return error;
}

static GError *
duplicate_path (const char *argument)
{
  g_autoptr (KcpCallbackRouter) router = kcp_callback_router_new ();
  g_autoptr (KcpCallbackHandler) handler = kcp_noop_callback_handler_new ();
  GError *error = NULL;

  g_assert_true (kcp_callback_router_add (router, argument, handler, NULL));
  g_assert_false (kcp_callback_router_add (router, argument, handler, &error));
  return error;
}

/* ---- the table ---- */

static GError *call_while_stopping (const char *argument);

typedef struct
{
  KcpError code;
  GError *(*make) (const char *argument);
  const char *argument;
  const char *part;
} Situation;

static const Situation situations[] = {
  { KCP_ERROR_SPAWN_FAILED, no_such_stub, "/nonexistent/stub", "/nonexistent/stub" },
  { KCP_ERROR_HANDSHAKE_FAILED, phony, "exits", "exited with code 7" },
  { KCP_ERROR_HANDSHAKE_TIMED_OUT, phony_hasty, "never-connects", "300 ms" },
  { KCP_ERROR_VERSION_MISMATCH, phony, "version", "phony 9.9" },
  { KCP_ERROR_PLUGIN_LOAD, plugin_file, "not-there-at-all", "not-there-at-all.so" },
  { KCP_ERROR_PLUGIN_ABI, plugin_file, "bad-no-entry", "kcp_plugin_v1" },
  { KCP_ERROR_PLUGIN_START, plugin_key, "unheard-of", "unheard-of" },
  { KCP_ERROR_CHILD_EXITED, call_in_exit, "\"_exit\"", "exited with code" },
  { KCP_ERROR_CHILD_CRASHED, call_in_crash, "hold", "SIGSEGV" },
  { KCP_ERROR_CONNECTION_CLOSED, phony, "joined-closes", "closed its connection" },
  { KCP_ERROR_NOT_RUNNING, call_after_exit, "echo", "“echo”" },
  { KCP_ERROR_STOPPING, call_while_stopping, "echo", "“echo”" },
  { KCP_ERROR_TIMED_OUT, call_past_deadline, "wait", "“wait”" },
  { KCP_ERROR_TOO_LARGE, call_too_large, "echo", "16777216" },
  { KCP_ERROR_INVALID_MESSAGE, call_error, "count", "as a stream" },
  { KCP_ERROR_UNKNOWN_PATH, call_error, "nowhere", "“nowhere”" },
  { KCP_ERROR_HANDLER_FAILED, call_error, "fail {\"message\":\"so be it\"}", "so be it" },
  { KCP_ERROR_UNANSWERED, call_error, "drop", "“drop”" },
  { KCP_ERROR_PROTOCOL, phony, "garbage", "request socket" },
  { KCP_ERROR_PERMISSION, phony, "wrong-token", "token" },
  { KCP_ERROR_DUPLICATE_PATH, duplicate_path, "twice", "“twice”" },
  { KCP_ERROR_INVALID_ARGUMENT, bad_setting, "\xff", "name" },
  { KCP_ERROR_BUSY, call_one_too_many, "echo", "waiting already" },
};

static void
test_situation (gconstpointer data)
{
  const Situation *situation = data;
  g_autoptr (GError) error = NULL;

  if (situation->code == KCP_ERROR_SPAWN_FAILED && g_getenv ("KCP_TEST_VALGRIND"))
    {
      g_test_skip ("valgrind starts programs that are not there");
      return;
    }

  error = situation->make (situation->argument);
  kcp_test_assert_error (error, KCP_ERROR, (int) situation->code, situation->part);
}

/* A code that is new gets its situation here. */
static void
test_all_are_here (void)
{
  for (int code = 0; code <= KCP_ERROR_INVALID_ARGUMENT; code++)
    {
      gboolean found = FALSE;

      for (gsize i = 0; i < G_N_ELEMENTS (situations); i++)
        found |= (int) situations[i].code == code;
      if (!found)
        g_error ("nothing produces “%s”", kcp_error_to_string ((KcpError) code));
    }
  g_assert_cmpstr (kcp_error_to_string ((KcpError) (KCP_ERROR_INVALID_ARGUMENT + 1)), ==, "unknown");
}

/* ---- a child that is stopping, and one that is gone, in each way to ask ---- */

static void
expect_refused (KcpActor *actor,
                KcpError  code)
{
  g_autoptr (KcpMessage) message = calls_message ("note", NULL);
  g_autoptr (KcpTestCall) call = calls_call (actor, message, NULL);
  g_autoptr (KcpStream) stream = kcp_actor_ask_stream (actor, message, NULL);
  g_autoptr (GError) blocking_error = NULL;
  g_autoptr (GError) tell_error = NULL;
  g_autoptr (GError) stream_error = NULL;

  g_assert_null (kcp_actor_ask (actor, message, NULL, &blocking_error));
  g_assert_error (blocking_error, KCP_ERROR, (int) code);
  g_assert_false (kcp_actor_tell (actor, message, &tell_error));
  g_assert_error (tell_error, KCP_ERROR, (int) code);
  g_assert_null (kcp_stream_next (stream, NULL, &stream_error));
  g_assert_error (stream_error, KCP_ERROR, (int) code);
  kcp_test_call_wait (call);
  g_assert_error (call->error, KCP_ERROR, (int) code);
}

static KcpActor *
spawn_with_open_call (KcpTestCall **call)
{
  KcpActor *actor = calls_spawn (NULL);
  g_autoptr (KcpMessage) message = calls_message ("wait", NULL);

  /* The stop waits for it, and it ends at its deadline. */
  kcp_message_set_timeout (message, 500);
  *call = calls_call (actor, message, NULL);
  kcp_test_assert_serves (actor);
  kcp_actor_stop_async (actor, NULL, NULL, NULL);
  g_assert_cmpint (kcp_actor_get_state (actor), ==, KCP_ACTOR_STOPPING);
  return actor;
}

static GError *
call_while_stopping (const char *argument)
{
  KcpTestCall *open;
  KcpActor *actor = spawn_with_open_call (&open);
  g_autoptr (GError) open_error = NULL;
  GError *error = NULL;

  g_assert_null (kcp_test_ask (actor, argument, NULL, &error));
  g_assert_null (calls_take (open, &open_error));
  g_assert_error (open_error, KCP_ERROR, KCP_ERROR_TIMED_OUT);
  kcp_exit_report_unref (kcp_test_await_exit (actor));
  g_object_unref (actor);
  return error;
}

static void
test_refused (void)
{
  g_autoptr (KcpTestCall) open = NULL;
  g_autoptr (KcpExitReport) report = NULL;
  KcpActor *actor = spawn_with_open_call (&open);

  expect_refused (actor, KCP_ERROR_STOPPING);
  report = kcp_test_await_exit (actor);
  g_assert_true (open->done);
  g_assert_cmpint (kcp_exit_report_get_reason (report), ==, KCP_EXIT_STOPPED);
  expect_refused (actor, KCP_ERROR_NOT_RUNNING);
  g_object_unref (actor);
}

/* ---- errors of handlers ---- */

static GError *
handler_error (KcpActor   *actor,
               const char *domain,
               int         code,
               const char *message)
{
  JsonObject *object = json_object_new ();
  g_autoptr (KcpMessage) question = NULL;
  GError *error = NULL;

  json_object_set_string_member (object, "domain", domain);
  json_object_set_int_member (object, "code", code);
  json_object_set_string_member (object, "message", message);
  question = kcp_message_new ("fail", json_node_init_object (json_node_alloc (), object));
  json_object_unref (object);
  g_assert_null (calls_take (calls_call (actor, question, NULL), &error));
  return error;
}

static void
test_known_domains (void)
{
  const GQuark domains[] = {
    G_IO_ERROR, G_FILE_ERROR, G_KEY_FILE_ERROR, G_MARKUP_ERROR, G_SPAWN_ERROR, G_URI_ERROR, JSON_PARSER_ERROR,
  };
  KcpActor *actor = calls_spawn (NULL);

  for (gsize i = 0; i < G_N_ELEMENTS (domains); i++)
    {
      g_autoptr (GError) error = handler_error (actor, g_quark_to_string (domains[i]), 3,
                                                "Zeile 1\nline 2 “ü”");

      g_assert_error (error, domains[i], 3);
      g_assert_cmpstr (error->message, ==, "Zeile 1\nline 2 “ü”");
      g_assert_null (kcp_error_get_remote_domain (error));
      g_assert_cmpint (kcp_error_get_remote_code (error), ==, 3);
    }
  kcp_test_end (actor);
}

static void
expect_foreign (KcpActor   *actor,
                const char *domain,
                int         code,
                const char *remote_domain)
{
  g_autoptr (GError) error = handler_error (actor, domain, code, "as it was");
  g_autoptr (GError) copy = g_error_copy (error);

  g_assert_error (error, KCP_ERROR, KCP_ERROR_HANDLER_FAILED);
  g_assert_cmpstr (kcp_error_get_remote_domain (copy), ==, remote_domain);
  g_assert_cmpint (kcp_error_get_remote_code (copy), ==, code);
  g_assert_cmpstr (kcp_error_get_remote_message (copy), ==, "as it was");
}

static void
test_unknown_domain (void)
{
  KcpActor *actor = calls_spawn (NULL);

  expect_foreign (actor, "nobody-knows-this", 0, "nobody-knows-this");
  expect_foreign (actor, "nobody-knows-this", G_MININT, "nobody-knows-this");
  expect_foreign (actor, "nobody-knows-this", G_MAXINT, "nobody-knows-this");
  expect_foreign (actor, "Größe \"1\"", 7, "Größe \"1\"");
  /* A stranger's text becomes no quark of ours. */
  g_assert_cmpuint (g_quark_try_string ("nobody-knows-this"), ==, 0);
  kcp_test_end (actor);
}

static void
test_registered_domain (void)
{
  KcpActor *actor = calls_spawn (NULL);
  GQuark domain;

  expect_foreign (actor, "kcp-test-domain", 42, "kcp-test-domain");
  domain = g_quark_from_static_string ("kcp-test-domain");
  expect_foreign (actor, "kcp-test-domain", 42, "kcp-test-domain");

  kcp_error_register_domain (domain);
  kcp_error_register_domain (domain);
  for (int code = -1; code < 2; code++)
    {
      g_autoptr (GError) error = handler_error (actor, "kcp-test-domain", code, "mine");

      g_assert_error (error, domain, code);
      g_assert_cmpstr (error->message, ==, "mine");
    }
  kcp_test_end (actor);
}

/* A plugin can say neither that the child crashed nor that the user has cancelled. */
static void
test_forged (void)
{
  static const KcpError verdicts[] = {
    KCP_ERROR_SPAWN_FAILED, KCP_ERROR_CHILD_EXITED, KCP_ERROR_CHILD_CRASHED, KCP_ERROR_CONNECTION_CLOSED,
    KCP_ERROR_NOT_RUNNING, KCP_ERROR_PROTOCOL, KCP_ERROR_VERSION_MISMATCH,
  };
  KcpActor *actor = calls_spawn (NULL);
  const char *ours = g_quark_to_string (KCP_ERROR);
  g_autoptr (GError) honest = NULL;

  for (gsize i = 0; i < G_N_ELEMENTS (verdicts); i++)
    expect_foreign (actor, ours, (int) verdicts[i], "kcp");
  expect_foreign (actor, g_quark_to_string (G_IO_ERROR), G_IO_ERROR_CANCELLED,
                  g_quark_to_string (G_IO_ERROR));

  honest = handler_error (actor, ours, KCP_ERROR_PERMISSION, "not you");
  g_assert_error (honest, KCP_ERROR, KCP_ERROR_PERMISSION);
  g_assert_null (kcp_error_get_remote_domain (honest));
  kcp_test_end (actor);
}

int
main (int    argc,
      char **argv)
{
  kcp_test_init (&argc, &argv);
  for (gsize i = 0; i < G_N_ELEMENTS (situations); i++)
    {
      g_autofree char *path = g_strconcat ("/errors/code/", kcp_error_to_string (situations[i].code), NULL);

      kcp_test_add_data (path, &situations[i], test_situation);
    }
  kcp_test_add ("/errors/all-are-here", test_all_are_here);
  kcp_test_add ("/errors/refused", test_refused);
  kcp_test_add ("/errors/domain/known", test_known_domains);
  kcp_test_add ("/errors/domain/unknown", test_unknown_domain);
  kcp_test_add ("/errors/domain/registered", test_registered_domain);
  kcp_test_add ("/errors/domain/forged", test_forged);
  return kcp_test_run ();
}
