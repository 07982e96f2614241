/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "kcp-error-private.h"
#include "kcp-message-codec-private.h"
#include "kcp-trace-context.h"

#include <string.h>

#define TRACEPARENT "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

/* ---- messages ---- */

static GBytes *
text_bytes (const char *text)
{
  return g_bytes_new (text, strlen (text));
}

static void
assert_bytes (GBytes     *bytes,
              const char *text)
{
  gsize size;
  const char *data;

  g_assert_nonnull (bytes);
  data = g_bytes_get_data (bytes, &size);
  g_assert_cmpmem (data, size, text, strlen (text));
}

static void
test_from_node (void)
{
  g_autoptr (KcpMessage) message = kcp_message_new ("a/b", json_node_init_int (json_node_alloc (), 7));
  g_autoptr (GError) error = NULL;

  g_assert_cmpstr (kcp_message_get_path (message), ==, "a/b");
  g_assert_null (kcp_message_get_content_type (message));
  g_assert_cmpint (kcp_message_get_timeout (message), ==, KCP_TIMEOUT_DEFAULT);
  g_assert_cmpint (json_node_get_int (kcp_message_get_body (message, &error)), ==, 7);
  assert_bytes (kcp_message_get_body_bytes (message, &error), "7");
  g_assert_no_error (error);
  /* Made once. */
  g_assert_true (kcp_message_get_body_bytes (message, NULL) == kcp_message_get_body_bytes (message, NULL));
}

static void
test_from_text (void)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (KcpMessage) message = kcp_message_new_text (NULL, " {\"a\" : [1]} ", &error);
  g_autoptr (KcpMessage) wrong = NULL;

  g_assert_no_error (error);
  g_assert_null (kcp_message_get_path (message));
  g_assert_true (JSON_NODE_HOLDS_OBJECT (kcp_message_get_body (message, NULL)));
  assert_bytes (kcp_message_get_body_bytes (message, NULL), " {\"a\" : [1]} ");

  wrong = kcp_message_new_text ("x", "{\"a\":1,}", &error);
  g_assert_error (error, KCP_ERROR, KCP_ERROR_INVALID_MESSAGE);
  g_assert_null (wrong);
}

static void
test_no_body (void)
{
  g_autoptr (KcpMessage) empty = kcp_message_new ("x", NULL);
  g_autoptr (GBytes) none = g_bytes_new (NULL, 0);
  g_autoptr (KcpMessage) no_bytes = kcp_message_new_bytes ("x", NULL, NULL);
  g_autoptr (KcpMessage) zero_bytes = kcp_message_new_bytes ("x", none, NULL);

  assert_bytes (kcp_message_get_body_bytes (empty, NULL), "");
  g_assert_true (JSON_NODE_HOLDS_NULL (kcp_message_get_body (empty, NULL)));
  g_assert_true (JSON_NODE_HOLDS_NULL (kcp_message_get_body (no_bytes, NULL)));
  assert_bytes (kcp_message_get_body_bytes (no_bytes, NULL), "");   /* as it came */
  g_assert_true (JSON_NODE_HOLDS_NULL (kcp_message_get_body (zero_bytes, NULL)));
}

/* Bad text is found where the body is read, each time it is tried. */
static void
test_invalid_body (void)
{
  g_autoptr (GBytes) bytes = text_bytes ("{\"a\":");
  g_autoptr (KcpMessage) message = kcp_message_new_bytes ("x", bytes, NULL);

  for (guint i = 0; i < 2; i++)
    {
      g_autoptr (GError) error = NULL;

      g_assert_null (kcp_message_get_body (message, &error));
      g_assert_error (error, KCP_ERROR, KCP_ERROR_INVALID_MESSAGE);
    }
  assert_bytes (kcp_message_get_body_bytes (message, NULL), "{\"a\":");
}

static void
test_content_type (void)
{
  g_autoptr (GBytes) bytes = text_bytes ("\x89PNG");
  g_autoptr (KcpMessage) message = kcp_message_new_bytes ("x", bytes, "image/png");
  g_autoptr (GError) error = NULL;

  g_assert_cmpstr (kcp_message_get_content_type (message), ==, "image/png");
  g_assert_true (kcp_message_get_body_bytes (message, NULL) == bytes);
  g_assert_null (kcp_message_get_body (message, &error));
  g_assert_error (error, KCP_ERROR, KCP_ERROR_INVALID_MESSAGE);
  g_assert_nonnull (strstr (error->message, "image/png"));
}

/* A document that is not JSON as we speak it is refused where it would be sent. */
static void
test_unwritable (void)
{
  JsonNode *infinite = json_node_init_double (json_node_alloc (), G_MAXDOUBLE * 2);
  g_autoptr (KcpMessage) message = kcp_message_new ("x", infinite);
  g_autoptr (GError) error = NULL;

  g_assert_null (kcp_message_get_body_bytes (message, &error));
  g_assert_error (error, KCP_ERROR, KCP_ERROR_INVALID_MESSAGE);
}

static void
test_extras (void)
{
  g_autoptr (KcpMessage) message = kcp_message_new ("x", NULL);
  g_autoptr (KcpTraceContext) trace = kcp_trace_context_new ();

  kcp_message_set_timeout (message, 1500);
  kcp_message_set_baggage (message, "a=b");
  kcp_message_set_baggage (message, "user=eva");
  kcp_message_set_trace_context (message, trace);
  kcp_message_set_trace_context (message, trace);
  g_assert_cmpint (kcp_message_get_timeout (message), ==, 1500);
  g_assert_cmpstr (kcp_message_get_baggage (message), ==, "user=eva");
  g_assert_true (kcp_message_get_trace_context (message) == trace);
  kcp_message_set_trace_context (message, NULL);
  kcp_message_set_baggage (message, NULL);
  g_assert_null (kcp_message_get_trace_context (message));
  g_assert_null (kcp_message_get_baggage (message));
}

/* ---- out ---- */

static void
test_fill_fields (void)
{
  g_autoptr (KcpMessage) message = kcp_message_new_bytes ("a", NULL, "text/plain");
  g_autoptr (GError) error = NULL;
  KcpFields fields;

  kcp_message_set_baggage (message, "k=v");
  g_assert_true (kcp_codec_fill_fields (message, KCP_FRAME_CALL, &fields, &error));
  g_assert_cmpuint (fields.present, ==, KCP_FIELD_BIT (KCP_FIELD_PATH) | KCP_FIELD_BIT (KCP_FIELD_BAGGAGE) |
                                        KCP_FIELD_BIT (KCP_FIELD_CONTENT_TYPE));
  g_assert_cmpmem (fields.path, fields.path_length, "a", 1);

  /* A reply has a path only by accident. */
  g_assert_true (kcp_codec_fill_fields (message, KCP_FRAME_END, &fields, &error));
  g_assert_cmpuint (fields.present, ==, KCP_FIELD_BIT (KCP_FIELD_CONTENT_TYPE));
}

static void
test_bad_paths (void)
{
  g_autofree char *longest = g_strnfill (255, 'p');
  g_autofree char *too_long = g_strnfill (256, 'p');
  const struct
  {
    const char *path;
    int code;   /* -1: good */
  } paths[] = {
    { "a", -1 }, { "ä/ö ü", -1 }, { longest, -1 }, { NULL, KCP_ERROR_INVALID_MESSAGE },
    { "", KCP_ERROR_INVALID_MESSAGE }, { "a\nb", KCP_ERROR_INVALID_MESSAGE },
    { "a\x7f", KCP_ERROR_INVALID_MESSAGE }, { "\xc3", KCP_ERROR_INVALID_MESSAGE },
    { too_long, KCP_ERROR_TOO_LARGE },
  };

  for (guint i = 0; i < G_N_ELEMENTS (paths); i++)
    {
      g_autoptr (KcpMessage) message = kcp_message_new (paths[i].path, NULL);
      g_autoptr (GError) error = NULL;
      KcpFields fields;
      gboolean good = kcp_codec_fill_fields (message, KCP_FRAME_CALL, &fields, &error);

      if (paths[i].code < 0)
        g_assert_no_error (error);
      else
        g_assert_error (error, KCP_ERROR, paths[i].code);
      g_assert_cmpint (good, ==, paths[i].code < 0);
    }
}

static void
test_long_fields (void)
{
  g_autofree char *long_text = g_strnfill (9000, 'x');
  g_autoptr (KcpMessage) typed = kcp_message_new_bytes ("a", NULL, long_text);
  g_autoptr (KcpMessage) laden = kcp_message_new ("a", NULL);
  g_autoptr (GError) error = NULL;
  KcpFields fields;

  g_assert_false (kcp_codec_fill_fields (typed, KCP_FRAME_END, &fields, &error));
  g_assert_error (error, KCP_ERROR, KCP_ERROR_TOO_LARGE);
  g_clear_error (&error);
  kcp_message_set_baggage (laden, long_text);
  g_assert_false (kcp_codec_fill_fields (laden, KCP_FRAME_CALL, &fields, &error));
  g_assert_error (error, KCP_ERROR, KCP_ERROR_TOO_LARGE);
}

/* A content type that the other end would take for a broken protocol must not leave. */
static void
test_bad_content_type (void)
{
  static const char *const bad[] = { "", "text/plain\n", "\xff" };

  for (guint i = 0; i < G_N_ELEMENTS (bad); i++)
    {
      g_autoptr (KcpMessage) message = kcp_message_new_bytes ("a", NULL, bad[i]);
      g_autoptr (GError) error = NULL;
      KcpFields fields;

      g_assert_false (kcp_codec_fill_fields (message, KCP_FRAME_END, &fields, &error));
      g_assert_error (error, KCP_ERROR, KCP_ERROR_INVALID_MESSAGE);
    }
}

/* ---- in ---- */

static void
set_text (KcpFields    *fields,
          KcpFieldTag   tag,
          const char  **text,
          guint16      *length,
          const char   *value,
          gsize         size)
{
  *text = value;
  *length = (guint16) size;
  fields->present |= KCP_FIELD_BIT (tag);
}

#define SET(fields, TAG, name, value) \
  set_text (fields, KCP_FIELD_##TAG, &(fields)->name, &(fields)->name##_length, value, sizeof (value) - 1)

static KcpMessage *
decode (const KcpFields *fields)
{
  KcpFrame frame = { .header = { .kind = KCP_FRAME_CALL, .id = 1 } };

  return kcp_codec_decode_message (&frame, fields);
}

static void
test_trace_in (void)
{
  KcpFields fields = { 0 };
  g_autoptr (KcpMessage) good = NULL;
  g_autoptr (KcpMessage) bad_state = NULL;
  g_autoptr (KcpMessage) bad_parent = NULL;
  g_autoptr (KcpMessage) with_nul = NULL;

  SET (&fields, TRACEPARENT, traceparent, TRACEPARENT);
  SET (&fields, TRACESTATE, tracestate, "a=1,b=2");
  SET (&fields, BAGGAGE, baggage, "user=eva");
  good = decode (&fields);
  g_assert_cmpstr (kcp_trace_context_get_traceparent (kcp_message_get_trace_context (good)), ==, TRACEPARENT);
  g_assert_cmpstr (kcp_trace_context_get_tracestate (kcp_message_get_trace_context (good)), ==, "a=1,b=2");
  g_assert_cmpstr (kcp_message_get_baggage (good), ==, "user=eva");

  /* Each is dropped alone. */
  SET (&fields, TRACESTATE, tracestate, "=,=\0");
  SET (&fields, BAGGAGE, baggage, "user=\x01");
  bad_state = decode (&fields);
  g_assert_nonnull (kcp_message_get_trace_context (bad_state));
  g_assert_null (kcp_trace_context_get_tracestate (kcp_message_get_trace_context (bad_state)));
  g_assert_null (kcp_message_get_baggage (bad_state));

  SET (&fields, TRACEPARENT, traceparent, "00-0af7");
  SET (&fields, BAGGAGE, baggage, "user=eva");
  bad_parent = decode (&fields);
  g_assert_null (kcp_message_get_trace_context (bad_parent));
  g_assert_cmpstr (kcp_message_get_baggage (bad_parent), ==, "user=eva");

  SET (&fields, TRACEPARENT, traceparent, TRACEPARENT "\0-x");
  with_nul = decode (&fields);
  g_assert_null (kcp_message_get_trace_context (with_nul));
}

static void
test_call_in (void)
{
  KcpFrame frame = { .header = { .kind = KCP_FRAME_CALL, .id = 9, .flags = KCP_FRAME_FLAG_NO_REPLY } };
  KcpFields fields = { .present = KCP_FIELD_BIT (KCP_FIELD_DEADLINE) | KCP_FIELD_BIT (KCP_FIELD_PARENT),
                       .deadline_ms = G_MAXUINT32, .parent = 5 };
  gint64 before = g_get_monotonic_time ();
  KcpIncomingCall call;

  SET (&fields, PATH, path, "p");
  kcp_codec_decode_call (&frame, &fields, &call);
  g_assert_cmpstr (kcp_message_get_path (call.message), ==, "p");
  g_assert_nonnull (kcp_message_get_trace_context (call.message));   /* a new one */
  g_assert_cmpuint (call.id, ==, 9);
  g_assert_cmpuint (call.parent, ==, 5);
  g_assert_true (call.no_reply);
  g_assert_cmpint (call.deadline_at - before, >=, (gint64) G_MAXUINT32 * 1000);
  kcp_message_unref (call.message);
}

/* ---- errors on the wire ---- */

static GError *
through_the_wire (const GError *error)
{
  g_autoptr (GBytes) body = kcp_codec_encode_error (error);
  g_autoptr (GError) wrong = NULL;
  GError *got = kcp_codec_decode_error (body, &wrong);

  g_assert_no_error (wrong);
  return got;
}

static void
test_error_round_trip (void)
{
  g_autoptr (GError) own = g_error_new_literal (KCP_ERROR, KCP_ERROR_BUSY, "full");
  g_autoptr (GError) known = g_error_new_literal (G_IO_ERROR, G_IO_ERROR_EXISTS, "there “it” is\n");
  GQuark domain = g_quark_from_static_string ("test-message-domain");
  g_autoptr (GError) unknown = g_error_new_literal (domain, 12, "no");
  g_autoptr (GError) own_back = through_the_wire (own);
  g_autoptr (GError) known_back = through_the_wire (known);
  g_autoptr (GError) unknown_back = through_the_wire (unknown);
  g_autoptr (GError) passed_on = NULL;

  g_assert_error (own_back, KCP_ERROR, KCP_ERROR_BUSY);
  g_assert_cmpstr (own_back->message, ==, "full");
  g_assert_error (known_back, G_IO_ERROR, G_IO_ERROR_EXISTS);
  g_assert_cmpstr (known_back->message, ==, "there “it” is\n");
  g_assert_error (unknown_back, KCP_ERROR, KCP_ERROR_HANDLER_FAILED);

  /* What came from elsewhere goes on as what it was. */
  passed_on = through_the_wire (unknown_back);
  g_assert_error (passed_on, KCP_ERROR, KCP_ERROR_HANDLER_FAILED);
  g_assert_cmpstr (kcp_error_get_remote_domain (passed_on), ==, "test-message-domain");
  g_assert_cmpint (kcp_error_get_remote_code (passed_on), ==, 12);
  g_assert_cmpstr (passed_on->message, ==, "no");
}

/* A forged code of ours that is passed on travels as a name, as all codes of ours do. */
static void
test_error_forged_passed_on (void)
{
  g_autoptr (GError) forged = kcp_error_from_peer ("kcp", "child-crashed", 0, "boo");
  g_autoptr (GBytes) body = kcp_codec_encode_error (forged);
  g_autoptr (GError) back = through_the_wire (forged);

  assert_bytes (body, "{\"domain\":\"kcp\",\"code\":\"child-crashed\",\"message\":\"boo\"}");
  g_assert_error (back, KCP_ERROR, KCP_ERROR_HANDLER_FAILED);
  g_assert_cmpint (kcp_error_get_remote_code (back), ==, KCP_ERROR_CHILD_CRASHED);
}

/* Texts from anywhere are made fit: the frame with the error must always be good. */
static void
test_error_texts (void)
{
  g_autofree char *huge = g_strnfill (300000, 'y');
  g_autoptr (GError) latin1 = g_error_new_literal (G_IO_ERROR, G_IO_ERROR_FAILED, "caf\xe9");
  g_autoptr (GError) large = g_error_new_literal (G_IO_ERROR, G_IO_ERROR_FAILED, huge);
  g_autoptr (GError) latin1_back = through_the_wire (latin1);
  g_autoptr (GError) large_back = through_the_wire (large);

  g_assert_cmpstr (latin1_back->message, ==, "caf\xef\xbf\xbd");
  g_assert_cmpuint (strlen (large_back->message), <, 20000);
  g_assert_true (g_str_has_prefix (large_back->message, "yyyy"));
}

static void
test_error_in (void)
{
  static const struct
  {
    const char *json;
    gboolean good;
  } bodies[] = {
    { "{\"domain\":\"kcp\",\"code\":\"busy\",\"message\":\"m\"}", TRUE },
    { "{\"domain\":\"kcp\",\"code\":\"from-the-future\",\"message\":\"m\"}", TRUE },
    { "{\"domain\":\"x\",\"code\":-3,\"message\":\"m\",\"more\":[]}", TRUE },
    { "{}", TRUE },
    { "", FALSE },
    { "[]", FALSE },
    { "{\"domain\":\"kcp\"", FALSE },
    { "{\"domain\":7,\"code\":1,\"message\":\"m\"}", FALSE },
    { "{\"domain\":\"x\",\"code\":1,\"message\":[\"m\"]}", FALSE },
    { "{\"domain\":\"x\",\"code\":1.5,\"message\":\"m\"}", FALSE },
    { "{\"domain\":\"x\",\"code\":true,\"message\":\"m\"}", FALSE },
    { "{\"domain\":\"x\",\"code\":2147483648,\"message\":\"m\"}", FALSE },
    { "{\"domain\":\"g-io-error-quark\",\"code\":\"exists\",\"message\":\"m\"}", FALSE },
  };

  for (guint i = 0; i < G_N_ELEMENTS (bodies); i++)
    {
      g_autoptr (GBytes) body = text_bytes (bodies[i].json);
      g_autoptr (GError) wrong = NULL;
      g_autoptr (GError) error = kcp_codec_decode_error (body, &wrong);

      if ((error != NULL) != bodies[i].good)
        g_error ("%s was %s", bodies[i].json, error ? "accepted" : "refused");
      if (error == NULL)
        g_assert_error (wrong, KCP_ERROR, KCP_ERROR_PROTOCOL);
      else
        g_assert_no_error (wrong);
    }
}

int
main (int   argc,
      char *argv[])
{
  g_test_init (&argc, &argv, NULL);

  g_test_add_func ("/message/from-node", test_from_node);
  g_test_add_func ("/message/from-text", test_from_text);
  g_test_add_func ("/message/no-body", test_no_body);
  g_test_add_func ("/message/invalid-body", test_invalid_body);
  g_test_add_func ("/message/content-type", test_content_type);
  g_test_add_func ("/message/unwritable", test_unwritable);
  g_test_add_func ("/message/extras", test_extras);
  g_test_add_func ("/codec/fill-fields", test_fill_fields);
  g_test_add_func ("/codec/bad-paths", test_bad_paths);
  g_test_add_func ("/codec/long-fields", test_long_fields);
  g_test_add_func ("/codec/bad-content-type", test_bad_content_type);
  g_test_add_func ("/codec/trace-in", test_trace_in);
  g_test_add_func ("/codec/call-in", test_call_in);
  g_test_add_func ("/codec/error-round-trip", test_error_round_trip);
  g_test_add_func ("/codec/error-forged-passed-on", test_error_forged_passed_on);
  g_test_add_func ("/codec/error-texts", test_error_texts);
  g_test_add_func ("/codec/error-in", test_error_in);

  return g_test_run ();
}
