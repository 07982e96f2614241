/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <kcp-plugin.h>
#include <sqlite3.h>

G_BEGIN_DECLS

/* The pieces of the sqlite plugin, and who uses what:
 *
 *   sqlite.c     the plugin's table, its configuration      main thread
 *   database.c   the connection and its thread              both
 *   query.c      `query` and `execute`        ┐
 *   schema.c     `tables` and `schema`        │
 *   value.c      SQLite's values ↔ JSON       │  worker thread
 *   error.c      SQLite's errors as GError    ┘
 */

G_DEFINE_AUTOPTR_CLEANUP_FUNC (sqlite3_stmt, sqlite3_finalize)

/* ---- database.c ---- */

/* One connection. After it was opened only its worker thread touches it, one call at a time. */
typedef struct _Database Database;

/* Serves @invocation in the worker thread: answers it and returns TRUE, or returns FALSE with an
 * error for it. TRUE without an answer is right once nobody wants one any more. */
typedef gboolean (*DatabaseFunc) (sqlite3        *db,
                                  KcpInvocation  *invocation,
                                  GError        **error);

Database *database_open  (const char     *file,
                          gboolean        writable,
                          GError        **error);
void      database_close (Database       *self);
void      database_push  (Database       *self,
                          KcpInvocation  *invocation,
                          DatabaseFunc    func);

/* ---- query.c ---- */

gboolean      query_run      (sqlite3        *db,
                              KcpInvocation  *invocation,
                              GError        **error);
gboolean      query_execute  (sqlite3        *db,
                              KcpInvocation  *invocation,
                              GError        **error);

/* The single statement in @sql. */
sqlite3_stmt *query_prepare  (sqlite3        *db,
                              const char     *sql,
                              GError        **error) G_GNUC_WARN_UNUSED_RESULT;

/* The body of @invocation as an object with members from the NULL-terminated list @known only; an
 * empty body is an empty object where @required is FALSE. Belongs to the caller. */
JsonObject   *query_get_arguments (KcpInvocation      *invocation,
                                   const char *const  *known,
                                   gboolean            required,
                                   GError            **error) G_GNUC_WARN_UNUSED_RESULT;

/* ---- schema.c ---- */

gboolean schema_tables   (sqlite3        *db,
                          KcpInvocation  *invocation,
                          GError        **error);
gboolean schema_describe (sqlite3        *db,
                          KcpInvocation  *invocation,
                          GError        **error);

/* ---- value.c ---- */

JsonNode *value_new_object  (void) G_GNUC_WARN_UNUSED_RESULT;

/* The names of the columns, each only once, NULL-terminated. */
char    **value_get_columns (sqlite3_stmt        *statement) G_GNUC_WARN_UNUSED_RESULT;
/* The row that @statement stands on; NULL with an error if there is no memory for it. */
JsonNode *value_get_row     (sqlite3_stmt        *statement,
                             char               **columns,
                             GError             **error) G_GNUC_WARN_UNUSED_RESULT;
/* Binds an array by position or an object by name; @params, which may be NULL, must stay until the
 * statement is finalised. */
gboolean  value_bind        (sqlite3_stmt        *statement,
                             JsonNode            *params,
                             GError             **error);

/* ---- error.c ---- */

#define SQLITE_PLUGIN_ERROR (sqlite_plugin_error_quark ())

GQuark   sqlite_plugin_error_quark (void);

/* Puts the last error of @db into @error, with the place in @sql if SQLite knows one; @sql may be
 * NULL. Always returns FALSE, for `return`. */
gboolean error_take_last (sqlite3     *db,
                          const char  *sql,
                          GError     **error);

G_END_DECLS
