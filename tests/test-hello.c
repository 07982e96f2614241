/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "kcp-error.h"
#include "kcp-handshake-private.h"

#include <string.h>

/* The HELLO of both sides as bytes; nothing here has a socket. What happens around it is in
 * test-handshake.c. */

#define PROTOCOL_1 "\"protocol\":{\"min\":1,\"max\":1}"
#define HOST_REQUEST "\"side\":\"host\",\"socket\":\"request\""

static KcpHello
make_hello (gboolean      from_child,
            KcpSocketRole socket,
            int           min,
            int           max)
{
  return (KcpHello) {
    .from_child = from_child,
    .socket = socket,
    .protocol_min = min,
    .protocol_max = max,
    .program = from_child ? (char *) "stub 2.0" : (char *) "library 1.0",
    .token = from_child ? (char *) "0123456789abcdef0123456789abcdef" : NULL,
    .pid = from_child ? 4711 : 0,
    .frame_limit = 123456,
  };
}

static gboolean
decode (const char  *json,
        KcpHello    *hello,
        GError     **error)
{
  g_autoptr (GBytes) body = g_bytes_new (json, strlen (json));

  return kcp_hello_decode (body, hello, error);
}

static void
test_round_trip (void)
{
  for (guint i = 0; i < 4; i++)
    {
      KcpHello sent = make_hello ((i & 1) != 0, (i & 2) ? KCP_SOCKET_CALLBACK : KCP_SOCKET_REQUEST, 1, 3);
      g_autoptr (GBytes) body = kcp_hello_encode (&sent);
      g_auto (KcpHello) got = { FALSE };
      g_autoptr (GError) error = NULL;

      g_assert_true (kcp_hello_decode (body, &got, &error));
      g_assert_no_error (error);
      g_assert_cmpint (got.from_child, ==, sent.from_child);
      g_assert_cmpint (got.socket, ==, sent.socket);
      g_assert_cmpint (got.protocol_min, ==, 1);
      g_assert_cmpint (got.protocol_max, ==, 3);
      g_assert_cmpstr (got.program, ==, sent.program);
      g_assert_cmpstr (got.token, ==, sent.token);
      g_assert_cmpint (got.pid, ==, sent.pid);
      g_assert_cmpuint (got.frame_limit, ==, 123456);
    }
}

/* The example of PROTOCOL.md, with members from the future. */
static void
test_example (void)
{
  g_auto (KcpHello) hello = { FALSE };
  g_autoptr (GError) error = NULL;

  g_assert_true (decode ("{" PROTOCOL_1 ", \"program\": \"kcp 0.1.0\", " HOST_REQUEST ",\n"
                         " \"features\": [\"x\"], \"limits\": {\"frame\": 16777216, \"more\": []},"
                         " \"colour\": \"green\"}", &hello, &error));
  g_assert_no_error (error);
  g_assert_false (hello.from_child);
  g_assert_cmpstr (hello.program, ==, "kcp 0.1.0");
  g_assert_cmpuint (hello.frame_limit, ==, 16777216);
  g_assert_null (hello.token);
  g_assert_cmpint (hello.pid, ==, 0);
}

static void
test_defaults (void)
{
  g_auto (KcpHello) hello = { FALSE };
  g_autoptr (GError) error = NULL;

  g_assert_true (decode ("{" PROTOCOL_1 "," HOST_REQUEST "}", &hello, &error));
  g_assert_no_error (error);
  g_assert_cmpuint (hello.frame_limit, ==, KCP_FRAME_DEFAULT_LIMIT);
  g_assert_nonnull (hello.program);
}

static void
test_wrong (void)
{
  static const struct
  {
    const char *json, *reason;
  } wrong[] = {
    { "", "missing" },
    { "[]", "not a JSON object" },
    { "{", "HELLO" },
    { "null", "not a JSON object" },
    { "{\"a\":1,\"a\":2}", "HELLO" },
    { "{" HOST_REQUEST "}", "protocol" },
    { "{\"protocol\":1," HOST_REQUEST "}", "protocol" },
    { "{\"protocol\":{}," HOST_REQUEST "}", "protocol" },
    { "{\"protocol\":{\"min\":1}," HOST_REQUEST "}", "protocol" },
    { "{\"protocol\":{\"max\":1}," HOST_REQUEST "}", "protocol" },
    { "{\"protocol\":{\"min\":2,\"max\":1}," HOST_REQUEST "}", "protocol" },
    { "{\"protocol\":{\"min\":0,\"max\":1}," HOST_REQUEST "}", "min" },
    { "{\"protocol\":{\"min\":1,\"max\":4294967296}," HOST_REQUEST "}", "max" },
    { "{\"protocol\":{\"min\":\"1\",\"max\":1}," HOST_REQUEST "}", "min" },
    { "{\"protocol\":{\"min\":1.0,\"max\":1}," HOST_REQUEST "}", "min" },
    { "{\"protocol\":{\"min\":null,\"max\":1}," HOST_REQUEST "}", "min" },
    { "{" PROTOCOL_1 "}", "side" },
    { "{" PROTOCOL_1 ",\"side\":\"parent\",\"socket\":\"request\"}", "side" },
    { "{" PROTOCOL_1 ",\"side\":1,\"socket\":\"request\"}", "side" },
    { "{" PROTOCOL_1 ",\"side\":\"host\"}", "socket" },
    { "{" PROTOCOL_1 ",\"side\":\"host\",\"socket\":\"both\"}", "socket" },
    { "{" PROTOCOL_1 "," HOST_REQUEST ",\"program\":7}", "program" },
    { "{" PROTOCOL_1 "," HOST_REQUEST ",\"token\":[]}", "token" },
    { "{" PROTOCOL_1 "," HOST_REQUEST ",\"pid\":0}", "pid" },
    { "{" PROTOCOL_1 "," HOST_REQUEST ",\"pid\":-1}", "pid" },
    { "{" PROTOCOL_1 "," HOST_REQUEST ",\"pid\":2147483648}", "pid" },
    { "{" PROTOCOL_1 "," HOST_REQUEST ",\"pid\":\"1\"}", "pid" },
    { "{" PROTOCOL_1 "," HOST_REQUEST ",\"limits\":16}", "limits" },
    { "{" PROTOCOL_1 "," HOST_REQUEST ",\"limits\":{\"frame\":4095}}", "frame" },
    { "{" PROTOCOL_1 "," HOST_REQUEST ",\"limits\":{\"frame\":4294967296}}", "frame" },
    { "{" PROTOCOL_1 "," HOST_REQUEST ",\"limits\":{\"frame\":true}}", "frame" },
    { "{" PROTOCOL_1 "," HOST_REQUEST "} x", "HELLO" },
  };

  for (guint i = 0; i < G_N_ELEMENTS (wrong); i++)
    {
      g_auto (KcpHello) hello = { TRUE };
      g_autoptr (GError) error = NULL;

      if (decode (wrong[i].json, &hello, &error))
        g_error ("was accepted: %s", wrong[i].json);
      g_assert_error (error, KCP_ERROR, KCP_ERROR_PROTOCOL);
      g_assert_true (g_str_has_prefix (error->message, "HELLO frame"));
      if (strstr (error->message, wrong[i].reason) == NULL)
        g_error ("“%s” does not name %s", error->message, wrong[i].reason);
      g_assert_null (hello.program);
      g_assert_null (hello.token);
    }
}

/* What a peer calls itself ends up in error messages, so it has to be short. */
static void
test_long_texts (void)
{
  g_autofree char *umlauts = g_strnfill (3000, 'x');
  g_autofree char *json = NULL;
  g_auto (KcpHello) hello = { FALSE };

  for (guint i = 0; i < 3000; i += 2)
    memcpy (umlauts + i, "ö", 2);
  json = g_strdup_printf ("{" PROTOCOL_1 "," HOST_REQUEST ",\"program\":\"%s\",\"token\":\"%s\"}",
                          umlauts, umlauts);
  g_assert_true (decode (json, &hello, NULL));
  g_assert_cmpint (g_utf8_strlen (hello.program, -1), ==, 128);
  g_assert_true (g_utf8_validate (hello.program, -1, NULL));
  g_assert_null (hello.token);   /* none of ours is that long */
}

static void
test_versions (void)
{
  static const struct
  {
    int our_min, our_max, their_min, their_max;
    gboolean agree;
  } cases[] = {
    { 1, 1, 1, 1, TRUE }, { 1, 2, 2, 3, TRUE }, { 2, 3, 1, 2, TRUE }, { 1, 9, 4, 5, TRUE },
    { 4, 5, 1, 9, TRUE }, { 1, 1, 2, 2, FALSE }, { 2, 2, 1, 1, FALSE }, { 1, 2, 3, 9, FALSE },
    { 5, 9, 1, 4, FALSE },
  };

  KcpTerms terms;

  for (guint i = 0; i < G_N_ELEMENTS (cases); i++)
    {
      KcpHello ours = make_hello (FALSE, KCP_SOCKET_REQUEST, cases[i].our_min, cases[i].our_max);
      KcpHello theirs = make_hello (TRUE, KCP_SOCKET_REQUEST, cases[i].their_min, cases[i].their_max);
      g_autoptr (GError) error = NULL;

      g_assert_cmpint (kcp_hello_agree (&ours, &theirs, &terms, &error), ==, cases[i].agree);
      g_assert_cmpint (kcp_hello_agree (&theirs, &ours, &terms, NULL), ==, cases[i].agree);
      if (!cases[i].agree)
        g_assert_error (error, KCP_ERROR, KCP_ERROR_VERSION_MISMATCH);
    }
}

static void
test_version_text (void)
{
  KcpHello ours = make_hello (FALSE, KCP_SOCKET_REQUEST, 1, 1);
  KcpHello theirs = make_hello (TRUE, KCP_SOCKET_REQUEST, 3, 14);
  g_autoptr (GError) error = NULL;
  KcpTerms terms;

  g_assert_false (kcp_hello_agree (&ours, &theirs, &terms, &error));
  g_assert_nonnull (strstr (error->message, "the host (library 1.0) speaks 1,"));
  g_assert_nonnull (strstr (error->message, "the child (stub 2.0) speaks 3 to 14"));
}

static void
test_roles (void)
{
  KcpHello host = make_hello (FALSE, KCP_SOCKET_REQUEST, 1, 1);
  KcpHello other_host = make_hello (FALSE, KCP_SOCKET_REQUEST, 1, 1);
  KcpHello crossed = make_hello (TRUE, KCP_SOCKET_CALLBACK, 1, 1);
  g_autoptr (GError) same_side = NULL;
  g_autoptr (GError) other_socket = NULL;
  KcpTerms terms;

  g_assert_false (kcp_hello_agree (&host, &other_host, &terms, &same_side));
  g_assert_error (same_side, KCP_ERROR, KCP_ERROR_HANDSHAKE_FAILED);
  g_assert_false (kcp_hello_agree (&host, &crossed, &terms, &other_socket));
  g_assert_error (other_socket, KCP_ERROR, KCP_ERROR_HANDSHAKE_FAILED);
  g_assert_nonnull (strstr (other_socket->message, "request"));
  g_assert_nonnull (strstr (other_socket->message, "callback"));
}

static void
test_token (void)
{
  const char *token = "0123456789abcdef0123456789abcdef";

  g_assert_true (kcp_token_equal (token, "0123456789abcdef0123456789abcdef"));
  g_assert_true (kcp_token_equal ("", ""));
  g_assert_false (kcp_token_equal (token, ""));
  g_assert_false (kcp_token_equal ("", token));
  g_assert_false (kcp_token_equal (token, "0123456789abcdef0123456789abcde"));
  g_assert_false (kcp_token_equal (token, "0123456789abcdef0123456789abcdef0"));
  for (gsize i = 0; i < strlen (token); i++)
    {
      g_autofree char *wrong = g_strdup (token);

      wrong[i] = (char) (wrong[i] ^ 0x80);
      g_assert_false (kcp_token_equal (token, wrong));
    }
}

/* What each grants, what both have named, and the smaller of the two limits. */
static void
test_terms (void)
{
  KcpHello ours = make_hello (FALSE, KCP_SOCKET_REQUEST, 1, 1);
  KcpHello theirs = make_hello (TRUE, KCP_SOCKET_REQUEST, 1, 1);
  KcpTerms terms;

  ours.frame_limit = 8192;
  theirs.frame_limit = 9000;
  ours.credit = TRUE;
  ours.stream_items = 7;
  ours.stream_bytes = 700;
  theirs.stream_items = 3;
  theirs.stream_bytes = 300;
  g_assert_true (kcp_hello_agree (&ours, &theirs, &terms, NULL));
  g_assert_false (terms.credit);
  g_assert_cmpuint (terms.frame_limit, ==, 8192);

  theirs.credit = TRUE;
  g_assert_true (kcp_hello_agree (&ours, &theirs, &terms, NULL));
  g_assert_true (terms.credit);
  g_assert_cmpuint (terms.our_items, ==, 7);
  g_assert_cmpuint (terms.our_bytes, ==, 700);
  g_assert_cmpuint (terms.their_items, ==, 3);
  g_assert_cmpuint (terms.their_bytes, ==, 300);
}

int
main (int   argc,
      char *argv[])
{
  g_test_init (&argc, &argv, NULL);

  g_test_add_func ("/hello/round-trip", test_round_trip);
  g_test_add_func ("/hello/example", test_example);
  g_test_add_func ("/hello/defaults", test_defaults);
  g_test_add_func ("/hello/wrong", test_wrong);
  g_test_add_func ("/hello/long-texts", test_long_texts);
  g_test_add_func ("/hello/versions", test_versions);
  g_test_add_func ("/hello/version-text", test_version_text);
  g_test_add_func ("/hello/roles", test_roles);
  g_test_add_func ("/hello/token", test_token);

  g_test_add_func ("/hello/terms", test_terms);
  return g_test_run ();
}
