/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "calls-test.h"

/* W3C trace context and baggage, from the host to the handler and back in its callbacks. */

#define TRACE_ID "0af7651916cd43dd8448eb211c80319c"
#define SPAN_ID "b7ad6b7169203331"
#define TRACEPARENT "00-" TRACE_ID "-" SPAN_ID "-01"

/* Answers with the trace it was called with, as the plugin's “trace” does. */
static void
host_trace (KcpInvocation *invocation,
            gpointer       data)
{
  KcpTraceContext *trace = kcp_invocation_get_trace_context (invocation);
  JsonObject *object = json_object_new ();

  json_object_set_string_member (object, "traceparent", kcp_trace_context_get_traceparent (trace));
  json_object_set_string_member (object, "trace_id", kcp_trace_context_get_trace_id (trace));
  if (kcp_trace_context_get_tracestate (trace))
    json_object_set_string_member (object, "tracestate", kcp_trace_context_get_tracestate (trace));
  kcp_invocation_reply (invocation, json_node_init_object (json_node_alloc (), object));
  json_object_unref (object);
}

static KcpActor *
spawn (void)
{
  g_autoptr (KcpCallbackRouter) router = kcp_callback_router_new ();

  g_assert_true (kcp_callback_router_add_func (router, "trace", host_trace, NULL, NULL, NULL));
  return calls_spawn (KCP_CALLBACK_HANDLER (router));
}

/* The object that comes back, of which the caller gets the node. */
static JsonObject *
ask (KcpActor    *actor,
     KcpMessage  *message,
     gboolean     blocking,
     JsonNode   **node)
{
  g_autoptr (GError) error = NULL;
  g_autofree char *text = NULL;

  if (blocking)
    {
      g_autoptr (KcpMessage) answer = kcp_actor_ask (actor, message, NULL, &error);

      g_assert_no_error (error);
      text = calls_text (answer);
    }
  else
    text = calls_take (calls_call (actor, message, NULL), &error);

  g_assert_no_error (error);
  *node = kcp_json_parse (text, -1, &error);
  g_assert_no_error (error);
  return json_node_get_object (*node);
}

static KcpMessage *
traced_message (const char *path,
                const char *json,
                const char *tracestate)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (KcpTraceContext) trace = kcp_trace_context_parse (TRACEPARENT, tracestate, &error);
  KcpMessage *message = calls_message (path, json);

  g_assert_no_error (error);
  kcp_message_set_trace_context (message, trace);
  return message;
}

/* Exactly what the user gave. */
static void
test_travels (void)
{
  KcpActor *actor = spawn ();
  g_autoptr (KcpMessage) message = traced_message ("trace", NULL, "congo=t61rcWkgMzE,rojo=00f067aa0ba902b7");
  g_autoptr (JsonNode) node = NULL;
  JsonObject *trace;

  kcp_message_set_baggage (message, "userId=alice,serverNode=DF%2028");
  trace = ask (actor, message, FALSE, &node);
  g_assert_cmpstr (json_object_get_string_member (trace, "traceparent"), ==, TRACEPARENT);
  g_assert_cmpstr (json_object_get_string_member (trace, "tracestate"), ==,
                   "congo=t61rcWkgMzE,rojo=00f067aa0ba902b7");
  g_assert_cmpstr (json_object_get_string_member (trace, "baggage"), ==, "userId=alice,serverNode=DF%2028");
  kcp_test_end (actor);
}

/* Without one each call has a trace of its own. */
static void
test_made (void)
{
  KcpActor *actor = spawn ();
  g_autoptr (KcpMessage) message = calls_message ("trace", NULL);
  g_autoptr (JsonNode) first = NULL;
  g_autoptr (JsonNode) second = NULL;
  const char *one = json_object_get_string_member (ask (actor, message, FALSE, &first), "traceparent");
  const char *two = json_object_get_string_member (ask (actor, message, TRUE, &second), "traceparent");
  g_autoptr (KcpTraceContext) parsed = kcp_trace_context_parse (one, NULL, NULL);

  g_assert_nonnull (parsed);
  g_assert_cmpstr (one, !=, two);
  kcp_test_end (actor);
}

/* A callback inside of the call, and the second one after the first has come back, are in the trace of the
 * call, as spans of their own. */
static void
test_callbacks (void)
{
  static const struct
  {
    const char *path;
    const char *json;
  } ways[] = {
    { "ask-host", "{\"path\":\"trace\"}" },
    { "ask-host", "{\"path\":\"trace\",\"blocking\":1}" },
    { "chain", "{\"path\":\"trace\",\"times\":3}" },
  };
  KcpActor *actor = spawn ();

  for (gsize i = 0; i < G_N_ELEMENTS (ways); i++)
    for (int blocking = 0; blocking < 2; blocking++)
      {
        g_autoptr (KcpMessage) message = traced_message (ways[i].path, ways[i].json, "rojo=1");
        g_autoptr (JsonNode) node = NULL;
        JsonObject *trace = ask (actor, message, blocking, &node);

        g_assert_cmpstr (json_object_get_string_member (trace, "trace_id"), ==, TRACE_ID);
        g_assert_cmpstr (json_object_get_string_member (trace, "tracestate"), ==, "rojo=1");
        g_assert_cmpstr (json_object_get_string_member (trace, "traceparent"), !=, TRACEPARENT);
      }
  kcp_test_end (actor);
}

/* From the handler of a callback back into the child. */
static void
ask_trace_of_child (KcpInvocation *invocation,
                    gpointer       data)
{
  KcpActor **actor = data;
  g_autoptr (KcpMessage) message = calls_message ("trace", NULL);
  g_autoptr (GError) error = NULL;
  g_autoptr (KcpMessage) answer = kcp_actor_ask (*actor, message, NULL, &error);

  g_assert_no_error (error);
  kcp_invocation_reply_message (invocation, answer);
}

static void
test_there_and_back (void)
{
  g_autoptr (KcpCallbackRouter) router = kcp_callback_router_new ();
  g_autoptr (KcpMessage) message = traced_message ("ask-host", "{\"path\":\"back\"}", NULL);
  g_autoptr (JsonNode) node = NULL;
  KcpActor *actor = NULL;

  g_assert_true (kcp_callback_router_add_func (router, "back", ask_trace_of_child, &actor, NULL, NULL));
  actor = calls_spawn (KCP_CALLBACK_HANDLER (router));
  g_assert_cmpstr (json_object_get_string_member (ask (actor, message, FALSE, &node), "trace_id"), ==,
                   TRACE_ID);
  kcp_test_end (actor);
}

/* Two calls at once do not share what is theirs. */
static void
test_not_mixed (void)
{
  KcpActor *actor = spawn ();
  KcpTestCall *calls[20];
  KcpTraceContext *traces[20];

  for (gsize i = 0; i < G_N_ELEMENTS (calls); i++)
    {
      g_autoptr (KcpMessage) message = calls_message ("chain", "{\"path\":\"trace\",\"times\":3}");

      traces[i] = kcp_trace_context_new ();
      kcp_message_set_trace_context (message, traces[i]);
      calls[i] = calls_call (actor, message, NULL);
    }
  for (gsize i = 0; i < G_N_ELEMENTS (calls); i++)
    {
      g_autofree char *text = calls_take (calls[i], NULL);

      kcp_test_assert_part (text, kcp_trace_context_get_trace_id (traces[i]));
      kcp_trace_context_unref (traces[i]);
    }
  kcp_test_end (actor);
}

/* A baggage that is none is dropped, and the call is served. */
static void
test_bad_baggage (void)
{
  KcpActor *actor = spawn ();
  g_autoptr (KcpMessage) message = traced_message ("trace", NULL, NULL);
  g_autoptr (JsonNode) node = NULL;
  JsonObject *trace;

  kcp_message_set_baggage (message, "no\tbag\ngage");
  trace = ask (actor, message, FALSE, &node);
  g_assert_cmpstr (json_object_get_string_member (trace, "trace_id"), ==, TRACE_ID);
  g_assert_false (json_object_has_member (trace, "baggage"));
  kcp_test_end (actor);
}

int
main (int    argc,
      char **argv)
{
  kcp_test_init (&argc, &argv);
  kcp_test_add ("/traces/travels", test_travels);
  kcp_test_add ("/traces/made", test_made);
  kcp_test_add ("/traces/callbacks", test_callbacks);
  kcp_test_add ("/traces/there-and-back", test_there_and_back);
  kcp_test_add ("/traces/not-mixed", test_not_mixed);
  kcp_test_add ("/traces/bad-baggage", test_bad_baggage);
  return kcp_test_run ();
}
