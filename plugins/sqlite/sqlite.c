/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* An SQLite database as a plugin. What its paths take and answer:
 *
 *   query     {"sql": S, "params"?: P}   an item a row, end {"rows": N, "columns": [name, …]}
 *   execute   {"sql": S, "params"?: P}   {"changes": N, "last_insert_rowid": N}
 *   tables    {"rows"?: true}            {"tables": [{"name", "type", "rows"?}, …]}
 *   schema    nothing                    {"schema": [{"name", "type", "table", "sql"}, …]}
 *             {"table": name}            {"columns": [{"name", "type", "not_null", "default",
 *                                                      "primary_key"}, …]}
 *
 * There is one connection, which runs one statement at a time; calls wait for their turn. Who wants
 * two at once starts two children. Errors of SQLite carry its text and its extended result code, in
 * the domain "kcp-sqlite-error-quark".
 */
#include "database.h"

/* What `configure` has collected when `start` comes. */
static char *config_file;
static gboolean config_writable;

static gboolean
sqlite_configure (const char  *key,
                  const char  *value,
                  GError     **error)
{
  if (g_str_equal (key, "database") && *value != '\0')
    {
      g_free (config_file);
      config_file = g_strdup (value);
      return TRUE;
    }

  if (g_str_equal (key, "mode") && (g_str_equal (value, "ro") || g_str_equal (value, "rw")))
    {
      config_writable = g_str_equal (value, "rw");
      return TRUE;
    }

  g_set_error (error, KCP_ERROR, KCP_ERROR_INVALID_ARGUMENT,
               "“%s=%s” is not one of “database=FILE”, “mode=ro”, “mode=rw”", key, value);
  return FALSE;
}

static gboolean
sqlite_start (KcpCallbackHandle  *host,
              gpointer           *self,
              GError            **error)
{
  if (config_file == NULL)
    {
      g_set_error_literal (error, KCP_ERROR, KCP_ERROR_INVALID_ARGUMENT, "“database=FILE” is missing");
      return FALSE;
    }

  *self = database_open (config_file, config_writable, error);
  return *self != NULL;
}

static void
sqlite_stop (gpointer self)
{
  database_close (self);
  g_clear_pointer (&config_file, g_free);
}

static void
handle_query (gpointer       self,
              KcpInvocation *invocation)
{
  database_push (self, invocation, query_run);
}

static void
handle_execute (gpointer       self,
                KcpInvocation *invocation)
{
  database_push (self, invocation, query_execute);
}

static void
handle_tables (gpointer       self,
               KcpInvocation *invocation)
{
  database_push (self, invocation, schema_tables);
}

static void
handle_schema (gpointer       self,
               KcpInvocation *invocation)
{
  database_push (self, invocation, schema_describe);
}

static const KcpHandlerEntry handlers[] = {
  { "query", "streams the rows of a statement: {\"sql\": S, \"params\"?: P}", handle_query },
  { "execute", "runs a statement, tells what it changed: {\"sql\": S, \"params\"?: P}", handle_execute },
  { "tables", "lists tables and views: {\"rows\"?: true} counts too", handle_tables },
  { "schema", "the definitions in the database, or of {\"table\": T} its columns", handle_schema },
  { NULL, NULL, NULL },
};

static KcpPlugin plugin = {
  .name = "sqlite",
  .version = "1",
  .description = "Reads and writes an SQLite database",
  .config_help = "database=FILE  the database; required\n"
                 "mode=ro        only read, the default\n"
                 "mode=rw        write too, and make the file if it is not there",
  .configure = sqlite_configure,
  .start = sqlite_start,
  .stop = sqlite_stop,
  .handlers = handlers,
};

KCP_DEFINE_PLUGIN (plugin)
