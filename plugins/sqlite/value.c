/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* SQLite's values as JSON and back:
 *
 *   INTEGER   an integer                  ◄   integer, true, false
 *   REAL      a number; null if infinite  ◄   number
 *   TEXT      a string, made valid UTF-8  ◄   string
 *   BLOB      {"base64": "…"}             ◄   {"base64": "…"}
 *   NULL      null                        ◄   null
 */
#include "database.h"

#include <math.h>
#include <string.h>

JsonNode *
value_new_object (void)
{
  JsonNode *node = json_node_new (JSON_NODE_OBJECT);

  json_node_take_object (node, json_object_new ());
  return node;
}

/* ---- from SQLite ---- */

static char *
get_unique_name (const char *name,
                 GHashTable *taken)
{
  /* The name can be missing for want of memory, and broken in a damaged file. */
  g_autofree char *valid = g_utf8_make_valid (name ? name : "", -1);
  char *unique = g_strdup (valid);

  for (guint n = 2; g_hash_table_contains (taken, unique); n++)
    {
      g_free (unique);
      unique = g_strdup_printf ("%s (%u)", valid, n);
    }

  g_hash_table_add (taken, unique);
  return unique;
}

char **
value_get_columns (sqlite3_stmt *statement)
{
  g_autoptr(GHashTable) taken = g_hash_table_new (g_str_hash, g_str_equal);
  int n_columns = sqlite3_column_count (statement);
  char **columns = g_new0 (char *, n_columns + 1);

  for (int i = 0; i < n_columns; i++)
    columns[i] = get_unique_name (sqlite3_column_name (statement, i), taken);

  return columns;
}

static JsonNode *
new_blob (const guchar *data,
          int           size)
{
  g_autofree char *text = g_base64_encode (data, (gsize) size);
  JsonNode *node = value_new_object ();

  json_object_set_string_member (json_node_get_object (node), "base64", text);
  return node;
}

/* NULL for want of memory. The pointer is asked for before the size: that is the order in which a
 * conversion, if there is one, counts for both. */
static JsonNode *
get_column (sqlite3_stmt *statement,
            int           column)
{
  JsonNode *node = NULL;
  const guchar *data;
  int size;

  switch (sqlite3_column_type (statement, column))
    {
    case SQLITE_INTEGER:
      return json_node_init_int (json_node_alloc (), sqlite3_column_int64 (statement, column));

    case SQLITE_FLOAT:
      if (!isfinite (sqlite3_column_double (statement, column)))
        break;
      return json_node_init_double (json_node_alloc (), sqlite3_column_double (statement, column));

    case SQLITE_TEXT:
      data = sqlite3_column_text (statement, column);
      size = sqlite3_column_bytes (statement, column);
      if (data)
        {
          g_autofree char *text = g_utf8_make_valid ((const char *) data, size);

          node = json_node_init_string (json_node_alloc (), text);
        }
      return node;

    case SQLITE_BLOB:
      data = sqlite3_column_blob (statement, column);
      size = sqlite3_column_bytes (statement, column);
      /* An empty blob has no pointer. */
      return data || size == 0 ? new_blob (data, size) : NULL;

    default:
      break;
    }

  return json_node_new (JSON_NODE_NULL);
}

JsonNode *
value_get_row (sqlite3_stmt  *statement,
               char         **columns,
               GError       **error)
{
  g_autoptr(JsonNode) row = value_new_object ();

  for (int i = 0; columns[i]; i++)
    {
      JsonNode *value = get_column (statement, i);

      if (value == NULL)
        {
          error_take_last (sqlite3_db_handle (statement), NULL, error);
          return NULL;
        }
      json_object_set_member (json_node_get_object (row), columns[i], value);
    }

  return g_steal_pointer (&row);
}

/* ---- to SQLite ---- */

/* Decodes {"base64": "…"}; NULL if @node is anything else, or no proper base64. */
static guchar *
decode_blob (JsonNode *node,
             gsize    *size)
{
  g_autofree guchar *data = NULL;
  g_autofree char *again = NULL;
  JsonNode *text;

  if (!JSON_NODE_HOLDS_OBJECT (node) || json_object_get_size (json_node_get_object (node)) != 1)
    return NULL;

  text = json_object_get_member (json_node_get_object (node), "base64");
  if (text == NULL || !JSON_NODE_HOLDS_VALUE (text) || json_node_get_value_type (text) != G_TYPE_STRING)
    return NULL;

  /* GLib's decoder passes over what it does not know; the way back shows whether it did. */
  data = g_base64_decode (json_node_get_string (text), size);
  again = g_base64_encode (data, *size);
  if (!g_str_equal (again, json_node_get_string (text)))
    return NULL;

  return g_steal_pointer (&data);
}

static int
bind_scalar (sqlite3_stmt *statement,
             int           index,
             JsonNode     *node)
{
  GType type = json_node_get_value_type (node);

  if (type == G_TYPE_BOOLEAN)
    return sqlite3_bind_int (statement, index, json_node_get_boolean (node));
  if (type == G_TYPE_INT64)
    return sqlite3_bind_int64 (statement, index, json_node_get_int (node));
  if (type == G_TYPE_DOUBLE)
    return sqlite3_bind_double (statement, index, json_node_get_double (node));

  /* The only type that is left. Not copied: the body outlives the statement. */
  return sqlite3_bind_text (statement, index, json_node_get_string (node), -1, SQLITE_STATIC);
}

/* @name is how an error calls the parameter. */
static gboolean
bind_one (sqlite3_stmt  *statement,
          int            index,
          const char    *name,
          JsonNode      *node,
          GError       **error)
{
  guchar *data;
  gsize size;
  int code;

  if (JSON_NODE_HOLDS_NULL (node))
    code = sqlite3_bind_null (statement, index);
  else if (JSON_NODE_HOLDS_VALUE (node))
    code = bind_scalar (statement, index, node);
  else if ((data = decode_blob (node, &size)) != NULL)
    code = sqlite3_bind_blob64 (statement, index, data, size, g_free);
  else
    {
      g_set_error (error, KCP_ERROR, KCP_ERROR_INVALID_ARGUMENT,
                   "parameter “%s” must be a plain value or {\"base64\": \"…\"}", name);
      return FALSE;
    }

  if (code != SQLITE_OK)
    return error_take_last (sqlite3_db_handle (statement), NULL, error);

  return TRUE;
}

static gboolean
bind_array (sqlite3_stmt  *statement,
            JsonArray     *params,
            GError       **error)
{
  guint wanted = (guint) sqlite3_bind_parameter_count (statement);
  guint given = json_array_get_length (params);

  if (given != wanted)
    {
      g_set_error (error, KCP_ERROR, KCP_ERROR_INVALID_ARGUMENT,
                   "the statement has %u parameters, “params” has %u", wanted, given);
      return FALSE;
    }

  for (guint i = 0; i < given; i++)
    {
      g_autofree char *name = g_strdup_printf ("%u", i + 1);

      if (!bind_one (statement, (int) i + 1, name, json_array_get_element (params, i), error))
        return FALSE;
    }

  return TRUE;
}

/* The parameter that @name means, written with its sign as in the statement or without; 0 if there
 * is none. */
static int
find_parameter (sqlite3_stmt *statement,
                const char   *name)
{
  const char signs[] = ":@$";
  int index = sqlite3_bind_parameter_index (statement, name);

  for (gsize i = 0; signs[i] != '\0' && index == 0; i++)
    {
      g_autofree char *full = g_strdup_printf ("%c%s", signs[i], name);

      index = sqlite3_bind_parameter_index (statement, full);
    }

  return index;
}

static gboolean
bind_member (sqlite3_stmt  *statement,
             const char    *name,
             JsonNode      *node,
             gboolean      *bound,
             GError       **error)
{
  int index = find_parameter (statement, name);

  if (index == 0 || bound[index])
    {
      g_set_error (error, KCP_ERROR, KCP_ERROR_INVALID_ARGUMENT,
                   index == 0 ? "the statement has no parameter “%s”"
                              : "parameter “%s” is given twice", name);
      return FALSE;
    }

  bound[index] = TRUE;
  return bind_one (statement, index, name, node, error);
}

static gboolean
bind_object (sqlite3_stmt  *statement,
             JsonObject    *params,
             GError       **error)
{
  int n_parameters = sqlite3_bind_parameter_count (statement);
  g_autofree gboolean *bound = g_new0 (gboolean, n_parameters + 1); /* from 1, as SQLite counts */
  JsonObjectIter iter;
  const char *name;
  JsonNode *node;

  json_object_iter_init_ordered (&iter, params);
  while (json_object_iter_next_ordered (&iter, &name, &node))
    if (!bind_member (statement, name, node, bound, error))
      return FALSE;

  for (int i = 1; i <= n_parameters; i++)
    if (!bound[i])
      {
        const char *missing = sqlite3_bind_parameter_name (statement, i);

        g_set_error (error, KCP_ERROR, KCP_ERROR_INVALID_ARGUMENT,
                     "“params” lacks parameter %d, “%s”", i, missing ? missing : "?");
        return FALSE;
      }

  return TRUE;
}

gboolean
value_bind (sqlite3_stmt  *statement,
            JsonNode      *params,
            GError       **error)
{
  g_autoptr(JsonArray) none = NULL;

  if (params && JSON_NODE_HOLDS_ARRAY (params))
    return bind_array (statement, json_node_get_array (params), error);

  if (params && JSON_NODE_HOLDS_OBJECT (params))
    return bind_object (statement, json_node_get_object (params), error);

  if (params && !JSON_NODE_HOLDS_NULL (params))
    {
      g_set_error_literal (error, KCP_ERROR, KCP_ERROR_INVALID_ARGUMENT,
                           "“params” must be an array or an object");
      return FALSE;
    }

  none = json_array_new ();
  return bind_array (statement, none, error);
}
