/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* peer.py, which knows kcp's protocol and nothing else of it, in the place of the stub.
 * KCP_TEST_PEER is its path. */
#include "plugin-host.h"

/* ---- a peer ---- */

typedef struct
{
  KcpCallbackRouter *router;
  KcpActor *actor;
  KcpInvocation *asked;         /* the callback that is not answered yet */
} Host;

static void
result_cb (GObject      *source,
           GAsyncResult *result,
           gpointer      user_data)
{
  GAsyncResult **slot = user_data;

  *slot = g_object_ref (result);
}

static GAsyncResult *
wait_for (GAsyncResult **slot)
{
  while (*slot == NULL)
    g_main_context_iteration (NULL, TRUE);
  return *slot;
}

/* @variable is PEER_HELLO, members for its HELLO, or PEER_PHASES, the phases it tells of; or NULL. */
static KcpActor *
peer_spawn (KcpCallbackHandler  *handler,
            const char          *variable,
            const char          *value,
            GError             **error)
{
  const char *peer = g_getenv ("KCP_TEST_PEER");
  g_autofree char *plugin = g_build_filename (g_getenv ("KCP_TEST_PLUGINS"), "echo.so", NULL);
  g_autoptr(KcpLauncher) launcher = kcp_launcher_new (plugin);
  g_autoptr(GAsyncResult) result = NULL;

  g_assert_nonnull (peer);
  kcp_launcher_set_stub (launcher, peer);
  kcp_launcher_set_start_timeout (launcher, 60000);
  if (handler)
    kcp_launcher_set_callback_handler (launcher, handler);
  if (variable)
    kcp_launcher_setenv (launcher, variable, value);

  kcp_launcher_spawn_async (launcher, NULL, result_cb, &result);
  return kcp_launcher_spawn_finish (launcher, wait_for (&result), error);
}

static KcpActor *
peer_start (KcpCallbackHandler *handler)
{
  g_autoptr(GError) error = NULL;
  KcpActor *actor = peer_spawn (handler, NULL, NULL, &error);

  g_assert_no_error (error);
  g_assert_cmpint (kcp_actor_get_state (actor), ==, KCP_ACTOR_READY);
  return actor;
}

/* ---- the host's side of callbacks ---- */

static void
host_add (Host            *self,
          const char      *path,
          KcpCallbackFunc  func)
{
  g_autoptr(GError) error = NULL;
  gboolean added = kcp_callback_router_add_func (self->router, path, func, self, NULL, &error);

  g_assert_no_error (error);
  g_assert_true (added);
}

static void
host_init (Host            *self,
           KcpCallbackFunc  ask)
{
  self->router = kcp_callback_router_new ();
  host_add (self, "ask", ask);
  self->actor = peer_start (KCP_CALLBACK_HANDLER (self->router));
}

static void
host_clear (Host *self)
{
  g_assert_null (self->asked);
  g_object_unref (self->router);
}

static void
host_keep (KcpInvocation *invocation,
           gpointer       user_data)
{
  Host *host = user_data;

  g_assert_null (host->asked);
  host->asked = kcp_invocation_ref (invocation);
}

static void
host_wait_until_asked (Host *self)
{
  while (self->asked == NULL)
    g_main_context_iteration (NULL, TRUE);
}

static void
host_refuse (KcpInvocation *invocation,
             gpointer       user_data)
{
  kcp_invocation_fail_printf (invocation, g_quark_from_static_string ("test-peer-quark"), 77, "not today");
}

/* Answers with what its own call inside of the callback has brought, and blocks meanwhile. */
static void
host_nest (KcpInvocation *invocation,
           gpointer       user_data)
{
  Host *host = user_data;
  g_autoptr(KcpMessage) message = kcp_message_new ("seen", NULL);
  GError *error = NULL;
  g_autoptr(KcpMessage) answer = kcp_actor_ask (host->actor, message, NULL, &error);

  g_assert_no_error (error);
  kcp_invocation_reply_message (invocation, answer);
}

static void
host_tell (KcpInvocation *invocation,
           gpointer       user_data)
{
  GString *told = user_data;
  g_autoptr(GError) error = NULL;
  g_autofree char *text = kcp_json_to_string (kcp_invocation_get_body (invocation, &error), &error);

  g_assert_no_error (error);
  g_assert_false (kcp_invocation_wants_reply (invocation));
  g_string_append (told, text);
}

/* ---- calls ---- */

static KcpMessage *
new_message (const char *path,
             int         timeout)
{
  KcpMessage *message = kcp_message_new (path, NULL);

  kcp_message_set_timeout (message, timeout);
  return message;
}

static void
test_answer (void)
{
  KcpActor *actor = peer_start (NULL);
  KcpManifest *manifest = kcp_actor_get_manifest (actor);
  g_autofree char *letters = g_strnfill (1024 * 1024, 'x');
  g_autofree char *body = g_strdup_printf ("\"%s\"", letters);
  g_autofree char *answer = NULL;
  g_autoptr(GError) error = NULL;

  g_assert_true (g_strv_contains (kcp_manifest_get_paths (manifest), "echo"));
  g_assert_null (kcp_manifest_get_path_description (manifest, "echo"));
  g_assert_null (kcp_manifest_get_version (manifest));

  plugin_expect (actor, "echo", "{\"ż\":[1,null,1.5]}", "{\"ż\":[1,null,1.5]}");
  answer = plugin_ask (actor, "echo", body, &error);
  g_assert_no_error (error);
  g_assert_true (g_str_equal (answer, body));

  plugin_stop (actor);
}

static void
test_errors (void)
{
  static const struct { const char *body; int code; } ours[] = {
    { "{\"domain\":\"kcp\",\"code\":\"busy\",\"message\":\"hm\"}", KCP_ERROR_BUSY },
    { "{\"domain\":\"kcp\",\"code\":\"unanswered\",\"message\":\"hm\"}", KCP_ERROR_UNANSWERED },
    { "{\"domain\":\"kcp\",\"code\":\"permission\",\"message\":\"hm\"}", KCP_ERROR_PERMISSION },
    { "{\"domain\":\"kcp\",\"code\":\"child-crashed\",\"message\":\"hm\"}", KCP_ERROR_HANDLER_FAILED },
    { "{\"domain\":\"kcp\",\"code\":\"plugin-load\",\"message\":\"hm\"}", KCP_ERROR_HANDLER_FAILED },
    { "{\"domain\":\"kcp\",\"code\":\"never-heard\",\"message\":\"hm\"}", KCP_ERROR_HANDLER_FAILED },
    { "{\"domain\":\"peer-quark\",\"code\":7,\"message\":\"hm\"}", KCP_ERROR_HANDLER_FAILED },
  };
  KcpActor *actor = peer_start (NULL);
  g_autofree char *answer = NULL;
  g_autoptr(GError) error = NULL;

  for (gsize i = 0; i < G_N_ELEMENTS (ours); i++)
    {
      g_test_message ("%s", ours[i].body);
      plugin_expect_error (actor, "fail", ours[i].body, KCP_ERROR, ours[i].code, "hm");
    }

  answer = plugin_ask (actor, "fail", "{\"domain\":\"peer-quark\",\"code\":-7,\"message\":\"hm\"}", &error);
  g_assert_null (answer);
  g_assert_cmpstr (kcp_error_get_remote_domain (error), ==, "peer-quark");
  g_assert_cmpint (kcp_error_get_remote_code (error), ==, -7);
  g_assert_cmpstr (kcp_error_get_remote_message (error), ==, "hm");

  /* A domain that this program knows. */
  plugin_expect_error (actor, "fail", "{\"domain\":\"g-io-error-quark\",\"code\":1,\"message\":\"gone\"}",
                       G_IO_ERROR, G_IO_ERROR_NOT_FOUND, "gone");
  plugin_expect_error (actor, "nirgends", "1", KCP_ERROR, KCP_ERROR_UNKNOWN_PATH, "none");
  plugin_stop (actor);
}

static void
test_stream (void)
{
  KcpActor *actor = peer_start (NULL);
  g_autoptr(GCancellable) cancellable = g_cancellable_new ();
  g_autoptr(KcpStream) stream = NULL;
  g_autoptr(GError) error = NULL;

  plugin_expect_items (actor, "count", "{\"to\":3}", "{\"n\":1}\n{\"n\":2}\n{\"n\":3}\n{\"count\":3}\n");

  stream = plugin_stream (actor, "count", "{\"to\":9223372036854775807}", cancellable);
  for (int i = 1; i <= 100; i++)
    {
      g_autofree char *expected = g_strdup_printf ("{\"n\":%d}", i);
      g_autofree char *item = plugin_next (stream, &error);

      g_assert_no_error (error);
      g_assert_cmpstr (item, ==, expected);
    }

  /* It goes on with others meanwhile, and it hears of the end. */
  plugin_expect (actor, "stopped", "null", "[]");
  g_cancellable_cancel (cancellable);
  plugin_drain (stream, &error);
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CANCELLED);
  plugin_expect (actor, "stopped", "null", "[\"count\"]");
  plugin_stop (actor);
}

static void
test_fields (void)
{
  KcpActor *actor = peer_start (NULL);
  g_autoptr(KcpTraceContext) trace = kcp_trace_context_new ();
  g_autoptr(KcpMessage) never = new_message ("never", 50);
  g_autoptr(KcpMessage) seen = new_message ("seen", 60000);
  g_autoptr(GError) error = NULL;
  g_autofree char *text = NULL;
  g_autoptr(JsonNode) node = NULL;
  gint64 left;

  kcp_message_set_trace_context (seen, trace);
  text = plugin_ask_message (actor, seen, &error);
  g_assert_no_error (error);
  plugin_assert_part (text, kcp_trace_context_get_trace_id (trace));
  node = kcp_json_parse (text, -1, &error);
  g_assert_no_error (error);
  left = json_object_get_int_member (json_node_get_object (node), "5");
  g_assert_cmpint (left, >, 0);
  g_assert_cmpint (left, <=, 60000);

  g_assert_null (plugin_ask_message (actor, never, &error));
  g_assert_error (error, KCP_ERROR, KCP_ERROR_TIMED_OUT);
  plugin_expect (actor, "stopped", "null", "[\"never\"]");
  plugin_stop (actor);
}

/* ---- callbacks ---- */

static void
test_callback (void)
{
  g_autoptr(KcpMessage) message = NULL;
  g_autoptr(KcpMessage) answer = NULL;
  g_autoptr(GError) error = NULL;
  g_autofree char *text = NULL;
  Host host = { 0 };

  host_init (&host, host_nest);
  plugin_expect (host.actor, "echo", "1", "1");

  /* Blocking on both ends of it: what goes on can only be known from the parents. */
  message = new_message ("ask", 60000);
  answer = kcp_actor_ask (host.actor, message, NULL, &error);
  g_assert_no_error (error);
  text = kcp_json_to_string (kcp_message_get_body (answer, &error), &error);
  g_assert_no_error (error);
  plugin_assert_part (text, "\"6\":1");

  plugin_stop (host.actor);
  host_clear (&host);
}

static void
test_callback_fails (void)
{
  g_autoptr(GError) error = NULL;
  Host host = { 0 };

  host_init (&host, host_refuse);
  g_assert_null (plugin_ask (host.actor, "ask", "null", &error));
  g_assert_error (error, KCP_ERROR, KCP_ERROR_HANDLER_FAILED);
  g_assert_cmpstr (kcp_error_get_remote_domain (error), ==, "test-peer-quark");
  g_assert_cmpint (kcp_error_get_remote_code (error), ==, 77);

  plugin_stop (host.actor);
  host_clear (&host);
}

static void
test_callback_order (void)
{
  g_autoptr(GString) told = g_string_new (NULL);
  g_autoptr(GError) error = NULL;
  Host host = { 0 };

  host_init (&host, host_refuse);
  kcp_callback_router_add_func (host.router, "tell", host_tell, told, NULL, &error);
  g_assert_no_error (error);

  /* A PING is not among what is counted. */
  plugin_expect (host.actor, "ping", "null", "[true]");
  for (int i = 0; i < 20; i++)
    {
      g_string_truncate (told, 0);
      plugin_expect (host.actor, "tell", "null", "null");
      g_assert_cmpstr (told->str, ==, "012345678");
    }

  plugin_stop (host.actor);
  host_clear (&host);
}

static void
test_callback_cancelled (void)
{
  g_autoptr(GCancellable) cancellable = g_cancellable_new ();
  g_autoptr(KcpMessage) message = new_message ("ask", KCP_TIMEOUT_NONE);
  g_autoptr(GAsyncResult) result = NULL;
  g_autoptr(GError) error = NULL;
  Host host = { 0 };

  host_init (&host, host_keep);
  kcp_actor_ask_async (host.actor, message, cancellable, result_cb, &result);
  host_wait_until_asked (&host);

  /* The peer cancels what it has asked for the sake of a call that is cancelled. */
  g_cancellable_cancel (cancellable);
  g_assert_null (kcp_actor_ask_finish (host.actor, wait_for (&result), &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CANCELLED);
  while (kcp_invocation_is_open (host.asked))
    g_main_context_iteration (NULL, TRUE);
  g_assert_true (g_cancellable_is_cancelled (kcp_invocation_get_cancellable (host.asked)));
  g_clear_pointer (&host.asked, kcp_invocation_unref);

  plugin_expect (host.actor, "stopped", "null", "[\"ask\"]");
  plugin_stop (host.actor);
  host_clear (&host);
}

/* ---- link frames ---- */

static void
test_pinged (void)
{
  KcpActor *actor = peer_start (NULL);

  /* Silence while a call is open: the host wants to know. */
  plugin_expect (actor, "pinged", "null", "true");
  g_assert_true (kcp_actor_get_responsive (actor));
  plugin_stop (actor);
}

static void
test_goodbye (void)
{
  g_autoptr(KcpMessage) last = new_message ("last", KCP_TIMEOUT_NONE);
  g_autoptr(GAsyncResult) answered = NULL;
  g_autoptr(GAsyncResult) stopped = NULL;
  g_autoptr(KcpExitReport) report = NULL;
  g_autoptr(KcpMessage) answer = NULL;
  g_autoptr(GError) error = NULL;
  g_autofree char *text = NULL;
  Host host = { 0 };

  host_init (&host, host_nest);
  kcp_actor_ask_async (host.actor, last, NULL, result_cb, &answered);
  kcp_actor_stop_async (host.actor, NULL, result_cb, &stopped);

  /* It asks back only after the GOODBYE, and our question within that is answered still. */
  answer = kcp_actor_ask_finish (host.actor, wait_for (&answered), &error);
  g_assert_no_error (error);
  text = kcp_json_to_string (kcp_message_get_body (answer, &error), &error);
  g_assert_no_error (error);
  plugin_assert_part (text, "\"6\":1");

  report = kcp_actor_stop_finish (host.actor, wait_for (&stopped), &error);
  g_assert_no_error (error);
  g_assert_cmpint (kcp_exit_report_get_reason (report), ==, KCP_EXIT_STOPPED);
  g_assert_cmpint (kcp_exit_report_get_exit_code (report), ==, 0);
  g_object_unref (host.actor);
  host_clear (&host);
}

/* ---- the start ---- */

/* One that speaks more than we do and says more, and one that tells of each phase. */
static void
test_accepted (void)
{
  static const struct { const char *variable, *value; } cases[] = {
    { "PEER_HELLO", "{\"protocol\":{\"min\":1,\"max\":9},\"features\":[\"a\"],\"more\":[1]}" },
    { "PEER_PHASES", "opening symbols starting ready" },
  };

  for (gsize i = 0; i < G_N_ELEMENTS (cases); i++)
    {
      g_autoptr(GError) error = NULL;
      KcpActor *actor = peer_spawn (NULL, cases[i].variable, cases[i].value, &error);

      g_assert_no_error (error);
      plugin_expect (actor, "echo", "1", "1");
      plugin_stop (actor);
    }
}

static void
expect_refused (const char *variable,
                const char *value,
                int         code,
                const char *part)
{
  g_autoptr(GError) error = NULL;
  g_autoptr(KcpActor) actor = peer_spawn (NULL, variable, value, &error);

  g_assert_null (actor);
  g_test_message ("%s ► %s", value, error->message);
  g_assert_error (error, KCP_ERROR, code);
  plugin_assert_part (error->message, part);
}

static void
test_refused_hello (void)
{
  static const struct { const char *hello; int code; const char *part; } cases[] = {
    { "{\"token\":\"00000000000000000000000000000000\"}", KCP_ERROR_PERMISSION, "token" },
    { "{\"token\":\"\"}", KCP_ERROR_PERMISSION, "token" },
    { "{\"token\":7}", KCP_ERROR_PROTOCOL, "token" },
    { "{\"side\":\"host\"}", KCP_ERROR_HANDSHAKE_FAILED, "peer.py 1" },
    { "{\"socket\":\"request\"}", KCP_ERROR_HANDSHAKE_FAILED, "peer.py 1" },
    { "{\"protocol\":1}", KCP_ERROR_PROTOCOL, "protocol" },
    { "{\"protocol\":{\"min\":2,\"max\":1}}", KCP_ERROR_PROTOCOL, "protocol" },
    { "{\"limits\":{\"frame\":-1}}", KCP_ERROR_PROTOCOL, "frame" },
    { "{\"protocol\":{\"min\":2,\"max\":3}}", KCP_ERROR_VERSION_MISMATCH,
      "(kcp " KCP_VERSION_STRING ") speaks 1, the child (peer.py 1) speaks 2 to 3" },
  };

  for (gsize i = 0; i < G_N_ELEMENTS (cases); i++)
    expect_refused ("PEER_HELLO", cases[i].hello, cases[i].code, cases[i].part);
}

/* Often: the `ready` that comes too late may have arrived when the child is given up. */
static void
test_refused_phases (void)
{
  for (int i = 0; i < 10; i++)
    expect_refused ("PEER_PHASES", i % 2 ? "open ready" : "symbols opening ready",
                    KCP_ERROR_PROTOCOL, "phase");
}

int
main (int    argc,
      char **argv)
{
  g_test_init (&argc, &argv, NULL);

  g_test_add_func ("/peer/child/answer", test_answer);
  g_test_add_func ("/peer/child/errors", test_errors);
  g_test_add_func ("/peer/child/stream", test_stream);
  g_test_add_func ("/peer/child/fields", test_fields);
  g_test_add_func ("/peer/child/callback", test_callback);
  g_test_add_func ("/peer/child/callback/fails", test_callback_fails);
  g_test_add_func ("/peer/child/callback/order", test_callback_order);
  g_test_add_func ("/peer/child/callback/cancelled", test_callback_cancelled);
  g_test_add_func ("/peer/child/pinged", test_pinged);
  g_test_add_func ("/peer/child/goodbye", test_goodbye);
  g_test_add_func ("/peer/child/accepted", test_accepted);
  g_test_add_func ("/peer/child/refused/hello", test_refused_hello);
  g_test_add_func ("/peer/child/refused/phases", test_refused_phases);

  return g_test_run ();
}
