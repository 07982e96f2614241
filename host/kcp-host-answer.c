/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "kcp-host-answer.h"
#include "kcp-host-json.h"

#include <glib/gi18n.h>

/* For a person a line has three columns: the id, a sign that says what it is, and the value.
 *
 *     1  ·  {"n": 1}
 *     1  ✓  {"items": 1}
 *     2  ✗  unknown-path: nothing serves “nope”
 */
#define ID_WIDTH 4
#define VALUE_COLUMN (ID_WIDTH + 5)

typedef enum
{
  SIGN_ITEM,
  SIGN_END,
  SIGN_ERROR,
  SIGN_CALLBACK,
} Sign;

static const struct
{
  const char *sign;
  const char *ascii;
  HostPaint paint;
} signs[] = {
  [SIGN_ITEM] = { "·", ".", HOST_PAINT_FAINT },
  [SIGN_END] = { "✓", "=", HOST_PAINT_GOOD },
  [SIGN_ERROR] = { "✗", "!", HOST_PAINT_BAD },
  [SIGN_CALLBACK] = { "◂", "<", HOST_PAINT_NUMBER },
};

static char *
friendly_line (const HostStyle *style,
               const char      *id,
               Sign             sign,
               const char      *value)
{
  int blanks = MAX (0, ID_WIDTH - (int) host_text_width (id));

  return g_strdup_printf ("%*s%s%s%s  %s%s%s%s%s\n", blanks, "",
                          host_style_start (style, HOST_PAINT_FAINT), id, host_style_end (style),
                          host_style_start (style, signs[sign].paint),
                          style->ascii ? signs[sign].ascii : signs[sign].sign,
                          host_style_end (style),
                          *value ? "  " : "", value);
}

static char *
friendly_body (const HostStyle  *style,
               KcpMessage       *message,
               GError          **error)
{
  const char *content_type = kcp_message_get_content_type (message);
  JsonNode *body;

  if (content_type)
    {
      GBytes *bytes = kcp_message_get_body_bytes (message, error);
      g_autofree char *type = host_text_clean (content_type);
      g_autofree char *size = NULL;

      if (bytes == NULL)
        return NULL;
      size = g_format_size (g_bytes_get_size (bytes));
      /* Translators: an answer that is no JSON: how much, and its media type */
      return g_strdup_printf (_("(%s of %s)"), size, type);
    }

  body = kcp_message_get_body (message, error);
  return body ? host_json_render (body, style, VALUE_COLUMN, VALUE_COLUMN) : NULL;
}

static char *
body_line (const HostStyle  *style,
           const char       *id,
           KcpMessage       *message,
           Sign              sign,
           GError          **error)
{
  g_autofree char *body = NULL;

  body = style ? friendly_body (style, message, error) : host_json_body (message, error);
  if (body == NULL)
    return NULL;

  if (style == NULL)
    return g_strdup_printf ("{\"id\":%s,\"%s\":%s}\n", id, sign == SIGN_ITEM ? "item" : "end", body);

  /* An end without a value is just the sign. */
  if (sign == SIGN_END && kcp_message_get_content_type (message) == NULL &&
      JSON_NODE_HOLDS_NULL (kcp_message_get_body (message, NULL)))
    return friendly_line (style, id, sign, "");

  return friendly_line (style, id, sign, body);
}

char *
host_answer_item (const HostStyle  *style,
                  const char       *id,
                  KcpMessage       *message,
                  GError          **error)
{
  return body_line (style, id, message, SIGN_ITEM, error);
}

char *
host_answer_end (const HostStyle  *style,
                 const char       *id,
                 KcpMessage       *message,
                 GError          **error)
{
  return body_line (style, id, message, SIGN_END, error);
}

static char *
friendly_error (const HostStyle *style,
                const char      *id,
                guint64          line,
                const GError    *error)
{
  g_autofree char *message = host_text_clean (error->message);
  g_autofree char *text = NULL;

  if (line > 0)
    {
      g_autofree char *number = g_strdup_printf ("%" G_GUINT64_FORMAT, line);

      text = g_strdup_printf (_("line %s: %s"), number, message);
    }
  else if (error->domain == KCP_ERROR)
    text = g_strdup_printf ("%s: %s", kcp_error_to_string (error->code), message);

  return friendly_line (style, id ? id : "", SIGN_ERROR, text ? text : message);
}

char *
host_answer_error (const HostStyle *style,
                   const char      *id,
                   guint64          line,
                   const GError    *error)
{
  g_autoptr (GString) text = NULL;
  g_autofree char *object = NULL;

  if (style)
    return friendly_error (style, id, line, error);

  object = host_json_error (error);
  text = g_string_new ("{");
  if (id)
    g_string_append_printf (text, "\"id\":%s,", id);
  if (line > 0)
    g_string_append_printf (text, "\"line\":%" G_GUINT64_FORMAT ",", line);
  g_string_append_printf (text, "\"error\":%s}\n", object);
  return g_string_free (g_steal_pointer (&text), FALSE);
}

char *
host_answer_callback (const HostStyle  *style,
                      guint64           number,
                      KcpInvocation    *invocation,
                      GError          **error)
{
  KcpMessage *message = kcp_invocation_get_message (invocation);
  const char *path = kcp_invocation_get_path (invocation);
  g_autofree char *body = NULL;
  g_autofree char *path_text = NULL;
  g_autofree char *id = NULL;
  g_autofree char *value = NULL;

  body = style ? friendly_body (style, message, error) : host_json_body (message, error);
  if (body == NULL)
    return NULL;

  if (style == NULL)
    {
      path_text = host_json_string (path);
      return g_strdup_printf ("{\"callback\":%" G_GUINT64_FORMAT ",\"path\":%s,\"body\":%s%s}\n",
                              number, path_text, body,
                              kcp_invocation_wants_reply (invocation) ? "" : ",\"wants_reply\":false");
    }

  id = g_strdup_printf ("%" G_GUINT64_FORMAT, number);
  path_text = host_text_clean (path);
  value = g_strdup_printf ("%s%s%s %s", host_style_start (style, HOST_PAINT_STRONG), path_text,
                           host_style_end (style), body);
  return friendly_line (style, id, SIGN_CALLBACK, value);
}

char *
host_answer_cancelled (const HostStyle *style,
                       guint64          number)
{
  g_autofree char *id = NULL;

  if (style == NULL)
    return g_strdup_printf ("{\"callback\":%" G_GUINT64_FORMAT ",\"cancelled\":true}\n", number);

  id = g_strdup_printf ("%" G_GUINT64_FORMAT, number);
  return friendly_line (style, id, SIGN_CALLBACK, _("is not wanted any more"));
}
