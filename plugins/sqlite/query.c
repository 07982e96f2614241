/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* `query` and `execute`: one statement with its parameters, run to its end. */
#include "database.h"

#include <string.h>

/* ---- what was asked for ---- */

JsonObject *
query_get_arguments (KcpInvocation      *invocation,
                     const char *const  *known,
                     gboolean            required,
                     GError            **error)
{
  JsonNode *body = kcp_invocation_get_body (invocation, error);
  g_autoptr(JsonObject) object = NULL;
  JsonObjectIter iter;
  const char *name;

  if (body == NULL)
    return NULL;

  if (JSON_NODE_HOLDS_NULL (body) && !required)
    return json_object_new ();

  if (!JSON_NODE_HOLDS_OBJECT (body))
    {
      g_set_error (error, KCP_ERROR, KCP_ERROR_INVALID_ARGUMENT, "expected an object with “%s”", known[0]);
      return NULL;
    }

  /* A misspelt member would be left out in silence, and the answer be right for another question. */
  object = json_object_ref (json_node_get_object (body));
  json_object_iter_init_ordered (&iter, object);
  while (json_object_iter_next_ordered (&iter, &name, NULL))
    if (!g_strv_contains (known, name))
      {
        g_set_error (error, KCP_ERROR, KCP_ERROR_INVALID_ARGUMENT, "unknown member “%s”", name);
        return NULL;
      }

  return g_steal_pointer (&object);
}

/* ---- one statement ---- */

/* What may follow a statement: blanks, comments and semicolons. Not left to SQLite, for which
 * preparing a further statement can already mean to do what it says (some pragmas). */
static const char *
skip_nothing (const char *p)
{
  for (;;)
    {
      if (g_ascii_isspace (*p) || *p == ';')
        p++;
      else if (g_str_has_prefix (p, "--"))
        p += strcspn (p, "\n");
      else if (g_str_has_prefix (p, "/*"))
        {
          const char *end = strstr (p + 2, "*/");

          p = end ? end + 2 : p + strlen (p);
        }
      else
        return p;
    }
}

sqlite3_stmt *
query_prepare (sqlite3     *db,
               const char  *sql,
               GError     **error)
{
  g_autoptr(sqlite3_stmt) statement = NULL;
  const char *tail;

  if (sqlite3_prepare_v2 (db, sql, -1, &statement, &tail) != SQLITE_OK)
    {
      error_take_last (db, sql, error);
      return NULL;
    }

  if (statement == NULL || *skip_nothing (tail) != '\0')
    {
      g_set_error_literal (error, KCP_ERROR, KCP_ERROR_INVALID_ARGUMENT,
                           statement ? "“sql” holds more than one statement" : "“sql” holds no statement");
      return NULL;
    }

  return g_steal_pointer (&statement);
}

/* The statement that @invocation asks for, with its parameters bound. They are not copied: they
 * belong to the body of @invocation, which outlives the statement. */
static sqlite3_stmt *
prepare_asked (sqlite3        *db,
               KcpInvocation  *invocation,
               GError        **error)
{
  const char *const known[] = { "sql", "params", NULL };
  g_autoptr(JsonObject) arguments = query_get_arguments (invocation, known, TRUE, error);
  g_autoptr(sqlite3_stmt) statement = NULL;
  JsonNode *sql;

  if (arguments == NULL)
    return NULL;

  sql = json_object_get_member (arguments, "sql");
  if (sql == NULL || !JSON_NODE_HOLDS_VALUE (sql) || json_node_get_value_type (sql) != G_TYPE_STRING)
    {
      g_set_error_literal (error, KCP_ERROR, KCP_ERROR_INVALID_ARGUMENT, "“sql” must be a string");
      return NULL;
    }

  statement = query_prepare (db, json_node_get_string (sql), error);
  if (statement == NULL || !value_bind (statement, json_object_get_member (arguments, "params"), error))
    return NULL;

  return g_steal_pointer (&statement);
}

/* ---- query ---- */

static JsonNode *
new_result (gint64   rows,
            char   **columns)
{
  JsonNode *node = value_new_object ();
  JsonArray *names = json_array_new ();

  for (int i = 0; columns[i]; i++)
    json_array_add_string_element (names, columns[i]);

  json_object_set_int_member (json_node_get_object (node), "rows", rows);
  json_object_set_array_member (json_node_get_object (node), "columns", names);
  return node;
}

gboolean
query_run (sqlite3        *db,
           KcpInvocation  *invocation,
           GError        **error)
{
  g_autoptr(sqlite3_stmt) statement = prepare_asked (db, invocation, error);
  g_auto(GStrv) columns = NULL;
  gint64 rows = 0;
  int code;

  if (statement == NULL)
    return FALSE;

  /* The first step first: it may find that the tables have changed and compile the statement again,
   * with other columns. */
  code = sqlite3_step (statement);
  columns = value_get_columns (statement);

  for (; code == SQLITE_ROW; code = sqlite3_step (statement))
    {
      JsonNode *row = value_get_row (statement, columns, error);

      if (row == NULL)
        return FALSE;
      if (!kcp_invocation_send_item_wait (invocation, row))
        return TRUE;
      rows++;
    }

  if (code != SQLITE_DONE)
    return error_take_last (db, NULL, error);

  kcp_invocation_reply (invocation, new_result (rows, columns));
  return TRUE;
}

/* ---- execute ---- */

gboolean
query_execute (sqlite3        *db,
               KcpInvocation  *invocation,
               GError        **error)
{
  g_autoptr(sqlite3_stmt) statement = prepare_asked (db, invocation, error);
  JsonNode *reply;
  int before, code;

  if (statement == NULL)
    return FALSE;

  before = sqlite3_total_changes (db);
  do
    code = sqlite3_step (statement);
  while (code == SQLITE_ROW);

  if (code != SQLITE_DONE)
    return error_take_last (db, NULL, error);

  /* sqlite3_changes() is that of the last statement that changed rows, which may have been one
   * before this; the total, which counts triggers too, shows whether it was this one. */
  reply = value_new_object ();
  json_object_set_int_member (json_node_get_object (reply), "changes",
                              sqlite3_total_changes (db) == before ? 0 : sqlite3_changes (db));
  json_object_set_int_member (json_node_get_object (reply), "last_insert_rowid",
                              sqlite3_last_insert_rowid (db));
  kcp_invocation_reply (invocation, reply);
  return TRUE;
}
