/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The plugins echo, count and ask, in children of their own. */
#include "plugin-host.h"

#include <string.h>

/* ---- echo ---- */

static void
test_echo (void)
{
  const char *const bodies[] = {
    "null", "true", "false", "0", "-9223372036854775808", "9223372036854775807", "1.5",
    "\"\"", "\"zażółć \\u0001 \\\"\\\\ 😀\"", "[]", "{}",
    "{\"a\":[1,{\"b\":[null,\"x\"]}],\"\":2}",
  };
  KcpActor *actor = plugin_start ("echo", NULL, NULL, NULL);

  for (gsize i = 0; i < G_N_ELEMENTS (bodies); i++)
    plugin_expect (actor, "echo", bodies[i], bodies[i]);

  plugin_stop (actor);
}

static void
test_echo_big (void)
{
  g_autofree char *letters = g_strnfill (3 * 1024 * 1024, 'x');
  g_autofree char *body = g_strdup_printf ("\"%s\"", letters);
  KcpActor *actor = plugin_start ("echo", NULL, NULL, NULL);
  g_autoptr(GError) error = NULL;
  g_autofree char *answer = plugin_ask (actor, "echo", body, &error);

  /* Not g_assert_cmpstr(): nobody wants to see it. */
  g_assert_no_error (error);
  g_assert_true (g_str_equal (answer, body));

  plugin_stop (actor);
}

static void
check_echo_refuses (KcpActor   *actor,
                    const char *bytes,
                    const char *content_type)
{
  g_autoptr(GBytes) body = g_bytes_new_static (bytes, strlen (bytes));
  g_autoptr(KcpMessage) message = kcp_message_new_bytes ("echo", body, content_type);
  g_autoptr(GError) error = NULL;
  g_autofree char *answer = plugin_ask_message (actor, message, &error);

  g_assert_error (error, KCP_ERROR, KCP_ERROR_INVALID_MESSAGE);
  g_assert_null (answer);
}

static void
test_echo_no_json (void)
{
  KcpActor *actor = plugin_start ("echo", NULL, NULL, NULL);

  check_echo_refuses (actor, "{\"a\":", NULL);
  check_echo_refuses (actor, "{\"a\":1,\"a\":2}", NULL);
  check_echo_refuses (actor, "1", "application/octet-stream");

  /* It is none the worse for it. */
  plugin_expect (actor, "echo", "1", "1");
  plugin_stop (actor);
}

static void
test_manifest (void)
{
  KcpActor *actor = plugin_start ("count", NULL, NULL, NULL);
  KcpManifest *manifest = kcp_actor_get_manifest (actor);

  g_assert_cmpstr (kcp_manifest_get_name (manifest), ==, "count");
  g_assert_cmpstr (kcp_manifest_get_version (manifest), ==, "1");
  g_assert_true (g_strv_contains (kcp_manifest_get_paths (manifest), "count"));
  g_assert_true (g_strv_contains (kcp_manifest_get_paths (manifest), "running"));
  g_assert_nonnull (kcp_manifest_get_path_description (manifest, "count"));
  g_assert_false (kcp_manifest_serves_any_path (manifest));

  plugin_expect_error (actor, "echo", "1", KCP_ERROR, KCP_ERROR_UNKNOWN_PATH, "echo");
  plugin_stop (actor);
}

/* ---- count ---- */

static void
test_count (void)
{
  KcpActor *actor = plugin_start ("count", NULL, NULL, NULL);
  g_autoptr(GString) hundred = g_string_new (NULL);

  plugin_expect_items (actor, "count", "{\"to\":3}", "{\"n\":1}\n{\"n\":2}\n{\"n\":3}\n{\"count\":3}\n");
  plugin_expect_items (actor, "count", "{\"from\":-1,\"to\":0}", "{\"n\":-1}\n{\"n\":0}\n{\"count\":2}\n");
  plugin_expect_items (actor, "count", "{\"to\":0}", "{\"count\":0}\n");
  plugin_expect_items (actor, "count", "{\"to\":-9223372036854775808}", "{\"count\":0}\n");
  plugin_expect_items (actor, "count", "{\"to\":2,\"every_ms\":1}", "{\"n\":1}\n{\"n\":2}\n{\"count\":2}\n");
  plugin_expect_items (actor, "count", "{\"from\":9223372036854775806,\"to\":9223372036854775807}",
                       "{\"n\":9223372036854775806}\n{\"n\":9223372036854775807}\n{\"count\":2}\n");

  /* More than one turn of the loop. */
  for (int i = 1; i <= 100; i++)
    g_string_append_printf (hundred, "{\"n\":%d}\n", i);
  g_string_append (hundred, "{\"count\":100}\n");
  plugin_expect_items (actor, "count", "{\"to\":100}", hundred->str);

  plugin_expect (actor, "running", "null", "{\"running\":0}");
  plugin_stop (actor);
}

static void
test_count_arguments (void)
{
  static const struct { const char *body, *part; } cases[] = {
    { "null", "“to”" },
    { "[3]", "“to”" },
    { "{}", "“to”" },
    { "{\"to\":\"3\"}", "“to”" },
    { "{\"to\":3.5}", "“to”" },
    { "{\"to\":null}", "“to”" },
    { "{\"to\":[3]}", "“to”" },
    { "{\"to\":3,\"from\":true}", "“from”" },
    { "{\"to\":3,\"every_ms\":-1}", "“every_ms”" },
    { "{\"to\":3,\"every_ms\":4294967296}", "“every_ms”" },
    { "{\"from\":-9223372036854775808,\"to\":9223372036854775807}", "“from”" },
  };
  KcpActor *actor = plugin_start ("count", NULL, NULL, NULL);

  for (gsize i = 0; i < G_N_ELEMENTS (cases); i++)
    plugin_expect_error (actor, "count", cases[i].body,
                         KCP_ERROR, KCP_ERROR_INVALID_ARGUMENT, cases[i].part);

  plugin_stop (actor);
}

/* Takes three items of an almost endless count, and cancels it. */
static void
cancel_count (KcpActor   *actor,
              const char *body,
              int         n_items)
{
  g_autoptr(GCancellable) cancellable = g_cancellable_new ();
  g_autoptr(KcpStream) stream = plugin_stream (actor, "count", body, cancellable);
  g_autoptr(GError) error = NULL;

  for (int i = 1; i <= n_items; i++)
    {
      g_autofree char *expected = g_strdup_printf ("{\"n\":%d}", i);
      g_autofree char *item = plugin_next (stream, &error);

      g_assert_no_error (error);
      g_assert_cmpstr (item, ==, expected);
    }

  /* The child is not held up by it. */
  plugin_expect (actor, "running", "null", "{\"running\":1}");

  g_cancellable_cancel (cancellable);
  plugin_drain (stream, &error);
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CANCELLED);
}

static void
wait_until_nothing_runs (KcpActor *actor)
{
  g_autofree char *running = NULL;

  /* The count ends in a turn of the child's loop of its own; until then we ask. */
  do
    {
      g_autoptr(GError) error = NULL;

      g_free (running);
      running = plugin_ask (actor, "running", "null", &error);
      g_assert_no_error (error);
    }
  while (!g_str_equal (running, "{\"running\":0}"));
}

static void
test_count_cancelled (void)
{
  KcpActor *actor = plugin_start ("count", NULL, NULL, NULL);

  cancel_count (actor, "{\"to\":9223372036854775807}", 100);
  wait_until_nothing_runs (actor);

  /* Here the next number is far away, but the end is not. */
  cancel_count (actor, "{\"to\":1000,\"every_ms\":86400000}", 1);
  wait_until_nothing_runs (actor);

  plugin_stop (actor);
}

static void
test_count_closed (void)
{
  KcpActor *actor = plugin_start ("count", NULL, NULL, NULL);
  g_autoptr(KcpStream) stream = plugin_stream (actor, "count", "{\"to\":9223372036854775807}", NULL);
  g_autoptr(GError) error = NULL;
  g_autofree char *item = plugin_next (stream, &error);

  g_assert_no_error (error);
  g_assert_cmpstr (item, ==, "{\"n\":1}");
  kcp_stream_close (stream);
  wait_until_nothing_runs (actor);

  plugin_stop (actor);
}

/* ---- ask: the host's side ---- */

typedef struct
{
  KcpCallbackRouter *router;
  KcpActor *actor;
  char *noted;
} Host;

static void
host_echo (KcpInvocation *invocation,
           gpointer       user_data)
{
  g_autoptr(GError) error = NULL;
  JsonNode *body = kcp_invocation_get_body (invocation, &error);

  g_assert_no_error (error);
  kcp_invocation_reply (invocation, json_node_ref (body));
}

static void
host_fail (KcpInvocation *invocation,
           gpointer       user_data)
{
  kcp_invocation_fail_printf (invocation, G_FILE_ERROR, G_FILE_ERROR_NOSPC, "no room for 100%% of it");
}

/* Two items, and then the end; or with true as its body, an error. */
static void
host_stream (KcpInvocation *invocation,
             gpointer       user_data)
{
  g_autoptr(GError) error = NULL;
  JsonNode *body = kcp_invocation_get_body (invocation, &error);

  g_assert_no_error (error);
  g_assert_true (kcp_invocation_send_item (invocation, json_node_init_int (json_node_alloc (), 1)));
  g_assert_true (kcp_invocation_send_item (invocation, json_node_init_string (json_node_alloc (), "two")));
  if (JSON_NODE_HOLDS_NULL (body))
    kcp_invocation_reply (invocation, json_node_init_boolean (json_node_alloc (), TRUE));
  else
    host_fail (invocation, user_data);
}

static void
host_note (KcpInvocation *invocation,
           gpointer       user_data)
{
  Host *host = user_data;
  g_autoptr(GError) error = NULL;

  g_assert_false (kcp_invocation_wants_reply (invocation));
  g_assert_null (host->noted);
  host->noted = kcp_json_to_string (kcp_invocation_get_body (invocation, &error), &error);
  g_assert_no_error (error);
}

/* What to ask the child's `nest`: one less than it has asked. */
static KcpMessage *
new_nested (KcpInvocation *invocation)
{
  g_autoptr(GError) error = NULL;
  JsonNode *body = kcp_invocation_get_body (invocation, &error);
  g_autofree char *text = NULL;
  KcpMessage *message;
  gint64 depth;

  g_assert_no_error (error);
  depth = json_object_get_int_member (json_node_get_object (body), "depth");
  text = g_strdup_printf ("{\"depth\":%" G_GINT64_FORMAT "}", depth - 1);
  message = kcp_message_new_text ("nest", text, &error);
  g_assert_no_error (error);
  return message;
}

static void
host_nest_blocking (KcpInvocation *invocation,
                    gpointer       user_data)
{
  Host *host = user_data;
  g_autoptr(KcpMessage) message = new_nested (invocation);
  GError *error = NULL;
  g_autoptr(KcpMessage) answer = kcp_actor_ask (host->actor, message, NULL, &error);

  if (answer)
    kcp_invocation_reply_message (invocation, answer);
  else
    kcp_invocation_take_error (invocation, error);
}

static void
nest_cb (GObject      *actor,
         GAsyncResult *result,
         gpointer      user_data)
{
  g_autoptr(KcpInvocation) invocation = user_data;
  GError *error = NULL;
  g_autoptr(KcpMessage) answer = kcp_actor_ask_finish (KCP_ACTOR (actor), result, &error);

  if (answer)
    kcp_invocation_reply_message (invocation, answer);
  else
    kcp_invocation_take_error (invocation, error);
}

static void
host_nest_async (KcpInvocation *invocation,
                 gpointer       user_data)
{
  Host *host = user_data;
  g_autoptr(KcpMessage) message = new_nested (invocation);

  kcp_actor_ask_async (host->actor, message, NULL, nest_cb, kcp_invocation_ref (invocation));
}

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
host_init (Host *self)
{
  self->router = kcp_callback_router_new ();
  host_add (self, "echo", host_echo);
  host_add (self, "fail", host_fail);
  host_add (self, "stream", host_stream);
  host_add (self, "note", host_note);
  self->actor = plugin_start ("ask", KCP_CALLBACK_HANDLER (self->router), NULL, NULL);
}

static void
host_clear (Host *self)
{
  plugin_stop (self->actor);
  g_object_unref (self->router);
  g_free (self->noted);
}

/* ---- ask ---- */

static void
test_ask (gconstpointer path)
{
  Host host = { 0 };

  host_init (&host);
  plugin_expect (host.actor, path, "{\"path\":\"echo\",\"body\":{\"a\":[1,null]}}",
                 "{\"answer\":{\"a\":[1,null]}}");
  plugin_expect (host.actor, path, "{\"path\":\"echo\"}", "{\"answer\":null}");

  /* An error comes through as the host has made it. */
  plugin_expect_error (host.actor, path, "{\"path\":\"fail\"}",
                       G_FILE_ERROR, G_FILE_ERROR_NOSPC, "no room for 100% of it");
  plugin_expect_error (host.actor, path, "{\"path\":\"nowhere\"}",
                       KCP_ERROR, KCP_ERROR_UNKNOWN_PATH, "nowhere");

  plugin_expect_error (host.actor, path, "{\"path\":7}",
                       KCP_ERROR, KCP_ERROR_INVALID_ARGUMENT, "“path”");
  plugin_expect_error (host.actor, path, "{}", KCP_ERROR, KCP_ERROR_INVALID_ARGUMENT, "“path”");
  plugin_expect_error (host.actor, path, "\"echo\"", KCP_ERROR, KCP_ERROR_INVALID_ARGUMENT, "object");
  plugin_expect_error (host.actor, path, "{\"path\":\"\"}", KCP_ERROR, KCP_ERROR_INVALID_MESSAGE, "path");
  host_clear (&host);
}

static void
test_collect (void)
{
  Host host = { 0 };

  host_init (&host);
  plugin_expect (host.actor, "collect", "{\"path\":\"stream\"}", "{\"items\":[1,\"two\"],\"result\":true}");
  /* What answers at once is a stream without items. */
  plugin_expect (host.actor, "collect", "{\"path\":\"echo\",\"body\":1}", "{\"items\":[],\"result\":1}");
  plugin_expect_error (host.actor, "collect", "{\"path\":\"stream\",\"body\":true}",
                       G_FILE_ERROR, G_FILE_ERROR_NOSPC, "no room");
  plugin_expect_error (host.actor, "collect", "{\"path\":\"nowhere\"}",
                       KCP_ERROR, KCP_ERROR_UNKNOWN_PATH, "nowhere");
  host_clear (&host);
}

static void
test_tell (void)
{
  Host host = { 0 };

  host_init (&host);
  plugin_expect (host.actor, "tell", "{\"path\":\"note\",\"body\":[1,2]}", "{\"told\":\"note\"}");
  /* It was sent before the answer, and is taken before it. */
  g_assert_cmpstr (host.noted, ==, "[1,2]");
  host_clear (&host);
}

static void
test_nest (gconstpointer func)
{
  GString *expected = g_string_new ("{\"depth\":0}");
  g_autofree char *eight = NULL;
  Host host = { 0 };

  for (int i = 1; i <= 8; i++)
    {
      g_autofree char *inner = g_string_free (expected, FALSE);

      expected = g_string_new (NULL);
      g_string_printf (expected, "{\"depth\":%d,\"inner\":%s}", i, inner);
    }
  eight = g_string_free (expected, FALSE);

  host_init (&host);
  host_add (&host, "nest", (KcpCallbackFunc) func);
  plugin_expect (host.actor, "nest", "{\"depth\":0}", "{\"depth\":0}");
  plugin_expect (host.actor, "nest", "{\"depth\":8}", eight);
  plugin_expect_error (host.actor, "nest", "{\"depth\":-1}",
                       KCP_ERROR, KCP_ERROR_INVALID_ARGUMENT, "“depth”");
  plugin_expect_error (host.actor, "nest", "{\"depth\":\"1\"}",
                       KCP_ERROR, KCP_ERROR_INVALID_ARGUMENT, "“depth”");
  host_clear (&host);
}

int
main (int    argc,
      char **argv)
{
  g_test_init (&argc, &argv, NULL);

  g_test_add_func ("/plugins/echo", test_echo);
  g_test_add_func ("/plugins/echo/big", test_echo_big);
  g_test_add_func ("/plugins/echo/no-json", test_echo_no_json);
  g_test_add_func ("/plugins/manifest", test_manifest);
  g_test_add_func ("/plugins/count", test_count);
  g_test_add_func ("/plugins/count/arguments", test_count_arguments);
  g_test_add_func ("/plugins/count/cancelled", test_count_cancelled);
  g_test_add_func ("/plugins/count/closed", test_count_closed);
  g_test_add_data_func ("/plugins/ask/async", "ask", test_ask);
  g_test_add_data_func ("/plugins/ask/blocking", "ask-blocking", test_ask);
  g_test_add_func ("/plugins/ask/collect", test_collect);
  g_test_add_func ("/plugins/ask/tell", test_tell);
  g_test_add_data_func ("/plugins/ask/nest/host-blocks", host_nest_blocking, test_nest);
  g_test_add_data_func ("/plugins/ask/nest/host-waits", host_nest_async, test_nest);

  return g_test_run ();
}
