/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "kcp-handshake-private.h"

#include "kcp-error.h"

#define TOKEN_LIMIT 128
#define PROGRAM_LIMIT 128
#define FEATURE_CREDIT "credit"
#define FEATURE_FDS "fds"

const char *
kcp_socket_role_to_string (KcpSocketRole role)
{
  return role == KCP_SOCKET_REQUEST ? "request" : "callback";
}

void
kcp_hello_clear (KcpHello *hello)
{
  g_clear_pointer (&hello->program, g_free);
  g_clear_pointer (&hello->token, g_free);
}

GBytes *
kcp_hello_encode (const KcpHello *hello)
{
  g_autoptr (JsonObject) object = json_object_new ();
  JsonObject *protocol = json_object_new ();
  JsonObject *limits = json_object_new ();
  JsonArray *features = json_array_new ();

  json_object_set_int_member (protocol, "min", hello->protocol_min);
  json_object_set_int_member (protocol, "max", hello->protocol_max);
  json_object_set_int_member (limits, "frame", (gint64) hello->frame_limit);
  if (hello->credit)
    {
      json_array_add_string_element (features, FEATURE_CREDIT);
      json_object_set_int_member (limits, "stream_items", hello->stream_items);
      json_object_set_int_member (limits, "stream_bytes", (gint64) hello->stream_bytes);
    }
  if (hello->fds)
    json_array_add_string_element (features, FEATURE_FDS);

  json_object_set_object_member (object, "protocol", protocol);
  json_object_set_string_member (object, "program", hello->program);
  json_object_set_string_member (object, "side", hello->from_child ? "child" : "host");
  json_object_set_string_member (object, "socket", kcp_socket_role_to_string (hello->socket));
  json_object_set_array_member (object, "features", features);
  json_object_set_object_member (object, "limits", limits);
  if (hello->from_child)
    {
      json_object_set_int_member (object, "pid", hello->pid);
      json_object_set_string_member (object, "token", hello->token);
    }

  return kcp_codec_encode_object (object);
}

/* The object member @name. Absent, it counts as empty. */
static gboolean
get_object (JsonObject  *object,
            const char  *name,
            JsonObject **value,
            GError     **error)
{
  JsonNode *node = json_object_get_member (object, name);

  *value = node && JSON_NODE_HOLDS_OBJECT (node) ? json_node_get_object (node) : NULL;
  if (node == NULL || *value)
    return TRUE;

  g_set_error (error, KCP_ERROR, KCP_ERROR_PROTOCOL, "“%s” is not an object", name);
  return FALSE;
}

/* A text that must be one of two. */
static gboolean
get_choice (JsonObject  *object,
            const char  *name,
            const char  *no,
            const char  *yes,
            gboolean    *value,
            GError     **error)
{
  const char *text = NULL;

  if (!kcp_codec_get_string (object, name, &text, error))
    return FALSE;

  *value = g_strcmp0 (text, yes) == 0;
  if (*value || g_strcmp0 (text, no) == 0)
    return TRUE;

  g_set_error (error, KCP_ERROR, KCP_ERROR_PROTOCOL, "“%s” is neither “%s” nor “%s”", name, no, yes);
  return FALSE;
}

/* Whether the list names @feature; names that are not known are for later versions. */
static gboolean
has_feature (JsonObject *object,
             const char *feature)
{
  JsonNode *node = json_object_get_member (object, "features");
  JsonArray *array = node && JSON_NODE_HOLDS_ARRAY (node) ? json_node_get_array (node) : NULL;

  for (guint i = 0; array && i < json_array_get_length (array); i++)
    {
      JsonNode *name = json_array_get_element (array, i);

      if (JSON_NODE_HOLDS_VALUE (name) && json_node_get_value_type (name) == G_TYPE_STRING &&
          g_str_equal (json_node_get_string (name), feature))
        return TRUE;
    }

  return FALSE;
}

static gboolean
decode_members (JsonObject  *object,
                KcpHello    *hello,
                GError     **error)
{
  JsonObject *protocol = NULL, *limits = NULL;
  const char *program = "unknown program", *token = NULL;
  gint64 min = 0, max = 0, pid = 0, frame = KCP_FRAME_DEFAULT_LIMIT;
  gint64 stream_items = KCP_STREAM_ITEMS, stream_bytes = KCP_STREAM_BYTES;
  gboolean callback = FALSE;

  if (!get_object (object, "protocol", &protocol, error) ||
      !get_object (object, "limits", &limits, error) ||
      !kcp_codec_get_string (object, "program", &program, error) ||
      !kcp_codec_get_string (object, "token", &token, error) ||
      !kcp_codec_get_int (object, "pid", 1, G_MAXINT32, &pid, error) ||
      !get_choice (object, "side", "host", "child", &hello->from_child, error) ||
      !get_choice (object, "socket", "request", "callback", &callback, error))
    return FALSE;

  if (protocol && (!kcp_codec_get_int (protocol, "min", 1, G_MAXINT32, &min, error) ||
                   !kcp_codec_get_int (protocol, "max", 1, G_MAXINT32, &max, error)))
    return FALSE;
  if (limits && (!kcp_codec_get_int (limits, "frame", 4096, G_MAXUINT32, &frame, error) ||
                 !kcp_codec_get_int (limits, "stream_items", 1, G_MAXINT32, &stream_items, error) ||
                 !kcp_codec_get_int (limits, "stream_bytes", 1, G_MAXINT32, &stream_bytes, error)))
    return FALSE;

  if (min == 0 || max < min)
    {
      g_set_error_literal (error, KCP_ERROR, KCP_ERROR_PROTOCOL, "“protocol” is not a range of versions");
      return FALSE;
    }

  hello->protocol_min = (int) min;
  hello->protocol_max = (int) max;
  hello->pid = (int) pid;
  hello->frame_limit = (gsize) frame;
  hello->credit = has_feature (object, FEATURE_CREDIT);
  hello->fds = has_feature (object, FEATURE_FDS);
  hello->stream_items = (guint) stream_items;
  hello->stream_bytes = (gsize) stream_bytes;
  hello->socket = callback ? KCP_SOCKET_CALLBACK : KCP_SOCKET_REQUEST;
  hello->program = g_utf8_substring (program, 0, MIN (g_utf8_strlen (program, -1), PROGRAM_LIMIT));
  hello->token = token && strlen (token) <= TOKEN_LIMIT ? g_strdup (token) : NULL;
  return TRUE;
}

gboolean
kcp_hello_decode (GBytes    *body,
                  KcpHello  *hello,
                  GError   **error)
{
  g_autoptr (JsonObject) object = kcp_codec_decode_object ("HELLO", body, error);

  memset (hello, 0, sizeof *hello);
  if (object == NULL)
    return FALSE;

  if (!decode_members (object, hello, error))
    {
      g_prefix_error (error, "HELLO frame: ");
      return FALSE;
    }

  return TRUE;
}

static void
print_range (const KcpHello *hello,
             char           *out,
             gsize           size)
{
  if (hello->protocol_min == hello->protocol_max)
    g_snprintf (out, size, "%d", hello->protocol_min);
  else
    g_snprintf (out, size, "%d to %d", hello->protocol_min, hello->protocol_max);
}

gboolean
kcp_hello_agree (const KcpHello  *ours,
                 const KcpHello  *theirs,
                 KcpTerms        *terms,
                 GError         **error)
{
  if (ours->from_child == theirs->from_child || ours->socket != theirs->socket)
    {
      g_set_error (error, KCP_ERROR, KCP_ERROR_HANDSHAKE_FAILED,
                   "%s on the %s socket says that it is the %s on the %s socket", theirs->program,
                   kcp_socket_role_to_string (ours->socket), theirs->from_child ? "child" : "host",
                   kcp_socket_role_to_string (theirs->socket));
      return FALSE;
    }

  if (MAX (ours->protocol_min, theirs->protocol_min) > MIN (ours->protocol_max, theirs->protocol_max))
    {
      char our_range[32], their_range[32];

      print_range (ours, our_range, sizeof our_range);
      print_range (theirs, their_range, sizeof their_range);
      g_set_error (error, KCP_ERROR, KCP_ERROR_VERSION_MISMATCH,
                   "no common protocol version: the %s (%s) speaks %s, the %s (%s) speaks %s; "
                   "install a stub and a library of the same release",
                   ours->from_child ? "child" : "host", ours->program, our_range,
                   theirs->from_child ? "child" : "host", theirs->program, their_range);
      return FALSE;
    }

  terms->frame_limit = MIN (ours->frame_limit, theirs->frame_limit);
  terms->credit = ours->credit && theirs->credit;
  terms->fds = ours->fds && theirs->fds;
  terms->our_items = ours->stream_items;
  terms->our_bytes = ours->stream_bytes;
  terms->their_items = theirs->stream_items;
  terms->their_bytes = theirs->stream_bytes;
  return TRUE;
}

gboolean
kcp_token_equal (const char *a,
                 const char *b)
{
  gsize length = strlen (a);
  guint difference = 0;

  if (strlen (b) != length)
    return FALSE;

  for (gsize i = 0; i < length; i++)
    difference |= (guint) (guchar) (a[i] ^ b[i]);

  return difference == 0;
}
