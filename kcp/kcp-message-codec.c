/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "kcp-message-codec-private.h"

#include "kcp-error-private.h"
#include "kcp-json-private.h"
#include "kcp-message-private.h"
#include "kcp-trace-context.h"

/* Longer error texts are cut: an error must always fit a frame. */
#define ERROR_TEXT_LIMIT (16 * 1024)
#define TEXT_FIELD_LIMIT 8192

gboolean
kcp_codec_path_is_valid (const char *path,
                         gsize       length)
{
  if (length == 0 || length > KCP_FRAME_PATH_LIMIT)
    return FALSE;

  for (gsize i = 0; i < length; i++)
    if ((guchar) path[i] < 0x20 || path[i] == 0x7f)
      return FALSE;

  return g_utf8_validate_len (path, length, NULL);
}

/* ---- out ---- */

static void
set_text (KcpFields    *fields,
          KcpFieldTag   tag,
          const char   *text,
          const char  **to,
          guint16      *to_length)
{
  if (text == NULL)
    return;

  *to = text;
  *to_length = (guint16) strlen (text);
  fields->present |= KCP_FIELD_BIT (tag);
}

static gboolean
check_outgoing_path (const char  *path,
                     GError     **error)
{
  gsize length = path ? strlen (path) : 0;

  if (path && kcp_codec_path_is_valid (path, length))
    return TRUE;

  if (length > KCP_FRAME_PATH_LIMIT)
    g_set_error (error, KCP_ERROR, KCP_ERROR_TOO_LARGE,
                 "the path has %" G_GSIZE_FORMAT " bytes, the limit is %d", length, KCP_FRAME_PATH_LIMIT);
  else
    g_set_error_literal (error, KCP_ERROR, KCP_ERROR_INVALID_MESSAGE,
                         path == NULL ? "the message has no path to be sent to"
                                      : "the path is empty, or not UTF-8 without control characters");
  return FALSE;
}

static gboolean
fill_descriptors (KcpMessage  *message,
                  KcpFields   *fields,
                  GError     **error)
{
  guint count = kcp_message_count_fds (message);

  if (count > KCP_FRAME_FD_LIMIT)
    {
      g_set_error (error, KCP_ERROR, KCP_ERROR_TOO_LARGE, "the message has %u descriptors, the limit is %d",
                   count, KCP_FRAME_FD_LIMIT);
      return FALSE;
    }

  if (count > 0)
    {
      fields->fd_count = (guint16) count;
      fields->present |= KCP_FIELD_BIT (KCP_FIELD_FD_COUNT);
    }
  if (kcp_message_has_body_fd (message, &fields->body_fd_size))
    fields->present |= KCP_FIELD_BIT (KCP_FIELD_BODY_FD);
  return TRUE;
}

gboolean
kcp_codec_fill_fields (KcpMessage    *message,
                       KcpFrameKind   kind,
                       KcpFields     *fields,
                       GError       **error)
{
  const char *content_type = kcp_message_get_content_type (message);
  const char *baggage = kcp_message_get_baggage (message);

  memset (fields, 0, sizeof *fields);

  if ((content_type && strlen (content_type) > KCP_FRAME_PATH_LIMIT) ||
      (baggage && strlen (baggage) > TEXT_FIELD_LIMIT))
    {
      g_set_error (error, KCP_ERROR, KCP_ERROR_TOO_LARGE,
                   "the content type may have %d bytes, the baggage %d",
                   KCP_FRAME_PATH_LIMIT, TEXT_FIELD_LIMIT);
      return FALSE;
    }

  if (content_type && !kcp_codec_path_is_valid (content_type, strlen (content_type)))
    {
      g_set_error_literal (error, KCP_ERROR, KCP_ERROR_INVALID_MESSAGE,
                           "the content type is empty, or not UTF-8 without control characters");
      return FALSE;
    }

  set_text (fields, KCP_FIELD_CONTENT_TYPE, content_type,
            &fields->content_type, &fields->content_type_length);
  if (!fill_descriptors (message, fields, error))
    return FALSE;
  if (kind != KCP_FRAME_CALL)
    return TRUE;

  if (!check_outgoing_path (kcp_message_get_path (message), error))
    return FALSE;

  set_text (fields, KCP_FIELD_PATH, kcp_message_get_path (message), &fields->path, &fields->path_length);
  set_text (fields, KCP_FIELD_BAGGAGE, baggage, &fields->baggage, &fields->baggage_length);
  return TRUE;
}

/* ---- in ---- */

/* The fields that may stand on a frame of each kind, and those that must. Unknown optional tags
 * were skipped already; a known one in the wrong place is a mistake of the peer. */
#define WITH_BODY                                                                  \
  (KCP_FIELD_BIT (KCP_FIELD_CONTENT_TYPE) | KCP_FIELD_BIT (KCP_FIELD_FD_COUNT) |   \
   KCP_FIELD_BIT (KCP_FIELD_BODY_FD))

static const struct
{
  guint32 may, must;
} allowed[] = {
  [KCP_FRAME_CALL] = {
    KCP_FIELD_BIT (KCP_FIELD_PATH) | KCP_FIELD_BIT (KCP_FIELD_TRACEPARENT) |
    KCP_FIELD_BIT (KCP_FIELD_TRACESTATE) | KCP_FIELD_BIT (KCP_FIELD_BAGGAGE) |
    KCP_FIELD_BIT (KCP_FIELD_DEADLINE) | KCP_FIELD_BIT (KCP_FIELD_PARENT) |
    WITH_BODY,
    KCP_FIELD_BIT (KCP_FIELD_PATH),
  },
  [KCP_FRAME_ITEM] = { WITH_BODY, 0 },
  [KCP_FRAME_END] = {
    WITH_BODY | KCP_FIELD_BIT (KCP_FIELD_CALLBACKS_SENT), 0,
  },
  [KCP_FRAME_ERROR] = { KCP_FIELD_BIT (KCP_FIELD_CALLBACKS_SENT), 0 },
  [KCP_FRAME_CREDIT] = { KCP_FIELD_BIT (KCP_FIELD_CREDIT), KCP_FIELD_BIT (KCP_FIELD_CREDIT) },
  [KCP_FRAME_GOODBYE] = { 0, 0 },
};

static gboolean
refuse_frame (const KcpFrame *frame,
              const char     *what,
              GError        **error)
{
  g_set_error (error, KCP_ERROR, KCP_ERROR_PROTOCOL, "%s frame %s",
               kcp_frame_kind_to_string (frame->header.kind), what);
  return FALSE;
}

static gboolean
has_body (const KcpFrame *frame)
{
  return frame->body && g_bytes_get_size (frame->body) > 0;
}

/* How many there are really is for the reader to say. */
static gboolean
check_descriptors (const KcpFrame   *frame,
                   const KcpFields  *fields,
                   GError          **error)
{
  if (KCP_FIELDS_HAS (fields, KCP_FIELD_FD_COUNT) &&
      (fields->fd_count == 0 || fields->fd_count > KCP_FRAME_FD_LIMIT))
    return refuse_frame (frame, "that announces no descriptor, or more than 16", error);
  if (KCP_FIELDS_HAS (fields, KCP_FIELD_BODY_FD) && (fields->fd_count == 0 || has_body (frame)))
    return refuse_frame (frame, "whose body is in a descriptor that is not there, or beside another body", error);

  return TRUE;
}

gboolean
kcp_codec_read_fields (const KcpFrame  *frame,
                       KcpFields       *fields,
                       GError         **error)
{
  guint8 kind = frame->header.kind;

  if (!kcp_fields_read (frame->fields, frame->header.fields_length, fields, error))
    {
      g_prefix_error (error, "%s frame: ", kcp_frame_kind_to_string (kind));
      return FALSE;
    }

  if (fields->present & ~allowed[kind].may)
    return refuse_frame (frame, "with a field that does not belong on it", error);
  if (allowed[kind].must & ~fields->present)
    return refuse_frame (frame, kind == KCP_FRAME_CALL ? "without a path" : "without a credit", error);
  if (KCP_FIELDS_HAS (fields, KCP_FIELD_PATH) &&
      !kcp_codec_path_is_valid (fields->path, fields->path_length))
    return refuse_frame (frame, "whose path is not 1 to 255 bytes of UTF-8 without control characters",
                         error);
  if (KCP_FIELDS_HAS (fields, KCP_FIELD_CONTENT_TYPE) &&
      !kcp_codec_path_is_valid (fields->content_type, fields->content_type_length))
    return refuse_frame (frame, "whose content type is not 1 to 255 bytes of printable text", error);
  if ((kind == KCP_FRAME_PING || kind == KCP_FRAME_PONG || kind == KCP_FRAME_CANCEL ||
       kind == KCP_FRAME_CREDIT) && has_body (frame))
    return refuse_frame (frame, "with a body", error);

  return check_descriptors (frame, fields, error);
}

static char *
dup_text (const KcpFields *fields,
          KcpFieldTag      tag,
          const char      *text,
          gsize            length)
{
  return KCP_FIELDS_HAS (fields, tag) ? g_strndup (text, length) : NULL;
}

/* A bad traceparent never costs the request: without one the callee starts a trace of its own. */
static KcpTraceContext *
decode_trace (const KcpFields *fields)
{
  char traceparent[256];
  g_autofree char *tracestate = NULL;

  if (!KCP_FIELDS_HAS (fields, KCP_FIELD_TRACEPARENT) ||
      fields->traceparent_length >= sizeof traceparent ||
      memchr (fields->traceparent, '\0', fields->traceparent_length))
    return NULL;

  memcpy (traceparent, fields->traceparent, fields->traceparent_length);
  traceparent[fields->traceparent_length] = '\0';
  if (!memchr (fields->tracestate ? fields->tracestate : "", '\0', fields->tracestate_length))
    tracestate = dup_text (fields, KCP_FIELD_TRACESTATE, fields->tracestate, fields->tracestate_length);

  return kcp_trace_context_parse (traceparent, tracestate, NULL);
}

/* W3C baggage is printable ASCII; anything else is dropped alone. */
static char *
decode_baggage (const KcpFields *fields)
{
  for (gsize i = 0; i < fields->baggage_length; i++)
    if (fields->baggage[i] < 0x20 || fields->baggage[i] > 0x7e)
      return NULL;

  return dup_text (fields, KCP_FIELD_BAGGAGE, fields->baggage, fields->baggage_length);
}

KcpMessage *
kcp_codec_decode_message (const KcpFrame  *frame,
                          const KcpFields *fields)
{
  KcpMessage *message = kcp_message_new_received (
    dup_text (fields, KCP_FIELD_PATH, fields->path, fields->path_length), frame->body,
    dup_text (fields, KCP_FIELD_CONTENT_TYPE, fields->content_type, fields->content_type_length),
    decode_trace (fields), decode_baggage (fields));

  if (frame->fds)
    kcp_message_take_received_fds (message, frame->fds, KCP_FIELDS_HAS (fields, KCP_FIELD_BODY_FD),
                                   fields->body_fd_size);
  return message;
}

void
kcp_codec_decode_call (const KcpFrame  *frame,
                       const KcpFields *fields,
                       KcpIncomingCall *call)
{
  call->message = kcp_codec_decode_message (frame, fields);
  call->id = frame->header.id;
  call->parent = fields->parent;
  call->no_reply = (frame->header.flags & KCP_FRAME_FLAG_NO_REPLY) != 0;
  call->deadline_at = KCP_FIELDS_HAS (fields, KCP_FIELD_DEADLINE)
                        ? g_get_monotonic_time () + (gint64) fields->deadline_ms * 1000
                        : 0;

  if (kcp_message_get_trace_context (call->message) == NULL)
    {
      g_autoptr (KcpTraceContext) fresh = kcp_trace_context_new ();

      kcp_message_set_trace_context (call->message, fresh);
    }
}

/* ---- JSON objects of link frames and errors ---- */

JsonObject *
kcp_codec_decode_object (const char  *kind,
                         GBytes      *body,
                         GError     **error)
{
  g_autoptr (JsonNode) node = NULL;
  g_autoptr (GError) reason = NULL;
  gsize size = 0;
  const char *text = body ? g_bytes_get_data (body, &size) : NULL;

  node = size > 0 ? kcp_json_parse (text, (gssize) size, &reason) : NULL;
  if (node && JSON_NODE_HOLDS_OBJECT (node))
    return json_node_dup_object (node);

  g_set_error (error, KCP_ERROR, KCP_ERROR_PROTOCOL, "%s frame: %s", kind,
               size == 0 ? "the body is missing"
                         : reason ? reason->message : "the body is not a JSON object");
  return NULL;
}

/* For objects made here, which can always be written. */
GBytes *
kcp_codec_encode_object (JsonObject *object)
{
  g_autoptr (JsonNode) node = json_node_new (JSON_NODE_OBJECT);
  GString *text = g_string_sized_new (256);
  g_autoptr (GError) error = NULL;

  json_node_set_object (node, object);
  if (!kcp_json_append (text, node, &error))
    g_error ("kcp made an object that is not JSON: %s", error->message);

  return g_string_free_to_bytes (text);
}

gboolean
kcp_codec_get_string (JsonObject  *object,
                      const char  *name,
                      const char **value,
                      GError     **error)
{
  JsonNode *node = json_object_get_member (object, name);

  if (node == NULL || JSON_NODE_HOLDS_NULL (node))
    return TRUE;

  if (!JSON_NODE_HOLDS_VALUE (node) || json_node_get_value_type (node) != G_TYPE_STRING)
    {
      g_set_error (error, KCP_ERROR, KCP_ERROR_PROTOCOL, "“%s” is not a string", name);
      return FALSE;
    }

  *value = json_node_get_string (node);
  return TRUE;
}

gboolean
kcp_codec_get_int (JsonObject  *object,
                   const char  *name,
                   gint64       minimum,
                   gint64       maximum,
                   gint64      *value,
                   GError     **error)
{
  JsonNode *node = json_object_get_member (object, name);
  gint64 found;

  if (node == NULL)
    return TRUE;

  if (!JSON_NODE_HOLDS_VALUE (node) || json_node_get_value_type (node) != G_TYPE_INT64)
    {
      g_set_error (error, KCP_ERROR, KCP_ERROR_PROTOCOL, "“%s” is not an integer", name);
      return FALSE;
    }

  found = json_node_get_int (node);
  if (found < minimum || found > maximum)
    {
      g_set_error (error, KCP_ERROR, KCP_ERROR_PROTOCOL,
                   "“%s” is %" G_GINT64_FORMAT ", allowed are %" G_GINT64_FORMAT " to %" G_GINT64_FORMAT,
                   name, found, minimum, maximum);
      return FALSE;
    }

  *value = found;
  return TRUE;
}

/* ---- errors ---- */

static char *
presentable_text (const char *text)
{
  g_autofree char *valid = g_utf8_make_valid (text ? text : "", -1);
  const char *end;

  if (strlen (valid) <= ERROR_TEXT_LIMIT)
    return g_steal_pointer (&valid);

  end = g_utf8_find_prev_char (valid, valid + ERROR_TEXT_LIMIT);
  return g_strdup_printf ("%.*s…", (int) (end - valid), valid);
}

/* What an error is on the wire: {"domain", "code", "message"}, the code a name for our own
 * domain and a number otherwise. An error that itself came from elsewhere goes on as that. */
GBytes *
kcp_codec_encode_error (const GError *error)
{
  g_autoptr (JsonObject) object = json_object_new ();
  const char *remote = kcp_error_get_remote_domain (error);
  g_autofree char *text = presentable_text (kcp_error_get_remote_message (error));
  g_autofree char *domain = presentable_text (remote ? remote : g_quark_to_string (error->domain));

  if (remote ? g_str_equal (remote, KCP_ERROR_WIRE_DOMAIN) : error->domain == KCP_ERROR)
    {
      KcpError code = (KcpError) kcp_error_get_remote_code (error);

      json_object_set_string_member (object, "domain", KCP_ERROR_WIRE_DOMAIN);
      json_object_set_string_member (object, "code", kcp_error_to_string (code));
    }
  else
    {
      json_object_set_string_member (object, "domain", domain);
      json_object_set_int_member (object, "code", kcp_error_get_remote_code (error));
    }
  json_object_set_string_member (object, "message", text);

  return kcp_codec_encode_object (object);
}

GError *
kcp_codec_decode_error (GBytes  *body,
                        GError **protocol_error)
{
  g_autoptr (JsonObject) object = kcp_codec_decode_object ("ERROR", body, protocol_error);
  const char *domain = "", *message = "", *name = NULL;
  gint64 number = 0;
  JsonNode *code;

  if (object == NULL)
    return NULL;

  if (!kcp_codec_get_string (object, "domain", &domain, protocol_error) ||
      !kcp_codec_get_string (object, "message", &message, protocol_error))
    goto wrong;

  code = json_object_get_member (object, "code");
  if (code && JSON_NODE_HOLDS_VALUE (code) && json_node_get_value_type (code) == G_TYPE_STRING &&
      g_str_equal (domain, KCP_ERROR_WIRE_DOMAIN))
    name = json_node_get_string (code);
  else if (!kcp_codec_get_int (object, "code", G_MININT32, G_MAXINT32, &number, protocol_error))
    goto wrong;

  return kcp_error_from_peer (domain, name, (int) number, message);

wrong:
  g_prefix_error (protocol_error, "ERROR frame: ");
  return NULL;
}
