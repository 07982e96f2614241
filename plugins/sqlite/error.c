/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "database.h"

/* The text of the domain is what a host sees, and may register to get the errors as they are. */
GQuark
sqlite_plugin_error_quark (void)
{
  return g_quark_from_static_string ("kcp-sqlite-error-quark");
}

#define CODE(name) { name, #name }

/* SQLite has no function that gives the name of a code. Those that a statement can end with; an
 * extended code that is not here gets the name of its primary code. */
static const struct
{
  int code;
  const char *name;
} codes[] = {
  CODE (SQLITE_ERROR), CODE (SQLITE_INTERNAL), CODE (SQLITE_PERM), CODE (SQLITE_ABORT),
  CODE (SQLITE_BUSY), CODE (SQLITE_LOCKED), CODE (SQLITE_NOMEM), CODE (SQLITE_READONLY),
  CODE (SQLITE_INTERRUPT), CODE (SQLITE_IOERR), CODE (SQLITE_CORRUPT), CODE (SQLITE_NOTFOUND),
  CODE (SQLITE_FULL), CODE (SQLITE_CANTOPEN), CODE (SQLITE_PROTOCOL), CODE (SQLITE_EMPTY),
  CODE (SQLITE_SCHEMA), CODE (SQLITE_TOOBIG), CODE (SQLITE_CONSTRAINT), CODE (SQLITE_MISMATCH),
  CODE (SQLITE_MISUSE), CODE (SQLITE_NOLFS), CODE (SQLITE_AUTH), CODE (SQLITE_FORMAT),
  CODE (SQLITE_RANGE), CODE (SQLITE_NOTADB),

  CODE (SQLITE_ERROR_MISSING_COLLSEQ), CODE (SQLITE_ERROR_RETRY), CODE (SQLITE_ERROR_SNAPSHOT),
  CODE (SQLITE_ABORT_ROLLBACK),
  CODE (SQLITE_BUSY_RECOVERY), CODE (SQLITE_BUSY_SNAPSHOT), CODE (SQLITE_BUSY_TIMEOUT),
  CODE (SQLITE_LOCKED_SHAREDCACHE), CODE (SQLITE_LOCKED_VTAB),
  CODE (SQLITE_READONLY_RECOVERY), CODE (SQLITE_READONLY_CANTLOCK), CODE (SQLITE_READONLY_ROLLBACK),
  CODE (SQLITE_READONLY_DBMOVED), CODE (SQLITE_READONLY_CANTINIT), CODE (SQLITE_READONLY_DIRECTORY),
  CODE (SQLITE_IOERR_READ), CODE (SQLITE_IOERR_SHORT_READ), CODE (SQLITE_IOERR_WRITE),
  CODE (SQLITE_IOERR_FSYNC), CODE (SQLITE_IOERR_TRUNCATE), CODE (SQLITE_IOERR_LOCK),
  CODE (SQLITE_IOERR_ACCESS), CODE (SQLITE_IOERR_NOMEM), CODE (SQLITE_IOERR_CORRUPTFS),
  CODE (SQLITE_CORRUPT_VTAB), CODE (SQLITE_CORRUPT_SEQUENCE), CODE (SQLITE_CORRUPT_INDEX),
  CODE (SQLITE_CANTOPEN_NOTEMPDIR), CODE (SQLITE_CANTOPEN_ISDIR), CODE (SQLITE_CANTOPEN_FULLPATH),
  CODE (SQLITE_CANTOPEN_CONVPATH), CODE (SQLITE_CANTOPEN_SYMLINK),
  CODE (SQLITE_CONSTRAINT_CHECK), CODE (SQLITE_CONSTRAINT_COMMITHOOK),
  CODE (SQLITE_CONSTRAINT_FOREIGNKEY), CODE (SQLITE_CONSTRAINT_FUNCTION),
  CODE (SQLITE_CONSTRAINT_NOTNULL), CODE (SQLITE_CONSTRAINT_PRIMARYKEY),
  CODE (SQLITE_CONSTRAINT_TRIGGER), CODE (SQLITE_CONSTRAINT_UNIQUE), CODE (SQLITE_CONSTRAINT_VTAB),
  CODE (SQLITE_CONSTRAINT_ROWID), CODE (SQLITE_CONSTRAINT_PINNED),
  CODE (SQLITE_AUTH_USER),
};

static const char *
get_name (int code)
{
  for (gsize i = 0; i < G_N_ELEMENTS (codes); i++)
    if (codes[i].code == code)
      return codes[i].name;

  /* The low byte of an extended code is its primary code. */
  return code > 0xff ? get_name (code & 0xff) : "SQLITE_ERROR";
}

/* Where in @sql the error is, in characters and from 0; -1 if that is not known. */
static glong
get_position (sqlite3    *db,
              const char *sql)
{
#if SQLITE_VERSION_NUMBER >= 3038000
  int offset = sql ? sqlite3_error_offset (db) : -1;

  if (offset >= 0 && (gsize) offset <= strlen (sql))
    return g_utf8_strlen (sql, offset);
#endif
  return -1;
}

gboolean
error_take_last (sqlite3     *db,
                 const char  *sql,
                 GError     **error)
{
  int code = sqlite3_extended_errcode (db);
  /* Parts of the text may come from a damaged file. */
  g_autofree char *text = g_utf8_make_valid (sqlite3_errmsg (db), -1);
  glong position = get_position (db, sql);

  if (position >= 0)
    g_set_error (error, SQLITE_PLUGIN_ERROR, code, "%s, at character %ld (%s)",
                 text, position + 1, get_name (code));
  else
    g_set_error (error, SQLITE_PLUGIN_ERROR, code, "%s (%s)", text, get_name (code));

  return FALSE;
}
