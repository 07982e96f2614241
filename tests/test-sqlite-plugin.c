/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The sqlite plugin, in children of its own, over databases in memory and in files. */
#include "plugin-host.h"

#include <glib/gstdio.h>
#include <string.h>

/* SQLite's codes, so that this program needs no SQLite. */
#define CODE_ERROR 1
#define CODE_READONLY 8
#define CODE_CANTOPEN 14
#define CODE_NOTADB 26
#define CODE_UNIQUE (19 | 8 << 8)

/* A row, and then steps without end. */
#define ENDLESS "WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c) " \
                "SELECT 'begun' AS x UNION ALL SELECT count(*) FROM c"

static GQuark
plugin_error (void)
{
  return g_quark_from_static_string ("kcp-sqlite-error-quark");
}

static KcpActor *
start_in_memory (void)
{
  return plugin_start ("sqlite", NULL, "database", ":memory:");
}

static KcpActor *
start_file (const char *file,
            const char *mode)
{
  g_autoptr(GError) error = NULL;
  KcpActor *actor = plugin_spawn ("sqlite", NULL, &error, "database", file, "mode", mode, NULL);

  g_assert_no_error (error);
  return actor;
}

/* ---- files ---- */

typedef struct
{
  char *directory;
  char *file;
} Files;

static void
files_set_up (Files         *self,
              gconstpointer  data)
{
  g_autoptr(GError) error = NULL;

  self->directory = g_dir_make_tmp ("kcp-test-XXXXXX", &error);
  g_assert_no_error (error);
  self->file = g_build_filename (self->directory, "test.db", NULL);
}

static void
files_tear_down (Files         *self,
                 gconstpointer  data)
{
  g_unlink (self->file);
  /* Fails if anything else was left there. */
  g_assert_cmpint (g_rmdir (self->directory), ==, 0);
  g_free (self->file);
  g_free (self->directory);
}

/* The database that the tests with a file share. */
static void
make_library (const char *file)
{
  KcpActor *actor = start_file (file, "rw");

  plugin_expect (actor, "execute",
                 "{\"sql\":\"CREATE TABLE book (id INTEGER PRIMARY KEY, title TEXT NOT NULL UNIQUE,"
                 " price REAL DEFAULT 1.5)\"}",
                 "{\"changes\":0,\"last_insert_rowid\":0}");
  plugin_expect (actor, "execute",
                 "{\"sql\":\"INSERT INTO book (title) VALUES (?), (?)\",\"params\":[\"one\",\"two\"]}",
                 "{\"changes\":2,\"last_insert_rowid\":2}");
  plugin_expect (actor, "execute",
                 "{\"sql\":\"CREATE VIEW titles AS SELECT title FROM book\"}",
                 "{\"changes\":0,\"last_insert_rowid\":2}");
  plugin_stop (actor);
}

/* ---- start ---- */

static void
check_start_refused (GQuark      domain,
                     int         code,
                     const char *part,
                     const char *key,
                     const char *value,
                     const char *key2,
                     const char *value2)
{
  g_autoptr(GError) error = NULL;
  KcpActor *actor = plugin_spawn ("sqlite", NULL, &error, key, value, key2, value2, NULL);

  g_assert_null (actor);
  g_assert_error (error, KCP_ERROR, KCP_ERROR_PLUGIN_START);
  if (domain != KCP_ERROR)
    {
      g_assert_cmpstr (kcp_error_get_remote_domain (error), ==, g_quark_to_string (domain));
      g_assert_cmpint (kcp_error_get_remote_code (error), ==, code);
    }
  plugin_assert_part (error->message, part);
}

static void
test_start (Files         *files,
            gconstpointer  data)
{
  g_autoptr(GError) error = NULL;

  check_start_refused (KCP_ERROR, 0, "database=FILE", NULL, NULL, NULL, NULL);
  check_start_refused (KCP_ERROR, 0, "databse", "databse", files->file, NULL, NULL);
  check_start_refused (KCP_ERROR, 0, "database=", "database", "", NULL, NULL);
  check_start_refused (KCP_ERROR, 0, "mode=wo", "database", files->file, "mode", "wo");

  check_start_refused (plugin_error (), CODE_CANTOPEN, files->file, "database", files->file, NULL, NULL);
  g_assert_false (g_file_test (files->file, G_FILE_TEST_EXISTS));

  g_file_set_contents (files->file, "not a database, whatever its name is\n", -1, &error);
  g_assert_no_error (error);
  check_start_refused (plugin_error (), CODE_NOTADB, "SQLITE_NOTADB", "database", files->file, NULL, NULL);
}

/* ---- values ---- */

static void
test_values (void)
{
  KcpActor *actor = start_in_memory ();

  /* There and back. */
  plugin_expect_items (actor, "query",
                       "{\"sql\":\"SELECT ? a, ? b, ? c, ? d, ? e, ? f, ? g, ? h, ? i\",\"params\":"
                       "[null,true,false,-9223372036854775808,1.5,\"é\\n\\\"😀\",\"\","
                       "{\"base64\":\"AAH/\"},{\"base64\":\"\"}]}",
                       "{\"a\":null,\"b\":1,\"c\":0,\"d\":-9223372036854775808,\"e\":1.5,"
                       "\"f\":\"é\\n\\\"😀\",\"g\":\"\",\"h\":{\"base64\":\"AAH/\"},\"i\":{\"base64\":\"\"}}\n"
                       "{\"rows\":1,\"columns\":[\"a\",\"b\",\"c\",\"d\",\"e\",\"f\",\"g\",\"h\",\"i\"]}\n");

  /* They are there what they are here. */
  plugin_expect_items (actor, "query",
                       "{\"sql\":\"SELECT typeof(?) a, typeof(?) b, typeof(?) c, typeof(?) d,"
                       " typeof(?) e, typeof(?) f\",\"params\":"
                       "[null,true,2.5,\"2\",{\"base64\":\"\"},9223372036854775807]}",
                       "{\"a\":\"null\",\"b\":\"integer\",\"c\":\"real\",\"d\":\"text\",\"e\":\"blob\","
                       "\"f\":\"integer\"}\n"
                       "{\"rows\":1,\"columns\":[\"a\",\"b\",\"c\",\"d\",\"e\",\"f\"]}\n");

  /* What JSON cannot hold. */
  plugin_expect_items (actor, "query",
                       "{\"sql\":\"SELECT 9e999 a, -9e999 b, CAST(x'41ff42' AS TEXT) c,"
                       " CAST(x'410042' AS TEXT) d\"}",
                       "{\"a\":null,\"b\":null,\"c\":\"A\357\277\275B\",\"d\":\"A\357\277\275B\"}\n"
                       "{\"rows\":1,\"columns\":[\"a\",\"b\",\"c\",\"d\"]}\n");

  /* A name stands once in an object, whatever SQL says. */
  plugin_expect_items (actor, "query", "{\"sql\":\"SELECT 1 a, 2 a, 3 'a (2)', 4 a\"}",
                       "{\"a\":1,\"a (2)\":2,\"a (2) (2)\":3,\"a (3)\":4}\n"
                       "{\"rows\":1,\"columns\":[\"a\",\"a (2)\",\"a (2) (2)\",\"a (3)\"]}\n");

  plugin_expect_items (actor, "query", "{\"sql\":\"SELECT 1 a WHERE 0\"}",
                       "{\"rows\":0,\"columns\":[\"a\"]}\n");
  plugin_stop (actor);
}

static void
test_params (void)
{
  static const struct { const char *body, *part; } cases[] = {
    { "{\"sql\":\"SELECT ?\"}", "has 1 parameters, “params” has 0" },
    { "{\"sql\":\"SELECT ?\",\"params\":[1,2]}", "has 1 parameters, “params” has 2" },
    { "{\"sql\":\"SELECT 1\",\"params\":[1]}", "has 0 parameters, “params” has 1" },
    { "{\"sql\":\"SELECT :a\",\"params\":{}}", "“:a”" },
    { "{\"sql\":\"SELECT :a\",\"params\":{\"b\":1}}", "no parameter “b”" },
    { "{\"sql\":\"SELECT :a\",\"params\":{\"a\":1,\":a\":1}}", "twice" },
    { "{\"sql\":\"SELECT ?, :a\",\"params\":{\"a\":1}}", "parameter 1" },
    { "{\"sql\":\"SELECT ?\",\"params\":1}", "“params”" },
    { "{\"sql\":\"SELECT ?\",\"params\":[[1]]}", "parameter “1”" },
    { "{\"sql\":\"SELECT :a\",\"params\":{\"a\":{\"base64\":1}}}", "parameter “a”" },
    { "{\"sql\":\"SELECT :a\",\"params\":{\"a\":{\"base64\":\"AAH\"}}}", "parameter “a”" },
    { "{\"sql\":\"SELECT :a\",\"params\":{\"a\":{\"base64\":\"AA==\",\"x\":1}}}", "parameter “a”" },
    { "{\"params\":[]}", "“sql”" },
    { "{\"sql\":1}", "“sql”" },
    { "{\"sql\":\"SELECT 1\",\"parms\":[]}", "“parms”" },
    { "null", "“sql”" },
    { "[]", "“sql”" },
    { "{\"sql\":\"\"}", "no statement" },
    { "{\"sql\":\"-- nothing\"}", "no statement" },
    { "{\"sql\":\"SELECT 1; SELECT 2\"}", "more than one" },
    { "{\"sql\":\"SELECT 1; x\"}", "more than one" },
  };
  KcpActor *actor = start_in_memory ();

  plugin_expect_items (actor, "query",
                       "{\"sql\":\"SELECT :a + @b * $c AS x, :a AS y\","
                       "\"params\":{\"c\":3,\"@b\":2,\"a\":1}}",
                       "{\"x\":7,\"y\":1}\n{\"rows\":1,\"columns\":[\"x\",\"y\"]}\n");
  plugin_expect_items (actor, "query",
                       "{\"sql\":\"SELECT 1 AS x; ; -- all /* that\\n /* there; is */ \",\"params\":null}",
                       "{\"x\":1}\n{\"rows\":1,\"columns\":[\"x\"]}\n");

  for (gsize i = 0; i < G_N_ELEMENTS (cases); i++)
    plugin_expect_error (actor, "query", cases[i].body,
                         KCP_ERROR, KCP_ERROR_INVALID_ARGUMENT, cases[i].part);

  /* What follows a statement is not even compiled: this pragma would do its work then. */
  plugin_expect_error (actor, "query", "{\"sql\":\"SELECT 1; PRAGMA case_sensitive_like = 1\"}",
                       KCP_ERROR, KCP_ERROR_INVALID_ARGUMENT, "more than one");
  plugin_expect_items (actor, "query", "{\"sql\":\"SELECT 'A' LIKE 'a' AS x\"}",
                       "{\"x\":1}\n{\"rows\":1,\"columns\":[\"x\"]}\n");
  plugin_stop (actor);
}

/* ---- errors ---- */

static void
test_errors (Files         *files,
             gconstpointer  data)
{
  KcpActor *actor;
  g_autoptr(GError) error = NULL;

  make_library (files->file);
  actor = start_file (files->file, "rw");

  /* Of a domain that this program does not know yet. */
  g_assert_null (plugin_ask (actor, "query", "{\"sql\":\"SELECT 'é', frm book\"}", &error));
  g_assert_error (error, KCP_ERROR, KCP_ERROR_HANDLER_FAILED);
  g_assert_cmpstr (kcp_error_get_remote_domain (error), ==, "kcp-sqlite-error-quark");
  g_assert_cmpint (kcp_error_get_remote_code (error), ==, CODE_ERROR);
  plugin_assert_part (kcp_error_get_remote_message (error), "(SQLITE_ERROR)");

  kcp_error_register_domain (plugin_error ());
  plugin_expect_error (actor, "query", "{\"sql\":\"SELECT 'é', frm FROM\"}",
                       plugin_error (), CODE_ERROR, "incomplete input");
  plugin_expect_error (actor, "query", "{\"sql\":\"SELECT 1 FROM nowhere\"}",
                       plugin_error (), CODE_ERROR, "no such table: nowhere");
  plugin_expect_error (actor, "execute", "{\"sql\":\"INSERT INTO book (title) VALUES ('one')\"}",
                       plugin_error (), CODE_UNIQUE,
                       "UNIQUE constraint failed: book.title (SQLITE_CONSTRAINT_UNIQUE)");
  plugin_expect_error (actor, "query", "{\"sql\":\"SELECT load_extension('x')\"}",
                       plugin_error (), CODE_ERROR, "not authorized");

  /* An error after rows. */
  plugin_expect_error (actor, "query",
                       "{\"sql\":\"SELECT abs(column1) FROM (VALUES (1), (-9223372036854775808))\"}",
                       plugin_error (), CODE_ERROR, "integer overflow");
  plugin_stop (actor);
}

static void
test_read_only (Files         *files,
                gconstpointer  data)
{
  g_autofree char *copy = g_strdup_printf ("{\"sql\":\"VACUUM INTO '%s.copy'\"}", files->file);
  g_autofree char *attach = g_strdup_printf ("{\"sql\":\"ATTACH '%s.copy' AS x\"}", files->file);
  KcpActor *actor;

  make_library (files->file);
  kcp_error_register_domain (plugin_error ());
  actor = plugin_start ("sqlite", NULL, "database", files->file);

  plugin_expect_error (actor, "execute", "{\"sql\":\"DELETE FROM book\"}",
                       plugin_error (), CODE_READONLY, "attempt to write a readonly database");
  plugin_expect_error (actor, "query", "{\"sql\":\"INSERT INTO book (title) VALUES ('x') RETURNING id\"}",
                       plugin_error (), CODE_READONLY, "SQLITE_READONLY");
  plugin_expect_error (actor, "execute", copy, plugin_error (), CODE_ERROR, "attached");
  plugin_expect_error (actor, "execute", attach, plugin_error (), CODE_ERROR, "attached");
  plugin_expect_items (actor, "query", "{\"sql\":\"SELECT count(*) n FROM book\"}",
                       "{\"n\":2}\n{\"rows\":1,\"columns\":[\"n\"]}\n");
  plugin_stop (actor);
}

/* ---- writing, and what there is ---- */

static void
test_execute (Files         *files,
              gconstpointer  data)
{
  KcpActor *actor;

  make_library (files->file);
  actor = start_file (files->file, "rw");
  plugin_expect (actor, "execute",
                 "{\"sql\":\"UPDATE book SET price = 2 WHERE id > :id\",\"params\":{\"id\":0}}",
                 "{\"changes\":2,\"last_insert_rowid\":0}");
  /* Changed nothing, though the statement before did. */
  plugin_expect (actor, "execute", "{\"sql\":\"UPDATE book SET price = 3 WHERE id > 9\"}",
                 "{\"changes\":0,\"last_insert_rowid\":0}");
  plugin_expect (actor, "execute", "{\"sql\":\"INSERT INTO book VALUES (7, 'seven', 7) RETURNING id\"}",
                 "{\"changes\":1,\"last_insert_rowid\":7}");
  plugin_stop (actor);

  actor = plugin_start ("sqlite", NULL, "database", files->file);
  plugin_expect_items (actor, "query", "{\"sql\":\"SELECT * FROM book ORDER BY id\"}",
                       "{\"id\":1,\"title\":\"one\",\"price\":2.0}\n"
                       "{\"id\":2,\"title\":\"two\",\"price\":2.0}\n"
                       "{\"id\":7,\"title\":\"seven\",\"price\":7.0}\n"
                       "{\"rows\":3,\"columns\":[\"id\",\"title\",\"price\"]}\n");
  plugin_stop (actor);
}

static void
test_schema (Files         *files,
             gconstpointer  data)
{
  KcpActor *actor;

  make_library (files->file);
  actor = plugin_start ("sqlite", NULL, "database", files->file);

  plugin_expect (actor, "tables", "null",
                 "{\"tables\":[{\"name\":\"book\",\"type\":\"table\"},"
                 "{\"name\":\"titles\",\"type\":\"view\"}]}");
  plugin_expect (actor, "tables", "{\"rows\":true}",
                 "{\"tables\":[{\"name\":\"book\",\"type\":\"table\",\"rows\":2},"
                 "{\"name\":\"titles\",\"type\":\"view\",\"rows\":2}]}");
  plugin_expect_error (actor, "tables", "{\"rows\":1}", KCP_ERROR, KCP_ERROR_INVALID_ARGUMENT, "“rows”");

  plugin_expect (actor, "schema", "{}",
                 "{\"schema\":[{\"name\":\"book\",\"type\":\"table\",\"table\":\"book\",\"sql\":"
                 "\"CREATE TABLE book (id INTEGER PRIMARY KEY, title TEXT NOT NULL UNIQUE,"
                 " price REAL DEFAULT 1.5)\"},"
                 "{\"name\":\"titles\",\"type\":\"view\",\"table\":\"titles\",\"sql\":"
                 "\"CREATE VIEW titles AS SELECT title FROM book\"}]}");
  plugin_expect (actor, "schema", "{\"table\":\"book\"}",
                 "{\"columns\":[{\"name\":\"id\",\"type\":\"INTEGER\",\"not_null\":false,\"default\":null,"
                 "\"primary_key\":1},"
                 "{\"name\":\"title\",\"type\":\"TEXT\",\"not_null\":true,\"default\":null,"
                 "\"primary_key\":0},"
                 "{\"name\":\"price\",\"type\":\"REAL\",\"not_null\":false,\"default\":\"1.5\","
                 "\"primary_key\":0}]}");
  plugin_expect_error (actor, "schema", "{\"table\":\"x\"}",
                       KCP_ERROR, KCP_ERROR_INVALID_ARGUMENT, "no table “x”");
  plugin_expect_error (actor, "schema", "{\"table\":1}", KCP_ERROR, KCP_ERROR_INVALID_ARGUMENT, "“table”");
  plugin_stop (actor);
}

/* ---- ending early ---- */

/* The worker thread is free again. */
static void
check_alive (KcpActor *actor)
{
  plugin_expect_items (actor, "query", "{\"sql\":\"SELECT 1 AS x\"}",
                       "{\"x\":1}\n{\"rows\":1,\"columns\":[\"x\"]}\n");
}

/* A statement that is under way and would never end. */
static KcpStream *
begin_endless (KcpActor     *actor,
               GCancellable *cancellable)
{
  g_autoptr(GError) error = NULL;
  KcpStream *stream = plugin_stream (actor, "query", "{\"sql\":\"" ENDLESS "\"}", cancellable);
  g_autofree char *item = plugin_next (stream, &error);

  g_assert_no_error (error);
  g_assert_cmpstr (item, ==, "{\"x\":\"begun\"}");
  return stream;
}

static void
test_cancel (void)
{
  KcpActor *actor = start_in_memory ();
  g_autoptr(GCancellable) first = g_cancellable_new ();
  g_autoptr(GCancellable) second = g_cancellable_new ();
  g_autoptr(KcpStream) running = begin_endless (actor, first);
  g_autoptr(KcpStream) waiting = plugin_stream (actor, "query", "{\"sql\":\"" ENDLESS "\"}", second);
  g_autoptr(GError) error = NULL;

  /* Meanwhile the child is not held up. */
  plugin_expect_error (actor, "nowhere", "null", KCP_ERROR, KCP_ERROR_UNKNOWN_PATH, "nowhere");

  /* The one that waits for its turn first: it never gets one. */
  g_cancellable_cancel (second);
  g_assert_null (plugin_next (waiting, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CANCELLED);
  g_clear_error (&error);

  g_cancellable_cancel (first);
  g_assert_null (plugin_next (running, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CANCELLED);

  check_alive (actor);
  plugin_stop (actor);
}

static void
test_close (void)
{
  KcpActor *actor = start_in_memory ();
  g_autoptr(KcpStream) stream = begin_endless (actor, NULL);

  kcp_stream_close (stream);
  check_alive (actor);

  /* The rows of this one never end. */
  g_clear_object (&stream);
  stream = plugin_stream (actor, "query",
                          "{\"sql\":\"WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c)"
                          " SELECT n FROM c\"}", NULL);
  for (int i = 1; i <= 200; i++)
    {
      g_autoptr(GError) error = NULL;
      g_autofree char *expected = g_strdup_printf ("{\"n\":%d}", i);
      g_autofree char *item = plugin_next (stream, &error);

      g_assert_no_error (error);
      g_assert_cmpstr (item, ==, expected);
    }
  kcp_stream_close (stream);
  check_alive (actor);
  plugin_stop (actor);
}

static void
test_deadline (void)
{
  KcpActor *actor = start_in_memory ();
  g_autoptr(GError) error = NULL;
  g_autoptr(KcpMessage) message = kcp_message_new_text ("execute", "{\"sql\":\"" ENDLESS "\"}", &error);

  g_assert_no_error (error);
  kcp_message_set_timeout (message, 100);
  g_assert_null (plugin_ask_message (actor, message, &error));
  g_assert_error (error, KCP_ERROR, KCP_ERROR_TIMED_OUT);

  check_alive (actor);
  plugin_stop (actor);
}

/* A statement that waits for another process's lock is cancelled as well, and never done. */
static void
test_cancel_locked (Files         *files,
                    gconstpointer  data)
{
  g_autoptr(GCancellable) cancellable = g_cancellable_new ();
  g_autoptr(KcpStream) stream = NULL;
  g_autoptr(GError) error = NULL;
  KcpActor *holder, *waiter;

  make_library (files->file);
  holder = start_file (files->file, "rw");
  waiter = start_file (files->file, "rw");

  plugin_expect (holder, "execute", "{\"sql\":\"BEGIN EXCLUSIVE\"}",
                 "{\"changes\":0,\"last_insert_rowid\":0}");
  stream = plugin_stream (waiter, "execute", "{\"sql\":\"DELETE FROM book\"}", cancellable);
  plugin_expect_error (waiter, "nowhere", "null", KCP_ERROR, KCP_ERROR_UNKNOWN_PATH, "nowhere");
  g_cancellable_cancel (cancellable);
  g_assert_null (plugin_next (stream, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CANCELLED);
  check_alive (waiter);

  plugin_expect (holder, "execute", "{\"sql\":\"COMMIT\"}",
                 "{\"changes\":0,\"last_insert_rowid\":0}");
  plugin_expect_items (waiter, "query", "{\"sql\":\"SELECT count(*) n FROM book\"}",
                       "{\"n\":2}\n{\"rows\":1,\"columns\":[\"n\"]}\n");
  plugin_stop (waiter);
  plugin_stop (holder);
}

#define ADD_WITH_FILES(path, func) g_test_add (path, Files, NULL, files_set_up, func, files_tear_down)

int
main (int    argc,
      char **argv)
{
  g_test_init (&argc, &argv, NULL);

  ADD_WITH_FILES ("/sqlite/start", test_start);
  g_test_add_func ("/sqlite/values", test_values);
  g_test_add_func ("/sqlite/params", test_params);
  ADD_WITH_FILES ("/sqlite/errors", test_errors);
  ADD_WITH_FILES ("/sqlite/read-only", test_read_only);
  ADD_WITH_FILES ("/sqlite/execute", test_execute);
  ADD_WITH_FILES ("/sqlite/schema", test_schema);
  g_test_add_func ("/sqlite/cancel", test_cancel);
  g_test_add_func ("/sqlite/close", test_close);
  g_test_add_func ("/sqlite/deadline", test_deadline);
  ADD_WITH_FILES ("/sqlite/cancel-locked", test_cancel_locked);

  return g_test_run ();
}
