/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* `tables` and `schema`: what is in the database. */
#include "database.h"

/* The rows of @sql, in which there may be one parameter, the text @argument. */
static JsonArray *
get_rows (sqlite3     *db,
          const char  *sql,
          const char  *argument,
          GError     **error)
{
  g_autoptr(sqlite3_stmt) statement = query_prepare (db, sql, error);
  g_autoptr(JsonArray) rows = json_array_new ();
  g_auto(GStrv) columns = NULL;
  int code;

  if (statement == NULL)
    return NULL;

  if (argument)
    sqlite3_bind_text (statement, 1, argument, -1, SQLITE_STATIC);

  code = sqlite3_step (statement);
  columns = value_get_columns (statement);
  for (; code == SQLITE_ROW; code = sqlite3_step (statement))
    {
      JsonNode *row = value_get_row (statement, columns, error);

      if (row == NULL)
        return NULL;
      json_array_add_element (rows, row);
    }

  if (code != SQLITE_DONE)
    {
      error_take_last (db, NULL, error);
      return NULL;
    }

  return g_steal_pointer (&rows);
}

static void
reply_with_array (KcpInvocation *invocation,
                  const char    *member,
                  JsonArray     *array)
{
  JsonNode *reply = value_new_object ();

  json_object_set_array_member (json_node_get_object (reply), member, json_array_ref (array));
  kcp_invocation_reply (invocation, reply);
}

/* ---- tables ---- */

/* Sets “rows” of @table to the number of its rows: null if they cannot be counted, as in a virtual
 * table whose module is not here. */
static gboolean
count_rows (sqlite3     *db,
            JsonObject  *table,
            GError     **error)
{
  char *sql = sqlite3_mprintf ("SELECT count(*) AS n FROM main.\"%w\"",
                               json_object_get_string_member (table, "name"));
  g_autoptr(GError) counting_error = NULL;
  g_autoptr(JsonArray) rows = get_rows (db, sql, NULL, &counting_error);

  sqlite3_free (sql);

  /* Given up: so are those that would come next. */
  if (g_error_matches (counting_error, SQLITE_PLUGIN_ERROR, SQLITE_INTERRUPT))
    {
      g_propagate_error (error, g_steal_pointer (&counting_error));
      return FALSE;
    }

  if (rows == NULL)
    json_object_set_null_member (table, "rows");
  else
    json_object_set_int_member (table, "rows",
                                json_object_get_int_member (json_array_get_object_element (rows, 0), "n"));
  return TRUE;
}

gboolean
schema_tables (sqlite3        *db,
               KcpInvocation  *invocation,
               GError        **error)
{
  const char *const known[] = { "rows", NULL };
  g_autoptr(JsonObject) arguments = query_get_arguments (invocation, known, FALSE, error);
  g_autoptr(JsonArray) tables = NULL;
  JsonNode *count;

  if (arguments == NULL)
    return FALSE;

  count = json_object_get_member (arguments, "rows");
  if (count && (!JSON_NODE_HOLDS_VALUE (count) || json_node_get_value_type (count) != G_TYPE_BOOLEAN))
    {
      g_set_error_literal (error, KCP_ERROR, KCP_ERROR_INVALID_ARGUMENT, "“rows” must be true or false");
      return FALSE;
    }

  tables = get_rows (db,
                     "SELECT name, type FROM sqlite_schema"
                     " WHERE type IN ('table', 'view') AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\'"
                     " ORDER BY name",
                     NULL, error);
  if (tables == NULL)
    return FALSE;

  if (count && json_node_get_boolean (count))
    for (guint i = 0; i < json_array_get_length (tables); i++)
      if (!count_rows (db, json_array_get_object_element (tables, i), error))
        return FALSE;

  reply_with_array (invocation, "tables", tables);
  return TRUE;
}

/* ---- schema ---- */

static gboolean
describe_table (sqlite3        *db,
                KcpInvocation  *invocation,
                const char     *table,
                GError        **error)
{
  /* “hidden” is 1 for the arguments of a table-valued function, and more for generated columns. */
  g_autoptr(JsonArray) columns = get_rows (db,
                                           "SELECT name, type, \"notnull\" AS not_null,"
                                           " dflt_value AS \"default\", pk AS primary_key"
                                           " FROM pragma_table_xinfo(?1) WHERE hidden <> 1 ORDER BY cid",
                                           table, error);

  if (columns == NULL)
    return FALSE;

  if (json_array_get_length (columns) == 0)
    {
      g_set_error (error, KCP_ERROR, KCP_ERROR_INVALID_ARGUMENT, "there is no table “%s”", table);
      return FALSE;
    }

  for (guint i = 0; i < json_array_get_length (columns); i++)
    {
      JsonObject *column = json_array_get_object_element (columns, i);

      json_object_set_boolean_member (column, "not_null",
                                      json_object_get_int_member (column, "not_null") != 0);
    }

  reply_with_array (invocation, "columns", columns);
  return TRUE;
}

gboolean
schema_describe (sqlite3        *db,
                 KcpInvocation  *invocation,
                 GError        **error)
{
  const char *const known[] = { "table", NULL };
  g_autoptr(JsonObject) arguments = query_get_arguments (invocation, known, FALSE, error);
  g_autoptr(JsonArray) entries = NULL;
  JsonNode *table;

  if (arguments == NULL)
    return FALSE;

  table = json_object_get_member (arguments, "table");
  if (table && (!JSON_NODE_HOLDS_VALUE (table) || json_node_get_value_type (table) != G_TYPE_STRING))
    {
      g_set_error_literal (error, KCP_ERROR, KCP_ERROR_INVALID_ARGUMENT, "“table” must be a string");
      return FALSE;
    }

  if (table)
    return describe_table (db, invocation, json_node_get_string (table), error);

  entries = get_rows (db,
                      "SELECT name, type, tbl_name AS \"table\", sql FROM sqlite_schema"
                      " WHERE sql IS NOT NULL ORDER BY tbl_name, type DESC, name",
                      NULL, error);
  if (entries == NULL)
    return FALSE;

  reply_with_array (invocation, "schema", entries);
  return TRUE;
}
