/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "calls-test.h"

#include <string.h>

/* Calls and their answers, seen by a user of <kcp.h>. Cancelling and deadlines are in test-cancel.c, calls
 * that block in test-blocking.c. */

/* ---- one ---- */

static void
test_plain (void)
{
  static const char *const values[] = {
    "null", "true", "0", "-9223372036854775808", "0.5", "\"\"", "\"Grüße\\n\"", "[]", "{}",
    "{\"a\":[1,{\"b\":null}],\"c\":\"d\"}",
  };
  KcpActor *actor = calls_spawn (NULL);

  for (gsize i = 0; i < G_N_ELEMENTS (values); i++)
    calls_expect (actor, "echo", values[i], values[i]);
  calls_expect (actor, "echo", NULL, "null");
  kcp_test_end (actor);
}

static void
test_actor (void)
{
  g_autoptr (KcpLauncher) launcher = calls_launcher (NULL);
  KcpActor *actor;
  KcpManifest *manifest;
  g_autofree char *name = NULL;
  g_autoptr (KcpManifest) boxed = NULL;
  int state, pid;
  guint in_flight;
  gboolean responsive;

  kcp_launcher_set_name (launcher, "lena");
  actor = calls_spawn_with (launcher);
  manifest = kcp_actor_get_manifest (actor);

  g_object_get (actor, "state", &state, "pid", &pid, "name", &name, "manifest", &boxed, "in-flight",
                &in_flight,
                "responsive", &responsive, NULL);
  g_assert_cmpint (state, ==, KCP_ACTOR_READY);
  g_assert_cmpint (pid, ==, kcp_actor_get_pid (actor));
  g_assert_cmpint (pid, >, 1);
  g_assert_cmpstr (name, ==, "lena");
  g_assert_true (boxed == manifest);
  g_assert_cmpuint (in_flight, ==, 0);
  g_assert_true (responsive);
  g_assert_null (kcp_actor_get_exit_report (actor));

  g_assert_cmpstr (kcp_manifest_get_name (manifest), ==, "calls");
  g_assert_cmpstr (kcp_manifest_get_version (manifest), ==, "1.2");
  g_assert_cmpstr (kcp_manifest_get_description (manifest), ==, "Answers in every way there is");
  g_assert_cmpstr (kcp_manifest_get_path_description (manifest, "echo"), ==, "answers with what it got");
  g_assert_null (kcp_manifest_get_path_description (manifest, "nowhere"));
  g_assert_true (g_strv_contains (kcp_manifest_get_paths (manifest), "stream-host"));
  g_assert_false (kcp_manifest_serves_any_path (manifest));
  kcp_test_end (actor);
}

static void
on_exited (KcpActor      *actor,
           KcpExitReport *report,
           gpointer       data)
{
  g_assert_cmpint (kcp_exit_report_get_reason (report), ==, KCP_EXIT_STOPPED);
  g_assert_cmpint (kcp_actor_get_state (actor), ==, KCP_ACTOR_EXITED);
  g_assert_true (kcp_actor_get_exit_report (actor) == report);
  ++*(guint *) data;
}

static gboolean
is_not_zero (gpointer data)
{
  return *(guint *) data > 0;
}

/* The stop itself holds the last reference, and still the signal comes before it lets go. */
static void
test_exited (void)
{
  KcpActor *actor = calls_spawn (NULL);
  g_autoptr (KcpMessage) message = calls_message ("echo", NULL);
  guint exits = 0;

  g_signal_connect (actor, "exited", G_CALLBACK (on_exited), &exits);
  kcp_actor_ask_async (actor, message, NULL, NULL, NULL);
  kcp_actor_stop_async (actor, NULL, NULL, NULL);
  g_object_unref (actor);
  kcp_test_wait (is_not_zero, &exits, "the signal");
  g_assert_cmpuint (exits, ==, 1);
}

/* Nobody listens to the answer, and nobody minds. */
static void
test_no_callback (void)
{
  KcpActor *actor = calls_spawn (NULL);
  g_autoptr (KcpMessage) message = calls_message ("note", "{\"number\":1}");

  kcp_actor_ask_async (actor, message, NULL, NULL, NULL);
  g_assert_cmpuint (kcp_actor_get_in_flight (actor), ==, 1);
  calls_await_seen (actor, "note 1 reply=1");
  kcp_test_end (actor);
}

static void
test_path (void)
{
  KcpActor *actor = calls_spawn (NULL);
  g_autofree char *longest = g_strnfill (255, 'p');
  g_autofree char *longer = g_strnfill (256, 'p');

  calls_expect_error (actor, "nowhere", "1", KCP_ERROR, KCP_ERROR_UNKNOWN_PATH, "“nowhere”");
  calls_expect_error (actor, longest, "1", KCP_ERROR, KCP_ERROR_UNKNOWN_PATH, "ppp");
  calls_expect_error (actor, longer, "1", KCP_ERROR, KCP_ERROR_TOO_LARGE, "255");
  calls_expect_error (actor, "", "1", KCP_ERROR, KCP_ERROR_INVALID_MESSAGE, "path");
  calls_expect_error (actor, NULL, "1", KCP_ERROR, KCP_ERROR_INVALID_MESSAGE, "path");
  calls_expect_error (actor, "a\nb", "1", KCP_ERROR, KCP_ERROR_INVALID_MESSAGE, "path");
  kcp_test_end (actor);
}

/* ---- one way ---- */

static void
test_tell (void)
{
  KcpActor *actor = calls_spawn (NULL);
  g_autoptr (GString) expected = g_string_new (NULL);
  g_autofree char *lines = NULL;

  for (int i = 0; i < 100; i++)
    {
      g_autofree char *json = g_strdup_printf ("{\"number\":%d}", i);
      g_autoptr (KcpMessage) message = calls_message ("note", json);
      g_autoptr (GError) error = NULL;

      g_assert_true (kcp_actor_tell (actor, message, &error));
      g_assert_no_error (error);
      g_string_append_printf (expected, "note %d reply=0\n", i);
    }

  /* Nothing is waited for; what was told comes in its order, and before what was asked after it. */
  g_assert_cmpuint (kcp_actor_get_in_flight (actor), ==, 0);
  lines = calls_seen (actor);
  g_assert_cmpstr (lines, ==, expected->str);
  kcp_test_end (actor);
}

static void
test_tell_nowhere (void)
{
  static const char *const paths[] = { "nowhere", "fail", "drop", "count" };
  KcpActor *actor = calls_spawn (NULL);
  g_autoptr (KcpMessage) bad = calls_message ("", NULL);
  g_autoptr (GError) error = NULL;

  for (gsize i = 0; i < G_N_ELEMENTS (paths); i++)
    {
      g_autoptr (KcpMessage) message = calls_message (paths[i], NULL);

      g_assert_true (kcp_actor_tell (actor, message, NULL));
    }
  kcp_test_assert_serves (actor);

  g_assert_false (kcp_actor_tell (actor, bad, &error));
  kcp_test_assert_error (error, KCP_ERROR, KCP_ERROR_INVALID_MESSAGE, "telling");
  kcp_test_end (actor);
}

/* ---- many ---- */

#define MANY 10000

typedef struct
{
  guint completed;
  guint order[MANY];
} Many;

static Many *many;

static void
on_one_of_many (GObject      *source,
                GAsyncResult *result,
                gpointer      data)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (KcpMessage) answer = kcp_actor_ask_finish (KCP_ACTOR (source), result, &error);

  g_assert_no_error (error);
  g_assert_cmpint (json_node_get_int (kcp_message_get_body (answer, NULL)), ==, GPOINTER_TO_UINT (data));
  g_assert_cmpuint (many->completed, <, MANY);
  many->order[many->completed++] = GPOINTER_TO_UINT (data);
}

static gboolean
all_completed (gpointer data)
{
  return many->completed == MANY;
}

static void
test_many (void)
{
  g_autoptr (KcpLauncher) launcher = calls_launcher (NULL);
  KcpActor *actor;

  /* Not one of them may wait in the mailbox, and there is room for those that ask about them. */
  kcp_launcher_set_max_in_flight (launcher, MANY + 10);
  actor = calls_spawn_with (launcher);

  many = g_new0 (Many, 1);
  for (guint i = 0; i < MANY; i++)
    {
      g_autoptr (KcpMessage) message = kcp_message_new ("hold", json_node_init_int (json_node_alloc (), i));

      kcp_actor_ask_async (actor, message, NULL, on_one_of_many, GUINT_TO_POINTER (i));
    }
  g_assert_cmpuint (kcp_actor_get_in_flight (actor), ==, MANY);
  calls_expect (actor, "count-held", NULL, G_STRINGIFY (MANY));
  g_assert_cmpuint (many->completed, ==, 0);

  calls_expect (actor, "release", NULL, G_STRINGIFY (MANY));
  kcp_test_wait (all_completed, NULL, "all answers");
  for (guint i = 0; i < MANY; i++)
    g_assert_cmpuint (many->order[i], ==, MANY - 1 - i);
  g_assert_cmpuint (kcp_actor_get_in_flight (actor), ==, 0);

  kcp_test_end (actor);
  g_clear_pointer (&many, g_free);
}

static void
test_thread (void)
{
  KcpActor *actor = calls_spawn (NULL);
  KcpTestCall *calls[50];

  for (gsize i = 0; i < G_N_ELEMENTS (calls); i++)
    {
      g_autofree char *json = g_strdup_printf ("[%d]", (int) i);

      calls[i] = kcp_test_call (actor, "thread", json, NULL);
    }
  for (gsize i = 0; i < G_N_ELEMENTS (calls); i++)
    {
      g_autofree char *json = g_strdup_printf ("[%d]", (int) i);
      g_autofree char *text = calls_take (calls[i], NULL);

      g_assert_cmpstr (text, ==, json);
    }
  kcp_test_end (actor);
}

static void
test_answered_twice (void)
{
  KcpActor *actor = calls_spawn (NULL);

  calls_expect (actor, "twice", NULL, "1");
  kcp_test_assert_serves (actor);
  kcp_test_end (actor);
  g_assert_nonnull (kcp_test_find_log ("answered twice"));
}

/* ---- bodies ---- */

static void
test_bytes (void)
{
  static const guint8 data[] = { 0, 1, 0xff, 0xfe, '"', '{', 0 };
  KcpActor *actor = calls_spawn (NULL);
  g_autoptr (GBytes) bytes = g_bytes_new_static (data, sizeof data);
  g_autoptr (GBytes) nothing = g_bytes_new (NULL, 0);

  for (int i = 0; i < 2; i++)
    {
      GBytes *sent = i == 0 ? bytes : nothing;
      g_autoptr (KcpMessage) message = kcp_message_new_bytes ("echo", sent, "application/x-test; v=1");
      g_autoptr (KcpTestCall) call = calls_call (actor, message, NULL);
      g_autoptr (GError) error = NULL;

      kcp_test_call_wait (call);
      g_assert_no_error (call->error);
      g_assert_cmpstr (kcp_message_get_content_type (call->answer), ==, "application/x-test; v=1");
      g_assert_true (g_bytes_equal (kcp_message_get_body_bytes (call->answer, NULL), sent));
      g_assert_null (kcp_message_get_body (call->answer, &error));
      kcp_test_assert_error (error, KCP_ERROR, KCP_ERROR_INVALID_MESSAGE, "application/x-test");
    }
  kcp_test_end (actor);
}

/* What the handler calls JSON and is none is found where it is read. */
static void
test_broken_answer (void)
{
  static const char *const texts[] = { "{", "[1,]", "nul", "{\\\"a\\\":1,\\\"a\\\":2}",
                                       "99999999999999999999" };
  KcpActor *actor = calls_spawn (NULL);

  for (gsize i = 0; i < G_N_ELEMENTS (texts); i++)
    {
      g_autofree char *json = g_strdup_printf ("{\"text\":\"%s\"}", texts[i]);
      g_autoptr (KcpTestCall) call = kcp_test_call (actor, "bytes", json, NULL);
      g_autoptr (GError) error = NULL;

      kcp_test_call_wait (call);
      g_assert_no_error (call->error);
      g_assert_null (kcp_message_get_body (call->answer, &error));
      kcp_test_assert_error (error, KCP_ERROR, KCP_ERROR_INVALID_MESSAGE, "");
    }
  kcp_test_assert_serves (actor);
  kcp_test_end (actor);
}

/* The other way: the handler's own reading fails, and its error comes back as what it is. */
static void
test_broken_question (void)
{
  KcpActor *actor = calls_spawn (NULL);
  g_autoptr (GBytes) bytes = g_bytes_new_static ("[\xff]", 3);
  g_autoptr (KcpMessage) message = kcp_message_new_bytes ("parse", bytes, NULL);
  g_autoptr (KcpTestCall) call = calls_call (actor, message, NULL);

  kcp_test_call_wait (call);
  kcp_test_assert_error (call->error, KCP_ERROR, KCP_ERROR_INVALID_MESSAGE, "");
  kcp_test_assert_serves (actor);
  kcp_test_end (actor);
}

/* ---- limits ---- */

static KcpActor *
spawn_small (void)
{
  g_autoptr (KcpLauncher) launcher = calls_launcher (NULL);

  kcp_launcher_set_frame_limit (launcher, 128 * 1024);
  return calls_spawn_with (launcher);
}

static char *
text_of_size (gsize size)
{
  char *text = g_strnfill (size, 'x');

  text[0] = text[size - 1] = '"';
  return text;
}

static void
test_too_large_question (void)
{
  KcpActor *actor = spawn_small ();
  g_autofree char *large = text_of_size (128 * 1024);
  g_autofree char *fits = text_of_size (128 * 1024 - 200);
  g_autoptr (KcpMessage) message = calls_message ("note", large);
  g_autoptr (GError) error = NULL;
  g_autofree char *seen = NULL;

  calls_expect_error (actor, "echo", large, KCP_ERROR, KCP_ERROR_TOO_LARGE, "131072");
  calls_expect (actor, "echo", fits, fits);
  g_assert_false (kcp_actor_tell (actor, message, &error));
  kcp_test_assert_error (error, KCP_ERROR, KCP_ERROR_TOO_LARGE, "131072");

  seen = calls_seen (actor);
  g_assert_cmpstr (seen, ==, "");
  kcp_test_end (actor);
}

static void
test_too_large_answer (void)
{
  KcpActor *actor = spawn_small ();
  g_autoptr (KcpTestCall) call = NULL;

  calls_expect_error (actor, "bytes", "{\"size\":131073}", KCP_ERROR, KCP_ERROR_TOO_LARGE, "“bytes”");
  calls_expect_error (actor, "bytes", "{\"size\":1000000,\"type\":\"a/b\"}", KCP_ERROR, KCP_ERROR_TOO_LARGE,
                      "131072");
  call = kcp_test_call (actor, "bytes", "{\"size\":131000}", NULL);
  kcp_test_call_wait (call);
  g_assert_no_error (call->error);
  g_assert_cmpuint (g_bytes_get_size (kcp_message_get_body_bytes (call->answer, NULL)), ==, 131000);
  kcp_test_end (actor);
}

/* The default limit, nearly reached both ways. */
static void
test_large (void)
{
  KcpActor *actor = calls_spawn (NULL);
  g_autofree char *text = text_of_size (16 * 1024 * 1024 - 1000);
  g_autofree char *answer = NULL;
  g_autoptr (GError) error = NULL;

  answer = kcp_test_ask (actor, "echo", text, &error);
  g_assert_no_error (error);
  g_assert_true (strcmp (text, answer) == 0);
  kcp_test_end (actor);
}

int
main (int    argc,
      char **argv)
{
  kcp_test_init (&argc, &argv);
  kcp_test_add ("/calls/plain", test_plain);
  kcp_test_add ("/calls/actor", test_actor);
  kcp_test_add ("/calls/exited", test_exited);
  kcp_test_add ("/calls/no-callback", test_no_callback);
  kcp_test_add ("/calls/path", test_path);
  kcp_test_add ("/calls/tell", test_tell);
  kcp_test_add ("/calls/tell-nowhere", test_tell_nowhere);
  kcp_test_add ("/calls/many", test_many);
  kcp_test_add ("/calls/thread", test_thread);
  kcp_test_add ("/calls/answered-twice", test_answered_twice);
  kcp_test_add ("/calls/bytes", test_bytes);
  kcp_test_add ("/calls/broken-answer", test_broken_answer);
  kcp_test_add ("/calls/broken-question", test_broken_question);
  kcp_test_add ("/calls/too-large-question", test_too_large_question);
  kcp_test_add ("/calls/too-large-answer", test_too_large_answer);
  kcp_test_add ("/calls/large", test_large);
  return kcp_test_run ();
}
