/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "kcp-json-private.h"

#include "kcp-error.h"

#include <math.h>

/* Longer paths to a bad node lose their beginning in the message. */
#define WHERE_BYTES 200

/* @where is built on the way back from the bad node, from its end to its beginning. */
typedef struct
{
  GString *out;
  GString *where;
  const char *reason;
} Writer;

static gboolean append_node (Writer   *writer,
                             JsonNode *node,
                             guint     depth);

/* @reason is not copied. */
static gboolean
refuse (Writer     *writer,
        const char *reason)
{
  writer->reason = reason;
  writer->where = g_string_new (NULL);

  return FALSE;
}

static gboolean
refuse_inside (Writer     *writer,
               const char *key)
{
  g_autofree char *name = kcp_json_excerpt (key, strlen (key));

  if (writer->where->len < WHERE_BYTES)
    {
      g_string_prepend (writer->where, name);
      g_string_prepend_c (writer->where, '/');
    }

  return FALSE;
}

static gboolean
refuse_inside_array (Writer *writer,
                     guint   index)
{
  char key[16];

  g_snprintf (key, sizeof key, "%u", index);

  return refuse_inside (writer, key);
}

static void
append_escape (GString *out,
               guchar   c)
{
  static const char hex[] = "0123456789abcdef";
  static const char names[0x20] = {
    ['\b'] = 'b', ['\t'] = 't', ['\n'] = 'n', ['\f'] = 'f', ['\r'] = 'r',
  };

  g_string_append_c (out, '\\');
  if (c >= 0x20)
    {
      g_string_append_c (out, c);
    }
  else if (names[c] != '\0')
    {
      g_string_append_c (out, names[c]);
    }
  else
    {
      g_string_append_len (out, "u00", 3);
      g_string_append_c (out, hex[c >> 4]);
      g_string_append_c (out, hex[c & 15]);
    }
}

static gboolean
append_string (Writer     *writer,
               const char *string)
{
  GString *out = writer->out;
  gsize length = strlen (string);
  const char *p = string, *end = string + length;
  gboolean non_ascii = FALSE;

  g_string_append_c (out, '"');
  for (;;)
    {
      const char *stop = kcp_json_skip_plain (p, end, &non_ascii);

      g_string_append_len (out, p, stop - p);
      if (stop == end)
        break;

      append_escape (out, *stop);
      p = stop + 1;
    }
  g_string_append_c (out, '"');

  /* What was appended is taken back when it turns out to be bad. */
  if (non_ascii && !g_utf8_validate_len (string, length, NULL))
    return refuse (writer, "text is not UTF-8");

  return TRUE;
}

static void
append_integer (GString *out,
                gint64   value)
{
  char digits[20];
  char *first = digits + sizeof digits;
  guint64 rest = value < 0 ? -(guint64) value : (guint64) value;

  do
    {
      *--first = '0' + rest % 10;
      rest /= 10;
    }
  while (rest != 0);

  if (value < 0)
    *--first = '-';

  g_string_append_len (out, first, digits + sizeof digits - first);
}

/* As few digits as are read back as the same double, and a fraction or an exponent in any case: else
 * the reader on the other side would make an integer of it. */
static gboolean
append_double (Writer *writer,
               double  value)
{
  static const char *const formats[] = { "%.15g", "%.16g", "%.17g" };
  char text[G_ASCII_DTOSTR_BUF_SIZE];

  if (!isfinite (value))
    return refuse (writer, "number is not finite");

  for (gsize i = 0; i < G_N_ELEMENTS (formats); i++)
    {
      g_ascii_formatd (text, sizeof text, formats[i], value);
      if (g_ascii_strtod (text, NULL) == value)
        break;
    }

  g_string_append (writer->out, text);
  if (strpbrk (text, ".e") == NULL)
    g_string_append_len (writer->out, ".0", 2);

  return TRUE;
}

static gboolean
append_object (Writer   *writer,
               JsonNode *node,
               guint     depth)
{
  JsonObject *object = json_node_get_object (node);
  JsonObjectIter iter;
  const char *key;
  JsonNode *member;
  gboolean first = TRUE;

  if (object == NULL)
    return refuse (writer, "object node without an object");

  g_string_append_c (writer->out, '{');
  json_object_iter_init_ordered (&iter, object);
  while (json_object_iter_next_ordered (&iter, &key, &member))
    {
      if (!first)
        g_string_append_c (writer->out, ',');
      first = FALSE;

      if (!append_string (writer, key))
        return refuse_inside (writer, key);
      g_string_append_c (writer->out, ':');
      if (!append_node (writer, member, depth + 1))
        return refuse_inside (writer, key);
    }
  g_string_append_c (writer->out, '}');

  return TRUE;
}

static gboolean
append_array (Writer   *writer,
              JsonNode *node,
              guint     depth)
{
  JsonArray *array = json_node_get_array (node);
  guint length;

  if (array == NULL)
    return refuse (writer, "array node without an array");

  g_string_append_c (writer->out, '[');
  length = json_array_get_length (array);
  for (guint i = 0; i < length; i++)
    {
      if (i > 0)
        g_string_append_c (writer->out, ',');
      if (!append_node (writer, json_array_get_element (array, i), depth + 1))
        return refuse_inside_array (writer, i);
    }
  g_string_append_c (writer->out, ']');

  return TRUE;
}

static gboolean
append_value (Writer   *writer,
              JsonNode *node)
{
  GType type = json_node_get_value_type (node);

  if (type == G_TYPE_STRING)
    {
      const char *string = json_node_get_string (node);

      return string != NULL ? append_string (writer, string) : refuse (writer, "string node without text");
    }

  if (type == G_TYPE_INT64)
    append_integer (writer->out, json_node_get_int (node));
  else if (type == G_TYPE_DOUBLE)
    return append_double (writer, json_node_get_double (node));
  else if (type == G_TYPE_BOOLEAN)
    g_string_append (writer->out, json_node_get_boolean (node) ? "true" : "false");
  else
    return refuse (writer, "value of a type that JSON does not have");

  return TRUE;
}

/* @depth counts what is open around @node. It also ends the way into a tree that contains itself. */
static gboolean
append_node (Writer   *writer,
             JsonNode *node,
             guint     depth)
{
  if (node == NULL)
    return refuse (writer, "there is no node");

  switch (json_node_get_node_type (node))
    {
    case JSON_NODE_OBJECT:
    case JSON_NODE_ARRAY:
      if (depth == KCP_JSON_MAX_DEPTH)
        return refuse (writer, "more than " G_STRINGIFY (KCP_JSON_MAX_DEPTH)
                               " objects and arrays inside each other");
      if (JSON_NODE_HOLDS_OBJECT (node))
        return append_object (writer, node, depth);
      return append_array (writer, node, depth);

    case JSON_NODE_VALUE:
      return append_value (writer, node);

    case JSON_NODE_NULL:
      g_string_append_len (writer->out, "null", 4);
      return TRUE;

    default:
      return refuse (writer, "node of a type that JSON does not have");
    }
}

gboolean
kcp_json_append (GString   *out,
                 JsonNode  *node,
                 GError   **error)
{
  Writer writer = { .out = out };
  gsize before = out->len;

  if (append_node (&writer, node, 0))
    return TRUE;

  g_string_truncate (out, before);
  if (writer.where->len >= WHERE_BYTES)
    g_string_prepend (writer.where, "…");
  g_set_error (error, KCP_ERROR, KCP_ERROR_INVALID_MESSAGE, "cannot write JSON%s%s: %s",
               writer.where->len > 0 ? " at " : "", writer.where->str, writer.reason);
  g_string_free (writer.where, TRUE);

  return FALSE;
}

/**
 * kcp_json_to_string:
 * @node: (nullable): a tree
 * @error: return location for an error
 *
 * Writes a tree as compact JSON text, members in the order in which they were added.
 *
 * What kcp_json_parse() would refuse is not written: text that is not UTF-8, a number that is not
 * finite, more than %KCP_JSON_MAX_DEPTH objects and arrays inside each other; nor is a node that has
 * no value, or %NULL. A double is written with a fraction or an exponent, so that it stays a double,
 * and with as many digits as it needs to stay the same one.
 *
 * Any thread may call it as long as no other one changes the tree.
 *
 * Returns: (transfer full) (nullable): the text, or %NULL with @error set to
 *   %KCP_ERROR_INVALID_MESSAGE
 */
char *
kcp_json_to_string (JsonNode  *node,
                    GError   **error)
{
  GString *out;

  g_return_val_if_fail (error == NULL || *error == NULL, NULL);

  out = g_string_new (NULL);
  if (!kcp_json_append (out, node, error))
    return g_string_free (out, TRUE);

  return g_string_free (out, FALSE);
}
