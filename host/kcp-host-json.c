/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "kcp-host-json.h"

#include <string.h>

/* The nodes seen here were read by kcp_json_parse(), or are made of such: their depth is limited,
 * so that recursion is, too. */

#define INDENT 2

typedef struct
{
  const HostStyle *style;
  GString *out;
} Renderer;

static void render_node (Renderer *self,
                         JsonNode *node,
                         guint     column,
                         guint     indent);

static void
append_painted (Renderer   *self,
                HostPaint   paint,
                const char *text)
{
  g_string_append (self->out, host_style_start (self->style, paint));
  g_string_append (self->out, text);
  g_string_append (self->out, host_style_end (self->style));
}

static void
append_escape (GString  *out,
               gunichar  c)
{
  if (c >= 0x10000)
    g_string_append_printf (out, "\\u%04x\\u%04x",
                            0xd800 + ((c - 0x10000) >> 10), 0xdc00 + ((c - 0x10000) & 0x3ff));
  else
    g_string_append_printf (out, "\\u%04x", c);
}

/* JSON leaves DEL and U+0080 to U+009F as they are, but terminals act on them. */
static char *
quote_for_terminal (const char *text,
                    gboolean    ascii)
{
  g_autofree char *quoted = host_json_string (text);
  GString *out = g_string_sized_new (strlen (quoted));

  for (const char *p = quoted; *p; p = g_utf8_next_char (p))
    {
      gunichar c = g_utf8_get_char (p);

      if (g_unichar_iscntrl (c) || (ascii && c >= 0x80))
        append_escape (out, c);
      else
        g_string_append_unichar (out, c);
    }

  return g_string_free (out, FALSE);
}

static void
render_scalar (Renderer *self,
               JsonNode *node)
{
  g_autofree char *text = NULL;

  if (JSON_NODE_HOLDS_NULL (node))
    {
      append_painted (self, HOST_PAINT_FAINT, "null");
      return;
    }

  if (json_node_get_value_type (node) == G_TYPE_STRING)
    {
      text = quote_for_terminal (json_node_get_string (node), self->style->ascii);
      append_painted (self, HOST_PAINT_STRING, text);
      return;
    }

  text = kcp_json_to_string (node, NULL);
  append_painted (self,
                  json_node_get_value_type (node) == G_TYPE_BOOLEAN ? HOST_PAINT_WORD : HOST_PAINT_NUMBER,
                  text ? text : "?");
}

/* Columns of a string in its quotes; looks no further than @room. */
static int
string_columns (const char *text,
                int         room)
{
  return (int) g_utf8_strlen (text, 4 * (gssize) MAX (room, 0) + 4) + 2;
}

/* What is left of @room columns when @node is written in one line; looks no further than that, so
 * the cost of asking again at each level does not depend on the size of the document. */
static int
room_after (JsonNode *node,
            int       room)
{
  if (room < 0)
    return room;

  if (JSON_NODE_HOLDS_OBJECT (node))
    {
      JsonObjectIter iter;
      const char *name;
      JsonNode *member;

      room -= 2;
      json_object_iter_init_ordered (&iter, json_node_get_object (node));
      while (room >= 0 && json_object_iter_next_ordered (&iter, &name, &member))
        room = room_after (member, room - string_columns (name, room) - 4);
      return room;
    }

  if (JSON_NODE_HOLDS_ARRAY (node))
    {
      JsonArray *array = json_node_get_array (node);

      room -= 2;
      for (guint i = 0; room >= 0 && i < json_array_get_length (array); i++)
        room = room_after (json_array_get_element (array, i), room - 2);
      return room;
    }

  if (!JSON_NODE_HOLDS_NULL (node) && json_node_get_value_type (node) == G_TYPE_STRING)
    return room - string_columns (json_node_get_string (node), room);

  return room - 5;
}

static void
start_row (Renderer *self,
           gboolean  broken,
           gboolean  first,
           guint     indent)
{
  if (!first)
    g_string_append_c (self->out, ',');

  if (broken)
    g_string_append_printf (self->out, "\n%*s", (int) indent, "");
  else if (!first)
    g_string_append_c (self->out, ' ');
}

static void
end_rows (Renderer *self,
          gboolean  broken,
          guint     indent,
          char      bracket)
{
  if (broken)
    g_string_append_printf (self->out, "\n%*s", (int) indent, "");
  g_string_append_c (self->out, bracket);
}

static void
render_object (Renderer   *self,
               JsonObject *object,
               gboolean    broken,
               guint       indent)
{
  JsonObjectIter iter;
  const char *name;
  JsonNode *member;
  gboolean first = TRUE;

  g_string_append_c (self->out, '{');
  json_object_iter_init_ordered (&iter, object);
  while (json_object_iter_next_ordered (&iter, &name, &member))
    {
      g_autofree char *quoted = quote_for_terminal (name, self->style->ascii);

      start_row (self, broken, first, indent + INDENT);
      first = FALSE;
      append_painted (self, HOST_PAINT_KEY, quoted);
      g_string_append (self->out, ": ");
      render_node (self, member,
                   broken ? indent + INDENT + host_text_width (quoted) + 2 : 0, indent + INDENT);
    }
  end_rows (self, broken, indent, '}');
}

static void
render_array (Renderer  *self,
              JsonArray *array,
              gboolean   broken,
              guint      indent)
{
  g_string_append_c (self->out, '[');
  for (guint i = 0; i < json_array_get_length (array); i++)
    {
      start_row (self, broken, i == 0, indent + INDENT);
      render_node (self, json_array_get_element (array, i), broken ? indent + INDENT : 0, indent + INDENT);
    }
  end_rows (self, broken, indent, ']');
}

static void
render_node (Renderer *self,
             JsonNode *node,
             guint     column,
             guint     indent)
{
  gboolean broken = room_after (node, (int) self->style->width - (int) column) < 0;

  if (JSON_NODE_HOLDS_OBJECT (node))
    render_object (self, json_node_get_object (node),
                   broken && json_object_get_size (json_node_get_object (node)) > 0, indent);
  else if (JSON_NODE_HOLDS_ARRAY (node))
    render_array (self, json_node_get_array (node),
                  broken && json_array_get_length (json_node_get_array (node)) > 0, indent);
  else
    render_scalar (self, node);
}

char *
host_json_render (JsonNode        *node,
                  const HostStyle *style,
                  guint            column,
                  guint            indent)
{
  Renderer self = { .style = style, .out = g_string_new (NULL) };

  render_node (&self, node, column, indent);
  return g_string_free (self.out, FALSE);
}

char *
host_json_body (KcpMessage  *message,
                GError     **error)
{
  const char *content_type = kcp_message_get_content_type (message);
  JsonNode *body;

  if (content_type)
    {
      GBytes *bytes = kcp_message_get_body_bytes (message, error);
      g_autofree char *type = NULL;
      g_autofree char *base64 = NULL;

      if (bytes == NULL)
        return NULL;
      type = host_json_string (content_type);
      base64 = g_base64_encode (g_bytes_get_data (bytes, NULL), g_bytes_get_size (bytes));
      return g_strdup_printf ("{\"content_type\":%s,\"base64\":\"%s\"}", type, base64);
    }

  /* Read and written again, not passed through: the bytes come from the plugin, and a line must be
   * one line of valid JSON. */
  body = kcp_message_get_body (message, error);
  return body ? kcp_json_to_string (body, error) : NULL;
}

char *
host_json_string (const char *text)
{
  g_autoptr (JsonNode) node = json_node_new (JSON_NODE_VALUE);
  g_autofree char *valid = g_utf8_make_valid (text, -1);
  char *quoted;

  json_node_set_string (node, valid);
  quoted = kcp_json_to_string (node, NULL);
  return quoted ? quoted : g_strdup ("\"\"");
}

static char *
error_object (const char *domain,
              const char *code_name,
              int         code,
              const char *message,
              const char *more)
{
  g_autofree char *domain_text = host_json_string (domain);
  g_autofree char *code_text = code_name ? host_json_string (code_name) : g_strdup_printf ("%d", code);
  g_autofree char *message_text = host_json_string (message);

  return g_strdup_printf ("{\"domain\":%s,\"code\":%s,\"message\":%s%s}",
                          domain_text, code_text, message_text, more);
}

char *
host_json_error (const GError *error)
{
  const char *domain = kcp_error_get_remote_domain (error);
  g_autofree char *remote = NULL;
  g_autofree char *more = NULL;

  if (error->domain != KCP_ERROR)
    return error_object (g_quark_to_string (error->domain), NULL, error->code, error->message, "");

  /* An error of the plugin's own kind, kept word for word beside ours. */
  if (domain)
    {
      const char *message = kcp_error_get_remote_message (error);

      remote = error_object (domain, NULL, kcp_error_get_remote_code (error),
                             message ? message : error->message, "");
      more = g_strdup_printf (",\"remote\":%s", remote);
    }

  return error_object ("kcp", kcp_error_to_string (error->code), 0, error->message, more ? more : "");
}
